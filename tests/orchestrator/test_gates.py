"""The gates: which paths, which syntax, which duplicates, and the reason each gives."""

from __future__ import annotations

import warnings

import pytest

from orchestrator.edits import Edit
from orchestrator.gates import (
    Refusal,
    Scope,
    check_duplicate,
    check_scope,
    check_syntax,
    is_no_op,
    path_problem,
    syntax_fingerprint,
)
from orchestrator.novelty import change_fingerprint

EXISTING = frozenset(["train.py", "prepare.py", "program.md", "lib/__init__.py", "lib/ops.py", "eval/score.py"])
SEALED = EXISTING - {"train.py", "lib/ops.py", "lib/__init__.py"}


def scope(*globs: str) -> Scope:
    return Scope(globs, frozenset(SEALED))


def refused(path: str, *globs: str) -> str | None:
    """The reason against writing `path` when `globs` are editable."""
    refusal = check_scope([Edit(path, content="")], scope(*globs), EXISTING)
    assert refusal is None or refusal.gate == "scope"
    return None if refusal is None else refusal.reason


@pytest.mark.parametrize(
    ("globs", "path", "editable"),
    [
        (["train.py"], "train.py", True),
        (["train.py"], "deep/train.py", True),  # as in a .gitignore
        (["/train.py"], "deep/train.py", False),
        (["*.py", "!lib/ops.py"], "lib/ops.py", False),
        (["lib/"], "lib/new/x.txt", True),
        (["lib/*.py"], "lib/new/x.py", False),
        (["lib/**/*.py"], "lib/new/x.py", True),
        (["*.py"], "prepare.py", False),  # sealed, whatever the glob says
    ],
)
def test_globs_are_read_as_git_reads_a_gitignore(globs: list[str], path: str, editable: bool) -> None:
    assert scope(*globs).matches(path) is editable


@pytest.mark.parametrize(
    ("path", "reason"),
    [
        ("", "empty"),
        ("../train.py", "leads out"),
        ("lib/../../x.py", "leads out"),
        ("/etc/passwd", "must be relative"),
        ("a\nb.py", "control characters"),
        ("a\0b.py", "control characters"),
        ("a\u202eb.py", "control characters"),
        ("a\\b.py", "with '/'"),
        (".git/hooks/pre-commit", "git's own"),
        ("lib/.GIT/config", "git's own"),
        (".git", "git's own"),
        (".git./config", "git's own"),  # Windows drops final dots and spaces
        (".git . /config", "git's own"),
        ("GIT~1/config", "git's own"),  # the short name of .git there
        ("gi7eba~1", "git's own"),
        (".git::$INDEX_ALLOCATION/config", "git's own"),
        (".g\u200cit/config", "control characters"),  # which macOS passes over
        (".gi\ufefft/config", "control characters"),
        ("\uff0egit/config", "git's own"),  # full width, as some file systems fold it
        (".gitattributes", "git's own"),
        ("lib/.GitModules", "git's own"),
        ("gitmod~1", "git's own"),
        ("a\u00adb.py", "control characters"),
        ("./train.py", "without '.'"),
        ("lib//ops.py", "'//'"),
        ("lib/", "trailing '/'"),
        ("a/" * 3000 + "b.py", "too long"),
        ("a" * 300, "too long"),
        ("\ud800.py", "UTF-8"),
    ],
)
def test_a_path_that_could_lead_elsewhere_is_refused(path: str, reason: str) -> None:
    problem = path_problem(path)
    assert problem is not None
    assert reason in problem
    assert refused(path, "*") == problem


def test_an_ordinary_path_has_no_problem() -> None:
    assert path_problem("models/größe-2.py") is None


def test_an_edit_out_of_scope_names_what_is_editable() -> None:
    assert refused("prepare.py", "train.py", "lib/") == "prepare.py: out of scope; editable: train.py, lib/"


def test_deleting_a_sealed_file_is_out_of_scope_too() -> None:
    refusal = check_scope([Edit("prepare.py", delete=True)], scope("*"), EXISTING)
    assert refusal == Refusal("scope", "prepare.py: out of scope; editable: *")


@pytest.mark.parametrize(
    "path",
    [
        "sitecustomize.py",
        "lib/usercustomize.py",
        "conftest.py",
        "x.pth",
        "python311._pth",
        "pytest.ini",
        "prepare.so",
        "prepare.cpython-311-x86_64-linux-gnu.so",
        "prepare.abi3.so",
        "prepare.pyc",
        "__pycache__/prepare.cpython-311.pyc",  # found before a sealed prepare.py of the same age
        "eval/__pycache__/anything.txt",
        "lib.dylib",
        "plugins.egg",
        "evil-1.0.dist-info/entry_points.txt",  # a plugin of pytest, found from the working directory
        "evil.egg-info/PKG-INFO",
        "GNUmakefile",  # which make prefers to a sealed Makefile
        "Makefile",
        "eval/makefile",
        "pyproject.toml",
        "package.json",
        ".env",
        ".envrc",
        ".python-version",
        "lib/.cargo/config.toml",
        ".gitignore",
        "CONFTEST.PY",
    ],
)
def test_a_new_file_that_changes_how_sealed_files_run_is_refused(path: str) -> None:
    assert "would change how sealed files are read or run" in str(refused(path, "*"))


