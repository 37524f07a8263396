"""The process that is timed: it runs one candidate's `kernel_fn`, or the baselines of sealed files, when the worker says so.

The worker's clock runs from `go` to `done`; what this process says of time is only compared with it. Outputs go into a file
that comes with the question. One message at a time:

    open    {cases, seed, source or null}      -> opened {implementations, l2_bytes, free_bytes}
    once    {case, call, adversarial} file     -> answer {outputs, is_tuple} · flawed {reason} · refused {rule, error}
    prepare {case, implementation, slots, adversarial: [slots]}
                                               -> prepared {launches: [names], operations, outputs, is_tuple} · flawed · refused
    ceiling {ceiling, small}                   -> prepared {work: bytes or operations of one replay}
    poison  {implementation}                   -> poisoned {}
    go      {implementation, replays, control} -> done {device_s, replays_s}
    output  {implementation, slot} file        -> answer
    drop    {}                                 -> dropped {}     (memory of all that was prepared)

On a GPU (`cuda`) an implementation is a CUDA graph by then (rotation.py). On a `cpu` it is run by Triton's interpreter: the
same messages, and numbers that mean nothing.
"""

from __future__ import annotations

import gc
import os
import traceback
from collections.abc import Callable
from typing import Any

from workers.kernel.inside.line import Line, load, load_source

_KERNEL = "kernel"  # the candidate's implementation


def main(descriptor: str, device: str) -> None:
    """The socket's descriptor, and `cuda` or `cpu`. Gets ready as far as it can without the candidate's source."""
    if device == "cpu":
        os.environ["TRITON_INTERPRET"] = "1"
    line = Line(int(descriptor))
    import torch

    torch.set_num_threads(1)
    if device == "cuda":
        torch.zeros(1, device=device)  # the context
    serving = _Serving(device)
    while True:
        try:
            said, _ = line.receive()
        except EOFError:
            return
        line.send(serving.answer(said, line.handed))


