"""Where text comes from: what every corpus offers, and the one that needs no network.

A corpus yields documents, split by split, always in the same order. It knows nothing of tokens. Sealed.
"""

from __future__ import annotations

import hashlib
import platform
import random
import re
import sysconfig
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path
from typing import Literal, Protocol

Split = Literal["train", "val", "test"]


class PrepareError(Exception):
    """Something a user caused or met; the message is one line that says what to do next."""


class Corpus(Protocol):
    """Text in three splits, and the sizes that suit it."""

    name: str
    seq_len: int  # tokens a row
    vocab_size: int
    val_tokens: int  # how many packed tokens are wanted; fewer where the split has fewer
    test_tokens: int

    def key(self) -> str:
        """Names the data folder: other text or other settings, another key. Must be quick."""
        ...

    def documents(self, split: Split) -> Iterator[str]:
        """The documents of a split, in an order that never changes. Raises PrepareError."""
        ...

    def about(self) -> dict[str, object]:
        """What else belongs in meta.json. Called after the documents were read."""
        ...


# Whole packages that neither Python's start, nor torch (its compiler and what that asks of other libraries included), nor
# train.py imports, so that a sandbox can hide their files. Those that this Python lacks are passed over.
VAL_PACKAGES = ("mailbox", "wsgiref", "ftplib", "turtledemo", "optparse", "modulefinder", "wave", "curses", "fileinput")
TEST_PACKAGES = ("imaplib", "xmlrpc", "smtplib", "nntplib", "poplib", "trace", "pyclbr", "shelve", "dbm", "tabnanny")

# Not text that people wrote, or files that differ from one build of the same Python to the next.
SKIPPED_FOLDERS = {"site-packages", "dist-packages", "__pycache__", "test", "tests", "idle_test", "_bundled", "encodings"}
SKIPPED_FILES = re.compile(r"_sysconfig(data|_vars).*|sitecustomize|usercustomize|_build_details|topics|__phello__.*")

PIECE_CHARS = 1200  # a document: a few top-level definitions, about as long as a row of 256 tokens
TRAIN_CHARS = 8_000_000  # at most; ten seconds of a small model see a tenth of it
LONG_LINE = 24  # characters from which on a line says something; `return None` is nobody's copy
NEAR_DUPLICATE = 0.3  # share of a document's long lines that held-out text has too


class Embedded:
    """The sources of this machine's own Python standard library. Text differs between Python versions, hence the key."""

    name = "embedded"
    seq_len = 256
    vocab_size = 2048
    val_tokens = 28_672
    test_tokens = 28_672

    def __init__(self, root: Path | None = None) -> None:
        self._root = root or Path(sysconfig.get_path("stdlib"))

    def key(self) -> str:
        identity = f"2 {platform.python_implementation()} {platform.python_version()} {self._root}"
        return f"embedded-{platform.python_version()}-{hashlib.sha256(identity.encode()).hexdigest()[:8]}"

    def documents(self, split: Split) -> Iterator[str]:
        return iter(self._splits[split])

    def about(self) -> dict[str, object]:
        return {"source": f"standard library of {platform.python_implementation()} {platform.python_version()}",
                "source_root": str(self._root), "held_out": self.held_out}  # fmt: skip

    @cached_property
    def held_out(self) -> list[str]:
        """The source files of val and test, relative to the standard library's folder."""
        return [path for package in (*VAL_PACKAGES, *TEST_PACKAGES) for path in self._files_of(package)]

    def _files_of(self, package: str) -> list[str]:
        return [path for path in self._files if path.split("/")[0] in (package, f"{package}.py")]

    @cached_property
    def _files(self) -> dict[str, str]:
        """Relative path to text, sorted by path; what does not decode as UTF-8 is left out."""
        found: dict[str, str] = {}
        for path in sorted(self._root.rglob("*.py"), key=lambda p: p.relative_to(self._root).as_posix()):
            relative = path.relative_to(self._root)
            if SKIPPED_FOLDERS.intersection(relative.parts) or SKIPPED_FILES.fullmatch(path.stem):
                continue
            try:
                found[relative.as_posix()] = path.read_bytes().decode("utf-8")
            except (UnicodeDecodeError, OSError):  # another encoding, a broken link: not ours to repair
                continue
        if not found:
            raise PrepareError(f"no Python sources under {self._root}: install the full standard library of this Python")
        return found

    @cached_property
    def _splits(self) -> dict[Split, list[str]]:
        """Val first; test without what val has; train without what either has. Pieces are shuffled, files are not units."""
        held_out = set(self.held_out)
        raw: dict[Split, list[str]] = {
            "val": [self._files[path] for package in VAL_PACKAGES for path in self._files_of(package)],
            "test": [self._files[path] for package in TEST_PACKAGES for path in self._files_of(package)],
            "train": [text for path, text in self._files.items() if path not in held_out],
        }
        splits: dict[Split, list[str]] = {}
        taken: list[str] = []
        for split, texts in raw.items():
            pieces = without_copies((piece for text in texts for piece in split_into_pieces(text)), taken)
            random.Random(0).shuffle(pieces)
            splits[split] = pieces
            taken += pieces
        splits["train"] = _up_to(splits["train"], TRAIN_CHARS)
        return splits


def split_into_pieces(source: str, limit: int = PIECE_CHARS) -> Iterator[str]:
    """Cuts a source where a line begins at the margin after a blank line, into pieces that reach `limit` characters only
    where one definition does; that is then cut at line ends. Joined, the pieces are the source but for outer blank lines."""
    blocks = re.split(r"(?<=\n)\n+(?=\S)", source)
    piece = ""
    for block in blocks:
        for part in _cut_at_lines(block, limit):
            if piece and len(piece) + len(part) > limit:
                yield piece
                piece = ""
            piece += ("\n" if piece else "") + part
    if piece.strip():
        yield piece


def _cut_at_lines(block: str, limit: int) -> Iterator[str]:
    part = ""
    for line in block.splitlines(keepends=True):
        if part and len(part) + len(line) > limit:
            yield part
            part = ""
        part += line
    if part:
        yield part


def without_copies(documents: Iterable[str], taken: Iterable[str]) -> list[str]:
    """The documents, in order, without exact repetitions and without those that share more than NEAR_DUPLICATE of their
    long lines with text that is taken already (another split's)."""
    foreign = {line for text in taken for line in _long_lines(text)}
    seen: set[bytes] = set()
    kept: list[str] = []
    for document in documents:
        digest = hashlib.sha256(document.strip().encode()).digest()
        lines = _long_lines(document)
        shared = sum(line in foreign for line in lines)
        if digest in seen or shared > NEAR_DUPLICATE * max(len(lines), 1):
            continue
        seen.add(digest)
        kept.append(document)
    return kept


def _long_lines(text: str) -> list[str]:
    """Lines that say something, spaces normalised."""
    return [squeezed for line in text.splitlines() if len(squeezed := " ".join(line.split())) >= LONG_LINE]


def _up_to(documents: list[str], chars: int) -> list[str]:
    total, kept = 0, []
    for document in documents:
        total += len(document)
        if total > chars:
            break
        kept.append(document)
    return kept
