"""What every part of a gateway stands on: the outside world, the fleet, and what is told of it."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from homing.compose.parts.adopting import fleet_of
from homing.compose.parts.joining import fitness_of
from homing.config import Settings
from homing.drivers import Drivers
from homing.flows.background.alerts import AlertBook
from homing.flows.background.observing import Observing
from homing.flows.failover.fitness import Fitness
from homing.flows.operations.exit_proxies import AccountsExitProxies
from homing.ports import Clock, Entropy, Notice
from homing.ports.deliveries.receivers import WaysOut
from homing.routing.roster import LiveFleet
from homing.serve.metrics import Metrics
from homing.store.opened import Stores

Reached = Callable[[str], None]
"""Hears of each milestone of a move: a trial may end the process there."""


@dataclass(frozen=True, slots=True)
class Ground:
    """What is given to a gateway, and the parts that nearly all others are given."""

    settings: Settings
    stores: Stores
    metrics: Metrics
    clock: Clock
    entropy: Entropy
    reached: Reached
    ways: WaysOut
    fleet: LiveFleet
    observing: Observing
    alerts: AlertBook
    exit_proxies: AccountsExitProxies
    fitness: Fitness


def ground_of(
    settings: Settings,
    stores: Stores,
    drivers: Drivers,
    metrics: Metrics,
    clock: Clock,
    entropy: Entropy,
    reached: Reached,
    ways: WaysOut,
) -> Ground:
    fleet, observing, alerts, exit_proxies = fleet_of(settings, stores, drivers, clock)
    fitness = fitness_of(fleet, alerts, clock, entropy)
    given = (settings, stores, metrics, clock, entropy, reached, ways)
    return Ground(*given, fleet, observing, alerts, exit_proxies, fitness)


class Hears(Protocol):
    def hear(self, notice: Notice) -> None: ...


def subscribe(stores: Stores, *parts: Hears) -> None:
    for part in parts:
        stores.notices.subscribe(part.hear)
