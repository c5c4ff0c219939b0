"""From settings to a listening process, and back out of it in good order."""

import asyncio
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack
from ipaddress import ip_network
from typing import Any

import structlog
import uvicorn

from homing.compose import open_gateway
from homing.compose.waiting import until_there
from homing.config import Settings
from homing.serve import logs
from homing.serve.addresses import tell
from homing.serve.app import Application
from homing.serve.front import Front
from homing.serve.http_limits import HttpLimits, bounded

log = structlog.get_logger("homing")

GOODBYE_S = 15
"""Sends in progress are given this long when the process is told to stop."""


def serve_until_stopped(settings: Settings, reached: Callable[[str], None]) -> None:
    """Bind first, so that a taken port is found before the database is touched; then open everything and serve."""
    logs.configure(settings.homing_log_level, settings.homing_log_format, background=True)
    listener = _listener(settings.homing_host, settings.homing_port)
    with listener, asyncio.Runner(loop_factory=_loop_factory()) as runner:
        runner.run(_serve(settings, listener, reached))


async def _serve(settings: Settings, listener: socket.socket, reached: Callable[[str], None]) -> None:
    """Answer from the start: alive, and ready as soon as the database is there. Raises what waiting does not cure."""
    front = Front()
    server = _Server(_config(settings, front))
    serving = asyncio.create_task(server.serve(sockets=[listener]))
    address = f"http://{settings.homing_host}:{listener.getsockname()[1]}"
    gateway = asyncio.create_task(_open(settings, front, server, address, reached))
    try:
        await asyncio.wait([serving, gateway], return_when=asyncio.FIRST_COMPLETED)
    finally:
        # Whichever ended first, the other one has nothing left to do. What is open is closed in good order.
        server.should_exit = True
        await asyncio.wait([serving])
        server.ended.set()
        if not front.is_open:
            gateway.cancel()
        await asyncio.wait([gateway])
    if not gateway.cancelled():
        gateway.result()
    serving.result()


async def _open(
    settings: Settings, front: Front, server: "_Server", address: str, reached: Callable[[str], None]
) -> None:
    async with AsyncExitStack() as stack:
        gateway = await until_there(
            lambda: stack.enter_async_context(open_gateway(settings, reached=reached)),
            give_up_s=settings.homing_database_wait,
            waits=front.waits,
        )
        server.goodbye = gateway.feed.close
        application = Application(gateway)
        stack.push_async_callback(application.close)
        application.start()
        front.opened(application)
        log.info("Homing serves", address=address, docs="/docs")
        tell(gateway)
        await server.ended.wait()


def _config(settings: Settings, front: Front) -> uvicorn.Config:
    return uvicorn.Config(
        front,
        http=bounded(_limits(settings)),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        backlog=2048,
        timeout_keep_alive=75,
        forwarded_allow_ips=["127.0.0.1", "::1", *settings.trusted_proxies],
        timeout_graceful_shutdown=GOODBYE_S,
    )


class _Server(uvicorn.Server):
    """Says goodbye to those who would watch for ever, before it waits for all others to have their answer."""

    def __init__(self, config: uvicorn.Config) -> None:
        super().__init__(config)
        self.goodbye: Callable[[], None] = lambda: None
        self.ended = asyncio.Event()
        """Everybody has had their answer."""

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self.goodbye()
        await super().shutdown(sockets)
        self.ended.set()


def _limits(settings: Settings) -> HttpLimits:
    return HttpLimits(
        header_bytes=settings.homing_max_header_bytes,
        header_fields=settings.homing_max_headers,
        head_s=settings.homing_head_timeout,
        body_s=settings.homing_body_timeout,
        connections_per_address=settings.homing_connections_per_address,
        trusted=[ip_network(each) for each in settings.trusted_proxies],
    )


def _listener(host: str, port: int) -> socket.socket:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError:
        listener.close()
        raise
    return listener


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Any = uvloop.new_event_loop
    return factory  # type: ignore[no-any-return]
