"""One session's messages on their way: reserved in the vault, then on the wire, until WhatsApp has them.

Frames go on the wire by their counters, in the order in which they were asked for. From its reservation on a message
will be said: over this connection, over the next one, or by the session's next holder, always under the same id. So
whoever waits for it may hear that its outcome is unknown, and never that it was not sent.
"""

import asyncio
from collections import deque
from collections.abc import Callable, Collection, Sequence

from homing.instance.engine import Acknowledged, Frame, FrameRefused
from homing.instance.frames import recipient_of
from homing.instance.notify.events import Status
from homing.instance.policy import HostPolicy
from homing.instance.session.acknowledgements import Acknowledgements
from homing.instance.session.messages import (
    EngineSent,
    EngineUnknown,
    Message,
    NotConnected,
    Overloaded,
    Paused,
    SendOutcome,
    UnderWay,
)
from homing.instance.session.reservation_queue import Line, Reserve, Seal
from homing.model.instances.vault import Grant, Reservation, ReservedBefore
from homing.ports import Clock, Credentials

Transmit = Callable[[Frame], None]
_NOT_CONNECTED = NotConnected(Status.DISCONNECTED)


class SessionSends:
    """The sends of one session under one grant.

    ``may_act`` says whether, at that very moment, a frame may leave. ``reserve`` gives messages to the vault, with the
    keys that sealing them changed. ``superseded`` hears which epoch the vault is at
    when it refuses this grant. ``had`` are counters that an earlier grant in this process saw acknowledged.
    """

    def __init__(
        self,
        credentials: Credentials,
        grant: Grant,
        policy: HostPolicy,
        clock: Clock,
        *,
        reserve: Reserve,
        may_act: Callable[[], bool],
        superseded: Callable[[int], None],
        had: Collection[int] = (),
    ) -> None:
        self._policy = policy
        self._clock = clock
        self._may_act = may_act
        self._notes = Acknowledgements(credentials, grant, may_act=may_act, ask_again_s=policy.ask_again_s)
        self._line = Line(
            reserve,
            grant,
            policy,
            may_act=may_act,
            reserved=self._own,
            refused=self._finish,
            superseded=superseded,
        )
        self._known: dict[str, UnderWay] = {}
        self._reserved: dict[int, UnderWay] = {}
        self._unsent: deque[UnderWay] = deque()
        self._transmit: Transmit | None = None
        self._closed = False
        self._over: str | None = None
        self._next_counter = grant.next_counter
        self._acknowledged: deque[int] = deque(maxlen=policy.unacknowledged_max)
        self._giving_up: asyncio.TimerHandle | None = None
        self._empty = asyncio.Event()
        self._take_over(grant, had)

    @property
    def next_counter(self) -> int:
        """The first counter that was never on the wire."""
        return self._next_counter

    @property
    def acknowledged(self) -> Collection[int]:
        """The last counters that were acknowledged, whether or not the vault heard of it."""
        return self._acknowledged

    async def send(self, message: Message) -> SendOutcome:
        """Say it, and how that ended. One that is on its way already is waited for, and not said again."""
        under_way = self._known.get(message.message_id)
        if under_way is None:
            refusal = self._refusal()
            if refusal is not None:
                return refusal
            under_way = self._known[message.message_id] = UnderWay(message, self._clock.monotonic())
            self._empty.clear()
            self._line.add(under_way)
        elif self._over is not None:
            return EngineUnknown(f"{self._over}, outcome unknown")
        return await self._outcome(under_way)

    def connected(self, transmit: Transmit, seal: Seal) -> None:
        """The connection is live: what WhatsApp has not acknowledged goes again, then sends are taken."""
        self._stop_giving_up()
        self._line.seal = seal
        self._unsent = deque(self._reserved[counter] for counter in sorted(self._reserved))
        self._transmit = transmit
        self.pump()

    def pump(self) -> None:
        """Put on the wire what may go there at this very moment."""
        while self._unsent and self._transmit is not None and self._may_act():
            under_way = self._unsent.popleft()
            if self._clock.monotonic() - under_way.since_s > self._policy.repeat_within_s:
                self._reserved.pop(under_way.counter, None)
                self._drop(under_way, EngineUnknown("it waited too long to be said again, outcome unknown"))
            elif under_way.counter in self._reserved:
                self._transmit(under_way.frame())

    def turn_back(self, why: SendOutcome) -> None:
        """Those that the vault was not asked for yet will not leave."""
        self._line.turn_back(why)

    def disconnected(self) -> None:
        """The connection broke. Unless it returns in time, those who wait hear no more of what is on its way."""
        self._transmit = self._line.seal = None
        self._line.turn_back(_NOT_CONNECTED)
        if self._giving_up is None:
            loop = asyncio.get_running_loop()
            self._giving_up = loop.call_later(self._policy.resend_within_s, self._give_up, "connection lost")

    def close(self) -> None:
        """Take no more sends; those that the vault has may still leave and be acknowledged."""
        self._closed = True
        self._line.turn_back(_NOT_CONNECTED)

    def reopen(self) -> None:
        self._closed = False

    def end(self, reason: str) -> None:
        """Nothing more leaves under this grant. What the vault has is for the session's next holder."""
        self._over, self._transmit, self._line.seal = reason, None, None
        self._line.turn_back(_NOT_CONNECTED)
        self._line.end(reason)
        self._notes.end()
        self._give_up(reason)

    async def drained(self) -> None:
        """Returns once WhatsApp has acknowledged all, and the vault has heard of it."""
        await self._empty.wait()
        await self._notes.written()

    def answered(self, answer: Acknowledged | FrameRefused) -> Message | None:
        """WhatsApp answered a frame; its message, if it was acknowledged and still waited for."""
        under_way = self._reserved.pop(answer.counter, None)
        if under_way is None:
            return None
        if isinstance(answer, FrameRefused):
            self._drop(under_way, answer)
            return None
        self._acknowledged.append(answer.counter)
        self._notes.acknowledge(answer.counter)
        self._finish(under_way, EngineSent(under_way.message.message_id))
        return under_way.message

    # Steps

    def _take_over(self, grant: Grant, had: Collection[int]) -> None:
        """What earlier grants reserved and never saw acknowledged is for this one to say."""
        now_s = self._clock.monotonic()
        for left in grant.unfinished:
            if left.counter in had:
                self._notes.acknowledge(left.counter)
                continue
            message = Message(left.message_id, recipient_of(left.frame), "")  # what it says only the frame knows
            under_way = UnderWay(message, now_s - left.age_s, left.frame, asked=True, counter=left.counter)
            self._known[left.message_id] = self._reserved[left.counter] = under_way
        if not self._known:
            self._empty.set()

    def _refusal(self) -> SendOutcome | None:
        """Why no message is taken in at the moment."""
        if self._transmit is None or self._closed:
            return _NOT_CONNECTED
        if not self._may_act():
            return Paused()
        if len(self._known) >= self._policy.unacknowledged_max:
            return Overloaded()
        return self._line.away

    async def _outcome(self, under_way: UnderWay) -> SendOutcome:
        outcome = under_way.outcome()
        done, _ = await asyncio.wait([outcome], timeout=self._policy.acknowledge_within_s)
        return outcome.result() if done else EngineUnknown("WhatsApp did not acknowledge in time, outcome unknown")

    def _own(self, reserved: Sequence[tuple[UnderWay, Reservation]]) -> None:
        """The vault has these: from here on they will be said."""
        for under_way, reservation in reserved:
            if isinstance(reservation, ReservedBefore) and reservation.acknowledged:
                self._finish(under_way, EngineSent(under_way.message.message_id))
                continue
            under_way.counter = reservation.counter
            self._reserved[reservation.counter] = under_way
            self._next_counter = max(self._next_counter, reservation.counter + 1)
            self._unsent.append(under_way)
            if self._over is not None:
                under_way.settle(EngineUnknown(f"{self._over}, outcome unknown"))
        self.pump()

    def _drop(self, under_way: UnderWay, outcome: SendOutcome) -> None:
        """It is not said again. Whoever is told so must be able to rely on it, so the vault has to know first."""
        otherwise = EngineUnknown("it was granted elsewhere before it could be taken back, outcome unknown")
        self._notes.drop(under_way.counter, lambda done: self._finish(under_way, outcome if done else otherwise))

    def _finish(self, under_way: UnderWay, outcome: SendOutcome) -> None:
        self._known.pop(under_way.message.message_id, None)
        under_way.settle(outcome)
        if not self._known:
            self._empty.set()

    def _give_up(self, reason: str) -> None:
        """Those who wait for what the vault has hear that its outcome is unknown; it stays on its way."""
        self._stop_giving_up()
        for under_way in self._known.values():
            if under_way.counter:
                under_way.settle(EngineUnknown(f"{reason}, outcome unknown"))

    def _stop_giving_up(self) -> None:
        if self._giving_up is not None:
            self._giving_up.cancel()
            self._giving_up = None
