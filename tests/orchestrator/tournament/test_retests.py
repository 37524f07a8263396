"""Retests: kept edits go into columns that a block would leave empty; who goes first, and when again."""

from __future__ import annotations

from collections.abc import Sequence

from block_story import BlockStory, names, step
from resumable import settings
from test_block_plan import LATER

from orchestrator import events as ev
from orchestrator.candidate import RETEST
from orchestrator.edits import Edit
from orchestrator.events import BlockOpened, CandidateDecided, Evidence, Verdict
from orchestrator.tournament.decisions import Compose, Retest
from orchestrator.tournament.retests import AGAIN_AFTER, due

AUTO = settings(lanes="auto")


def story_with(kept: Sequence[float], waiting: int) -> BlockStory:
    """Kept ones by their p(no help), and candidates that wait on the champion."""
    story = BlockStory()
    champion = "base"
    for nth, p_null in enumerate(kept, 1):
        keep(story, f"k{nth:04d}", p_null, champion, champion := f"champion{nth}")
    for name in names(waiting):
        story.candidate(name, base=champion)
    return story


def keep(story: BlockStory, name: str, p_null: float, base: str, champion: str) -> None:
    story.measure(story.candidate(name, base=base), 0.9, names=(name,))
    won = Evidence(0.9, 4, 1.0, 4, -0.1, 1e-3, 1e-3, 50, 1e6, None, p_null, 0.02, "calibrated")
    story.tell(CandidateDecided(name, Verdict.WON, "better", won))
    story.measure(story.stack(f"s-{name}", name, base=base), 0.9, names=(name,))
    story.keeps(f"s-{name}", champion)


def without(story: BlockStory, kept: str) -> str:
    name = f"c{len(story.ledger.candidates) + 1000}"
    assert story.ledger.champion is not None
    base = story.ledger.champion.commit
    story.tell(ev.Proposed(name, RETEST, f"without {kept}", (Edit("x", content=name),), parents=(kept,)))
    story.tell(ev.Admitted(name, f"{name}@{base}", base, 1, name))
    return name


def next_step(story: BlockStory) -> object:
    """Everyone fits on everyone."""
    found = step(story, AUTO, now=LATER)
    while isinstance(found, Compose):
        story.tell(ev.Composed(found.base, found.candidates, found.candidates[: found.room]))
        found = step(story, AUTO, now=LATER)
    return found


def test_those_with_the_weakest_evidence_fill_the_columns_that_are_left() -> None:
    story = story_with(kept=(1e-6, 0.02, 1e-3), waiting=6)  # of 12 rows: 11 columns less three spare
    assert next_step(story) == Retest(("k0002", "k0003"))
    for kept in ("k0002", "k0003"):
        without(story, kept)
    opened = next_step(story)
    assert isinstance(opened, BlockOpened)
    assert opened.size == 12
    assert len(opened.candidates) == 8


def test_a_full_block_is_opened_without() -> None:
    story = story_with(kept=(0.02,), waiting=4)
    opened = next_step(story)
    assert isinstance(opened, BlockOpened)
    assert len(opened.candidates) == 4


def test_nothing_is_tried_without_before_anything_is_kept() -> None:
    assert isinstance(next_step(story_with(kept=(), waiting=6)), BlockOpened)


def test_it_is_tried_again_only_after_many_more_keeps() -> None:
    story = story_with(kept=(0.02,), waiting=0)
    without(story, "k0001")
    assert due(story.ledger, 9) == ()
    for nth in range(2, AGAIN_AFTER + 2):
        assert "k0001" not in due(story.ledger, 9)
        keep(story, f"k{nth:04d}", 1e-6, f"champion{nth - 1}", f"champion{nth}")
    assert "k0001" in due(story.ledger, 9)


def test_what_was_taken_out_is_not_tried_again_nor_its_own_taking_out() -> None:
    story = story_with(kept=(0.02,), waiting=0)
    retest = without(story, "k0001")
    story.measure(f"{retest}@champion1", 0.8, names=(retest,))
    story.tell(CandidateDecided(retest, Verdict.WON, "better without"))
    story.measure(story.stack("s-r", retest, base="champion1"), 0.8, names=(retest,))
    story.keeps("s-r", "champion-r")
    story.ledger.retested_at.clear()
    assert due(story.ledger, 9) == ()


def test_it_does_not_count_among_the_candidates_of_the_proposers() -> None:
    story = story_with(kept=(0.02,), waiting=2)
    before = story.ledger.proposed
    without(story, "k0001")
    assert story.ledger.proposed == before
