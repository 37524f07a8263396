"""Runs a candidate's kernel on a CPU, by Triton's interpreter, on fresh inputs, and hands over what came out.

Inputs follow from the seed alone, so the verifier has the same. Memory that `torch.empty` gives holds NaN, not what an
earlier answer left there. What a call did to its inputs is looked at when it is over.

    interpret {cases, source, seed, checks: [{case, call, adversarial}]} -> for each check
        answer {check: n, outputs: [{dtype, shape}], is_tuple, launches: [[name, programs]]} bytes
        or flawed {check: n, reason}; then done {}
"""

from __future__ import annotations

import ast
import math
from collections.abc import Callable
from typing import Any

import torch
import triton.language as tl
from triton.runtime import interpreter
from triton.runtime.autotuner import Autotuner
from triton.runtime.interpreter import FunctionRewriter, InterpretedFunction

from workers.kernel.cases import decode
from workers.kernel.inputs import build
from workers.kernel.inside import quicker
from workers.kernel.inside.answers import described, flaw_of, same
from workers.kernel.inside.line import Line, load_source


def interpret_cases(line: Line) -> None:
    """Get ready, wait for the question, answer it."""
    torch.set_deterministic_debug_mode("error")  # torch.empty then gives NaN; the other way to ask imports torch's compiler
    Autotuner.run = _run_first
    _keep_constants()
    quicker.install()
    launches: list[list[Any]] = []
    InterpretedFunction.run = _noting(launches)
    said, _ = line.receive()
    kernel_fn = load_source(said["source"]).kernel_fn
    cases = {case.name: case for case in decode(said["cases"])}
    for nth, check in enumerate(said["checks"]):
        case = cases[check["case"]]
        inputs = build(case, said["seed"], "cpu", call=check["call"], adversarial=check["adversarial"])
        before = [one.clone() if isinstance(one, torch.Tensor) else one for one in inputs]
        launches.clear()
        answer = kernel_fn(*inputs)
        if not all(same(one, was) for one, was in zip(inputs, before, strict=True)):
            line.send({"type": "flawed", "check": nth, "reason": "kernel_fn changed its inputs"})
            continue
        send_answer(line, nth, answer, inputs, launches)
    line.send({"type": "done"})


def _keep_constants() -> None:
    """Have the interpreter compute constants as the compiler does, in Python: literals that are given a name, and arguments
    that are 1. By itself it makes values of 32 bits of them, with C's division, and a kernel that asks for the difference
    would be one thing when it is compiled and another when it is checked."""
    FunctionRewriter.ast_transformer = ast.NodeTransformer()
    convert = interpreter._implicit_cvt
    interpreter._implicit_cvt = lambda one: tl.constexpr(1) if type(one) is int and one == 1 else convert(one)


def send_answer(line: Line, check: int, answer: Any, inputs: tuple[Any, ...], launches: list[list[Any]]) -> None:
    """The bytes of plain tensors, or what is wrong with their form."""
    reason = flaw_of(answer, inputs)
    if reason is not None:
        line.send({"type": "flawed", "check": check, "reason": reason})
        return
    outputs = answer if isinstance(answer, tuple) else (answer,)
    header = {"type": "answer", "check": check, **described(answer), "launches": [each for each in launches if each[1]]}
    line.send(header, [each.cpu().reshape(-1).view(torch.uint8).numpy().tobytes() for each in outputs])


def _noting(launches: list[list[Any]]) -> Callable[..., Any]:
    """`InterpretedFunction.run`, which also notes what was launched with how many programs."""
    interpret = InterpretedFunction.run

    def run(self: Any, *args: Any, grid: Any, warmup: bool, **kwargs: Any) -> None:
        bound = {**dict(zip(self.arg_names, args, strict=False)), **kwargs}
        sizes = tuple(int(size) for size in (grid(bound) if callable(grid) else grid))  # asked once: what is noted is what runs
        launches.append([self.fn.__name__, math.prod(sizes)])
        interpret(self, *args, grid=sizes, warmup=warmup, **kwargs)

    return run


def _run_first(self: Any, *args: Any, **kwargs: Any) -> Any:
    """An autotuned kernel has nothing to choose by here."""
    return self.fn.run(*args, **kwargs, **self.configs[0].all_kwargs())
