"""Every part of a gateway, made and told of the others."""

import asyncio
from collections.abc import Callable, Coroutine
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import structlog

from homing.compose.parts import Gateway, Moving
from homing.compose.stores import Stores
from homing.config import Settings
from homing.decide import pictures
from homing.decide.health import HealthPolicy
from homing.decide.moves import MovePolicy
from homing.drivers import Drivers, drivers_over
from homing.drivers.metered import MeteredDriver
from homing.drivers.wire import Calls
from homing.fleet import LiveFleet
from homing.flows.accounts import Accounts
from homing.flows.alerts import AlertBook
from homing.flows.balance import Balance
from homing.flows.drain import Drains
from homing.flows.exits import Exits
from homing.flows.hints import Hints
from homing.flows.housekeeping import Housekeeping
from homing.flows.intake import Intake
from homing.flows.keeper import Keeper, KeeperPolicy
from homing.flows.keyed import KeyedSends
from homing.flows.link_alerts import LinkAlerts
from homing.flows.listings import Lists, RecentLists
from homing.flows.migrate import Migrations
from homing.flows.news import News
from homing.flows.overlooked import Overlooked
from homing.flows.pairing import Pairing
from homing.flows.prospects import Prospects
from homing.flows.record import Recorder
from homing.flows.rediscover import Rediscovery
from homing.flows.rehome import KIND as REHOME
from homing.flows.rehome import PATIENCE as REHOME_PATIENCE
from homing.flows.rehome import Rehoming, WishList
from homing.flows.said import Said
from homing.flows.schedules import Schedule, Scheduler
from homing.flows.send import Sending
from homing.flows.speakers import Speakers
from homing.flows.strays import Strays
from homing.flows.sync import Sync
from homing.flows.take_back import TakeBacks
from homing.flows.underway import RehomePolicy
from homing.flows.unknown_senders import UnknownSenders
from homing.flows.watching import Watching, WatchPolicy
from homing.flows.worker import Duty, Worker
from homing.model.fleet import InstanceUrl
from homing.model.work import Tick
from homing.ports import Clock, Directory, Entropy
from homing.routes import RouteCache
from homing.serve.feed import EventFeed, Shares
from homing.serve.instance_keys import InstanceKeys
from homing.serve.intake import IntakeEndpoint
from homing.serve.keyring import Keyring
from homing.serve.metrics import Metrics
from homing.serve.rejections import Rejections
from homing.serve.sends import SendEndpoint, SendSettings
from homing.store.vault_settling import SqlReservations
from homing.world import dying_at

log = structlog.get_logger("homing")


