"""Every part of a gateway, made and told of the others."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple, Protocol

import structlog

from homing.compose.adopting import adoption_of, fleet_of, key_seal
from homing.compose.customers import customers_of
from homing.compose.hearing import HearingParts, hearing_of
from homing.compose.joining import all_hear, connecting_of, fitness_of, reporting
from homing.compose.media import MediaParts, media_of
from homing.compose.recycling import recycling_of
from homing.compose.restoring import restoring_of
from homing.compose.taking_in import taking_in
from homing.config import Misconfigured, Settings
from homing.decide.fleet.health import HealthPolicy
from homing.decide.fleet.own_keys import own_key
from homing.decide.knowledge import native_names, qr_pictures
from homing.decide.moves.rules import MovePolicy
from homing.decide.reports.polling import PollPolicy
from homing.decide.starting.restoring import RestoringPolicy
from homing.drivers import Drivers, drivers_over
from homing.drivers.around.exit_proxies import ExitingDriver, KnownExitProxies
from homing.drivers.around.keys import ShownKeys
from homing.drivers.around.metered import MeteredDriver
from homing.drivers.around.native_names import NativeNames, by_our_ids
from homing.drivers.calling import GatewayDriver
from homing.drivers.http.wire import Calls
from homing.drivers.registry import NoDrivers, families, unknown_driver
from homing.flows.background.alerts import AlertBook
from homing.flows.background.auditing import EVERY_MINUTE, Auditing
from homing.flows.background.downtime import DowntimeBook
from homing.flows.background.link_alerts import LinkAlerts
from homing.flows.background.observing import Observing
from homing.flows.background.readiness import Readiness
from homing.flows.background.retention import Housekeeping
from homing.flows.background.schedules import Schedule, Scheduler
from homing.flows.background.worker import Duty, Worker
from homing.flows.discovery.incarnations import Looking
from homing.flows.discovery.listings import Lists
from homing.flows.discovery.phones import Identity
from homing.flows.discovery.rediscover import Rediscovery
from homing.flows.discovery.stray_sessions import StraySessions
from homing.flows.discovery.sync import Sync
from homing.flows.discovery.wakeups import News
from homing.flows.failover.doubtful_sessions import Doubts
from homing.flows.failover.exits import Exits
from homing.flows.failover.fitness import Fitness
from homing.flows.failover.keeper import Keeper, KeeperPolicy
from homing.flows.failover.replaced_sessions import TakeBacks
from homing.flows.failover.restore_queue import RestoreQueue
from homing.flows.failover.stuck_moves import Strays
from homing.flows.failover.watching import Watching, WatchPolicy
from homing.flows.hearing.ears import Ears
from homing.flows.moves.batch import RehomePolicy
from homing.flows.moves.move_jobs import KIND as REHOME
from homing.flows.moves.move_jobs import PATIENCE as REHOME_PATIENCE
from homing.flows.moves.move_jobs import Rehoming, WishList
from homing.flows.moves.prospects import Prospects
from homing.flows.operations.abilities import AbilitiesOf
from homing.flows.operations.accounts import Accounts
from homing.flows.operations.deleting import Deleting
from homing.flows.operations.drain import Drains
from homing.flows.operations.exit_proxies import AccountsExitProxies
from homing.flows.operations.migrate import Migrations
from homing.flows.operations.pairing import Pairing
from homing.flows.operations.pairing_links import PairingLinks
from homing.flows.operations.rebalance import Balance
from homing.flows.sending.own_messages import Said
from homing.flows.sending.send import Sending
from homing.flows.webhooks.catch_up import Overlooked
from homing.flows.webhooks.hints import Hints
from homing.flows.webhooks.intake import Intake
from homing.flows.webhooks.polling import EVERY_15_S, Polling
from homing.model.alerts import FLEET, AlertKind
from homing.model.fleet import Instance, InstanceUrl
from homing.model.instances.health import shown_state
from homing.model.work import Tick
from homing.ports import Clock, Directory, Driver, Entropy, Notice, TellHearing
from homing.ports.deliveries.receivers import WaysOut
from homing.routing.cache import RouteCache
from homing.routing.roster import LiveFleet
from homing.serve.callers.keyring import Keyring
from homing.serve.callers.rate_limits import RateLimits
from homing.serve.callers.workspaces import Workspaces
from homing.serve.feed import EventFeed, Shares
from homing.serve.gateway import Adoption, Care, Gateway, Moving
from homing.serve.metrics import Metrics
from homing.store.opened import Stores
from homing.store.vault.settling import SqlReservations

log = structlog.get_logger("homing")

Reached = Callable[[str], None]
"""Hears of each milestone of a move: a trial may end the process there."""


def wired(
    settings: Settings,
    stores: Stores,
    drivers: Drivers,
    metrics: Metrics,
    clock: Clock,
    entropy: Entropy,
    reached: Reached,
    ways: WaysOut,
) -> tuple[Gateway, list[Callable[[], Coroutine[Any, Any, None]]]]:
    """A gateway's parts, and what has to run for as long as it is at work."""
    fleet, observing, alerts, exit_proxies = fleet_of(settings, stores, drivers, clock)
    routes, fitness = _routes(settings, stores.directory, clock, metrics), fitness_of(fleet, alerts, clock, entropy)
    keyring, rate_limits, workspaces = callers = _callers(settings, stores, clock)
    kept = _keeping(settings, stores, fleet, observing, fitness, alerts, clock, entropy, metrics, reached)
    _subscribe(stores, routes, fleet, keyring, workspaces, kept.news, alerts, observing)
    strays = Strays(stores.directory, stores.work, kept.rehoming, clock, alerts)
    looking = _looking(settings, stores, fleet, observing, fitness, alerts, kept, clock, entropy, metrics)
    accounts = _accounts(stores, fleet, entropy, metrics, kept, fitness, looking.links, settings.restoring_policy)
    heard = _hearing_sends(settings, stores, looking.lists, fleet, accounts, alerts, clock)
    sending, said, media = _sender(settings, stores, routes, fleet, looking, clock, kept, fitness, heard, ways, entropy)
    taking = taking_in(settings, stores, callers, routes, sending, metrics, clock, entropy, media.intake)
    overlooked, intake = _intake(settings, stores, looking.hints, said, clock, entropy)
    reports = reporting(settings, stores, fleet, alerts, looking.lists, intake, metrics, clock)
    customers = customers_of(settings, stores, fleet, kept, ways, alerts, metrics, clock, entropy, reached)
    auditing = Auditing(stores.audit, clock, settings.audit_keys, keep_days=settings.homing_audit_days, alerts=alerts)
    parts = (looking, accounts, kept, observing, alerts, auditing, intake, heard.doubts, exit_proxies, ways)
    moving, hears, clocked = _by_the_clock(settings, stores, fleet, parts, metrics, clock, entropy)
    gateway = Gateway(
        settings=settings,
        clock=clock,
        entropy=entropy,
        metrics=metrics,
        stores=stores,
        routes=routes,
        fleet=fleet,
        keyring=keyring,
        rate_limits=rate_limits,
        workspaces=workspaces,
        accounts=accounts,
        pairing=(pairing := _pairing(stores, fleet, clock)),
        adoption=_adoption(settings, stores, fleet, observing, fitness, looking, clock, entropy, metrics),
        identity=looking.identity,
        strays=StraySessions(stores.directory, looking.lists),
        deleting=Deleting(stores.directory, fleet, looking.lists, alerts),
        sends=taking.endpoint,
        sync=looking.sync,
        intake=reports.endpoint,
        feed=_feed(settings, stores, keyring),
        rehoming=kept.rehoming,
        watching=kept.watching,
        keeper=kept.keeper,
        news=kept.news,
        alerts=alerts,
        auditing=auditing,
        readiness=Readiness(stores.proof, clock),
        fitness=fitness,
        unknown_senders=reports.unknown,
        moving=moving,
        restoring=restoring_of(settings, stores, fleet, kept, observing, alerts, clock),
        egress=ways.customers,
        care=Care(hears.judging, _pairing_links(settings, stores, pairing, entropy), exit_proxies),
        media=media.intake,
        downtime=heard.downtime,
        endpoints=customers.operations,
        receivers=customers.receivers,
    )
    services = (fleet, keyring, workspaces, alerts, looking.hints, overlooked, intake, *clocked, *taking.services)
    known = (*heard, reports.unknown, reports.rejections, fitness, strays, media.clean_up, *customers.services)
    moved = (looking.take_backs, kept.watching, kept.keeper, kept.worker, gateway.moving.drains, gateway.restoring)
    return gateway, [part.run for part in (observing, _tidying(settings, stores, clock), *services, *known, *moved)]


