"""A lent descriptor can be read, and nothing else can be done through it."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from workers.lending import Lender


@pytest.fixture
def lender() -> Iterator[Lender]:
    made = Lender()
    yield made
    made.close()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    path = tmp_path / "train.bin"
    path.write_bytes(b"tokens")
    return path


def test_each_loan_begins_at_the_start_of_the_file(lender: Lender, file: Path) -> None:
    for _ in range(2):
        descriptor = lender.lend(file)
        assert os.read(descriptor, 3) == b"tok"
        os.close(descriptor)


@pytest.mark.parametrize(
    "attempt",
    [
        lambda number: os.close(os.open(f"/proc/self/fd/{number}", os.O_WRONLY)),
        lambda number: os.close(os.open(f"/proc/self/fd/{number}", os.O_RDWR | os.O_TRUNC)),
        lambda number: os.fchmod(number, 0),
        lambda number: os.utime(f"/proc/self/fd/{number}"),
        lambda number: os.truncate(number, 0),
        lambda number: os.write(number, b"poison"),
    ],
    ids=["reopen", "truncate", "chmod", "touch", "ftruncate", "write"],
)
def test_its_holder_cannot_change_the_file(lender: Lender, file: Path, attempt: Callable[[int], None]) -> None:
    before = file.stat()
    descriptor = lender.lend(file)
    with pytest.raises(OSError, match=r"Read-only|Invalid|Bad file"):
        attempt(descriptor)
    os.close(descriptor)
    assert file.read_bytes() == b"tokens"
    assert file.stat().st_mode == before.st_mode


def test_a_file_that_is_not_there_is_an_error_and_no_end(lender: Lender, file: Path) -> None:
    with pytest.raises(FileNotFoundError):
        lender.lend(file.with_name("absent"))
    os.close(lender.lend(file))


def test_a_lender_whose_process_was_killed_starts_another(lender: Lender, file: Path) -> None:
    os.close(lender.lend(file))
    assert lender.process is not None
    lender.process.kill()
    lender.process.wait()
    os.close(lender.lend(file))
