"""The one place that wires everything together, for the gateway and for the commands."""

import asyncio
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import structlog

from homing.config import Settings
from homing.decide.health import HealthPolicy
from homing.decide.moves import MovePolicy
from homing.drivers import Drivers, drivers_over
from homing.drivers.metered import MeteredDriver
from homing.drivers.wire import Calls, Wire, WireLimits
from homing.fleet import LiveFleet
from homing.flows.accounts import Accounts
from homing.flows.attempt import RehomePolicy
from homing.flows.balance import Balance
from homing.flows.drain import Drains
from homing.flows.exits import Exits
from homing.flows.hints import Hints
from homing.flows.housekeeping import Housekeeping
from homing.flows.intake import Intake
from homing.flows.keeper import Keeper, KeeperPolicy
from homing.flows.keyed import KeyedSends
from homing.flows.listings import Lists
from homing.flows.migrate import Migrations
from homing.flows.news import News
from homing.flows.record import Recorder
from homing.flows.rediscover import Rediscovery
from homing.flows.rehome import KIND as REHOME
from homing.flows.rehome import PATIENCE as REHOME_PATIENCE
from homing.flows.rehome import Rehoming, WishList
from homing.flows.said import Said
from homing.flows.schedules import Schedule, Scheduler
from homing.flows.send import Sending
from homing.flows.strays import Strays
from homing.flows.sync import Sync
from homing.flows.take_back import TakeBacks
from homing.flows.unblocking import Unblocking
from homing.flows.watching import Watching, WatchPolicy
from homing.flows.worker import Duty, Worker
from homing.model.fleet import InstanceUrl
from homing.model.work import Tick
from homing.ports import (
    Clock,
    Directory,
    Entropy,
    Events,
    Grants,
    Leases,
    Messages,
    NameTaken,
    Notices,
    Schedules,
    Work,
)
from homing.routes import RouteCache
from homing.serve.feed import EventFeed
from homing.serve.instance_keys import InstanceKeys
from homing.serve.intake import IntakeEndpoint
from homing.serve.keyring import Keyring
from homing.serve.metrics import Metrics
from homing.serve.sends import SendEndpoint, SendSettings
from homing.store.database import Database
from homing.store.directory import SqlDirectory
from homing.store.events import SqlEvents
from homing.store.grants import SqlGrants
from homing.store.leases import SqlLeases
from homing.store.messages import SqlMessages
from homing.store.migrating import migrate
from homing.store.notices import StagedNotices, open_notices
from homing.store.opening import open_database
from homing.store.schedules import SqlSchedules
from homing.store.sqlite import SqliteFile
from homing.store.vault_opening import open_vault as open_vault
from homing.store.vault_settling import SqlReservations
from homing.store.work import SqlWork
from homing.store.write_lock import WriteLock
from homing.world import SystemClock, SystemEntropy, dying_at

log = structlog.get_logger("homing")


@dataclass(frozen=True, slots=True)
class Stores:
    """What is durable."""

    database: Database
    notices: Notices
    directory: Directory
    messages: Messages
    events: Events
    schedules: Schedules
    work: Work
    leases: Leases
    grants: Grants


@dataclass(frozen=True, slots=True)
class Moving:
    """What people and supervisors may want of where sessions live."""

    drains: Drains
    exits: Exits
    migrations: Migrations
    balance: Balance


@dataclass(frozen=True, slots=True)
class Gateway:
    """One running gateway's parts, as the API needs them."""

    settings: Settings
    clock: Clock
    entropy: Entropy
    metrics: Metrics
    stores: Stores
    routes: RouteCache
    fleet: LiveFleet
    keyring: Keyring
    accounts: Accounts
    sends: SendEndpoint
    sync: Sync
    intake: IntakeEndpoint
    feed: EventFeed
    rehoming: Rehoming
    watching: Watching
    keeper: Keeper
    news: News
    moving: Moving


@asynccontextmanager
async def open_stores(
    settings: Settings, *, exclusive: bool = False, on_read: Callable[[], None] = lambda: None
) -> AsyncIterator[Stores]:
    """The stores of the settings' database, brought up to date first.

    Raises StoreMisconfigured and StoreUnavailable, each with one sentence.
    """
    url = settings.homing_database_url
    async with AsyncExitStack() as stack:
        database = open_database(url, exclusive=exclusive)
        stack.push_async_callback(database.close)
        await migrate(url)
        notices = await open_notices(database, url, settings.homing_redis_url or None)
        stack.push_async_callback(notices.close)
        yield stores_on(database, notices, SystemClock(), on_read=on_read)


