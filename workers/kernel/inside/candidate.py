"""The candidate's process. It imports torch, and then splits: one half compiles the kernel, the other one interprets it.

Neither half has run a line of the candidate's before the split, and Triton is imported after it, as it reads then whether it
is to interpret. Each half has a socket of its own to the worker.
"""

from __future__ import annotations

import os
import traceback
from collections.abc import Callable

from workers.kernel.inside.line import Line


def main(compiling: str, interpreting: str, *target: str) -> None:
    """The descriptors of the sockets, and the GPU that is compiled for, as Triton names it: backend, capability, threads of a
    warp."""
    import torch
    import torch._subclasses.fake_tensor

    torch.set_num_threads(1)
    first, second = int(compiling), int(interpreting)
    halves = [_half(first, second, lambda line: _compile(line, *target)), _half(second, first, _interpret)]
    for descriptor in (first, second):
        os.close(descriptor)
    ends = [os.waitstatus_to_exitcode(os.waitpid(half, 0)[1]) for half in halves]
    failed = next((end for end in ends if end != 0), 0)
    os._exit(failed if failed >= 0 else 128 - failed)


def _half(descriptor: int, others: int, work: Callable[[Line], None]) -> int:
    pid = os.fork()
    if pid:
        return pid
    os.close(others)
    code = 1
    try:
        work(Line(descriptor))
        code = 0
    except EOFError:  # the worker has heard enough
        code = 0
    except BaseException:  # noqa: BLE001  the end of a process: what it died of goes into the log
        traceback.print_exc()
    finally:
        os._exit(code)


def _compile(line: Line, backend: str, capability: str, warp_threads: str) -> None:
    from workers.kernel.inside.compiling import compile_cases

    compile_cases(line, backend, int(capability) if capability.isdigit() else capability, int(warp_threads))


def _interpret(line: Line) -> None:
    os.environ["TRITON_INTERPRET"] = "1"
    from workers.kernel.inside.interpreting import interpret_cases

    interpret_cases(line)
