"""What people write to a session: taken in, kept by the listener, and only then acknowledged to WhatsApp."""

from collections.abc import Awaitable, Callable

from homing.instance.engine import EngineSession, Inbound
from homing.instance.notify.events import MessageReceived
from homing.instance.session.event_emitter import Telling
from homing.instance.session.tasks import Tasks


class Inbox:
    """One session's inbound messages. ``trusted`` returns once this boot may act: before that nothing is acknowledged.

    ``is_live`` tells whether a connection is still the session's. ``offer_again`` asks for a new one, over which
    WhatsApp offers again what was left out.
    """

    def __init__(
        self,
        telling: Telling,
        tasks: Tasks,
        *,
        waiting_max: int,
        event_of: Callable[[Inbound], MessageReceived],
        is_live: Callable[[EngineSession | None], bool],
        trusted: Callable[[], Awaitable[None]],
        offer_again: Callable[[], None],
    ) -> None:
        self._telling = telling
        self._tasks = tasks
        self._waiting_max = waiting_max
        self._event_of = event_of
        self._is_live = is_live
        self._trusted = trusted
        self._offer_again = offer_again
        self.waiting = 0
        self._left_out = False

    def take(self, message: Inbound, wire: EngineSession | None) -> None:
        """Take the message in, unless too many wait already: the next connection offers it again."""
        if self.waiting >= self._waiting_max:
            self._left_out = True
            return
        self.waiting += 1
        self._tasks.spawn(self._receive(message, wire)).add_done_callback(self._received)

    async def _receive(self, message: Inbound, wire: EngineSession | None) -> None:
        kept = await self._telling.kept(lambda: self._event_of(message), still=lambda: self._is_live(wire))
        await self._trusted()
        if kept and wire is not None and self._is_live(wire):
            wire.received(message.id)

    def _received(self, _: object) -> None:
        self.waiting -= 1
        if self._left_out and not self.waiting:
            self._left_out = False
            self._offer_again()
