"""Shapes of C = A·B. A holds activations, B weights of a spread that keeps C near 1."""

from __future__ import annotations

import random
from typing import Any

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


def cases(seed: int) -> list[dict[str, Any]]:
    """All cases as plain data (kernels/README.md); the held-out ones are drawn from `seed`."""
    draw = random.Random(seed)
    return [
        case("square_2048_fp16", "real", "fp16", 2048, 2048, 2048),
        case("square_4096_bf16", "real", "bf16", 4096, 4096, 4096),
        case("llama3_8b_up_bf16", "real", "bf16", 4096, 14336, 4096),
        case("llama3_8b_down_one_token_bf16", "real", "bf16", 1, 4096, 14336),
        case("gpt2_qkv_fp16", "real", "fp16", 8192, 2304, 768),
        case("nanotrain_up_bf16", "real", "bf16", 131072, 2048, 512),
        case("nanotrain_cpu_up_fp32", "real", "fp32", 128, 384, 96, small=True),
        case("primes_bf16", "odd", "bf16", 1021, 1013, 2039),
        case("ones_fp32", "odd", "fp32", 1, 1, 1, small=True),
        case("primes_fp32", "odd", "fp32", 67, 101, 131, small=True),
        case("one_row_fp32", "edge", "fp32", 1, 257, 192, small=True),
        case("deep_fp16", "edge", "fp16", 128, 128, 65536),
        case("shallow_bf16", "edge", "bf16", 8192, 8192, 16),
        case("held_out_large_bf16", "held_out", "bf16", *(64 * draw.randint(16, 96) for _ in range(3))),
        case("held_out_uneven_fp16", "held_out", "fp16", *(draw.randint(500, 3000) for _ in range(3))),
        case("held_out_small_fp32", "held_out", "fp32", *(draw.randint(3, 120) for _ in range(3)), small=True),
    ]


def case(name: str, role: str, dtype: str, M: int, N: int, K: int, small: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "role": role,
        "dtype": dtype,
        "inputs": [
            {"shape": [M, K]},
            {"shape": [K, N], "scale": K**-0.5, "varies": False},
        ],
        "flops": 2 * M * N * K,
        "bytes": BYTES[dtype] * (M * K + K * N + M * N),
        "small": small,
    }