def _adoption(
    settings: Settings,
    stores: Stores,
    fleet: LiveFleet,
    observing: Observing,
    fitness: Fitness,
    looking: "_Looking",
    clock: Clock,
    entropy: Entropy,
    metrics: Metrics,
) -> Adoption:
    """What takes in gateways that run already."""
    found = (looking.lists, looking.identity)
    return adoption_of(settings, stores, fleet, observing, fitness, *found, clock, entropy, metrics)


def _intake(
    settings: Settings, stores: Stores, hints: Hints, said: Said, clock: Clock, entropy: Entropy
) -> tuple[Overlooked, Intake]:
    """What takes reports in, and what follows those that others took in and did not live to follow."""
    keep_days = settings.homing_event_days
    intake = Intake(stores.events, hints, said, clock, entropy, keep_days=keep_days, aside=asyncio.to_thread)
    overlooked = Overlooked(stores.events, hints, clock)
    _subscribe(stores, overlooked)
    return overlooked, intake


def _callers(settings: Settings, stores: Stores, clock: Clock) -> tuple[Keyring, RateLimits, Workspaces]:
    """Who may ask, and how often."""
    keyring = Keyring(stores.directory, clock)
    workspaces = Workspaces(stores.directory, clock, settings.homing_default_region)
    return keyring, RateLimits(workspaces.rate_limit, clock), workspaces


