"""On this very machine: once its copies are hidden, held-out text cannot be read, and everything still runs."""

from __future__ import annotations

import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from nanotrain_data import Data

from workers.held_out import copies
from workers.sandbox import visible_roots

LONG = 24
MOST = 40  # of some 8,000 held-out lines, in any one file that stays in sight
# What a candidate may import, the compiler behind torch.compile with it.
IMPORTS = "import torch, numpy, torch._dynamo, torch._inductor.compile_fx, torch.optim, json, logging, dataclasses, sys\n"
FILES = "print('\\n'.join(str(m.__file__) for m in list(sys.modules.values()) if getattr(m, '__file__', None)))"


@pytest.fixture(scope="module")
def meta(data: Data) -> dict[str, object]:
    return data.meta


@pytest.fixture(scope="module")
def hidden(data: Data) -> set[Path]:
    """As every trial on these data asks, beside them: whoever is first in this checkout has looked for all."""
    remembered = data.root / "held-out.json"
    found = copies(data.meta, visible_roots(), remembered)
    assert found == copies(data.meta, visible_roots(), remembered)
    assert all(path.exists() for path in found)
    return set(found)


def is_hidden(path: Path, hidden: set[Path]) -> bool:
    return path in hidden or bool(hidden.intersection(path.parents))


def in_sight(hidden: set[Path]) -> Iterator[tuple[Path, Iterable[bytes]]]:
    """Every file of this Python that can be opened, and its lines."""
    for path in Path(sys.base_prefix, "lib").resolve().rglob("*"):
        if path.suffix in (".py", ".pyi", ".txt", ".rst", ".md", ".html", ".pyc", ".cfg", "") and path.is_file():
            real = path.resolve()
            if not is_hidden(real, hidden):
                yield real, map(bytes.strip, real.read_bytes().split(b"\n"))


def test_no_file_of_this_python_holds_much_held_out_text(meta: dict[str, object], hidden: set[Path]) -> None:
    root, names = Path(str(meta["source_root"])), list(meta["held_out"])  # type: ignore[call-overload]
    every = (line.strip() for name in names for line in (root / name).read_bytes().split(b"\n"))
    secret = {line for line in every if len(line) >= LONG}
    assert len(secret) > 5_000
    found = {path: told for path, lines in in_sight(hidden) if (told := secret.intersection(lines))}
    said = Counter(line for lines in found.values() for line in lines)
    # What three files that everybody may read say as well is a licence or an idiom.
    worst = sorted(((sum(said[line] < 3 for line in lines), str(path)) for path, lines in found.items()), reverse=True)
    assert worst[0][0] <= MOST, worst[:10]


def test_every_held_out_file_is_hidden_with_its_bytecode(meta: dict[str, object], hidden: set[Path]) -> None:
    root = Path(str(meta["source_root"])).resolve()
    for name in meta["held_out"]:  # type: ignore[attr-defined]
        source = root / name
        assert is_hidden(source, hidden)
        assert all(is_hidden(path, hidden) for path in (source.parent / "__pycache__").glob(f"{source.stem}.*"))


def test_nothing_that_a_training_script_imports_is_hidden(hidden: set[Path]) -> None:
    done = subprocess.run([sys.executable, "-c", IMPORTS + FILES], capture_output=True, text=True, check=True)
    needed = [Path(line).resolve() for line in done.stdout.splitlines()]
    assert len(needed) > 500
    assert [str(path) for path in needed if is_hidden(path, hidden)] == []