def stores_on(
    database: Database, notices: StagedNotices, clock: Clock, *, on_read: Callable[[], None] = lambda: None
) -> Stores:
    """All stores on one open database."""
    return Stores(
        database=database,
        notices=notices,
        directory=SqlDirectory(database, notices, clock, on_read=on_read),
        messages=SqlMessages(database),
        events=SqlEvents(database, notices),
        schedules=SqlSchedules(database),
        work=SqlWork(database, notices),
        leases=SqlLeases(database),
        grants=SqlGrants(database, notices),
    )


@asynccontextmanager
async def open_gateway(settings: Settings, drivers: Drivers | None = None) -> AsyncIterator[Gateway]:
    """A gateway that keeps its knowledge fresh until the block ends. `drivers` stand in for those of the settings."""
    metrics = Metrics()
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(settings, exclusive=True, on_read=metrics.read))
        wire = Wire(WireLimits(connections=settings.homing_connections_per_instance))
        stack.push_async_callback(wire.close)
        drivers = drivers or drivers_of(settings, wire, metrics)
        alone = stores.database.dialect == "sqlite"
        if isinstance(stores.database, SqliteFile):
            lock, exits = WriteLock(stores.database.path), _exits_on(stores)
            ends = settings.homing_end_stopped_writers
            unblocking = Unblocking(lock, SystemClock(), exits.process_ended, ends=ends)
            await stack.enter_async_context(_running([unblocking.run]))
        yield await stack.enter_async_context(
            gateway_on(settings, stores, drivers, metrics, SystemClock(), SystemEntropy(), alone=alone)
        )


@asynccontextmanager
async def gateway_on(
    settings: Settings,
    stores: Stores,
    drivers: Drivers,
    metrics: Metrics,
    clock: Clock,
    entropy: Entropy,
    *,
    alone: bool,
) -> AsyncIterator[Gateway]:
    """A gateway at work on these stores, in this time and with this chance, until the block ends.

    `alone`: no other gateway works on them, so what an earlier one held is free.
    """
    gateway, background = _wired(settings, stores, drivers, metrics, clock, entropy)
    await _know(gateway, alone=alone)
    async with _running(background):
        yield gateway


@asynccontextmanager
async def open_sync(settings: Settings) -> AsyncIterator[Sync]:
    """A sync of its own, for a command that runs without a gateway."""
    metrics, clock = Metrics(), SystemClock()
    async with AsyncExitStack() as stack:
        stores = await stack.enter_async_context(open_stores(settings))
        wire = Wire(WireLimits(connections=settings.homing_connections_per_instance))
        stack.push_async_callback(wire.close)
        fleet = LiveFleet(stores.directory, drivers_of(settings, wire, metrics), clock)
        await _join(settings, stores.directory)
        await fleet.refresh()
        lists = Lists(fleet, clock, timeout_s=settings.homing_scan_timeout)
        yield Sync(stores.directory, lists, clock, SystemEntropy(), metrics)


@asynccontextmanager
async def open_exits(settings: Settings) -> AsyncIterator[Exits]:
    """For a command that says, without a gateway, that an instance exited. Gateways find the wishes when they look."""
    async with open_stores(settings) as stores:
        yield _exits_on(stores)


def _exits_on(stores: Stores) -> Exits:
    return Exits(stores.directory, stores.grants, stores.leases, WishList(stores.work))


