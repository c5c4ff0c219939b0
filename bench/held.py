"""An instance behind a door that can hold its answers back: the work is done, and nobody hears of it yet."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from bench.fleet import Fleet, free_ports
from homing.demo import processes

_A_SEND = b"POST /api/messages/send"


@dataclass(slots=True)
class Door:
    """Stands at an instance's address and passes everything on, but for answers to sends while it holds them."""

    instance_port: int
    held: int = 0
    """Answers that have come from the instance and wait here."""
    _released: asyncio.Event = field(default_factory=asyncio.Event)
    _pairs: set[asyncio.Task[None]] = field(default_factory=set)

    def hold(self) -> None:
        self.held = 0
        self._released.clear()

    def release(self) -> None:
        self._released.set()

    async def open(self, port: int) -> asyncio.Server:
        self.release()
        return await asyncio.start_server(self._join, "localhost", port, backlog=1024)

    async def close(self) -> None:
        for pair in self._pairs:
            pair.cancel()
        await asyncio.gather(*self._pairs, return_exceptions=True)

    async def _join(self, from_gateway: asyncio.StreamReader, to_gateway: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pairs.add(task)
        writers = [to_gateway]
        with suppress(OSError, ExceptionGroup, asyncio.CancelledError):
            from_instance, to_instance = await asyncio.open_connection("localhost", self.instance_port)
            writers.append(to_instance)
            sent = asyncio.Event()
            async with asyncio.TaskGroup() as both:
                both.create_task(self._in(from_gateway, to_instance, sent))
                both.create_task(self._out(from_instance, to_gateway, sent))
        for writer in writers:
            writer.transport.abort()
        self._pairs.discard(task)

    async def _in(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, sent: asyncio.Event) -> None:
        while data := await source.read(65_536):
            if data.startswith((b"GET ", b"POST ")):
                sent.clear()
            if data.startswith(_A_SEND):
                sent.set()
            sink.write(data)
        raise ConnectionResetError

    async def _out(self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, sent: asyncio.Event) -> None:
        while data := await source.read(65_536):
            if sent.is_set() and not self._released.is_set():
                self.held += 1
                await self._released.wait()
            sink.write(data)
        raise ConnectionResetError


@asynccontextmanager
async def behind_a_door(fleet: Fleet, url: str) -> AsyncIterator[Door]:
    """The instance at `url` begins again, elsewhere and under its old name, with a door in its old place."""
    port = urlsplit(url).port
    assert port is not None
    door = Door(free_ports(1))
    fleet.kill_instance(url)
    instance = _begun(fleet, url, door.instance_port)
    try:
        await processes.announced(instance)
        async with await door.open(port):
            try:
                yield door
            finally:
                await door.close()
    finally:
        await processes.end([instance])


def _begun(fleet: Fleet, url: str, port: int) -> processes.Child:
    demo = fleet.demo
    options = ["instance", "--port", str(port), "--url", url, "--whatsapp", demo.whatsapp_address]
    settings = demo.starter.instance_settings(list(demo.instances).index(url) + 1)
    folder = demo.folder
    name = f"Instance behind a door {port}"
    return processes.start(name, "homing.cli", options, folder=folder.path, logs=folder.logs, settings=settings)
