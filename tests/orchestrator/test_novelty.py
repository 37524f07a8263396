"""What is taken for the same change, and which earlier tries keep a new one from a GPU."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import events as ev
from orchestrator.edits import Edit
from orchestrator.events import Evidence, Purpose, Verdict
from orchestrator.ledger import Ledger
from orchestrator.novelty import Tried, change_fingerprint
from workers.trial import Outcome

TRAIN = '''"""Doc."""
LR = 0.02
WARMUP = 0.1  # share of the budget

class Block:
    def forward(self, x):
        x = x + self.attn(norm(x))
        x = x + self.mlp(norm(x))
        return x

def schedule(progress):
    if progress < WARMUP:
        return progress / WARMUP
    return 1.0
'''


def change(old: str | None, new: str | None, path: str = "train.py") -> str:
    return change_fingerprint({path: (old, new)})


def edited(search: str, replace: str, base: str = TRAIN) -> str:
    """The fingerprint of one edit of `base`."""
    assert base.count(search) == 1
    return change(base, base.replace(search, replace))


# -- the same change


@pytest.mark.parametrize(
    "champion",
    [
        TRAIN.replace("WARMUP = 0.1 ", "WARMUP = 0.2 "),
        TRAIN.replace("self.mlp", "self.experts"),
        TRAIN.replace("class Block", "import math\n\nclass Block"),
        TRAIN.replace('"""Doc."""\n', "# another beginning\n"),
        TRAIN + "\nprint('more')\n",
    ],
)
def test_one_edit_on_two_champions_is_one_change(champion: str) -> None:
    assert edited("LR = 0.02", "LR = 0.04") == edited("LR = 0.02", "LR = 0.04", champion)


@pytest.mark.parametrize("spelling", ["4e-2", "0.040", "(.04)", "0.04  # twice as fast"])
def test_a_change_in_another_spelling_is_one_change(spelling: str) -> None:
    assert edited("LR = 0.02", "LR = 0.04") == edited("LR = 0.02", f"LR = {spelling}")


@pytest.mark.parametrize(
    ("search", "replace"),
    [
        ("LR = 0.02", "LR = 0.05"),
        ("LR = 0.02", "LR = 0.04; WARMUP = 0.3"),
        ("WARMUP = 0.1", "WARMUP = 0.04"),
        ("LR = 0.02", "LR = 2 * 0.02"),
    ],
)
def test_another_change_is_another(search: str, replace: str) -> None:
    assert edited(search, replace) != edited("LR = 0.02", "LR = 0.04")


CALL = "optimiser = Muon(params, lr=0.02, momentum=0.95, betas=(0.8, 0.95))\n"


def test_one_constant_of_a_statement_is_one_change_whatever_its_others_are_by_now() -> None:
    later = CALL.replace("0.02", "0.04")
    assert edited("momentum=0.95", "momentum=0.90", CALL) == edited("momentum=0.95", "momentum=0.90", later)
    assert edited("momentum=0.95", "momentum=0.90", CALL) != edited("0.8, 0.95", "0.8, 0.90", CALL)
    assert edited("momentum=0.95", "momentum=0.90", CALL) != edited(
        "Muon(params, lr=0.02, momentum=0.95", "Adam(params, lr=0.02, momentum=0.90", CALL
    )


def test_a_statement_of_another_form_hides_a_change_of_its_constants() -> None:
    later = CALL.replace("lr=0.02, ", "")
    assert edited("momentum=0.95", "momentum=0.90", CALL) != edited("momentum=0.95", "momentum=0.90", later)


def test_the_same_constant_of_the_second_such_statement_is_another_change() -> None:
    two = "a = f(1)\nb = 0\na = f(2)\n"
    assert change(two, two.replace("f(1)", "f(3)")) != change(two.replace("f(2)", "f(1)"), "a = f(1)\nb = 0\na = f(3)\n")


def test_a_change_from_another_value_is_another() -> None:
    assert edited("LR = 0.02", "LR = 0.04") != change(TRAIN.replace("0.02", "0.03"), TRAIN.replace("0.02", "0.04"))


def test_the_same_line_in_another_place_is_another_change() -> None:
    first = edited("        x = x + self.attn(norm(x))", "        x = norm(x)\n        x = x + self.attn(norm(x))")
    second = edited("        x = x + self.mlp(norm(x))", "        x = norm(x)\n        x = x + self.mlp(norm(x))")
    assert first != second


def test_one_of_several_like_lines_is_told_from_the_others() -> None:
    two = "def a():\n    x = 1\n    y = 0\n    x = 1\n"
    assert change(two, two.replace("    x = 1\n    y", "    x = 2\n    y")) != change(
        two, two.replace("y = 0\n    x = 1", "y = 0\n    x = 2")
    )


def test_the_same_statement_in_another_function_is_another_change() -> None:
    two = "def a():\n    x = 1\n\ndef b():\n    x = 1\n"
    first = change(two, two.replace("def a():\n    x = 1", "def a():\n    x = 2"))
    assert first != change(two, two.replace("def b():\n    x = 1", "def b():\n    x = 2"))


def test_a_change_in_a_loop_s_else_is_not_one_in_its_body() -> None:
    body = change("for i in a:\n    f()\nelse:\n    g()\n", "for i in a:\n    f()\n    h()\nelse:\n    g()\n")
    other = change("for i in a:\n    f()\nelse:\n    g()\n", "for i in a:\n    f()\nelse:\n    h()\n    g()\n")
    assert body != other


def test_a_deleted_file_is_not_an_emptied_one() -> None:
    assert change("x = 1", None) != change("x = 1", "")
    assert change(None, "x = 1") != change("", "x = 1")


def test_where_the_program_stays_the_same_there_is_no_change() -> None:
    assert change(TRAIN, TRAIN.replace("# share of the budget", "# a tenth")) == ""
    assert edited("LR = 0.02", "LR = 0.04") == change_fingerprint(
        {"train.py": (TRAIN, TRAIN.replace("0.02", "0.04")), "notes.md": ("a\n", "a  \n")}
    )


def test_files_that_are_not_python_are_compared_by_lines() -> None:
    assert change("a: 1\nb: 2\n", "a: 1\nb: 3\n", "c.yaml") == change("a: 5\nb: 2\n", "a: 5\nb: 3  \n", "c.yaml")
    assert change("a: 1\nb: 2\n", "a: 1\nb: 3\n", "c.yaml") != change("a: 1\nb: 2\n", "a: 3\nb: 2\n", "c.yaml")


def test_the_fingerprint_of_a_change_stays_the_same_from_version_to_version() -> None:
    """Journals hold them: another normal form would let in again what was clearly worse."""
    assert edited("LR = 0.02", "LR = 0.04") == "3849596ebaa91f8efeb106a097784a2213f0050184444d8cd5e9105a1406c3fa"


LINES = st.lists(st.sampled_from(["x = 1", "y = 2", "def f():\n    x = 1", "if x:\n    y = 2\nelse:\n    x = 3"]), max_size=8)


@given(LINES, LINES, LINES)
def test_two_results_on_one_base_are_one_change_exactly_when_they_are_one_program(
    base: list[str], one: list[str], other: list[str]
) -> None:
    texts = ["\n".join(lines) for lines in (base, one, other)]
    assert (change(texts[0], texts[1]) == change(texts[0], texts[2])) == (texts[1] == texts[2])


# -- how it went


class Campaign:
    """A ledger in which candidates change x; their program and change are named by the test."""

    def __init__(self) -> None:
        self.ledger = Ledger("m")
        self.tell(ev.CampaignOpened("name", "base", "here", "command", 0, 10), ev.HeadStarted(1, "host", 0, "none"))

    def tell(self, *events: ev.Event) -> None:
        for event in events:
            self.ledger.apply(event, 0.0)

    def admitted(self, name: str, base: str = "base", change: str = "a change") -> None:
        self.tell(ev.Proposed(name, "replay", name, (Edit("x", content="1"),)))
        self.tell(ev.Admitted(name, f"{name}@{base}", base, 1, f"a program on {base}", change))

    def decided(
        self, name: str, verdict: Verdict, effect: float | None = None, stderr: float = 0.0004, reason: str = "so"
    ) -> None:
        commit = self.ledger.candidates[name].commit or ""
        trial = f"t{len(self.ledger.trials) + 1:06d}"
        self.tell(ev.TrialStarted(trial, Purpose.RACE, commit, (name,), 1, "w0"))
        self.tell(ev.TrialEnded(trial, 1, Outcome.OK, None, {"m": 1.0}, {}, 1.0, None, "w0", "cpu", 0.0, 1.0, "f"))
        evidence = None
        if effect is not None:
            evidence = Evidence(1 + effect, 2, 1.0, 4, effect, stderr, 0.001, 9, 0.1, 400.0, 0.99, 0.02, "calibrated")
        self.tell(ev.CandidateDecided(name, verdict, reason, evidence))

    def keep(self, name: str, champion: str = "later") -> None:
        assert self.ledger.champion is not None
        before = self.ledger.champion.commit
        self.decided(name, Verdict.WON, -0.01)
        self.tell(ev.StackBuilt(f"s-{name}", before, f"tip-{name}", (name,), (f"tip-{name}",)))
        self.tell(ev.StackDecided(f"s-{name}", True, "yes"))
        self.tell(ev.ChampionMoved(champion, before, (name,), (champion,), 0.99, None, 2, f"s-{name}"))

    def told(self, key: str, *, minimize: bool = True, on_earlier_champions: bool = True) -> str | None:
        return Tried(self.ledger, minimize=minimize, on_earlier_champions=on_earlier_champions).get(key)


def tried_earlier(verdict: Verdict, effect: float | None, stderr: float = 0.0004) -> Campaign:
    """c0012 made the change on the baseline; the champion has moved since."""
    campaign = Campaign()
    campaign.admitted("c0012")
    campaign.decided("c0012", verdict, effect, stderr)
    campaign.admitted("c0013", change="another change")
    campaign.keep("c0013")
    return campaign


def test_what_was_clearly_worse_on_an_earlier_champion_is_told_with_its_result() -> None:
    campaign = tried_earlier(Verdict.DISCARD, 0.003)
    said = "c0012, tried on an earlier champion: +0.00300 ± 0.00040, discarded (clearly worse)"
    assert campaign.told("a change") == said


@pytest.mark.parametrize(
    ("verdict", "effect", "stderr"),
    [
        (Verdict.INCONCLUSIVE, -0.003, 0.002),  # a near miss
        (Verdict.INCONCLUSIVE, 0.003, 0.0004),
        (Verdict.DISCARD, 0.003, 0.002),  # within the noise
        (Verdict.DISCARD, -0.003, 0.0004),
        (Verdict.DISCARD, 0.0, 0.0),
        (Verdict.DISCARD, None, 0.0),
        (Verdict.CRASH, None, 0.0),
    ],
)
def test_what_was_not_clearly_worse_on_an_earlier_champion_may_be_tried_again(
    verdict: Verdict, effect: float | None, stderr: float
) -> None:
    assert tried_earlier(verdict, effect, stderr).told("a change") is None


def test_worse_is_what_the_objective_says() -> None:
    assert tried_earlier(Verdict.DISCARD, 0.003).told("a change", minimize=False) is None
    assert tried_earlier(Verdict.DISCARD, -0.003).told("a change", minimize=False) is not None


def test_a_change_with_one_better_try_may_be_tried_again() -> None:
    campaign = tried_earlier(Verdict.DISCARD, 0.003)
    campaign.admitted("c0014", base="between")
    campaign.decided("c0014", Verdict.INCONCLUSIVE, -0.001)
    assert campaign.told("a change") is None


def test_what_is_still_measured_on_an_earlier_champion_is_waited_for() -> None:
    campaign = Campaign()
    campaign.admitted("c0012")
    campaign.admitted("c0013", change="another change")
    campaign.keep("c0013")
    assert campaign.told("a change") == "c0012, on an earlier champion: it is still being measured"


def test_what_was_kept_once_may_be_tried_again_where_it_is_no_longer_there() -> None:
    campaign = Campaign()
    campaign.admitted("c0001")
    campaign.keep("c0001")
    assert campaign.told("a change") is None
    assert campaign.ledger.champion is not None
    campaign.ledger.champion.commit = "base"  # undone, whichever event says so
    assert campaign.told("a program on base") is None


@pytest.mark.parametrize(
    ("verdict", "effect", "reason", "said"),
    [
        (Verdict.DISCARD, 0.00001, "so", "+0.00001 ± 0.00040, discarded"),
        (Verdict.INCONCLUSIVE, -0.002, "so", "-0.00200 ± 0.00040, left open"),
        (Verdict.CRASH, None, "exit status 1:\x1b[31m NameError\n", "crashed: exit status 1: NameError"),
        (Verdict.VIOLATION, None, "clock: late", "broke a rule: clock: late"),
    ],
)
def test_on_the_champion_as_it_is_nothing_is_tried_twice(
    verdict: Verdict, effect: float | None, reason: str, said: str
) -> None:
    campaign = Campaign()
    campaign.admitted("c0003")
    assert campaign.told("a program on base") == "c0003, on this champion: it is still being measured"
    campaign.decided("c0003", verdict, effect, reason=reason)
    assert campaign.told("a program on base") == f"c0003, on this champion: {said}"


def test_a_person_may_insist_on_another_champion_and_not_on_this_one() -> None:
    campaign = tried_earlier(Verdict.DISCARD, 0.003)
    assert campaign.told("a change", on_earlier_champions=False) is None
    campaign.admitted("c0014", base="later")
    assert campaign.told("a program on later", on_earlier_champions=False) is not None


def test_a_journal_of_before_changes_were_known_refuses_nothing_by_them() -> None:
    campaign = Campaign()
    campaign.admitted("c0012", change="")
    campaign.decided("c0012", Verdict.DISCARD, 0.003)
    campaign.admitted("c0013", change="")
    campaign.keep("c0013")
    assert campaign.told("") is None


def test_as_a_mapping_it_holds_what_it_tells() -> None:
    tried = Tried(tried_earlier(Verdict.DISCARD, 0.003).ledger, minimize=True)
    assert list(tried) == ["a change"]
    assert len(tried) == 1
