"""The filter of system calls is a well-formed program that refuses what it should, on every machine that it knows."""

from __future__ import annotations

import errno
import struct

import pytest

from workers.seccomp import filter_program

_ALLOW, _KILL, _EPERM, _ENOSYS = 0x7FFF0000, 0x80000000, 0x50000 | errno.EPERM, 0x50000 | errno.ENOSYS
_ARCH = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}


def verdict(machine: str, number: int, first_argument: int = 0, arch: int | None = None) -> int:
    """What the program returns for a call: classic BPF, as the kernel runs it."""
    program = filter_program(machine)
    assert program is not None
    data = struct.pack("<IIQQQQQQQ", number, _ARCH[machine] if arch is None else arch, 0, first_argument, 0, 0, 0, 0, 0)
    at, accumulator = 0, 0
    while True:
        code, if_true, if_false, constant = struct.unpack_from("<HBBI", program, 8 * at)
        at += 1
        if code == 0x06:
            return int(constant)
        if code == 0x20:
            (accumulator,) = struct.unpack_from("<I", data, constant)
        else:
            met = {0x15: accumulator == constant, 0x35: accumulator >= constant, 0x45: bool(accumulator & constant)}[code]
            at += if_true if met else if_false


@pytest.mark.parametrize(("machine", "keyctl", "unshare", "read"), [("x86_64", 250, 272, 0), ("aarch64", 219, 97, 63)])
def test_what_namespaces_do_not_contain_is_refused_and_the_rest_allowed(
    machine: str, keyctl: int, unshare: int, read: int
) -> None:
    assert verdict(machine, keyctl) == _EPERM
    assert verdict(machine, unshare) == _EPERM
    assert verdict(machine, read) == _ALLOW


def test_what_the_c_library_can_do_without_is_as_if_absent() -> None:
    assert verdict("x86_64", 327) == _ENOSYS  # preadv2


@pytest.mark.parametrize(("machine", "clone"), [("x86_64", 56), ("aarch64", 220)])
def test_threads_and_children_can_be_made_but_no_namespaces(machine: str, clone: int) -> None:
    assert verdict(machine, clone, 0x003D0F00) == _ALLOW  # what the C library gives for a thread
    assert verdict(machine, clone, 17) == _ALLOW  # SIGCHLD: fork
    assert verdict(machine, clone, 0x10000000 | 17) == _EPERM  # CLONE_NEWUSER
    assert verdict(machine, 435) == _ENOSYS  # clone3: the C library falls back


def test_calls_of_another_architecture_end_the_process() -> None:
    assert verdict("x86_64", 0, arch=0x40000003) == _KILL  # i386
    assert verdict("x86_64", 0x40000000 | 250) == _ENOSYS  # x32


def test_an_unknown_machine_has_no_filter() -> None:
    assert filter_program("riscv64") is None
