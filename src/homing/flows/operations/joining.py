"""An instance that is to join the fleet: what answers at its address, and does it work?

What is another family's gateway, no gateway, or refuses our key is not let in, unless somebody insists: an instance
that cannot work looks like room for sessions. What does not answer is let in, so that things may boot in any order.
"""

from collections.abc import Collection
from dataclasses import dataclass

from homing.decide.fleet import fitness
from homing.model.errors import Code, Problem
from homing.model.fleet import InstanceUrl, NoList
from homing.model.instances.gateways import DEFAULT_FAMILY, Recognised
from homing.model.sends.faults import Fault, Phase
from homing.ports import Driver

LIST_TIMEOUT_S = 5.0
RECOGNISE_TIMEOUT_S = 8.0
INSIST = '`homing instances add --force` (`"force": true`) lets it join all the same'


@dataclass(frozen=True, slots=True)
class GatewayFound:
    """What was found at the address: what answers, if that is known, and what a person should know of it."""

    gateway: str | None = None
    warning: str | None = None


def family_of(
    url: InstanceUrl, named: str | None, recognised: Recognised | Fault | None, spoken: Collection[str]
) -> str:
    """The family that the instance is to be: the one that was named, else the one that answers there.

    Raises Problem DRIVER_UNKNOWN where nobody speaks that.
    """
    if named is not None:
        return named
    gateway = recognised.gateway if isinstance(recognised, Recognised) else None
    if gateway is None:
        return DEFAULT_FAMILY
    if gateway.family not in spoken:
        detail = f"{url}: this is {gateway}; there is no driver for it yet; {INSIST}"
        raise Problem(Code.DRIVER_UNKNOWN, detail, field="url")
    return gateway.family


async def found_at(
    url: InstanceUrl, family: str, driver: Driver, recognised: Recognised | Fault | None
) -> GatewayFound:
    """What answers there, as an instance of this family.

    Raises Problem DRIVER_UNKNOWN, NO_GATEWAY or KEY_REFUSED for what could not work, ADDRESS_REFUSED for what must not.
    Whoever asks may have chosen the address: they hear what answers there, and nothing of what it says.
    """
    if isinstance(recognised, Fault) and recognised.phase is Phase.MISDIRECTED:
        detail = f"{url} cannot be an instance: {recognised.detail} (HOMING_INSTANCE_NETWORKS)"
        raise Problem(Code.ADDRESS_REFUSED, detail, field="url")
    if isinstance(recognised, Fault):
        return GatewayFound(None, f"nothing answers there yet: {recognised.category}; it is checked as soon as it does")
    gateway = recognised.gateway if recognised is not None else None
    if recognised is not None and gateway is None:
        detail = f"{url} is no gateway that Homing knows: {recognised.described}; {INSIST}"
        raise Problem(Code.NO_GATEWAY, detail, field="url")
    if gateway is not None and gateway.family != family:
        detail = f"{url}: this is {gateway}, and not {family}; name no driver, or {gateway.family}; {INSIST}"
        raise Problem(Code.DRIVER_UNKNOWN, detail, field="driver")
    listing = await driver.sessions(url, timeout_s=LIST_TIMEOUT_S)
    named = str(gateway) if gateway is not None else None
    if not isinstance(listing, NoList):
        return GatewayFound(named)
    if listing.fault is not None and fitness.is_doubtful(listing.fault):
        raise _unusable(url, listing.fault, named)
    return GatewayFound(named, f"its sessions could not be listed: {listing.category}")


def _unusable(url: InstanceUrl, fault: Fault, named: str | None) -> Problem:
    if fault.phase is Phase.UNAUTHORISED:
        detail = (
            f"{url} does not accept our API key ({fault.status or 401}); set WHATSAPP_API_KEY, or its own"
            f" WHATSAPP_INSTANCE_n_API_KEY, to the key that it expects; {INSIST}"
        )
        return Problem(Code.KEY_REFUSED, detail, field="url")
    detail = f"{url} answers as {named or 'a gateway'}, and gives no list of its sessions: {fault.category}; {INSIST}"
    return Problem(Code.NO_GATEWAY, detail, field="url")
