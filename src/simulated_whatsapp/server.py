"""The TCP shell: newline-delimited JSON frames (see ``exchange``), one connection for each device.

Answers to all frames that arrived together leave together, after the ledger was flushed.
"""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self, cast

from simulated_whatsapp.core import Judge, Rules
from simulated_whatsapp.exchange import Exchange, Frame
from simulated_whatsapp.ledger import Ledger, read
from simulated_whatsapp.state import load, save

MAX_LINE_BYTES = 4 * 1024 * 1024
"""One frame at most: thousands of devices preregistered at once fit in it."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """Where to listen and how the simulated WhatsApp behaves. Port 0 takes any free port."""

    ledger: Path
    host: str = "127.0.0.1"
    port: int = 0
    state: Path | None = None
    scan_after_s: float | None = None
    login_delay_s: float = 0.0
    logins_per_second: float = 0.0
    drop_repeats: bool = True


class Server:
    """A listening simulated WhatsApp: ``async with await Server.start(settings) as server``."""

    def __init__(self, settings: ServerSettings, judge: Judge, listener: asyncio.Server, close: Callable[[], None]):
        self.judge = judge
        self._settings = settings
        self._listener = listener
        self._close = close

    @classmethod
    async def start(cls, settings: ServerSettings) -> "Server":
        """Listen. Raises ``OSError`` when the port is taken."""
        loop = asyncio.get_running_loop()
        judge = _judge(settings)
        ledger = Ledger(settings.ledger)
        exchange = Exchange(
            judge,
            ledger,
            clock=time.time,
            later=loop.call_later,
            scan_after_s=settings.scan_after_s,
            files=settings.ledger.with_name(f"{settings.ledger.name}.files"),
        )
        wires: set[_Wire] = set()
        listener = await loop.create_server(lambda: _Wire(exchange, wires), settings.host, settings.port, backlog=1024)

        def close() -> None:
            for wire in tuple(wires):
                wire.abort()
            ledger.close()

        return cls(settings, judge, listener, close)

    @property
    def address(self) -> str:
        host, port = self._listener.sockets[0].getsockname()[:2]
        return f"{host}:{port}"

    async def stop(self) -> None:
        """Stop listening, cut every connection, keep the devices where a state file was named."""
        self._listener.close()
        self._close()
        if self._settings.state is not None:
            save(self._settings.state, self.judge)
        await asyncio.sleep(0)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()


class _Wire(asyncio.Protocol):
    """One connection's bytes, cut into frames."""

    def __init__(self, exchange: Exchange, wires: "set[_Wire]") -> None:
        self._exchange = exchange
        self._wires = wires
        self._rest = b""
        self._out: list[bytes] = []
        self._busy = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # uvloop's transports do not descend from asyncio's.
        self._transport = cast("asyncio.Transport", transport)
        self._wires.add(self)
        self._name = self._exchange.opened(self._write)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._wires.discard(self)
        self._exchange.closed(self._name)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        if len(self._rest) > MAX_LINE_BYTES:
            self.abort()
            return
        self._busy = True
        for line in lines:
            self._exchange.frame(self._name, _decoded(line))
        self._busy = False
        self._flush()

    def abort(self) -> None:
        self._transport.abort()

    def _write(self, frame: Frame) -> None:
        self._out.append(json.dumps(frame, separators=(",", ":")).encode() + b"\n")
        if not self._busy:
            self._flush()

    def _flush(self) -> None:
        if self._out and not self._transport.is_closing():
            self._transport.write(b"".join(self._out))
        self._out.clear()


def _decoded(line: bytes) -> Frame:
    """The frame on a line; what is no JSON object becomes an empty frame, which the exchange refuses."""
    try:
        frame: Any = json.loads(line)
    except (ValueError, RecursionError):
        return {}
    return frame if isinstance(frame, dict) else {}


def _judge(settings: ServerSettings) -> Judge:
    rules = Rules(
        login_delay_s=settings.login_delay_s,
        logins_per_second=settings.logins_per_second,
        drop_repeats=settings.drop_repeats,
    )
    judge = Judge(rules)
    if settings.state is not None and settings.state.exists():
        load(settings.state, judge)
        judge.remember(read(settings.ledger))
    return judge
