"""What keeps sessions where they work: watching, judging, and bringing elsewhere what is lost."""

from dataclasses import dataclass

from homing.compose.parts.ground import Ground
from homing.compose.parts.joining import connecting_of
from homing.compose.parts.recycling import recycling_of
from homing.config import Settings
from homing.decide.fleet.health import HealthPolicy
from homing.flows.background.alerts import AlertBook
from homing.flows.background.worker import Duty, Worker
from homing.flows.discovery.wakeups import News
from homing.flows.failover.automation import Automation
from homing.flows.failover.exits import Exits
from homing.flows.failover.keeper import Keeper, KeeperPolicy
from homing.flows.failover.watching import Watching, WatchPolicy
from homing.flows.moves.batch import RehomePolicy
from homing.flows.moves.move_jobs import KIND as REHOME
from homing.flows.moves.move_jobs import PATIENCE as REHOME_PATIENCE
from homing.flows.moves.move_jobs import Rehoming, WishList
from homing.flows.moves.prospects import Prospects
from homing.flows.operations.abilities import AbilitiesOf
from homing.flows.operations.drain import Drains
from homing.flows.operations.migrate import Migrations
from homing.flows.operations.plans import MovePlans
from homing.flows.operations.rebalance import Balance
from homing.model.alerts import FLEET, AlertKind
from homing.model.fleet import InstanceUrl
from homing.model.instances.health import shown_state
from homing.ports import TellHearing
from homing.routing.roster import LiveFleet
from homing.serve.gateway import Moving
from homing.store.opened import Stores


@dataclass(frozen=True, slots=True)
class Keepers:
    """What brings sessions back."""

    news: News
    watching: Watching
    rehoming: Rehoming
    keeper: Keeper
    worker: Worker
    automation: Automation


def keepers_of(on: Ground) -> Keepers:
    settings, stores = on.settings, on.stores
    news = News()
    watch, wrong = _watch_policy(settings), on.fitness.misconfigured
    watching = Watching(stores.leases, on.fleet, on.clock, on.entropy, watch, wrong, on.alerts, on.metrics.lagged)
    rehoming = Rehoming(
        stores.directory,
        stores.grants,
        stores.leases,
        on.fleet,
        stores.work,
        watching,
        on.clock,
        on.entropy,
        on.metrics,
        RehomePolicy(
            settings.homing_logins_per_instance,
            settings.homing_logins_fleet,
            opens_fleet=settings.homing_starts_fleet,
            restoring=settings.restoring_policy,
        ),
        on.reached,
        on.alerts,
        braked=lambda: keeper.braked(),
    )
    keep = KeeperPolicy(by_itself=settings.homing_auto_rehome)
    wishes = on.observing.gate(rehoming)
    automation = Automation(stores.steering, on.clock, allowed=settings.homing_auto_rehome)
    keeper = Keeper(
        watching,
        wishes,
        stores.directory,
        on.fleet,
        news,
        on.clock,
        keep,
        on.alerts,
        may_act=automation.is_on,
    )
    duty = Duty(together=rehoming.do, policy=REHOME_PATIENCE, at_once=1_000, lease_s=3.0, poll_s=1.0)
    worker = Worker(stores.work, on.clock, on.entropy, REHOME, duty, owner=on.entropy.uuid())
    kept = Keepers(news, watching, rehoming, keeper, worker, automation)
    _show(on, kept)
    return kept


def _watch_policy(settings: Settings) -> WatchPolicy:
    return WatchPolicy(
        health=HealthPolicy(lease=settings.lease_policy, probe_timeout_s=settings.homing_probe_timeout),
        probe_every_s=settings.homing_probe_every,
        probe_timeout_s=settings.homing_probe_timeout,
    )


def _show(on: Ground, kept: Keepers) -> None:
    """Let every scrape see how the fleet is judged."""
    on.stores.notices.watch_hearing(_hearing(on.alerts))

    def states() -> dict[InstanceUrl, str]:
        wrong = on.fitness.misconfigured()
        return {url: shown_state(judged, url in wrong) for url, judged in kept.watching.judged().items()}

    on.metrics.watch(
        states,
        braked=lambda: kept.keeper.braked() is not None,
        waiting=lambda: kept.news.waiting,
        alerts=on.alerts.counts,
    )


def _hearing(alerts: AlertBook) -> TellHearing:
    """Let it stand as an alert that this gateway does not hear what others change."""

    def tell(deaf: str | None) -> None:
        if deaf is None:
            alerts.resolved(AlertKind.NOTICES_UNHEARD, FLEET)
        else:
            alerts.raised(AlertKind.NOTICES_UNHEARD, FLEET, deaf)

    return tell


def moving_of(on: Ground, kept: Keepers) -> Moving:
    """What people may want moved."""
    stores, fleet, clock = on.stores, on.fleet, on.clock
    directory, grants = stores.directory, stores.grants
    watching, wishes, braked = kept.watching, kept.rehoming, kept.keeper.braked
    drains = Drains(directory, fleet, stores.work, wishes, clock)
    balance = Balance(directory, fleet, grants, watching, wishes, on.settings.rebalance_policy, braked)
    prospects = Prospects(directory, fleet, grants, watching)
    steered = (stores.steering, directory, fleet, stores.work, wishes, balance, prospects)
    return Moving(
        abilities=AbilitiesOf(fleet),
        connecting=connecting_of(on.settings, stores, fleet, watching, clock, on.exit_proxies),
        drains=drains,
        exits=Exits(directory, grants, stores.leases, wishes, fleet),
        migrations=Migrations(directory, fleet, grants, watching, wishes),
        balance=balance,
        prospects=prospects,
        plans=MovePlans(*steered, clock, on.entropy, braked),
        automation=kept.automation,
        recycling=recycling_of(on.settings, stores, fleet, drains, on.ways.operators, on.alerts, clock),
    )


def exits_on(stores: Stores, fleet: LiveFleet | None = None) -> Exits:
    """For those who say that an instance exited; with a fleet it is asked first whether it still answers."""
    return Exits(stores.directory, stores.grants, stores.leases, WishList(stores.work), fleet)
