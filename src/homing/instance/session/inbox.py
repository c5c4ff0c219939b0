"""What people write to a session: kept in the vault, then acknowledged to WhatsApp, then told to the listener."""

import asyncio
from collections.abc import Callable, Coroutine, Sequence
from typing import Any, Protocol

import msgspec

from homing.instance.engine import EngineSession, Inbound
from homing.instance.notify.events import MessageReceived
from homing.instance.session.event_emitter import Telling
from homing.instance.session.tasks import Tasks
from homing.model.instances.vault import InboxMessage


class KeepsArrivals(Protocol):
    """Where messages are kept; see `SessionState`."""

    def arrived(self, message: InboxMessage) -> "asyncio.Future[bool | None]": ...


class Inbox:
    """One session's inbound messages under one grant.

    ``is_live`` tells whether a connection is still the session's. ``offer_again`` asks for a new one, over which
    WhatsApp offers again what was left out. ``told`` hears what the listener has. ``over``: nothing is told any more.
    """

    def __init__(
        self,
        telling: Telling,
        tasks: Tasks,
        *,
        waiting_max: int,
        event_of: Callable[[Inbound], MessageReceived],
        is_live: Callable[[EngineSession | None], bool],
        offer_again: Callable[[], None],
        told: Callable[[tuple[str, str]], None],
        over: Callable[[], bool],
    ) -> None:
        self._telling = telling
        self._tasks = tasks
        self._waiting_max = waiting_max
        self._event_of = event_of
        self._is_live = is_live
        self._offer_again = offer_again
        self._told = told
        self._over = over
        self._names: set[tuple[str, str]] = set()
        self._left_out = False
        self._has_room = asyncio.Event()
        self._has_room.set()

    @property
    def waiting(self) -> int:
        """Messages that the listener does not have yet."""
        return len(self._names)

    async def room(self) -> None:
        """Returns once another message may come in."""
        await self._has_room.wait()

    def take_up(self, untold: Sequence[InboxMessage]) -> None:
        """Tell what earlier grants left untold, before anything new."""
        for message in untold:
            if message.body is not None:
                inbound = msgspec.msgpack.decode(message.body, type=Inbound)
                self._begin((message.message_id, message.digest), self._tell(inbound))

    def take(self, message: Inbound, wire: EngineSession | None, keeper: KeepsArrivals) -> None:
        """Take the message in, unless too many wait already: the next connection offers it again.

        One whose reading changed keys is taken in any case: its engine asked for room before.
        """
        name = (message.id, message.digest)
        if not message.digest and self.waiting >= self._waiting_max and name not in self._names:
            self._left_out = True
            return
        body = None if message.text is None else msgspec.msgpack.encode(message)
        news = keeper.arrived(InboxMessage(message.id, message.digest, body))
        if name in self._names or body is None:
            self._tasks.spawn(self._only_acknowledged(message, wire, news))
        else:
            self._begin(name, self._receive(message, wire, news))

    def _begin(self, name: tuple[str, str], work: Coroutine[Any, Any, None]) -> None:
        self._names.add(name)
        if self.waiting >= self._waiting_max:
            self._has_room.clear()
        self._tasks.spawn(work).add_done_callback(lambda _: self._done(name))

    async def _receive(self, message: Inbound, wire: EngineSession | None, news: "asyncio.Future[bool | None]") -> None:
        if await self._acknowledge(message, wire, news):
            await self._tell(message)

    async def _acknowledge(
        self, message: Inbound, wire: EngineSession | None, news: "asyncio.Future[bool | None]"
    ) -> bool | None:
        fresh = await news
        if fresh is not None and wire is not None and self._is_live(wire):
            wire.received(message.id)
        return fresh

    async def _only_acknowledged(
        self, message: Inbound, wire: EngineSession | None, news: "asyncio.Future[bool | None]"
    ) -> None:
        await self._acknowledge(message, wire, news)

    async def _tell(self, message: Inbound) -> None:
        if await self._telling.kept(lambda: self._event_of(message), still=lambda: not self._over()):
            self._told((message.id, message.digest))

    def _done(self, name: tuple[str, str]) -> None:
        self._names.discard(name)
        if self.waiting < self._waiting_max:
            self._has_room.set()
        if self._left_out and not self.waiting:
            self._left_out = False
            self._offer_again()
