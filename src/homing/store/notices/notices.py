"""Word of changes between gateways: what all carriers share, and the carrier for one gateway alone."""

from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import structlog
from sqlalchemy import Connection

from homing.ports import Notice, Notices, TellHearing

log = structlog.get_logger("homing")

Announce = Callable[[], Coroutine[Any, Any, None]]


class StagedNotices(Notices, Protocol):
    """Notices that go together with a transaction."""

    def stage(self, connection: Connection, notices: Sequence[Notice]) -> Announce:
        """Within a transaction: make its commit the word itself, if the carrier can.

        What is returned is to be awaited once the transaction is committed, and never otherwise. It raises nothing.
        """
        ...

    async def start(self) -> None:
        """Begin to listen. While the carrier is away this returns all the same, and goes on trying."""
        ...

    async def close(self) -> None: ...


class Subscribers:
    """Those in this process who want to hear. One that fails does not keep the word from the others."""

    def __init__(self) -> None:
        self._hearing: list[Callable[[Notice], None]] = []

    def add(self, hear: Callable[[Notice], None]) -> None:
        self._hearing.append(hear)

    def tell(self, notices: Sequence[Notice]) -> None:
        for notice in notices:
            for hear in self._hearing:
                try:
                    hear(notice)
                except Exception:
                    log.exception("Subscriber failed on a notice", notice=type(notice).__name__)


class LocalNotices:
    """Notices for the one gateway on a database of its own."""

    def __init__(self) -> None:
        self._subscribers = Subscribers()

    async def start(self) -> None:
        return

    async def close(self) -> None:
        return

    def subscribe(self, hear: Callable[[Notice], None]) -> None:
        self._subscribers.add(hear)

    def watch_hearing(self, tell: TellHearing) -> None:
        tell(None)

    async def publish(self, notices: Sequence[Notice]) -> None:
        self._subscribers.tell(notices)

    def stage(self, connection: Connection, notices: Sequence[Notice]) -> Announce:  # noqa: ARG002 - no carrier
        return lambda: self.publish(notices)
