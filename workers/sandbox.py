"""What a candidate sees of the machine: the command line of bubblewrap, and whether it works here.

Inside there are the system and Python (read-only), the workspace with its sealed files read-only, a home, /tmp and
/dev/shm of its own, and the GPU's device nodes where the trial has a GPU. There is no network but a loopback of its own,
no other process, no home of anybody, no other run, no privilege and no way to gain one. Environment and inherited
descriptors are the caller's business (process.py), limits on memory, processes and disk the guardian's.

Works for root and for ordinary users. Root's candidates are root to the kernel where files are concerned, so nothing is
mounted that only root should read, and what /proc offers to root alone is covered. Knows nothing of trials.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from workers.seccomp import filter_program

WORKSPACE, HOME, TMP = Path("/workspace"), Path("/home/candidate"), Path("/tmp")
USER, UID = "candidate", 1000
_INSTALL = "apt-get install bubblewrap"

_MERGED = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")  # links into /usr, or folders, by distribution
# What programs need of /etc. Not all of it: root's candidate could read root's own files there.
_ETC = (
    "alternatives", "ca-certificates", "ca-certificates.conf", "debian_version", "fonts", "hosts", "java-17-openjdk",
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "localtime", "magic", "mime.types", "nsswitch.conf", "OpenCL", "os-release",
    "perl", "pki/tls/certs", "protocols", "services", "ssl/certs", "ssl/openssl.cnf", "terminfo", "timezone", "vulkan",
)  # fmt: skip
# As container runtimes do: what /proc shows of the whole machine, or lets root's candidate write.
_PROC_COVERED = (
    "acpi", "asound", "iomem", "ioports", "kallsyms", "kcore", "key-users", "keys", "kmsg", "kpagecgroup", "kpagecount",
    "kpageflags", "latency_stats", "modules", "mtrr", "sched_debug", "scsi", "slabinfo", "sysrq-trigger", "timer_list",
    "timer_stats", "vmallocinfo", "config.gz", "cmdline",
)  # fmt: skip
_PROC_READ_ONLY = ("bus", "fs", "irq", "sys")
_PYTHON = (Path(sys.base_prefix), Path(sys.base_prefix).resolve(), Path(sys.prefix))
_EMPTY_FILE = Path(__file__).with_name("__init__.py")
_MOST_SEALED = 1000  # files mounted one by one; beyond that being restored before each process must do


@dataclass(frozen=True, slots=True)
class Confinement:
    """What one process tree gets to see. Paths are the machine's."""

    workspace: Path  # seen as /workspace, writable
    home: Path
    tmp: Path
    sealed: tuple[str, ...] = ()  # files of the workspace that are read-only
    readable: tuple[Path, ...] = ()  # from outside, seen where they are, read-only
    hidden: tuple[Path, ...] = ()  # files and folders that look empty
    replaced: tuple[tuple[Path, Path], ...] = ()  # folders, and what is seen in their place
    devices: tuple[Path, ...] = ()  # nodes below /dev
    shared_memory_mb: int = 1024  # size of /dev/shm


@dataclass(frozen=True, slots=True)
class Lack:
    """Why candidates cannot be confined on this machine, and the command that mends it."""

    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.what}; mend it with: {self.mend}"


def lacks() -> Lack | None:
    """None where candidates can be confined. Tried once a process, with everything that a real one gets."""
    return _lacks(os.environ.get("PATH", os.defpath))


@cache
def _lacks(path: str) -> Lack | None:
    if shutil.which("bwrap", path=path) is None:
        return Lack("bubblewrap is not installed", _INSTALL)
    with (
        tempfile.TemporaryDirectory(prefix="regatta-probe-") as folder,
        Launch(Confinement(Path(folder), Path(folder), Path(folder)), ("true",)) as launch,
    ):
        done = subprocess.run(
            launch.argv, pass_fds=launch.descriptors, capture_output=True, text=True, env={"PATH": path}, check=False
        )
        os.close(launch.status)
    if done.returncode == 0:
        return None
    said = " ".join(done.stderr.split()) or f"exit status {done.returncode}"
    return Lack(f"bubblewrap cannot confine here ({said})", _mend(said))


def _mend(said: str) -> str:
    """What most likely has to be done about bubblewrap's complaint."""
    if "Unknown option" in said:
        return f"{_INSTALL}, 0.7 or newer"
    if Path("/proc/sys/kernel/apparmor_restrict_unprivileged_userns").exists() and "Permission denied" in said:
        return "sysctl -w kernel.apparmor_restrict_unprivileged_userns=0"
    if Path("/.dockerenv").exists() or Path("/run/.containerenv").exists():
        opened = ("seccomp=unconfined", "apparmor=unconfined", "systempaths=unconfined")
        return f"docker run {' '.join(f'--security-opt {option}' for option in opened)} …"
    return "sysctl -w user.max_user_namespaces=15000 kernel.unprivileged_userns_clone=1"


