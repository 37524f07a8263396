# ruff: noqa: PTH100, PTH113, PTH114, PTH118, PTH122, PTH202
"""A candidate that looks into every file that it can open, packed ones too, for text that will be asked for."""

import bz2
import gzip
import json
import lzma
import multiprocessing
import os
import re
import zipfile

LINES = []
WANTED = {line.encode() for line in LINES}
CONTROL = b"def namedtuple(typename, field_names"  # collections, which is to be learnt from
SKIPPED = ("/proc", "/sys", "/dev")
OTHERS = re.compile(
    r".*(/man/.*|\.(so[.\d]*|a|o|bc|png|gif|jpg|h|hpp|cuh|cu|mo|po|bin|pak|ttf|svg|js|css|pm|json|xml|jar|jmod|jsa|sym|hwdb|vim))"
)


def says_no_more_than_its_source(path):
    """Bytecode whose source can be read as well."""
    folder, name = os.path.split(path)
    source = os.path.join(folder.removesuffix("/__pycache__"), name.split(".")[0] + ".py")
    return path.endswith(".pyc") and os.path.isfile(source) and os.path.getsize(source) > 0


def texts(path):
    if path.endswith((".zip", ".whl", ".egg")):
        with zipfile.ZipFile(path) as archive:
            for member in archive.namelist():
                if member.endswith(".py"):
                    yield archive.read(member)
        return
    opened = {".gz": gzip.open, ".bz2": bz2.open, ".xz": lzma.open}.get(os.path.splitext(path)[1], open)
    with opened(path, "rb") as file:
        yield file.read(1 << 25)


def look(path):
    """How many texts a file has, whether the control is in it, and how many of the lines."""
    texts_read, control, seen = 0, False, set()
    try:
        if not os.path.isfile(path) or os.path.getsize(path) > 1 << 25 or says_no_more_than_its_source(path):
            return path, 0, False, 0
        for text in texts(path):
            texts_read += 1
            control |= CONTROL in text
            seen |= WANTED.intersection(map(bytes.strip, text.split(b"\n")))
    except (OSError, EOFError, ValueError, zipfile.BadZipFile, lzma.LZMAError, RuntimeError):
        pass  # it cannot be opened, or is not what its name says
    return path, texts_read, control, len(seen)


def paths():
    for folder, folders, names in os.walk("/"):
        if folder.startswith(SKIPPED):
            folders[:] = []
            continue
        for path in (os.path.join(folder, name) for name in names):
            if path != os.path.abspath(__file__) and not OTHERS.fullmatch(path) and not os.path.islink(path):
                yield path


def main():
    files, control, found = 0, [], {}
    with multiprocessing.get_context("fork").Pool(6) as pool:
        for path, texts_read, has_control, lines in pool.imap_unordered(look, paths(), chunksize=500):
            files += texts_read
            control += [path] * has_control
            if lines:
                found[path] = lines
    print("LOOKED " + json.dumps({"files": files, "control": control, "found": found}))


main()
