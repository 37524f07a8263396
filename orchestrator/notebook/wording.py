"""How the notebook measures and quotes text. Pure.

Words of proposers and candidates are one line between backticks, with none of their own inside: in markdown nothing in there is
obeyed, shown as a picture or followed, and no text can end its own quotation.
"""

from __future__ import annotations

from orchestrator.views.plain import one_line

BYTES_A_TOKEN = 3
_SENTENCE_ENDS = (". ", "; ", "! ", "? ", ": ")


def tokens(text: str) -> int:
    """How many tokens a text is at most, about: a third of its UTF-8 bytes. Tokenisers of today make four characters of English
    one token, two or three of the numbers and names that a notebook is full of, and one of a character beyond Latin."""
    return -(-len(text.encode()) // BYTES_A_TOKEN)


def words(text: str, width: int = 160) -> str:
    """What somebody else wrote, as data in a line."""
    line = shortened(one_line(text).replace("`", "'"), width)
    return f"`{line}`" if line else "(no words)"


def shortened(line: str, width: int) -> str:
    """At most `width` characters: whole sentences where one ends in time, else whole words; what is left out is marked."""
    if len(line) <= width:
        return line
    cut = line[: width - 2]
    end = max(cut.rfind(mark) for mark in _SENTENCE_ENDS)
    if end < width // 3:
        end = cut.rfind(" ") - 1
    if end < width // 3:
        end = len(cut) - 1
    return f"{cut[: end + 1]} …"


def listed(names: list[str], most: int) -> str:
    """a, b, c and 12 more"""
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
