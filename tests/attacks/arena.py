"""Where attacks are real: a campaign's repository with its gates, and a worker's machine, joined as the head joins them."""

from __future__ import annotations

import itertools
import os
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

from attack import IN_VAIN, Attack, Twin

from orchestrator.admission import Admission
from orchestrator.edits import Edit
from orchestrator.events import Admitted, Conflicted, Proposed, Rejected
from orchestrator.repository import CampaignRepository
from orchestrator.target import resolve_target, scope_of
from workers.run import run_trial, this_machine
from workers.session import Machine
from workers.trial import CommandPlan, Measurement, Outcome, TrainPlan, TrialSpec

HERE = Path(__file__).parent
AT = 1_700_000_000.0
_GIT = {"GIT_CONFIG_NOSYSTEM": "1", "GIT_CONFIG_GLOBAL": os.devnull}


@dataclass(frozen=True)
class Happened:
    """What became of a candidate: as the journal would have it."""

    outcome: str  # `rejected` by a gate, or the trial's
    reason: str  # a gate's begins with its name
    measurement: Measurement | None = None
    commit: str = ""

    @property
    def log(self) -> str:
        return "" if self.measurement is None else self.measurement.log.decode(errors="replace")


@dataclass
class Arena:
    """One target, open to candidates."""

    folders: ClassVar[list[Path]] = []  # of every arena that was opened

    repository: CampaignRepository
    admission: Admission
    base: str
    machine: Machine
    plan: TrainPlan | CommandPlan
    objective: str
    confined: bool
    _numbers: itertools.count[int]

    @classmethod
    def open(
        cls,
        folder: Path,
        files: Mapping[str, bytes],
        editable: tuple[str, ...],
        plan: TrainPlan | CommandPlan,
        objective: str,
        *,
        data_root: Path,
        links: Mapping[str, str] | None = None,
        confined: bool = True,
    ) -> Arena:
        """A campaign on a repository with these files and symbolic links."""
        cls.folders.append(folder)
        user = folder / "user"
        user.mkdir(parents=True)
        for name, content in files.items():
            (user / name).parent.mkdir(parents=True, exist_ok=True)
            (user / name).write_bytes(content)
        for name, leads_to in (links or {}).items():
            (user / name).symlink_to(leads_to)
        for arguments in (["init", "--quiet"], ["add", "--all"], ["commit", "--quiet", "-m", "base"]):
            identity = ["-c", "user.name=u", "-c", "user.email=u@localhost"]
            subprocess.run(["git", *identity, *arguments], cwd=user, check=True, env={**os.environ, **_GIT})
        repository, base = CampaignRepository.create(folder / "repo", resolve_target("user", folder))
        scoping = scope_of(repository.files(base), editable, None, has_command=isinstance(plan, CommandPlan))
        machine = this_machine(folder / "node", data_root=data_root)
        machine.repository.receive(repository.base_bundle())
        admission = Admission(repository, scoping)
        return cls(repository, admission, base, machine, plan, objective, confined, itertools.count(1))

    def close(self) -> None:
        self.repository.close()
        self.machine.lender.close()
        self.machine.repository.close()

    def admit(
        self, edits: tuple[Edit, ...], description: str = "an idea", on: str | None = None
    ) -> Admitted | Rejected | Conflicted:
        """Through the gates, onto the base or a later champion."""
        proposed = Proposed(f"c{next(self._numbers):04}", "replay", description, edits)
        return self.admission.admit(proposed, on or self.base, AT, {})

    def spec(self, commit: str, **changes: object) -> TrialSpec:
        """A trial as the head would order it."""
        spec = TrialSpec(
            trial_id=f"t{next(self._numbers):04}",
            attempt=1,
            commit=commit,
            base_commit=self.base,
            sealed=self.admission.scoping.sealed,
            plan=self.plan,
            objective=self.objective,
            seed=7,
            timeout_s=60.0,
            confined=self.confined,
            bundle=None if commit == self.base else self.repository.bundle(commit, self.base),
        )
        return replace(spec, **changes)  # type: ignore[arg-type]

    def enter(self, edits: tuple[Edit, ...], description: str = "an idea", on: str | None = None) -> Happened:
        """Gates and commit, no trial: `admitted` or `rejected`."""
        admitted = self.admit(edits, description, on)
        if isinstance(admitted, Admitted):
            return Happened("admitted", "", None, admitted.commit)
        return Happened(
            "rejected", f"{admitted.gate}: {admitted.reason}" if isinstance(admitted, Rejected) else admitted.reason
        )

    def measure(self, edits: tuple[Edit, ...], description: str = "an idea", **changes: object) -> Happened:
        """Gates, commit, trial."""
        admitted = self.enter(edits, description)
        if admitted.outcome != "admitted":
            return admitted
        return self.run(admitted.commit, **changes)

    def run(self, commit: str, **changes: object) -> Happened:
        """A trial of a commit, however it came about."""
        found = run_trial(self.spec(commit, **changes), self.machine)
        return Happened(found.outcome.value, found.reason or "", found, commit)

    def face(self, attack: Attack) -> Happened:
        """What becomes of an attack."""
        plan = replace(self.plan, budget_s=attack.budget_s) if isinstance(self.plan, TrainPlan) else self.plan
        order = {"timeout_s": attack.timeout_s, "allowances": attack.allowances, "promotion": attack.promotion}
        return self.measure(attack.edits, attack.description, plan=plan, **order)

    def honest(self, edits: tuple[Edit, ...] = ()) -> Measurement:
        """The base itself, or a candidate that must be fine."""
        found = run_trial(self.spec(self.base), self.machine) if not edits else self.measure(edits).measurement
        assert found is not None
        assert found.outcome is Outcome.OK, (found.reason, found.log.decode(errors="replace")[-2000:])
        return found

    def face_twin(self, twin: Twin) -> Happened:
        if twin.budget_s is None:
            return self.measure(twin.edits)
        assert isinstance(self.plan, TrainPlan)
        return self.measure(twin.edits, plan=replace(self.plan, budget_s=twin.budget_s))


def judged(attack: Attack, happened: Happened, honest: Measurement, objective: str) -> tuple[str, str]:
    """Outcome and rule, for the table: what the attack claims where that is what happened, else what did happen."""
    if attack.said and attack.said not in happened.log:
        return "never ran", happened.reason or happened.log[-500:]
    if happened.outcome == "ok" and happened.measurement is not None:
        gained = happened.measurement.metric(objective) != honest.metric(objective)
        return ("ok, with another score", "") if gained else (IN_VAIN, attack.rule)
    return happened.outcome, attack.rule if happened.reason.startswith(attack.rule) else happened.reason
