"""The process that knows the right answers: it runs the sealed reference.py and cases.py, and nothing of a candidate's.

Answers reach it as bytes. It draws the same inputs from the same seed as the candidate's process did. It may serve many
trials: each begins with `cases`.

    cases    {seed}                                      -> cases    {cases: as cases.py returned them}
    expect   {seed, checks: [{case, call, adversarial}]}    (no answer: what will be asked for is worked out ahead)
    judge    {check: n, outputs: [{dtype, shape}]} bytes -> verdict  {reason, worst, norm, typical}
"""

from __future__ import annotations

import contextlib
import math
from dataclasses import asdict
from typing import Any

from workers.kernel.inside.line import Line, load


def main(descriptor: str) -> None:
    line = Line(int(descriptor))
    cases_of = load("cases").cases
    import torch

    from workers.kernel.cases import Case, CasesError, decode
    from workers.kernel.inputs import build
    from workers.kernel.oracle import expect, judge

    torch.set_num_threads(1)
    reference_fn = load("reference").reference_fn
    cases: dict[str, Case] = {}
    expected: list[Any] = []
    while True:
        try:
            said, payload = line.receive()
        except EOFError:
            return
        if said["type"] == "cases":
            raw = cases_of(said["seed"])
            line.send({"type": "cases", "cases": raw})
            with contextlib.suppress(CasesError):  # the worker sees it too, and says so
                cases, expected = {case.name: case for case in decode(raw)}, []
            continue
        if said["type"] == "expect":
            for check in said["checks"]:
                case = cases[check["case"]]
                inputs = build(case, said["seed"], said["device"], call=check["call"], adversarial=check["adversarial"])
                expected.append(expect(reference_fn, inputs, case.error_factor))
            continue
        outputs = _tensors(said["outputs"], payload, said["device"])
        expectation = expected[said["check"]]
        verdict = judge(expectation, outputs if said["is_tuple"] else outputs[0])
        errors = [asdict(error) for error in verdict.errors]
        line.send({"type": "verdict", "reason": verdict.reason, "errors": errors})


def _tensors(described: list[dict[str, Any]], payload: bytes, device: str) -> tuple[Any, ...]:
    """The outputs again, from their bytes. The worker has checked that the bytes are as many as the shapes say."""
    import torch

    found, at = [], 0
    for each in described:
        dtype = getattr(torch, each["dtype"])
        count = math.prod(each["shape"])
        size = count * torch.empty(0, dtype=dtype).element_size()
        flat = torch.frombuffer(bytearray(payload[at : at + size]), dtype=dtype) if count else torch.empty(0, dtype=dtype)
        found.append(flat.view(each["shape"]).to(device))
        at += size
    return tuple(found)
