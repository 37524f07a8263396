"""Held-out text is found wherever a machine has a copy of it, and what only resembles it is left in sight."""

from __future__ import annotations

import bz2
import gzip
import io
import json
import lzma
import os
import py_compile
import tarfile
import zipfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from workers.held_out import HeldOutError, copies

LICENCE = "".join(f"# Clause {n}: permission is granted to everybody alike\n" for n in range(12))


def source(topic: str, lines: int = 40) -> str:
    """A made-up module; every line says something, and something else than any other topic's."""
    body = "".join(f"    the_{topic}_value_{n} = compute_{topic}(argument_{n})\n" for n in range(lines))
    return f'"""About {topic}."""\n\ndef {topic}():\n    """It does what {topic} does, line by line."""\n{body}'


class Machine:
    """A root with an installation whose `secret.py` and `hidden/` are held out."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.root = folder / "usr"
        self.library = self.root / "lib/language1"
        self.remembered = folder / "cache/masks.json"
        self.write("lib/language1/secret.py", LICENCE + source("secret"))
        self.write("lib/language1/hidden/__init__.py", "# short\n")
        self.write("lib/language1/hidden/core.py", source("core"))
        self.write("lib/language1/hidden/more.py", source("more"))
        for topic in ("open", "public", "third"):
            self.write(f"lib/language1/{topic}.py", LICENCE + source(topic))

    def write(self, name: str, content: str | bytes) -> Path:
        path = self.root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content.encode() if isinstance(content, str) else content)
        return path

    @property
    def meta(self) -> Mapping[str, object]:
        held_out = ["secret.py", "hidden/__init__.py", "hidden/core.py", "hidden/more.py"]
        return {"sha256": "ab" * 32, "source_root": str(self.library), "held_out": held_out}

    def hidden(self) -> set[str]:
        """What is to be hidden, relative to the root."""
        found = copies(self.meta, [self.root], self.remembered)
        assert list(found) == sorted(found)
        return {path.relative_to(self.root.resolve()).as_posix() for path in found}


OWN = {"lib/language1/secret.py", "lib/language1/hidden"}


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    return Machine(tmp_path)


def test_a_corpus_that_names_no_files_of_this_machine_hides_nothing(tmp_path: Path) -> None:
    assert copies({"sha256": "ab", "corpus": "climbmix"}, [tmp_path], tmp_path / "masks.json") == ()


def test_the_held_out_files_are_hidden_and_a_package_held_out_whole_as_one_folder(machine: Machine) -> None:
    assert machine.hidden() == OWN


def test_a_folder_that_holds_something_else_too_stays_and_its_held_out_files_go(machine: Machine) -> None:
    machine.write("lib/language1/hidden/rest.py", source("rest"))
    assert machine.hidden() == {"lib/language1/secret.py"} | {
        f"lib/language1/hidden/{name}.py" for name in ("__init__", "core", "more")
    }


def test_bytecode_goes_with_its_source(machine: Machine) -> None:
    for name in ("secret.language-1.pyc", "secret.language-1.opt-2.pyc", "open.language-1.pyc", "secretary.language-1.pyc"):
        machine.write(f"lib/language1/__pycache__/{name}", b"\0bytecode")
    machine.write("lib/language1/secret.pyc", b"\0bytecode")
    assert machine.hidden() == OWN | {
        "lib/language1/secret.pyc",
        "lib/language1/__pycache__/secret.language-1.pyc",
        "lib/language1/__pycache__/secret.language-1.opt-2.pyc",
    }


def test_bytecode_that_appears_after_the_look_is_hidden_too(machine: Machine) -> None:
    machine.hidden()
    machine.write("lib/language1/__pycache__/secret.language-1.pyc", b"\0bytecode")
    assert "lib/language1/__pycache__/secret.language-1.pyc" in machine.hidden()


@pytest.mark.parametrize("name", ["share/doc/examples.txt", "bin/tool", "lib/site-packages/vendor/backport.py", "share/a.html"])
def test_a_copy_is_known_by_its_text_whatever_it_is_called(machine: Machine, name: str) -> None:
    machine.write(name, source("secret"))
    assert machine.hidden() == OWN | {name}


def test_an_older_version_of_a_file_is_a_copy(machine: Machine) -> None:
    machine.write("lib/language0/secret.py", source("secret", 25) + source("former", 30))
    assert "lib/language0/secret.py" in machine.hidden()


def test_a_copy_indented_and_with_other_line_ends_is_a_copy(machine: Machine) -> None:
    quoted = "".join(f"        {line}\r\n" for line in source("secret").splitlines())
    machine.write("share/doc/manual.rst", "A manual\r\n" + quoted)
    assert "share/doc/manual.rst" in machine.hidden()


def test_a_large_collection_that_contains_held_out_files_is_hidden_as_a_whole(machine: Machine) -> None:
    everything = "".join(source(f"topic{n}", 50) for n in range(40))
    machine.write("share/all.txt", everything + source("secret") + source("core"))
    assert "share/all.txt" in machine.hidden()


def test_in_another_installation_files_too_short_to_tell_go_with_the_others(machine: Machine) -> None:
    for name in ("secret.py", "hidden/__init__.py", "hidden/core.py", "hidden/more.py", "open.py"):
        machine.write(f"lib/language2/{name}", (machine.library / name).read_text())
    assert machine.hidden() == OWN | {"lib/language2/secret.py", "lib/language2/hidden"}


def tarred(text: str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        member = tarfile.TarInfo("secret.py")
        member.size = len(text)
        archive.addfile(member, io.BytesIO(text.encode()))
    return packed.getvalue()


def zipped(name: str, content: bytes) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("other.py", source("other"))
        archive.writestr(name, content)
    return packed.getvalue()


ARCHIVES = {
    "share/doc/secret.txt.gz": gzip.compress(source("secret").encode()),
    "share/doc/secret.bz2": bz2.compress(source("secret").encode()),
    "src/language.tar": tarred(source("secret")),
    "src/language.tar.gz": gzip.compress(tarred(source("secret"))),
    "src/language.tar.xz": lzma.compress(tarred(source("secret"))),
    "lib/language11.zip": zipped("secret.py", source("secret").encode()),
    "share/wheels/vendored.whl": zipped("vendor/any.py", source("secret").encode()),
}
"""Their bytes bear the time of day, so that no test may be named after them: the suite's processes would not agree."""


