"""The candidate's processes: started, reaped, watched over and ended. The guardian's work; see `__main__`.

The guardian is the reaper of everything that the candidate starts: orphans, double forks and `setsid` included, come back
to it as children, so "no child is left" means "nothing of the candidate is alive".
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import time

TYPE_CHECKING = False  # typing itself would double the guardian's start
if TYPE_CHECKING:
    from collections.abc import Iterable

    from workers.guardian.limits import Watch

GRACE_S = 0.2  # between TERM and KILL
_MOST_OPEN_FILES = 8192  # what lies in pipes, sockets and files that only travel between these is in nobody's account
_PR_SET_PDEATHSIG = 1
_PR_SET_CHILD_SUBREAPER = 36
_libc = ctypes.CDLL(None, use_errno=True)


def descendants(root: int) -> dict[int, int]:
    """Every process below `root` that /proc shows now, with its process group.

    Zombies too, since a dead main thread may have live siblings.
    """
    children: dict[int, list[int]] = {}
    groups: dict[int, int] = {}
    for name in os.listdir("/proc"):  # noqa: PTH208  pathlib would double the guardian's start
        if name.isdigit():
            try:
                with open(f"/proc/{name}/stat", "rb") as file:  # noqa: PTH123
                    stat = file.read()
            except OSError:  # it ended meanwhile
                continue
            _, parent, group, _ = stat[stat.rindex(b")") + 2 :].split(None, 3)
            children.setdefault(int(parent), []).append(int(name))
            groups[int(name)] = int(group)
    found: dict[int, int] = {}
    unseen = [root]
    while unseen:
        below = children.get(unseen.pop(), [])
        found.update((pid, groups[pid]) for pid in below)
        unseen += below
    return found


def signal_all(pids: Iterable[int], number: int) -> None:
    """Send a signal to each; those that ended meanwhile are passed over."""
    for pid in pids:
        try:
            os.kill(pid, number)
        except (ProcessLookupError, PermissionError):
            continue


class Tree:
    """The candidate's processes: starts the first, reaps them all, and ends what is left."""

    def __init__(self, argv: list[str], handed: list[int], most_file_bytes: int | None) -> None:
        self.exit_code: int | None = None
        self.signal: int | None = None
        self.wall_s = 0.0
        self.max_rss_kb = 0
        self.ended = False  # the first process
        self._wake = _wake_on_child()
        guardian = os.getpid()
        self._started = time.monotonic()
        self.pid = os.fork()
        if self.pid == 0:
            _become(argv, guardian, most_file_bytes)
        for descriptor in handed:  # the candidate alone holds them: their end is its end
            os.close(descriptor)

    def reap(self) -> bool:
        """Collect whoever has ended; whether any process is left."""
        for _ in range(1000):  # a fork bomb could keep this busy for ever
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return False
            if pid == 0:
                return True
            self.max_rss_kb = max(self.max_rss_kb, usage.ru_maxrss)
            if pid == self.pid:
                self.ended = True
                self.wall_s = time.monotonic() - self._started
                code = os.waitstatus_to_exitcode(status)
                self.exit_code, self.signal = (code, None) if code >= 0 else (None, -code)
        return True

    def wait(self, control: int, timeout_s: float | None) -> bool:
        """Sleep until a process ended, `control` has something, or the time is over; whether `control` has something."""
        ready = select.select([control, self._wake], [], [], timeout_s)[0]
        if self._wake in ready:
            os.read(self._wake, 4096)
        return control in ready

    def note_memory(self) -> None:
        """Look at the peak of everything alive: nobody tells of a process that is killed with the one that waits for it."""
        for pid in descendants(os.getpid()):
            try:
                with open(f"/proc/{pid}/status", "rb") as file:  # noqa: PTH123
                    peak = file.read().partition(b"VmHWM:")[2].split(None, 1)
            except OSError:  # it ended meanwhile
                continue
            if peak:  # none: a zombie
                self.max_rss_kb = max(self.max_rss_kb, int(peak[0]))

    def end(self, control: int, grace_s: float) -> None:
        """Leave nothing alive: TERM and a grace, then KILL until no child is left."""
        self.note_memory()
        deadline = time.monotonic() + grace_s
        if grace_s > 0 and self.reap():
            signal_all([-self.pid], signal.SIGTERM)
            signal_all([p for p, group in descendants(os.getpid()).items() if group != self.pid], signal.SIGTERM)
        while self.reap() and (left_s := deadline - time.monotonic()) > 0:
            if self.wait(control, left_s) and os.read(control, 1) in (b"", b"k"):
                break
        while self.reap():
            signal_all([-self.pid], signal.SIGKILL)  # one call for most of them, before the long way through /proc
            _kill(os.getpid())
            select.select([self._wake], [], [], 0.02)
            self._drain()

    def _drain(self) -> None:
        try:
            os.read(self._wake, 4096)
        except BlockingIOError:
            return


