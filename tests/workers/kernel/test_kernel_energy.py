"""Joules of a call from recorded looks at a GPU: ticks, idle power, throttling, neighbours, and a trial that asks for them."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from timed_target import Target

from workers.kernel import energy
from workers.kernel.cases import Case, DType, InputDType, Role, TensorInput
from workers.kernel.clock import Timing
from workers.kernel.energy import Energy, Look, edp_uj_s, mean_power_w, span_s, steady, tick_s, ticks, void_because
from workers.output import CappedLog
from workers.run import run_trial
from workers.runners.kernel_energy import Energies
from workers.runners.kernel_results import Found
from workers.session import Machine, Stopped
from workers.telemetry import NvmlGpu
from workers.trial import Outcome

TICK_S = 0.05


def looks(watts: float, seconds: float, **more: Any) -> list[Look]:
    """As NVML answers, asked every 2 ms, on a GPU that draws so many watts: the counter moves every 50 ms."""
    began = 1000.0
    return [
        Look(began + at, watts * TICK_S * int(at / TICK_S), **more)
        for at in (0.002 * turn + 0.001 for turn in range(int(seconds / 0.002)))
    ]


def test_a_tick_is_where_the_counter_moves() -> None:
    found = ticks(looks(400.0, 0.21))
    assert [joules for _, joules in found] == pytest.approx([20.0, 40.0, 60.0, 80.0])
    assert tick_s(looks(400.0, 1.0)) == pytest.approx(TICK_S, abs=0.002)


def test_a_counter_that_stands_still_or_is_missing_has_no_ticks() -> None:
    assert tick_s([Look(at, 5.0) for at in (0.0, 1.0, 2.0)]) is None
    assert mean_power_w([Look(at, None) for at in (0.0, 1.0, 2.0)]) is None


def test_power_is_taken_from_tick_to_tick_wherever_the_looks_begin() -> None:
    whole = looks(400.0, 3.0)
    for cut in (0, 7, 13, 24):
        assert mean_power_w(whole[cut : len(whole) - 11]) == pytest.approx(400.0, rel=0.005)
    assert mean_power_w(looks(400.0, 0.2)) is None  # three ticks


def test_work_goes_on_for_two_seconds_or_fifty_ticks() -> None:
    assert span_s(0.02) == 2.0
    assert span_s(0.1) == pytest.approx(5.0)


def test_looks_at_the_start_are_left_out_while_clocks_rise() -> None:
    assert steady([]) == []
    kept = steady(looks(400.0, 1.0))
    assert kept[0].at_s == pytest.approx(1000.301)


def test_a_call_costs_its_time_in_power_beyond_idle() -> None:
    capped = frozenset({"SwPowerCap"})
    busy = looks(500.0, 2.4, power_w=490.0, sm_clock_mhz=1700.0, temperature_c=60.0, throttles=capped)
    before, after = looks(80.0, 1.2), looks(120.0, 1.2)
    found = energy.energy(busy, before, after, 20.0, TICK_S)
    assert isinstance(found, Energy)
    assert found.gross_mj == pytest.approx(10.0, rel=0.005)
    assert found.net_mj == pytest.approx(8.0, rel=0.01)
    assert (found.idle_w, found.sensor_w) == (pytest.approx(100.0, rel=0.01), pytest.approx(490.0))
    assert (found.sm_clock_mhz, found.temperature_c) == (1700.0, 60.0)
    assert found.is_power_capped
    assert "500.0 W at work (sensor: 490 W), 100.0 W idle, SM clock from 1700 MHz, up to 60 C, at the card's" in str(found)
    assert edp_uj_s(found.gross_mj, 20.0) == pytest.approx(0.2, rel=0.005)  # 10 mJ × 20 µs


def test_what_cannot_be_told_says_why() -> None:
    busy, idle = looks(500.0, 2.4), looks(80.0, 1.2)
    assert "ticked" in str(energy.energy(looks(500.0, 1.0), idle, idle, 20.0, TICK_S))
    assert "idle" in str(energy.energy(busy, idle, looks(80.0, 0.1), 20.0, TICK_S))
    assert "80.0 W idle" in str(energy.energy(looks(70.0, 2.4), idle, idle, 20.0, TICK_S))


def test_a_window_that_throttled_or_had_a_neighbour_is_void() -> None:
    fine = looks(500.0, 0.1, throttles=frozenset(), processes=3)
    assert void_because(fine, 3) is None
    hot = [*fine, replace(fine[-1], throttles=frozenset({"HwThermalSlowdown"}))]
    assert void_because(hot, 3) == "the GPU's clock was held down: HwThermalSlowdown"
    assert void_because([replace(fine[-1], throttles=frozenset({"SwPowerCap"}))], 3) is None  # as large products always do
    assert "4 processes" in str(void_because([*fine, replace(fine[-1], processes=4)], 3))
    assert void_because(looks(500.0, 0.1), 3) is None  # nothing is known, which is no reason


# ---------------------------------------------------------------------------------------------------- in a trial


class TickingNvml:
    """NVML of a GPU whose counter moves every 4 ms, by what the GPU draws at that time."""

    NVMLError = RuntimeError
    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU, nvmlMemory_v2 = 1, 0, 2  # noqa: N815

    def __init__(self, throttled: bool = False, processes: int = 3) -> None:
        self.asked: list[str] = []
        self._throttled, self._processes = throttled, processes
        self._lock = threading.Lock()
        self._watts, self._since_s, self._joules = 100.0, time.monotonic(), 0.0

    def draw(self, watts: float) -> None:
        """From now on; what was drawn until now is counted, whenever somebody looks."""
        with self._lock:
            now_s = time.monotonic()
            self._joules += self._watts * (now_s - self._since_s)
            self._watts, self._since_s = watts, now_s

    def __getattr__(self, name: str) -> Any:
        return lambda *_, **__: self._answer(name)

    def _answer(self, name: str) -> Any:
        answers = {
            "nvmlDeviceGetHandleByIndex": lambda: 0,
            "nvmlDeviceGetMemoryInfo": lambda: SimpleNamespace(used=1 << 30),
            "nvmlDeviceGetTotalEnergyConsumption": self._millijoules,
            "nvmlDeviceGetCurrentClocksThrottleReasons": lambda: 0x40 if self._throttled else 0x1,
            "nvmlDeviceGetComputeRunningProcesses": lambda: [None] * self._processes,
        }
        self.asked.append(name)
        if name not in answers:
            raise self.NVMLError("Not Supported")
        return answers[name]()

    def _millijoules(self) -> int:
        with self._lock:
            ticked_s = max(self._since_s, time.monotonic() // 0.004 * 0.004)
            return round(1e3 * (self._joules + self._watts * (ticked_s - self._since_s)))


class BusyTimer:
    """A process at work: the GPU draws more until it is done, and for as long as it takes to be looked at often enough."""

    def __init__(self, nvml: TickingNvml, seconds: float) -> None:
        self._nvml, self._seconds = nvml, seconds

    def window(self, implementation: str, replays: int) -> None:
        self._nvml.draw(500.0)
        looks, pause = len(self._nvml.asked), threading.Event()
        pause.wait(self._seconds)
        while len(self._nvml.asked) < looks + 100:
            pause.wait(0.01)
        self._nvml.draw(100.0)


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Windows of a twentieth of their length."""
    for name, value in (("LEAST_SPAN_S", 0.1), ("LEAST_TICKS", 10), ("SETTLING_S", 0.02), ("IDLE_S", 0.25)):
        monkeypatch.setattr(energy, name, value)


