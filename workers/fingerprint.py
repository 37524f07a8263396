"""What must be equal for two measurements to be compared: sealed files, data, plan, device, processors, library versions."""

from __future__ import annotations

import hashlib
import json
import platform
from dataclasses import asdict
from importlib.metadata import PackageNotFoundError, version

from workers.session import Session
from workers.subject_data import subject_data
from workers.trial import TrainPlan

_LIBRARIES = ("torch", "triton", "numpy")
_known: dict[object, str] = {}


def fingerprint(session: Session) -> str:
    """Hex. Computed once for each base, plan and size of worker; the data are prepared on the way, where a plan has any."""
    spec, machine = session.spec, session.machine
    measured = (spec.base_commit, spec.sealed, spec.plan, spec.cpus, spec.gpus, spec.confined)
    key = (*measured, machine.device, str(machine.repository.root))
    if key not in _known:
        sealed = machine.repository.sealed_blobs(spec.base_commit, spec.sealed)
        data = subject_data(session, spec.plan.corpus).sha256 if isinstance(spec.plan, TrainPlan) else None
        content = {
            "sealed": {path: [blob.mode, blob.object_id] for path, blob in sorted(sealed.items())},
            "data": data,
            "plan": [type(spec.plan).__name__, asdict(spec.plan)],
            "device": machine.device,
            "cpus": spec.cpus,
            "gpus": spec.gpus,
            "confined": spec.confined,
            "python": platform.python_version(),
            "libraries": {name: _version(name) for name in _LIBRARIES},
        }
        _known[key] = hashlib.sha256(json.dumps(content, sort_keys=True).encode()).hexdigest()
    return _known[key]


def _version(library: str) -> str | None:
    try:
        return version(library)
    except PackageNotFoundError:
        return None
