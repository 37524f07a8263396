"""Text that came from candidates, made safe to show on a terminal. Pure.

Descriptions, reasons, logs and diffs are written by code or models under test. Here they lose whatever a terminal would obey
(escape sequences, control characters, marks that turn the direction of writing) and what nobody would see (invisible letters,
in which a model can be told what a person does not read); what is left is what a reader would see.
"""

from __future__ import annotations

import json
import re

_SEQUENCES = re.compile(
    r"(?:\x1b\[|\x9b)[0-?]*[ -/]*[@-~]?"  # CSI: colours, cursor
    r"|(?:\x1b[\]PX^_]|[\x9d\x90\x98\x9e\x9f])[^\x07\x1b\x9c\n]{0,4096}(?:\x07|\x1b\\|\x9c)"  # OSC, DCS: titles, links
    r"|\x1b[ -/]*[0-~]?"  # the short ones
)
_CONTROLS = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
    r"\u061c\u200e\u200f\u202a-\u202e\u2028\u2029\u2066-\u2069"  # the direction of writing, and foreign line ends
    r"\u00ad\u115f\u1160\u180b-\u180f\u200b\u2060-\u2065\u206a-\u206f\u3164\ufe00-\ufe0e\ufeff\uffa0\ufff0-\ufffb"
    r"\U000e0000-\U000e0fff]"  # invisible: joiners and fillers without a look, variants, tags
)


def plain(text: str) -> str:
    """`text` without terminal control; lines and tabs stay. A bare carriage return begins a new line."""
    text = text.encode("utf-8", "replace").decode("utf-8").replace("\r\n", "\n").replace("\r", "\n")
    return _CONTROLS.sub("", _SEQUENCES.sub("", text))


def one_line(text: str, width: int | None = None) -> str:
    """`plain` text on one line: runs of white space are one space; cut to `width` characters with an ellipsis."""
    line = " ".join(plain(text).split())
    return line if width is None or len(line) <= width else line[: max(0, width - 1)].rstrip() + "…"


def escaped(encoded: str) -> str:
    """JSON text in which every sign that `plain` would drop is written as an escape: the same data, and safe to print."""
    return _CONTROLS.sub(lambda found: json.dumps(found[0])[1:-1], encoded)
