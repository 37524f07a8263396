"""The `llm` proposer: asks a model in the background and delivers what came of it.

In the campaign's loop it chooses a task and writes the prompt; the calls run in one event loop on a thread of its own. An
answer is on the disk before its candidates are delivered, so a new head takes up what the former one had paid for: `begin`
delivers it again, whole or in part. While no model answers it is not `ready`, and asks again after a wait that doubles.
"""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field, replace

from orchestrator.config import Llm
from orchestrator.ledger import Candidate
from orchestrator.proposers.base import Brief, Delivery, Proposal, ProposalError, Result
from orchestrator.proposers.llm import prompts
from orchestrator.proposers.llm.answers import Draft
from orchestrator.proposers.llm.calls import Caller, CallError
from orchestrator.proposers.llm.conversation import Conversation, Outcome
from orchestrator.proposers.llm.desk import Desk
from orchestrator.proposers.llm.money import Price, estimate
from orchestrator.proposers.llm.outage import Outage
from orchestrator.proposers.llm.record import Exchange, Exchanges, Message, Task
from orchestrator.proposers.llm.strategy import Kind, choose
from orchestrator.proposers.redaction import Redaction
from orchestrator.views.plain import one_line

CLOSING_S = 1.0
USELESS_ANSWERS = 6  # in a row: as good as no answer, and dearer
IDEA_TRIES = 2  # answers that may fail before an idea is ticked off all the same


@dataclass(slots=True)
class _Job:
    """One task under way."""

    exchange: Exchange
    task: Task
    expected: int
    have: frozenset[int] = frozenset()  # which of its candidates the journal has already, after a kill
    have_usd: float = 0.0  # and what it says that those have cost
    outcome: Outcome = field(default_factory=Outcome)