def _wired(
    settings: Settings, stores: Stores, drivers: Drivers, metrics: Metrics, clock: Clock, entropy: Entropy
) -> tuple[Gateway, list[Callable[[], Coroutine[Any, Any, None]]]]:
    fleet = LiveFleet(stores.directory, drivers, clock, default_url=InstanceUrl(settings.whatsapp_nodejs_url))
    routes = _routes(settings, stores.directory, clock, metrics)
    keyring = Keyring(stores.directory, clock)
    kept = _keeping(settings, stores, fleet, clock, entropy, metrics)
    for hear in (routes.hear, fleet.hear, keyring.hear, kept.news.hear):
        stores.notices.subscribe(hear)
    strays = Strays(stores.directory, stores.work, kept.rehoming, clock)
    take_backs = TakeBacks(stores.directory, kept.rehoming, clock, MovePolicy(settings.homing_moves_per_day))
    lists = Lists(fleet, clock, timeout_s=settings.homing_scan_timeout, failing=take_backs.listed)
    rediscovery = Rediscovery(stores.directory, lists, clock, entropy, metrics, kept.keeper.missed)
    sync = Sync(stores.directory, lists, clock, entropy, metrics)
    said = Said()
    sending = Sending(
        routes,
        fleet,
        rediscovery,
        clock,
        settings.send_policy,
        said,
        kept.news,
        kept.watching.saw,
        kept.rehoming.obstacle,
    )
    sends, keyed, recorder = _send_endpoint(settings, stores, keyring, routes, sending, metrics, clock, entropy)
    accounts = Accounts(stores.directory, fleet, entropy, stores.notices, metrics)
    hints = Hints(stores.directory, lists, clock, entropy, metrics, kept.news)
    intake = Intake(stores.events, hints, said, clock, entropy, keep_days=settings.homing_event_days)
    reported = _intake_endpoint(settings, intake, stores, fleet, clock, metrics)
    feed = EventFeed()
    stores.notices.subscribe(feed.hear)
    scheduler = Scheduler(stores.schedules, clock, [_sync_schedule(settings, sync, metrics)], owner=entropy.uuid())
    gateway = Gateway(
        settings=settings,
        clock=clock,
        entropy=entropy,
        metrics=metrics,
        stores=stores,
        routes=routes,
        fleet=fleet,
        keyring=keyring,
        accounts=accounts,
        sends=sends,
        sync=sync,
        intake=reported,
        feed=feed,
        rehoming=kept.rehoming,
        watching=kept.watching,
        keeper=kept.keeper,
        news=kept.news,
        moving=_moving(settings, stores, fleet, kept, clock),
    )
    _show(kept, metrics)
    return gateway, [
        *(part.run for part in (fleet, keyring, keyed, recorder, hints, intake, scheduler)),
        *(part.run for part in (kept.watching, kept.keeper, kept.worker, take_backs, gateway.moving.drains, strays)),
        _housekeeping(settings, stores, clock).run,
    ]


def _housekeeping(settings: Settings, stores: Stores, clock: Clock) -> Housekeeping:
    kept_s = settings.homing_idempotency_hours * 3600
    return Housekeeping(stores.work, stores.leases, SqlReservations(stores.database), clock, messages_kept_s=kept_s)


def _send_endpoint(
    settings: Settings,
    stores: Stores,
    keyring: Keyring,
    routes: RouteCache,
    sending: Sending,
    metrics: Metrics,
    clock: Clock,
    entropy: Entropy,
) -> tuple[SendEndpoint, KeyedSends, Recorder]:
    keyed = KeyedSends(stores.messages, clock, owner=entropy.uuid(), keep_s=settings.homing_idempotency_hours * 3600)
    recorder = Recorder(stores.messages, clock)
    limits = SendSettings(settings.homing_default_region, settings.message_id_secret, settings.homing_max_sends)
    endpoint = SendEndpoint(
        keyring=keyring,
        routes=routes,
        sending=sending,
        keyed=keyed,
        recorder=recorder,
        clock=clock,
        entropy=entropy,
        metrics=metrics,
        settings=limits,
    )
    return endpoint, keyed, recorder


@dataclass(frozen=True, slots=True)
class _Kept:
    """What brings sessions back."""

    news: News
    watching: Watching
    rehoming: Rehoming
    keeper: Keeper
    worker: Worker


def _moving(settings: Settings, stores: Stores, fleet: LiveFleet, kept: _Kept, clock: Clock) -> Moving:
    directory, grants = stores.directory, stores.grants
    watching, wishes, braked = kept.watching, kept.rehoming, kept.keeper.braked
    return Moving(
        drains=Drains(directory, fleet, stores.work, wishes, clock),
        exits=Exits(directory, grants, stores.leases, wishes),
        migrations=Migrations(directory, fleet, grants, watching, wishes),
        balance=Balance(directory, fleet, grants, watching, wishes, settings.rebalance_policy, braked),
    )


