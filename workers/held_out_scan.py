"""Looks through folders for files that share lines with given text: plain, compressed, archived, or as orphaned bytecode.

Quick rather than complete: what is written in languages with a suffix of their own, what is larger than any source, and what
is neither text nor an archive is passed over. No link is followed, nothing is run or unpacked to the disk.
"""

from __future__ import annotations

import bz2
import lzma
import os
import stat
import zipfile
import zlib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

LONG_LINE = 24  # bytes from which on a line says something
FEWEST_LINES = 8  # shared; below it, nothing is called a copy for its lines
MOST_BYTES = 64 << 20  # of one file, and of what comes out of a compressed one
_PROBE = 1024
# fmt: off
_OTHER_LANGUAGES = frozenset({
    # machine code, pictures, translations, keys and tables
    "so", "a", "o", "bc", "png", "gif", "jpg", "jpeg", "ico", "svg", "ttf", "otf", "woff", "woff2", "mo", "po", "gmo", "pak",
    "wav", "mp3", "mp4", "pem", "crt", "json", "xml", "xsd", "dtd", "csv", "tsv", "parquet", "npy", "npz", "bin", "dat", "db",
    "jar", "jmod", "jsa", "class", "hwdb", "cmake", "pc", "map",
    # programs in other languages
    "h", "hh", "hpp", "hxx", "inl", "cuh", "cu", "c", "cc", "cpp", "cxx", "js", "mjs", "ts", "css", "scss", "pm", "pl", "vim",
    "go", "rs", "java", "rb", "lua", "tcl", "el", "f", "f90", "m4", "mod",
})
# fmt: on


@dataclass(frozen=True, slots=True)
class Sight:
    """A file that shares lines."""

    path: bytes
    shared: frozenset[bytes]
    long_lines: int | None  # different ones that it has in all; None where fewer than FEWEST_LINES are shared


def long_lines(data: bytes) -> set[bytes]:
    """The lines that say something, outer white space removed."""
    return {line for line in map(bytes.strip, data.split(b"\n")) if len(line) >= LONG_LINE}


def look_through(roots: Sequence[Path], lines: frozenset[bytes]) -> Iterator[Sight]:
    """Every file under `roots` that has one of `lines`."""
    for root in roots:
        for path, size in _files_below(os.fsencode(root)):
            for text in _texts_of(path, size):
                shared = lines.intersection(map(bytes.strip, text.split(b"\n")))
                if shared:
                    yield Sight(path, shared, len(long_lines(text)) if len(shared) >= FEWEST_LINES else None)


def _files_below(top: bytes) -> Iterator[tuple[bytes, int]]:
    """Regular files that may hold source text, and their sizes."""
    folders = [top]
    while folders:
        try:
            with os.scandir(folders.pop()) as entries:
                inside = list(entries)
        except OSError:  # not ours to read, so not a candidate's either; or gone
            continue
        for entry in inside:
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.path)
            elif entry.is_file(follow_symlinks=False) and _may_hold_source(entry.path):
                size = entry.stat(follow_symlinks=False).st_size
                if LONG_LINE < size <= MOST_BYTES:
                    yield entry.path, size


def _may_hold_source(path: bytes) -> bool:
    name = path.rpartition(b"/")[2]
    compressed = name.endswith((b".gz", b".bz2", b".xz"))
    if compressed:
        name = name.rpartition(b".")[0]
        if b"/man/" in path:  # pages in troff, by the ten thousand
            return False
    suffix = name.rpartition(b".")[2].decode("ascii", "replace").lower() if b"." in name else ""
    if suffix in ("pyc", "pyo"):
        return not _has_its_source(path)
    return suffix not in _OTHER_LANGUAGES


def _has_its_source(bytecode: bytes) -> bool:
    """Bytecode beside its source tells nothing that the source does not."""
    folder, _, name = bytecode.rpartition(b"/")
    source = folder.removesuffix(b"/__pycache__") + b"/" + name.split(b".")[0] + b".py"
    return os.access(source, os.F_OK)


def _texts_of(path: bytes, size: int) -> Iterator[bytes]:
    """The file's text; of an archive, the text of each member. Nothing of what is neither."""
    try:
        with open(path, "rb") as file:  # noqa: PTH123  bytes: a hundred thousand names are not worth decoding
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                return
            start = file.read(_PROBE)
            kind = _kind(path, start)
            if kind is None:
                return
            if kind == "zip":
                yield from _members(path)
            else:
                yield _UNPACK[kind](start + file.read(size))
    except (OSError, EOFError, ValueError, zlib.error, lzma.LZMAError, zipfile.BadZipFile):
        return  # unreadable to us is unreadable to a candidate


def _kind(path: bytes, start: bytes) -> str | None:
    for magic, kind in ((b"\x1f\x8b", "gz"), (b"BZh", "bz2"), (b"\xfd7zXZ", "xz"), (b"PK\x03\x04", "zip")):
        if start.startswith(magic):
            return kind
    if b"\0" not in start or start[257:262] == b"ustar" or path.endswith((b".pyc", b".pyo")):
        return "plain"
    return None


_UNPACK: dict[str, Callable[[bytes], bytes]] = {
    "plain": lambda data: data,
    "gz": lambda data: zlib.decompressobj(31).decompress(data, MOST_BYTES),
    "bz2": lambda data: bz2.BZ2Decompressor().decompress(data, MOST_BYTES),
    "xz": lambda data: lzma.LZMADecompressor().decompress(data, MOST_BYTES),
}


def _members(archive: bytes) -> Iterator[bytes]:
    left = 4 * MOST_BYTES
    with zipfile.ZipFile(os.fsdecode(archive)) as opened:
        for member in opened.infolist():
            suffix = member.filename.rpartition(".")[2].lower()
            if member.is_dir() or suffix in _OTHER_LANGUAGES or not LONG_LINE < member.file_size <= min(MOST_BYTES, left):
                continue
            left -= member.file_size
            try:
                yield opened.read(member)
            except (RuntimeError, NotImplementedError):  # encrypted, or a method that this Python lacks
                continue