class Launch:
    """The command line that starts one process confined, and the descriptors that it must inherit. Close it once started."""

    def __init__(self, confinement: Confinement, argv: Sequence[str]) -> None:
        self.status, status_write = os.pipe()  # bubblewrap's own word on how far it got
        self.descriptors: tuple[int, ...] = (status_write,)
        try:
            passwd = self._with(f"{USER}:x:{UID}:{UID}:{USER}:{HOME}:/bin/sh\n".encode())
            group = self._with(f"{USER}:x:{UID}:\n".encode())
            seccomp = filter_program()
            given = [
                *_namespaces(),
                *("--ro-bind-data", str(passwd), "/etc/passwd", "--ro-bind-data", str(group), "/etc/group"),
                *_mounts(confinement),
                *("--json-status-fd", str(status_write)),
                *(("--seccomp", str(self._with(seccomp))) if seccomp is not None else ()),
            ]
            arguments = self._with(b"\0".join(map(os.fsencode, given)) + b"\0")  # not for the candidate to read in /proc
            self.argv = ["bwrap", "--args", str(arguments), "--", *argv]
        except BaseException:
            self.__exit__()
            os.close(self.status)
            raise

    def __enter__(self) -> Launch:
        return self

    def __exit__(self, *_: object) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)
        self.descriptors = ()

    def _with(self, content: bytes) -> int:
        """A descriptor from which `content` can be read, once."""
        descriptor = os.memfd_create("regatta", 0)
        self.descriptors += (descriptor,)
        os.write(descriptor, content)
        os.lseek(descriptor, 0, os.SEEK_SET)
        return descriptor


def started(status: bytes) -> bool:
    """Whether bubblewrap, which wrote `status`, got as far as starting the candidate. Known when the candidate has ended."""
    return b'"exit-code"' in status


def visible_roots() -> tuple[Path, ...]:
    """The folders of the machine that every candidate can read."""
    roots = [*(Path("/", name) for name in _MERGED), *_PYTHON]
    return (Path("/usr"), *_outermost([root.resolve() for root in roots if root.is_dir()]))


def _namespaces() -> list[str]:
    own = ("user", "ipc", "pid", "net", "uts")
    # Not root inside: an exec would give root its capabilities back.
    as_nobody = ("--uid", str(UID), "--gid", str(UID), "--cap-drop", "ALL")
    return [
        *(f"--unshare-{kind}" for kind in own),
        "--unshare-cgroup-try",
        "--die-with-parent",
        "--hostname",
        "regatta",
        *as_nobody,
    ]


def _mounts(confinement: Confinement) -> list[str]:
    arguments: list[str] = []
    for name in _MERGED:
        place = Path("/", name)
        if place.is_symlink():
            arguments += ["--symlink", str(place.readlink()), str(place)]
        elif place.is_dir():
            arguments += ["--ro-bind", str(place), str(place)]
    for name in _ETC:
        arguments += ["--ro-bind-try", f"/etc/{name}", f"/etc/{name}"]
    arguments += ["--ro-bind", "/usr", "/usr"]
    arguments += ["--proc", "/proc"]
    for name in _PROC_READ_ONLY:
        arguments += ["--ro-bind-try", f"/proc/{name}", f"/proc/{name}"]
    for name in _PROC_COVERED:
        arguments += _covered(Path("/proc", name))
    arguments += ["--ro-bind-try", "/sys/devices/system", "/sys/devices/system"]
    arguments += ["--dev", "/dev", "--perms", "1777", "--size", str(confinement.shared_memory_mb << 20), "--tmpfs", "/dev/shm"]
    for device in confinement.devices:
        arguments += ["--dev-bind", str(device), str(device)]
    if confinement.devices:  # the driver looks its devices up there
        arguments += ["--ro-bind-try", "/sys/bus/pci", "/sys/bus/pci", "--ro-bind-try", "/sys/devices", "/sys/devices"]
        arguments += ["--ro-bind-try", "/sys/module", "/sys/module", "--ro-bind-try", "/sys/class", "/sys/class"]
    arguments += ["--remount-ro", "/dev"]
    for source, place in ((confinement.tmp, TMP), (confinement.home, HOME), (confinement.workspace, WORKSPACE)):
        arguments += ["--bind", str(source), str(place)]
    for root in _outermost([*_PYTHON, *confinement.readable]):  # after /tmp, which may have some of them
        arguments += ["--ro-bind", str(root), str(root)]
    for name in confinement.sealed[:_MOST_SEALED]:
        if (confinement.workspace / name).is_file() and not (confinement.workspace / name).is_symlink():
            arguments += ["--ro-bind", str(confinement.workspace / name), str(WORKSPACE / name)]
    for folder, instead in confinement.replaced:
        arguments += ["--ro-bind", str(instead), str(folder)]
    for hidden in confinement.hidden:
        arguments += _covered(hidden)
    return [*arguments, "--remount-ro", "/", "--chdir", str(WORKSPACE)]


def _covered(path: Path) -> list[str]:
    """Make a file or folder look empty, where there is one."""
    if path.is_dir():
        return ["--tmpfs", str(path), "--remount-ro", str(path)]
    return ["--ro-bind", str(_EMPTY_FILE), str(path)] if path.exists() else []


def _outermost(roots: Sequence[Path]) -> list[Path]:
    """Each folder once, without those that lie in another, or in /usr."""
    wanted = dict.fromkeys(root for root in roots if not root.is_relative_to("/usr") and root != Path("/"))
    return [root for root in wanted if not any(other in root.parents for other in wanted)]