def _feed(settings: Settings, stores: Stores, keyring: Keyring) -> EventFeed:
    """Streams whose key is not in force any more end at once."""
    feed = EventFeed(Shares(settings.homing_streams, settings.streams_of_a_key))
    keyring.on_change = feed.wake
    _subscribe(stores, feed)
    return feed


class _Hears(Protocol):
    def hear(self, notice: Notice) -> None: ...


def _subscribe(stores: Stores, *parts: _Hears) -> None:
    for part in parts:
        stores.notices.subscribe(part.hear)


def _hearing(alerts: AlertBook) -> TellHearing:
    """Let it stand as an alert that this gateway does not hear what others change."""

    def tell(deaf: str | None) -> None:
        if deaf is None:
            alerts.resolved(AlertKind.NOTICES_UNHEARD, FLEET)
        else:
            alerts.raised(AlertKind.NOTICES_UNHEARD, FLEET, deaf)

    return tell


def _accounts(
    stores: Stores,
    fleet: LiveFleet,
    entropy: Entropy,
    metrics: Metrics,
    kept: "_Restoring",
    fitness: Fitness,
    links: LinkAlerts,
    restoring: RestoringPolicy,
) -> Accounts:
    unfit, met = kept.watching.unfit, fitness.met
    queue = RestoreQueue(stores.directory, Looking(fleet, kept.watching.refused_ago_s), restoring)
    return Accounts(stores.directory, fleet, entropy, metrics, unfit, met, links, queue)


class _HearingSends(NamedTuple):
    """What hears how sends end."""

    doubts: Doubts
    downtime: DowntimeBook


