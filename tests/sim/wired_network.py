"""A network in memory, connected to as to the real one: `Network.connect` is a `drivers.http.resolving.Connect`.

Bytes of one connection arrive in order, each after a delay from the seed. Every place (a host and port) has conditions
that a scenario may change at any moment: refused, swallowed, slow, or upset in the middle of an exchange.
"""

import asyncio
import errno
import random
import socket
import ssl
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from enum import StrEnum

from wired_transport import TransportUpset, Wires

__all__ = ["Conditions", "Network", "Reach", "TransportUpset"]

Factory = Callable[[], asyncio.Protocol]


class Reach(StrEnum):
    """How a place answers somebody who connects."""

    OPEN = "open"
    REFUSED = "refused"
    BLACKHOLE = "blackhole"


@dataclass(slots=True)
class Conditions:
    """What it is like just now to reach one place. Each way takes `latency_s` and up to `jitter_s` more.

    Each write of a client takes one of `upsets`, in order.
    """

    latency_s: float = 0.001
    jitter_s: float = 0.001
    reach: Reach = Reach.OPEN
    upsets: deque[TransportUpset] = field(default_factory=deque)

    def next_upset(self) -> TransportUpset | None:
        return self.upsets.popleft() if self.upsets else None


class Network:
    """Hosts and ports, who listens there, and the connections between them."""

    def __init__(self, seed: int = 0) -> None:
        self._chance = random.Random(f"network {seed}")
        self._hosts: set[str] = set()
        self._listening: dict[tuple[str, int], Factory] = {}
        self._conditions: dict[tuple[str, int], Conditions] = {}
        self._open: dict[tuple[str, int], list[Wires]] = {}
        self.connections_made = 0

    def listen(self, host: str, port: int, factory: Factory) -> None:
        """Answer whoever connects there. The host's name is known from now on, whether anybody listens or not."""
        if (host, port) in self._listening:
            raise OSError(errno.EADDRINUSE, f"{host}:{port} is taken already")
        self._hosts.add(host)
        self._listening[host, port] = factory

    def unlisten(self, host: str, port: int) -> None:
        """Take no more connections; those that are open stay."""
        self._listening.pop((host, port), None)

    def conditions(self, host: str, port: int) -> Conditions:
        """What it is like to reach this place, to be looked at and changed."""
        return self._conditions.setdefault((host, port), Conditions())

    def reset(self, host: str, port: int) -> None:
        """Reset all connections to this place, as the death of its process does."""
        for wires in self._open_to(host, port):
            wires.reset()

    def sever(self, host: str, port: int) -> None:
        """Leave all connections to this place half open: whatever is written, and any close, goes nowhere."""
        for wires in self._open_to(host, port):
            wires.sever()

    async def connect(
        self,
        host: str,
        port: int,
        tls: ssl.SSLContext | None,
        protocol_factory: Factory,
    ) -> tuple[asyncio.Transport, asyncio.Protocol]:
        """Open a connection, or raise what the real network would."""
        if host not in self._hosts:
            raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
        conditions = self.conditions(host, port)
        await asyncio.sleep(self._delay_s(conditions))
        if conditions.reach is Reach.BLACKHOLE:
            await asyncio.get_running_loop().create_future()  # until the caller gives up
        factory = self._listening.get((host, port))
        if factory is None or conditions.reach is Reach.REFUSED:
            await asyncio.sleep(self._delay_s(conditions))
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")
        wires = self._accepted(host, port, conditions, factory)
        try:
            await asyncio.sleep(self._delay_s(conditions))
        except asyncio.CancelledError:
            wires.abandon()
            raise
        protocol = protocol_factory()
        wires.client.meet(protocol)
        return wires.client, protocol

    def _accepted(self, host: str, port: int, conditions: Conditions, factory: Factory) -> Wires:
        self.connections_made += 1
        client = ("client", self.connections_made)
        wires = Wires(lambda: self._delay_s(conditions), conditions.next_upset, client, (host, port))
        self._open[host, port] = [*self._open_to(host, port), wires]
        wires.server.meet(factory())
        return wires

    def _open_to(self, host: str, port: int) -> list[Wires]:
        return [wires for wires in self._open.get((host, port), []) if not wires.ended]

    def _delay_s(self, conditions: Conditions) -> float:
        return conditions.latency_s + conditions.jitter_s * self._chance.random()
