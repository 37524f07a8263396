"""Opening a campaign: from a config to a complete run directory, and from a run directory to the parts of a running head.

Everything that can be wrong with what the user gave is found here, before anything is started. Raises `ConfigError`,
`TargetError` or `RunDirectoryError` (exit 2: nothing was made), or `RepositoryError` and `JournalError` (exit 1).
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from orchestrator import events as ev
from orchestrator import proposers
from orchestrator.admission import Admission
from orchestrator.composing import Composer
from orchestrator.config import Config, ConfigError, Llm, Program, ProposerEntry, Replay, dump_config, load_config, with_runner
from orchestrator.config import Limits as GivenLimits
from orchestrator.confinement import HARMLESS, Sandbox, UnconfinedError, sandbox_for
from orchestrator.journal import Journal, JournalError
from orchestrator.ledger import PENDING, Candidate, Ledger
from orchestrator.proposers.base import AnyProposer, Result
from orchestrator.proposers.program.building import grounds_of
from orchestrator.proposers.program.command import anchored
from orchestrator.proposers.program.proposer import ProgramProposer
from orchestrator.repository import CampaignRepository
from orchestrator.run_directory import RunDirectory, refuse_existing
from orchestrator.stacking import Stacking
from orchestrator.target import Scoping, resolve_target, scope_of
from orchestrator.tournament.settings import Constraint, Limits, Prices, Settings
from workers import sandbox

# Over how many candidates the error rate is spent when neither a limit nor the proposers say how many there will be.
PLANNED_WHEN_UNKNOWN = 1000


@dataclass(slots=True)
class Parts:
    """What a head works with."""

    run: RunDirectory
    config: Config
    settings: Settings
    journal: Journal
    ledger: Ledger
    repository: CampaignRepository
    admission: Admission
    composer: Composer
    stacking: Stacking
    proposers: tuple[AnyProposer, ...]
    sandbox: Sandbox

    def close(self) -> None:
        self.journal.close()
        self.repository.close()


def open_new(config_path: str, overrides: Sequence[str], run_dir: Path | None, working_dir: Path) -> RunDirectory:
    """Check everything, then make the run directory: it appears complete or not at all."""
    config = load_config(config_path, overrides)
    return open_config(config, working_dir / (run_dir if run_dir is not None else Path("runs") / config.name), working_dir)


def open_config(config: Config, path: Path, working_dir: Path, campaigns: int = 1) -> RunDirectory:
    """As `open_new`, at `path`, from a config that was read already; `campaigns` share its limits and its error rate."""
    target = resolve_target(config.target.repo, working_dir)
    refuse_existing(path)
    config = _with_absolute_paths(config, working_dir)
    _check_mounts(config)
    _sandbox(config)
    made = proposers.build_all(config.proposers, seed=config.seed, working_dir=working_dir)
    with RunDirectory.creating(path) as draft:
        repository, base = CampaignRepository.create(draft.repo, target)
        scoping = scope_of(
            repository.files(base), config.target.editable, config.target.runner, config.target.command is not None
        )
        config = _with_commands_found(config, working_dir, repository.files(base))
        repository.close()
        config = with_runner(config, scoping.runner)
        draft.config.write_text(dump_config(config), encoding="utf-8")
        journal = Journal.create(draft.journal)
        planned = planned_candidates(config, made, campaigns)
        opened = ev.CampaignOpened(config.name, base, config.target.repo, scoping.runner, config.seed, planned, target.folder)
        journal.append(opened, time.time())
        for text in _warnings(config, scoping):
            journal.append(ev.Note(text, "warning"), time.time())
        journal.close()
    return RunDirectory.existing(path)


def open_parts(run: RunDirectory, overrides: Sequence[str] = ()) -> Parts:
    """Everything a head needs to go on with a run, as the journal left it. The caller holds the run lock."""
    config = load_config(run.config, overrides)
    confinement = _sandbox(config)
    made = proposers.build_all(config.proposers, seed=config.seed, working_dir=Path.cwd())
    if overrides:
        _write_config(run, config)
    journal = Journal.open(run.journal)
    try:
        ledger, ended = _fold(journal, config.objective.name)
        by_name = {proposer.name: proposer for proposer in made}
        for candidate in ended:
            tell(by_name, candidate, config)
        repository = _reconciled(run, ledger)
    except BaseException:
        journal.close()
        raise
    scoping = scope_of(repository.files(ledger.base), config.target.editable, config.target.runner, has_command=False)
    admission = Admission(repository, scoping)
    settings = settings_of(config, made, ledger)
    _attach(made, run, config, settings, ledger, admission)
    composer = Composer(admission)
    stacking = Stacking(composer, ledger)
    return Parts(run, config, settings, journal, ledger, repository, admission, composer, stacking, made, confinement)


def _attach(
    made: tuple[AnyProposer, ...], run: RunDirectory, config: Config, settings: Settings, ledger: Ledger, admission: Admission
) -> None:
    """Show those who take their time what they may look at; those who write with a model share one purse."""
    for proposer in made:
        if isinstance(proposer, ProgramProposer):
            proposer.attach(grounds_of(run, config, settings, ledger, admission, proposer.name))
    if not any(entry.kind == "llm" for entry in config.proposers):
        return
    from orchestrator.proposers.llm.building import desk_of
    from orchestrator.proposers.llm.proposer import LlmProposer

    desk = desk_of(run, config, settings, ledger, admission)
    for proposer in made:
        if isinstance(proposer, LlmProposer):
            proposer.attach(desk)


def _check_mounts(config: Config) -> None:
    """Candidates read whatever is mounted: it must be there, and it must not be everything."""
    for mount in map(Path, config.target.mounts):
        if config.cluster.address == "local" and not mount.is_dir():
            raise ConfigError([f"target.mounts: given {mount}; a folder that is there"])
        if Path.home().is_relative_to(mount):
            raise ConfigError([f"target.mounts: given {mount}, with your home folder in it; only what the command needs"])


def _sandbox(config: Config) -> Sandbox:
    """What stands around the campaign's candidates. On a cluster each node answers for itself, when its workers join."""
    kinds = {entry.kind for entry in config.proposers}
    elsewhere = config.cluster.address != "local" and kinds - HARMLESS
    lacks = None if elsewhere or config.sandbox == "none" else sandbox.lacks()
    try:
        return sandbox_for(config.sandbox, kinds, None if lacks is None else str(lacks))
    except UnconfinedError as error:
        raise ConfigError([str(error)]) from None


