"""Shapes of softmax along rows: attention scores and logits."""

from __future__ import annotations

import random
from typing import Any

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


def cases(seed: int) -> list[dict[str, Any]]:
    """All cases as plain data (kernels/README.md); the held-out ones are drawn from `seed`."""
    draw = random.Random(seed)
    return [
        case("square_4096_fp16", "real", "fp16", 4096, 4096),
        case("gpt2_scores_fp16", "real", "fp16", 8 * 12 * 1024, 1024),
        case("gpt2_logits_bf16", "real", "bf16", 4096, 50257),
        case("llama3_logits_bf16", "real", "bf16", 2048, 128256),
        case("nanotrain_logits_fp32", "real", "fp32", 8192, 8192),
        case("nanotrain_cpu_logits_fp32", "real", "fp32", 32, 2048, small=True),
        case("primes_bf16", "odd", "bf16", 4093, 1021),
        case("length_one_fp32", "odd", "fp32", 5, 1, small=True),
        case("primes_fp32", "odd", "fp32", 31, 257, small=True),
        case("one_long_row_fp32", "edge", "fp32", 1, 20011, small=True),
        case("long_rows_fp32", "edge", "fp32", 5, 17011, small=True),
        case("very_wide_fp16", "edge", "fp16", 16, 1 << 20),
        case("very_tall_bf16", "edge", "bf16", 1 << 20, 32),
        case("held_out_even_bf16", "held_out", "bf16", 64 * draw.randint(32, 128), 64 * draw.randint(16, 160)),
        case("held_out_wide_fp16", "held_out", "fp16", draw.randint(500, 2000), draw.randint(17000, 90000)),
        case("held_out_small_fp32", "held_out", "fp32", draw.randint(2, 20), draw.randint(3, 1500), small=True),
    ]


def case(name: str, role: str, dtype: str, R: int, C: int, small: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "role": role,
        "dtype": dtype,
        "inputs": [{"shape": [R, C], "scale": 3.0, "large": 1000.0}],
        "flops": 5 * R * C,  # compare, subtract, exp, add, divide
        "bytes": BYTES[dtype] * 2 * R * C,
        "small": small,
    }
