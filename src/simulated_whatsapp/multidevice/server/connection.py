"""One connection: the handshake, then nodes in and out, in order."""

import asyncio
import contextlib
from typing import Protocol

from aiohttp import WSMsgType, web

from simulated_whatsapp.multidevice.wire.codec import Dictionary, decoded, encoded
from simulated_whatsapp.multidevice.wire.curve import KeyPair
from simulated_whatsapp.multidevice.wire.frames import Frames, framed
from simulated_whatsapp.multidevice.wire.nodes import Node
from simulated_whatsapp.multidevice.wire.noise import Finished, HandshakeFailed, Responder, Transport
from simulated_whatsapp.multidevice.world.people import Label

CLOSE_WITHIN_S = 2.0


class Listener(Protocol):
    """Who hears what connections say."""

    def opened(self, connection: "Connection", finished: Finished) -> None: ...

    def heard(self, connection: "Connection", node: Node) -> float:
        """Seconds for which this connection says no more."""
        ...

    @property
    def linger_s(self) -> float:
        """How long a device has to close its connection itself, after the last words."""
        ...

    def closed(self, connection: "Connection", why: str) -> None: ...


class Connection:
    """A WebSocket that has become a Noise channel. ``label`` is what its address said of its holder."""

    def __init__(
        self, name: str, label: Label, static: KeyPair, chain: bytes, words: Dictionary, listener: Listener
    ) -> None:
        self.name, self.label = name, label
        self._responder = Responder(static, chain)
        self._words = words
        self._listener = listener
        self._frames = Frames(intro=True)
        self._transport: Transport | None = None
        self._greeted = False
        self._out: asyncio.Queue[Node | float | None] = asyncio.Queue()
        self._ended = False
        self._below: asyncio.BaseTransport | None = None
        self._left = asyncio.Event()

    def send(self, node: Node) -> None:
        if not self._ended:
            self._out.put_nowait(node)

    def end(self, *last: Node) -> None:
        """Say the last, and close; nothing that comes afterwards is heard. Without last words it is a cut."""
        if not self._ended:
            for node in last:
                self._out.put_nowait(node)
            self._finish()
            if not last and isinstance(self._below, asyncio.Transport):
                self._below.abort()

    async def serve(self, socket: web.WebSocketResponse, transport: asyncio.BaseTransport | None) -> None:
        """Until either side closes it."""
        self._below = transport
        writing = asyncio.create_task(self._write(socket))
        why = "closed by the device"
        try:
            async for message in socket:
                if message.type is WSMsgType.BINARY and not self._ended:
                    await self._take(socket, message.data)
        except (HandshakeFailed, ValueError) as problem:  # frames, nodes, addresses, fields
            why = f"not understood: {problem}"
        finally:
            why = "ended here" if self._ended else why
            self._finish()
            self._left.set()
            self._listener.closed(self, why)
            with contextlib.suppress(asyncio.TimeoutError):
                await asyncio.wait_for(writing, CLOSE_WITHIN_S)

    def _finish(self) -> None:
        self._ended = True
        self._out.put_nowait(None)

    async def _take(self, socket: web.WebSocketResponse, data: bytes) -> None:
        for frame in self._frames.fed(data):
            if self._transport is not None:
                pause = self._listener.heard(self, decoded(self._transport.open(frame), self._words))
                if pause:
                    self._out.put_nowait(pause)
                    await asyncio.sleep(pause)
            elif self._greeted:
                finished = self._responder.finish(frame)
                self._transport = finished.transport
                self._listener.opened(self, finished)
            else:
                self._greeted = True
                await socket.send_bytes(framed(self._responder.answer(frame)))
            if self._ended:
                return

    async def _write(self, socket: web.WebSocketResponse) -> None:
        try:
            while (following := await self._out.get()) is not None:
                if isinstance(following, float):
                    await asyncio.sleep(following)
                elif self._transport is not None:
                    await socket.send_bytes(framed(self._transport.seal(encoded(following))))
            await self._close(socket)
        except (ConnectionError, RuntimeError):
            self._ended = True  # the device is gone; reading notices it, too

    async def _close(self, socket: web.WebSocketResponse) -> None:
        with contextlib.suppress(asyncio.TimeoutError):
            await asyncio.wait_for(self._left.wait(), self._listener.linger_s)
        await socket.close()