@pytest.mark.parametrize("name", ARCHIVES)
def test_a_copy_in_an_archive_is_found(machine: Machine, name: str) -> None:
    machine.write(name, ARCHIVES[name])
    assert machine.hidden() == OWN | {name}


def test_orphaned_bytecode_is_known_by_its_docstrings(machine: Machine) -> None:
    documented = "".join(
        f'def f{n}():\n    """Long words about secret number {n}.\n\n    And then some more words about {n}.\n    """\n'
        for n in range(20)
    )
    machine.write("lib/language1/secret.py", documented)
    draft = machine.write("draft.py", documented)
    py_compile.compile(str(draft), str(machine.root / "lib/orphan.pyc"))
    draft.unlink()
    assert machine.hidden() == OWN | {"lib/orphan.pyc"}


def test_a_licence_that_many_files_bear_makes_none_of_them_a_copy(machine: Machine) -> None:
    machine.write("lib/small/__init__.py", LICENCE)
    for n in range(4):
        machine.write(f"lib/other/file{n}.py", LICENCE + source(f"file{n}"))
    assert machine.hidden() == OWN


def test_a_few_lines_in_common_make_no_copy(machine: Machine) -> None:
    machine.write("lib/user.py", source("user", 60) + "\n".join(source("secret").splitlines()[4:16]))
    assert machine.hidden() == OWN


def test_many_renamed_copies_do_not_make_the_text_common(machine: Machine) -> None:
    for n in range(5):
        machine.write(f"lib/vendor{n}/renamed{n}.py", source("secret"))
    assert len(machine.hidden() - OWN) == 5


def test_what_is_hidden_lies_under_real_paths_and_no_link_is_followed(machine: Machine, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    (elsewhere / "copy.py").write_text(source("secret"))
    (machine.root / "lib/link").symlink_to(elsewhere)
    (machine.root / "lib/link.py").symlink_to(machine.library / "secret.py")
    (tmp_path / "alias").symlink_to(machine.root)
    found = copies(machine.meta, [tmp_path / "alias", machine.root / "lib"], machine.remembered)
    assert set(found) == {machine.library / "secret.py", machine.library / "hidden"}


def test_what_cannot_be_read_is_passed_over(machine: Machine) -> None:
    machine.write("lib/broken.zip", b"PK\x03\x04 and then nothing")
    machine.write("lib/broken.gz", b"\x1f\x8b and then nothing that is compressed")
    os.mkfifo(machine.root / "lib/pipe")
    assert machine.hidden() == OWN


# -- remembering


def test_the_answer_is_remembered(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    copy = machine.write("lib/deep/er/folder/copy.py", source("secret"))
    assert machine.hidden() == OWN | {"lib/deep/er/folder/copy.py"}
    monkeypatch.setattr("workers.held_out.look_through", lambda *_: pytest.fail("looked again"))
    assert machine.hidden() == OWN | {"lib/deep/er/folder/copy.py"}
    copy.unlink()  # deeper than what is watched: remembered still, but there is nothing to be hidden
    assert machine.hidden() == OWN


def test_what_is_installed_later_is_found(machine: Machine) -> None:
    machine.hidden()
    machine.write("lib/language1/site-packages/vendor/copy.py", source("secret"))
    assert "lib/language1/site-packages/vendor/copy.py" in machine.hidden()


@pytest.mark.parametrize("damage", [b"", b"[]", b'{"a": 3}', b"\xff\0"])
def test_a_damaged_memory_is_made_anew(machine: Machine, damage: bytes) -> None:
    machine.remembered.parent.mkdir()
    machine.remembered.write_bytes(damage)
    assert machine.hidden() == OWN
    assert len(json.loads(machine.remembered.read_text())) == 1


def test_a_machine_that_lacks_the_sources_cannot_hide_their_copies_and_says_so(tmp_path: Path) -> None:
    meta = {"sha256": "ab", "source_root": str(tmp_path / "gone"), "held_out": ["secret.py"]}
    with pytest.raises(HeldOutError, match="prepare the data on this machine"):
        copies(meta, [tmp_path], tmp_path / "masks.json")
