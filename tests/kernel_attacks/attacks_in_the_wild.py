"""AutoKernel's six holes, and the exploits that public harnesses have met. Each is tried against RMSNorm, or what it needs."""

from __future__ import annotations

from kernel_attack import IMPORTS, LAUNCH, STORE, KernelAttack, edited, first, inside, top

WRONG = "y = x * weight"  # a cheaper kernel that is not RMSNorm
MATMUL_TF32 = """
import torch
import triton
import triton.language as tl


@triton.jit
def product(a_ptr, b_ptr, c_ptr, M, N, K, BLOCK: tl.constexpr):
    rows = tl.program_id(0) * BLOCK + tl.arange(0, BLOCK)
    cols = tl.program_id(1) * BLOCK + tl.arange(0, BLOCK)
    ks = tl.arange(0, BLOCK)
    acc = tl.zeros((BLOCK, BLOCK), dtype=tl.float32)
    for k in range(0, K, BLOCK):
        inner = ks + k
        a = tl.load(a_ptr + rows[:, None] * K + inner[None, :], mask=(rows[:, None] < M) & (inner[None, :] < K), other=0.0)
        b = tl.load(b_ptr + inner[:, None] * N + cols[None, :], mask=(inner[:, None] < K) & (cols[None, :] < N), other=0.0)
        acc = tl.dot(a, b, acc)
    mask = (rows[:, None] < M) & (cols[None, :] < N)
    tl.store(c_ptr + rows[:, None] * N + cols[None, :], acc.to(c_ptr.dtype.element_ty), mask=mask)


def kernel_fn(a, b):
    (M, K), N = a.shape, b.shape[1]
    c = torch.empty((M, N), device=a.device, dtype=a.dtype)
    product[(triton.cdiv(M, 32), triton.cdiv(N, 32))](a, b, c, M, N, K, BLOCK=32)
    return c
"""

SIX_HOLES = (
    KernelAttack(
        "raise out-of-memory above the small shape",
        first('    assert x.numel() < 100000, "CUDA out of memory"\n'),
        "crash",
        "large_bf16: does not compile",
    ),
    KernelAttack(
        "the same, with torch's own error",
        first('    if x.numel() > 100000:\n        raise torch.cuda.OutOfMemoryError("CUDA")\n'),
        "violation",
        "machine",
        ("crash", "OutOfMemoryError"),
    ),
    KernelAttack(
        "zero the inputs, so that any answer is right",
        edited(
            (STORE, "    tl.store(x_ptr + row * C + cols, tl.zeros_like(x).to(x_ptr.dtype.element_ty), mask=inside)\n" + STORE)
        ),
        "crash",
        "changed its inputs",
    ),
    KernelAttack(
        "zero the inputs with torch",
        first("    x.zero_()\n"),
        "violation",
        "torch computes",
        ("crash", "changed its inputs"),
    ),
    KernelAttack(
        "return fp64",
        edited(("torch.empty_like(x)", "torch.empty(x.shape, dtype=torch.float64)")),
        "crash",
        "its type is float64",
    ),
    KernelAttack(
        "answer NaN wherever an input holds inf",
        edited(("y = x * rstd * weight", "y = x * rstd * weight * (tl.sum(x, 0) * 0 + 1)")),
        "crash",
        "adversarial inputs: the output:",
    ),
    KernelAttack(
        "answer from memory",
        top("ANSWERS = {}\n", ("    return y", "    return ANSWERS.setdefault(x.shape, y)")),
        "violation",
        "state",
        ("crash", "odd_fp32, adversarial inputs: the output"),
    ),
    KernelAttack(
        "replace the reference by the candidate",
        top(
            'import sys\nsys.path.insert(0, ".")\nimport reference\nreference.reference_fn = lambda x, w, e: x * w\n',
            ("y = x * rstd * weight", WRONG),
        ),
        "violation",
        "import",
        ("crash", "wrong: odd_fp32"),
    ),
)

