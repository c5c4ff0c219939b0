"""Requests and their answers between processes, and all that can become of them on the way."""

import asyncio
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from homing.drivers.http.connection import Reply
from homing.lab.sim.loop import LoopStep, VirtualLoop
from homing.lab.sim.trial.world.processes import Process, nobody
from homing.model.sends.faults import Fault, Phase

CONNECT_WITHIN_S = 2.0
_OPEN_ALREADY = 0.7
_CLOSED_UNHEARD = 0.05
"""How often a connection to a process that died is used before its end was heard of."""


@dataclass(frozen=True, slots=True)
class SimulatedRequest:
    """One whole request. Header names are in lower case; `path` has its query with it."""

    method: str
    path: str
    headers: Mapping[str, str]
    body: bytes


Serve = Callable[[SimulatedRequest], Awaitable[Reply]]


class NetworkUpset(StrEnum):
    """What may become of a request or its answer."""

    RESET_BEFORE = "reset before delivery"
    RESET_AFTER = "reset after delivery"
    LOST_BEFORE = "lost before delivery"
    LOST_AFTER = "lost after delivery"
    TWICE = "delivered twice"
    SLOW = "answered slowly"


@dataclass(slots=True)
class NetworkLink:
    """What it is like between two places. Each way takes `latency_s` and up to `jitter_s` more.

    While `cuts` is above zero nothing arrives, in either direction, and nobody hears why. `upsets` are chances.
    """

    latency_s: float = 0.0005
    jitter_s: float = 0.001
    cuts: int = 0
    slow_s: float = 0.0
    upsets: dict[NetworkUpset, float] = field(default_factory=dict)


@dataclass(slots=True, eq=False)
class _Listener:
    process: Process
    serve: Serve
    open: dict["_NetworkExchange", None] = field(default_factory=dict)


class SimulatedNetwork:
    """Every place has a name; a process may listen there. `upset` hears of what went wrong, for those who count."""

    def __init__(self, loop: VirtualLoop, chance: random.Random, upset: Callable[[NetworkUpset], None]) -> None:
        self.loop, self.chance, self.upset = loop, chance, upset
        self.air = nobody()
        self._listening: dict[str, _Listener] = {}
        self._links: dict[tuple[str, str], NetworkLink] = {}

    def link(self, one: str, other: str) -> NetworkLink:
        """What it is like between these places, to be looked at and changed."""
        key = (one, other) if one < other else (other, one)
        link = self._links.get(key)
        if link is None:
            link = self._links[key] = NetworkLink()
        return link

    def listen(self, place: str, process: Process, serve: Serve) -> None:
        """Take requests at this place until the process dies."""
        listener = self._listening[place] = _Listener(process, serve)

        def died() -> None:
            if self._listening.get(place) is listener:
                del self._listening[place]
            for exchange in list(listener.open):
                exchange.peer_died()

        process.when_it_dies(died)

    def listener(self, place: str) -> _Listener | None:
        return self._listening.get(place)

    def delay_s(self, link: NetworkLink) -> float:
        return link.latency_s + link.slow_s + link.jitter_s * self.chance.random()

    def later(self, delay_s: float, work: Callable[[], None]) -> LoopStep:
        """Let something happen that is no process's doing."""
        return self.loop.call_later(delay_s, work, context=self.air)

    async def ask(self, asker: str, place: str, request: SimulatedRequest, *, timeout_s: float) -> Reply | Fault:
        """The answer, or how far the request came; within `timeout_s`."""
        exchange = _NetworkExchange(self, self.link(asker, place), place, request)
        giving_up = self.loop.call_later(max(timeout_s, 0.0), exchange.give_up)
        exchange.begin(timeout_s)
        try:
            return await exchange.answer
        finally:
            giving_up.cancel()


