"""Three starters compiled ahead of time for an H100, on a machine without one: what a GPU would be given exists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from interpreted_starters import load

KERNELS = Path(__file__).parents[2] / "kernels"
SM_90 = ("cuda", 90, 32)
LEAST_SHARED_BYTES = 99 * 1024  # of a program on any GPU since the A100: an L40S or a GeForce allows no more


def compiled(target: str, kernel: str, types: dict[str, str], constants: dict[str, int], **options: int) -> Any:
    """What triton makes of a kernel; every argument divisible by 16, as real shapes are."""
    import triton
    from triton.backends.compiler import GPUTarget
    from triton.compiler import ASTSource

    function = getattr(load(KERNELS / target / "kernel.py"), kernel)
    signature = {name: types.get(name, "constexpr") for name in function.arg_names}
    divisible = {(nth,): [["tt.divisibility", 16]] for nth, name in enumerate(function.arg_names) if types.get(name) in ALIGNED}
    source = ASTSource(function, signature, constants, divisible)
    return triton.compile(source, target=GPUTarget(*SM_90), options=options)


ALIGNED = ("*fp16", "*bf16", "*fp32", "i32")


@pytest.fixture(autouse=True)
def fresh_cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing comes from an earlier run, and nothing is left in the home directory."""
    monkeypatch.setenv("TRITON_CACHE_DIR", str(tmp_path))


@pytest.mark.parametrize("dtype", ["*fp16", "*bf16"])
def test_matmul_uses_tensor_cores_and_fits_the_shared_memory_of_every_gpu(dtype: str) -> None:
    types = {"a_ptr": dtype, "b_ptr": dtype, "c_ptr": dtype, "M": "i32", "N": "i32", "K": "i32"}
    types |= {"stride_am": "i32", "stride_bk": "i32"}
    constants = {"stride_ak": 1, "stride_bn": 1, "BLOCK_M": 128, "BLOCK_N": 256, "BLOCK_K": 32, "GROUP_M": 8}
    kernel = compiled("matmul", "matmul_kernel", types, constants, num_warps=8, num_stages=4)
    assert "wgmma.mma_async" in kernel.asm["ptx"]
    assert "cp.async" in kernel.asm["ptx"]
    assert 0 < kernel.metadata.shared <= LEAST_SHARED_BYTES
    assert kernel.asm["cubin"]


@pytest.mark.parametrize("dtype", ["*fp16", "*bf16", "*fp32"])
@pytest.mark.parametrize(
    ("target", "kernel", "pointers"),
    [
        ("rmsnorm", "rmsnorm_kernel", ["x_ptr", "weight_ptr", "y_ptr"]),
        ("softmax", "softmax_kernel", ["x_ptr", "y_ptr"]),
    ],
)
def test_row_kernels_load_sixteen_bytes_at_a_time(target: str, kernel: str, pointers: list[str], dtype: str) -> None:
    types = dict.fromkeys(pointers, dtype) | {"C": "i32"} | ({"eps": "fp32"} if target == "rmsnorm" else {})
    made = compiled(target, kernel, types, {"BLOCK": 4096}, num_warps=8)
    assert ".v4." in made.asm["ptx"]
    assert made.asm["cubin"]
