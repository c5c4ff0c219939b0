"""What gateways said of numbers, remembered for all gateways of a fleet."""

from collections.abc import Mapping, Sequence
from typing import Protocol

from homing.model.fleet import SessionId
from homing.model.sends.calls import NumberChecked


class CheckedNumbers(Protocol):
    """The answers of checks, by the session that asked. Raises StoreUnavailable."""

    async def of(self, session_id: SessionId, numbers: Sequence[str]) -> Mapping[str, NumberChecked]:
        """What is still good of these numbers (E.164 digits)."""
        ...

    async def remember(self, session_id: SessionId, digits: str, checked: NumberChecked, *, good_for_s: float) -> None:
        """Keep an answer in place of the one before. Some of what has expired goes with it."""
        ...
