# ruff: noqa: PTH120, PTH123
"""A candidate that tries to write where it may not, and to gain rights. KNOWN is put in by the test."""

import contextlib
import ctypes
import json
import os
import signal
import subprocess
import sys

KNOWN = {}
LIBC = ctypes.CDLL(None, use_errno=True)


def done(*results):
    """The names of what succeeded: a system call that did not return -1."""
    return [name for name, result in results if result != -1]


def write(*paths):
    found = []
    for path in paths:
        with contextlib.suppress(OSError):
            with open(path, "ab") as file:
                file.write(b"canary-written")
            found.append(path)
    return found


def run(*commands):
    return [c for c in commands if subprocess.run(["sh", "-c", c], capture_output=True, check=False).returncode == 0]


def replace_sealed():
    """Put something else in place of the sealed file: unlinked, moved, linked, made writable."""
    return run(
        "rm measure.py", "mv measure.py elsewhere.py", "ln -sf /tmp/mine.py measure.py",
        "chmod u+w measure.py && echo >> measure.py",
        "cp work.py mine.py && mv mine.py measure.py", "sed -i s/loss/lose/ measure.py", "mount --bind work.py measure.py",
    )  # fmt: skip


def signals():
    """Everybody that it can hit, beyond its own process group: there should be nobody."""
    found = []
    for pid in (*range(1, 400), KNOWN["head"]):
        with contextlib.suppress(OSError):
            if pid not in (os.getpid(), os.getppid(), 1) and os.getpgid(pid) != os.getpgrp():
                os.kill(pid, signal.SIGSTOP)
                found.append(str(pid))
    return found


ATTEMPTS = {
    "edit a sealed file at run time": lambda: write("measure.py", "/workspace/measure.py", "/proc/self/cwd/measure.py"),
    "replace a sealed file, or link over it": replace_sealed,
    "write outside the workspace": lambda: write(
        "/etc/passwd", "/usr/bin/canary", "/canary", "/root/canary", "/var/tmp/canary", f"{sys.prefix}/canary",
        f"{os.path.dirname(os.__file__)}/sitecustomize.py", f"{sys.prefix}/lib/python3.11/site-packages/canary.pth",
        *(f"{folder}/canary" for folder in KNOWN["folders"])),
    "write to the kernel: `/proc/sys`, `/sys`, `core_pattern`": lambda: write(
        "/proc/sys/kernel/core_pattern", "/proc/sys/vm/drop_caches", "/proc/sysrq-trigger", "/sys/kernel/mm/ksm/run",
        "/proc/sys/kernel/hostname", "/proc/1/oom_score_adj", "/proc/1/mem", "/sys/fs/cgroup/cgroup.procs"),
    "remount, mount or unmount": lambda: run(
        "mount -o remount,rw /", "mount -o remount,rw /usr", "mount -t tmpfs none /mnt",
        "umount /workspace/measure.py", "umount -l /proc",
        "mount --bind /workspace /usr") + done(
        ("mount", LIBC.mount(b"none", b"/tmp", b"tmpfs", 0, None)), ("umount2", LIBC.umount2(b"/proc", 2))),
    "make a device node": lambda: run("mknod /tmp/disk b 254 0", "mknod /tmp/memory c 1 1", "mknod /dev/disk b 254 0"),
    "new namespaces, to be root in": lambda: run(
        "unshare --user --map-root-user true", "unshare --net true", "bwrap --ro-bind / / true") + done(
        ("unshare", LIBC.unshare(0x10000000)), ("setns", LIBC.setns(0, 0)),
        ("clone", LIBC.syscall(56, 0x10000000 | 17, 0, 0, 0, 0))),
    "become somebody else: setuid, sudo, su": lambda: run("sudo -n true", "su -c true", "chroot / true") + [
        name for name in ("setuid", "setgid") if getattr(LIBC, name)(0) == 0],
    "trace or read another process: ptrace, process_vm_readv": lambda: done(
        ("ptrace", LIBC.ptrace(16, os.getppid(), 0, 0)), ("attach", LIBC.ptrace(16, 1, 0, 0)),
        ("traceme", LIBC.ptrace(0, 0, 0, 0))) + write(
        f"/proc/{os.getppid()}/mem"),
    "hide a note in a keyring": lambda: done(
        ("add_key", LIBC.syscall(248, b"user", b"canary", b"note", 4, -3)), ("keyctl", LIBC.syscall(250, 0, -3, 1)),
        ("add_key to the user's", LIBC.syscall(248, b"user", b"canary", b"note", 4, -4))),
    "attack the kernel: bpf, perf, userfaultfd, io_uring, modules": lambda: done(
        *((str(number), LIBC.syscall(number, 0, 0, 0, 0, 0)) for number in (321, 298, 323, 425, 313, 246, 304, 163, 103))),
    "set the clock": lambda: run("date -s 2001-01-01") + done((
        "settimeofday", LIBC.settimeofday(ctypes.create_string_buffer(16), None))),
    "signal whoever there is": signals,
}  # fmt: skip


def work():
    # left behind on purpose, for the test to look for: it must have been in a namespace of its own
    LIBC.shmget(KNOWN["segment"], 4096, 0o1666)
    LIBC.sethostname(b"canary", 6)
    for name, attempt in ATTEMPTS.items():
        print("TRIED " + json.dumps([name, attempt()]))
    return 2.5