class LlmProposer:
    """`attach` it to a campaign before anything else."""

    def __init__(
        self,
        entry: Llm,
        *,
        name: str,
        seed: int,
        caller: Callable[[], Caller],
        prices: Mapping[str, Price],
        redaction: Redaction,
        notes: tuple[str, ...] = (),
        script: list[Exchange] | None = None,
    ) -> None:
        """`caller` is made in the thread that calls; `script`: the exchanges to be played again."""
        self.name = name
        self._entry = entry
        self._seed = seed
        self._make_caller = caller
        self._prices = tuple(prices.values())
        self._redaction = redaction
        self._first_notes = notes
        self._script = script
        self._played_all = False
        self._outage = Outage(name, entry.backoff_s, entry.patience_s)
        self._jobs: dict[str, _Job] = {}  # the campaign's loop alone adds and removes
        self._texts: tuple[str, dict[str, str]] = ("", {})  # of the editable files, on the champion last asked for
        self._useless = 0  # answers in a row
        self._dearest_usd = 0.0  # of one call so far: what no estimate falls below
        self._idea_tries: dict[str, int] = {}
        self._caller: Caller | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = threading.Thread(target=self._run_loop, name=f"proposer-{name}", daemon=True)

    def attach(self, desk: Desk) -> None:
        """Before `begin`: what it may look at."""
        self._desk = desk
        self._exchanges = Exchanges(desk.exchanges / self.name)

    # -- as every proposer

    def learn(self, result: Result) -> None:
        """The ledger says it all."""

    def planned(self) -> int | None:
        return None

    # -- in the campaign's loop

    def begin(self, deliver: Callable[[Delivery], None]) -> int:
        self._deliver = deliver
        self._loop = asyncio.new_event_loop()
        self._thread.start()
        if self._first_notes:
            deliver(Delivery(self.name, notes=self._first_notes))
        known: dict[str, list[Candidate]] = {}
        for candidate in self._desk.ledger.candidates.values():
            known.setdefault(_exchange_of(candidate, self.name) or "", []).append(candidate)
        return sum(self._take_up(exchange, known.get(exchange.name, [])) for exchange in self._exchanges.all())

    def ready(self) -> bool:
        if len(self._jobs) >= self._entry.in_flight or not self._outage.may_try(time.monotonic(), len(self._jobs)):
            return False
        if self._script is not None:
            return not self._played_all
        self._desk.purse.look()
        return self._desk.purse.has_room()

    def insists(self) -> bool:
        return self._script is None and bool(self._desk.steering.ideas())

    def request(self, brief: Brief) -> int:
        exchange = self._exchanges.new()
        if self._script is not None:
            return self._play(exchange, brief)
        choice = choose(
            self._desk.ledger,
            self.name,
            minimize=self._minimize,
            wanted=brief.wanted,
            nth=int(exchange.name[1:]),
            seed=self._seed,
            ideas=self._desk.steering.ideas(),
            busy_with={(job.task.kind, parent) for job in self._jobs.values() for parent in job.task.parents},
        )
        texts = self._texts_on(brief.champion)
        messages = [self._redacted(each) for each in prompts.messages(self._desk, choice, brief.champion, texts)]
        task = Task(choice.kind, brief.champion, choice.count, choice.parents, choice.idea, choice.about)
        self._start(_Job(exchange, task, choice.count), messages, texts)
        return choice.count

    def taken(self, delivery: Delivery) -> None:
        """Money is the ledger's from here on, and an idea that was tried is ticked off."""
        job = self._jobs.pop(delivery.job or "", None)
        if job is not None:
            self._desk.purse.release(self._key(job))
            self._dearest_usd = max([self._dearest_usd, *(reply.usd for reply in job.outcome.replies)])
            self._settle_idea(job)

    def wind_up(self) -> None:
        """Every call under way is paid for, and soon over."""

    def close(self) -> None:
        if self._loop is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._loop.stop)
            self._thread.join(timeout=2 * CLOSING_S)

    # -- helpers of the loop

    @property
    def _minimize(self) -> bool:
        return self._desk.config.objective.direction == "minimize"

    def _redacted(self, message: Message) -> Message:
        return replace(message, content=self._redaction.of(message.content))

    def _play(self, exchange: Exchange, brief: Brief) -> int:
        """The next exchange of the night that is played again."""
        assert self._script is not None
        nth = int(exchange.name[1:]) - 1
        if nth >= len(self._script):
            self._played_all = True
            self._deliver(Delivery(self.name, ended=f"{self._entry.replay} is used up"))
            return 0
        old = self._script[nth]
        task = old.task() or Task(Kind.EXPLORE, brief.champion)
        task = replace(task, champion=brief.champion, of_run=str(old.folder), parents=())
        self._start(_Job(exchange, task, task.count), old.asked(1) or [], self._texts_on(brief.champion))
        return task.count

    def _start(self, job: _Job, messages: list[Message], texts: Mapping[str, str]) -> None:
        chars = sum(len(message.content) for message in messages)
        price = max(self._dearest_usd, estimate(self._prices, chars, self._entry.max_tokens))
        self._desk.purse.look()
        self._desk.purse.hold(self._key(job), price)
        self._jobs[job.exchange.name] = job
        if job.task.idea is not None:
            self._desk.steering.begin(job.task.idea)
        shown = {path: texts[path] for path in prompts.shown_files(texts)}
        files = self._desk.files(job.task.champion)
        conversation = Conversation(
            job.exchange, job.task, messages, shown, files, self._desk.scope, self._redaction,
            may_go_on=lambda usd: self._desk.purse.has_room_beside(self._key(job), usd + price),
            costs=lambda usd, more: self._desk.purse.hold(self._key(job), usd + (price if more else 0.0)),
        )  # fmt: skip
        assert self._loop is not None
        asyncio.run_coroutine_threadsafe(self._work(job, conversation), self._loop)

    def _key(self, job: _Job) -> str:
        return f"{self.name}/{job.exchange.name}"

    def _texts_on(self, champion: str) -> dict[str, str]:
        if self._texts[0] != champion:
            self._texts = (champion, self._desk.editable(champion))
        return self._texts[1]

    def _settle_idea(self, job: _Job) -> None:
        idea, outcome = job.task.idea, job.outcome
        if idea is None or job.task.of_run is not None:
            return
        self._desk.steering.end(idea)
        if not outcome.replies:
            return
        self._idea_tries[idea] = self._idea_tries.get(idea, 0) + 1
        if outcome.usable:
            recent = list(self._desk.ledger.candidates.values())[-50:]
            made = [c.id for c in recent if _exchange_of(c, self.name) == job.exchange.name]
            self._desk.steering.tick(idea, ", ".join(made) or job.exchange.name)
        elif self._idea_tries[idea] >= IDEA_TRIES:
            self._desk.steering.tick(idea, f"no usable answer, see {self._key(job)}")

    # -- after a kill

    def _take_up(self, exchange: Exchange, known: list[Candidate]) -> int:
        """What was answered and is not in the journal, or not all of it, is delivered from the disk: how many to expect."""
        if known and len(known) >= (exchange.candidates() or 1):
            return 0
        task, messages = exchange.task(), exchange.asked(1)
        if task is None or exchange.answered(1) is None or (messages is None and task.of_run is None):
            return 0
        job = _Job(exchange, task, max(1, task.count))
        job.have = frozenset(int((c.proposed.token or "").split(".")[1]) for c in known)
        job.have_usd = sum(c.proposed.usd for c in known)
        self._start(job, messages or [], self._desk.editable(task.champion))
        return job.expected

    # -- in the other thread

    def _run_loop(self) -> None:
        loop = self._loop
        assert loop is not None
        asyncio.set_event_loop(loop)
        self._caller = self._make_caller()
        try:
            loop.run_forever()
        finally:
            loop.run_until_complete(_cancelled(asyncio.all_tasks(loop)))
            loop.close()

    async def _work(self, job: _Job, conversation: Conversation) -> None:
        assert self._caller is not None
        notes: tuple[str, ...] = ()
        try:
            job.outcome = await conversation.hold(self._caller)
            self._useless = 0 if job.outcome.usable else self._useless + 1
            if self._useless >= USELESS_ANSWERS:
                raise CallError(f"the last {self._useless} answers held nothing that can be used: {job.outcome.problems[0]}")
            notes = self._outage.over()
        except CallError as error:
            notes = self._outage.failed(error, time.monotonic())
        except Exception as error:  # noqa: BLE001  a task that dies unheard would leave the campaign waiting for it
            said = f"{self._key(job)}: {type(error).__name__}: {one_line(self._redaction.of(str(error)), 300)}"
            notes = self._outage.failed(CallError(said), time.monotonic())
        proposals = tuple(self._proposals(job))
        self._deliver(Delivery(self.name, job.expected, proposals, notes, self._outage.given_up, job.exchange.name))

    def _proposals(self, job: _Job) -> list[Proposal | ProposalError]:
        """What the answer holds and the journal has not; what it cost is shared among them."""
        outcome = job.outcome
        if not outcome.replies:
            return []
        new = [(index, draft) for index, draft in enumerate(outcome.drafts) if index not in job.have]
        usd = max(0.0, outcome.usd - job.have_usd) / max(1, len(new))
        if not outcome.drafts:
            return [self._unusable(job, usd)]
        return [self._proposal(job, index, draft, usd) for index, draft in new]

    def _proposal(self, job: _Job, index: int, draft: Draft, usd: float) -> Proposal | ProposalError:
        change = draft.expected_change
        proposal = Proposal(
            draft.hypothesis or f"{self._key(job)}: without a hypothesis",
            tuple(draft.edits),
            parents=job.task.parents,
            token=f"{job.exchange.name}.{index}.{job.task.kind}",
            usd=usd,
            against=job.task.champion,
            model=job.outcome.model,
            family=draft.family,
            expected_effect=change if change is None or self._minimize else -change,
        )
        if not draft.problems:
            return proposal
        reason = f"{self._key(job)}: {'; '.join(one_line(problem, 400) for problem in draft.problems)}"
        return ProposalError(proposal.description, reason, replace(proposal, edits=()))

    def _unusable(self, job: _Job, usd: float) -> ProposalError:
        said = f"{self._key(job)}: an answer without a candidate"
        stands_for = Proposal(
            said, (), parents=job.task.parents, token=f"{job.exchange.name}.-1.{job.task.kind}", usd=usd,
            against=job.task.champion, model=job.outcome.model,
        )  # fmt: skip
        return ProposalError(said, f"{self._key(job)}: {job.outcome.problem}", stands_for)


async def _cancelled(tasks: Collection[asyncio.Task[object]]) -> None:
    """End what is under way, litellm's own tasks included, without waiting for a server."""
    for task in tasks:
        task.cancel()
    if tasks:
        await asyncio.wait(tasks, timeout=CLOSING_S)


def _exchange_of(candidate: Candidate, proposer: str) -> str | None:
    """Which exchange a candidate of this proposer came from: tokens read `x000012.0.explore`."""
    return (candidate.proposed.token or "").split(".")[0] if candidate.proposed.proposer == proposer else None
