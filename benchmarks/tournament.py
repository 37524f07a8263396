"""The tournament against the keep rules in use, on made-up nights: the real ledger and tournament on virtual time.

Every cell is one landscape, one policy and so many nights, all policies on the same nights. What is told of a cell: the true
gain of the champion, the share of its keeps that are false (an edit without which the champion would be no worse), how many
nights kept anything, how much of the GPUs' time was used, and the GPU-hours until the champion's true gain had reached a mark.

A night "of 900 trials" ends at that limit; where GPUs are compared it ends by the clock, with the same GPU-hours for each
number of GPUs. The distribution of effects, the noise and the durations are those of `configs/landscape.yaml` unless the cell
says otherwise. Greedy and the other rules have no finals; ours pay for theirs.

    python benchmarks/tournament.py [nights a cell, default 200] [section …]

Sections: rules, ours, gpus, null, robust, interactions, worth, speed. Each is written as soon as it is there: a part can be run
again; nights follow from their seed alone, so cells of two runs are of the same nights. `ours` is `rules` without the others.
"""

from __future__ import annotations

import json
import math
import statistics
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from record import RESULTS, write

from orchestrator import events as ev
from orchestrator.simulator.landscape import BadGpu, Effects, Gpus, Interactions, Landscape, Noise, Rates
from orchestrator.simulator.night import Night
from orchestrator.simulator.policies import POLICIES
from orchestrator.tournament.limits import gpu_hours
from orchestrator.tournament.settings import Limits, Settings
from orchestrator.tournament.worth import Worth

SEED = 20261121  # of nights on which nothing was tuned
SDS = (3e-4, 1e-3, 2e-3)
MARKS = {100: 0.01, 900: 0.05}  # true gain to be reached
RULES = ("greedy", "two-sigma", "three-seeds", "solo", "auto")
USUAL = Landscape().with_gpus(1)
T3 = Noise(kind="student_t", df=3.0)
GPU_HOURS = 900 * 325 / 3600

_ZERO = (Effects(share=1.0, kind="constant", scale=0.0, sign="worse"),)
_HARM = (
    Effects(share=0.6, kind="halfnormal", scale=5e-3, sign="worse"),
    Effects(share=0.4, kind="halfnormal", scale=3e-4, sign="worse"),
)
_FEW = (
    Effects(share=0.62, kind="halfnormal", scale=5e-3, sign="worse"),
    Effects(share=0.35, kind="halfnormal", scale=3e-4, sign="worse"),
    Effects(share=0.03, kind="exponential", scale=1.5e-3, sign="better"),
)


@dataclass(frozen=True, slots=True)
class Cell:
    """So many nights of one policy on one landscape."""

    landscape: Landscape
    policy: str
    trials: int | None = 900
    hours: float | None = None
    rule: str = "calibrated"

    def with_noise(self, sd: float) -> Cell:
        noise = self.landscape.noise.model_copy(update={"sd": sd})
        landscape = self.landscape.model_copy(update={"noise": noise})
        return Cell(landscape, self.policy, self.trials, self.hours, self.rule)

    @property
    def planned(self) -> int:
        return self.trials or round(GPU_HOURS * 3600 / 325)

    def night(self, repeat: int, watch: Callable[[ev.Event, float], None]) -> Night:
        """A night that is yet to be played."""
        limits = Limits(trials=self.trials, hours=self.hours)
        settings = Settings("m", True, repeat, self.planned, ("landscape",), rule=self.rule, limits=limits)
        policy, gpus = POLICIES[self.policy](self.landscape), self.landscape.gpus.count
        return Night(self.landscape, settings, policy, workers=gpus, seed=SEED, repeat=repeat, record=watch)

    def play(self, repeat: int) -> dict[str, float]:
        """One night."""
        reached: list[float] = []
        mark = MARKS.get(self.planned, 0.05)

        def watch(event: ev.Event, _: float) -> None:
            if isinstance(event, ev.ChampionMoved) and not reached and night.gain >= mark:
                reached.append(gpu_hours(night.ledger))

        night = self.night(repeat, watch)
        night.run()
        return {
            "gain": night.gain,
            "false": night.false_keeps() / max(1, len(night.kept)),
            "keeps": len(night.kept),
            "occupancy": night.occupancy(),
            "trials": len(night.ledger.trials),
            "gpu_hours_to_mark": reached[0] if reached else math.inf,
        }


