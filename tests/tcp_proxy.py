"""A way to a server that can fall silent or break, as networks do."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress


class TcpProxy:
    """Passes bytes on to one server, until told otherwise."""

    def __init__(self, host: str, port: int, at_port: int = 0) -> None:
        self._target = (host, port)
        self._at_port = at_port
        self._open = asyncio.Event()
        self._open.set()
        self._pairs: set[asyncio.Task[None]] = set()
        self._server: asyncio.Server | None = None
        self.port = 0
        self.cuts_on: Callable[[bytes], bool] = lambda _data: False
        """Whether these bytes from the client break the connection instead of being passed on."""

    def freeze(self) -> None:
        """From now on, swallow nothing and pass on nothing: both sides see silence."""
        self._open.clear()

    def thaw(self) -> None:
        self._open.set()

    def cut(self) -> None:
        """Break every connection there is. New ones are taken."""
        for pair in self._pairs:
            pair.cancel()

    async def start(self) -> None:
        self._server = await asyncio.start_server(self._join, "127.0.0.1", self._at_port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def close(self) -> None:
        assert self._server is not None
        self._server.close()
        self.cut()
        if self._pairs:
            await asyncio.wait(self._pairs)

    async def _join(self, from_client: asyncio.StreamReader, to_client: asyncio.StreamWriter) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._pairs.add(task)
        to_server: asyncio.StreamWriter | None = None
        with suppress(asyncio.CancelledError, OSError, ExceptionGroup):
            try:
                await self._open.wait()
                from_server, to_server = await asyncio.open_connection(*self._target)
                async with asyncio.TaskGroup() as both:
                    both.create_task(self._pass(from_client, to_server, lambda data: self.cuts_on(data)))
                    both.create_task(self._pass(from_server, to_client, lambda _data: False))
            finally:
                for writer in (to_client, to_server):
                    if writer is not None:
                        writer.transport.abort()
                self._pairs.discard(task)

    async def _pass(
        self, source: asyncio.StreamReader, sink: asyncio.StreamWriter, cuts: Callable[[bytes], bool]
    ) -> None:
        while data := await source.read(65536):
            await self._open.wait()
            if cuts(data):
                raise ConnectionResetError
            sink.write(data)
            await sink.drain()
        raise ConnectionResetError


@asynccontextmanager
async def tcp_proxy(host: str, port: int, *, at_port: int = 0) -> AsyncIterator[TcpProxy]:
    """A proxy to the server, closed afterwards."""
    proxy = TcpProxy(host, port, at_port)
    await proxy.start()
    try:
        yield proxy
    finally:
        await proxy.close()
