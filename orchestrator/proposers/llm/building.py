"""From a config's entry to an `llm` proposer, and from a run to the desk that it works at."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

from orchestrator.admission import Admission
from orchestrator.config import Config, Llm
from orchestrator.events import TrialEnded
from orchestrator.ledger import Ledger
from orchestrator.notebook.digest import Notebook
from orchestrator.notebook.wording import BYTES_A_TOKEN
from orchestrator.proposers.ideas import PROGRAM, steering_of
from orchestrator.proposers.llm import calls
from orchestrator.proposers.llm.desk import Desk
from orchestrator.proposers.llm.money import Price, Purse
from orchestrator.proposers.llm.prompts import NOTEBOOK_CHARS
from orchestrator.proposers.llm.proposer import LlmProposer
from orchestrator.proposers.llm.record import Message, Reply, to_replay
from orchestrator.proposers.redaction import Redaction
from orchestrator.run_directory import RunDirectory
from orchestrator.tournament import limits
from orchestrator.tournament.settings import Settings
from orchestrator.trial_files import end_of_log
from workers.trial import Outcome

LOG_BYTES = 16 << 10


class _NobodyCalled:
    """In a night that is played again no model is asked."""

    async def call(self, messages: Sequence[Message]) -> Reply:  # noqa: ARG002
        raise calls.CallError("a replayed night asks no model", permanent=True)


def build(entry: Llm, *, index: int, seed: int, working_dir: Path, name: str) -> LlmProposer:
    """Raises `ConfigError` for all that can be known before money is spent."""
    redaction = Redaction(os.environ)
    key = f"proposers[{index}]"
    if entry.replay is not None:
        script = to_replay(entry.replay, working_dir, name, f"{key}.replay")
        free: dict[str, Price] = {}
        return LlmProposer(entry, name=name, seed=seed, caller=_NobodyCalled, prices=free, redaction=redaction, script=script)
    checked = calls.check(entry, key, os.environ)
    return LlmProposer(
        entry,
        name=name,
        seed=seed,
        caller=lambda: calls.Models(entry, checked.prices, redaction),
        prices=checked.prices,
        redaction=redaction,
        notes=tuple(f"{name}: {note}" for note in checked.notes),
    )


def desk_of(run: RunDirectory, config: Config, settings: Settings, ledger: Ledger, admission: Admission) -> Desk:
    repository = admission.repository
    notebook = Notebook(ledger, minimize=settings.minimize)
    return Desk(
        config=config,
        ledger=ledger,
        scope=admission.scoping.scope,
        files=repository.files,
        read=repository.read,
        exchanges=run.path / "exchanges",
        steering=steering_of(run, config, repository.read(ledger.base, PROGRAM)),
        purse=Purse(config.limits.usd, lambda: limits.usd(ledger, settings.prices)),
        notebook=lambda: notebook.digest(most_tokens=NOTEBOOK_CHARS // BYTES_A_TOKEN),
        log_tail=lambda candidate: _log_tail(run, ledger, candidate, trains=config.target.runner == "train"),
    )


def _log_tail(run: RunDirectory, ledger: Ledger, candidate: str, *, trains: bool) -> str:
    """The end of what a candidate's crash printed. A trainer that had handed over its checkpoint went on to be examined, and
    what it printed by then could tell of the test: the crash's reason holds its last line, and nothing else is shown."""
    ended = [ledger.trials[name].ended for name in ledger.candidates[candidate].trials]
    crashed = [each for each in ended if each is not None and each.outcome is Outcome.CRASH]
    if not crashed or (trains and _had_submitted(crashed[-1])):
        return ""
    return end_of_log(run, crashed[-1].trial, LOG_BYTES).decode("utf-8", "replace")


def _had_submitted(ended: TrialEnded) -> bool:
    return "checkpoint_mb" in ended.measured