def told(nights: list[dict[str, float]]) -> dict[str, Any]:
    """A cell in numbers: means with their standard errors; the lower bound is that of a 95 % interval."""
    n = len(nights)

    def mean(name: str) -> tuple[float, float]:
        values = [night[name] for night in nights]
        return statistics.fmean(values), (statistics.stdev(values) / math.sqrt(n) if n > 1 else math.nan)

    gain, false = mean("gain"), mean("false")
    return {
        "nights": n,
        "gain": round(gain[0], 5),
        "gain_se": round(gain[1], 5),
        "false": round(false[0], 4),
        "false_se": round(false[1], 4),
        "false_lower95": round(max(0.0, false[0] - 1.96 * false[1]), 4),
        "any_keep": round(statistics.fmean(night["keeps"] > 0 for night in nights), 4),
        "keeps": round(mean("keeps")[0], 1),
        "occupancy": round(mean("occupancy")[0], 4),
        "trials": round(mean("trials")[0], 1),
        "gpu_hours_to_mark": _finite(statistics.median(night["gpu_hours_to_mark"] for night in nights)),
    }


def _finite(value: float) -> float | None:
    return round(value, 2) if math.isfinite(value) else None


Section = dict[str, dict[str, Any]]


def rules(nights: int) -> Section:
    """All policies side by side on one GPU."""
    return _side_by_side(nights, RULES)


def ours(nights: int) -> Section:
    """Of `rules`, what is ours."""
    return _side_by_side(nights, ("auto",))


