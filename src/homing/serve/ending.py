"""How a gateway ends without anybody noticing: it says that it leaves, serves on, then takes nothing new, then waits.

A balancer learns from `/ready` that requests should go elsewhere. Until it has, everything is served as ever, on
connections that are closed behind each answer. What is still in progress when the grace is over is cut off.
"""

import asyncio
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import structlog
import uvicorn

from homing.serve.http.acceptor import Acceptor

log = structlog.get_logger("homing")

_CUT_S = 2.0
"""What was cut off has so long to be recorded and answered."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """Seconds: how long everything is served on after SIGTERM, and how long requests in progress are waited for."""

    delay_s: float
    grace_s: float


class GatewayServer(uvicorn.Server):
    """Ends in good order at SIGTERM, at SIGINT without the delay, and at a second one of either at once."""

    def __init__(self, config: uvicorn.Config, leaving: Leaving) -> None:
        super().__init__(config)
        config.timeout_graceful_shutdown = round(leaving.grace_s + _CUT_S)
        self._leaving = leaving
        self._acceptors: list[Acceptor] = []
        self._told = 0
        self._interrupted = False
        self.leaves: Callable[[], bool] = lambda: False
        """Tells everybody that this gateway leaves; whether it was serving at all."""
        self.goodbye: Callable[[], None] = lambda: None
        """Ends the answers of those who would watch for ever."""
        self.cut_off: Callable[[], None] = lambda: None
        """Ends what is in progress, as unknown."""
        self.ended = asyncio.Event()
        """Everybody has had their answer."""

    @property
    def interrupted(self) -> bool:
        """Whether it was Ctrl-C that ended it."""
        return self._interrupted

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        loop = asyncio.get_running_loop()
        for number in (signal.SIGTERM, signal.SIGINT):
            loop.add_signal_handler(number, self.tell, number)
        loop.add_signal_handler(signal.SIGUSR2, self.hand_over)
        try:
            yield
        finally:
            for number in (signal.SIGTERM, signal.SIGINT, signal.SIGUSR2):
                loop.remove_signal_handler(number)

    def tell(self, number: signal.Signals) -> None:
        """Begin to end, or do not wait any longer."""
        self._told += 1
        self._interrupted = self._interrupted or number is signal.SIGINT
        if self._told > 1:
            self._end_at_once()
            return
        # Whoever presses Ctrl-C looks on; no balancer has to be told first.
        delay_s = self._leaving.delay_s if self.leaves() and number is signal.SIGTERM else 0.0
        if delay_s:
            log.info("Told to end; serving on until balancers have noticed", for_s=delay_s)
        asyncio.get_running_loop().call_later(delay_s, self._accept_no_more)

    def hand_over(self) -> None:
        """Another process accepts at the same sockets: take no new connection, serve on those that are there, end."""
        log.info("Another worker takes over; serving on who is connected", for_s=self._leaving.delay_s)
        self.leaves()
        self._take_in_nobody_more()
        asyncio.get_running_loop().call_later(self._leaving.delay_s, self._accept_no_more)

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup([])
        self._acceptors = [Acceptor(each, self._connection, tls=self.config.ssl) for each in sockets or []]

    def _connection(self) -> asyncio.Protocol:
        kind: Any = self.config.http_protocol_class
        protocol: asyncio.Protocol = kind(self.config, self.server_state, self.lifespan.state)
        return protocol

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._take_in_nobody_more()
        self.goodbye()
        out_of_time = asyncio.get_running_loop().call_later(self._leaving.grace_s, self._cut_off)
        try:
            await super().shutdown(sockets)
        finally:
            out_of_time.cancel()
            self.ended.set()

    def _take_in_nobody_more(self) -> None:
        for acceptor in self._acceptors:
            acceptor.close()

    def _accept_no_more(self) -> None:
        self.should_exit = True

    def _cut_off(self) -> None:
        log.warning("Requests are still in progress after the grace; they are cut off", grace_s=self._leaving.grace_s)
        self.cut_off()

    def _end_at_once(self) -> None:
        log.warning("Told to end a second time; what is in progress is cut off")
        self.should_exit = True
        self.cut_off()
        asyncio.get_running_loop().call_later(_CUT_S, self._force)

    def _force(self) -> None:
        self.force_exit = True
