"""One kernel target measured as it lies in its folder, committed or not: `regatta bench`. No campaign, no Ray.

The folder is taken into a throwaway repository and measured by the same path as a trial. Writes nothing but what a new target
consists of (`new_target`).
"""

from __future__ import annotations

import shutil
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from orchestrator.repository import CampaignRepository
from orchestrator.target import FILES_BY_RUNNER, Target, shipped_subjects
from orchestrator.views.cases import STAND_IN_NOTE, case_table
from orchestrator.views.words import number
from workers import sandbox
from workers.kernel.arch import DEFAULT
from workers.run import run_trial, this_machine
from workers.telemetry import all_gpus
from workers.trial import KernelPlan, Measurement, Outcome, TrialSpec

TEMPLATE = "kernels/template"
_SHOWN = (
    "latency_us", "speedup_vs_best", "floor_fraction", "energy_mj", "energy_gross_mj", "edp_uj_s", "static_cost", "registers",
    "spill_bytes", "shared_bytes", "instructions", "peak_vram_mb",
)  # fmt: skip


class BenchError(Exception):
    """The target cannot be measured: what was given, what is needed, what to type."""


@dataclass(frozen=True, slots=True)
class Bench:
    """What one measurement of a target gave."""

    target: str
    arch: str
    on_gpu: bool
    confined: bool
    found: Measurement

    @property
    def succeeded(self) -> bool:
        return self.found.outcome is Outcome.OK

    def as_json(self) -> dict[str, Any]:
        """Keys may be added; what is not known is null."""
        metrics = {name: self.found.measured.get(name) for name in _SHOWN}
        return {
            "target": self.target,
            "arch": self.arch,
            "device": self.found.device,
            "sandbox": "bubblewrap" if self.confined else "none",
            "outcome": self.found.outcome.value,
            "reason": self.found.reason,
            "metrics": metrics,
            "cases": [_plain(asdict(row)) for row in self.found.cases],
        }

    def text(self) -> str:
        """For a person."""
        where = self.found.device if self.on_gpu else f"no GPU: compiled for {self.arch}, checked by Triton's interpreter"
        lines = [f"{self.target} on {where}", ""]
        lines += [f"  {line}" for line in case_table(self.found.cases)]
        known = [(name, self.found.measured[name]) for name in _SHOWN if name in self.found.measured]
        lines += ["", *(f"  {name:16} {number(value)}" for name, value in known)]
        if not self.on_gpu:
            lines += ["", f"  {STAND_IN_NOTE}", "  latency and energy: not known, there is no GPU"]
        if not self.succeeded:
            lines += ["", f"{self.found.outcome.value}: {self.found.reason}"]
        return "\n".join(lines)


def _plain(row: dict[str, Any]) -> dict[str, Any]:
    """As JSON has it."""
    return {name: list(value) if isinstance(value, tuple) else value for name, value in row.items()}


def bench(given: str, working_dir: Path, *, arch: str | None, seed: int) -> Bench:
    """Measure a target once. Raises `BenchError`."""
    path = _folder(given, working_dir)
    gpus = all_gpus().split(",")[0]
    confined = sandbox.lacks() is None
    if not confined:
        raise BenchError(f"{sandbox.lacks()}; a kernel is code that others may have written")
    with tempfile.TemporaryDirectory(prefix="regatta-bench-") as folder:
        repository, base = CampaignRepository.create(Path(folder) / "repo", Target(given, None, "", path, None))
        sealed = tuple(name for name in repository.files(base) if name != "kernel.py")
        repository.close()
        machine = this_machine(Path(folder) / "node", gpus)
        try:
            machine.repository.take_from(Path(folder) / "repo", [base])
            spec = TrialSpec(
                trial_id="bench",
                attempt=1,
                commit=base,
                base_commit=base,
                sealed=sealed,
                plan=KernelPlan(arch),
                objective="latency_us" if gpus else "static_cost",
                seed=seed,
                timeout_s=900.0,
                gpus=1.0 if gpus else 0.0,
                promotion=True,
                confined=confined,
            )
            found = run_trial(spec, machine)
        finally:
            machine.repository.close()
    return Bench(given, arch or DEFAULT, bool(gpus), confined, found)


def _folder(given: str, working_dir: Path) -> Path:
    path = working_dir / Path(given).expanduser()
    if not path.is_dir():
        shipped = shipped_subjects()
        if given.rstrip("/") not in shipped:
            known = ", ".join(name for name in shipped if name.startswith("kernels/"))
            raise BenchError(
                f"{given}: there is no such folder; allowed: a folder with a kernel target, or one that ships with Regatta "
                f"({known}); `regatta bench --new {given}` writes one to start from"
            )
        path = shipped[given.rstrip("/")]
    missing = [name for name in FILES_BY_RUNNER["kernel"] if not (path / name).is_file()]
    if missing:
        raise BenchError(
            f"{given}: a kernel target needs {' and '.join(missing)}; `regatta bench --new NAME` writes one to start from"
        )
    return path


def new_target(name: str, working_dir: Path) -> Path:
    """A folder with a target that works as it is: a bias and a GELU, to be replaced. Raises `BenchError`."""
    folder = working_dir / Path(name).expanduser()
    if folder.exists():
        raise BenchError(f"--new {name}: is there already; give another name")
    source = shipped_subjects()[TEMPLATE]
    folder.mkdir(parents=True)
    for path in source.iterdir():
        if path.suffix in (".py", ".md"):
            shutil.copy(path, folder / path.name)
    return folder
