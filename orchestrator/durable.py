"""Has the disk hold what was written, so that a power cut does not take it: for files that the journal will speak of."""

from __future__ import annotations

import os
from pathlib import Path


def sync(path: Path) -> None:
    """Return when a file's content, or the names in a folder, are on the disk. Raises OSError."""
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_durably(path: Path, data: bytes) -> None:
    """The whole file or none, on the disk. Raises OSError."""
    draft = path.with_name(f".{path.name}")
    draft.write_bytes(data)
    sync(draft)
    draft.replace(path)
    sync(path.parent)
