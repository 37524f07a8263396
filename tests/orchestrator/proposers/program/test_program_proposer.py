"""Programs of every kind, run for real: what becomes a proposal, what does not and why, and that nothing of them is left."""

from __future__ import annotations

import os
import queue
import re
import threading
import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
from campaign_repository import with_files
from workers_support import alive

from orchestrator.edits import apply_edits
from orchestrator.proposers.base import Brief, Delivery, Proposal, ProposalError, Result
from orchestrator.proposers.program.assignment import Assignment
from orchestrator.proposers.program.patience import MOST_IN_A_ROW
from orchestrator.proposers.program.proposer import Grounds, ProgramProposer
from orchestrator.scope import Scope

TRAIN = "".join(f"p{n} = {n}\n" for n in range(30)) + "rate = 0.5\n"


class Ground:
    """A campaign's repository, and proposers that work on it."""

    def __init__(self, path: Path) -> None:
        self.path = path
        repository, self.base = with_files(path, {"train.py": TRAIN, "extra.py": "e = 1\n", "prepare.py": "sealed = 1\n"})
        repository.close()
        self.repository = repository.path
        self.champion = self.base
        self.direction = "minimize"
        self.now = 0.0
        self.made: list[ProgramProposer] = []
        self.heard: set[str | None] = set()
        self.deliveries: queue.SimpleQueue[Delivery] = queue.SimpleQueue()
        self.asked = 0
        self.notes: list[str] = []
        self.ended: list[str] = []

    def proposer(
        self,
        command: str,
        *,
        timeout_s: float = 60.0,
        most: int = 1,
        env: Mapping[str, str] | None = None,
        globs: str = "train.py extra.py",
    ) -> ProgramProposer:
        environment = {**os.environ, **(env or {})}
        made = ProgramProposer(
            command, name="program", timeout_s=timeout_s, most_at_once=most, environment=environment, clock=lambda: self.now
        )
        scope = Scope(tuple(globs.split()), frozenset({"prepare.py"}))
        folder = self.path / "program"
        made.attach(Grounds(folder, self.repository, scope, lambda: self.heard, lambda: self.champion, self.assignment))
        self.asked += made.begin(self.deliveries.put)
        self.made.append(made)
        return made

    def assignment(self, brief: Brief) -> Assignment:
        return Assignment(brief.champion, "loss", self.direction, globs=("train.py", "extra.py"), editable=brief.editable)

    def request(self, proposer: ProgramProposer) -> None:
        brief = Brief(self.champion, lambda path: None, ("train.py", "extra.py"), (), 0, wanted=5)
        self.asked += proposer.request(brief)

    def outcomes(self, proposer: ProgramProposer, status: str | None = None) -> list[Proposal | ProposalError]:
        """Everything that is under way, once it has ended. `status`: how the gates end each proposal at once."""
        found: list[Proposal | ProposalError] = []
        while self.asked:
            delivery = self.deliveries.get(timeout=60)
            self.asked -= delivery.asked
            self.notes += delivery.notes
            found += delivery.proposals
            for each in delivery.proposals:
                if isinstance(each, Proposal):
                    self.heard.add(each.token)
                    if status is not None:
                        proposer.learn(Result("c0001", each.token, status, None, {}))
            proposer.taken(delivery)
        while not self.deliveries.empty():
            ended = self.deliveries.get().ended
            assert ended is not None
            self.ended.append(ended)
        return found

    def outcome(self, command: str, **options: object) -> Proposal | ProposalError:
        proposer = self.proposer(command, **options)  # type: ignore[arg-type]
        self.request(proposer)
        (found,) = self.outcomes(proposer)
        return found

    def proposal(self, command: str, **options: object) -> Proposal:
        found = self.outcome(command, **options)
        assert isinstance(found, Proposal), found
        return found

    def failure(self, command: str, **options: object) -> ProposalError:
        found = self.outcome(command, **options)
        assert isinstance(found, ProposalError), found
        return found


@pytest.fixture
def ground(tmp_path: Path) -> Iterator[Ground]:
    ground = Ground(tmp_path)
    yield ground
    for proposer in ground.made:
        proposer.close()
    assert not list(tmp_path.glob("program/*/worktree")), "a worktree is left"


def after(proposal: Proposal) -> dict[str, str | None]:
    return apply_edits(proposal.edits, {"train.py": TRAIN, "extra.py": "e = 1\n"}.get)


def wait_for(what: Callable[[], bool]) -> None:
    deadline, pause = time.monotonic() + 60, threading.Event()
    while not what():
        assert time.monotonic() < deadline, "it did not happen"
        pause.wait(0.005)


