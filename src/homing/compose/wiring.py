"""Every part of a gateway, made and told of the others."""

from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass
from typing import Any, Protocol

from homing.compose.parts.by_the_clock import ReportParts, hearing_on, housekeeping_of, report_parts, scheduler_of
from homing.compose.parts.customers import Customers, customers_of
from homing.compose.parts.finding import Finders, adoption_on, finders_of
from homing.compose.parts.ground import Ground, Reached, ground_of, subscribe
from homing.compose.parts.hearing import HearingParts
from homing.compose.parts.joining import Reporting, reporting
from homing.compose.parts.keeping import Keepers, keepers_of, moving_of
from homing.compose.parts.media import inbound_of
from homing.compose.parts.restoring import restoring_of
from homing.compose.parts.sending import (
    Callers,
    HearingSends,
    SendParts,
    accounts_of,
    callers_of,
    feed_of,
    hearing_sends,
    pairing_links_of,
    pairing_of,
    routes_of,
    send_parts,
)
from homing.compose.parts.taking_in import Taking, taking_in
from homing.config import Settings
from homing.drivers import Drivers
from homing.flows.background.auditing import Auditing
from homing.flows.background.readiness import Readiness
from homing.flows.background.schedules import Scheduler
from homing.flows.discovery.stray_sessions import StraySessions
from homing.flows.failover.stuck_moves import Strays
from homing.flows.media.inbound import InboundFiles
from homing.flows.operations.accounts import Accounts
from homing.flows.operations.deleting import Deleting
from homing.ports import Clock, Entropy
from homing.ports.deliveries.receivers import WaysOut
from homing.routing.cache import RouteCache
from homing.serve.gateway import Care, Gateway, Moving
from homing.serve.metrics import Metrics
from homing.store.opened import Stores


class Runs(Protocol):
    """A part that is at work for as long as its gateway is."""

    async def run(self) -> None: ...


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a gateway, by topic. Who is made later is given those before."""

    callers: Callers
    routes: RouteCache
    kept: Keepers
    strays: Strays
    found: Finders
    accounts: Accounts
    heard: HearingSends
    sends_by: SendParts
    files: InboundFiles
    taking: Taking
    taken: ReportParts
    reports: Reporting
    customers: Customers
    auditing: Auditing
    moving: Moving
    hears: HearingParts
    scheduler: Scheduler


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
    on = ground_of(settings, stores, drivers, metrics, clock, entropy, reached, ways)
    parts = _parts(on)
    gateway = _gateway(on, parts)
    return gateway, [part.run for part in _at_work(on, parts, gateway)]


def _parts(on: Ground) -> Parts:
    settings, stores, metrics = on.settings, on.stores, on.metrics
    routes, callers, kept = routes_of(on), callers_of(on), keepers_of(on)
    subscribe(stores, routes, on.fleet, callers.keyring, callers.workspaces, kept.news, on.alerts, on.observing)
    strays = Strays(stores.directory, stores.work, kept.rehoming, on.clock, on.alerts)
    found = finders_of(on, kept)
    accounts = accounts_of(on, kept, found.links)
    heard = hearing_sends(on, found.lists, accounts)
    sends_by = send_parts(on, routes, found, kept, heard)
    asked = (callers.keyring, callers.rate_limits, callers.workspaces)
    sends = (routes, sends_by.sending, metrics, on.clock, on.entropy, sends_by.media.intake)
    taking = taking_in(settings, stores, asked, *sends, on.fleet, sends_by.said)
    files = inbound_of(settings, sends_by.media, stores.events, routes, on.fleet, on.clock)
    taken = report_parts(on, found.hints, sends_by.said, files)
    reports = reporting(settings, stores, on.fleet, on.alerts, found.lists, taken.intake, metrics, on.clock)
    told = (on.fleet, kept, on.ways, on.alerts, metrics, on.clock, on.entropy, on.reached)
    customers = customers_of(settings, stores, *told, files)
    days = settings.homing_audit_days
    auditing = Auditing(stores.audit, on.clock, settings.audit_keys, keep_days=days, alerts=on.alerts)
    moving = moving_of(on, kept)
    hears = hearing_on(on, found, kept, accounts, taken.intake, heard.doubts, moving)
    scheduler = scheduler_of(on, found, auditing, moving, hears)
    made = (callers, routes, kept, strays, found, accounts, heard, sends_by, files, taking, taken, reports, customers)
    return Parts(*made, auditing, moving, hears, scheduler)


def _gateway(on: Ground, parts: Parts) -> Gateway:
    stores, kept, found, pairing = on.stores, parts.kept, parts.found, pairing_of(on)
    return Gateway(
        settings=on.settings,
        clock=on.clock,
        entropy=on.entropy,
        metrics=on.metrics,
        stores=stores,
        routes=parts.routes,
        fleet=on.fleet,
        keyring=parts.callers.keyring,
        rate_limits=parts.callers.rate_limits,
        workspaces=parts.callers.workspaces,
        accounts=parts.accounts,
        pairing=pairing,
        adoption=adoption_on(on, found),
        identity=found.identity,
        strays=StraySessions(stores.directory, found.lists),
        deleting=Deleting(stores.directory, on.fleet, found.lists, on.alerts),
        sends=parts.taking.endpoint,
        sync=found.sync,
        intake=parts.reports.endpoint,
        feed=feed_of(on, parts.callers.keyring),
        rehoming=kept.rehoming,
        watching=kept.watching,
        keeper=kept.keeper,
        news=kept.news,
        alerts=on.alerts,
        auditing=parts.auditing,
        readiness=Readiness(stores.proof, on.clock),
        fitness=on.fitness,
        unknown_senders=parts.reports.unknown,
        moving=parts.moving,
        restoring=restoring_of(on.settings, stores, on.fleet, kept, on.observing, on.alerts, on.clock),
        egress=on.ways.customers,
        care=Care(parts.hears.judging, pairing_links_of(on, pairing), on.exit_proxies),
        media=parts.sends_by.media.intake,
        inbound=parts.files,
        downtime=parts.heard.downtime,
        endpoints=parts.customers.operations,
        receivers=parts.customers.receivers,
    )


def _at_work(on: Ground, parts: Parts, gateway: Gateway) -> Iterator[Runs]:
    """In the order in which they begin."""
    callers, kept, found = parts.callers, parts.kept, parts.found
    yield from (on.observing, housekeeping_of(on), on.fleet, callers.keyring, callers.workspaces, on.alerts)
    yield from (found.hints, parts.taken.overlooked, parts.taken.intake)
    yield from (parts.scheduler, parts.hears.ears, parts.hears.worker, *parts.taking.services)
    yield from (*parts.heard, parts.reports.unknown, parts.reports.rejections, on.fitness, parts.strays)
    yield from (parts.sends_by.media.clean_up, *parts.customers.services)
    yield from (found.take_backs, kept.watching, kept.automation, kept.keeper, kept.worker)
    yield from (parts.moving.drains, parts.moving.plans, gateway.restoring)
