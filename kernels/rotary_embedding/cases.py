"""Shapes of rotary embedding: batch, heads, tokens, head size. The tables hold any numbers, so none can be recomputed."""

from __future__ import annotations

import random
from typing import Any

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}
FP32, FP16, BF16 = "fp32", "fp16", "bf16"


def cases(seed: int) -> list[dict[str, Any]]:
    """All cases as plain data (kernels/README.md); the held-out ones are drawn from `seed`."""
    draw = random.Random(seed)
    return [
        case("heads_32_tokens_1024_fp16", "real", FP16, 2, 32, 1024, 128),
        case("llama3_8b_queries_bf16", "real", BF16, 1, 32, 8192, 128),
        case("llama3_8b_keys_bf16", "real", BF16, 1, 8, 8192, 128),
        case("gpt_neox_sized_fp16", "real", FP16, 4, 16, 2048, 64),
        case("nanotrain_bf16", "real", BF16, 64, 4, 2048, 128),
        case("nanotrain_cpu_fp32", "real", FP32, 2, 3, 256, 32, small=True),
        case("primes_bf16", "odd", BF16, 3, 5, 1021, 74),
        case("one_token_fp32", "odd", FP32, 1, 1, 1, 2, small=True),
        case("primes_fp32", "odd", FP32, 2, 3, 67, 46, small=True),
        case("one_head_fp32", "edge", FP32, 1, 1, 300, 64, small=True),
        case("very_long_bf16", "edge", BF16, 1, 2, 1 << 18, 64),
        case("wide_heads_fp16", "edge", FP16, 1, 4, 2048, 512),
        case("held_out_even_bf16", "held_out", BF16, draw.randint(1, 8), 8 * draw.randint(1, 6), 64 * draw.randint(4, 32), 128),
        case("held_out_uneven_fp16", "held_out", FP16, 2, draw.randint(3, 9), draw.randint(99, 2000), 2 * draw.randint(20, 90)),
        case("held_out_small_fp32", "held_out", FP32, 1, 2, draw.randint(2, 100), 2 * draw.randint(2, 40), small=True),
    ]


def case(name: str, role: str, dtype: str, B: int, H: int, T: int, D: int, small: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "role": role,
        "dtype": dtype,
        "inputs": [
            {"shape": [B, H, T, D]},
            {"shape": [T, D // 2], "fill": "uniform", "varies": False},
            {"shape": [T, D // 2], "fill": "uniform", "varies": False},
        ],
        "flops": 3 * B * H * T * D,  # of each pair: four products, a difference and a sum
        "bytes": BYTES[dtype] * (2 * B * H * T * D + T * D),
        "small": small,
    }