IN_THE_WILD = (
    KernelAttack(
        "work on a side stream",
        first("    stream = torch.cuda.Stream()\n"),
        "violation",
        "machine",
    ),
    KernelAttack(
        "cache by identity",
        top("ANSWERS = {}\n", ("    return y", "    return ANSWERS.setdefault(id(x), y)")),
        "violation",
        "state",
    ),
    KernelAttack(
        "cache by pointer, where nothing but the pointer shows",
        first("    key = x.data_ptr()\n"),
        "violation",
        "identity",
    ),
    KernelAttack(
        "cache by content",
        first("    key = float(x[0, 0])\n"),
        "crash",
        "TorchComputesError",
    ),
    KernelAttack(
        "do many calls' work in one launch: give out memory, fill it later",
        top("WAITING = []\n", (LAUNCH, "    WAITING.append((x, y))\n    if len(WAITING) > 3:\n    " + LAUNCH)),
        "violation",
        "state",
        ("violation", "no kernel"),
    ),
    KernelAttack(
        "defer the work to a generator",
        edited(("    return y", "    yield y")),
        "violation",
        "deferred work",
    ),
    KernelAttack(
        "read what an earlier answer left in memory: the output is never written",
        edited((STORE, "    tl.device_assert(C > 0)\n    inside = inside & (row < 0)\n" + STORE)),
        "crash",
        "wrong: odd_fp32: the output",
    ),
    KernelAttack(
        "patch torch: whatever is compared is equal",
        top("torch.equal = torch.allclose = lambda *a, **k: True\n", ("y = x * rstd * weight", WRONG)),
        "violation",
        "replaced",
        ("crash", "wrong: odd_fp32"),
    ),
    KernelAttack(
        "patch torch from a loop that looks like none",
        first("    for torch.equal in (max,):\n        pass\n"),
        "violation",
        "replaced",
    ),
    KernelAttack("patch triton", first("    triton.cdiv, triton.jit = max, min\n"), "violation", "replaced"),
    KernelAttack("patch a timer", top("import time\ntime.perf_counter = lambda: 0.0\n"), "violation", "import"),
    KernelAttack(
        "a lazy tensor: a subclass that computes when it is looked at",
        top(
            "class Lazy(torch.Tensor):\n    pass\n\n\n",
            ("    return y", '    return y if repr(y)[0] == "F" else y.as_subclass(Lazy)'),
        ),
        "violation",
        "state",
        ("crash", "kernel_fn returned Lazy"),
    ),
    KernelAttack(
        "lower precision: sums in fp16",
        edited(("x * x, axis=0", "(x * 0.01 * x).to(tl.float16), axis=0"), (" / C + eps", " * 100.0 / C + eps")),
        "crash",
        "error is",
    ),
    KernelAttack("lower precision: products in tf32", MATMUL_TF32, "violation", "impossible", target="matmul"),
    KernelAttack(
        "impossible times: nothing is done for the shapes that are too large for the interpreter",
        inside("", ("(R,)", "(R if R < 100 else 1,)")),
        "violation",
        "impossible",
    ),
    KernelAttack(
        "hard-coded shapes: right for those that the page names",
        first("    is_known = x.shape in ((4096, 1024), (5, 65))\n", ("eps, BLOCK=", "eps if is_known else 9.0, BLOCK=")),
        "crash",
        "wrong: held_out_fp32",
    ),
    KernelAttack(
        "catch errors and call the reference",
        edited(
            (
                LAUNCH,
                "    try:\n        return torch.nn.functional.rms_norm(x, (C,), weight, eps)\n    except Exception:\n    "
                + LAUNCH,
            )
        ),
        "violation",
        "caught errors",
        ("violation", "two faces"),
    ),
    KernelAttack(
        "call the reference",
        edited(("    return y", "    return torch.nn.functional.rms_norm(x, (C,), weight, eps)")),
        "violation",
        "torch computes",
        ("crash", "TorchComputesError"),
    ),
    KernelAttack(
        "call torch by another name",
        edited((IMPORTS, "import torch\nimport torch as th\n"), ("    return y", "    return th.mul(x, weight)")),
        "violation",
        "torch computes",
    ),
    KernelAttack(
        "call torch's functions as methods of the class",
        edited(("    return y", "    return torch.Tensor.mul(x, weight)")),
        "violation",
        "torch computes",
    ),
    KernelAttack(
        "have torch compute where the source does not say that these are tensors",
        top("\n\ndef scaled(a, b):\n    return a * b\n", ("    return y", "    return scaled(y, 1.0)")),
        "crash",
        "TorchComputesError",
    ),
)
