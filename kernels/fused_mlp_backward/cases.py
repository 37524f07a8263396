"""Shapes of the gradient of the SwiGLU MLP: tokens, width, hidden units. Spreads keep what is made near 1."""

from __future__ import annotations

import random
from typing import Any

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


def cases(seed: int) -> list[dict[str, Any]]:
    """All cases as plain data (kernels/README.md); the held-out ones are drawn from `seed`."""
    draw = random.Random(seed)
    return [
        case("tokens_2048_width_2048_fp16", "real", "fp16", 2048, 2048, 5504),
        case("llama3_8b_bf16", "real", "bf16", 4096, 4096, 14336),
        case("gpt2_sized_fp16", "real", "fp16", 8192, 768, 2048),
        case("nanotrain_bf16", "real", "bf16", 65536, 512, 2048),
        case("nanotrain_cpu_fp32", "real", "fp32", 64, 96, 384, small=True),
        case("primes_bf16", "odd", "bf16", 509, 1021, 2039),
        case("ones_fp32", "odd", "fp32", 1, 1, 1, small=True),
        case("primes_fp32", "odd", "fp32", 37, 67, 131, small=True),
        case("one_row_fp32", "edge", "fp32", 1, 192, 257, small=True),
        case("narrow_fp16", "edge", "fp16", 4096, 64, 16384),
        case("very_long_bf16", "edge", "bf16", 1 << 18, 128, 256),
        case("held_out_even_bf16", "held_out", "bf16", *(64 * draw.randint(8, 48) for _ in range(3))),
        case("held_out_uneven_fp16", "held_out", "fp16", *(draw.randint(200, 2500) for _ in range(3))),
        case("held_out_small_fp32", "held_out", "fp32", *(draw.randint(2, 100) for _ in range(3)), small=True),
    ]


def case(name: str, role: str, dtype: str, N: int, D: int, F: int, small: bool = False) -> dict[str, Any]:
    # no infinities: a gradient too small for the type decides between inf and NaN
    tokens = {"inf": "none", "large": 8.0}
    return {
        "name": name,
        "role": role,
        "dtype": dtype,
        "inputs": [
            {"shape": [N, D], **tokens},
            {"shape": [N, D], **tokens},
            {"shape": [N, F], **tokens},
            {"shape": [N, F], **tokens},
            {"shape": [F, D], "scale": F**-0.5, "varies": False},
            {"shape": [F, D], "scale": F**-0.5, "varies": False},
            {"shape": [D, F], "scale": D**-0.5, "varies": False},
        ],
        "flops": 12 * N * D * F,  # six matrix products alone, as the field counts them
        "bytes": BYTES[dtype] * (3 * N * D + 2 * N * F + 6 * D * F),
        "small": small,
        # eager rounds each step of the gradients of the branches, which this kernel has no need to
        "error_factor": 2.0 if dtype == "fp32" else 1.0,
    }
