"""Shapes of the gradient of RMSNorm: tokens by width."""

from __future__ import annotations

import random
from typing import Any

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


def cases(seed: int) -> list[dict[str, Any]]:
    """All cases as plain data (kernels/README.md); the held-out ones are drawn from `seed`."""
    draw = random.Random(seed)
    return [
        case("square_4096_fp16", "real", "fp16", 4096, 4096),
        case("llama3_8b_bf16", "real", "bf16", 8192, 4096),
        case("llama3_70b_bf16", "real", "bf16", 4096, 8192),
        case("nanotrain_bf16", "real", "bf16", 131072, 512),
        case("nanotrain_cpu_fp32", "real", "fp32", 64, 96, small=True),
        case("primes_bf16", "odd", "bf16", 4093, 1021),
        case("width_two_fp32", "odd", "fp32", 7, 2, small=True),  # of width one all cancels but for eps
        case("primes_fp32", "odd", "fp32", 31, 257, small=True),
        case("one_row_fp32", "edge", "fp32", 1, 1025, small=True),
        case("very_wide_fp16", "edge", "fp16", 256, 32768),
        case("very_tall_bf16", "edge", "bf16", 1 << 20, 64),
        case("held_out_even_bf16", "held_out", "bf16", 64 * draw.randint(16, 256), 64 * draw.randint(8, 128)),
        case("held_out_uneven_fp16", "held_out", "fp16", draw.randint(1000, 8000), draw.randint(300, 8000)),
        case("held_out_small_fp32", "held_out", "fp32", draw.randint(2, 30), draw.randint(3, 700), small=True),
    ]


def case(name: str, role: str, dtype: str, R: int, C: int, small: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "role": role,
        "dtype": dtype,
        "inputs": [
            # gradients of rows of zeros are 1/sqrt(eps) times as large; infinite ones depend on the order of evaluation
            {"shape": [R, C], "inf": "none", "large": 8.0},
            {"shape": [R, C], "large": 1000.0},
            {"shape": [C], "varies": False},
            {"value": 1e-5},
        ],
        # square and add 2, xhat 1, g 1; g·xhat and add 2, times xhat 1, subtract 1, times rstd 1; dy·xhat and add 2
        "flops": 11 * R * C,
        "bytes": BYTES[dtype] * (3 * R * C + 2 * C),
        "small": small,
    }
