"""Memory, processes and disk of one candidate's tree: how much there may be, and a watch that notices when there is more.

The kernel's own limits hold for one process, or for one user and not for root; control groups are not everybody's to
make. So the guardian looks: ten times a second at three figures of the whole machine that cost microseconds, and closely
(every process, every file) when one of them moved suspiciously, or two seconds have passed. What is filled between two
looks is a tenth of a second's worth.

Standard library only: the guardian runs this file without anything else of ours.
"""

from __future__ import annotations

import os
import stat
import time

TYPE_CHECKING = False  # typing itself would double the guardian's start
if TYPE_CHECKING:
    from collections.abc import Iterator

_PERIOD_S = 0.1
_CLOSE_LOOK_EVERY_S = 2.0
_MOST_FILES = 200_000
_MEMORY_LEFT = 0.03  # of the machine's: below that nobody's accounts are waited for
_PAGE_KB = os.sysconf("SC_PAGE_SIZE") // 1024


class Limits:
    """What one tree may use at a time. `folder`: where it can write to disk. Threads count as processes."""

    def __init__(self, memory_mb: int, processes: int, disk_mb: int, folder: str) -> None:
        self.memory_mb, self.processes, self.disk_mb, self.folder = memory_mb, processes, disk_mb, folder

    def __str__(self) -> str:
        return f"{self.memory_mb},{self.processes},{self.disk_mb},{self.folder}"


def watch_for(text: str) -> Watch | None:
    """The watch over the limits that `str(Limits)` wrote; None for `-`."""
    if text == "-":
        return None
    memory_mb, processes, disk_mb, folder = text.split(",", 3)
    return Watch(Limits(int(memory_mb), int(processes), int(disk_mb), folder), os.getpid())