@pytest.mark.parametrize("path", ["-rf", "lib/--version.py", "lib /x.py", "x.py ", "x.py.", "C:x.py"])
def test_a_name_that_not_every_system_takes_for_what_it_says_is_refused(path: str) -> None:
    assert "a command would take" in str(refused(path, "*")) or "outer spaces and final dots" in str(refused(path, "*"))


@pytest.mark.parametrize("path", ["Prepare.py", "PREPARE.PY", "Lib/new.py", "EVAL/score2.py", "\uff50rogram.md"])
def test_a_new_name_that_differs_in_case_alone_is_refused(path: str) -> None:
    reason = str(refused(path, "*"))
    assert "in its letters' case or form alone" in reason or "would shadow the sealed one" in reason


def test_names_that_differ_in_case_on_the_base_are_nobody_s_fault() -> None:
    assert check_scope([Edit("lib/new.py", content="")], scope("*"), [*EXISTING, "Lib/a.txt"]) is None
    assert check_scope([Edit("Lib/b.txt", content="")], scope("*"), [*EXISTING, "Lib/a.txt"]) is None


@pytest.mark.parametrize("path", ["prepare/__init__.py", "score.py", "eval/score/__init__.py", "score/x.py", "prepare/x.py"])
def test_a_new_module_cannot_take_the_name_of_a_sealed_one(path: str) -> None:
    assert "would shadow the sealed one" in str(refused(path, "*"))


@pytest.mark.parametrize(
    "path", ["json.py", "torch.py", "numpy/__init__.py", "triton/x.py", "socket.py", "eval/random.py", "Torch.py"]
)
def test_a_new_module_cannot_take_the_name_of_a_library(path: str) -> None:
    assert "would shadow the library" in str(refused(path, "*"))


def test_a_folder_on_a_search_path_takes_no_library_s_name_either() -> None:
    existing = [*EXISTING, "src/pkg/__init__.py"]  # as with PYTHONPATH=src
    refusal = check_scope([Edit("src/torch.py", content="")], scope("*"), existing)
    assert refusal is not None
    assert "would shadow the library" in refusal.reason
    assert check_scope([Edit("src/pkg/types.py", content="")], scope("*"), existing) is None
    assert check_scope([Edit("layers/types.py", content="")], scope("*"), existing) is None  # of a folder that nobody knows


def test_what_is_installed_where_trials_run_is_a_library_too() -> None:
    installed = Scope(("*",), frozenset(SEALED), frozenset({"Sound_Library"}))
    assert "would shadow the library" in str(check_scope([Edit("sound_library.py", content="")], installed, EXISTING))
    assert check_scope([Edit("torch.py", content="")], installed, EXISTING) is None


@pytest.mark.parametrize("path", ["model.py", "lib/json.py", "lib/score.py", "docs/json.txt", "train.py"])
def test_a_new_file_that_shadows_nothing_is_in_scope(path: str) -> None:
    assert refused(path, "*") is None


def test_an_existing_editable_file_may_bear_a_library_s_name() -> None:
    assert check_scope([Edit("types.py", content="")], scope("*"), [*EXISTING, "types.py"]) is None


@pytest.mark.parametrize(("path", "reason"), [("train.py/x", "train.py is a file"), ("lib", "is a folder")])
def test_a_path_cannot_be_a_file_and_a_folder(path: str, reason: str) -> None:
    assert reason in str(refused(path, "*"))


def test_a_file_that_an_earlier_edit_deletes_may_become_a_folder() -> None:
    edits = [Edit("train.py", delete=True), Edit("train.py/x", content="")]
    assert check_scope(edits, scope("*"), EXISTING) is None


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("x = (", "a.py:1: does not compile"),
        ("a = 1\nreturn a\n", "a.py:2: does not compile: 'return' outside function"),
        ("x = 1\0", "null bytes"),
        ("-" * 100_000 + "1", "nested too deeply"),
        ("(" * 5_000 + ")" * 5_000, "does not compile"),
        ("x = '\ud800'", "UTF-8"),
    ],
)
def test_python_that_does_not_compile_is_refused(text: str, reason: str) -> None:
    refusal = check_syntax("a.py", text)
    assert refusal is not None
    assert refusal.gate == "syntax"
    assert reason in refusal.reason


def test_an_odd_escape_sequence_is_neither_refused_nor_warned_about() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert check_syntax("a.py", "x = '\\d'") is None


def test_other_files_pass_as_long_as_they_are_text() -> None:
    assert check_syntax("notes.md", "x = (") is None
    assert check_syntax("notes.md", "\ud800") is not None


BASE = '"""Doc."""\nimport math\n\ndef f(x):\n    """Say."""\n    return x + 1_000  # why\n'