def _show(kept: _Kept, metrics: Metrics) -> None:
    """Let every scrape see how the fleet is judged."""

    def states() -> dict[InstanceUrl, str]:
        return {url: judged.state.value for url, judged in kept.watching.judged().items()}

    metrics.watch(states, braked=lambda: kept.keeper.braked() is not None, waiting=lambda: kept.news.waiting)


def _keeping(
    settings: Settings, stores: Stores, fleet: LiveFleet, clock: Clock, entropy: Entropy, metrics: Metrics
) -> _Kept:
    news = News()
    watching = Watching(stores.leases, fleet, clock, entropy, _watch_policy(settings))
    rehoming = Rehoming(
        stores.directory,
        stores.grants,
        stores.leases,
        fleet,
        stores.work,
        watching,
        clock,
        entropy,
        metrics,
        RehomePolicy(settings.homing_logins_per_instance, settings.homing_logins_fleet),
        dying_at(Path(settings.homing_die_at)) if settings.homing_die_at else lambda _: None,
    )
    keep = KeeperPolicy(by_itself=settings.homing_auto_rehome)
    keeper = Keeper(watching, rehoming, stores.directory, fleet, news, clock, keep)
    duty = Duty(together=rehoming.do, policy=REHOME_PATIENCE, at_once=1_000, lease_s=3.0, poll_s=1.0)
    worker = Worker(stores.work, clock, entropy, REHOME, duty, owner=entropy.uuid())
    return _Kept(news, watching, rehoming, keeper, worker)


def _watch_policy(settings: Settings) -> WatchPolicy:
    return WatchPolicy(
        health=HealthPolicy(lease=settings.lease_policy, probe_timeout_s=settings.homing_probe_timeout),
        probe_every_s=settings.homing_probe_every,
        probe_timeout_s=settings.homing_probe_timeout,
    )


def _routes(settings: Settings, directory: Directory, clock: Clock, metrics: Metrics) -> RouteCache:
    return RouteCache(
        directory,
        clock,
        ttl_s=settings.homing_cache_ttl,
        enabled=settings.whatsapp_enable_cache,
        on_hit=metrics.hit,
        on_miss=metrics.missed,
    )


def _sync_schedule(settings: Settings, sync: Sync, metrics: Metrics) -> Schedule:
    async def check_all(_: Tick) -> str:
        try:
            report = await sync.run()
        except Exception:
            metrics.synced("failed")
            raise
        metrics.synced("attention" if report.needs_attention else "well")
        return report.summary

    return Schedule("sync-instance-urls", settings.homing_sync_schedule, check_all)


def _intake_endpoint(
    settings: Settings, intake: Intake, stores: Stores, fleet: LiveFleet, clock: Clock, metrics: Metrics
) -> IntakeEndpoint:
    if not settings.whatsapp_hmac_secret:
        log.warning("WHATSAPP_HMAC_SECRET is not set: what instances report is refused")
    own_keys = {InstanceUrl(url): key for url, key in settings.instance_api_keys.items()}
    return IntakeEndpoint(
        intake=intake,
        directory=stores.directory,
        fleet=fleet,
        keys=InstanceKeys(settings.api_key, own_keys),
        clock=clock,
        metrics=metrics,
        secret=settings.whatsapp_hmac_secret,
        waiting_max=settings.homing_max_webhooks,
    )


def drivers_of(settings: Settings, wire: Calls, metrics: Metrics) -> Drivers:
    plain = drivers_over(
        wire,
        api_keys={InstanceUrl(url): key for url, key in settings.instance_api_keys.items()},
        default_api_key=settings.api_key,
    )
    return Drivers({family: MeteredDriver(plain.of(family), metrics) for family in plain.families()})


async def _know(gateway: Gateway, *, alone: bool) -> None:
    """Read what every request needs."""
    await _join(gateway.settings, gateway.stores.directory)
    if alone:
        await gateway.stores.messages.release_owner("")
    await gateway.fleet.refresh()
    await gateway.keyring.refresh()
    for url in gateway.fleet.roster.instances:
        gateway.metrics.instance_known(url)
    if gateway.keyring.empty:
        log.warning("There is no API key yet; make one with: homing keys create --operator --scope admin")


async def _join(settings: Settings, directory: Directory) -> None:
    """Let the settings' instances join the directory."""
    known = {instance.url for instance in await directory.instances()}
    for url in settings.instances:
        if url not in known:
            with suppress(NameTaken):
                await directory.create_instance(url)


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