class Watch:
    """Looks at the tree below the process `root`, which is not part of it."""

    period_s = _PERIOD_S

    def __init__(self, limits: Limits, root: int) -> None:
        self._limits, self._root = limits, root
        self.most_file_bytes = limits.disk_mb << 20
        self._looked_at = 0.0
        self._next_close_look = time.monotonic() + _PERIOD_S
        self._machine = _machine(limits.folder)

    def look(self) -> str | None:
        """What is exceeded, with figures, in plain ASCII: `processes: …`, `memory: …`, `disk: …`, or `machine: …` where the
        whole machine runs out of memory, by whatever fault. None: nothing."""
        if not self._suspicious():
            return None
        began = time.monotonic()
        self._machine = _machine(self._limits.folder)
        found = self._look_closely()
        cost_s = time.monotonic() - began
        self._next_close_look = time.monotonic() + max(_CLOSE_LOOK_EVERY_S, 50 * cost_s)
        return found

    def _suspicious(self) -> bool:
        now, then = _machine(self._limits.folder), self._machine
        self._machine = tuple(map(min, now, then))  # what others give back must not hide what this one takes
        steps = (self._limits.processes // 4, self._limits.memory_mb // 8, self._limits.disk_mb // 8, _MOST_FILES // 8)
        grown = any(new - old > step for new, old, step in zip(now, then, steps, strict=True))
        return grown or time.monotonic() >= self._next_close_look

    def _look_closely(self) -> str | None:
        total_mb, available_mb = _memory_mb()
        if available_mb < _MEMORY_LEFT * total_mb:
            return f"machine: {available_mb} MB of memory left of {total_mb}"
        threads, pids = _tree(self._root)
        if threads > self._limits.processes:
            return f"processes: {threads} at a time, allowed are {self._limits.processes}"
        used_mb = sum(map(_private_kb, pids)) // 1024
        if used_mb > self._limits.memory_mb:  # perhaps: what many share was counted for each
            used_mb = sum(map(_own_part_kb, pids)) // 1024
        if used_mb > self._limits.memory_mb:
            return f"memory: {used_mb} MB in use, allowed are {self._limits.memory_mb}"
        files, disk_mb = _disk_use(self._limits.folder, pids)
        if disk_mb > self._limits.disk_mb:
            return f"disk: {disk_mb} MB in files, allowed are {self._limits.disk_mb}"
        if files > _MOST_FILES:
            return f"disk: more than {_MOST_FILES} files"
        return None


def _machine(folder: str) -> tuple[int, ...]:
    """Of the whole machine: tasks, memory in use (MB), disk in use (MB) and inodes in use."""
    with open("/proc/loadavg", "rb") as file:  # noqa: PTH123
        tasks = int(file.read().split()[3].split(b"/")[1])
    total_mb, available_mb = _memory_mb()
    disk = os.statvfs(folder)
    return tasks, total_mb - available_mb, -disk.f_bfree * disk.f_frsize // (1 << 20), disk.f_files - disk.f_ffree


def _memory_mb() -> tuple[int, int]:
    """Of the whole machine: in all, and available."""
    with open("/proc/meminfo", "rb") as file:  # noqa: PTH123
        lines = file.read(256).split(b"\n")  # MemTotal, MemFree, MemAvailable
    return int(lines[0].split()[1]) // 1024, int(lines[2].split()[1]) // 1024


def _tree(root: int) -> tuple[int, list[int]]:
    """Threads of everything below `root`, and its processes."""
    children: dict[int, list[int]] = {}
    threads: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                    fields = file.read().rsplit(b")", 1)[1].split()
            except OSError:  # it ended meanwhile
                continue
            children.setdefault(int(fields[1]), []).append(int(name))
            threads[int(name)] = int(fields[17])
    found: list[int] = []
    unseen = [root]
    while unseen:
        below = children.get(unseen.pop(), [])
        found += below
        unseen += below
    return sum(threads[pid] for pid in found), found


def _private_kb(pid: int) -> int:
    """Memory that is not of mapped files, quickly: at most too much, where a process shares with its parents and children."""
    try:
        with open(f"/proc/{pid}/statm", "rb") as file:  # noqa: PTH123
            _, resident, shared, *_ = map(int, file.read().split())
    except OSError:
        return 0
    if (resident - shared) * _PAGE_KB < 65536:  # most are small, and the exact figure costs more to get
        return (resident - shared) * _PAGE_KB
    return _own_part_kb(pid)


def _own_part_kb(pid: int) -> int:
    """The same exactly: what several share counts a part for each."""
    try:
        with open(f"/proc/{pid}/smaps_rollup", "rb") as file:  # noqa: PTH123
            lines = file.read().split(b"\n")
    except OSError:
        return 0
    return sum(int(line.split()[1]) for line in lines if line.startswith((b"Pss_Anon:", b"Pss_Shmem:")))


def _disk_use(folder: str, pids: list[int]) -> tuple[int, int]:
    """Files below `folder` and their size in MB, with those that have lost their names but are still open."""
    files, size = 0, 0
    for found in _walk(folder):
        files += 1
        size += found.st_blocks * 512
        if files > _MOST_FILES:
            break
    unnamed: dict[tuple[int, int], int] = {}
    for pid in pids:
        try:
            descriptors = os.listdir(f"/proc/{pid}/fd")  # noqa: PTH208
        except OSError:
            continue
        for descriptor in descriptors:
            try:
                found = os.stat(f"/proc/{pid}/fd/{descriptor}")  # noqa: PTH116
            except OSError:
                continue
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 0:
                unnamed[found.st_dev, found.st_ino] = found.st_blocks * 512
    return files, (size + sum(unnamed.values())) >> 20


def _walk(folder: str) -> Iterator[os.stat_result]:
    unseen = [folder]
    while unseen:
        try:
            with os.scandir(unseen.pop()) as entries:
                for entry in entries:
                    try:
                        found = entry.stat(follow_symlinks=False)
                    except OSError:
                        continue
                    yield found
                    if stat.S_ISDIR(found.st_mode):
                        unseen.append(entry.path)
        except OSError:
            continue
