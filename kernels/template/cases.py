"""Shapes: those of your model first, then some that no block size divides, edges, and some that nobody knows beforehand."""

from __future__ import annotations

import random
from typing import Any

BYTES = {"fp32": 4, "fp16": 2, "bf16": 2}


def cases(seed: int) -> list[dict[str, Any]]:
    """All cases as plain data (kernels/README.md); the held-out ones are drawn from `seed`."""
    draw = random.Random(seed)
    return [
        case("model_bf16", "real", "bf16", 8192, 4096),
        case("model_fp16", "real", "fp16", 4096, 11008),
        case("small_model_fp32", "real", "fp32", 48, 96, small=True),
        case("primes_bf16", "odd", "bf16", 1021, 4093),
        case("primes_fp32", "odd", "fp32", 7, 31, small=True),
        case("one_entry_fp32", "edge", "fp32", 1, 1, small=True),
        case("held_out_bf16", "held_out", "bf16", draw.randint(500, 8000), draw.randint(500, 8000)),
        case("held_out_small_fp32", "held_out", "fp32", draw.randint(2, 20), draw.randint(3, 300), small=True),
    ]


def case(name: str, role: str, dtype: str, R: int, C: int, small: bool = False) -> dict[str, Any]:
    return {
        "name": name,
        "role": role,
        "dtype": dtype,
        # no infinity: torch's own GELU answers it with NaN or inf, whichever way it is worked out
        "inputs": [{"shape": [R, C], "inf": "none"}, {"shape": [C], "varies": False}],
        "flops": 5 * R * C,  # bias 1; erf, its sum, and two products
        "bytes": BYTES[dtype] * (2 * R * C + C),
        "small": small,
    }
