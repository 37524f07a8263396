"""Libraries are imported before anything of the candidate runs, and the script then runs as if by itself."""

from __future__ import annotations

import os
import socket
import subprocess
from pathlib import Path

from workers.runners.preload import command, libraries

SCRIPT = """
from __future__ import annotations
import os, json
import torch.nn as nn
from numpy import array
import prepare
from model import GPT
from . import sibling
if True:
    import later
"""


def test_only_what_the_tree_does_not_have_itself_is_a_library() -> None:
    assert libraries(SCRIPT, ["train.py", "prepare.py", "model/__init__.py"]) == ("os", "json", "torch", "numpy")


def test_a_script_that_is_no_python_has_none() -> None:
    assert libraries("def (", []) == ()


def test_the_script_runs_after_the_first_word_and_as_the_main_program(tmp_path: Path) -> None:
    (tmp_path / "neighbour.py").write_text("value = 7\n")
    (tmp_path / "json.py").write_text("raise SystemExit('a file of the workspace was imported too early')\n")
    (tmp_path / "script.py").write_text(
        "import sys, neighbour\n"
        "assert __name__ == '__main__' and sys.modules['__main__'].neighbour is neighbour\n"
        "print(neighbour.value, sys.argv, __file__, 'json' in sys.modules, sorted(k for k in globals() if k[0] != '_'))\n"
    )
    ours, theirs = socket.socketpair()
    argv = command("script.py", theirs.fileno(), ("json", "no_such_module"))
    with subprocess.Popen(argv, cwd=tmp_path, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE, text=True) as process:
        theirs.close()
        ours.send(b"hello")
        said, _ = process.communicate()
    ours.close()
    assert said.split("\n")[0] == f"7 ['script.py'] {os.path.realpath(tmp_path)}/script.py True ['neighbour', 'sys']"


def test_nothing_of_the_script_runs_before_the_first_word(tmp_path: Path) -> None:
    (tmp_path / "script.py").write_text("print('ran')\n")
    ours, theirs = socket.socketpair()
    argv = command("script.py", theirs.fileno(), ())
    with subprocess.Popen(argv, cwd=tmp_path, pass_fds=[theirs.fileno()], stdout=subprocess.PIPE) as process:
        theirs.close()
        assert process.poll() is None
        process.terminate()
        said, _ = process.communicate()
    ours.close()
    assert said == b""
