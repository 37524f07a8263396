"""Shapes of causal attention: batch, heads, key heads, tokens, head size."""

from __future__ import annotations

import random
from typing import Any

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}
FP32, FP16, BF16 = "fp32", "fp16", "bf16"


def cases(seed: int) -> list[dict[str, Any]]:
    """All cases as plain data (kernels/README.md); the held-out ones are drawn from `seed`."""
    draw = random.Random(seed)
    key_heads = draw.choice([1, 2, 4])
    return [
        case("heads_32_tokens_1024_fp16", "real", FP16, 2, 32, 32, 1024, 64),
        case("gpt2_fp16", "real", FP16, 8, 12, 12, 1024, 64),
        case("llama3_8b_bf16", "real", BF16, 1, 32, 8, 2048, 128),
        case("nanotrain_bf16", "real", BF16, 16, 4, 4, 2048, 128),
        case("nanotrain_cpu_fp32", "real", FP32, 1, 3, 3, 256, 32, small=True),
        case("primes_bf16", "odd", BF16, 3, 5, 5, 1021, 80),
        case("one_token_fp32", "odd", FP32, 2, 2, 1, 1, 16, small=True),
        case("primes_fp32", "odd", FP32, 2, 4, 2, 67, 23, small=True),
        case("one_head_fp32", "edge", FP32, 1, 1, 1, 130, 64, small=True),
        case("very_long_bf16", "edge", BF16, 1, 2, 1, 8192, 64),
        case("wide_heads_fp16", "edge", FP16, 1, 8, 8, 512, 256),
        case("held_out_shared_bf16", "held_out", BF16, 2, 4 * key_heads, key_heads, 64 * draw.randint(8, 40), 128),
        case("held_out_uneven_fp16", "held_out", FP16, draw.randint(1, 4), 8, 8, draw.randint(300, 1500), 64),
        case("held_out_small_fp32", "held_out", FP32, 1, 2, 2, draw.randint(2, 100), draw.randint(3, 40), small=True),
    ]


def case(
    name: str, role: str, dtype: str, B: int, H: int, H_KV: int, T: int, D: int, small: bool = False
) -> dict[str, Any]:  # fmt: skip
    pairs = B * H * T * (T + 1) // 2  # of a query and a key that it sees
    return {
        "name": name,
        "role": role,
        "dtype": dtype,
        "inputs": [
            {"shape": [B, H, T, D], "large": 8.0},
            {"shape": [B, H_KV, T, D], "large": 8.0},
            # 0 · inf is NaN where a program multiplies by the weight of a hidden key, and nothing where it skips it
            {"shape": [B, H_KV, T, D], "inf": "none"},
        ],
        "flops": 4 * D * pairs,  # q·k and p·v, multiply and add; matrix products alone, as the field counts them
        "bytes": BYTES[dtype] * (2 * B * H * T * D + 2 * B * H_KV * T * D),
        "small": small,
        # eager rounds scores and weights to the input's type, which this kernel has no need to
        "error_factor": 2.0 if dtype == "fp32" else 1.0,
    }
