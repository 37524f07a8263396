"""Whether candidates are confined: decided once a head, from the config and what this machine can do. Pure.

`sandbox: auto` confines everything. Where that cannot be done, only the `knobs` proposer may run, which changes numbers
and nothing else; anything that could have been written by a model or a stranger needs a person who writes `sandbox: none`.
"""

from __future__ import annotations

from collections.abc import Collection
from enum import StrEnum

HARMLESS = frozenset({"knobs"})


class Sandbox(StrEnum):
    """What stands around candidates; every status shows it."""

    BUBBLEWRAP = "bubblewrap"
    NONE = "none"


class UnconfinedError(Exception):
    """Candidates of this config must be confined and cannot be."""


def sandbox_for(wanted: str, proposers: Collection[str], lacks: str | None) -> Sandbox:
    """`wanted`: the config's `auto` or `none`; `proposers`: their kinds; `lacks`: why this machine cannot confine, if so.

    Raises UnconfinedError.
    """
    if wanted == "none":
        return Sandbox.NONE
    if lacks is None:
        return Sandbox.BUBBLEWRAP
    bold = sorted(set(proposers) - HARMLESS)
    if bold:
        raise UnconfinedError(
            f"sandbox: auto: {lacks}. Without it only the proposer knobs may run, and this campaign has {', '.join(bold)}; "
            "to run their edits with all your rights, write sandbox: none"
        )
    return Sandbox.NONE
