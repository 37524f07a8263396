"""A model's answer into candidates: what is read, what is ignored, and what is said about the rest."""

from __future__ import annotations

import pytest

from orchestrator.edits import Edit
from orchestrator.proposers.llm.answers import MOST_CANDIDATES, MOST_CHARS, Draft, family, parse
from orchestrator.proposers.llm.checks import aligned, problems_of
from orchestrator.scope import Scope

HEAD = "HYPOTHESIS: deeper is better\nEXPECTED: -0.004\nFAMILY: Architecture\n\n"
BLOCK = "<<<<<<< SEARCH\nDEPTH = 4\n=======\nDEPTH = 6\n>>>>>>> REPLACE\n"
TEXTS = {"train.py": "LR = 0.1\nDEPTH = 4\n", "model.py": "X = 1\nX = 1\n"}
DEEPER = Edit("train.py", search="DEPTH = 4\n", replace="DEPTH = 6\n")


def only(text: str, editable: tuple[str, ...] = ("train.py", "model.py")) -> Draft:
    answer = parse(text, editable)
    assert answer.problem is None
    assert len(answer.drafts) == 1
    return answer.drafts[0]


def test_a_candidate_is_its_three_lines_and_its_blocks() -> None:
    draft = only(f"{HEAD}train.py\n{BLOCK}")
    assert (draft.hypothesis, draft.expected_change, draft.family) == ("deeper is better", -0.004, "architecture")
    assert draft.edits == [DEEPER]
    assert draft.problems == []


@pytest.mark.parametrize(
    "text",
    [
        f"Sure! Here it is.\n\n{HEAD}train.py\n{BLOCK}\nI hope that helps.",
        f"{HEAD}**train.py**\n```python\n{BLOCK}```\n",
        f"{HEAD}```python\ntrain.py\n{BLOCK}```\n",
        f"{HEAD}`train.py`:\n\n{BLOCK}",
        f"{HEAD}### File: ./train.py\n{BLOCK}",
        f"**HYPOTHESIS:** deeper is better\n**EXPECTED:** −0.004\n- FAMILY: architecture\ntrain.py\n{BLOCK}",
        f"{HEAD}train.py\n{BLOCK}".replace("\n", "\r\n"),
    ],
    ids=["prose around", "aider's fence", "path in the fence", "code mark", "heading", "markdown keys", "Windows line ends"],
)
def test_what_models_put_around_it_is_ignored(text: str) -> None:
    draft = only(text)
    assert draft.edits == [DEEPER]
    assert (draft.hypothesis, draft.expected_change, draft.family) == ("deeper is better", -0.004, "architecture")


def test_further_blocks_belong_to_the_file_before_and_a_single_file_need_not_be_named() -> None:
    second = BLOCK.replace("DEPTH", "WIDTH")
    assert [edit.path for edit in only(f"{HEAD}model.py\n{BLOCK}{second}").edits] == ["model.py", "model.py"]
    assert [edit.path for edit in only(f"{HEAD}{BLOCK}", ("train.py",)).edits] == ["train.py"]
    assert "no line with a path" in only(f"{HEAD}{BLOCK}").problems[0]


def test_a_fenced_block_after_a_path_is_the_whole_file() -> None:
    text = f"{HEAD}docs/new.md\n````\n# Title\n```\ncode\n```\n````\n"
    assert only(text).edits == [Edit("docs/new.md", content="# Title\n```\ncode\n```\n")]


def test_an_empty_search_makes_a_new_file_and_never_overwrites_one() -> None:
    block = "<<<<<<< SEARCH\n=======\nY = 2\n>>>>>>> REPLACE\n"
    assert only(f"{HEAD}other.py\n{block}").edits == [Edit("other.py", content="Y = 2\n")]
    assert "search text is empty" in only(f"{HEAD}train.py\n{block}").problems[0]


def test_an_empty_replacement_deletes_the_lines() -> None:
    draft = only(f"{HEAD}train.py\n<<<<<<< SEARCH\nDEPTH = 4\n=======\n>>>>>>> REPLACE\n")
    assert draft.edits == [Edit("train.py", search="DEPTH = 4\n", replace="")]


