"""GPUs behind one interface: recorded readings of a real one, counters that are not supported, and no GPU at all."""

from __future__ import annotations

import threading
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from workers_support import PATIENCE_S

from workers.telemetry import NoGpu, NvmlGpu, Recorder, cpu_name, open_gpu


class RecordedNvml:
    """What pynvml answers on an H100 under load, reading by reading; the last one holds."""

    class NVMLError(Exception):
        pass

    NVML_CLOCK_SM, NVML_TEMPERATURE_GPU, nvmlMemory_v2 = 1, 0, 2  # noqa: N815
    ENERGY_MJ = (91_000_000, 91_000_000 + 612_500)
    USED_BYTES = (2_097_152_000, 41_943_040_000, 10_485_760_000)

    def __init__(self, unsupported: tuple[str, ...] = ()) -> None:
        self._unsupported = unsupported
        self._seen: dict[str, int] = {}
        self.looked_thrice = threading.Event()

    def nvmlInit(self) -> None: ...  # noqa: N802

    def nvmlDeviceGetHandleByIndex(self, index: int) -> str:  # noqa: N802
        return f"gpu {index}"

    def nvmlDeviceGetHandleByUUID(self, uuid: str) -> str:  # noqa: N802
        return f"gpu {uuid}"

    def __getattr__(self, name: str) -> Any:
        def answer(handle: str, *_: Any, version: int | None = None) -> Any:
            if name in self._unsupported:
                raise self.NVMLError("Not Supported")
            turn = self._seen[name] = self._seen.get(name, -1) + 1
            if name == "nvmlDeviceGetMemoryInfo" and turn == 2:
                self.looked_thrice.set()
            return {
                "nvmlDeviceGetName": "NVIDIA H100 80GB HBM3",
                "nvmlDeviceGetPowerUsage": 687_432,
                "nvmlDeviceGetUtilizationRates": SimpleNamespace(gpu=99, memory=61),
                "nvmlDeviceGetMemoryInfo": SimpleNamespace(used=self.USED_BYTES[min(turn, 2)]),
                "nvmlDeviceGetClockInfo": 1755,
                "nvmlDeviceGetTemperature": 63,
                "nvmlDeviceGetTotalEnergyConsumption": self.ENERGY_MJ[min(turn, 1)],
                "nvmlDeviceGetMinorNumber": 2,  # of the second one in PCI's order, which is not always the driver's
                "nvmlDeviceGetUUID": "GPU-8d2c1f0a",
                "nvmlDeviceGetCudaComputeCapability": [9, 0],
                "nvmlDeviceGetMaxClockInfo": 1980,
                "nvmlDeviceGetCurrentClocksThrottleReasons": 0x4 | 0x1 | 0x40,  # power cap, idle, too hot
                "nvmlDeviceGetComputeRunningProcesses": [SimpleNamespace(pid=1), SimpleNamespace(pid=2)],
            }[name]

        return answer


def test_a_trial_is_sampled_and_its_energy_and_peak_memory_are_known() -> None:
    nvml = RecordedNvml()
    recorder = Recorder(open_gpu("0", nvml), period_s=0.001)
    assert recorder.energy_j == 0.0  # a trial that ends before it has the GPU has used nothing of it
    with recorder:
        assert nvml.looked_thrice.wait(PATIENCE_S)
    assert recorder.energy_j == pytest.approx(612.5)
    assert recorder.peak_vram_mb == pytest.approx(40_000.0)
    sample = recorder.samples[0]
    assert (sample.power_w, sample.gpu_util_percent) == (pytest.approx(687.432), 99.0)
    assert (sample.sm_clock_mhz, sample.temperature_c) == (1755.0, 63.0)
    assert [sample.at_s for sample in recorder.samples] == sorted(sample.at_s for sample in recorder.samples)


def test_counters_that_are_not_supported_are_none_and_the_others_are_there() -> None:
    nvml = RecordedNvml(unsupported=("nvmlDeviceGetTotalEnergyConsumption", "nvmlDeviceGetPowerUsage"))
    with Recorder(open_gpu("GPU-8f3c", nvml), period_s=0.001) as recorder:
        assert nvml.looked_thrice.wait(PATIENCE_S)
    assert recorder.energy_j is None
    assert recorder.samples[0].power_w is None
    assert recorder.samples[0].temperature_c == 63.0