COSTS = """echo '{"total_cost_usd": 0.25}'"""
TUNE = "sed -i 's/p3 = 3/p3 = 4/' train.py"


# -- what becomes a proposal


def test_what_it_changed_in_scope_is_the_proposal_and_its_output_describes_it(ground: Ground) -> None:
    found = ground.proposal(f"{TUNE}; echo 'HYPOTHESIS: more of p3'; echo 'FAMILY: schedule'; " + COSTS)
    assert after(found) == {"train.py": TRAIN.replace("p3 = 3", "p3 = 4")}
    assert (found.description, found.family, found.usd) == ("more of p3", "schedule", 0.25)
    assert (found.against, found.token) == (ground.base, "program/0001")
    assert [edit.search for edit in found.edits] == ["p3 = 3\n"]


def test_a_commit_of_its_own_describes_it_and_the_file_outranks_that(ground: Ground) -> None:
    assert ground.proposal(f"{TUNE}; git commit -qam 'feat: tuned'").description == "feat: tuned"
    told = 'echo "by file" > "$REGATTA_DESCRIPTION"'
    assert ground.proposal(f"{TUNE}; git commit -qam 'feat: tuned'; {told}").description == "by file"


def test_without_any_word_the_files_describe_it(ground: Ground) -> None:
    assert ground.proposal(f"{TUNE}; echo x >> extra.py").description == "program: extra.py, train.py"


def test_it_finds_the_prompt_by_placeholder_by_variable_and_in_its_folder(ground: Ground) -> None:
    found = ground.proposal(
        f'set -e; {TUNE}; cmp {{prompt}} "$REGATTA_PROMPT"; cmp {{prompt}} .regatta/prompt.md; grep -q loss {{prompt}}; '
        'echo "HYPOTHESIS: $?"'
    )
    assert found.description == "0"


def test_it_runs_with_the_users_environment(ground: Ground) -> None:
    found = ground.proposal(f'{TUNE}; echo "HYPOTHESIS: $HOME $MY_SETTING"', env={"MY_SETTING": "mine"})
    assert found.description == f"{os.environ['HOME']} mine"


def test_files_may_be_added_and_deleted_in_scope(ground: Ground) -> None:
    found = ground.proposal("rm extra.py; echo 'n = 1' > new.py", globs="*.py")
    assert after(found) == {"extra.py": None, "new.py": "n = 1\n"}


def test_the_sign_of_what_it_expects_is_turned_where_larger_is_better(ground: Ground) -> None:
    ground.direction = "maximize"
    assert ground.proposal(f"{TUNE}; echo 'HYPOTHESIS: x'; echo 'EXPECTED: +0.5'").expected_effect == -0.5


def test_the_script_in_the_documentation_works(ground: Ground) -> None:
    document = (Path(__file__).parents[4] / "docs/agents.md").read_text()
    (ground.path / "tune.sh").write_text(re.findall(r"```sh\n(#!.*?)```", document, re.DOTALL)[0])
    found = ground.proposal(f"sh {ground.path}/tune.sh")
    assert after(found)["train.py"] in (TRAIN.replace("rate = 0.5", f"rate = {rate}") for rate in ("0.25", "1"))
    assert found.description in ("line 31 of train.py times 0.5", "line 31 of train.py times 2")


# -- scope


def test_changes_out_of_scope_are_left_out_and_told_to_a_person_and_to_the_next_run(ground: Ground) -> None:
    proposer = ground.proposer(
        f"{TUNE}; echo 1 >> prepare.py; echo junk > notes.md; echo 'HYPOTHESIS: x'; cp {{prompt}} {ground.path}/prompt"
    )
    for _ in range(2):
        ground.request(proposer)
        (found,) = ground.outcomes(proposer)
        assert isinstance(found, Proposal)
        assert set(after(found)) == {"train.py"}
        assert "prepare.py: out of scope" in ground.notes[-1]
        assert "notes.md: out of scope" in ground.notes[-1]
    assert "prepare.py: out of scope" in (ground.path / "prompt").read_text()


def test_changes_out_of_scope_alone_are_no_proposal_and_the_path_is_named(ground: Ground) -> None:
    found = ground.failure("echo 1 >> prepare.py; echo 'HYPOTHESIS: cheat'")
    assert found.description == "cheat"
    assert "prepare.py: out of scope; editable: train.py, extra.py" in found.reason


def test_the_tools_own_files_do_not_count_where_everything_may_be_edited(ground: Ground) -> None:
    found = ground.proposal(f"{TUNE}; echo x > .aider.chat.history.md; mkdir .tool; echo y > .tool/z", globs="*")
    assert set(after(found)) == {"train.py"}