REAL = Case("a", Role.REAL, DType.BF16, (TensorInput((8,), InputDType.BF16),), 1, 1, small=False)
HELD_OUT = replace(REAL, name="b", role=Role.HELD_OUT)
TIMING = Timing(20.0, 19.0, 21.0, (20.0,), 0.1)


def session(nvml: TickingNvml, objective: str, **spec: Any) -> Any:
    asked = SimpleNamespace(**({"decisive": (objective,), "promotion": False, "wanted": ()} | spec))
    machine = SimpleNamespace(gpu=NvmlGpu(nvml, ["0"]))
    return SimpleNamespace(spec=asked, machine=machine, cancel=None, log=CappedLog())


def measured(nvml: TickingNvml, asking: Any) -> list[Found]:
    energies = Energies(asking, [REAL, HELD_OUT], processes=3)
    timer: Any = BusyTimer(nvml, 0.2)
    for case in (REAL, HELD_OUT):
        energies.measure(case, timer, TIMING, slots=10)
    return energies.completed([Found(case, None, {"kernel": TIMING}, {}) for case in (REAL, HELD_OUT)])


def test_real_shapes_are_metered_where_somebody_asks(quick: None) -> None:
    nvml = TickingNvml()
    real, held_out = measured(nvml, session(nvml, "latency_us", wanted=("energy_mj",)))
    assert real.energy is not None
    assert real.energy.busy_w == pytest.approx(500.0, rel=0.15)
    assert real.energy.idle_w == pytest.approx(100.0, rel=0.15)
    assert real.energy.net_mj == pytest.approx(8.0, rel=0.25)
    assert held_out.energy is None


def test_nothing_is_metered_where_nobody_asks(quick: None) -> None:
    nvml = TickingNvml()
    assert [each.energy for each in measured(nvml, session(nvml, "latency_us"))] == [None, None]
    assert "nvmlDeviceGetTotalEnergyConsumption" not in nvml.asked


def test_energy_that_decides_and_cannot_be_had_is_the_machines_fault(quick: None) -> None:
    nvml = TickingNvml(processes=9)
    with pytest.raises(Stopped) as caught:
        measured(nvml, session(nvml, "energy_mj"))
    assert caught.value.outcome is Outcome.INFRA
    assert "9 processes had the GPU, where 3 are this worker's, 3 times in a row" in caught.value.reason


def test_a_trial_that_may_promote_asks_for_energy_and_goes_on_without_it(machine: Machine, tmp_path: Path, quick: None) -> None:
    target = Target(tmp_path / "target")
    throttled = replace(machine, gpu=NvmlGpu(TickingNvml(throttled=True), ["0"]))
    found = run_trial(target.spec(throttled, promotion=True), throttled)
    assert (found.outcome, found.reason) == (Outcome.OK, None)
    assert "latency_us" in found.measured
    assert "energy_mj" not in found.measured
    assert b"energy is not known: real_" in found.log
    assert b"HwThermalSlowdown, 3 times in a row" in found.log
