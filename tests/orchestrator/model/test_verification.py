"""What is believed of the process that runs champions, and what is made of both processes' words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from orchestrator.model.errors import ModelUseError
from orchestrator.model.verification import Verification, report_of, verification
from orchestrator.model.verify import verify
from orchestrator.views.model import verification_text

TALLY = {"replaced": 3, "copied": 1, "left": {"not along the last dimension": 2}}
ALL = {"targets": ["matmul", "softmax"], "why": None, "tallies": {"matmul": TALLY, "softmax": TALLY}}
ONE = {"targets": ["matmul"], "why": None, "tallies": {"matmul": TALLY}}
OTHER = {"targets": ["softmax"], "why": "kernel_fn raised", "tallies": {}}
REPORT = {"mark": [1.0], "variants": [ALL, ONE, OTHER], "times_ms": {"as_it_is": [2.0, 3.0, 9.0], "replaced": [1.5, 1.0, 2.0]}}
RIGHT = {"reason": None, "norm": 1e-6, "worst": 2e-6}
VERDICT = {"oracle": "the model in fp64", "own": {"norm": 1e-6, "worst": 1e-6}, "variants": {"0": RIGHT, "1": RIGHT}}


def found(report: Any = REPORT, verdict: Any = VERDICT) -> Verification:
    known = report_of(report, ("matmul", "softmax"))
    assert known is not None
    return verification(known, verdict, ("matmul", "softmax"), {"mine": "not known"}, "cuda", "a GPU")


@pytest.mark.parametrize(
    "report",
    [
        [],
        {},
        {**REPORT, "mark": "1"},
        {**REPORT, "variants": [ALL, ONE]},
        {**REPORT, "variants": [ALL, OTHER, ONE]},
        {**REPORT, "variants": [{**ALL, "tallies": {"matmul": {**TALLY, "replaced": "many"}}}, ONE, OTHER]},
        {**REPORT, "times_ms": {"replaced": ["soon"]}},
    ],
)
def test_a_report_of_another_form_is_none(report: object) -> None:
    assert report_of(report, ("matmul", "softmax")) is None


def test_the_time_is_a_ratio_of_medians_and_whoever_failed_is_named() -> None:
    whole = found()
    assert (whole.as_it_is_ms, whole.replaced_ms, whole.ratio) == (3.0, 1.5, 2.0)
    assert [each.wrong for each in whole.parts] == [None, "kernel_fn raised"]
    assert not whole.succeeded
    text = verification_text(whole, "m.py", "runs/mine")
    assert "2 times as fast (medians, interleaved)" in text
    assert "matmul: 2 not replaced: not along the last dimension" in text
    assert "matmul: 1 operand copied" in text
    assert "mine is left out: not known" in text
    assert text.endswith("WRONG: softmax: kernel_fn raised")


def test_outputs_that_are_wrong_only_together_are_wrong() -> None:
    fine = {**OTHER, "why": None, "tallies": {"softmax": TALLY}}
    verdicts = {"0": {**RIGHT, "reason": "too far"}, "1": RIGHT, "2": RIGHT}
    whole = found({**REPORT, "variants": [ALL, ONE, fine]}, {**VERDICT, "variants": verdicts})
    assert not whole.succeeded
    assert "WRONG: all together, and none alone: too far" in verification_text(whole, "m.py", "runs/mine")


def test_champions_that_were_never_called_are_not_right() -> None:
    none = {"replaced": 0, "copied": 0, "left": {}}
    idle = [{**each, "why": None, "tallies": dict.fromkeys(each["targets"], none)} for each in (ALL, ONE, OTHER)]
    whole = found({**REPORT, "variants": idle}, {**VERDICT, "variants": {"0": RIGHT, "1": RIGHT, "2": RIGHT}})
    assert not whole.succeeded
    assert "NOTHING WAS REPLACED" in verification_text(whole, "m.py", "runs/mine")


def test_a_model_that_lies_where_everything_lies_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "me"))
    (tmp_path / "m.py").write_text("")
    with pytest.raises(ModelUseError, match="put it into a folder of its own"):
        verify(tmp_path / "run", "m.py", tmp_path, device="cpu")
