"""What a trial's GPU does while the trial runs: power, use, memory, clock, temperature, energy. Sees nothing of trials.

`open_gpu` gives either the real thing (NVML, by way of nvidia-ml-py) or `NoGpu`, which says why there is none. A counter
that a GPU does not have is None. NVML's own errors end here.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

import pynvml

from workers.trial import TelemetrySample

_MIB = 1024.0 * 1024.0


# Reasons for which a clock is lower than the work asks for, by NVML's names and bits (nvml.h, nvmlClocksEventReason*).
THROTTLES = {
    "SwPowerCap": 0x4,
    "HwSlowdown": 0x8,
    "SwThermalSlowdown": 0x20,
    "HwThermalSlowdown": 0x40,
    "HwPowerBrakeSlowdown": 0x80,
}


@dataclass(frozen=True, slots=True)
class Reading:
    """One look at a GPU (of several: power added up, use averaged, the fullest memory, the slowest clock, the hottest)."""

    power_w: float | None = None
    gpu_util_percent: float | None = None
    vram_mb: float | None = None
    sm_clock_mhz: float | None = None
    temperature_c: float | None = None


class Gpu(Protocol):
    """The GPUs of one worker, or their absence."""

    @property
    def name(self) -> str | None: ...

    @property
    def absent_because(self) -> str | None: ...

    def read(self) -> Reading: ...

    def energy_j(self) -> float | None:
        """A counter that only grows; the difference of two readings is the energy between them."""

    def nodes(self) -> tuple[Path, ...]:
        """What a sandbox must let through for these GPUs to be used, and no other of the machine."""

    def uuids(self) -> str | None:
        """The GPUs as CUDA_VISIBLE_DEVICES knows them wherever only they can be seen; None where that is not known."""

    def capability(self) -> tuple[int, int] | None:
        """CUDA's compute capability of the first of them: (9, 0)."""

    def highest_sm_clock_mhz(self) -> float | None:
        """That the slowest of them may reach."""

    def throttles(self) -> frozenset[str] | None:
        """Why clocks are held down at this moment: names of `THROTTLES`."""

    def processes(self) -> int | None:
        """How many processes have a context on the busiest of them, ours included."""


@dataclass(frozen=True, slots=True)
class NoGpu:
    """Nothing to measure, and why."""

    absent_because: str
    name: None = None

    def read(self) -> Reading:
        return Reading()

    def energy_j(self) -> None:
        return None

    def nodes(self) -> tuple[Path, ...]:
        return ()

    def uuids(self) -> None:
        return None

    def capability(self) -> None:
        return None

    def highest_sm_clock_mhz(self) -> None:
        return None

    def throttles(self) -> None:
        return None

    def processes(self) -> None:
        return None


class NvmlGpu:
    """GPUs as NVML sees them. `nvml` is the pynvml module, or in tests what a real one once answered."""

    absent_because: str | None = None

    def __init__(self, nvml: Any, devices: Sequence[str], dev: Path = Path("/dev")) -> None:
        self._nvml, self._dev = nvml, dev
        self._handles = [self._handle(device) for device in devices]

    @property
    def name(self) -> str | None:
        name = self._ask(self._handles[0], self._nvml.nvmlDeviceGetName)
        return name.decode() if isinstance(name, bytes) else name

    def read(self) -> Reading:
        nvml = self._nvml
        power = self._each(nvml.nvmlDeviceGetPowerUsage, 1e-3)
        use = self._each(lambda handle: nvml.nvmlDeviceGetUtilizationRates(handle).gpu, 1.0)
        vram = self._each(self._used_bytes, 1 / _MIB)
        clock = self._each(lambda handle: nvml.nvmlDeviceGetClockInfo(handle, nvml.NVML_CLOCK_SM), 1.0)
        heat = self._each(lambda handle: nvml.nvmlDeviceGetTemperature(handle, nvml.NVML_TEMPERATURE_GPU), 1.0)
        return Reading(
            power_w=sum(power) if power else None,
            gpu_util_percent=sum(use) / len(use) if use else None,
            vram_mb=max(vram) if vram else None,
            sm_clock_mhz=min(clock) if clock else None,
            temperature_c=max(heat) if heat else None,
        )

    def energy_j(self) -> float | None:
        energies = self._each(self._nvml.nvmlDeviceGetTotalEnergyConsumption, 1e-3)
        return sum(energies) if energies else None

    def nodes(self) -> tuple[Path, ...]:
        minors = [self._ask(handle, self._nvml.nvmlDeviceGetMinorNumber) for handle in self._handles]
        # A slice of a GPU (MIG) has no number of its own: the driver then needs all of them, and the slice's capability files.
        whole = [self._dev / f"nvidia{minor}" for minor in minors] if None not in minors else self._dev.glob("nvidia[0-9]*")
        shared = (self._dev / f"nvidia{name}" for name in ("ctl", "-uvm", "-uvm-tools", "-modeset", "-caps"))
        return tuple(sorted(node for node in (*whole, *shared) if node.exists()))

    def uuids(self) -> str | None:
        found = [self._ask(handle, self._nvml.nvmlDeviceGetUUID) for handle in self._handles]
        texts = [uuid.decode() if isinstance(uuid, bytes) else str(uuid) for uuid in found if uuid is not None]
        return ",".join(texts) if len(texts) == len(found) else None

    def capability(self) -> tuple[int, int] | None:
        found = self._ask(self._handles[0], self._nvml.nvmlDeviceGetCudaComputeCapability)
        return None if found is None else (int(found[0]), int(found[1]))

    def highest_sm_clock_mhz(self) -> float | None:
        clocks = self._each(lambda handle: self._nvml.nvmlDeviceGetMaxClockInfo(handle, self._nvml.NVML_CLOCK_SM), 1.0)
        return min(clocks) if clocks else None

    def throttles(self) -> frozenset[str] | None:
        masks = [self._ask(handle, self._nvml.nvmlDeviceGetCurrentClocksThrottleReasons) for handle in self._handles]
        if None in masks:
            return None
        return frozenset(name for name, bit in THROTTLES.items() if any(int(mask) & bit for mask in masks))

    def processes(self) -> int | None:
        counts = self._each(lambda handle: len(self._nvml.nvmlDeviceGetComputeRunningProcesses(handle)), 1.0)
        return int(max(counts)) if counts else None

    def _handle(self, device: str) -> Any:
        if device.isdigit():
            return self._nvml.nvmlDeviceGetHandleByIndex(int(device))
        return self._nvml.nvmlDeviceGetHandleByUUID(device)

    def _used_bytes(self, handle: Any) -> float:
        """What programs use; the second version of this call leaves out the driver's own reserve."""
        try:
            return float(self._nvml.nvmlDeviceGetMemoryInfo(handle, version=self._nvml.nvmlMemory_v2).used)
        except self._nvml.NVMLError:
            return float(self._nvml.nvmlDeviceGetMemoryInfo(handle).used)

    def _each(self, question: Callable[[Any], Any], unit: float) -> list[float] | None:
        """The answers of all GPUs in `unit`; None as soon as one has no answer."""
        answers = [self._ask(handle, question) for handle in self._handles]
        known = [float(answer) * unit for answer in answers if answer is not None]
        return known if len(known) == len(answers) else None

    def _ask(self, handle: Any, question: Callable[[Any], Any]) -> Any:
        try:
            return question(handle)
        except self._nvml.NVMLError:  # not supported, or lost: either way not known
            return None


