"""Shapes of sums along rows."""

from __future__ import annotations

import random
from typing import Any

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


def cases(seed: int) -> list[dict[str, Any]]:
    """All cases as plain data (kernels/README.md); the held-out ones are drawn from `seed`."""
    draw = random.Random(seed)
    return [
        case("square_8192_fp16", "real", "fp16", 8192, 8192),
        case("llama3_8b_tokens_bf16", "real", "bf16", 8192, 4096),
        case("gpt2_logits_fp16", "real", "fp16", 8192, 50257),
        case("nanotrain_logits_bf16", "real", "bf16", 32768, 8192),
        case("nanotrain_cpu_logits_fp32", "real", "fp32", 64, 2048, small=True),
        case("primes_bf16", "odd", "bf16", 4093, 8191),
        case("length_one_fp32", "odd", "fp32", 5, 1, small=True),
        case("primes_fp32", "odd", "fp32", 31, 257, small=True),
        case("one_row_fp32", "edge", "fp32", 1, 20011, small=True),
        case("one_very_long_row_fp16", "edge", "fp16", 1, 1 << 24),
        case("very_tall_bf16", "edge", "bf16", 1 << 20, 64),
        case("held_out_even_bf16", "held_out", "bf16", 64 * draw.randint(16, 128), 64 * draw.randint(32, 256)),
        case("held_out_uneven_fp16", "held_out", "fp16", draw.randint(1000, 9000), draw.randint(1000, 20000)),
        case("held_out_small_fp32", "held_out", "fp32", draw.randint(2, 30), draw.randint(3, 3000), small=True),
    ]


def case(name: str, role: str, dtype: str, R: int, C: int, small: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "role": role,
        "dtype": dtype,
        "inputs": [{"shape": [R, C]}],
        "flops": R * C,  # one addition an element
        "bytes": BYTES[dtype] * (R * C + R),
        "small": small,
    }
