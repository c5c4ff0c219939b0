"""The parts that know instances by what they say and how they answer: who reports, and which of them work."""

import asyncio
from collections.abc import Collection
from dataclasses import dataclass

from homing.config import Settings
from homing.flows.background.alerts import AlertBook
from homing.flows.discovery.listings import Lists, RecentLists
from homing.flows.failover.fitness import RECOGNISE_TIMEOUT_S, Fitness
from homing.flows.failover.watching import Watching
from homing.flows.operations.start_turns import StartTurns
from homing.flows.sending.send import Saw
from homing.flows.webhooks.connecting import Connecting
from homing.flows.webhooks.intake import Intake
from homing.flows.webhooks.senders import Senders
from homing.flows.webhooks.speakers import Speakers
from homing.flows.webhooks.unknown_senders import UnknownSenders
from homing.model.fleet import InstanceUrl, SessionId, SessionList
from homing.model.instances.gateways import Recognised
from homing.model.instances.health import HealthState
from homing.model.sends.faults import Fault, Phase
from homing.ports import Clock, Entropy
from homing.ports.sessions.exit_proxies import KnowsExitProxies
from homing.routing.roster import LiveFleet
from homing.serve.callers.instance_keys import InstanceKeys
from homing.serve.http.rejections import Rejections
from homing.serve.intake import IntakeEndpoint
from homing.serve.metrics import Metrics
from homing.store.opened import Stores

ASKS_BACK_FOR_S = 1.0


@dataclass(frozen=True, slots=True)
class Reporting:
    """What answers instances that report."""

    endpoint: IntakeEndpoint
    unknown: UnknownSenders
    rejections: Rejections


def connecting_of(
    settings: Settings,
    stores: Stores,
    fleet: LiveFleet,
    watching: Watching,
    clock: Clock,
    exit_proxies: KnowsExitProxies,
) -> Connecting:
    """What has gateways of other families report to us."""

    def healthy_for_s(url: InstanceUrl) -> float | None:
        judged = watching.judged().get(url)
        well = judged is not None and judged.state is HealthState.HEALTHY
        return clock.monotonic() - judged.since_s if well and judged is not None else None

    return Connecting(
        fleet,
        stores.directory,
        stores.webhook_targets,
        fleet.names.native_of,
        settings.our_url,
        settings.own_key_secret,
        healthy_for_s,
        StartTurns(stores.directory, fleet, clock),
        exit_proxies,
    )


def reporting(
    settings: Settings,
    stores: Stores,
    fleet: LiveFleet,
    alerts: AlertBook,
    lists: Lists,
    intake: Intake,
    metrics: Metrics,
    clock: Clock,
) -> Reporting:
    """The endpoint of reports, and what it tells of those that it refuses."""
    unknown = UnknownSenders(fleet, alerts, clock, metrics, settings.our_url)
    rejections = Rejections(clock)

    async def open_on(url: InstanceUrl) -> Collection[SessionId]:
        """Somebody may have started a session in the seconds since the asking process began.

        The Node service would restore it beside that, as a second client on one login (ltmoerdani/blazz 5d71136).
        """
        listing = await fleet.driver(url).sessions(url, timeout_s=ASKS_BACK_FOR_S)
        return listing.sessions if isinstance(listing, SessionList) else ()

    endpoint = IntakeEndpoint(
        intake=intake,
        directory=stores.directory,
        senders=Senders(fleet, clock, settings.own_key_secret, settings.whatsapp_hmac_secret, fleet.names),
        speakers=Speakers(fleet, stores.directory, RecentLists(lists, clock), unknown, clock),
        rejections=rejections,
        keys=InstanceKeys(settings.api_key, fleet.own_keys),
        clock=clock,
        metrics=metrics,
        waiting_max=settings.homing_max_webhooks,
        open_on=open_on,
        aside=asyncio.to_thread,
    )
    return Reporting(endpoint, unknown, rejections)


def fitness_of(fleet: LiveFleet, alerts: AlertBook, clock: Clock, entropy: Entropy) -> Fitness:
    """What knows the instances that do not work as they are set up."""

    async def recognise(url: InstanceUrl) -> Recognised | Fault | None:
        return await fleet.recognise(url, timeout_s=RECOGNISE_TIMEOUT_S)

    return Fitness(fleet, alerts, clock, entropy, recognise, fleet.withhold)


def all_hear(*saws: Saw) -> Saw:
    """One ear for several."""

    def saw(url: InstanceUrl, phase: Phase | None) -> None:
        for each in saws:
            each(url, phase)

    return saw
