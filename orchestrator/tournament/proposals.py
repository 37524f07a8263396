"""What the tournament has to know of those who propose: how much is being written at this moment. It follows from no event."""

from __future__ import annotations

from typing import Protocol


class Proposals(Protocol):
    def under_way(self) -> int:
        """Proposals that were asked for and have not arrived."""

    def ready(self) -> bool:
        """Whether anybody could be asked now."""


class AtOnce:
    """Every proposal is there as soon as it is asked for."""

    def under_way(self) -> int:
        return 0

    def ready(self) -> bool:
        return True
