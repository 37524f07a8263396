"""Attacks on the machine: what candidates/*.py try, a line of the table each, and what stands against it."""

from __future__ import annotations

from attack import IN_VAIN, USERS_RIGHTS, Elsewhere

NO_SANDBOX = Elsewhere(USERS_RIGHTS, USERS_RIGHTS)
AS_FAR = Elsewhere("as far as the user's own rights go", "as far as the user's own rights go")
PUT_BACK = Elsewhere("succeeds: prepare.py is read-only by agreement", "succeeds: the benchmark is a file like any other")

READING = {
    "read `~/.ssh`": NO_SANDBOX,
    "read other secrets of a home": NO_SANDBOX,
    "read the head's environment: its own, `/proc/1/environ`, everybody's": Elsewhere(
        "succeeds: inherited from the agent's shell", "succeeds: inherited, keys and all"
    ),
    "look at other processes": NO_SANDBOX,
    "reach another process's files: `/proc/PID/root`, `cwd`, `fd`": NO_SANDBOX,
    "use a descriptor that the worker left open": Elsewhere("none is passed on", "none is passed on"),
    "read another candidate's workspace": Elsewhere("there is one folder for all", "there is one folder for all"),
    "read other candidates' commits": Elsewhere("succeeds: the user's repository", "succeeds: the user's repository"),
    "read the node's cache": NO_SANDBOX,
    "read the run directory": Elsewhere(
        "succeeds: `results.tsv` can be written, too", "succeeds: `log.jsonl` can be written, too"
    ),
    "read the prepared data: `val.bin`, `test.bin`": Elsewhere(
        "succeeds: `make_dataloader(…, 'val')` is one import away", "depends on the user's benchmark"
    ),
    "read the system's secrets: `/etc/shadow`, host keys": AS_FAR,
    "read the machine's memory and disks": AS_FAR,
    "read the kernel's addresses and keys": AS_FAR,
}
CALLING = {
    "open a TCP socket": NO_SANDBOX,
    "open a UDP socket": NO_SANDBOX,
    "open a Unix socket by its path": NO_SANDBOX,
    "open an abstract Unix socket": NO_SANDBOX,
    "ask a name server": NO_SANDBOX,
    "offer a service of its own": NO_SANDBOX,
    "talk to Docker, the bus or the agent of keys": NO_SANDBOX,
}
BREAKING = {
    "edit a sealed file at run time": PUT_BACK,
    "replace a sealed file, or link over it": PUT_BACK,
    "write outside the workspace": NO_SANDBOX,
    "write to the kernel: `/proc/sys`, `/sys`, `core_pattern`": AS_FAR,
    "remount, mount or unmount": AS_FAR,
    "make a device node": AS_FAR,
    "new namespaces, to be root in": AS_FAR,
    "become somebody else: setuid, sudo, su": AS_FAR,
    "trace or read another process: ptrace, process_vm_readv": AS_FAR,
    "hide a note in a keyring": NO_SANDBOX,
    "attack the kernel: bpf, perf, userfaultfd, io_uring, modules": AS_FAR,
    "set the clock": AS_FAR,
    "signal whoever there is": NO_SANDBOX,
}
CHAPTERS = {"Reading": READING, "Calling": CALLING, "Writing and breaking out": BREAKING}
EXPECTED = (IN_VAIN, "sandbox")
