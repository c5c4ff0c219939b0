"""A gateway at work, and what commands open without one."""

import asyncio
import socket
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from typing import Any

import structlog

from homing.compose.parts.conditions import gateway_name
from homing.compose.parts.driving import drivers_of
from homing.compose.parts.ground import Reached
from homing.compose.parts.keeping import exits_on
from homing.compose.spans import collector
from homing.compose.stores import open_stores
from homing.compose.wiring import wired
from homing.config import DEFAULT_INSTANCES, Misconfigured, Settings
from homing.decide.egress.addresses import PublicOnly, operators_networks
from homing.decide.egress.rules import EgressRules
from homing.drivers import Drivers
from homing.drivers.egress.client import EgressClient
from homing.drivers.egress.mail import SmtpMail
from homing.drivers.http.resolving import Dialer
from homing.drivers.http.tls import TlsContexts, TlsFiles, TlsUnusable
from homing.drivers.http.wire import Wire, WireLimits
from homing.flows.background.alerts import AlertBook
from homing.flows.background.descriptors import DescriptorWatch
from homing.flows.background.link_alerts import LinkAlerts
from homing.flows.discovery.listings import Lists
from homing.flows.discovery.phones import Identity
from homing.flows.discovery.sync import Sync
from homing.flows.failover.sqlite_lock_watchdog import Unblocking
from homing.flows.importing.carrying import Carrying
from homing.model.directory.audit import Act, Via, carrying_out
from homing.model.instances.gateways import DEFAULT_FAMILY
from homing.model.urls import normal
from homing.ports import Clock, Directory, Entropy, NameTaken
from homing.ports.deliveries.receivers import WaysOut
from homing.routing.roster import LiveFleet
from homing.serve.gateway import Gateway
from homing.serve.here import ApiHere
from homing.serve.metrics import Metrics
from homing.store.opened import Stores
from homing.store.sqlite.engine import SqliteFile
from homing.store.sqlite.write_lock import WriteLock
from homing.store.vault.carrying import SqlCarrying
from homing.store.vault.opening import key_ring
from homing.world import SystemClock, SystemEntropy, is_descriptor_left

log = structlog.get_logger("homing")


@asynccontextmanager
async def open_gateway(
    settings: Settings, drivers: Drivers | None = None, *, reached: Reached = lambda _: None
) -> AsyncIterator[Gateway]:
    """A gateway that keeps its knowledge fresh until the block ends. `drivers` stand in for those of the settings.

    `reached` hears of each milestone of a move: a trial may end the process there.
    """
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        wire = _wire(settings)
        stack.push_async_callback(wire.close)
        ways = _ways_out(settings, stack)
        stores = await stack.enter_async_context(open_stores(settings, exclusive=True, on_read=metrics.read))
        drivers = drivers or drivers_of(settings, wire, metrics)
        alone = stores.database.dialect == "sqlite"
        unblocking: Unblocking | None = None
        if isinstance(stores.database, SqliteFile):
            lock, exits = WriteLock(stores.database.path), exits_on(stores)
            ends = settings.homing_end_stopped_writers
            unblocking = Unblocking(lock, SystemClock(), exits.process_ended, ends=ends, aside=asyncio.to_thread)
            await stack.enter_async_context(_running([unblocking.run]))
        if settings.homing_otlp_url:
            metrics.spans = stack.enter_context(collector(settings.homing_otlp_url, gateway_name(settings)))
        clock, entropy = SystemClock(), SystemEntropy()
        at_work = gateway_on(settings, stores, drivers, metrics, clock, entropy, ways, alone=alone, reached=reached)
        gateway = await stack.enter_async_context(at_work)
        if unblocking is not None:  # it had to be there before the first write
            unblocking.alerts = gateway.alerts
        descriptors = DescriptorWatch(is_descriptor_left, gateway.alerts, clock)
        await stack.enter_async_context(_running([descriptors.run]))
        yield gateway


@asynccontextmanager
async def gateway_on(
    settings: Settings,
    stores: Stores,
    drivers: Drivers,
    metrics: Metrics,
    clock: Clock,
    entropy: Entropy,
    ways: WaysOut,
    *,
    alone: bool,
    reached: Reached = lambda _: None,
) -> AsyncIterator[Gateway]:
    """A gateway at work on these stores, in this time and with this chance, until the block ends.

    `alone`: no other gateway works on them, so what an earlier one held is free.
    """
    gateway, background = wired(settings, stores, drivers, metrics, clock, entropy, reached, ways)
    await _know(gateway, alone=alone)
    async with _running(background):
        yield gateway


@asynccontextmanager
async def open_sync(settings: Settings) -> AsyncIterator[Sync]:
    """A sync of its own, for a command that runs without a gateway."""
    metrics, clock = Metrics(), SystemClock()
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(settings))
        wire = _wire(settings)
        stack.push_async_callback(wire.close)
        fleet = LiveFleet(stores.directory, drivers_of(settings, wire, metrics), clock, adoptions=stores.adoptions)
        await _join(settings, stores.directory)
        await fleet.refresh()
        lists = Lists(fleet, clock, timeout_s=settings.homing_scan_timeout)
        alerts = AlertBook(stores.alerts, clock)
        await alerts.refresh()
        identity, links = Identity(stores.directory, alerts), LinkAlerts(alerts)
        yield Sync(stores.directory, lists, clock, SystemEntropy(), metrics, identity, links, alerts)
        await alerts.flush()


