"""From settings to a listening process, and back out of it in good order."""

import asyncio
import gc
import os
import signal
import socket
from collections.abc import Callable
from contextlib import AsyncExitStack, ExitStack
from functools import partial
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import structlog
import uvicorn
from litestar.types import ASGIApp
from uvicorn.middleware.proxy_headers import ProxyHeadersMiddleware

from homing.compose import Gateway, open_gateway
from homing.compose.waiting import until_there
from homing.compose.workers import WorkerSeat, seat, supervise
from homing.config import SECRET_MIN, Misconfigured, Settings
from homing.listening import listeners
from homing.model.urls import is_loopback_host
from homing.serve import logs
from homing.serve.addresses import tell
from homing.serve.app import Application
from homing.serve.ending import GatewayServer, Leaving
from homing.serve.front import Front
from homing.serve.http.cors import Cors
from homing.serve.http.http_limits import HttpLimits
from homing.serve.http.send_protocol import DirectSends, answering
from homing.serve.http.subpath import SubPath
from homing.serve.worker_figures import WorkerFigures
from homing.world import die_with

log = structlog.get_logger("homing")

BACKLOG = 2048
YOUNG_MAX = 5_000
"""Objects made and not gone again before the collector looks at them; Python's own 700 is a few requests."""
MIDDLE_AFTER = 2
"""Looks at the young before it looks at the middle generation, which takes it as many milliseconds as there are
thousands of them: with Python's own 10, a tenth of a second while a sync of 100,000 sessions is under way."""
FULL_AFTER = 200
"""Looks at the middle generation before it looks at everything, for which all requests wait: half a second beside such
a sync, in which there were two of them with Python's own 10. Cycles that nobody holds any more wait as long, until
there are two million objects: so what is made and lost by the hundred breaks its own cycles."""


def serve_until_stopped(settings: Settings, reached: Callable[[str], None] = lambda _: None) -> int:
    """Bind first, so that a taken port is found before the database is touched; then open everything and serve.

    Returns the exit code.
    """
    _check_secrets(settings)
    logs.configure(
        settings.homing_log_level, settings.homing_log_format, background=True, phones=settings.homing_log_phones
    )
    for url in settings.weak_towards:
        log.warning("The key that an instance takes is short: others may try it out there", url=url)
    place = seat()
    if place is None and settings.homing_workers > 1:
        return _supervise(settings)
    with ExitStack() as stack:
        listening = [stack.enter_context(each) for each in _listening(settings, place)]
        runner = stack.enter_context(asyncio.Runner(loop_factory=_loop_factory()))
        interrupted = runner.run(_serve(settings, listening, reached, place))
    if interrupted:
        raise KeyboardInterrupt
    return 0


def _supervise(settings: Settings) -> int:
    """Workers in the place of one process; only those open the database. Returns the exit code."""
    code, interrupted = asyncio.run(supervise(settings))
    if interrupted:
        raise KeyboardInterrupt
    return code


def _listening(settings: Settings, place: WorkerSeat | None) -> list[socket.socket]:
    if place is None:
        return listeners(settings.homing_host, settings.homing_port, backlog=BACKLOG)
    die_with(place.parent, signal.SIGTERM)
    return [socket.socket(fileno=number) for number in place.sockets]


def _check_secrets(settings: Settings) -> None:
    """Raises Misconfigured where anybody on the network could try out what opens something here."""
    host = settings.homing_host
    if settings.guessable and not is_loopback_host(host):
        raise Misconfigured(
            f"{settings.guessable[0]} is shorter than {SECRET_MIN} characters, and this gateway listens on {host},"
            " where others can try it out; make it longer, or listen on localhost"
        )


async def _serve(
    settings: Settings, listening: list[socket.socket], reached: Callable[[str], None], place: WorkerSeat | None
) -> bool:
    """Answer from the start: alive, and ready as soon as the database is there. Whether it was Ctrl-C that ended it.

    Raises what waiting does not cure.
    """
    front = Front()
    server = GatewayServer(
        _config(settings, door(settings, front), front), Leaving(settings.homing_stop_delay, settings.stop_grace_s)
    )
    server.leaves = front.leaves
    serving = asyncio.create_task(server.serve(sockets=listening))
    gateway = asyncio.create_task(_open(settings, front, server, reached, place))
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
    return server.interrupted


async def _open(
    settings: Settings,
    front: Front,
    server: GatewayServer,
    reached: Callable[[str], None],
    place: WorkerSeat | None,
) -> None:
    async with AsyncExitStack() as stack:
        gateway = await until_there(
            lambda: stack.enter_async_context(open_gateway(settings, reached=reached)),
            give_up_s=settings.homing_database_wait,
            waits=front.waits,
        )
        server.goodbye, server.cut_off = gateway.feed.close, gateway.sends.cut_off
        figures = await _figures_of(place, gateway, stack)
        application = Application(gateway, figures)
        stack.push_async_callback(application.close)
        application.start()
        spare_what_stays()
        front.opened(application, direct_sends(settings, application))
        if place is not None:
            os.write(place.ready, b"1")
            os.close(place.ready)
        log.info("Homing serves", address=settings.here_url, docs="/docs")
        tell(gateway)
        await server.ended.wait()


async def _figures_of(place: WorkerSeat | None, gateway: Gateway, stack: AsyncExitStack) -> WorkerFigures | None:
    """What tells the figures of all workers, where there are several."""
    if place is None:
        return None
    figures = WorkerFigures(Path(place.folder), place.number, place.of, gateway.metrics.exposition)
    await figures.open()
    stack.push_async_callback(figures.close)
    return figures


def spare_what_stays() -> None:
    """What was loaded by now is never garbage: looking through all of it now and then would stop all requests."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(YOUNG_MAX, MIDDLE_AFTER, FULL_AFTER)


def direct_sends(settings: Settings, application: Application) -> DirectSends | None:
    """What answers sends at the protocol.

    None where each request has more around it: marks for pages of other origins, a span for a collector of traces.
    """
    if settings.cors_origins or settings.homing_otlp_url:
        return None
    return application.direct(partial(_forwarded, settings))


def door(settings: Settings, front: ASGIApp) -> ASGIApp:
    """What a request passes first: it may come by way of a proxy, below a path, or from a page elsewhere."""
    networks = [ip_network(each) for each in settings.trusted_proxies]
    forwarded = _forwarded(settings, front)
    outside = SubPath(forwarded, root_path=settings.homing_root_path, trusted=networks)
    return Cors(outside, settings.cors_origins) if settings.cors_origins else outside


def _forwarded(settings: Settings, behind: ASGIApp) -> ASGIApp:
    """A trusted proxy says who asks."""
    known: Any = ProxyHeadersMiddleware(behind, ["127.0.0.1", "::1", *settings.trusted_proxies])  # type: ignore[arg-type]
    return known  # type: ignore[no-any-return]


def _config(settings: Settings, application: ASGIApp, front: Front) -> uvicorn.Config:
    return uvicorn.Config(
        application,
        http=answering(_limits(settings), front),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,  # see `door`
        backlog=BACKLOG,
        timeout_keep_alive=75,
    )


def _limits(settings: Settings) -> HttpLimits:
    return HttpLimits(
        header_bytes=settings.homing_max_header_bytes,
        header_fields=settings.homing_max_headers,
        head_s=settings.homing_head_timeout,
        body_s=settings.homing_body_timeout,
        connections_per_address=settings.homing_connections_per_address,
        trusted=[ip_network(each) for each in settings.trusted_proxies],
    )


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop
    except ImportError:
        return None
    factory: Any = uvloop.new_event_loop
    return factory  # type: ignore[no-any-return]
