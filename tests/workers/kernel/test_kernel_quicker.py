"""What is taken out of Triton's interpreter and compiler changes neither answers nor instructions. Each in a process of its
own, as Triton reads when it is imported whether it is to interpret."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

from workers.kernel.inside.linking import taken_in

ROOT = Path(__file__).parents[3]

KERNEL = """
import torch, triton, triton.language as tl
from triton.language.extra import libdevice

@triton.jit
def half(x):
    return x / 2 + tl.max(x, 1)[:, None]

@triton.jit
def kernel(x_ptr, y_ptr, n, SIZE: tl.constexpr):
    at = tl.program_id(0) * SIZE * SIZE + tl.arange(0, SIZE)[:, None] * SIZE + tl.arange(0, SIZE)[None, :]
    x = tl.load(x_ptr + at, mask=at < n, other=0.0)
    for turn in range(3):
        x = tl.dot(half(x), tl.trans(x)) + tl.softmax(x) + tl.cumsum(x, 1) * turn
    tl.store(y_ptr + at, tl.sort(x), mask=at < n)

@triton.jit
def sines(x_ptr, y_ptr, SIZE: tl.constexpr):
    at = tl.arange(0, SIZE)
    x = tl.load(x_ptr + at)
    tl.store(y_ptr + at, libdevice.sin(x) + libdevice.pow(x, 1.5) + tl.erf(x))

@triton.jit
def roots(x_ptr, y_ptr, SIZE: tl.constexpr):
    at = tl.arange(0, SIZE)
    x = tl.load(x_ptr + at)
    tl.store(y_ptr + at, tl.rsqrt(x) + libdevice.pow(x, 2.5))
"""

INTERPRETED = """
import json, sys
import numpy as np, torch, triton.language as tl
from triton.runtime import interpreter
from workers.kernel.inside import quicker
from workers.kernel.inside.line import load_source

if sys.argv[1] == "quick":
    quicker.install()
before = {name: id(value) for name, value in vars(tl.core).items()}, tl.core.tensor.__dict__.get("T"), tl.sum
module = load_source(KERNEL)
x = torch.randn(500, generator=torch.Generator().manual_seed(5))
answers = []
for _ in range(2):
    y = torch.zeros(500)
    module.kernel[(2,)](x, y, 500, SIZE=16)
    answers.append(y.view(torch.int32).tolist())
after = {name: id(value) for name, value in vars(tl.core).items()}, tl.core.tensor.__dict__.get("T"), tl.sum
failed = ""
try:
    module.kernel[(2,)](x, y, 500, SIZE=15)
except interpreter.InterpreterError as error:
    failed = "InterpreterError"
module.kernel[(2,)](x, y, 500, SIZE=16)
answers.append(y.view(torch.int32).tolist())
print(json.dumps({"answers": answers, "is_as_before": before == after, "failed": failed}))
"""

COMPILED = """
import json, sys, tempfile
from pathlib import Path
import triton
from triton._C.libtriton import llvm
from triton.backends.compiler import GPUTarget
from triton.compiler import ASTSource
from workers.kernel.inside.line import load_source
from workers.kernel.inside import linking
from workers.kernel.inside.linking import Linker

folder = tempfile.mkdtemp()
triton.knobs.cache.dir = folder
linked = []
if sys.argv[1] == "spoilt":
    linking.taken_in = lambda text: "nothing that LLVM can read"
if sys.argv[1] != "plain":
    linker = Linker(llvm, Path(folder))
    full = linker._link
    linker._link = lambda module, paths: (linked.append(Path(paths[0]).name), full(module, paths))
    linker.install(llvm)
module = load_source(KERNEL)
texts = []
for function, size in ((module.sines, 64), (module.sines, 256), (module.roots, 64), (module.sines, 512), (module.roots, 256)):
    source = ASTSource(function, {"x_ptr": "*fp32", "y_ptr": "*fp32", "SIZE": "constexpr"}, {"SIZE": size})
    texts.append(triton.compile(source, target=GPUTarget("cuda", 90, 32)).asm["ptx"])
print(json.dumps({"texts": [text.replace(folder, "") for text in texts], "linked": linked}))
"""


def test_the_interpreter_answers_the_same_to_the_last_bit_and_leaves_the_language_as_it_was() -> None:
    quick, plain = (_said(INTERPRETED, how, TRITON_INTERPRET="1") for how in ("quick", "plain"))

    assert quick["answers"] == plain["answers"]
    assert quick["failed"] == plain["failed"] == "InterpreterError"
    assert quick["is_as_before"]


def test_what_is_linked_from_text_makes_the_same_ptx() -> None:
    quick, spoilt, plain = (_said(COMPILED, how, TRITON_DISABLE_LINE_INFO="1") for how in ("quick", "spoilt", "plain"))

    assert quick["texts"] == plain["texts"]
    assert quick["linked"] == ["libdevice.10.bc", "linked-0.ll", "libdevice.10.bc", "linked-0.ll", "linked-1.ll"]
    assert spoilt["texts"] == plain["texts"], "what cannot be read back costs time and nothing else"


def test_the_half_that_interprets_does_not_import_torchs_compiler() -> None:
    program = (
        "import sys, torch; torch.set_deterministic_debug_mode('error'); "
        "print(bool(torch.empty(64).isnan().all()) and 'torch._dynamo' not in sys.modules)"
    )

    assert subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout.strip() == "True"


def test_a_library_is_what_a_link_took_in_without_the_kernel() -> None:
    module = (
        '@.str = private constant [2 x i8] c"a\\00"\n'
        "define ptx_kernel void @kernel(ptr %0) !dbg !4 {\n  ret void\n}\n"
        "define internal float @__nv_sinf(float %x) #0 {\n  ret float %x\n}\n"
        "declare float @llvm.fma.f32(float, float, float)\n"
        "attributes #0 = { alwaysinline }\n"
        "!llvm.module.flags = !{!0}\n"
        '!0 = !{i32 2, !"Debug Info Version", i32 3}\n'
    )

    kept = taken_in(module)

    assert "kernel" not in kept
    assert "define float @__nv_sinf" in kept
    assert "!llvm.module.flags" not in kept
    assert all(line in kept for line in ("@.str", "llvm.fma", "attributes #0", "!0 = "))


def _said(program: str, how: str, **environment: str) -> dict[str, Any]:
    argv = [sys.executable, "-c", f"KERNEL = {KERNEL!r}\n{program}", how]
    done = subprocess.run(argv, cwd=ROOT, env={**os.environ, **environment}, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-2000:]
    said: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return said