def _hearing_sends(
    settings: Settings,
    stores: Stores,
    lists: Lists,
    fleet: LiveFleet,
    accounts: Accounts,
    alerts: AlertBook,
    clock: Clock,
) -> "_HearingSends":
    after, directory = settings.homing_doubtful_after, stores.directory
    doubts = Doubts(directory, stores.restart_claims, lists, fleet, accounts, alerts, clock, after=after)
    return _HearingSends(doubts, DowntimeBook(stores.downtime, clock))


def _pairing(stores: Stores, fleet: LiveFleet, clock: Clock) -> Pairing:
    """Pictures are read beside the loop: they come from outside, and take a while."""
    read_picture = partial(asyncio.to_thread, qr_pictures.text_in)
    return Pairing(stores.directory, fleet, stores.events, clock, read_picture)


def _pairing_links(settings: Settings, stores: Stores, pairing: Pairing, entropy: Entropy) -> PairingLinks:
    return PairingLinks(stores.pairing_links, stores.directory, pairing, entropy, settings.message_id_secret)


def _tidying(settings: Settings, stores: Stores, clock: Clock) -> Housekeeping:
    kept_s = settings.homing_idempotency_hours * 3600
    return Housekeeping(stores.work, stores.leases, SqlReservations(stores.database), clock, messages_kept_s=kept_s)


def _sender(
    settings: Settings,
    stores: Stores,
    routes: RouteCache,
    fleet: LiveFleet,
    looking: "_Looking",
    clock: Clock,
    kept: "_Restoring",
    fitness: Fitness,
    heard: "_HearingSends",
    ways: WaysOut,
    entropy: Entropy,
) -> tuple[Sending, Said, MediaParts]:
    said, media = Said(), media_of(settings, ways.customers, clock, entropy)
    sending = Sending(
        routes,
        fleet,
        looking.rediscovery,
        clock,
        settings.send_policy,
        said,
        kept.news,
        all_hear(kept.watching.saw, fitness.met),
        kept.rehoming.obstacle,
        heard.doubts,
        heard.downtime.sent,
        media.links,
        stores.checked_numbers,
    )
    return sending, said, media


@dataclass(frozen=True, slots=True)
class _Restoring:
    """What brings sessions back."""

    news: News
    watching: Watching
    rehoming: Rehoming
    keeper: Keeper
    worker: Worker


@dataclass(frozen=True, slots=True)
class _Looking:
    """What asks instances for their sessions, and corrects the record."""

    take_backs: TakeBacks
    lists: Lists
    rediscovery: Rediscovery
    identity: Identity
    links: LinkAlerts
    sync: Sync
    hints: Hints


def _looking(
    settings: Settings,
    stores: Stores,
    fleet: LiveFleet,
    observing: Observing,
    fitness: Fitness,
    alerts: AlertBook,
    kept: _Restoring,
    clock: Clock,
    entropy: Entropy,
    metrics: Metrics,
) -> _Looking:
    directory = stores.directory
    wishes, moves = observing.gate(kept.rehoming), MovePolicy(settings.homing_moves_per_day)
    take_backs = TakeBacks(directory, wishes, clock, moves, alerts)
    lists = Lists(fleet, clock, timeout_s=settings.homing_scan_timeout, failing=take_backs.listed, heard=fitness.listed)
    identity, links = Identity(directory, alerts), LinkAlerts(alerts)
    return _Looking(
        take_backs,
        lists,
        Rediscovery(directory, lists, clock, entropy, metrics, kept.keeper.missed, alerts),
        identity,
        links,
        Sync(directory, lists, clock, entropy, metrics, identity, links, alerts, observing.watched),
        Hints(directory, lists, clock, entropy, metrics, kept.news, identity, links, alerts),
    )


