"""Shapes of the gradient of cross-entropy: tokens by vocabulary."""

from __future__ import annotations

import random
from typing import Any

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2, "int64": 8}


def cases(seed: int) -> list[dict[str, Any]]:
    """All cases as plain data (kernels/README.md); the held-out ones are drawn from `seed`."""
    draw = random.Random(seed)
    return [
        case("llama2_fp16", "real", "fp16", 4096, 32000),
        case("llama3_bf16", "real", "bf16", 2048, 128256),
        case("gpt2_fp16", "real", "fp16", 4096, 50257),
        case("nanotrain_fp32", "real", "fp32", 16384, 8192),
        case("nanotrain_cpu_fp32", "real", "fp32", 64, 2048, small=True),
        case("primes_bf16", "odd", "bf16", 4093, 10007),
        case("one_class_fp32", "odd", "fp32", 5, 1, small=True),
        case("primes_fp32", "odd", "fp32", 31, 257, small=True),
        case("one_row_fp32", "edge", "fp32", 1, 20011, small=True),
        case("long_rows_fp32", "edge", "fp32", 5, 17011, small=True),
        case("very_wide_bf16", "edge", "bf16", 64, 1 << 20),
        case("very_tall_fp16", "edge", "fp16", 1 << 20, 64),
        case("held_out_even_bf16", "held_out", "bf16", 64 * draw.randint(16, 32), 64 * draw.randint(250, 1500)),
        case("held_out_uneven_fp16", "held_out", "fp16", draw.randint(1000, 3000), draw.randint(5000, 60000)),
        case("held_out_small_fp32", "held_out", "fp32", draw.randint(2, 30), draw.randint(3, 1500), small=True),
    ]


def case(name: str, role: str, dtype: str, N: int, V: int, small: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "role": role,
        "dtype": dtype,
        "inputs": [
            {"shape": [N], "inf": "none"},  # 0 · inf where a probability is too small for the type
            # -inf is what a hidden logit holds; a row with +inf has no gradient
            {"shape": [N, V], "scale": 2.0, "inf": "negative", "large": 1000.0},
            {"shape": [N], "fill": "index", "below": V},
        ],
        "flops": 6 * N * V,  # compare, subtract, exp, add; divide; times dloss
        "bytes": BYTES[dtype] * (2 * N * V + N) + BYTES["int64"] * N,
        "small": small,
    }
