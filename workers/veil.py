"""Hides many files behind few mounts: a sandbox pays for each one, in every process that it starts.

What has to be hidden is given as files and folders (held_out.py). Another installation of the same things is hidden whole.
A folder of bytecode is replaced by a copy without what is hidden, made once a node. The rest is hidden one by one.
"""

from __future__ import annotations

import hashlib
import shutil
import tempfile
from collections import defaultdict
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import Path

_INSTALLATION = 5  # hidden entries side by side: not one stray copy but the whole thing once more
_FOLDER_OF_BYTECODE = "__pycache__"


@dataclass(frozen=True, slots=True)
class Veil:
    """`hidden` looks empty; each folder of `replaced` looks like the one beside it."""

    hidden: tuple[Path, ...] = ()
    replaced: tuple[tuple[Path, Path], ...] = ()


def veil_over(paths: Sequence[Path], needed: Collection[Path], store: Path) -> Veil:
    """Few mounts that hide all of `paths` and nothing that is `needed` (folders). Copies lie in `store`, kept for the next."""
    beside: defaultdict[Path, list[Path]] = defaultdict(list)
    for path in paths:
        beside[path.parent].append(path)
    whole = {
        folder
        for folder, inside in beside.items()
        if len(inside) >= _INSTALLATION
        and folder.name != _FOLDER_OF_BYTECODE
        and not any(place.is_relative_to(folder) or folder == place.parent for place in needed)
    }
    hidden, replaced = list(whole), []
    for folder, inside in beside.items():
        if whole.intersection((folder, *folder.parents)):
            continue
        if folder.name == _FOLDER_OF_BYTECODE and len(inside) >= _INSTALLATION:
            replaced.append((folder, _without(folder, inside, store)))
        else:
            hidden += [path for path in inside if not whole.intersection(path.parents)]
    return Veil(tuple(sorted(hidden)), tuple(sorted(replaced)))


def _without(folder: Path, left_out: Collection[Path], store: Path) -> Path:
    """A copy of a folder's files, without some. It appears complete, by one rename."""
    said = f"{folder}\0{folder.stat().st_mtime_ns}\0" + "\0".join(sorted(path.name for path in left_out))
    copy = store / hashlib.sha256(said.encode()).hexdigest()[:16]
    if copy.is_dir():
        return copy
    store.mkdir(parents=True, exist_ok=True)
    draft = Path(tempfile.mkdtemp(prefix=f".{copy.name}-", dir=store))
    try:
        draft.chmod(0o755)
        for path in folder.iterdir():
            if path.is_file() and path not in left_out:
                shutil.copy2(path, draft / path.name)  # the times too: Python compares none, other readers may
        draft.rename(copy)
    except OSError:
        if not copy.is_dir():  # else another worker was faster
            raise
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    return copy
