"""What the flows need of the word between gateways."""

from collections.abc import Callable, Sequence
from typing import Protocol

from homing.model.notices import Notice

TellHearing = Callable[[str | None], None]
"""Told None while this gateway hears its own word, else why it does not and what to set."""


class Notices(Protocol):
    """Word of changes, between all gateways on one directory. It may be lost with the connection that carries it;
    then subscribers hear CacheCleared once the connection is back."""

    async def publish(self, notices: Sequence[Notice]) -> None:
        """Tell every gateway, this one first and at once."""
        ...

    def subscribe(self, hear: Callable[[Notice], None]) -> None: ...

    def watch_hearing(self, tell: TellHearing) -> None:
        """Tell whether this gateway hears itself, as soon as that is known and as often as it is looked at."""
        ...