def wired(
    settings: Settings, stores: Stores, drivers: Drivers, metrics: Metrics, clock: Clock, entropy: Entropy
) -> tuple[Gateway, list[Callable[[], Coroutine[Any, Any, None]]]]:
    """A gateway's parts, and what has to run for as long as it is at work."""
    fleet = LiveFleet(stores.directory, drivers, clock, default_url=InstanceUrl(settings.whatsapp_nodejs_url) or None)
    routes = _routes(settings, stores.directory, clock, metrics)
    keyring = Keyring(stores.directory, clock)
    alerts = AlertBook(stores.alerts, clock)
    kept = _keeping(settings, stores, fleet, clock, entropy, metrics)
    for hear in (routes.hear, fleet.hear, keyring.hear, kept.news.hear, alerts.hear):
        stores.notices.subscribe(hear)
    strays = Strays(stores.directory, stores.work, kept.rehoming, clock)
    take_backs = TakeBacks(stores.directory, kept.rehoming, clock, MovePolicy(settings.homing_moves_per_day))
    lists = Lists(fleet, clock, timeout_s=settings.homing_scan_timeout, failing=take_backs.listed)
    rediscovery = Rediscovery(stores.directory, lists, clock, entropy, metrics, kept.keeper.missed)
    sync = Sync(stores.directory, lists, clock, entropy, metrics, LinkAlerts(alerts))
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
    accounts = Accounts(stores.directory, fleet, entropy, stores.notices, metrics, LinkAlerts(alerts))
    hints = Hints(stores.directory, lists, clock, entropy, metrics, kept.news, LinkAlerts(alerts))
    overlooked = Overlooked(stores.events, hints, clock)
    stores.notices.subscribe(overlooked.hear)
    intake = Intake(stores.events, hints, said, clock, entropy, keep_days=settings.homing_event_days)
    unknown = UnknownSenders(fleet, alerts, clock, metrics, settings.our_url)
    speakers = Speakers(fleet, stores.directory, RecentLists(lists, clock), unknown, clock)
    rejections = Rejections(clock)
    reported = _intake_endpoint(settings, intake, stores, speakers, rejections, clock, metrics)
    feed = EventFeed(Shares(settings.homing_streams, settings.streams_of_a_key))
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
        pairing=_pairing(stores, fleet, clock),
        sends=sends,
        sync=sync,
        intake=reported,
        feed=feed,
        rehoming=kept.rehoming,
        watching=kept.watching,
        keeper=kept.keeper,
        news=kept.news,
        alerts=alerts,
        unknown_senders=unknown,
        moving=_moving(settings, stores, fleet, kept, clock),
    )
    _show(kept, alerts, metrics)
    return gateway, [
        *(part.run for part in (fleet, keyring, alerts, keyed, recorder, hints, overlooked, intake, scheduler)),
        *(part.run for part in (kept.watching, kept.keeper, kept.worker, take_backs, gateway.moving.drains, strays)),
        *(part.run for part in (unknown, rejections)),
        _housekeeping(settings, stores, clock).run,
    ]


def _pairing(stores: Stores, fleet: LiveFleet, clock: Clock) -> Pairing:
    """Pictures are read beside the loop: they come from outside, and take a while."""
    read_picture = partial(asyncio.to_thread, pictures.text_in)
    return Pairing(stores.directory, fleet, stores.events, clock, read_picture)


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
        prospects=Prospects(directory, fleet, grants, watching),
    )


def _show(kept: _Kept, alerts: AlertBook, metrics: Metrics) -> None:
    """Let every scrape see how the fleet is judged."""

    def states() -> dict[InstanceUrl, str]:
        return {url: judged.state.value for url, judged in kept.watching.judged().items()}

    metrics.watch(
        states,
        braked=lambda: kept.keeper.braked() is not None,
        waiting=lambda: kept.news.waiting,
        alerts=alerts.counts,
    )


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
    settings: Settings,
    intake: Intake,
    stores: Stores,
    speakers: Speakers,
    rejections: Rejections,
    clock: Clock,
    metrics: Metrics,
) -> IntakeEndpoint:
    if not settings.whatsapp_hmac_secret:
        log.warning("WHATSAPP_HMAC_SECRET is not set: what instances report is refused")
    own_keys = {InstanceUrl(url): key for url, key in settings.instance_api_keys.items()}
    return IntakeEndpoint(
        intake=intake,
        directory=stores.directory,
        speakers=speakers,
        rejections=rejections,
        keys=InstanceKeys(settings.api_key, own_keys),
        clock=clock,
        metrics=metrics,
        secret=settings.whatsapp_hmac_secret,
        waiting_max=settings.homing_max_webhooks,
    )


def drivers_of(settings: Settings, wire: Calls, metrics: Metrics) -> Drivers:
    """The driver of every family, each call counted."""
    plain = drivers_over(
        wire,
        api_keys={InstanceUrl(url): key for url, key in settings.instance_api_keys.items()},
        default_api_key=settings.api_key,
    )
    return Drivers({family: MeteredDriver(plain.of(family), metrics) for family in plain.families()})


def exits_on(stores: Stores) -> Exits:
    """For those who say that an instance exited."""
    return Exits(stores.directory, stores.grants, stores.leases, WishList(stores.work))