def _fold(journal: Journal, objective: str) -> tuple[Ledger, list[Candidate]]:
    """The state that a journal adds up to, and every candidate that has ended, in the order they did."""
    ledger = Ledger(objective)
    ended: list[Candidate] = []
    for entry in journal.entries():
        ledger.apply(entry.event, entry.at)
        ended.extend(candidates_ended_by(entry.event, ledger))
    if ledger.champion is None:
        raise JournalError(f"{journal.path}: does not begin with a campaign; it is damaged, or was never a run's")
    return ledger, ended


def _reconciled(run: RunDirectory, ledger: Ledger) -> CampaignRepository:
    """The run's repository, its refs as the journal says."""
    assert ledger.champion is not None
    repository = CampaignRepository(run.repo)
    commits = {c.id: c.commit for c in ledger.candidates.values() if c.commit is not None}
    try:
        repository.reconcile(ledger.champion.commit, commits)
    except BaseException:
        repository.close()
        raise
    return repository


def candidates_ended_by(event: ev.Event, ledger: Ledger) -> list[Candidate]:
    """The candidates whose life this event, just applied, has ended."""
    match event:
        case ev.ChampionMoved():
            names = event.kept
        case ev.Rejected() | ev.Conflicted() | ev.CandidateDecided():
            names = (event.candidate,)
        case _:
            return []
    return [ledger.candidates[name] for name in names if ledger.candidates[name].state not in PENDING]


def tell(by_name: dict[str, AnyProposer], candidate: Candidate, config: Config) -> None:
    """Let a candidate's proposer hear how it ended."""
    proposer = by_name.get(candidate.proposed.proposer)
    if proposer is None:  # a person's, or of a proposer that the config no longer has
        return
    evidence = candidate.evidence
    effect = None
    if evidence is not None:
        effect = evidence.effect if config.objective.direction == "minimize" else -evidence.effect
    metrics = {config.objective.name: evidence.mean} if evidence is not None else {}
    proposer.learn(Result(candidate.id, candidate.proposed.token, candidate.state.value, effect, metrics))


