"""The sockets: WebSockets and the administration on one port, media over https on another."""

import ssl
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from aiohttp import web

from simulated_whatsapp.multidevice.protocol.service import Service
from simulated_whatsapp.multidevice.server.administration import Administration
from simulated_whatsapp.multidevice.server.connection import Connection
from simulated_whatsapp.multidevice.server.files import ServerKeys, server_keys
from simulated_whatsapp.multidevice.server.media import MediaStore
from simulated_whatsapp.multidevice.wire.certificates import chain_for
from simulated_whatsapp.multidevice.wire.codec import NO_WORDS, Dictionary
from simulated_whatsapp.multidevice.wire.frames import MAX_FRAME_BYTES
from simulated_whatsapp.multidevice.world.ledger import Events

CHAT_PATH = "/ws/chat"
_ROUTING_PARAMETER = "ED"


@dataclass(frozen=True, slots=True)
class Settings:
    """Where to listen, what to write, and where the server's keys are kept. Port 0 takes any free port."""

    ledger: Path
    keys: Path
    host: str = "127.0.0.1"
    port: int = 0
    words: Dictionary = NO_WORDS


class MultideviceServer:
    """A listening service: ``async with await MultideviceServer.start(settings) as server``."""

    service: Service
    address: str
    media: str

    def __init__(self, settings: Settings, keys: ServerKeys, media: MediaStore) -> None:
        self._settings, self._store = settings, media
        self.keys = keys
        self._chain = chain_for(keys.root, keys.static.public, time.time())
        self._events = Events(settings.ledger, time.time)
        self._runners: list[web.AppRunner] = []
        self._count = 0

    @classmethod
    async def start(cls, settings: Settings) -> Self:
        """Listen. Raises ``OSError`` when the port is taken."""
        server = cls(settings, server_keys(settings.keys), MediaStore())
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(server.keys.certificate)
        server.media = await server._listen(server._store.routes(), 0, context)
        server.service = Service(server._events, time.time, server.media, server._store.kept)
        routes = [web.get(CHAT_PATH, server._chat), *Administration(server.service, server._store).routes()]
        server.address = await server._listen(routes, settings.port, None)
        return server

    @property
    def url(self) -> str:
        return f"ws://{self.address}{CHAT_PATH}"

    async def stop(self) -> None:
        for runner in self._runners:
            await runner.cleanup()
        self._events.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _listen(self, routes: list[web.RouteDef], port: int, context: ssl.SSLContext | None) -> str:
        """The host and port that it became."""
        app = web.Application(client_max_size=2**31)
        app.add_routes(routes)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        await web.TCPSite(runner, self._settings.host, port, ssl_context=context).start()
        self._runners.append(runner)
        host, taken = runner.addresses[0][:2]
        return f"{host}:{taken}"

    async def _chat(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(max_msg_size=MAX_FRAME_BYTES + 1024, timeout=2.0)
        await socket.prepare(request)
        self._count += 1
        label = {name: value for name, value in request.query.items() if name != _ROUTING_PARAMETER}
        keys, words = self.keys, self._settings.words
        connection = Connection(f"c{self._count}", label, keys.static, self._chain, words, self.service)
        await connection.serve(socket, request.transport)
        return socket
