"""Where move requests are entered, for those who only ask that a session be moved."""

from collections.abc import Sequence
from typing import Protocol

from homing.decide.moves.next_step import MoveRequest


class MoveRequests(Protocol):
    """The durable wish that a session live elsewhere, one for each session at a time."""

    async def want(self, wishes: Sequence[MoveRequest]) -> int:
        """Returns how many are new. The session of another one was to move already."""
        ...
