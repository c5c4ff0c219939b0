"""Which gateway answers at an address, and does it tell its sessions to the key that it is shown?

Nothing but reading: harmless GETs without any key first, then the list of sessions as the recognised family gives it.
"""

import asyncio
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from homing.model.errors import Code
from homing.model.fleet import Instance, InstanceUrl, ListedSession, NoList, SessionId, SessionList
from homing.model.instances.gateways import Recognised, RecognisedGateway
from homing.model.sends.faults import Fault, Phase
from homing.ports import Driver, InstanceHealth

RECOGNISE_TIMEOUT_S = 10.0
LIST_TIMEOUT_S = 30.0
"""A list of 50 MB takes its time."""
HEALTH_TIMEOUT_S = 5.0


class Certainty(StrEnum):
    """How sure it is which family answers."""

    SURE = "sure"
    """It answers as only this family does, and gives its list as this family does."""
    LIKELY = "likely"
    """It shows no face of its own, and gives its list as this family does."""
    TOLD = "told"
    """The caller says so, and it gives its list as this family does."""


@dataclass(frozen=True, slots=True)
class AskedAddress:
    """What the caller says of an address. `known` is the instance that is there on record, `settled`: and somebody has
    said what it is, or sessions are placed on it."""

    key: str | None = field(default=None, repr=False)
    driver: str | None = None
    known: Instance | None = None
    settled: bool = False
    sessions: tuple[str, ...] = ()
    """Its sessions, where the gateway gives no list of them."""


@dataclass(frozen=True, slots=True)
class FoundGateway:
    """A gateway that answers and lists. `gateway` is what people call it, with its version where it tells."""

    url: InstanceUrl
    family: str
    gateway: str
    version: str | None
    certainty: Certainty
    reason: str
    listing: SessionList
    warning: str | None = None


@dataclass(frozen=True, slots=True)
class NotAdopted:
    """An address where nothing is adopted, and why."""

    url: InstanceUrl
    code: Code
    reason: str


class Recogniser(Protocol):
    """Who can ask what answers at an address, and speak to it."""

    def families(self) -> frozenset[str]: ...

    def recognises(self, family: str) -> bool: ...

    def trying(self, family: str, url: InstanceUrl, key: str | None) -> Driver: ...

    async def recognise(self, url: InstanceUrl, *, timeout_s: float) -> Recognised | Fault | None: ...


@dataclass(frozen=True, slots=True)
class _Taken:
    """The family that it is taken for, and why."""

    family: str
    certainty: Certainty
    reason: str
    gateway: RecognisedGateway | None = None


async def gateway_at(recogniser: Recogniser, url: InstanceUrl, stranger: AskedAddress) -> FoundGateway | NotAdopted:
    """What answers there, with its list; or why there is nothing to adopt."""
    recognised = await recogniser.recognise(url, timeout_s=RECOGNISE_TIMEOUT_S)
    if isinstance(recognised, Fault):
        return _nobody(url, recognised)
    taken = _family(recogniser, url, stranger, recognised)
    if isinstance(taken, _Taken):
        return await _listed(recogniser, url, stranger, taken)
    return await _by_its_list(recogniser, url, stranger) or taken


def _family(
    recogniser: Recogniser, url: InstanceUrl, stranger: AskedAddress, recognised: Recognised | None
) -> _Taken | NotAdopted:
    gateway = recognised.gateway if recognised is not None else None
    if gateway is not None and stranger.driver not in (None, gateway.family):
        detail = f"this is {gateway}, and not {stranger.driver}; name no driver, or {gateway.family}"
        return NotAdopted(url, Code.DRIVER_UNKNOWN, detail)
    if gateway is not None and gateway.family not in recogniser.families():
        return NotAdopted(url, Code.DRIVER_UNKNOWN, f"this is {gateway}; there is no driver for it")
    if gateway is not None:
        return _Taken(gateway.family, Certainty.SURE, f"it answers as only {gateway.name} does", gateway)
    if stranger.driver is not None and (recognised is None or not recogniser.recognises(stranger.driver)):
        return _Taken(stranger.driver, Certainty.TOLD, f"it is said to be {stranger.driver}")
    described = recognised.described if recognised is not None else "something"
    others = sorted(family for family in recogniser.families() if not recogniser.recognises(family))
    told = f"; if it is {' or '.join(others)}, name that driver" if others else ""
    return NotAdopted(url, Code.NO_GATEWAY, f"it is no gateway that Homing knows: {described}{told}")


