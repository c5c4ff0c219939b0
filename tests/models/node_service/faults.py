"""What a test lets go wrong in a running service, by kind of call."""

import asyncio
from dataclasses import dataclass, field
from typing import Any

CALLS = ("health", "list", "status", "create", "stop", "reconnect", "regenerate", "send")


@dataclass(slots=True)
class Faults:
    """`refused`: call → the HTTP status that is answered in place of doing anything. `mute`: calls that are carried out
    and never answered."""

    refused: dict[str, int] = field(default_factory=dict)
    mute: set[str] = field(default_factory=set)

    def change(self, told: dict[str, Any]) -> None:
        """`{"refused": {call: status}, "mute": [call]}` in place of what was told before. Raises ValueError."""
        refused, mute = dict(told.get("refused", {})), set(told.get("mute", ()))
        if unknown := ({*refused} | mute) - set(CALLS):
            raise ValueError(f"no such call: {', '.join(sorted(unknown))}")
        self.refused, self.mute = refused, mute

    async def hold_back(self, call: str) -> None:
        """Never returns for a call that is to stay without an answer."""
        if call in self.mute:
            await asyncio.Event().wait()
