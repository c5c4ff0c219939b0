"""What starts instances anew through whoever supervises them."""

from homing.config import Misconfigured, Settings
from homing.decide.deliveries import signing
from homing.flows.background.alerts import AlertBook
from homing.flows.operations.drain import Drains
from homing.flows.recycling.recycling import Recycling, Supervisor
from homing.ports import Clock, Fleet
from homing.ports.deliveries.egress import Egress
from homing.store.opened import Stores


def recycling_of(
    settings: Settings,
    stores: Stores,
    fleet: Fleet,
    drains: Drains,
    egress: Egress,
    alerts: AlertBook,
    clock: Clock,
) -> Recycling:
    """`egress` reaches operators' own networks. Raises Misconfigured."""
    after_h = settings.homing_recycle_after_hours
    return Recycling(stores.recycles, drains, fleet, egress, alerts, clock, supervisor_of(settings), after_h=after_h)


def supervisor_of(settings: Settings) -> Supervisor | None:
    """Raises Misconfigured where it would be told unsigned."""
    if not settings.homing_supervisor_url:
        return None
    try:
        secret = signing.read(settings.homing_supervisor_secret)
    except ValueError as error:
        raise Misconfigured(f"HOMING_SUPERVISOR_SECRET: {error}") from None
    return Supervisor(settings.homing_supervisor_url, secret)
