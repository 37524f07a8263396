# ruff: noqa: PTH112, PTH115, PTH123, PTH207, PTH208, SIM115
"""A candidate that tries to read what is not its own. KNOWN is put in by the test: it knows every path that it could want."""

import contextlib
import glob
import json
import os
import subprocess

KNOWN = {}


def first_bytes(path):
    """At once: to read the kernel's messages would wait for the next."""
    file = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        return os.read(file, 4096)
    finally:
        os.close(file)


def read(*paths):
    """What could be read of these files and folders, wild cards too."""
    found = []
    for path in (each for pattern in paths for each in (glob.glob(pattern) or [pattern])):
        with contextlib.suppress(OSError):
            content = os.listdir(path) if os.path.isdir(path) else first_bytes(path)
            if content:
                found.append(f"{path}: {content[:40]!r}")
    return found


def with_secret(*patterns):
    """Which files of /proc have the head's secret in them, or a folder that only the head and the worker know."""
    found = []
    for path in (each for pattern in patterns for each in glob.glob(pattern)):
        with contextlib.suppress(OSError):
            content = open(path, "rb").read()
            if any(mark.encode() in content for mark in KNOWN["marks"]):
                found.append(path)
    return found


def others():
    """Processes that are neither this one, nor its parents, nor the shell's."""
    seen = [pid for pid in os.listdir("/proc") if pid.isdigit()]
    return seen if len(seen) > 6 or str(KNOWN["head"]) in seen else []


def leading_out():
    """Open descriptors of files and folders outside, and what they lead to."""
    found = []
    for number in os.listdir("/proc/self/fd"):
        with contextlib.suppress(OSError):
            target = os.readlink(f"/proc/self/fd/{number}")
            if target.startswith("/") and not target.startswith(("/workspace", "/dev/null", "/proc")):
                found.append(f"{number}: {target}")
    return found


def git_objects():
    """Other candidates, by way of git."""
    said = [
        subprocess.run(["git", *where, "log", "--all", "--oneline"], capture_output=True, text=True, check=False).stdout
        for where in ([], ["--git-dir", KNOWN["cache"]], ["--git-dir", KNOWN["repository"]])
    ]
    return [each for each in said if each] + read(
        f"{KNOWN['cache']}/objects/*", "/workspace/.git/objects", "/workspace/.git/HEAD"
    )


ATTEMPTS = {
    "read `~/.ssh`": lambda: read(
        KNOWN["home"], f"{KNOWN['home']}/.ssh/*", "/root/.ssh", "/root/*", "/home/*/.ssh/*"),
    "read other secrets of a home": lambda: read(*(f"{home}/{name}" for home in ("/root", KNOWN["home"]) for name in (
        ".netrc", ".bash_history", ".aws/credentials", ".config/*", ".cache/*", ".gitconfig", ".docker/config.json"))),
    "read the head's environment: its own, `/proc/1/environ`, everybody's": lambda: with_secret(
        "/proc/*/environ", "/proc/*/task/*/environ"),
    "look at other processes": lambda: others() + with_secret("/proc/*/cmdline", "/proc/*/comm"),
    "reach another process's files: `/proc/PID/root`, `cwd`, `fd`": lambda: read(
        f"/proc/1/root{KNOWN['home']}", f"/proc/{KNOWN['head']}/root",
        f"/proc/{KNOWN['head']}/cwd", f"/proc/{KNOWN['head']}/fd"),
    "use a descriptor that the worker left open": leading_out,
    "read another candidate's workspace": lambda: read(
        KNOWN["workspace"], f"{KNOWN['workspace']}/*", f"{KNOWN['node']}/workers"),
    "read other candidates' commits": git_objects,
    "read the node's cache": lambda: read(KNOWN["node"], f"{KNOWN['node']}/*"),
    "read the run directory": lambda: read(KNOWN["run"], f"{KNOWN['run']}/*"),
    "read the prepared data: `val.bin`, `test.bin`": lambda: read(
        KNOWN["data"], f"{KNOWN['data']}/*", f"{KNOWN['data']}/*/val.bin", "/root/.cache/regatta/*"),
    "read the system's secrets: `/etc/shadow`, host keys": lambda: read(
        "/etc/shadow", "/etc/gshadow", "/etc/sudoers", "/etc/ssh/*", "/etc/ssl/private/*",
        "/var/*", "/run/*", "/etc/machine-id"),
    "read the machine's memory and disks": lambda: read(
        "/dev/mem", "/dev/kmem", "/dev/kmsg", "/dev/vd*", "/dev/sd*", "/dev/nvme*",
        "/proc/kcore", "/proc/kmsg", "/proc/sysrq-trigger"),
    "read the kernel's addresses and keys": lambda: read("/proc/kallsyms", "/proc/keys", "/proc/modules", "/sys/kernel/*"),
}  # fmt: skip


def work():
    for name, attempt in ATTEMPTS.items():
        print("TRIED " + json.dumps([name, attempt()]))
    return 2.5