def _kill(root: int) -> None:
    """One round of KILL. By group first: no fork slips out of that. Then those who make groups faster: STOP all, KILL all."""
    groups = set(descendants(root).values()) - {0, 1, os.getpgid(root)}
    signal_all((-group for group in groups), signal.SIGKILL)
    stopped: set[int] = set()
    for _ in range(20):
        running = descendants(root).keys() - stopped
        if not running:
            break
        signal_all(running, signal.SIGSTOP)
        stopped |= running
    signal_all(descendants(root), signal.SIGKILL)


def _wake_on_child() -> int:
    """A descriptor that becomes readable when a child ends."""
    readable, writable = os.pipe()
    os.set_blocking(readable, False)
    os.set_blocking(writable, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    return readable


def _become(argv: list[str], guardian: int, most_file_bytes: int | None) -> None:
    """In the new child: a session of its own, no core files, first to go when memory runs out; then the candidate."""
    try:
        for number in signal.valid_signals() - {signal.SIGKILL, signal.SIGSTOP}:
            if number < signal.SIGRTMIN:
                signal.signal(number, signal.SIG_DFL)
        _set_niceness(0)
        os.setsid()
        _libc.prctl(_PR_SET_PDEATHSIG, signal.SIGKILL, 0, 0, 0)
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        if most_file_bytes is not None:
            resource.setrlimit(resource.RLIMIT_FSIZE, (most_file_bytes, most_file_bytes))
            files = min(_MOST_OPEN_FILES, resource.getrlimit(resource.RLIMIT_NOFILE)[1])
            resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))
        with open("/proc/self/oom_score_adj", "w") as file:  # noqa: PTH123
            file.write("1000")
        if os.getppid() == guardian:
            os.execvp(argv[0], argv)
    except OSError as error:
        os.write(2, f"{argv[0]}: {error}\n".encode())
    finally:
        os._exit(127)


def _reset() -> None:
    """Undo what a worker's own parents may have set, be deaf to what candidates send, and go first where that is allowed."""
    for number in (signal.SIGHUP, signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2, signal.SIGALRM):
        signal.signal(number, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    _set_niceness(-20)  # a fork bomb leaves little time to others


def _set_niceness(value: int) -> None:
    try:
        os.setpriority(os.PRIO_PROCESS, 0, value)
    except PermissionError:  # without privileges niceness only grows
        return


def _say(status: int, line: str) -> None:
    try:
        os.write(status, line.encode())
    except BrokenPipeError:  # nobody is left to hear it
        return


def guard(control: int, status: int, handed: list[int], watch: Watch | None, argv: list[str]) -> None:
    """Run ARGV to the end of its tree and say how it ended."""
    os.set_inheritable(control, False)
    os.set_inheritable(status, False)
    if _libc.prctl(_PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0:
        raise OSError(ctypes.get_errno(), "PR_SET_CHILD_SUBREAPER")
    _reset()
    tree = Tree(argv, handed, None if watch is None else watch.most_file_bytes)
    _say(status, f'{{"pid": {tree.pid}}}\n')
    order: bytes | None = None
    exceeded: str | None = None
    tree.reap()
    while not tree.ended and order is None and exceeded is None:
        if tree.wait(control, None if watch is None else watch.period_s):
            order = os.read(control, 1)
        tree.reap()
        if watch is not None and not tree.ended:
            exceeded = watch.look()
    left_behind = len(descendants(os.getpid())) if tree.ended and tree.reap() else 0
    tree.end(control, GRACE_S if order in (None, b"t") and exceeded is None else 0.0)
    code, number = ("null" if value is None else value for value in (tree.exit_code, tree.signal))
    excess = "null" if exceeded is None else f'"{exceeded}"'
    _say(
        status,
        f'{{"exit_code": {code}, "signal": {number}, "wall_s": {tree.wall_s:.6f}, "max_rss_kb": {tree.max_rss_kb}, '
        f'"left_behind": {left_behind}, "exceeded": {excess}}}\n',
    )
    os._exit(0)  # no teardown: the worker waits for this process
