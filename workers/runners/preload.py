"""A subject's process that has imported its libraries before anything of the candidate runs in it.

Importing torch takes a second or two. The process that audits a score must not live beside the one that makes it, or the
two could talk; but what has not run a line of the candidate's cannot. So it may start early, import what the *base*
commit's script imports from outside its own tree, and wait for the worker's first word before it turns to the script.
"""

from __future__ import annotations

import ast
from collections.abc import Collection

# Run by `python -c`: the workspace is on the path only when everything else is imported.
_PROGRAM = """
import sys
del sys.path[0]
import os, select
for module in sys.argv[3:]:
    try:
        __import__(module)
    except ImportError:
        pass
select.select([int(sys.argv[2])], [], [])
del sys.argv[0], sys.argv[1:]
sys.path.insert(0, os.getcwd())
__file__ = os.path.join(os.getcwd(), sys.argv[0])
for name in ("os", "select", "module", "name"):
    globals().pop(name, None)
exec(compile(open(__file__, "rb").read(), __file__, "exec"))
"""


def libraries(script: str, files: Collection[str]) -> tuple[str, ...]:
    """The top-level packages that a script's text imports at its top level and that are not among the tree's `files`."""
    try:
        tree = ast.parse(script)
    except (SyntaxError, ValueError):
        return ()
    names: list[str] = []
    for node in tree.body:
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None and not node.level:
            names.append(node.module)
    own = {path.partition("/")[0].removesuffix(".py") for path in files}
    tops = dict.fromkeys(name.partition(".")[0] for name in names)
    return tuple(name for name in tops if name not in own and name != "__future__")


def command(script: str, socket: int, modules: Collection[str]) -> tuple[str, ...]:
    """Instead of `python SCRIPT`: the same, after `modules` are imported and something can be read from `socket`."""
    return ("python", "-c", _PROGRAM, script, str(socket), *modules)