# -- failures


def test_more_text_than_a_file_may_have_is_refused_also_in_many_files(ground: Ground) -> None:
    found = ground.failure("for n in 1 2 3; do head -c 900000 /dev/zero | tr '\\0' a > n$n.py; done", globs="*.py")
    assert "more than 2,000,000 bytes together" in found.reason


@pytest.mark.parametrize(
    ("command", "reason"),
    [
        ("echo about to fail; exit 3", "exit status 3; it last printed 'about to fail'"),
        ("true", "changed no file"),
        ("git commit -q --allow-empty -m nothing", "changed no file"),
        ("kill -SEGV $$", "SIGSEGV"),
        ("no_such_program_here", "exit status 127"),
        ("rm -f train.py; ln -s /etc/passwd train.py", "train.py: is a symbolic link"),
        ("printf 'a\\0b' > train.py", "train.py: is a binary file"),
        ("head -c 3000000 /dev/zero | tr '\\0' a > train.py", "train.py: has 3,000,000 bytes"),
        ('rm -rf "$PWD"', "removed its worktree"),
        ("echo \"k = '$SOME_API_KEY'\" > train.py", "train.py: holds the value of $SOME_API_KEY"),
        (f"{TUNE}; exit 1", "exit status 1; it printed nothing"),
    ],
)
def test_a_run_that_brings_nothing_says_why_in_one_line(ground: Ground, command: str, reason: str) -> None:
    found = ground.failure(command, env={"SOME_API_KEY": "sk-0123456789"})
    assert reason in found.reason
    assert "\n" not in found.reason
    assert "sk-0123456789" not in found.reason


def test_a_failure_still_has_its_cost_and_its_idea(ground: Ground) -> None:
    found = ground.failure("""echo 'HYPOTHESIS: idle'; echo '{"total_cost_usd": 0.5}'""")
    assert (found.stands_for.usd, found.description) == (0.5, "idle")


def test_more_files_than_an_edit_has_are_refused(ground: Ground) -> None:
    assert "changed 300 files" in ground.failure("for n in $(seq 300); do echo $n > n$n.py; done", globs="*.py").reason


def test_one_that_hangs_is_ended_with_all_its_processes_when_its_time_is_over(ground: Ground) -> None:
    marker = uuid.uuid4().hex
    waits = f"sh -c 'sleep 600; : {marker}'"
    hangs = f"{waits} & setsid {waits} & {TUNE}; echo waiting; {waits}"
    found = ground.failure(hangs, timeout_s=2.0)
    assert "ran for more than timeout_s (2 s) and was ended; it last printed 'waiting'" in found.reason
    assert alive(marker) == []


def test_processes_that_it_leaves_are_ended_and_its_edit_counts(ground: Ground) -> None:
    marker = uuid.uuid4().hex
    found = ground.proposal(f"setsid sh -c 'sleep 600; : {marker}' > /dev/null 2>&1 & {TUNE}")
    assert set(after(found)) == {"train.py"}
    assert alive(marker) == []


def test_a_flood_of_output_is_capped_and_its_end_is_still_read(ground: Ground) -> None:
    flood = "head -c 50000000 /dev/zero | tr '\\0' 'x'"
    assert ground.proposal(f"{TUNE}; {flood}; echo; echo 'HYPOTHESIS: loud'", timeout_s=60.0).description == "loud"
    assert (ground.path / "program/0001/output.txt").stat().st_size < 1_000_000


def test_it_cannot_ask_anybody_anything(ground: Ground) -> None:
    assert "exit status 1" in ground.failure("read answer || exit 1; sleep 600").reason
    assert "exit status 2" in ground.failure("echo 'go on?' > /dev/tty || exit 2").reason


def test_what_it_was_told_and_what_it_printed_is_kept_without_keys(ground: Ground) -> None:
    ground.proposal(
        f"{TUNE}; echo my key is $SOME_TOKEN; echo HYPOTHESIS: $SOME_TOKEN >&1", env={"SOME_TOKEN": "sk-0123456789"}
    )
    folder = ground.path / "program/0001"
    assert (folder / "output.txt").read_text() == "my key is [redacted]\nHYPOTHESIS: [redacted]\n"
    assert "Make `loss` smaller" in (folder / "prompt.md").read_text()


# -- several, in a row and at a time


