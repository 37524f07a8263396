"""The system calls that a candidate may not make: a seccomp filter as a classic BPF program, ready for bubblewrap.

Refused (EPERM) is what namespaces do not contain: keyrings, which outlive a trial, and calls that serve to attack a kernel
rather than to train a model; and what tells one process how others use files that all can read. New namespaces are refused
too, so that nothing inside becomes privileged even over itself; `clone3`, whose flags a filter cannot see, is as if absent:
the C library then uses `clone`. See seccomp(2).
"""

from __future__ import annotations

import errno
import platform
import struct
from functools import cache

_CLONE_NEW = 0x7E020000  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}; see sched.h
_AUDIT_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32_BIT = 0x40000000
# fmt: off
# name: number on x86_64, on aarch64 (None: not there). From the kernel's syscall tables.
_REFUSED: dict[str, tuple[int, int | None]] = {
    "add_key": (248, 217), "request_key": (249, 218), "keyctl": (250, 219),
    "ptrace": (101, 117), "process_vm_readv": (310, 270), "process_vm_writev": (311, 271),
    "unshare": (272, 97), "setns": (308, 268), "mount": (165, 40), "umount2": (166, 39), "pivot_root": (155, 41),
    "fsopen": (430, 430), "fsmount": (432, 432), "open_tree": (428, 428), "move_mount": (429, 429),
    "mount_setattr": (442, 442), "chroot": (161, 51),
    "bpf": (321, 280), "perf_event_open": (298, 241), "userfaultfd": (323, 282), "io_uring_setup": (425, 425),
    "init_module": (175, 105), "finit_module": (313, 273), "delete_module": (176, 106), "kexec_load": (246, 104),
    "open_by_handle_at": (304, 265), "acct": (163, 89), "quotactl": (179, 60), "reboot": (169, 142), "swapon": (167, 224),
    "syslog": (103, 116), "clock_settime": (227, 112), "settimeofday": (164, 170), "adjtimex": (159, 171),
    # What one process could tell another by how it uses files that both can only read.
    "inotify_init": (253, None), "inotify_init1": (294, 26), "fanotify_init": (300, 262), "mincore": (27, 232),
    "preadv2": (327, 286), "cachestat": (451, 451),
    "clone3": (435, 435), "iopl": (172, None), "ioperm": (173, None), "uselib": (134, None), "lookup_dcookie": (212, 18),
}
# fmt: on
_AS_IF_ABSENT = frozenset({"clone3", "preadv2", "io_uring_setup"})  # the C library then does it in an older way
_CLONE = {"x86_64": 56, "aarch64": 220}

_LOAD, _EQUALS, _ANY_BIT, _AT_LEAST, _RETURN = 0x20, 0x15, 0x45, 0x35, 0x06
_ALLOW, _KILL_PROCESS, _ERRNO = 0x7FFF0000, 0x80000000, 0x00050000


@cache
def filter_program(machine: str | None = None) -> bytes | None:
    """The filter for a machine (default: this one), as `struct sock_filter[]`; None for one whose calls are not listed."""
    machine = machine or platform.machine()
    if machine not in _AUDIT_ARCH:
        return None
    column = 0 if machine == "x86_64" else 1
    program: list[tuple[int, int, int, int]] = [  # code, jump if true, jump if false, constant
        (_LOAD, 0, 0, 4),  # the architecture
        (_EQUALS, 1, 0, _AUDIT_ARCH[machine]),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, 0),  # the call's number
    ]
    if machine == "x86_64":
        program += [(_AT_LEAST, 0, 1, _X32_BIT), (_RETURN, 0, 0, _ERRNO | errno.ENOSYS)]
    for name, row in sorted(_REFUSED.items()):
        if (number := row[column]) is not None:
            answer = errno.ENOSYS if name in _AS_IF_ABSENT else errno.EPERM
            program += [(_EQUALS, 0, 1, number), (_RETURN, 0, 0, _ERRNO | answer)]
    program += [
        (_EQUALS, 0, 3, _CLONE[machine]),
        (_LOAD, 0, 0, 16),  # its first argument, the flags: the low half
        (_ANY_BIT, 0, 1, _CLONE_NEW),
        (_RETURN, 0, 0, _ERRNO | errno.EPERM),
        (_RETURN, 0, 0, _ALLOW),
    ]
    return b"".join(struct.pack("<HBBI", *instruction) for instruction in program)
