"""Shapes of LayerNorm: tokens by width."""

from __future__ import annotations

import random
from typing import Any

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


def cases(seed: int) -> list[dict[str, Any]]:
    """All cases as plain data (kernels/README.md); the held-out ones are drawn from `seed`."""
    draw = random.Random(seed)
    return [
        case("tokens_4096_width_2048_fp16", "real", "fp16", 4096, 2048),
        case("gpt2_small_fp16", "real", "fp16", 8192, 768),
        case("gpt2_xl_bf16", "real", "bf16", 8192, 1600),
        case("gpt3_175b_bf16", "real", "bf16", 4096, 12288),
        case("nanotrain_fp32", "real", "fp32", 16384, 512),
        case("nanotrain_cpu_fp32", "real", "fp32", 64, 96, small=True),
        case("primes_bf16", "odd", "bf16", 4093, 1021),
        case("width_one_fp32", "odd", "fp32", 7, 1, small=True),
        case("primes_fp32", "odd", "fp32", 31, 257, small=True),
        case("one_row_fp32", "edge", "fp32", 1, 4097, small=True),
        case("very_wide_fp16", "edge", "fp16", 256, 65536),
        case("very_tall_bf16", "edge", "bf16", 1 << 20, 64),
        case("held_out_even_bf16", "held_out", "bf16", 64 * draw.randint(16, 256), 64 * draw.randint(8, 160)),
        case("held_out_uneven_fp16", "held_out", "fp16", draw.randint(1000, 8000), draw.randint(300, 9000)),
        case("held_out_small_fp32", "held_out", "fp32", draw.randint(2, 30), draw.randint(3, 700), small=True),
    ]


def case(name: str, role: str, dtype: str, R: int, C: int, small: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "role": role,
        "dtype": dtype,
        "inputs": [
            {"shape": [R, C], "large": 1000.0},
            {"shape": [C], "varies": False},
            {"shape": [C], "varies": False},
            {"value": 1e-5},
        ],
        # mean 1, centre 1, square and add 2, times rstd 1, weight 1, bias 1
        "flops": 7 * R * C,
        "bytes": BYTES[dtype] * (2 * R * C + 2 * C),
        "small": small,
    }