@asynccontextmanager
async def open_carrying(settings: Settings) -> AsyncIterator[Carrying]:
    """Sessions carried into and out of the settings' vault, by a command. Raises VaultSealed."""
    metrics, clock = Metrics(), SystemClock()
    async with AsyncExitStack() as stack:
        ring = key_ring(settings.homing_vault_key, settings.homing_vault_old_keys)
        stores = await stack.enter_async_context(open_stores(settings))
        vault = await SqlCarrying.of(stores.database, ring)
        wire = _wire(settings)
        stack.push_async_callback(wire.close)
        fleet = LiveFleet(stores.directory, drivers_of(settings, wire, metrics), clock, adoptions=stores.adoptions)
        await fleet.refresh()
        lists = Lists(fleet, clock, timeout_s=settings.homing_scan_timeout)
        yield Carrying(vault, stores.directory, stores.grants, fleet, lists, stores.audit, clock, SystemEntropy())


@asynccontextmanager
async def open_api(settings: Settings) -> AsyncIterator[ApiHere]:
    """The API in this process, for a command: it does what it is asked, and nothing by itself.

    Gateways that run on the same database find what changed as they find each other's changes.
    """
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        wire = _wire(settings)
        stack.push_async_callback(wire.close)
        ways = _ways_out(settings, stack)
        stores = await stack.enter_async_context(open_stores(settings, on_read=metrics.read))
        drivers, clock = drivers_of(settings, wire, metrics), SystemClock()
        gateway, _ = wired(settings, stores, drivers, metrics, clock, SystemEntropy(), lambda _: None, ways)
        for part in (gateway.fleet, gateway.keyring, gateway.workspaces, gateway.alerts):
            await part.refresh()
        yield ApiHere(gateway)
        await gateway.alerts.flush()


def _ways_out(settings: Settings, stack: AsyncExitStack) -> WaysOut:
    customers = EgressClient.opened(settings.egress_rules)
    inside = operators_networks(settings.homing_allow_nets)
    operators = EgressClient.opened(EgressRules(PublicOnly(inside)))
    for each in (customers, operators):
        stack.push_async_callback(each.close)
    return WaysOut(customers, operators, SmtpMail())


def _wire(settings: Settings) -> Wire:
    files = TlsFiles(
        settings.homing_upstream_ca,
        settings.homing_upstream_cert,
        settings.homing_upstream_key,
        settings.homing_upstream_verify,
    )
    try:
        tls = TlsContexts(files)
    except TlsUnusable as error:
        raise Misconfigured(str(error)) from error
    return Wire(_limits(settings), tls=tls, dialer=Dialer(refused=settings.reachable.refused))


def _limits(settings: Settings) -> WireLimits:
    return WireLimits(settings.homing_connections_per_instance, settings.connections_of_a_session)


async def _know(gateway: Gateway, *, alone: bool) -> None:
    """Read what every request needs."""
    if not gateway.settings.whatsapp_hmac_secret:
        log.warning("WHATSAPP_HMAC_SECRET is not set: what instances report is refused")
    await _join(gateway.settings, gateway.stores.directory)
    if alone:
        await gateway.stores.messages.release_owner("")
    await gateway.fleet.refresh()
    await gateway.keyring.refresh()
    await gateway.stores.directory.recognise_accounts(gateway.settings.homing_default_region)
    await gateway.workspaces.refresh()
    await gateway.alerts.refresh()
    for url in gateway.fleet.roster.instances:
        gateway.metrics.instance_known(url)
    if gateway.keyring.empty:
        log.warning("There is no API key yet; make one with: homing keys create --operator --scope admin")


async def _join(settings: Settings, directory: Directory) -> None:
    """Let the settings' instances join the directory; the default ones only where there are none at all."""
    known = {instance.url: instance for instance in await directory.instances()}
    start = Act(SystemEntropy().token(6).hex(), Via.START, "settings", "WHATSAPP_INSTANCE_n", socket.gethostname())
    with carrying_out(start):
        for url in settings.instances or (() if known else map(normal, DEFAULT_INSTANCES)):
            driver = settings.instance_drivers.get(url)
            if url not in known:
                with suppress(NameTaken):
                    await directory.create_instance(url, driver=driver or DEFAULT_FAMILY)
            elif driver is not None and known[url].driver != driver:
                await directory.change_instance(url, {"driver": driver})


@asynccontextmanager
async def _running(background: list[Callable[[], Coroutine[Any, Any, None]]]) -> AsyncIterator[None]:
    """Tasks that run as long as the block; one that fails is logged and begun again."""
    tasks = [asyncio.get_running_loop().create_task(_kept(run)) for run in background]
    try:
        yield
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _kept(run: Callable[[], Coroutine[Any, Any, None]]) -> None:
    while True:
        try:
            await run()
        except Exception:
            log.exception("A background task failed and is begun again", task=run.__qualname__)
            await asyncio.sleep(1.0)
