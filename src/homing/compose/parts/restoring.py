"""The part that looks for sessions which gateways without leases lost."""

from typing import Protocol

from homing.config import Settings
from homing.flows.background.alerts import AlertBook
from homing.flows.background.observing import Observing
from homing.flows.discovery.incarnations import Looking
from homing.flows.failover.keeper import Keeper
from homing.flows.failover.restoring import KnownInstances, Restoring
from homing.flows.failover.watching import Watching
from homing.flows.moves.move_jobs import Rehoming
from homing.ports import Clock, Fleet
from homing.store.opened import Stores


class Restorers(Protocol):
    """What brings sessions back."""

    @property
    def watching(self) -> Watching: ...

    @property
    def keeper(self) -> Keeper: ...

    @property
    def rehoming(self) -> Rehoming: ...


def restoring_of(
    settings: Settings,
    stores: Stores,
    fleet: Fleet,
    kept: Restorers,
    observing: Observing,
    alerts: AlertBook,
    clock: Clock,
) -> Restoring:
    """Nothing is started while the brake is engaged, nor before the store is steady."""
    watching, keeper = kept.watching, kept.keeper
    return Restoring(
        stores.directory,
        fleet,
        Looking(fleet, watching.refused_ago_s),
        KnownInstances(watching.boot_of, watching.health_of),
        observing.gate(kept.rehoming),
        stores.work,
        alerts,
        clock,
        settings.restoring_policy,
        lambda: keeper.braked() or watching.may_grant(),
        would=observing.would,
        by_itself=settings.homing_start_missing,
    )
