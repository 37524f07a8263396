"""What a run keeps of each trial beside the journal: `trials/<id>/` with its log, measurement and telemetry."""

from __future__ import annotations

import json

import msgspec

from orchestrator.run_directory import RunDirectory
from workers.trial import CaseRow, Measurement

_ELSEWHERE = ("log", "telemetry", "measured", "reported", "cases")
_CASES = "cases.json"
LIVE_BYTES = 4 << 20  # of the log of a running trial; when it ends, the log is what the worker kept of it
_ENOUGH = b"\n[... more than can be shown while it runs ...]\n"


def keep(run: RunDirectory, found: Measurement) -> None:
    """Write a trial's folder, before the journal says that it ended."""
    folder = run.trial(found.trial_id)
    folder.mkdir(parents=True, exist_ok=True)
    run.trial_log(found.trial_id).write_bytes(found.log)
    if found.telemetry:
        rows = (json.dumps({name: getattr(row, name) for name in row.__slots__}) for row in found.telemetry)
        (folder / "telemetry.jsonl").write_text("\n".join(rows) + "\n")
    plain = {name: getattr(found, name) for name in found.__slots__ if name not in _ELSEWHERE}
    plain |= {"measured": dict(found.measured), "reported": dict(found.reported)}
    (folder / "measurement.json").write_text(json.dumps(plain, indent=1) + "\n")
    if found.cases:
        (folder / _CASES).write_bytes(msgspec.json.format(msgspec.json.encode(found.cases), indent=1))


def cases_of(run: RunDirectory, trial: str) -> tuple[CaseRow, ...]:
    """The cases of a kernel as a trial measured them; nothing where it did not come to that."""
    try:
        return msgspec.json.decode((run.trial(trial) / _CASES).read_bytes(), type=tuple[CaseRow, ...])
    except (FileNotFoundError, msgspec.DecodeError):  # the second: cut off as the machine went down
        return ()


def add_to_log(run: RunDirectory, trial: str, more: bytes) -> None:
    """What a running trial has printed since the last look, for whoever follows it. Capped: it may print without end."""
    if more:
        log = run.trial_log(trial)
        log.parent.mkdir(parents=True, exist_ok=True)
        with log.open("ab") as file:
            room = LIVE_BYTES - file.tell()
            if room > 0:
                file.write(more if len(more) <= room else more[:room] + _ENOUGH)


def end_of_log(run: RunDirectory, trial: str, most_bytes: int = 64 << 10) -> bytes:
    """The last that a trial printed; nothing where there is no log."""
    try:
        with run.trial_log(trial).open("rb") as file:
            file.seek(max(0, file.seek(0, 2) - most_bytes))
            return file.read()
    except FileNotFoundError:
        return b""


def forget_log(run: RunDirectory, trial: str) -> None:
    """An attempt that died leaves no log to the next."""
    run.trial_log(trial).unlink(missing_ok=True)
