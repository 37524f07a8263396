"""What makes a program smaller: fewer statements and fewer lines, not fewer line breaks."""

from __future__ import annotations

import pytest

from orchestrator.simplicity import makes_smaller

BEFORE = "import math\n\n\ndef f(x):\n    y = math.sqrt(x)\n    return y + 0.1 * x\n"


@pytest.mark.parametrize(
    ("after", "smaller"),
    [
        (BEFORE.replace("    y = math.sqrt(x)\n", "").replace("y +", "x +"), True),
        (BEFORE.replace("    y = math.sqrt(x)\n    return y", "    return math.sqrt(x)"), True),
        (BEFORE.replace("    y = math.sqrt(x)\n    return y", "    y = math.sqrt(x); return y"), False),  # joined
        (BEFORE.replace(" + 0.1 * x", ""), False),  # a shorter expression
        (BEFORE.replace("0.1", "0.2"), False),
        (BEFORE.replace("\n\n\n", "\n"), False),  # blank lines
        (BEFORE.replace("    y =", "    # a comment\n    y ="), False),
        (BEFORE + "\nprint(f(2))\n", False),
        (None, True),  # the file is deleted
    ],
)
def test_a_python_file(after: str | None, smaller: bool) -> None:
    assert makes_smaller({"train.py": (BEFORE, after)}) is smaller


def test_what_one_file_loses_another_must_not_gain() -> None:
    shorter = BEFORE.replace("    y = math.sqrt(x)\n", "").replace("y +", "x +")
    assert not makes_smaller({"train.py": (BEFORE, shorter), "new.py": (None, "a = 1\nb = 2\n")})
    assert makes_smaller({"train.py": (BEFORE, None), "new.py": (None, "a = 1\nb = 2\n")})


def test_lines_of_what_is_not_python() -> None:
    assert makes_smaller({"data.yaml": ("a: 1\nb: 2\n", "a: 1\n")})
    assert not makes_smaller({"data.yaml": ("a: 1\nb: 2\n", "a: 1\nb: 3\n")})