class _NetworkExchange:
    """One request on its way, and its answer on the way back."""

    def __init__(self, network: SimulatedNetwork, link: NetworkLink, place: str, request: SimulatedRequest) -> None:
        self._network, self._link, self._place, self._request = network, link, place, request
        self.answer: asyncio.Future[Reply | Fault] = network.loop.create_future()
        self._left = False
        self._listener: _Listener | None = None
        self._tasks: list[asyncio.Task[None]] = []

    def begin(self, timeout_s: float) -> None:
        """Over a connection that is open already the bytes leave at once; a new one has to be made first."""
        self._left = self._network.chance.random() < _OPEN_ALREADY
        if not self._link.cuts:
            self._network.later(self._network.delay_s(self._link), self._arrive)
        elif not self._left and timeout_s > CONNECT_WITHIN_S:
            self._network.later(CONNECT_WITHIN_S, self.give_up)

    def give_up(self) -> None:
        phase = Phase.REPLY_TIMED_OUT if self._left else Phase.CONNECT_TIMED_OUT
        self._settle(Fault(phase, "no answer in time"))

    def peer_died(self) -> None:
        """Its kernel resets the connection, if that can be heard."""
        self._network.later(self._network.delay_s(self._link), self._reset)

    def _arrive(self) -> None:
        listener = self._network.listener(self._place)
        if self._link.cuts or (self.answer.done() and not self._left):
            return
        if listener is None:
            self._network.later(self._network.delay_s(self._link), self._refused)
            return
        self._left = True
        repeated = (NetworkUpset.TWICE,) if self._may_be_repeated else ()
        match self._drawn(NetworkUpset.RESET_BEFORE, NetworkUpset.LOST_BEFORE, *repeated):
            case NetworkUpset.RESET_BEFORE:
                self.peer_died()
            case NetworkUpset.LOST_BEFORE:
                return
            case NetworkUpset.TWICE:
                self._hand_over(listener)
                self._hand_over(listener)
            case _:
                self._hand_over(listener)

    @property
    def _may_be_repeated(self) -> bool:
        """Nobody on the way repeats a client's request that has no key, nor one to a gateway that takes no ids: two of
        those are two messages."""
        keyed = "idempotency-key" in self._request.headers
        return keyed or not self._request.path.startswith(("/api/v1/messages/send", "/api/sendText"))

    def _hand_over(self, listener: _Listener) -> None:
        self._listener = listener
        listener.open[self] = None
        self._tasks.append(listener.process.spawn(self._served(listener)))

    async def _served(self, listener: _Listener) -> None:
        reply = await listener.serve(self._request)
        listener.open.pop(self, None)
        upset = self._drawn(NetworkUpset.RESET_AFTER, NetworkUpset.LOST_AFTER, NetworkUpset.SLOW)
        if upset is NetworkUpset.RESET_AFTER:
            self.peer_died()
        elif upset is not NetworkUpset.LOST_AFTER:
            more_s = 3.0 * self._network.chance.random() if upset is NetworkUpset.SLOW else 0.0
            self._network.later(self._network.delay_s(self._link) + more_s, lambda: self._answered(reply))

    def _drawn(self, *upsets: NetworkUpset) -> NetworkUpset | None:
        if not self._link.upsets:
            return None
        for upset in upsets:
            chance = self._link.upsets.get(upset, 0.0)
            if chance and self._network.chance.random() < chance:
                self._network.upset(upset)
                return upset
        return None

    def _answered(self, reply: Reply) -> None:
        if not self._link.cuts:
            self._settle(reply)

    def _refused(self) -> None:
        if self._link.cuts:
            return
        if self._left and self._network.chance.random() < _CLOSED_UNHEARD:
            self._settle(Fault(Phase.INTERRUPTED, "connection reset by peer"))
        else:
            self._settle(Fault(Phase.REFUSED, "connection refused"))

    def _reset(self) -> None:
        if not self._link.cuts:
            self._settle(Fault(Phase.INTERRUPTED, "connection reset by peer"))

    def _settle(self, answer: Reply | Fault) -> None:
        if self._listener is not None:
            self._listener.open.pop(self, None)
        if not self.answer.done():
            self.answer.set_result(answer)