def _moving(
    settings: Settings,
    stores: Stores,
    fleet: LiveFleet,
    kept: _Restoring,
    clock: Clock,
    exit_proxies: AccountsExitProxies,
    alerts: AlertBook,
    ways: WaysOut,
) -> Moving:
    directory, grants = stores.directory, stores.grants
    watching, wishes, braked = kept.watching, kept.rehoming, kept.keeper.braked
    drains = Drains(directory, fleet, stores.work, wishes, clock)
    return Moving(
        abilities=AbilitiesOf(fleet),
        connecting=connecting_of(settings, stores, fleet, watching, clock, exit_proxies),
        drains=drains,
        exits=Exits(directory, grants, stores.leases, wishes, fleet),
        migrations=Migrations(directory, fleet, grants, watching, wishes),
        balance=Balance(directory, fleet, grants, watching, wishes, settings.rebalance_policy, braked),
        prospects=Prospects(directory, fleet, grants, watching),
        recycling=recycling_of(settings, stores, fleet, drains, ways.operators, alerts, clock),
    )


def _show(stores: Stores, kept: _Restoring, fitness: Fitness, alerts: AlertBook, metrics: Metrics) -> None:
    """Let every scrape see how the fleet is judged."""
    stores.notices.watch_hearing(_hearing(alerts))

    def states() -> dict[InstanceUrl, str]:
        wrong = fitness.misconfigured()
        return {url: shown_state(judged, url in wrong) for url, judged in kept.watching.judged().items()}

    metrics.watch(
        states,
        braked=lambda: kept.keeper.braked() is not None,
        waiting=lambda: kept.news.waiting,
        alerts=alerts.counts,
    )


def _keeping(
    settings: Settings,
    stores: Stores,
    fleet: LiveFleet,
    observing: Observing,
    fitness: Fitness,
    alerts: AlertBook,
    clock: Clock,
    entropy: Entropy,
    metrics: Metrics,
    reached: Reached,
) -> _Restoring:
    news = News()
    watch, wrong = _watch_policy(settings), fitness.misconfigured
    watching = Watching(stores.leases, fleet, clock, entropy, watch, wrong, alerts, metrics.lagged)
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
        RehomePolicy(
            settings.homing_logins_per_instance,
            settings.homing_logins_fleet,
            opens_fleet=settings.homing_starts_fleet,
            restoring=settings.restoring_policy,
        ),
        reached,
        alerts,
        braked=lambda: keeper.braked(),
    )
    keep = KeeperPolicy(by_itself=settings.homing_auto_rehome)
    keeper = Keeper(watching, observing.gate(rehoming), stores.directory, fleet, news, clock, keep, alerts)
    duty = Duty(together=rehoming.do, policy=REHOME_PATIENCE, at_once=1_000, lease_s=3.0, poll_s=1.0)
    worker = Worker(stores.work, clock, entropy, REHOME, duty, owner=entropy.uuid())
    kept = _Restoring(news, watching, rehoming, keeper, worker)
    _show(stores, kept, fitness, alerts, metrics)
    return kept


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


_Parts = tuple[
    "_Looking",
    Accounts,
    "_Restoring",
    Observing,
    AlertBook,
    Auditing,
    Intake,
    Doubts,
    AccountsExitProxies,
    WaysOut,
]


def _by_the_clock(
    settings: Settings,
    stores: Stores,
    fleet: LiveFleet,
    parts: _Parts,
    metrics: Metrics,
    clock: Clock,
    entropy: Entropy,
) -> tuple[Moving, HearingParts, tuple[Scheduler, Ears, Worker]]:
    """What people may want moved, what judges whether sessions hear, and what runs both by its schedules."""
    looking, accounts, kept, observing, alerts, auditing, intake, doubts, exit_proxies, ways = parts
    moving = _moving(settings, stores, fleet, kept, clock, exit_proxies, alerts, ways)
    told = (intake, doubts, moving.connecting, moving.recycling)
    hears = hearing_of(settings, stores, fleet, looking.lists, accounts, kept, observing, alerts, clock, entropy, *told)
    ticking = (auditing, moving, hears, exit_proxies)
    scheduler = _scheduler(settings, stores, fleet, looking, ticking, metrics, clock, entropy)
    return moving, hears, (scheduler, hears.ears, hears.worker)