def test_several_gpus_are_one_reading() -> None:
    gpu = NvmlGpu(RecordedNvml(), ["0", "1"])
    reading = gpu.read()
    assert reading.power_w == pytest.approx(2 * 687.432)
    assert reading.vram_mb == pytest.approx(40_000.0)  # of the fuller one
    assert reading.gpu_util_percent == 99.0


def test_without_a_gpu_nothing_is_known_and_the_reason_is() -> None:
    gpu = open_gpu("")
    assert isinstance(gpu, NoGpu)
    with Recorder(gpu) as recorder:
        pass
    assert (recorder.energy_j, recorder.peak_vram_mb, recorder.samples) == (None, None, ())
    assert gpu.absent_because == "this worker was given no GPU"


def test_without_a_driver_the_reason_says_what_to_try() -> None:
    class NoDriver(RecordedNvml):
        def nvmlInit(self) -> None:  # noqa: N802
            raise self.NVMLError("NVML Shared Library Not Found")

    gpu = open_gpu("0", NoDriver())
    assert gpu.absent_because == (
        "NVML does not answer for GPU 0: NVML Shared Library Not Found. Is the NVIDIA driver loaded? Try nvidia-smi"
    )


@pytest.fixture
def dev(tmp_path: Path) -> Path:
    for name in ("nvidia0", "nvidia1", "nvidia2", "nvidiactl", "nvidia-uvm", "null", "nvidia-caps"):
        (tmp_path / name).touch()
    return tmp_path


def test_a_sandbox_gets_the_nodes_of_its_own_gpus_and_what_all_share(dev: Path) -> None:
    gpu = NvmlGpu(RecordedNvml(), ["1"], dev)
    assert [node.name for node in gpu.nodes()] == ["nvidia-caps", "nvidia-uvm", "nvidia2", "nvidiactl"]
    assert gpu.uuids() == "GPU-8d2c1f0a"  # where only one is seen, its number means another


def test_a_slice_of_a_gpu_needs_the_nodes_of_all(dev: Path) -> None:
    gpu = NvmlGpu(RecordedNvml(unsupported=("nvmlDeviceGetMinorNumber",)), ["MIG-1"], dev)
    assert {"nvidia0", "nvidia1", "nvidia2"} <= {node.name for node in gpu.nodes()}


def test_a_gpu_tells_its_capability_its_highest_clock_what_holds_it_down_and_who_has_it() -> None:
    gpu = NvmlGpu(RecordedNvml(), ["0", "1"])
    assert gpu.capability() == (9, 0)
    assert gpu.highest_sm_clock_mhz() == 1980.0
    assert gpu.throttles() == {"SwPowerCap", "HwThermalSlowdown"}  # to be idle is no fault
    assert gpu.processes() == 2


def test_what_a_gpu_does_not_tell_of_itself_is_none() -> None:
    names = ("CudaComputeCapability", "MaxClockInfo", "CurrentClocksThrottleReasons", "ComputeRunningProcesses")
    gpu = NvmlGpu(RecordedNvml(unsupported=tuple(f"nvmlDeviceGet{name}" for name in names)), ["0"])
    for known in (gpu, NoGpu("none")):
        assert (known.capability(), known.highest_sm_clock_mhz(), known.throttles(), known.processes()) == (None,) * 4


def test_where_no_gpu_is_no_node_is_let_through() -> None:
    assert (NoGpu("none").nodes(), NoGpu("none").uuids()) == ((), None)


def test_the_processors_name_is_read_from_the_kernel(tmp_path: Path) -> None:
    (tmp_path / "x86").write_text("processor\t: 0\nmodel name\t: AMD EPYC  7B13\n")
    (tmp_path / "odd").write_text("processor\t: 0\n")
    assert cpu_name(tmp_path / "x86") == "AMD EPYC 7B13"
    assert cpu_name(tmp_path / "odd") == "CPU"