class _Serving:
    """Answers one question after another."""

    def __init__(self, device: str) -> None:
        from workers.kernel.inside import watched

        self._device, self._watched = device, watched
        watched.install(device)
        self._running: dict[str, Any] = {}
        self._implementations: dict[str, Callable[..., Any]] = {}
        self._source: str | None = None

    def answer(self, said: dict[str, Any], handed: int | None) -> dict[str, Any]:
        try:
            found: dict[str, Any] = getattr(self, f"_{said['type']}")(said, handed)
            return found
        except Exception as error:  # noqa: BLE001  whatever the candidate's code raises is its end, and is told
            traceback.print_exc()
            return {"type": "refused", "rule": self._watched.rule(error), "error": f"{type(error).__name__}: {error}"[:2000]}
        finally:
            if handed is not None:
                os.close(handed)

    def _open(self, said: dict[str, Any], _: int | None) -> dict[str, Any]:
        import torch

        from workers.kernel.cases import decode

        self._seed, self._cases = said["seed"], {case.name: case for case in decode(said["cases"])}
        if said["source"] is not None:
            if said["source"] != self._source:  # else what Triton has compiled of it serves on
                self._implementations = {_KERNEL: load_source(said["source"]).kernel_fn}
                self._source = said["source"]
        elif not self._implementations:  # sealed files are the same for as long as this process lives
            self._implementations = _baselines()
        l2_bytes, free_bytes = 0, 1 << 30
        if self._device == "cuda":
            l2_bytes = torch.cuda.get_device_properties(0).L2_cache_size
            free_bytes, _total = torch.cuda.mem_get_info()
        known = list(self._implementations)
        return {"type": "opened", "implementations": known, "l2_bytes": l2_bytes, "free_bytes": free_bytes}

    def _once(self, said: dict[str, Any], handed: int | None) -> dict[str, Any]:
        from workers.kernel.inputs import build

        case = self._cases[said["case"]]
        inputs = build(case, self._seed, self._device, call=said["call"], adversarial=said["adversarial"])
        call = self._implementations[_KERNEL]
        call(*inputs)  # an autotuned kernel tries its choices now
        with self._watched.empty_is_poisoned():
            return self._told(call, inputs, handed) | {"type": "answer"}

    def _prepare(self, said: dict[str, Any], _: int | None) -> dict[str, Any]:
        from workers.kernel.inside.answers import described
        from workers.kernel.inside.rotation import Rotation, running

        name, case = said["implementation"], self._cases[said["case"]]
        call = self._implementations[name]
        rotation = Rotation(case, self._seed, said["slots"], said["adversarial"], self._device)
        answer = call(*rotation.slots[0])  # compiles, and tries the choices of what is autotuned
        if name != _KERNEL:  # sealed: nothing to be found out, and what torch compiles does not like to be watched
            told = {**described(answer), "launches": [], "operations": []}
        else:
            with self._watched.seen() as seen:
                told = self._told(call, rotation.slots[0], None)
            if told["type"] == "flawed":
                return told
            told |= {"launches": seen.launches, "operations": sorted(seen.operations)}
        self._running[name] = running(rotation, call, self._device)
        return told | {"type": "prepared"}

    def _told(self, call: Callable[..., Any], inputs: Any, handed: int | None) -> dict[str, Any]:
        """One call: the form of its answer, or its flaw, and its bytes where a file waits for them."""
        from workers.kernel.inside.answers import described, flaw_of, same, write

        with self._watched.unseen():
            before = [one.clone() if hasattr(one, "clone") else one for one in inputs]
        answer = call(*inputs)
        with self._watched.unseen():
            if not all(same(one, was) for one, was in zip(inputs, before, strict=True)):
                return {"type": "flawed", "reason": "kernel_fn changed its inputs"}
            reason = flaw_of(answer, inputs)
            if reason is not None:
                return {"type": "flawed", "reason": reason}
            if handed is not None:
                write(answer, handed)
            return {"type": "told", **described(answer)}

    def _ceiling(self, said: dict[str, Any], _: int | None) -> dict[str, Any]:
        from workers.kernel.inside.ceilings import Ceiling

        made = Ceiling(said["ceiling"], self._device, small=said["small"])
        self._running[said["ceiling"]] = made
        return {"type": "prepared", "work": made.work}

    def _poison(self, said: dict[str, Any], _: int | None) -> dict[str, Any]:
        from workers.kernel.inside.answers import poison

        for answer in self._running[said["implementation"]].outputs:
            poison(answer)
        self._synchronize()
        return {"type": "poisoned"}

    def _go(self, said: dict[str, Any], _: int | None) -> dict[str, Any]:
        running = self._running[said["implementation"]]
        device_s, replays_s = (running.control if said["control"] else running.replay)(said["replays"])
        return {"type": "done", "device_s": device_s, "replays_s": replays_s}

    def _output(self, said: dict[str, Any], handed: int | None) -> dict[str, Any]:
        from workers.kernel.inside.answers import described, write

        answer = self._running[said["implementation"]].outputs[said["slot"]]
        assert handed is not None
        write(answer, handed)
        return {"type": "answer", **described(answer)}

    def _drop(self, _: dict[str, Any], __: int | None) -> dict[str, Any]:
        import torch

        self._running.clear()
        gc.collect()
        if self._device == "cuda":
            torch.cuda.empty_cache()
        return {"type": "dropped"}

    def _synchronize(self) -> None:
        import torch

        if self._device == "cuda":
            torch.cuda.synchronize()


def _baselines() -> dict[str, Callable[..., Any]]:
    """`eager`: the reference as it is; `compile`: the same through torch.compile; and what the target's baselines.py has."""
    import torch
    import torch._dynamo

    torch._dynamo.config.recompile_limit = 1024  # beyond its limit it runs eagerly, without a word
    reference_fn = load("reference").reference_fn
    found = {"eager": reference_fn, "compile": torch.compile(reference_fn, dynamic=False)}
    if os.path.exists("baselines.py"):  # noqa: PTH110  nothing else here needs paths
        found |= load("baselines").baselines()
    return found