def test_one_answer_may_hold_several_candidates() -> None:
    answer = parse(f"{HEAD}train.py\n{BLOCK}\nHYPOTHESIS: wider\nmodel.py\n{BLOCK}", tuple(TEXTS))
    assert [draft.hypothesis for draft in answer.drafts] == ["deeper is better", "wider"]
    assert [draft.edits[0].path for draft in answer.drafts] == ["train.py", "model.py"]
    many = parse(f"{HEAD}train.py\n{BLOCK}" * 30, tuple(TEXTS))
    assert len(many.drafts) == MOST_CANDIDATES


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "empty"),
        ("  \n\n", "empty"),
        ("I think that we should make it deeper.", "holds no edit"),
        ("I'm sorry, but I can't help with that.", "holds no edit"),
        ("x" * (MOST_CHARS + 1), "at most"),
    ],
)
def test_an_answer_without_a_candidate_says_why(text: str, said: str) -> None:
    answer = parse(text, tuple(TEXTS))
    assert answer.drafts == ()
    assert said in str(answer.problem)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (f"{HEAD}train.py\n<<<<<<< SEARCH\nDEPTH = 4\n", "line 6: the block that begins here has no line `=======`"),
        (f"{HEAD}train.py\n<<<<<<< SEARCH\nDEPTH = 4\n=======\nDEPTH = 6\n", "no line `>>>>>>> REPLACE`"),
        (f"{HEAD}train.py\n<<<<<<< SEARCH\nDEPTH = 4\n>>>>>>> REPLACE\n", "no line `=======`"),
        (f"{HEAD}train.py\n```\nDEPTH = 6\n", "no closing ```"),
        (f"{HEAD}Let us see.", "no edit follows"),
        (f"train.py\n{BLOCK}", "HYPOTHESIS"),
        (f"HYPOTHESIS:\ntrain.py\n{BLOCK}", "HYPOTHESIS"),
        (f"{HEAD}=======\nDEPTH = 6\n>>>>>>> REPLACE\n", "without <<<<<<< SEARCH"),
    ],
)
def test_a_broken_block_is_named_with_its_line(text: str, said: str) -> None:
    assert any(said in problem for problem in only(text).problems)


def test_what_is_no_number_is_no_expectation() -> None:
    assert Draft("x", "about 2 %").expected_change is None
    assert Draft("x", "small").expected_change is None
    assert Draft("x", None).expected_change is None
    assert Draft("x", "-3e-3 val_bpb").expected_change == -0.003


def test_families_add_up_however_they_are_written() -> None:
    assert family(" **Optimizer** ") == family("optimiser") == "optimiser"
    assert family("!!") is None


def checked(text: str) -> list[str]:
    draft = only(text)
    draft.edits = aligned(draft.edits, TEXTS)
    return problems_of(draft, TEXTS, (*TEXTS, "prepare.py"), Scope(("*.py", "!prepare.py"), frozenset({"prepare.py"})))


def edit(path: str, search: str, replace: str) -> str:
    return f"{HEAD}{path}\n<<<<<<< SEARCH\n{search}\n=======\n{replace}\n>>>>>>> REPLACE\n"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        (edit("prepare.py", "a", "b"), "out of scope"),
        (edit("../evil.py", "a", "b"), "../evil.py"),
        (edit("trian.py", "LR = 0.1", "LR = 0.2"), "did you mean train.py?"),
        (edit("train.py", "LR = 0.7", "LR = 0.2"), "not found"),
        (edit("model.py", "X = 1", "X = 2"), "found 2 times"),
        (edit("train.py", "LR = 0.1", "LR = = 2"), "train.py"),
        (edit("train.py", "LR = 0.1", "LR = 0.1"), "change nothing"),
    ],
)
def test_what_the_gates_would_refuse_is_said_to_the_model_first(text: str, said: str) -> None:
    assert said in " ".join(checked(text))


def test_the_exact_text_may_be_a_part_of_a_line() -> None:
    assert checked(edit("train.py", "0.1", "0.2")) == []
    assert checked(edit("train.py", "LR = 0.1", "LR = 0.2")) == []
