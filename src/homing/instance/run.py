"""One instance as a process: settings in, a listening session host out."""

import asyncio
import json
import os
import resource
import secrets
import signal
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from random import SystemRandom
from typing import Self

import structlog
from aiohttp import web

from homing.decide.fleet.leases import LeasePolicy
from homing.instance.api.faults import Faults
from homing.instance.api.http import Surface, application
from homing.instance.engines.registry import EngineSetup, open_engine
from homing.instance.files import HttpFiles
from homing.instance.host import SessionHost
from homing.instance.lease import LeaseKeeper
from homing.instance.notify.events import OnHostEvent
from homing.instance.notify.gateway import GatewayLink
from homing.instance.notify.link import GatewayTie
from homing.instance.notify.settings import GatewaySettings, InstanceMisconfigured
from homing.instance.policy import HostPolicy
from homing.listening import listeners
from homing.ports import Clock, Credentials, Leases, StoreUnavailable
from homing.ports.sessions.exit_proxies import KnowsExitProxies

log = structlog.get_logger("homing")
SHUTDOWN_WITHIN_S = 2.0
ASK_GATEWAY_WITHIN_S = 10.0
RESTORE_AGAIN_S = 1.0
LEASE_WITHIN_S = 2.0
_BACKLOG = 1024


@dataclass(frozen=True, slots=True)
class InstanceSettings:
    """How one instance runs.

    ``url`` is the address that others reach it at, and its name in the vault; None means ``http://localhost:{port}``.
    Port 0 takes any free one. Without a ``gateway`` nobody is told what happens. ``fault_injection`` is for trials: its
    key can make it misbehave, at ``/faults``.
    """

    whatsapp_address: str | None
    api_key: str
    host: str = "localhost"
    port: int = 3001
    url: str | None = None
    restore: bool = True
    bulk_spacing_s: float = 1.0
    policy: HostPolicy = field(default_factory=HostPolicy)
    lease: LeasePolicy = field(default_factory=LeasePolicy)
    gateway: GatewaySettings | None = None
    fault_injection: bool = False
    engine: str = "simulated"
    engine_folder: Path = Path("engines")
    node: str = "node"
    engine_memory_mb: int = 1024
    whatsapp_version: str | None = None


class AddressTaken(Exception):
    """The instance cannot listen where it should; the message is one sentence for the operator."""


