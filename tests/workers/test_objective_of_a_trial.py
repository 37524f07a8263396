"""An objective that is a product: who measured it, which name it has, and what stops it from being computed."""

from __future__ import annotations

from dataclasses import replace
from types import SimpleNamespace

import pytest
from workers_support import Repository, trial

from workers.run import run_trial
from workers.session import Machine
from workers.telemetry import NvmlGpu
from workers.trial import CommandPlan, Measurement, Outcome, Product

EDP = Product((("latency_us", 1.0), ("energy_mj", 1.0)))


def measure(machine: Machine, repository: Repository, command: str, product: Product, **changes: object) -> Measurement:
    spec = trial(repository, repository.base, CommandPlan(command), objective=product.name, product=product, **changes)
    return run_trial(spec, machine)


@pytest.mark.parametrize(
    ("powers", "name"),
    [
        ((("latency_us", 1.0), ("energy_mj", 1.0)), "latency_us*energy_mj"),
        ((("latency_us", 2.0), ("energy_mj", 1.0)), "latency_us^2*energy_mj"),
        ((("energy_mj", 0.5), ("tokens_per_s", -1.0)), "energy_mj^0.5*tokens_per_s^-1"),
    ],
)
def test_a_product_has_a_name_that_can_be_read(powers: tuple[tuple[str, float], ...], name: str) -> None:
    assert Product(powers).name == name


def test_a_product_of_printed_numbers_is_reported_beside_its_parts(machine: Machine, repository: Repository) -> None:
    product = Product((("latency_us", 2.0), ("tokens_per_s", -1.0)))
    found = measure(machine, repository, "echo METRIC latency_us=3; echo METRIC tokens_per_s=4", product)
    assert (found.outcome, found.reason) == (Outcome.OK, None)
    assert found.reported == {"latency_us": 3.0, "tokens_per_s": 4.0, "latency_us^2*tokens_per_s^-1": 2.25}


def test_a_product_is_measured_only_if_the_worker_measured_all_of_it(machine: Machine, repository: Repository) -> None:
    own = Product((("wall_s", 1.0), ("peak_rss_mb", 1.0)))
    found = measure(machine, repository, "true", own)
    assert found.measured[own.name] == found.measured["wall_s"] * found.measured["peak_rss_mb"]
    mixed = Product((("wall_s", 1.0), ("latency_us", 1.0)))
    found = measure(machine, repository, "echo METRIC latency_us=3", mixed)
    assert mixed.name not in found.measured
    assert found.reported[mixed.name] == found.measured["wall_s"] * 3.0


@pytest.mark.parametrize(
    ("printed", "reason"),
    [
        ("latency_us=3", "the command printed no value of energy_mj: it should print a line `METRIC energy_mj=<number>`"),
        ("energy_mj=3", "the command printed no value of latency_us: it should print a line `METRIC latency_us=<number>`"),
        (
            "latency_us=3 energy_mj=0",
            "latency_us*energy_mj cannot be computed: energy_mj is 0; a part of a product must be",
        ),
        ("latency_us=-2 energy_mj=1", "latency_us*energy_mj cannot be computed: latency_us is -2; a part"),
        ("latency_us=3 energy_mj=nan", "the value of energy_mj is nan: it must be finite"),
        ("latency_us=3 energy_mj=1 energy_mj=2", "the command printed two values of energy_mj: 1.0 and 2.0"),
        (
            "latency_us=1e300 energy_mj=1e300",
            "latency_us*energy_mj is inf, beyond what a number can hold: of latency_us",
        ),
        ("latency_us=1e-300 energy_mj=1e-300", "latency_us*energy_mj is 0, beyond what a number can hold"),
    ],
)
def test_a_part_that_is_missing_or_not_above_0_is_a_crash_that_names_it(
    machine: Machine, repository: Repository, printed: str, reason: str
) -> None:
    command = "; ".join(f"echo METRIC {each}" for each in printed.split())
    found = measure(machine, repository, command, EDP)
    assert found.outcome is Outcome.CRASH
    assert found.reason is not None
    assert found.reason.startswith(reason), found.reason
    assert found.reported == {}


def test_a_printed_line_cannot_stand_for_the_product(machine: Machine, repository: Repository) -> None:
    command = "echo 'METRIC latency_us*energy_mj=1'; echo METRIC latency_us=3; echo METRIC energy_mj=5"
    found = measure(machine, repository, command, EDP)
    assert found.reported == {"latency_us": 3.0, "energy_mj": 5.0, "latency_us*energy_mj": 15.0}


@pytest.mark.parametrize("metric", ["energy_mj", "peak_vram_mb", "trial_energy_j"])
def test_what_needs_a_gpu_says_so_where_there_is_none(machine: Machine, repository: Repository, metric: str) -> None:
    found = measure(machine, repository, "echo METRIC latency_us=3", Product((("latency_us", 1.0), (metric, 1.0))))
    assert found.outcome is Outcome.CRASH
    assert found.reason is not None
    assert f"no value of {metric}" in found.reason
    assert "this machine cannot measure it: this worker was given no GPU" in found.reason


class _Meter:
    """NVML whose energy counter has one more joule, and whose memory is 100 MiB fuller, at each look."""

    NVMLError = RuntimeError
    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU, nvmlMemory_v2 = 1, 0, 2  # noqa: N815

    def __init__(self, counts_energy: bool = True) -> None:
        self.counts_energy, self.joules = counts_energy, 0

    def __getattr__(self, name: str) -> object:
        return lambda *_, **__: self._answer(name)

    def _answer(self, name: str) -> object:
        if name == "nvmlDeviceGetTotalEnergyConsumption" and self.counts_energy:
            self.joules += 1
            return 1000 * self.joules
        if name == "nvmlDeviceGetMemoryInfo":
            return SimpleNamespace(used=100 << 20)
        if name == "nvmlDeviceGetHandleByIndex":
            return 0
        raise RuntimeError("not supported")


def test_what_a_gpus_counters_tell_can_be_a_part(machine: Machine, repository: Repository) -> None:
    own = Product((("trial_energy_j", 1.0), ("peak_vram_mb", 1.0)))
    metered = replace(machine, gpu=NvmlGpu(_Meter(), ["0"]))
    found = measure(metered, repository, "true", own, gpus=1.0, confined=False)
    assert (found.outcome, found.reason) == (Outcome.OK, None)
    assert found.measured[own.name] == 1.0 * 100.0


def test_a_gpu_that_is_shared_or_has_no_counter_is_named_as_the_reason(machine: Machine, repository: Repository) -> None:
    own = Product((("trial_energy_j", 1.0), ("peak_rss_mb", 1.0)))
    shared = measure(replace(machine, gpu=NvmlGpu(_Meter(), ["0"])), repository, "true", own, gpus=0.5, confined=False)
    assert "trial.gpus is 0.5, and a GPU that is shared is metered as a whole" in str(shared.reason)
    blind = replace(machine, gpu=NvmlGpu(_Meter(counts_energy=False), ["0"]))
    found = measure(blind, repository, "true", own, gpus=1.0, confined=False)
    assert "its GPU has no energy counter that NVML can read" in str(found.reason)