def _nobody(url: InstanceUrl, fault: Fault) -> NotAdopted:
    if fault.phase is Phase.MISDIRECTED:
        return NotAdopted(
            url, Code.ADDRESS_REFUSED, f"it cannot be an instance: {fault.detail} (HOMING_INSTANCE_NETWORKS)"
        )
    return NotAdopted(url, Code.INSTANCE_FAULT, f"nothing answers there: {fault.category}")


async def _by_its_list(recogniser: Recogniser, url: InstanceUrl, stranger: AskedAddress) -> FoundGateway | None:
    """Some families show nothing to who has no key: with one, their list says what they are."""
    if stranger.key is None or stranger.driver is not None:
        return None
    for family in sorted(each for each in recogniser.families() if not recogniser.recognises(each)):
        taken = _Taken(family, Certainty.LIKELY, f"it shows nothing without a key, and with it lists as {family} does")
        found = await _listed(recogniser, url, stranger, taken)
        if isinstance(found, FoundGateway):
            return found
    return None


async def _listed(
    recogniser: Recogniser, url: InstanceUrl, stranger: AskedAddress, taken: _Taken
) -> FoundGateway | NotAdopted:
    if (known := stranger.known) is not None and known.driver != taken.family and stranger.settled:
        detail = (
            f"it is on record as {known.driver}, and now {taken.reason}; if that is right:"
            f" homing instances set {url} --driver {taken.family}"
        )
        return NotAdopted(url, Code.DRIVER_UNKNOWN, detail)
    driver = recogniser.trying(taken.family, url, stranger.key)
    listing, health = await asyncio.gather(
        driver.sessions(url, timeout_s=LIST_TIMEOUT_S), driver.health(url, timeout_s=HEALTH_TIMEOUT_S)
    )
    why = "its list was read"
    if isinstance(listing, NoList) and listing.fault is None:
        listing, why = await _asked_one_by_one(driver, url, stranger.sessions), "it took the key"
    if isinstance(listing, NoList):
        return _no_list(url, stranger, taken, listing)
    version, warning = taken.gateway.version if taken.gateway is not None else None, None
    if isinstance(health, InstanceHealth):
        version, warning = health.version or version, health.unchecked
    name = taken.gateway.name if taken.gateway is not None else taken.family
    return FoundGateway(
        url,
        taken.family,
        f"{name} {version}" if version else name,
        version,
        taken.certainty,
        f"{taken.reason}, and {why}",
        listing,
        warning,
    )


async def _asked_one_by_one(driver: Driver, url: InstanceUrl, names: tuple[str, ...]) -> SessionList:
    """The sessions that were named, of a gateway that gives no list."""
    rows: dict[SessionId, ListedSession] = {}
    told = [] if names else ["its gateway gives no list of its sessions: name them (--session NAME)"]
    for name in dict.fromkeys(names):
        row = await driver.session(url, SessionId(name), timeout_s=HEALTH_TIMEOUT_S)
        if isinstance(row, Fault):
            told.append(f"the session {name} is not known there: {row.category}")
        else:
            rows[row.session_id] = row
    return SessionList(url, rows, tuple(told))


def _no_list(url: InstanceUrl, stranger: AskedAddress, taken: _Taken, listing: NoList) -> NotAdopted:
    named = str(taken.gateway) if taken.gateway is not None else taken.family
    fault = listing.fault
    if fault is not None and fault.phase is Phase.UNAUTHORISED:
        what = "does not accept this key" if stranger.key is not None else "wants a key"
        told = "; nothing was adopted" if stranger.key is not None else "; give it with --key (--key - asks for it)"
        return NotAdopted(url, Code.KEY_REFUSED, f"this is {named}, and it {what} ({fault.status or 401}){told}")
    return NotAdopted(
        url, Code.INSTANCE_FAULT, f"this is {named}, and it gave no list of its sessions: {listing.category}"
    )
