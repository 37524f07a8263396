"""What was measured of a kernel's cases, as the trial's numbers and rows. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from workers.kernel.cases import Case, Role
from workers.kernel.clock import Timing, geometric_mean, speed_up
from workers.kernel.energy import Energy, edp_uj_s
from workers.trial import CaseRow

KERNEL, CHAMPION = "kernel", "champion"


@dataclass(frozen=True, slots=True)
class Found:
    """All that was measured of one case."""

    case: Case
    floor_us: float | None
    timings: Mapping[str, Timing]  # ours under `KERNEL`
    baselines_us: Mapping[str, float]  # of this trial, and as far as it had none, of an earlier one
    energy: Energy | None = None


def counted(cases: Sequence[Case]) -> list[Case]:
    """Those whose energy is measured: shapes of models; where a target has none, all that are timed."""
    return [case for case in cases if case.role is Role.REAL] or list(cases)


def metrics(found: Sequence[Found]) -> dict[str, float]:
    """The trial's numbers, geometric means over its cases. What is not known of every case is left out."""
    ours = [each.timings[KERNEL] for each in found]
    told = {"latency_us": geometric_mean([timing.latency_us for timing in ours])}
    fastest = [min(each.baselines_us.values(), default=None) for each in found]
    ratios = [best / timing.latency_us for best, timing in zip(fastest, ours, strict=True) if best is not None]
    if len(ratios) == len(found):
        told["speedup_vs_best"] = geometric_mean(ratios)
    fractions = [min(1.0, each.floor_us / own.latency_us) for each, own in zip(found, ours, strict=True) if each.floor_us]
    if len(fractions) == len(found):
        told["floor_fraction"] = geometric_mean(fractions)
    if all(CHAMPION in each.timings for each in found):
        told["speedup_vs_champion"] = geometric_mean(
            [speed_up(each.timings[KERNEL].windows_us, each.timings[CHAMPION].windows_us) for each in found]
        )
    return told | _energy_metrics(found)


def _energy_metrics(found: Sequence[Found]) -> dict[str, float]:
    names = {case.name for case in counted([each.case for each in found])}
    pairs = [(each.energy, each.timings[KERNEL].latency_us) for each in found if each.case.name in names]
    known = [(energy, latency_us) for energy, latency_us in pairs if energy is not None]
    if len(known) < len(pairs):
        return {}
    return {
        "energy_mj": geometric_mean([energy.net_mj for energy, _ in known]),
        "energy_gross_mj": geometric_mean([energy.gross_mj for energy, _ in known]),
        "edp_uj_s": geometric_mean([edp_uj_s(energy.gross_mj, latency_us) for energy, latency_us in known]),
    }


def row(before: CaseRow, found: Found) -> CaseRow:
    """What the gates know of a case, with what was measured of it. A held-out case was compiled for another shape of its name
    than was timed (schedule.py)."""
    ours, energy = found.timings[KERNEL], found.energy
    champion = found.timings.get(CHAMPION)
    return replace(
        before,
        floor_us=before.floor_us if found.floor_us is None else found.floor_us,
        latency_us=ours.latency_us,
        p20_us=ours.p20_us,
        p80_us=ours.p80_us,
        baselines_us=dict(found.baselines_us),
        energy_mj=None if energy is None else energy.net_mj,
        energy_gross_mj=None if energy is None else energy.gross_mj,
        champion_us=None if champion is None else champion.latency_us,
        windows_us=ours.windows_us,
        replay_p20_us=ours.replay_p20_us,
        replay_p80_us=ours.replay_p80_us,
    )
