"""Weights cannot come in as source text, in whatever form; programs can, whole rewrites of them."""

from __future__ import annotations

import base64
import random
from pathlib import Path

import pytest

from orchestrator.payload import ADDED_COMPRESSED_BYTES, DISPLAY_CONSTANTS, GROWTH_BYTES, added_text, check_payload

BASE = "import torch\n\nLR = 0.1\n\n\ndef train(run):\n    return torch.zeros(3)\n"
TRAIN = Path(__file__).parents[2] / "nanotrain/train.py"
NOISE = random.Random(7).randbytes(48 * 1024)
LETTERS = base64.b64encode(NOISE).decode()


def refused(new: str | None, old: str | None = BASE, path: str = "train.py") -> str:
    """The reason against a text; empty when there is none."""
    refusal = check_payload({path: (old, new)})
    assert refusal is None or refusal.gate == "scope"
    return "" if refusal is None else refusal.reason


def lines(count: int, form: str) -> str:
    """`count` lines of 100 characters that nobody could have foreseen."""
    return "".join(form.format(n=n, data=LETTERS[100 * n : 100 * n + 100]) for n in range(count))


def test_a_string_that_is_data_is_refused_with_what_is_allowed_and_where() -> None:
    assert refused(BASE + f"W = '{LETTERS[:3000]}'\n") == (
        "train.py:8: a literal of 3,000 characters; allowed: 2,048. "
        "Compute it instead: weights and other data have no place in the edit"
    )


@pytest.mark.parametrize(
    ("literal", "told"),
    [
        (repr(NOISE[:2049]), "a literal of 2,049 bytes"),
        (f"('{LETTERS[:1500]}'\n     '{LETTERS[1500:3000]}')", "a literal of 3,000 characters"),  # joined by the compiler
        (hex(int.from_bytes(NOISE[:3000], "big")), "an integer of"),
        (str(list(range(DISPLAY_CONSTANTS + 1))), "holds 513 constants"),
        (str([[n / 7 for n in range(40)] for _ in range(20)]), "holds 800 constants"),
        (str({f"k{n}": (n, n) for n in range(200)}), "holds 600 constants"),
        (str(tuple("abc" for _ in range(600))), "holds 600 constants"),
        (str(set(range(600))), "holds 600 constants"),
    ],
)
def test_every_plain_form_of_data_is_named(literal: str, told: str) -> None:
    assert told in refused(f"{BASE}W = {literal}\n")
    assert told in refused(f"{BASE}def f(w={literal}):\n    pass\n")


@pytest.mark.parametrize(
    "text",
    [
        "W = []\n" + lines(300, "W.append('{data}')\n"),
        lines(300, "w{n} = '{data}'\n"),
        lines(300, "# {data}\n"),  # read back from the source
        '"""' + lines(300, "{data}\n") + '"""\n',  # a docstring, read back from __doc__
        lines(300, "def f{n}():\n    '{data}'\n"),
        lines(300, "class N{data}: pass\n").replace("+", "p").replace("/", "s"),  # names
    ],
)
def test_data_in_any_other_form_is_refused_for_what_it_tells(text: str) -> None:
    assert "KiB when compressed; allowed: 16.0 KiB" in refused(BASE + text)


def test_data_in_a_file_that_is_no_program_is_refused_too() -> None:
    assert "when compressed" in refused(LETTERS[:30_000], None, "weights.txt")


def test_data_spread_over_several_files_is_added_up() -> None:
    parts = {f"part{n}.txt": (None, LETTERS[6_000 * n : 6_000 * n + 6_000]) for n in range(5)}
    assert all(check_payload({path: change}) is None for path, change in parts.items())
    refusal = check_payload(parts)
    assert refusal is not None
    assert "when compressed" in refusal.reason


def test_the_order_of_lines_that_are_there_already_cannot_tell_much() -> None:
    base = "".join(f"x{n} = {n}\n" for n in range(256))
    told = "".join(f"x{byte} = {byte}\n" for byte in NOISE[:6_000])
    assert len(told) - len(base) < GROWTH_BYTES
    assert len(added_text({"train.py": (base, told)}).splitlines()) > 5_500
    assert added_text({"train.py": (base, "".join(reversed(base.splitlines(keepends=True))))}) == ""


def test_growth_without_end_is_refused_however_little_it_tells() -> None:
    assert "grow by 71.3 KiB over the campaign's base; allowed: 64.0 KiB" in refused(BASE + "print('again')\n" * 4_868)


def test_a_large_base_may_stay_and_shrink() -> None:
    base = BASE + f"TABLE = {list(range(5_000))}\nTEXT = '''{LETTERS}'''\n"
    assert refused(base.replace("LR = 0.1", "LR = 0.2"), base) == ""
    assert refused("LR = 1\n", base) == ""
    assert refused(None, base) == ""


def test_a_large_literal_of_the_base_may_not_be_exchanged_for_another() -> None:
    base = BASE + f"TABLE = {list(range(5_000))}\n"
    assert "holds 5,000 constants" in refused(base.replace("17,", "18,"), base)


# -- what honest edits need


def test_three_rewrites_of_the_largest_program_that_ships_fit() -> None:
    program = TRAIN.read_text()
    renamed = [program.replace("self", f"me{n}").replace("torch", f"t{n}").replace(" = ", f" = {n} + ") for n in range(3)]
    assert refused("".join(renamed), program) == ""
    assert refused(renamed[0], "") == ""


@pytest.mark.parametrize(
    "text",
    [
        f"SHAPES = {[(64 * n, 128, 4) for n in range(100)]}\n",
        f"COEFFICIENTS = {[(8.156554524902461, -22.48329292557795, 15.878769915207462)] * 12}\n",
        f"KERNEL = '''{'for (int i = 0; i < n; i += 4) a[i] += b[i];' * 40}'''\n",
        "def f():\n    '''" + "A long and honest explanation of what is done here.\n    " * 80 + "'''\n",
        "SEED = 0x9E3779B97F4A7C15F39CC0605CEDC834\n",
    ],
)
def test_tables_kernels_and_explanations_of_ordinary_size_pass(text: str) -> None:
    assert refused(BASE + text) == ""


def test_text_that_is_not_python_is_left_to_the_syntax_gate() -> None:
    assert refused("x = (") == ""
    assert refused("x = '\udce9'\n") == ""


def test_the_limits_are_those_that_the_documents_name() -> None:
    assert (ADDED_COMPRESSED_BYTES, GROWTH_BYTES) == (16_384, 65_536)
