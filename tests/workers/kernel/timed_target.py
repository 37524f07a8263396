"""A kernel target that Triton's interpreter times in a second or two: y = (x + 1) · w, row by row."""

from __future__ import annotations

from pathlib import Path

from workers.session import Machine
from workers.trial import KernelPlan, TrialSpec

CASES = """
import random


def cases(seed):
    draw = random.Random(seed)
    return [
        case("real_a_fp32", "real", 3, 16),
        case("real_b_fp32", "real", 2, 24),
        case("odd_fp32", "odd", 1, 7),
        case("held_out_fp32", "held_out", draw.randint(2, 5), draw.randint(9, 20)),
    ]


def case(name, role, R, C):
    return {
        "name": name,
        "role": role,
        "dtype": "fp32",
        "inputs": [{"shape": [R, C]}, {"shape": [C], "varies": False}],
        "flops": FLOPS,
        "bytes": 4 * (2 * R * C + C),
        "small": True,
    }
"""

REFERENCE = """
def reference_fn(x, w):
    return (x + 1) * w
"""

KERNEL = """
import torch
import triton
import triton.language as tl


@triton.jit
def row_kernel(x_ptr, w_ptr, y_ptr, C, BLOCK: tl.constexpr):
    row = tl.program_id(0)
    cols = tl.arange(0, BLOCK)
    inside = cols < C
    x = tl.load(x_ptr + row * C + cols, mask=inside)
    w = tl.load(w_ptr + cols, mask=inside)
    tl.store(y_ptr + row * C + cols, (x + 1.0) * w, mask=inside)


def kernel_fn(x, w):
    R, C = x.shape
    y = torch.empty_like(x)
    row_kernel[(R,)](x, w, y, C, BLOCK=32)
    return y
"""

PLAN = KernelPlan(device="cpu", baselines=("eager",), window_s=0.02)


class Target:
    """A repository with the target on its base commit."""

    def __init__(self, folder: Path, flops: int = 1) -> None:
        import subprocess

        self.path = folder
        folder.mkdir()
        self._git = lambda *words: subprocess.run(
            ["git", "-c", "user.name=t", "-c", "user.email=t@t", *words],
            cwd=folder, check=True, capture_output=True, text=True,
        ).stdout.strip()  # fmt: skip
        self._git("init", "--quiet")
        files = {"cases.py": CASES.replace("FLOPS", str(flops)), "reference.py": REFERENCE, "kernel.py": KERNEL}
        self.base = self.commit(files)

    def commit(self, files: dict[str, str]) -> str:
        for name, content in files.items():
            (self.path / name).write_text(content)
        self._git("add", "-A")
        self._git("commit", "--quiet", "--allow-empty", "-m", "x")
        return self._git("rev-parse", "HEAD")

    def kernel(self, *replacements: tuple[str, str]) -> str:
        """A commit whose kernel.py differs in these texts."""
        source = KERNEL
        for before, after in replacements:
            assert before in source
            source = source.replace(before, after)
        return self.commit({"kernel.py": source})

    def spec(self, machine: Machine, commit: str | None = None, **changes: object) -> TrialSpec:
        commits = [commit or self.base, self.base, *([changes["beside"]] if changes.get("beside") else [])]
        machine.repository.take_from(self.path, dict.fromkeys(commits))  # type: ignore[arg-type]
        given: dict[str, object] = {
            "trial_id": "t1",
            "attempt": 1,
            "commit": commits[0],
            "base_commit": self.base,
            "sealed": ("cases.py", "reference.py"),
            "plan": PLAN,
            "objective": "latency_us",
            "seed": 11,
            "timeout_s": 120.0,
            "confined": True,
        }
        return TrialSpec(**(given | changes))  # type: ignore[arg-type]