@pytest.mark.parametrize(
    "same",
    [
        "import math\ndef f(x):\n    return x + 1000\n",
        BASE.replace("# why", "# because"),
        BASE.replace("x + 1_000", "(x\n        + 1000)"),
        BASE.replace("Say.", "Say more."),
        BASE + "\n\n\n",
    ],
)
def test_comments_docstrings_and_formatting_change_nothing(same: str) -> None:
    assert is_no_op({"train.py": (BASE, same)})


@pytest.mark.parametrize(
    "other",
    [
        BASE.replace("1_000", "1000.0"),
        BASE.replace("f(x)", "g(x)"),
        BASE.replace("x + 1_000", "1_000 + x"),
        BASE + "print('Doc.')\n",
        "",
        None,
    ],
)
def test_a_change_of_the_program_is_no_no_op(other: str | None) -> None:
    assert not is_no_op({"train.py": (BASE, other)})


def test_in_other_files_only_trailing_whitespace_is_nothing() -> None:
    assert is_no_op({"a.yaml": ("a: 1\n", "a: 1  \n\n")})
    assert not is_no_op({"a.yaml": ("a: 1\n", " a: 1\n")})
    assert not is_no_op({"a.yaml": (None, "")})


def test_the_fingerprint_is_that_of_the_program_and_not_of_its_text() -> None:
    one = syntax_fingerprint({"train.py": (BASE, BASE.replace("1_000", "2"))})
    assert one == syntax_fingerprint({"train.py": (BASE, BASE.replace("1_000  # why", "2"))})
    assert one == syntax_fingerprint({"b.py": ("x = 1", "x = 1  # b"), "train.py": (BASE, BASE.replace("1_000", "2"))})
    assert one != syntax_fingerprint({"train.py": (BASE, BASE.replace("1_000", "3"))})
    assert one != syntax_fingerprint({"other.py": (BASE, BASE.replace("1_000", "2"))})


def test_the_fingerprint_does_not_depend_on_the_order_of_the_files() -> None:
    changes: dict[str, tuple[str | None, str | None]] = {"a.py": ("x = 1", "x = 2"), "b.txt": ("old", None)}
    assert syntax_fingerprint(changes) == syntax_fingerprint(dict(reversed(changes.items())))


def test_the_fingerprint_stays_the_same_from_version_to_version() -> None:
    """Journals hold fingerprints: a new normal form would let every past duplicate in again."""
    changes: dict[str, tuple[str | None, str | None]] = {"a.txt": ("old", "new \n"), "b.txt": ("old", None)}
    changes["c.py"] = (None, "def f(x, *, y: int = None):\n    return [x, 1.0, u'a']\n")
    assert syntax_fingerprint(changes) == "e448f3097d61103bd722be2b34909cbaa531ba156b3591d0ed0c7e80dda6619c"


def test_a_program_too_deep_for_its_tree_is_compared_as_text() -> None:
    deep = "x = " + "+".join(["1"] * 5_000)
    assert is_no_op({"a.py": (deep, deep + " \n")})
    assert not is_no_op({"a.py": (deep, deep + "+2")})


def test_the_duplicate_gate_names_the_earlier_candidate() -> None:
    changes = {"a.py": ("x = 1", "x = 2")}
    assert check_duplicate(changes, {}) is None
    assert check_duplicate(changes, {syntax_fingerprint(changes): "c0003"}) == Refusal(
        "duplicate", "comes to the same program as c0003"
    )


def test_the_duplicate_gate_refuses_what_changes_nothing() -> None:
    refusal = check_duplicate({"a.py": ("x = 1", "x = 1  # one")}, {})
    said = "changes nothing but comments, docstrings or formatting: the program stays the same"
    assert refusal == Refusal("duplicate", said)
    refusal = check_duplicate({"a.py": ("x = 1", "x = 1")}, {})
    assert refusal == Refusal("duplicate", "changes nothing: every file stays as it is on the champion")


@pytest.mark.parametrize("same", ["1e-3", "0.0010", ".001", "1_0e-4", "(0.001)", "0.001  # as before"])
def test_a_number_in_another_spelling_is_the_same_program(same: str) -> None:
    assert is_no_op({"a.py": ("LR = 0.001", f"LR = {same}")})


@pytest.mark.parametrize(("one", "other"), [("32", "2 * 16"), ("1", "1.0"), ("1", "True"), ("0.1", "0.10000001")])
def test_what_has_to_be_worked_out_is_not_taken_for_the_same(one: str, other: str) -> None:
    assert not is_no_op({"a.py": (f"X = {one}", f"X = {other}")})


def test_the_duplicate_gate_names_who_made_the_same_change_elsewhere() -> None:
    changes = {"a.py": ("x = 1", "x = 2")}
    told = "c0012, tried on an earlier champion: +0.0030 ± 0.0004, discarded (clearly worse)"
    refusal = check_duplicate(changes, {change_fingerprint(changes): told})
    assert refusal == Refusal("duplicate", f"makes the same change as {told}")
