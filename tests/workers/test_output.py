"""A capped log keeps the beginning and the end of whatever is printed, and can be followed."""

from __future__ import annotations

from workers.output import CappedLog


def test_a_short_output_is_kept_whole() -> None:
    log = CappedLog(head_bytes=4, tail_bytes=4)
    log.append(b"abc")
    log.append(b"defgh")
    assert log.value() == b"abcdefgh"


def test_a_long_output_keeps_both_ends_and_says_what_is_left_out() -> None:
    log = CappedLog(head_bytes=4, tail_bytes=4)
    for letter in b"abcdefghijklmnopqrstuvwxyz":
        log.append(bytes([letter]))
    assert log.value() == b"abcd\n[... 18 bytes left out ...]\nwxyz"


def test_a_follower_gets_each_byte_once() -> None:
    log, offset, seen = CappedLog(), 0, b""
    for line in (b"one\n", b"two\n", b"", b"three\n"):
        log.append(line)
        chunk, offset = log.since(offset)
        seen += chunk
    assert seen == b"one\ntwo\nthree\n"
    assert log.since(offset) == (b"", offset)


def test_a_slow_follower_misses_the_middle_but_not_the_end() -> None:
    log = CappedLog(head_bytes=4, tail_bytes=4)
    log.append(b"a" * 50)
    log.append(b"the end")
    chunk, offset = log.since(10)
    assert chunk.endswith(b" end")
    assert offset == 57


def test_the_last_line_is_fit_to_be_shown() -> None:
    log = CappedLog()
    assert log.last_line() is None
    log.append(b"first\nValueError: \x1b[31mred\xff\n\n")
    assert log.last_line() == "ValueError:  [31mred\ufffd"
