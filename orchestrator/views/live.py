"""The live view: a campaign on a terminal, while it runs here (`LiveView`) or in another process (`watch`).

`render` is pure: a ledger and the time in, something that rich can print out. Nothing refreshes by itself: the view is drawn
anew when it is told to, in place, without a thread. Texts of candidates are data: no markup, no terminal control.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping
from types import TracebackType
from typing import TYPE_CHECKING, Self

from orchestrator import events as ev
from orchestrator.config import Config, load_config
from orchestrator.ledger import Ledger
from orchestrator.run_directory import RunDirectory
from orchestrator.views.loading import entries
from orchestrator.views.log import follow, purpose_text, words_for
from orchestrator.views.plain import one_line
from orchestrator.views.standing import Worker, limit_stands, mean_of, provenance, time_left_s, workers_of
from orchestrator.views.status import count_candidates, earned_with_money
from orchestrator.views.words import better, clock, duration, plural, with_error
from workers.trial import Outcome, Progress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.live import Live
    from rich.table import Table
    from rich.text import Text

RECENT = 6
WORKERS_AT_LEAST = 4
MODELS_SHOWN = 4
LINES_AROUND = 20  # of the view without its workers and models
BAR = 10
_STYLES = {
    "kept": "bold green",
    "decided": "",
    "rejected": "dim",
    "conflict": "yellow",
    "warning": "yellow",
    "worker": "yellow",
}
Happening = tuple[float, str, str]  # when, kind, words


def notable(event: ev.Event, at: float, ledger: Ledger) -> Happening | None:
    """What a person who looks away wants to have seen."""
    match event:
        case ev.CandidateDecided() | ev.ChampionMoved() | ev.Rejected() | ev.Conflicted() | ev.LimitReached():
            shown = True
        case ev.BlockClosed() | ev.MachineDoubted():
            shown = True
        case ev.WorkerChanged():
            shown = event.state in (ev.WorkerState.LOST, ev.WorkerState.SET_ASIDE)
        case ev.StackDecided():
            shown = not event.kept
        case ev.TrialEnded():
            shown = event.outcome is Outcome.INFRA
        case ev.Note():
            shown = True
        case _:
            shown = False
    words = words_for(event, ledger) if shown else None
    return None if words is None else (at, *words)


def render(
    ledger: Ledger,
    config: Config,
    now: float,
    *,
    progress: Mapping[str, Progress] | None = None,
    recent: Iterable[Happening] = (),
    run: str = "",
    height: int = 40,
    width: int = 100,
) -> RenderableType:
    """The whole view."""
    from rich.console import Group
    from rich.text import Text

    gap = Text("")
    parts: list[RenderableType] = [_headline(ledger, config, now), _champion(ledger, config)]
    if limit_stands(ledger, config, now):
        parts += [gap, _limits(ledger, config, now)]
    earned = _earned(ledger)
    parts += [gap, *_workers(ledger, now, progress or {}, max(WORKERS_AT_LEAST, height - LINES_AROUND - len(earned)), width)]
    parts += [gap, _counts(ledger), _outcomes(ledger), *earned]
    happened = list(recent)[-RECENT:]
    if happened:
        parts += [gap, *(_happening(each) for each in happened)]
    parts += [gap, _footer(ledger, run)]
    return Group(*parts)


def _line(*pieces: tuple[str, str]) -> Text:
    """Styled pieces on one line, cut at the edge of the terminal."""
    from rich.text import Text

    return Text.assemble(*pieces, no_wrap=True, overflow="ellipsis")


def _headline(ledger: Ledger, config: Config, now: float) -> Text:
    stopped = ledger.stopped
    state = f"running for {duration(ledger.running_s(now))}" if stopped is None else stopped.state.value
    if ledger.limit is not None and stopped is None:
        state += f", ending ({ledger.limit.value})"
    way = "↓" if config.objective.direction == "minimize" else "↑"
    sandbox = ledger.head.sandbox if ledger.head is not None else "unknown"
    return _line(
        (config.name, "bold"),
        (f"  {state}", ""),
        (f"  ·  {ledger.objective} {way} {provenance(ledger, config).value}", ""),
        ("  ·  ", ""),
        (f"sandbox: {sandbox}", "yellow" if sandbox == "none" else ""),
    )


def _champion(ledger: Ledger, config: Config) -> Text:
    champion = ledger.champion
    base = mean_of(ledger, ledger.base)
    if champion is None or base is None:
        return _line(("champion  the baseline, not measured yet", ""))
    baseline = f"{with_error(base, ledger.book.stderr(ledger.base))} ({ledger.samples(ledger.base).n})"
    if not champion.kept:
        return _line(("champion  ", ""), (baseline, "bold"), ("  the baseline; nothing kept yet", "dim"))
    mean = mean_of(ledger, champion.commit)
    gain = better(mean, base, minimize=config.objective.direction == "minimize")
    return _line(
        ("champion  ", ""),
        (f"{with_error(mean, ledger.book.stderr(champion.commit))} ({ledger.samples(champion.commit).n})", "bold green"),
        (f"  {gain}" if gain else "", "green"),
        (f"  than {baseline}" if gain else f"  baseline {baseline}", ""),
        (f"  {len(champion.kept)} kept", ""),
    )


def _limits(ledger: Ledger, config: Config, now: float) -> Table:
    table = _grid(0, 0, 0, 1)
    left = time_left_s(ledger, config, now)
    for number, stand in enumerate(limit_stands(ledger, config, now)):
        spent = f"{stand.spent:.0f}" if stand.spent == int(stand.spent) else f"{stand.spent:.2f}"
        about = f"about {duration(left)} left" if number == 0 and left else ""
        table.add_row(stand.name.replace("_", " "), _bar(stand.share, 2 * BAR), f"{spent} of {stand.limit:g}", about)
    return table


def _grid(*ratios: int) -> Table:
    """A table without lines whose cells are cut, never wrapped; columns of ratio 1 take what is left."""
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    for ratio in ratios:
        table.add_column(no_wrap=True, overflow="ellipsis", ratio=ratio or None)
    return table


def _bar(share: float | None, width: int = BAR) -> Text:
    if share is None:
        return _line(("·" * width, "dim"))
    full = round(min(1.0, max(0.0, share)) * width)
    return _line(("━" * full, "green"), ("─" * (width - full), "dim"))


def _workers(ledger: Ledger, now: float, progress: Mapping[str, Progress], limit: int, width: int) -> list[RenderableType]:
    workers = workers_of(ledger)
    if not workers:
        return [_line(("waiting for workers", "dim"))]
    order = sorted(workers, key=lambda each: (len(each.id), each.id))
    if len(order) > limit:
        order.sort(key=lambda each: each.trial is None)  # the busy ones first; otherwise nobody moves
    shown = order[:limit]
    devices = {one_line(each.device) for each in workers}
    several = len(devices) > 1 and width >= 90
    table = _grid(0, *([0] if several else []), 0, 1, 0, 0, 0, 0)
    for each in shown:
        cells = _worker(each, ledger, now, progress.get(each.trial.id) if each.trial else None)
        table.add_row(cells[0], *([_line((one_line(each.device, 18), ""))] if several else []), *cells[1:])
    title = (
        f"{plural(len(workers), 'worker')}, {one_line(next(iter(devices)))}" if len(devices) == 1 else f"{len(workers)} workers"
    )
    parts: list[RenderableType] = [_line((title, "dim")), table]
    if len(workers) > len(shown):
        hidden = order[limit:]
        busy = sum(each.trial is not None for each in hidden)
        parts.append(_line((f"+ {len(hidden)} more, {busy} of them busy", "dim")))
    return parts


def _worker(each: Worker, ledger: Ledger, now: float, progress: Progress | None) -> tuple[str | Text, ...]:
    trial = each.trial
    if trial is None:
        detail = f": {one_line(each.detail)}" if each.detail else ""
        style = "dim" if each.state is ev.WorkerState.IDLE else "yellow"
        return each.id, "", _line((each.state.value.replace("_", " ") + detail, style)), "", "", "", ""
    loss = f"loss {progress.train_loss:.3f}" if progress is not None and progress.train_loss is not None else ""
    phase = one_line(progress.phase, 10) if progress is not None else "measuring"
    return (
        each.id,
        trial.id,
        _line((purpose_text(trial.started, ledger), "")),
        _line((phase, "")),
        _bar(progress.fraction if progress is not None else None),
        duration(max(0.0, now - trial.started_at)),
        loss,
    )


def _counts(ledger: Ledger) -> Text:
    counts = count_candidates(ledger)
    told = "  ".join(f"{count} {name}" for name, count in counts.items() if count and name != "proposed")
    return _line((f"candidates  {counts['proposed']}", ""), (f"   {told}", "dim"))


def _outcomes(ledger: Ledger) -> Text:
    told = "  ".join(f"{count} {outcome.value}" for outcome, count in ledger.outcomes.items() if count)
    return _line((f"trials      {len(ledger.trials)}", ""), (f"   {told}", "dim"))


def _earned(ledger: Ledger) -> list[Text]:
    """What each model has cost and brought."""
    shown = earned_with_money(ledger)[:MODELS_SHOWN]
    return [_line(("proposers   " if nth == 0 else " " * 12, ""), (text, "dim")) for nth, text in enumerate(shown)]


def _happening(each: Happening) -> Text:
    at, kind, words = each
    return _line((clock(at)[11:], "dim"), ("  ", ""), (words, _STYLES.get(kind, "")))


def _footer(ledger: Ledger, run: str) -> Text:
    port = ledger.head.metrics_port if ledger.head is not None else 0
    metrics = f"http://127.0.0.1:{port}/metrics  ·  " if port else ""
    return _line((f"{metrics}regatta watch {run}  ·  regatta stop {run}", "dim"))


class LiveView:
    """The view of the campaign that this process runs: give it every event, and tell it when to draw.

    with LiveView(ledger, config, run) as view: campaign.watch(view.observe); campaign.run(port, view.update)
    """

    def __init__(self, ledger: Ledger, config: Config, run: RunDirectory, console: Console | None = None) -> None:
        from rich.console import Console

        self._ledger, self._config, self._run = ledger, config, run
        self._console = console or Console()
        self._recent: list[Happening] = []
        self._live: Live | None = None

    def __enter__(self) -> Self:
        from rich.live import Live

        self._live = Live(console=self._console, auto_refresh=False, transient=True, vertical_overflow="crop")
        self._live.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        if self._live is not None:
            self._live.stop()

    def observe(self, event: ev.Event, at: float) -> None:
        """An event that the ledger has just taken in."""
        happening = notable(event, at, self._ledger)
        if happening is not None:
            self._remember(happening)

    def say(self, text: str, at: float) -> None:
        """A word of this process, among what has happened."""
        self._remember((at, "warning", one_line(text)))

    def _remember(self, happening: Happening) -> None:
        """The last few; what was kept stays longest."""
        self._recent.append(happening)
        if len(self._recent) > RECENT:
            others = [i for i, each in enumerate(self._recent) if each[1] != "kept"]
            del self._recent[others[0] if len(others) > RECENT // 2 else 0]

    def update(self, now: float, progress: Mapping[str, Progress]) -> None:
        """Draw the campaign as it is at Unix time `now`."""
        if self._live is None:
            return
        size = self._console.size
        view = render(
            self._ledger,
            self._config,
            now,
            progress=progress,
            recent=self._recent,
            run=str(self._run.path),
            height=size.height,
            width=size.width,
        )
        self._live.update(view, refresh=True)


def watch(
    run: RunDirectory,
    console: Console | None = None,
    poll_s: float = 0.5,
    wait: Callable[[float], None] = time.sleep,
    now: Callable[[], float] = time.time,
) -> None:
    """The same view from another process, read from the journal, until nobody runs the campaign any more; plain lines
    where there is no terminal."""
    from rich.console import Console

    console = console or Console()
    if not console.is_terminal:
        for line in follow(run, poll_s, wait):
            console.file.write(f"{line}\n")
            console.file.flush()
        return
    config = load_config(run.config)
    ledger = Ledger(config.objective.name)
    seen = 0
    with LiveView(ledger, config, run, console) as view:
        while True:
            held = run.holder() is not None  # first: who lets go while we read has written its last word
            for entry in entries(run, after=seen):
                seen = entry.seq
                ledger.apply(entry.event, entry.at)
                view.observe(entry.event, entry.at)
            if not held:
                return
            view.update(now(), {})
            wait(poll_s)
