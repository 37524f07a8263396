"""What `regatta profile` and `regatta verify` print. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from orchestrator.model.campaign_folder import CONFIG
from orchestrator.model.shares import Operation, Profile
from orchestrator.model.verification import Error, Verification
from orchestrator.views.cases import aligned
from orchestrator.views.words import UNKNOWN, plural

_MOST_ROWS = 20
ON_A_CPU = "shares were measured on a CPU and are not those of a GPU: profile again on one"


def profile_text(found: Profile, model: str, folder: str) -> str:
    """The table, what was written, and what to type next."""
    where = found.device_name or "a CPU"
    rows = found.operations[:_MOST_ROWS]
    rest = found.operations[_MOST_ROWS:]
    lines = [
        f"{model} on {where}: {found.step_us / 1000:.3g} ms of {'GPU' if found.device == 'cuda' else 'CPU'} time a step",
        "",
    ]
    lines += [f"  {line}" for line in _table(rows)]
    if rest:
        lines.append(f"  and {plural(len(rest), 'other')}, together {_percent(sum(each.share for each in rest))}")
    lines += ["", f"  {_percent(sum(found.targets.values()))} of the time has a target: {', '.join(found.targets)}"]
    if found.device != "cuda":
        lines.append(f"  {ON_A_CPU}")
    lines += ["", f"{folder}/ has {plural(len(found.targets), 'target')} and the config; type:"]
    lines += [f"  regatta run {shlex.quote(f'{folder}/{CONFIG}')}"]
    return "\n".join(lines)


def _table(rows: Sequence[Operation]) -> list[str]:
    return aligned(
        [
            ("operation", [each.name for each in rows]),
            ("target", [each.target or UNKNOWN for each in rows]),
            ("share", [_percent(each.share) for each in rows]),
            ("calls", [str(each.calls) if each.calls else UNKNOWN for each in rows]),
            ("the largest shapes", ["; ".join(each.shapes[:2]) for each in rows]),
            ("", ["" if each.why is None or each.why == "no target does this" else each.why for each in rows]),
        ]
    )


def _percent(share: float) -> str:
    return f"{100 * share:.1f} %"


# ------------------------------------------------------------------------------------------------ verify


def verification_text(found: Verification, model: str, run: str) -> str:
    """Per champion what was replaced and how far it is off, then the whole, then the time."""
    where = found.device_name or "a CPU, under Triton's interpreter"
    lines = [f"the champions of {run} in {model}, on {where}", ""]
    lines += [f"  {line}" for line in _parts(found)]
    lines += [f"  {each.target}: {count} not replaced: {why}" for each in found.parts for why, count in each.left.items()]
    lines += [
        f"  {each.target}: {plural(each.copied, 'operand')} copied to be contiguous" for each in found.parts if each.copied
    ]
    lines += [f"  {name} is left out: {why}" for name, why in found.left_out.items()]
    lines += [
        "",
        f"  oracle: {found.oracle}",
        f"  outputs: {_error(found.error)}; the unmodified model's own: {_error(found.own_error)}",
    ]
    lines.append(f"  {_time(found)}")
    wrong = [f"WRONG: {each.target}: {each.wrong}" for each in found.parts if each.wrong is not None]
    if found.wrong is not None and not wrong:
        wrong = [f"WRONG: all together, and none alone: {found.wrong}"]
    if not wrong and not found.succeeded:
        wrong = ["NOTHING WAS REPLACED: no call of the model is one that these champions are written for"]
    return "\n".join([*lines, "", *(wrong or ["right: with all champions the model is as exact as it is allowed to be"])])


def _parts(found: Verification) -> list[str]:
    return aligned(
        [
            ("champion", [each.target for each in found.parts]),
            ("replaced", [f"{each.replaced}" for each in found.parts]),
            ("not", [f"{sum(each.left.values())}" for each in found.parts]),
            ("norm error alone", [UNKNOWN if each.error is None else f"{each.error.norm:.1e}" for each in found.parts]),
            ("largest error alone", [UNKNOWN if each.error is None else f"{each.error.worst:.1e}" for each in found.parts]),
        ]
    )


def _error(error: Error | None) -> str:
    return "not known" if error is None else f"norm {error.norm:.1e}, largest {error.worst:.1e}"


def _time(found: Verification) -> str:
    if found.device != "cuda":
        return "time: not told, as under the interpreter it says nothing"
    if found.as_it_is_ms is None or found.replaced_ms is None or found.ratio is None:
        return "time: not measured"
    return (
        f"time of one call: {found.as_it_is_ms:.4g} ms as it is, {found.replaced_ms:.4g} ms replaced: "
        f"{found.ratio:.3g} times as fast (medians, interleaved)"
    )
