"""What asks instances for their sessions, and corrects the record."""

from dataclasses import dataclass

from homing.compose.parts.adopting import adoption_of
from homing.compose.parts.ground import Ground
from homing.compose.parts.keeping import Keepers
from homing.decide.moves.rules import MovePolicy
from homing.flows.background.link_alerts import LinkAlerts
from homing.flows.discovery.listings import Lists
from homing.flows.discovery.phones import Identity
from homing.flows.discovery.rediscover import Rediscovery
from homing.flows.discovery.sync import Sync
from homing.flows.failover.replaced_sessions import TakeBacks
from homing.flows.webhooks.hints import Hints
from homing.serve.gateway import Adoption


@dataclass(frozen=True, slots=True)
class Finders:
    """What finds out where sessions are."""

    take_backs: TakeBacks
    lists: Lists
    rediscovery: Rediscovery
    identity: Identity
    links: LinkAlerts
    sync: Sync
    hints: Hints


def finders_of(on: Ground, kept: Keepers) -> Finders:
    directory, alerts, metrics = on.stores.directory, on.alerts, on.metrics
    wishes, moves = on.observing.gate(kept.rehoming), MovePolicy(on.settings.homing_moves_per_day)
    take_backs = TakeBacks(directory, wishes, on.clock, moves, alerts)
    scan_s, listed = on.settings.homing_scan_timeout, on.fitness.listed
    lists = Lists(on.fleet, on.clock, timeout_s=scan_s, failing=take_backs.listed, heard=listed)
    identity, links = Identity(directory, alerts), LinkAlerts(alerts)
    clocks = (on.clock, on.entropy, metrics)
    return Finders(
        take_backs,
        lists,
        Rediscovery(directory, lists, *clocks, kept.keeper.missed, alerts),
        identity,
        links,
        Sync(directory, lists, *clocks, identity, links, alerts, on.observing.watched),
        Hints(directory, lists, *clocks, kept.news, identity, links, alerts),
    )


def adoption_on(on: Ground, found: Finders) -> Adoption:
    """What takes in gateways that run already."""
    ours = (on.fleet, on.observing, on.fitness, found.lists, found.identity)
    return adoption_of(on.settings, on.stores, *ours, on.clock, on.entropy, on.metrics)