def _scheduler(
    settings: Settings,
    stores: Stores,
    fleet: LiveFleet,
    looking: "_Looking",
    ticking: tuple[Auditing, Moving, HearingParts, AccountsExitProxies],
    metrics: Metrics,
    clock: Clock,
    entropy: Entropy,
) -> Scheduler:
    auditing, moving, hears, exit_proxies = ticking
    schedules = (
        _sync_schedule(settings, looking.sync, metrics),
        Schedule("audit-log", EVERY_MINUTE, auditing.tick),
        hears.schedule,
        Schedule("webhooks", EVERY_MINUTE, moving.connecting.tick),
        Schedule("exit-proxies", EVERY_MINUTE, exit_proxies.tick),
        Schedule("recycling", EVERY_15_S, moving.recycling.tick),
        Schedule("old-instances", settings.homing_recycle_schedule, moving.recycling.scheduled),
        Schedule("polling", EVERY_15_S, _polling(settings, stores, fleet, looking, clock).tick),
    )
    return Scheduler(stores.schedules, clock, schedules, owner=entropy.uuid())


def _polling(settings: Settings, stores: Stores, fleet: LiveFleet, looking: "_Looking", clock: Clock) -> Polling:
    policy = PollPolicy(share=settings.homing_poll_share)
    return Polling(fleet, stores.directory, looking.lists, looking.hints, stores.webhook_targets, clock, policy)


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


def drivers_of(settings: Settings, wire: Calls, metrics: Metrics) -> Drivers:
    """The driver of every family, each call counted. Raises Misconfigured for an instance's that there is not."""
    try:
        spoken = families()
    except NoDrivers as error:
        raise Misconfigured(str(error)) from error
    for url, driver in settings.instance_drivers.items():
        if driver not in spoken:
            raise Misconfigured(f"WHATSAPP_INSTANCE_n_DRIVER of {url}: {unknown_driver(driver)}")
    keys = shown_keys(settings)
    plain = drivers_over(wire, api_keys=keys, default_api_key=settings.api_key)
    names, proxies = NativeNames(native_names.meant), KnownExitProxies()

    def metered(driver: Driver, shown: ShownKeys | None) -> Driver:
        return MeteredDriver(driver, metrics, shown)

    def trying(family: str, url: InstanceUrl, key: str | None) -> Driver:
        if key is None:
            return metered(plain.of(family), keys)
        driver, known = spoken[family](wire, api_keys={url: key}, default_api_key=""), plain.of(family)
        if isinstance(driver, GatewayDriver) and isinstance(known, GatewayDriver):
            driver.remembers_with(known)
        return metered(driver, None)

    def ours(family: str) -> Driver:
        named = metered(by_our_ids(plain.of(family), names), keys)
        return ExitingDriver(named, plain.traits_of(family), proxies)

    return Drivers({each: ours(each) for each in plain.families()}, plain.recognition, keys, names, trying, proxies)


def shown_keys(settings: Settings) -> ShownKeys:
    given = {InstanceUrl(url): key for url, key in settings.instance_api_keys.items()}

    def made(instance: Instance) -> str | None:
        secret = settings.own_key_secret
        return own_key(secret, instance.url, instance.key_salt) if secret and instance.key_salt else None

    seal = key_seal(settings)

    def kept(instance: Instance) -> str | None:
        return seal.opened(instance.url, instance.sealed_key) if instance.sealed_key is not None else None

    return ShownKeys(given, settings.api_key, made, kept)


def exits_on(stores: Stores, fleet: LiveFleet | None = None) -> Exits:
    """For those who say that an instance exited; with a fleet it is asked first whether it still answers."""
    return Exits(stores.directory, stores.grants, stores.leases, WishList(stores.work), fleet)