def test_asking_does_not_wait_and_several_work_at_a_time(ground: Ground) -> None:
    met = f'echo x > "{ground.path}/$$.here"; while [ $(ls {ground.path}/*.here | wc -l) -lt 3 ]; do sleep 0.01; done'
    proposer = ground.proposer(f'{met}; sed -i "s/p3 = 3/p3 = $$/" train.py', most=3)
    for _ in range(3):
        assert proposer.ready()
        ground.request(proposer)
    assert not proposer.ready()
    found = ground.outcomes(proposer)
    assert len({each.token for each in found if isinstance(each, Proposal)}) == 3


def fail(ground: Ground, proposer: ProgramProposer, until: Callable[[], bool], status: str | None = None) -> int:
    runs = 0
    while not until() and runs < 20:
        while not proposer.ready():
            ground.now += 1.0
        ground.request(proposer)
        ground.outcomes(proposer, status)
        runs += 1
    return runs


def test_failures_in_a_row_are_paused_for_and_end_it_with_the_reason(ground: Ground) -> None:
    proposer = ground.proposer("echo broken; exit 1")
    assert fail(ground, proposer, lambda: bool(ground.ended)) == MOST_IN_A_ROW
    assert "6 failures in a row, lastly: exit status 1; it last printed 'broken'" in ground.ended[0]
    assert ground.now >= 1 + 2 + 4 + 8 + 16
    ground.now += 1e6
    assert not proposer.ready()


def test_it_ends_once_nothing_of_it_is_under_way(ground: Ground) -> None:
    first, go = ground.path / "first", ground.path / "go"
    proposer = ground.proposer(f"mkdir {first} || exit 1; while ! test -e {go}; do sleep 0.02; done; {TUNE}", most=2)
    ground.request(proposer)
    wait_for(first.exists)
    for _ in range(MOST_IN_A_ROW):
        ground.now += 100.0
        ground.request(proposer)
        proposer.taken(ground.deliveries.get(timeout=60))
    assert not proposer.ready()
    assert ground.deliveries.empty()
    go.touch()
    ground.asked = 1
    (found,) = ground.outcomes(proposer)
    assert isinstance(found, Proposal)
    assert "6 failures in a row" in ground.ended[0]


def test_one_that_is_told_to_wait_is_not_given_up(ground: Ground) -> None:
    proposer = ground.proposer("echo 'usage limit reached'; exit 1")
    assert fail(ground, proposer, lambda: ground.now > 3600) > MOST_IN_A_ROW
    assert ground.ended == []


def test_the_same_edit_again_and_again_is_a_failure_once_nothing_of_it_is_measured(ground: Ground) -> None:
    proposer = ground.proposer(TUNE)
    assert fail(ground, proposer, lambda: bool(ground.ended), "rejected") == MOST_IN_A_ROW
    assert "was not measured" in ground.ended[0]


def test_a_refusal_that_is_heard_later_counts_as_well(ground: Ground) -> None:
    proposer = ground.proposer(TUNE)
    assert proposer.ready()
    ground.request(proposer)
    (found,) = ground.outcomes(proposer)
    assert isinstance(found, Proposal)
    assert proposer.ready()
    proposer.learn(Result("c0001", found.token, "conflict", None, {}))
    assert not proposer.ready()


def test_a_champion_that_moved_is_tried_at_once(ground: Ground) -> None:
    proposer = ground.proposer("exit 1")
    assert proposer.ready()
    ground.request(proposer)
    ground.outcomes(proposer)
    assert not proposer.ready()
    ground.champion = "another"
    assert proposer.ready()


@pytest.mark.parametrize("how", ["close", "wind_up"])
def test_what_runs_is_called_off_and_leaves_nothing(ground: Ground, how: str) -> None:
    marker = uuid.uuid4().hex
    proposer = ground.proposer(f"touch {ground.path}/started; sh -c 'sleep 600; : {marker}'")
    ground.request(proposer)
    wait_for((ground.path / "started").exists)
    getattr(proposer, how)()
    assert ground.outcomes(proposer) == []
    assert alive(marker) == []
    assert ground.ended == []
    assert proposer.ready()


def test_a_proposal_that_no_head_has_heard_of_is_not_paid_for_again(ground: Ground) -> None:
    first = ground.proposal(f"{TUNE}; echo 'HYPOTHESIS: x'; " + COSTS)
    ground.heard.clear()
    after_a_crash = ground.proposer("true")
    assert ground.asked == 1
    assert ground.outcomes(after_a_crash) == [first]
    ground.proposer("true")
    assert ground.asked == 0, "the journal has it by now"


def test_leftovers_of_a_killed_head_are_swept_and_numbers_go_on(ground: Ground) -> None:
    (ground.path / "program/0007/worktree/x").mkdir(parents=True)
    assert ground.proposal(TUNE).token == "program/0008"
