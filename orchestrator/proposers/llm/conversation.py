"""One task with a model: the question, its answer, and, where that cannot be used, one chance to mend it.

Each answer is on disk before it is looked at. Held again after a kill, answers that are on disk are taken from there and only
what is missing is asked for; so it is when a night is played again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from orchestrator.proposers.llm import prompts
from orchestrator.proposers.llm.answers import MOST_CHARS, Draft, parse
from orchestrator.proposers.llm.calls import Caller, CallError
from orchestrator.proposers.llm.checks import aligned, problems_of
from orchestrator.proposers.llm.record import Exchange, Message, Reply, Task
from orchestrator.proposers.redaction import Redaction
from orchestrator.scope import Scope
from orchestrator.views.plain import one_line

CALLS = 2  # the question and one repair


@dataclass(frozen=True, slots=True)
class Outcome:
    """What came of a task: candidates, those that cannot be used among them with their problems."""

    drafts: tuple[Draft, ...] = ()
    problem: str | None = None  # why there is no candidate at all
    replies: tuple[Reply, ...] = field(default=())

    @property
    def usd(self) -> float:
        return sum(reply.usd for reply in self.replies)

    @property
    def model(self) -> str | None:
        return self.replies[-1].model if self.replies else None

    @property
    def usable(self) -> bool:
        return any(not draft.problems for draft in self.drafts)

    @property
    def problems(self) -> list[str]:
        return [self.problem] if self.problem else [problem for draft in self.drafts for problem in draft.problems]


@dataclass(frozen=True, slots=True)
class Conversation:
    exchange: Exchange
    task: Task
    messages: list[Message]
    texts: Mapping[str, str]  # the files that the model was shown
    files: tuple[str, ...]  # every path of the commit that it was shown
    scope: Scope
    redaction: Redaction
    may_go_on: Callable[[float], bool]  # whether the money allows another call beside the dollars spent on this task
    costs: Callable[[float, bool], None]  # what it has cost by now, and whether another call is coming

    async def hold(self, caller: Caller) -> Outcome:
        """Raises `CallError` where no model answered the first question."""
        if self.exchange.task() is None:
            self.exchange.begin(self.task)
        messages = self.messages
        replies: list[Reply] = []
        outcome = Outcome()
        for nth in range(1, CALLS + 1):
            try:
                reply = await self._reply(nth, messages, caller)
            except CallError:
                if not replies:
                    raise
                break  # the repair failed: what there is must do
            replies.append(reply)
            outcome = replace(self._read(reply), replies=tuple(replies))
            more = nth < CALLS and not outcome.usable and self.may_go_on(outcome.usd)
            self.costs(outcome.usd, more)
            if not more:
                break
            messages = prompts.repair(messages, reply.text, outcome.problems)
        self.exchange.end(len(outcome.drafts) or 1)
        return outcome

    async def _reply(self, nth: int, messages: list[Message], caller: Caller) -> Reply:
        stored = self.exchange.answered(nth)
        if stored is not None:
            return stored
        if self.task.of_run is not None:
            played = Exchange(Path(self.task.of_run)).answered(nth)
            if played is None:
                raise CallError(f"{self.task.of_run}: has no answer {nth}", permanent=True)
            reply = replace(played, usd=0.0)
        else:
            self.exchange.ask(nth, messages)
            try:
                reply = await caller.call(messages)
            except CallError as error:
                self.exchange.fail(nth, error.reason)
                raise
        if len(reply.text) > MOST_CHARS:
            note = f"\n[… {len(reply.text) - MOST_CHARS:,} characters more …]"
            reply = replace(reply, text=reply.text[:MOST_CHARS] + note)  # one sign too long: it is refused when read again
        self.exchange.answer(nth, reply, played=self.task.of_run is not None)
        return reply

    def _read(self, reply: Reply) -> Outcome:
        answer = parse(reply.text, self.texts)
        if answer.problem is not None:
            return Outcome(problem=self._with_reason(answer.problem, reply))
        for draft in answer.drafts:
            draft.hypothesis = one_line(draft.hypothesis, 300)
            draft.edits = aligned(draft.edits, self.texts)
            draft.problems = problems_of(draft, self.texts, self.files, self.scope)
        return Outcome(answer.drafts)

    def _with_reason(self, problem: str, reply: Reply) -> str:
        """Why an answer holds nothing, where its server says so; and how it begins: a refusal tells."""
        if reply.finish_reason == "length":
            problem = f"{problem} (it was cut off at {reply.completion_tokens:,} tokens: proposers[].max_tokens)"
        elif reply.finish_reason == "content_filter":
            problem = f"{problem} (its server's content filter ended it)"
        begins = one_line(reply.text, 120)
        return f"{problem}; it begins: {begins}" if begins else problem