def _side_by_side(nights: int, policies: tuple[str, ...]) -> Section:
    found: Section = {}
    for trials in (100, 900):
        for sd in SDS:
            for policy in policies:
                cell = Cell(USUAL, policy, trials).with_noise(sd)
                found[f"{trials}/{sd:g}/{policy}"] = told([cell.play(r) for r in range(nights)])
            provable = Cell(USUAL, "auto", trials, rule="provable").with_noise(sd)
            found[f"{trials}/{sd:g}/auto, provable"] = told([provable.play(r) for r in range(max(1, nights // 4))])
    return found


def gpus(nights: int) -> Section:
    """The same GPU-hours on 1, 16 and 64 GPUs, and a night of 8 h on 16 and 64."""
    found: Section = {}
    for sd in SDS:
        for count, hours, share in ((1, GPU_HOURS, 2), (16, GPU_HOURS / 16, 2), (1, 128.0, 4), (16, 8.0, 4)):
            cell = Cell(_with_gpus(count), "auto", None, hours).with_noise(sd)
            found[f"{count} GPUs, {count * hours:.0f} GPU-hours/{sd:g}"] = told([cell.play(r) for r in range(nights // share)])
        wave = Cell(_with_gpus(16), "best-of-wave", None, GPU_HOURS / 16).with_noise(sd)
        found[f"16 GPUs, best of wave/{sd:g}"] = told([wave.play(r) for r in range(nights // 2)])
        for count, hours in ((1, 512.0), (64, 8.0)):
            cell = Cell(_with_gpus(count), "auto", None, hours).with_noise(sd)
            found[f"{count} GPUs, 512 GPU-hours/{sd:g}"] = told([cell.play(r) for r in range(max(1, nights // 20))])
    return found


def _with_gpus(count: int) -> Landscape:
    flying = USUAL.durations.model_copy(update={"proposals_in_flight": max(8, count // 2)})
    return USUAL.model_copy(update={"gpus": Gpus(count=count), "durations": flying})


def null(nights: int) -> Section:
    """Nothing helps: whatever is kept is false."""
    found: Section = {}
    for name, effects in (("nothing does anything", _ZERO), ("all harm", _HARM)):
        for noise in (Noise(), T3):
            landscape = USUAL.model_copy(update={"effects": effects, "noise": noise})
            for trials in (100, 900):
                for policy in ("auto", "solo"):
                    cell = Cell(landscape, policy, trials)
                    found[f"{name}/{noise.kind}/{trials}/{policy}"] = told([cell.play(r) for r in range(nights)])
    return found


def robust(nights: int) -> Section:
    """What no rule is asked about beforehand."""
    bad = USUAL.model_copy(update={"gpus": Gpus(count=16, bad=(BadGpu(gpu=3, offset=0.01, from_h=2.0),))})
    landscapes = {
        "Student-t, 3 df": USUAL.model_copy(update={"noise": T3}),
        "drift 3e-4/h": USUAL.model_copy(update={"gpus": Gpus(count=1, drift_per_h=3e-4)}),
        "3 % help": USUAL.model_copy(update={"effects": _FEW}),
        "one bad GPU of 16": bad,
        "16 GPUs, none bad": USUAL.model_copy(update={"gpus": Gpus(count=16)}),
        "10 % crash": USUAL.model_copy(update={"rates": Rates(crash=0.1)}),
    }
    found: Section = {}
    for name, landscape in landscapes.items():
        for sd in SDS:
            cell = Cell(landscape, "auto").with_noise(sd)
            found[f"{name}/{sd:g}/auto"] = told([cell.play(r) for r in range(nights // 2)])
    return found


def interactions(nights: int) -> Section:
    """Pairs that interact, the champion's among them, and pairs that clash: auto beside either lane alone."""
    landscapes = {
        "30 % of pairs at .3": USUAL.model_copy(update={"interactions": Interactions(share=0.3, strength=0.3)}),
        "30 % of pairs at 1": USUAL.model_copy(update={"interactions": Interactions(share=0.3, strength=1.0)}),
        "half of all pairs clash": USUAL.model_copy(update={"rates": Rates(conflict=0.5)}),
    }
    found: Section = {}
    for name, landscape in landscapes.items():
        for sd in SDS:
            for policy in ("auto", "blocks", "solo", "greedy"):
                cell = Cell(landscape, policy).with_noise(sd)
                found[f"{name}/{sd:g}/{policy}"] = told([cell.play(r) for r in range(nights // 5)])
    return found


def worth(nights: int) -> Section:
    """What another GPU-hour was expected to bring, midway, beside what the other half of the night brought an hour."""
    found: Section = {}
    for sd in SDS:
        for policy in ("auto", "solo"):
            cell = Cell(USUAL, policy).with_noise(sd)
            told = [_expected_and_come(cell, repeat) for repeat in range(max(2, nights // 8))]
            expected, came = (statistics.fmean(each[nth] for each in told) for nth in (0, 1))
            found[f"{sd:g}/{policy}"] = {
                "nights": len(told),
                "expected_gain_per_gpu_hour": round(expected, 6),
                "expected_sd": round(statistics.stdev(each[0] for each in told), 6),
                "gain_per_gpu_hour_that_came": round(came, 6),
            }
    return found


def _expected_and_come(cell: Cell, repeat: int) -> tuple[float, float]:
    midway: list[tuple[float, float]] = []

    def watch(event: ev.Event, _: float) -> None:
        if isinstance(event, ev.TrialEnded) and not midway and len(night.ledger.trials) >= (cell.trials or 900) // 2:
            midway.append((Worth(minimize=True).per_gpu_hour(night.ledger) or 0.0, night.gain))

    night = cell.night(repeat, watch)
    night.run()
    expected, gain = midway[0]
    return expected, (night.gain - gain) / (gpu_hours(night.ledger) / 2)


def speed(nights: int) -> Section:
    """CPU seconds of one core."""
    began = time.process_time()
    few = min(20, nights)
    for repeat in range(few):
        Cell(USUAL, "auto").with_noise(1e-3).play(repeat)
    a_night = (time.process_time() - began) / few
    began = time.process_time()
    thousand = Cell(Landscape().with_gpus(1000), "auto", None, 8.0).with_noise(1e-3).play(0)
    return {
        "a night of 900 trials": {"cpu_s": round(a_night, 3), "cpu_s_of_200": round(200 * a_night, 1)},
        "1,000 GPUs for 8 h": {
            "cpu_s": round(time.process_time() - began, 1),
            "trials": thousand["trials"],
            "gain": round(thousand["gain"], 4),
            "false": round(thousand["false"], 4),
            "occupancy": round(thousand["occupancy"], 4),
        },
    }


SECTIONS: dict[str, Callable[[int], Section]] = {
    "rules": rules,
    "ours": ours,
    "gpus": gpus,
    "null": null,
    "robust": robust,
    "interactions": interactions,
    "worth": worth,
    "speed": speed,
}
CLAIM = "finds more than keep-if-lower, at a controlled share of false keeps"


def main(nights: int, sections: list[str]) -> None:
    path = RESULTS / "tournament.json"
    found: dict[str, Section] = json.loads(path.read_text())["found"] if path.exists() else {}
    for name in sections:
        found.setdefault("rules" if name == "ours" else name, {}).update(SECTIONS[name](nights))
        write("tournament", CLAIM, found, {"seed": SEED, "marks": MARKS})


if __name__ == "__main__":
    asked = sys.argv[1:]
    count = int(asked.pop(0)) if asked and asked[0].isdigit() else 200
    main(count, asked or [name for name in SECTIONS if name != "ours"])
