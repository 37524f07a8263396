"""`regatta verify`: champions back in the model, in the sandbox that trials have. Writes nothing that stays.

Two processes, one after the other. The first calls the model with the champions in it and leaves its outputs; the second runs
nothing of any champion's, calls the model as it is and in fp64, and says how far those outputs are off.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from orchestrator.model.champions import champions_of
from orchestrator.model.errors import ModelUseError
from orchestrator.model.profile import model_file
from orchestrator.model.verification import Report, Verification, report_of, verification
from workers import sandbox
from workers.guardian.limits import Limits
from workers.output import CappedLog
from workers.process import Command, ContainedProcess, Exit
from workers.run import this_machine
from workers.session import Machine
from workers.telemetry import all_gpus
from workers.waiting import DeadlinePassedError

SEED = 0
TIMEOUT_S = 1800.0  # of each of the two processes
_ROOT = Path(__file__).parents[2]
_PROGRAM = "import sys; sys.path.insert(0, sys.argv[1]); from workers.model import {0}; {0}.main(*sys.argv[2:])"
_SEEN = tuple(_ROOT / "workers" / name for name in ("model", "kernel"))  # of Regatta
_MOST_BYTES = 16 << 20  # of what a process writes for us to read


def verify(run: Path, given: str, working_dir: Path, *, device: str | None) -> Verification:
    """Raises `ModelUseError`, and `RunDirectoryError` where there is no run."""
    model = _lendable(model_file(given, working_dir))
    champions = champions_of(run)
    lacks = sandbox.lacks()
    if lacks is not None:
        raise ModelUseError(f"{lacks}; a champion is code that others may have written")
    gpus = all_gpus().split(",")[0]
    if device == "cuda" and not gpus:
        raise ModelUseError("--device cuda: there is no GPU here; without --device the answers are checked on the CPU")
    on_gpu = bool(gpus) and device != "cpu"
    with tempfile.TemporaryDirectory(prefix="regatta-verify-") as folder:
        machine = this_machine(Path(folder) / "node", gpus if on_gpu else "")
        try:
            both = _Both(model, "cuda" if on_gpu else "cpu", machine, Path(folder))
            report, verdict = both.run(champions.sources)
        finally:
            machine.repository.close()
    name = machine.device if on_gpu else None
    return verification(report, verdict, list(champions.sources), champions.left_out, both.device, name)


def _lendable(model: Path) -> Path:
    """The model's folder is shown to code of others, so it must not be one with everything in it."""
    full = (Path.home(), Path(tempfile.gettempdir()), Path("/tmp"))
    if any(each.resolve().is_relative_to(model.parent) for each in full):
        raise ModelUseError(
            f"{model}: lies in {model.parent}, all of which champions could read, as its folder is lent to them; "
            "put it into a folder of its own, with what it imports"
        )
    return model


@dataclass(frozen=True, slots=True)
class _Both:
    """The two processes on one model."""

    model: Path
    device: str
    machine: Machine
    folder: Path

    def run(self, sources: Mapping[str, str]) -> tuple[Report, dict[str, Any]]:
        first, second = self.folder / "replacing", self.folder / "judging"
        (first / "work").mkdir(parents=True)
        for target, source in sources.items():
            (first / "work" / f"{target}.py").write_text(source, encoding="utf-8", errors="surrogateescape")
        report = report_of(self._said("replacing", first, "report.json", ",".join(sources)), tuple(sources))
        if report is None:
            raise ModelUseError(f"{self.model}: the process with the champions in it wrote a report of another form")
        (second / "work").mkdir(parents=True)
        ended = []
        for nth, _ in enumerate(report.variants):
            outputs = first / "work" / f"outputs-{nth}.pt"
            if outputs.is_file() and not outputs.is_symlink():
                shutil.move(outputs, second / "work" / outputs.name)
                ended.append(str(nth))
        (second / "work" / "mark.json").write_text(json.dumps(report.mark), encoding="utf-8")
        if not ended:  # whatever is wrong is in the report
            return report, {"oracle": "none: no champion came to its end", "own": None, "variants": {}}
        return report, self._said("judging", second, "verdict.json", ",".join(ended))

    def _said(self, program: str, folder: Path, file: str, last: str) -> dict[str, Any]:
        """What a program wrote at its end. Raises `ModelUseError`."""
        log = CappedLog()
        exited = self._run(program, folder, last, log)
        found = _read(folder / "work" / file) if exited is not None and exited.succeeded else None
        if found is None:
            how = f"took more than {TIMEOUT_S:.0f} s" if exited is None else f"ended with {exited.exceeded or exited}"
            raise ModelUseError(f"{self.model}: the process that was {program} {how}: {log.last_line() or 'it said nothing'}")
        if "error" in found:
            raise ModelUseError(f"{self.model}: {found['error']}")
        return found

    def _run(self, program: str, folder: Path, last: str, log: CappedLog) -> Exit | None:
        for name in ("home", "tmp"):
            (folder / name).mkdir()
        words = (str(_ROOT), str(self.model), str(sandbox.WORKSPACE), self.device, str(SEED), last)
        room = self.machine.room
        command = Command(
            (sys.executable, "-P", "-s", "-c", _PROGRAM.format(program), *words),
            folder,
            self._environment(),
            folder,
            confinement=sandbox.Confinement(
                folder / "work",
                folder / "home",
                folder / "tmp",
                readable=(*_SEEN, self.model.parent, *self._drivers()),
                devices=self.machine.gpu.nodes() if self.device == "cuda" else (),
                shared_memory_mb=max(64, room.memory_mb // 4),
            ),
            limits=Limits(room.memory_mb, room.processes, room.disk_mb, str(folder)),
        )
        with ContainedProcess(command, log) as process:
            try:
                return process.wait(time.monotonic() + TIMEOUT_S, None)
            except DeadlinePassedError:
                return None

    def _environment(self) -> dict[str, str]:
        """All that is there; nothing is inherited, so no key can be."""
        on_gpu = self.device == "cuda"
        environment = {
            "PATH": os.pathsep.join((str(Path(sys.executable).parent), "/usr/local/bin", "/usr/bin", "/bin")),
            "HOME": str(sandbox.HOME),
            "TMPDIR": str(sandbox.TMP),
            "USER": sandbox.USER,
            "LANG": "C.UTF-8",
            "OPENBLAS_NUM_THREADS": "1",
            "CUDA_VISIBLE_DEVICES": (self.machine.gpu.uuids() or self.machine.visible_devices) if on_gpu else "",
            "CUDA_DEVICE_ORDER": "PCI_BUS_ID",
            "PYTHONDONTWRITEBYTECODE": "1",
            **({} if on_gpu else {"TRITON_INTERPRET": "1"}),
        }
        if on_gpu and "LD_LIBRARY_PATH" in os.environ:
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        return environment

    def _drivers(self) -> tuple[Path, ...]:
        folders = os.environ.get("LD_LIBRARY_PATH", "").split(os.pathsep) if self.device == "cuda" else []
        return tuple(path for path in map(Path, folders) if path.is_absolute() and path.is_dir())


def _read(path: Path) -> dict[str, Any] | None:
    """JSON that a confined process left; None where it is none of ours. Follows no link."""
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
        with os.fdopen(descriptor, "rb") as file:
            found = json.loads(file.read(_MOST_BYTES))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None