def settings_of(config: Config, made: tuple[AnyProposer, ...], ledger: Ledger) -> Settings:
    """The tournament's rules, from the config."""
    assert ledger.opened is not None
    wanted = config.tournament
    return Settings(
        metric=config.objective.name,
        minimize=config.objective.direction == "minimize",
        seed=config.seed,
        planned_candidates=max(ledger.opened.planned_candidates, planned_candidates(config, made)),
        proposers=tuple(proposer.name for proposer in made),
        rule=wanted.rule,
        lanes=wanted.lanes,
        block=wanted.block if isinstance(wanted.block, int) else None,
        false_keep_rate=wanted.false_keep_rate,
        max_repeats=wanted.max_repeats,
        baseline_repeats=wanted.baseline_repeats,
        common_seeds=wanted.common_seeds,
        constraints=tuple(
            Constraint(name, bound.max, bound.min, bound.max_ratio, bound.min_ratio)
            for name, bound in config.objective.constraints.items()
        ),
        front=tuple(metric for metric, _ in config.objective.front_metrics),
        target=config.objective.target,
        noninferiority_margin=config.objective.noninferiority_margin,
        limits=limits_of(config.limits),
        prices=Prices(config.prices.usd_per_gpu_hour or 0.0, config.prices.usd_per_kwh or 0.0),
    )


def limits_of(given: GivenLimits) -> Limits:
    """When to stop, as a config says it."""
    return Limits(
        given.trials,
        given.candidates,
        given.hours,
        given.gpu_hours,
        given.usd,
        given.energy_wh,
        given.plateau,
        given.worth_per_gpu_hour,
    )


def planned_candidates(config: Config, made: tuple[AnyProposer, ...], campaigns: int = 1) -> int:
    """Over how many candidates the error rate is spent: the least that a limit or the proposers of all `campaigns` allow."""
    known = [limit for limit in (config.limits.candidates, config.limits.trials) if limit is not None]
    counts = [proposer.planned() for proposer in made]
    if all(count is not None for count in counts):
        known.append(campaigns * sum(count for count in counts if count is not None))
    return max(1, min(known)) if known else PLANNED_WHEN_UNKNOWN


def _warnings(config: Config, scoping: Scoping) -> list[str]:
    """What a person may not have meant."""
    words = re.split(r"[\s;&|()'\"]+", config.target.command or "")
    run = [path for path in scoping.editable if path in words or f"./{path}" in words]
    return [
        f"{path} can be edited and is what target.command runs: a candidate can print any number it likes; measuring it from a "
        "sealed file is safer"
        for path in run
    ]


def _with_absolute_paths(config: Config, working_dir: Path) -> Config:
    """`resume` may be typed elsewhere."""
    mounts = tuple(str((working_dir / mount).expanduser().resolve()) for mount in config.target.mounts)
    target = config.target.model_copy(update={"mounts": mounts})
    entries = tuple(_with_absolute_path(entry, working_dir) for entry in config.proposers)
    return config.model_copy(update={"proposers": entries, "target": target})


def _with_absolute_path(entry: ProposerEntry, working_dir: Path) -> ProposerEntry:
    if isinstance(entry, Replay):
        return entry.model_copy(update={"path": str((working_dir / entry.path).resolve())})
    if isinstance(entry, Llm) and entry.replay is not None:
        return entry.model_copy(update={"replay": str((working_dir / entry.replay).resolve())})
    return entry


def _with_commands_found(config: Config, working_dir: Path, in_target: tuple[str, ...]) -> Config:
    """Programs begin elsewhere: in a worktree."""
    entries = tuple(
        entry.model_copy(update={"command": anchored(entry.command, working_dir, in_target)})
        if isinstance(entry, Program)
        else entry
        for entry in config.proposers
    )
    return config.model_copy(update={"proposers": entries})


def _write_config(run: RunDirectory, config: Config) -> None:
    draft = run.config.with_suffix(".tmp")
    draft.write_text(dump_config(config), encoding="utf-8")
    draft.replace(run.config)


__all__ = ["ConfigError", "Parts", "candidates_ended_by", "open_config", "open_new", "open_parts", "tell"]