class RunningInstance:
    """A running instance: ``async with await Instance.start(settings) as instance``."""

    def __init__(
        self,
        host: SessionHost,
        surface: Surface,
        runner: web.AppRunner,
        url: str,
        link: GatewayTie | None,
        files: HttpFiles,
    ) -> None:
        self._files = files
        self.host = host
        self.url = url
        self._surface = surface
        self._runner = runner
        self._link = link
        self._leasing: asyncio.Task[None] | None = None
        self._restoring: asyncio.Task[None] | None = None

    @classmethod
    async def start(
        cls,
        settings: InstanceSettings,
        credentials: Credentials,
        leases: Leases,
        clock: Clock,
        *,
        fresh_id: Callable[[], str] = lambda: secrets.token_hex(8),
        on_event: OnHostEvent | None = None,
        exits: KnowsExitProxies | None = None,
    ) -> "RunningInstance":
        """Listen, take up the lease, then restore; ``on_event`` in place of telling the gateway.

        ``fresh_id`` names a boot as no other is named; ``exits`` tells by which proxies sessions go out.

        Raises ``AddressTaken``, ``EngineUnusable`` and ``InstanceMisconfigured``.
        """
        engine = open_engine(settings.engine, _setup(settings))
        listening = _listening(settings.host, settings.port)
        port: int = listening[0].getsockname()[1]
        url = settings.url or f"http://localhost:{port}"
        try:
            opening = (
                GatewayTie.open(settings.gateway, url, waits=lambda: _leave(listening)) if settings.gateway else None
            )
            link = await opening if opening is not None else None
        except InstanceMisconfigured:
            _leave(listening)
            raise
        listening = listening or _listening(settings.host, port)
        host = SessionHost(
            engine,
            credentials,
            LeaseKeeper(leases, url, clock, fresh_id=fresh_id, policy=settings.lease),
            clock=clock,
            random=SystemRandom(),
            policy=settings.policy,
            on_event=on_event or (link.notifier.tell if link else None),
            exits=exits,
        )
        surface = Surface(host, settings.api_key, bulk_spacing_s=settings.bulk_spacing_s, started_at=host.now())
        surface.faults = Faults() if settings.fault_injection else None
        host.lease.answered_ago_s = surface.answered_ago_s
        surface.backlog = link.notifier.backlog if link else None
        files = HttpFiles()
        surface.files = files.open
        runner = web.AppRunner(application(surface), access_log=None, shutdown_timeout=SHUTDOWN_WITHIN_S)
        await runner.setup()
        instance = cls(host, surface, runner, url, link, files)
        await instance._begin(listening, restore=settings.restore)
        return instance

    async def stop(self) -> None:
        """Take no more requests, stop the sessions politely, end; all of it in bounded time."""
        for site in tuple(self._runner.sites):
            await site.stop()
        if self._restoring is not None:
            self._restoring.cancel()
        await self.host.shutdown()
        if self._leasing is not None:
            self._leasing.cancel()
            await self.host.lease.end()
        await self._runner.cleanup()
        await self.host.engine.close()
        await self._files.close()
        if self._link is not None:
            await self._link.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.stop()

    async def _begin(self, listening: Sequence[socket.socket], *, restore: bool) -> None:
        if self._link is not None:
            self._link.notifier.start()
        self._leasing = asyncio.create_task(self.host.lease.run(self.host))
        with suppress(TimeoutError):  # without a lease it listens all the same, and says that it is paused
            async with asyncio.timeout(LEASE_WITHIN_S):
                await self.host.lease.trusted()
        for each in listening:
            await web.SockSite(self._runner, each, backlog=_BACKLOG).start()
        self._surface.restored = not restore
        if restore:
            self._restoring = asyncio.create_task(self._restore())

    async def _restore(self) -> None:
        while True:
            try:
                await self.host.restore()
                break
            except StoreUnavailable as problem:
                log.warning("Sessions of an earlier boot could not be read; trying again", error=str(problem))
            await asyncio.sleep(RESTORE_AGAIN_S)
        if self._link is not None and self._link.restores:
            await self._adopt(self._link.gateway)
        self._surface.restored = True

    async def _adopt(self, gateway: GatewayLink) -> None:
        """What the gateway has placed here and nobody holds, beyond what an earlier boot held."""
        try:
            async with asyncio.timeout(ASK_GATEWAY_WITHIN_S):
                placed = await gateway.placed_here(self.url, self._surface.api_key)
        except OSError as problem:
            log.warning(
                "Gateway did not say which sessions are placed here", error=str(problem) or type(problem).__name__
            )
            return
        try:
            await self.host.adopt(placed)
        except StoreUnavailable as problem:
            log.warning("Sessions that the gateway has placed here could not be read", error=str(problem))


async def serve(
    settings: InstanceSettings,
    credentials: Credentials,
    leases: Leases,
    clock: Clock,
    *,
    fresh_id: Callable[[], str],
    exits: KnowsExitProxies,
) -> None:
    """Run one instance until SIGTERM or SIGINT; prints ``{"pid", "url"}`` once it listens.

    Raises ``AddressTaken`` or ``InstanceMisconfigured`` before anything was started.
    """
    _allow_many_connections()
    stopped = asyncio.Event()
    for name in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(name, stopped.set)
    started = RunningInstance.start(settings, credentials, leases, clock, fresh_id=fresh_id, exits=exits)
    starting = asyncio.ensure_future(started)
    ending = asyncio.ensure_future(stopped.wait())
    await asyncio.wait({starting, ending}, return_when=asyncio.FIRST_COMPLETED)
    if not starting.done():
        starting.cancel()  # it may wait for its journal's disk, for ever
        await asyncio.gather(starting, return_exceptions=True)
        return
    async with await starting as instance:
        print(json.dumps({"pid": os.getpid(), "url": instance.url}), flush=True)
        await ending


def _setup(settings: InstanceSettings) -> EngineSetup:
    return EngineSetup(
        settings.whatsapp_address,
        settings.engine_folder,
        settings.node,
        settings.engine_memory_mb,
        settings.whatsapp_version,
    )


def _listening(host: str, port: int) -> list[socket.socket]:
    try:
        return listeners(host, port, backlog=_BACKLOG)
    except OSError as problem:
        raise AddressTaken(f"Cannot listen on {host}:{port}: {problem.strerror or problem}.") from problem


def _leave(listening: list[socket.socket]) -> None:
    """Whoever calls is refused from here on, and waits for no answer."""
    for each in listening:
        each.close()
    listening.clear()


def _allow_many_connections() -> None:
    """One connection for each session, and one for each caller: take all the descriptors that we may."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