def open_gpu(visible_devices: str, nvml: Any = pynvml) -> Gpu:
    """The GPUs that CUDA_VISIBLE_DEVICES names (numbers in PCI order, or UUIDs)."""
    devices = [device.strip() for device in visible_devices.split(",") if device.strip()]
    if not devices:
        return NoGpu("this worker was given no GPU")
    try:
        nvml.nvmlInit()
        return NvmlGpu(nvml, devices)
    except nvml.NVMLError as error:
        return NoGpu(f"NVML does not answer for GPU {visible_devices}: {error}. Is the NVIDIA driver loaded? Try nvidia-smi")


def all_gpus(nvml: Any = pynvml) -> str:
    """Every GPU of this machine, as CUDA_VISIBLE_DEVICES would name them; empty without a driver."""
    try:
        nvml.nvmlInit()
        return ",".join(str(index) for index in range(nvml.nvmlDeviceGetCount()))
    except nvml.NVMLError:
        return ""


def cpu_name(cpuinfo: Path = Path("/proc/cpuinfo")) -> str:
    """The processor's name, as its maker writes it."""
    for line in cpuinfo.read_text().splitlines():
        key, _, value = line.partition(":")
        if key.strip() in ("model name", "Model", "Processor") and value.strip():
            return " ".join(value.split())
    return "CPU"


class Recorder:
    """Reads a GPU once a second during its block; at once and for the first time when the block begins. Times are from the
    recorder's creation. Without a GPU it costs nothing."""

    def __init__(self, gpu: Gpu, period_s: float = 1.0) -> None:
        self._gpu, self._period_s = gpu, period_s
        self._began = time.monotonic()
        self._energy_j_before: float | None = None
        self._samples: list[TelemetrySample] = []
        self._over = threading.Event()
        self._thread = None if gpu.absent_because else threading.Thread(target=self._record, daemon=True)
        self.energy_j = None if gpu.absent_because else 0.0  # of the block, known when it has ended: none without one

    def __enter__(self) -> Recorder:
        self._energy_j_before = self._gpu.energy_j()
        if self._thread is not None:
            self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._over.set()
        if self._thread is not None:
            self._thread.join()
        after, before = self._gpu.energy_j(), self._energy_j_before
        self.energy_j = after - before if after is not None and before is not None else None

    @property
    def samples(self) -> tuple[TelemetrySample, ...]:
        return tuple(self._samples)

    @property
    def peak_vram_mb(self) -> float | None:
        """The most that any reading saw; None where none saw any."""
        return max((sample.vram_mb for sample in self._samples if sample.vram_mb is not None), default=None)

    def peak_vram_mb_by_now(self) -> float | None:
        """With a look at this very moment."""
        if self._thread is not None:
            self._look()
        return self.peak_vram_mb

    def _look(self) -> None:
        seen = self._gpu.read()
        self._samples.append(
            TelemetrySample(
                time.monotonic() - self._began,
                seen.power_w,
                seen.gpu_util_percent,
                seen.vram_mb,
                seen.sm_clock_mhz,
                seen.temperature_c,
            )
        )

    def _record(self) -> None:
        due = time.monotonic()
        while True:
            self._look()
            due += self._period_s
            if self._over.wait(max(0.0, due - time.monotonic())):
                return
