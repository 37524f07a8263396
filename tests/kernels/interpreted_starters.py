"""Run by test_targets.py in a process of its own, as triton reads TRITON_INTERPRET when it is imported.

Every starter on its small cases against the oracle, in fp32: the interpreter's bf16 is wrong. And for 16 bits, where no
kernel can be run without a GPU: the reference in fp32, rounded once, stands for an honest kernel. Then starters with one
mistake each, until one of their answers is refused. One JSON line an answer.
"""

from __future__ import annotations

import dataclasses
import importlib.util
import json
import linecache
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import torch
from broken_starters import MISTAKES, Mistake

from workers.kernel.cases import Case, DType, InputDType, TensorInput, decode
from workers.kernel.inputs import build, torch_dtype
from workers.kernel.oracle import expect, judge


def load(path: Path) -> ModuleType:
    """A file of a subject, by itself: none of its neighbours is on the path."""
    spec = importlib.util.spec_from_file_location(f"{path.parent.name}_{path.stem}", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def answers(folder: Path, seed: int) -> Iterator[dict[str, Any]]:
    kernel, reference = load(folder / "kernel.py"), load(folder / "reference.py")
    for case in decode(load(folder / "cases.py").cases(seed)):
        if not case.small:
            continue
        for adversarial in (False, True):
            for dtype in DType:
                rounded = in_type(case, dtype)
                inputs = build(rounded, seed, "cpu", adversarial=adversarial)
                if dtype is case.dtype:
                    answer = kernel.kernel_fn(*inputs)
                else:
                    wide = (one.float() if torch.is_tensor(one) and one.is_floating_point() else one for one in inputs)
                    answer = to_type(reference.reference_fn(*wide), torch_dtype(dtype))
                verdict = judge(expect(reference.reference_fn, inputs, rounded.error_factor), answer)
                yield {
                    "target": folder.name, "case": case.name, "role": case.role, "adversarial": adversarial,
                    "by": "starter" if dtype is case.dtype else f"{dtype}, rounded once", "reason": verdict.reason,
                }  # fmt: skip


def refusal(folder: Path, mistake: Mistake, seed: int, into: Path) -> str | None:
    """Why the starter with this mistake is refused, by the first case that tells it; None where none does."""
    source = (folder / "kernel.py").read_text()
    assert source.count(mistake.search) == 1, mistake
    broken = into / folder.name / "kernel.py"
    broken.parent.mkdir(exist_ok=True)
    broken.write_text(source.replace(mistake.search, mistake.replace))
    linecache.clearcache()  # triton reads a kernel's source through it
    kernel, reference = load(broken), load(folder / "reference.py")
    for case in decode(load(folder / "cases.py").cases(seed)):
        for adversarial in (False, True) if case.small else ():
            inputs = build(case, seed, "cpu", adversarial=adversarial)
            verdict = judge(expect(reference.reference_fn, inputs, case.error_factor), kernel.kernel_fn(*inputs))
            if verdict.reason is not None:
                return verdict.reason
    return None


def in_type(case: Case, dtype: DType) -> Case:
    inputs = tuple(
        dataclasses.replace(one, dtype=InputDType(dtype)) if isinstance(one, TensorInput) and not one.dtype.is_integer else one
        for one in case.inputs
    )
    return dataclasses.replace(case, dtype=dtype, inputs=inputs)


def to_type(answer: Any, dtype: torch.dtype) -> Any:
    if isinstance(answer, tuple):
        return tuple(to_type(each, dtype) for each in answer)
    return answer.to(dtype).contiguous()


if __name__ == "__main__":
    torch.set_num_threads(1)
    torch.use_deterministic_algorithms(True)  # torch.empty then holds NaN, and not an earlier answer that is right
    kernels, seed = Path(sys.argv[1]), int(sys.argv[2])
    for path in sorted(kernels.glob("*/kernel.py")):
        for answer in answers(path.parent, seed):
            print(json.dumps(answer))
    with tempfile.TemporaryDirectory() as into:
        for mistake in MISTAKES:
            reason = refusal(kernels / mistake.target, mistake, seed, Path(into))
            print(json.dumps({"target": mistake.target, "mistake": mistake.what, "by": "mistake", "reason": reason}))
