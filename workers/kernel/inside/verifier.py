"""The process that knows the right answers: it runs the sealed reference.py and cases.py, and nothing of a candidate's.

Answers reach it as bytes, in the message or in a file that comes with it. It draws the same inputs from the same seed as the
candidate's process did; of a slot that was replayed, it repeats the pokes. It may serve many trials: each begins with `cases`.

    cases    {seed}                                      -> cases    {cases: as cases.py returned them}
    expect   {seed, device, checks: [{case, call, adversarial, replayed: {slots, slot, pokes} or missing}]}
                                                            (no answer: what will be asked for is worked out ahead)
    judge    {check: n, outputs: [{dtype, shape}], is_tuple, device, bytes: of the file} bytes, or a file
                                                         -> verdict  {reason, errors: [{worst, norm, typical}]}
"""

from __future__ import annotations

import contextlib
import math
import os
from dataclasses import asdict
from typing import Any

from workers.kernel.inside.line import Line, load


def main(descriptor: str) -> None:
    line = Line(int(descriptor))
    cases_of = load("cases").cases
    import torch

    from workers.kernel.cases import Case, CasesError, decode
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
                expected.append(expect(reference_fn, _inputs(case, said, check), case.error_factor))
            continue
        content = bytearray(payload) if line.handed is None else _content(line.handed, said["bytes"])
        outputs = _tensors(said["outputs"], content, said["device"])
        expectation, expected[said["check"]] = expected[said["check"]], None  # each is judged once, and they are large
        verdict = judge(expectation, outputs if said["is_tuple"] else outputs[0])
        errors = [asdict(error) for error in verdict.errors]
        del outputs, expectation, content
        if said["device"] == "cuda":
            torch.cuda.empty_cache()
        line.send({"type": "verdict", "reason": verdict.reason, "errors": errors})


def _inputs(case: Any, said: dict[str, Any], check: dict[str, Any]) -> tuple[Any, ...]:
    """The arguments of one call, as they were by then."""
    from workers.kernel.cases import TensorInput
    from workers.kernel.inputs import build
    from workers.kernel.pokes import pokes, replay_pokes

    inputs: tuple[Any, ...] = build(case, said["seed"], said["device"], call=check["call"], adversarial=check["adversarial"])
    replayed = check.get("replayed")
    if replayed is not None:
        for nth, one in enumerate(case.inputs):
            if isinstance(one, TensorInput) and one.varies:
                table = pokes(case, nth, said["seed"], replayed["slots"])
                replay_pokes(inputs[nth], table, replayed["slot"], replayed["pokes"])
    return inputs


def _content(descriptor: int, size: int) -> bytearray:
    """The first bytes of a file, which is closed then. Read, not mapped: whoever wrote it may hold it still."""
    content = bytearray(size)
    with os.fdopen(descriptor, "rb", buffering=0) as file:
        file.seek(0)
        view = memoryview(content)
        while view:
            got = file.readinto(view)
            if not got:
                break
            view = view[got:]
    return content


def _tensors(described: list[dict[str, Any]], content: bytearray, device: str) -> tuple[Any, ...]:
    """The outputs again, from their bytes. The worker has checked that the bytes are as many as the shapes say."""
    import torch

    found, at = [], 0
    for each in described:
        dtype = getattr(torch, each["dtype"])
        size = math.prod(each["shape"]) * dtype.itemsize
        raw = torch.frombuffer(content, dtype=torch.uint8, count=size, offset=at) if size else torch.empty(0, dtype=torch.uint8)
        found.append(raw.to(device, copy=True).view(dtype).view(each["shape"]))
        at += size
    return tuple(found)
