"""Where a machine holds text that a score is made of: the held-out files of a corpus, and every copy of them.

A corpus that is made of files of this machine says so in its meta.json (`source_root`, `held_out`). Whatever could be
opened there would be the answers of the test, so the sandbox hides what `copies` names: the files themselves, their
bytecode, the same files of other installations, and whatever else has so many of their lines that it is a copy, plain,
zipped or compressed. What such a file is called says nothing; its text does.

Nothing here knows what the corpus is: the lines are read from `source_root`.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from workers.held_out_scan import FEWEST_LINES, LONG_LINE, Sight, long_lines, look_through
from workers.locks import locked

RULES = 1  # another number: what was remembered is of other rules
SHARE = 0.3  # of a file's own long lines, or of a held-out file's: from here on it is a copy, in whole or in part
MOST_LINES = 40  # so many are too many, however large the file around them (a collection of sources)
WELL_KNOWN = 3  # a line in files of so many other names is an idiom or a licence, and nobody's secret
_ENTRIES_KEPT = 8
_PACKAGE_FOLDERS = ("site-packages", "dist-packages")


class HeldOutError(Exception):
    """It cannot be said what has to be hidden; the message says why and what to do."""


@dataclass(frozen=True)
class HeldOut:
    """The held-out files of a corpus: where they lie, and their long lines."""

    root: Path
    files: tuple[str, ...]  # relative to `root`

    @cached_property
    def lines(self) -> dict[str, frozenset[bytes]]:
        """The long lines of each file that can be read. Raises `HeldOutError` where none can."""
        found: dict[str, frozenset[bytes]] = {}
        for name in self.files:
            try:
                found[name] = frozenset(long_lines((self.root / name).read_bytes()))
            except OSError:  # what is not there needs no hiding
                continue
        if not found:
            raise HeldOutError(
                f"none of the {len(self.files)} held-out files is under {self.root}, so their copies cannot be hidden: "
                "prepare the data on this machine (delete its data folder and run `regatta prepare`)"
            )
        return found

    @cached_property
    def all_lines(self) -> frozenset[bytes]:
        return frozenset().union(*self.lines.values())


def copies(meta: Mapping[str, Any], roots: Sequence[Path], remembered: Path) -> tuple[Path, ...]:
    """The files and folders under `roots` to be hidden from whoever must not see held-out text; sorted, all of them there.

    `meta`: a data folder's meta.json; without `held_out` and `source_root` nothing has to be hidden. The held-out files
    themselves are named wherever they lie. Looking through the roots takes seconds and is done once: the answer is kept in the
    file `remembered`, until packages come or go. Raises `HeldOutError`.
    """
    if "held_out" not in meta or "source_root" not in meta:
        return ()
    held = HeldOut(Path(str(meta["source_root"])).resolve(), tuple(map(str, meta["held_out"])))
    places = _outermost(roots)
    key = _key(str(meta.get("sha256")), held, places)
    remembered.parent.mkdir(parents=True, exist_ok=True)
    with locked(remembered.with_name(f"{remembered.name}.lock")):  # one worker of a node looks, the others wait for it
        known = _recall(remembered)
        if key not in known:
            known[key] = [os.fsdecode(path) for path in copies_among(look_through(places, held.all_lines), held)]
            _remember(remembered, known)
    return tuple(sorted(_to_be_hidden(held, [Path(name) for name in known[key]])))


# -- what is a copy


def copies_among(seen: Iterable[Sight], held: HeldOut) -> list[bytes]:
    """Those of the files seen that are copies of held-out ones, whole or in part. Pure.

    Lines that many files share (licences, idioms) do not count, unless all who have them are copies of one original.
    """
    sights = sorted(seen, key=lambda sight: sight.path)
    known = _well_known(sights, held)
    secret = {name: lines - known for name, lines in held.lines.items()}
    return [sight.path for sight in sights if _is_copy(sight, known, secret)]


def _well_known(sights: Sequence[Sight], held: HeldOut) -> frozenset[bytes]:
    names: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for sight in sights:
        if not _covers_half(sight.shared, held.lines.values()):
            name = sight.path.rpartition(b"/")[2]  # the same file of three installations is one file
            for line in sight.shared:
                names[line].add(name)
    return frozenset(line for line, who in names.items() if len(who) >= WELL_KNOWN)


def _covers_half(shared: frozenset[bytes], originals: Iterable[frozenset[bytes]]) -> bool:
    return any(len(lines) >= FEWEST_LINES and 2 * len(shared & lines) >= len(lines) for lines in originals)


def _is_copy(sight: Sight, known: frozenset[bytes], secret: Mapping[str, frozenset[bytes]]) -> bool:
    shared = sight.shared - known
    if len(shared) < FEWEST_LINES or sight.long_lines is None:
        return False
    own = sight.long_lines - len(sight.shared & known)
    if len(shared) >= MOST_LINES or len(shared) >= SHARE * own:
        return True
    return any(len(mine := shared & lines) >= FEWEST_LINES and len(mine) >= SHARE * len(lines) for lines in secret.values())


# -- what has to be hidden with it


def _to_be_hidden(held: HeldOut, found: Iterable[Path]) -> set[Path]:
    """Files with their bytecode; folders where nothing but held-out sources would be left."""
    sources = {path for path in found if path.is_file()}
    for installation in {held.root, *_installations(held, sources)}:
        sources |= {path for name in held.files if (path := installation / name).is_file()}
    whole = _whole_folders(sources)
    files = {path for source in sources for path in (source, *_bytecode(source))}
    return whole | {path for path in files if not whole.intersection(path.parents)}


def _installations(held: HeldOut, sources: Iterable[Path]) -> set[Path]:
    """Folders where copies lie as the originals do below theirs: files there that are too short to tell are copies too."""
    layout: Counter[Path] = Counter()
    for source in sources:
        for name in held.files:
            if source.as_posix().endswith(f"/{name}"):
                layout[source.parents[name.count("/")]] += 1
    return {folder for folder, count in layout.items() if count >= 3}


def _whole_folders(sources: set[Path]) -> set[Path]:
    """The topmost folders below which every source of the same kind is to be hidden."""
    found: set[Path] = set()
    for folder in sorted({source.parent for source in sources if source.name.startswith("__init__.")}):
        if not found.intersection(folder.parents):
            inside = {path for path in folder.rglob("*.py") if path.is_file()}
            if inside and inside <= sources:
                found.add(folder)
    return found


def _bytecode(source: Path) -> list[Path]:
    if source.suffix != ".py":
        return []
    beside = [source.with_suffix(suffix) for suffix in (".pyc", ".pyo")]
    cached = source.parent / "__pycache__"
    return [path for path in beside if path.is_file()] + [
        path for path in cached.glob(f"{source.stem}.*.py[co]") if path.name.split(".")[0] == source.stem
    ]


# -- remembering


def _outermost(roots: Sequence[Path]) -> list[Path]:
    real = sorted({root.resolve() for root in roots if root.is_dir()})
    return [root for root in real if not any(other in root.parents for other in real)]


def _key(data_sha256: str, held: HeldOut, roots: Sequence[Path]) -> str:
    """Changes when the data, the rules, or what is installed under the roots does."""
    about = [RULES, LONG_LINE, data_sha256, str(held.root), held.files, [[str(root), *_stamp(root)] for root in roots]]
    return hashlib.sha256(json.dumps(about).encode("utf-8", "surrogateescape")).hexdigest()


def _stamp(root: Path) -> list[int]:
    """When folders down to the third level, and those that packages are installed into, were last changed, in ns."""
    changed: list[int] = []
    folders = [(root, 0)]
    while folders:
        folder, depth = folders.pop()
        try:
            changed.append(folder.stat().st_mtime_ns)
            with os.scandir(folder) as entries:
                inside = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
        except OSError:
            continue
        folders += [(folder / name, depth + 1) for name in inside if depth < 3 or name in _PACKAGE_FOLDERS]
    return changed


def _recall(file: Path) -> dict[str, list[str]]:
    try:
        known = json.loads(file.read_bytes())
        return {str(key): [str(name) for name in names] for key, names in known.items()}
    except (OSError, ValueError, TypeError, AttributeError):  # not there yet, or damaged: look again
        return {}


def _remember(file: Path, known: Mapping[str, list[str]]) -> None:
    latest = dict(list(known.items())[-_ENTRIES_KEPT:])
    draft = file.with_name(f".{file.name}.{os.getpid()}")
    draft.write_text(json.dumps(latest, indent=1) + "\n")
    draft.replace(file)
