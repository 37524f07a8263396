"""A kept edit is taken out of the champion with what later keeps have gained left in; or not at all."""

from __future__ import annotations

from pathlib import Path

from campaign_repository import AT, with_files

from orchestrator import events as ev
from orchestrator.edits import Edit, apply_edits
from orchestrator.ledger import Ledger
from orchestrator.retesting import without
from workers.trial import Outcome

TEXT = "LR = 0.1\nWARM = 5\n\n\ndef f():\n    return LR\n\n\nDEPTH = 4\n"


class Kept:
    """A campaign that has kept one text of train.py after the other, each as its own move."""

    def __init__(self, tmp_path: Path, *texts: dict[str, str | None]) -> None:
        self.repository, base = with_files(tmp_path, {"train.py": TEXT})
        self.ledger = Ledger("m")
        self.tell(ev.CampaignOpened("n", base, "user", "command", 0, 9))
        self.tell(ev.HeadStarted(1, "here", 0, "none"))
        tip = base
        for nth, change in enumerate(texts, 1):
            tip = self.keep(f"c{nth:04d}", tip, change)

    def tell(self, event: ev.Event) -> None:
        self.ledger.apply(event, AT)

    def keep(self, name: str, tip: str, texts: dict[str, str | None]) -> str:
        commit = self.repository.commit(tip, texts, name, AT)
        self.tell(ev.Proposed(name, "replay", f"idea {name}", (Edit("train.py", search="a", replace="b"),)))
        self.tell(ev.Admitted(name, commit, tip, 1, name))
        self.tell(ev.WorkerChanged("w0", "here", "cpu", ev.WorkerState.IDLE))
        self.tell(ev.TrialStarted(f"t{name}", ev.Purpose.RACE, commit, (name,), 1, "w0"))
        self.tell(ev.TrialEnded(f"t{name}", 1, Outcome.OK, None, {"m": 1.0}, {}, 1.0, None, "w0", "cpu", AT, AT, "f"))
        self.tell(ev.CandidateDecided(name, ev.Verdict.WON, "better"))
        stack = f"s{name}"
        self.tell(ev.StackBuilt(stack, tip, commit, (name,), (commit,)))
        self.tell(ev.StackDecided(stack, True, "better"))
        self.tell(ev.ChampionMoved(commit, tip, (name,), (commit,), 1.0, None, 1, stack))
        return commit

    def texts_without(self, name: str) -> dict[str, str | None] | None:
        found = without(self.repository, self.ledger, name)
        if found is None:
            return None
        assert found.parents == (name,)
        assert f"idea {name}" in found.description
        assert self.ledger.champion is not None
        champion = self.ledger.champion.commit
        return apply_edits(found.edits, lambda path: self.repository.read(champion, path))


def test_the_last_keep_is_undone(tmp_path: Path) -> None:
    kept = Kept(tmp_path, {"train.py": TEXT.replace("0.1", "0.2")})
    assert kept.texts_without("c0001") == {"train.py": TEXT}


def test_what_later_keeps_have_gained_stays(tmp_path: Path) -> None:
    first = TEXT.replace("0.1", "0.2")
    kept = Kept(tmp_path, {"train.py": first}, {"train.py": first.replace("DEPTH = 4", "DEPTH = 8"), "new.py": "x = 1\n"})
    assert kept.texts_without("c0001") == {"train.py": TEXT.replace("DEPTH = 4", "DEPTH = 8")}
    assert kept.texts_without("c0002") == {"train.py": first, "new.py": None}


def test_what_later_keeps_were_built_on_is_left_in(tmp_path: Path) -> None:
    first = TEXT.replace("0.1", "0.2")
    kept = Kept(tmp_path, {"train.py": first}, {"train.py": first.replace("LR = 0.2", "LR = 0.2 * 3")})
    assert kept.texts_without("c0001") is None


def test_a_file_that_a_keep_brought_goes_with_it_unless_it_was_changed_since(tmp_path: Path) -> None:
    kept = Kept(tmp_path, {"new.py": "x = 1\n"}, {"new.py": "x = 2\n"})
    assert kept.texts_without("c0001") is None
    assert kept.texts_without("c0002") == {"new.py": "x = 1\n"}
