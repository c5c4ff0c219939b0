"""One session's messages on their way: their ratchet counters, their order, their acknowledgements.

A message gets its counter and goes on the wire in the order in which it was asked for. Its counter was reserved
in the credentials store before its bytes leave. A frame that was on the wire when the connection broke is kept
and repeated as it was, with the same id and the same counter, before anything new.
"""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass

from homing.instance.credentials import Credentials, Grant, StaleEpoch
from homing.instance.engine import Acknowledged, Frame, Refused
from homing.instance.events import Status
from homing.instance.policy import HostPolicy


@dataclass(frozen=True, slots=True)
class Message:
    """What someone wants said. ``recipient`` is digits only; the id is WhatsApp's id of the message."""

    message_id: str
    recipient: str
    text: str


@dataclass(frozen=True, slots=True)
class Sent:
    """WhatsApp acknowledged the message."""

    message_id: str


@dataclass(frozen=True, slots=True)
class NotConnected:
    """Nothing left: the session cannot send at the moment."""

    status: Status | None


@dataclass(frozen=True, slots=True)
class Overloaded:
    """Nothing left: too many messages of this session wait for their acknowledgement."""


@dataclass(frozen=True, slots=True)
class StoreUnavailable:
    """Nothing left: the credentials store could not reserve a counter."""

    reason: str


@dataclass(frozen=True, slots=True)
class Unknown:
    """The message left and may have arrived."""

    reason: str


SendOutcome = Sent | Refused | NotConnected | StaleEpoch | Overloaded | StoreUnavailable | Unknown
Transmit = Callable[[Frame], None]


@dataclass(frozen=True, slots=True)
class _OnItsWay:
    frame: Frame
    outcome: asyncio.Future[SendOutcome]


class Sending:
    """The sends of one session under one grant."""

    def __init__(self, credentials: Credentials, grant: Grant, policy: HostPolicy) -> None:
        self._credentials = credentials
        self._grant = grant
        self._policy = policy
        self._order = asyncio.Lock()
        self._on_their_way: dict[int, _OnItsWay] = {}
        self._counters = range(grant.next_counter, grant.next_counter)
        self._transmit: Transmit | None = None
        self._status: Status | None = None
        self._giving_up: asyncio.TimerHandle | None = None

    @property
    def next_counter(self) -> int:
        """The first counter that was never on the wire."""
        return self._counters.start

    async def send(self, message: Message) -> SendOutcome:
        """Say it, and how that ended. Sends that start in some order reach the wire in that order."""
        if not self.is_connected():
            return NotConnected(self._status)
        if len(self._on_their_way) >= self._policy.unacknowledged_max:
            return Overloaded()
        async with self._order:
            counter = await self._take_counter()
            if not isinstance(counter, int):
                return counter
            if not self.is_connected():  # the connection may have broken while the counter was reserved
                return NotConnected(self._status)
            under_way = self._put_on_wire(counter, message)
        return await self._outcome(under_way)

    def is_connected(self) -> bool:
        return self._transmit is not None

    def connected(self, transmit: Transmit) -> None:
        """The connection is live: what it has not acknowledged goes again, then sends are taken."""
        self._stop_giving_up()
        for under_way in self._on_their_way.values():
            transmit(under_way.frame)
        self._transmit, self._status = transmit, Status.CONNECTED

    def disconnected(self, status: Status | None) -> None:
        """The connection broke; unless it returns in time, what was on the wire ends as unknown."""
        self._transmit, self._status = None, status
        if self._giving_up is None:
            loop = asyncio.get_running_loop()
            self._giving_up = loop.call_later(self._policy.resend_within_s, self.give_up, "connection lost")

    def give_up(self, reason: str) -> None:
        """Nothing more will be heard of what is on the wire."""
        self._stop_giving_up()
        for under_way in self._on_their_way.values():
            _settle(under_way, Unknown(f"{reason}, outcome unknown"))
        self._on_their_way.clear()

    def close(self, status: Status) -> None:
        """Take no more sends; those on the wire may still be acknowledged."""
        self._transmit, self._status = None, status

    async def drained(self) -> None:
        """Returns once nothing is on the wire."""
        waiting = [under_way.outcome for under_way in self._on_their_way.values()]
        if waiting:
            await asyncio.wait(waiting)

    def answered(self, answer: Acknowledged | Refused) -> Frame | None:
        """WhatsApp answered a frame; the frame, if it was acknowledged and still waited for."""
        under_way = self._on_their_way.pop(answer.counter, None)
        if under_way is None:
            return None
        if isinstance(answer, Refused):
            _settle(under_way, answer)
            return None
        _settle(under_way, Sent(under_way.frame.message_id))
        return under_way.frame

    def _put_on_wire(self, counter: int, message: Message) -> _OnItsWay:
        assert self._transmit is not None
        frame = Frame(counter, message.message_id, message.recipient, message.text)
        under_way = _OnItsWay(frame, asyncio.get_running_loop().create_future())
        self._on_their_way[counter] = under_way
        self._transmit(frame)
        return under_way

    async def _outcome(self, under_way: _OnItsWay) -> SendOutcome:
        try:
            async with asyncio.timeout(self._policy.acknowledge_within_s):
                return await under_way.outcome
        except TimeoutError:
            return Unknown("WhatsApp did not acknowledge in time, outcome unknown")
        finally:
            self._on_their_way.pop(under_way.frame.counter, None)

    async def _take_counter(self) -> int | StaleEpoch | StoreUnavailable:
        if not self._counters:
            try:
                reserved = await self._credentials.reserve(self._grant, self._policy.counters_reserved)
            except OSError as problem:
                return StoreUnavailable(f"the credentials store is not available: {problem}")
            if isinstance(reserved, StaleEpoch):
                return reserved
            self._counters = reserved
        counter, self._counters = self._counters[0], self._counters[1:]
        return counter

    def _stop_giving_up(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None


def _settle(under_way: _OnItsWay, outcome: SendOutcome) -> None:
    if not under_way.outcome.done():
        under_way.outcome.set_result(outcome)
