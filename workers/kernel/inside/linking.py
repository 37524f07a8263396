"""Links what a kernel needs of NVIDIA's device library (roots, sines) without reading all of that library for each kernel.

To read it takes longer than anything else that is done for a small kernel. What a link took in is kept as text, for the next
kernel of this process that needs no more than that. The same functions are linked, so the same PTX comes out.
"""

from __future__ import annotations

import contextlib
import re
from pathlib import Path
from typing import Any

_NAMED_METADATA = re.compile(r"!\D")  # of the module it was printed from; `!12 = …` belongs to its functions


class Linker:
    """In place of Triton's `link_extern_libs`, in one process."""

    def __init__(self, llvm: Any, folder: Path) -> None:
        self._link = llvm.link_extern_libs
        self._folder = folder
        self._kept: dict[tuple[tuple[str, ...], frozenset[str]], str] = {}  # files by the libraries' paths and the functions

    def install(self, llvm: Any) -> None:
        llvm.link_extern_libs = self.link

    def link(self, module: Any, paths: list[str]) -> None:
        libraries = tuple(paths)
        declared = (each.name for each in module.get_functions() if each.is_declaration())
        needed = frozenset(name for name in declared if not name.startswith("llvm."))  # those no library has
        for (of, functions), kept in self._kept.items():
            if of == libraries and needed <= functions:
                with contextlib.suppress(ValueError):  # not read back: the module is untouched then
                    self._link(module, [kept])
                    return
        self._link(module, paths)
        library = self._folder / f"linked-{len(self._kept)}.ll"
        library.write_text(taken_in(str(module)))
        self._kept[libraries, needed] = str(library)


def taken_in(text: str) -> str:
    """Of a module after a link the functions that came with it, as a library: they are internal there, and external here."""
    lines = []
    is_ours = True
    for line in text.splitlines():
        if line.startswith("define "):
            is_ours = line.startswith("define internal ")
            line = line.replace("define internal ", "define ", 1)
        if is_ours and not _NAMED_METADATA.match(line):
            lines.append(line)
        is_ours = is_ours or line == "}"
    return "\n".join(lines) + "\n"
