"""How accounts go deaf, and what brings them back."""

from dataclasses import dataclass
from enum import StrEnum
from random import Random

from homing.lab.deaf.lives import DAY_S, HOUR_S, WARM_UP_S, Profile
from homing.model.fleet import DeafPolicy, InstanceMode
from homing.model.sessions.hearing import Rung


class Breakage(StrEnum):
    """What stops of a session that says connected."""

    EVENTS_STOPPED = "events_stopped"
    """Nothing is reported any more, neither messages nor acknowledgements."""
    SWALLOWS = "swallows"
    """Nothing comes, and what goes out stays pending for ever."""
    DEAD_ENGINE = "dead_engine"
    """The same, and the family's deeper question tells."""
    NOTHING_COMES = "nothing_comes"
    """Messages are not reported any more; acknowledgements are."""


_HEALS = {
    Breakage.EVENTS_STOPPED: (Rung.RESUBSCRIBE, Rung.RECONNECT, Rung.RESTART, Rung.RECYCLE),
    Breakage.SWALLOWS: (Rung.RECONNECT, Rung.RESTART, Rung.REHOME, Rung.RECYCLE),
    Breakage.DEAD_ENGINE: (Rung.RESTART, Rung.REHOME, Rung.RECYCLE),
    Breakage.NOTHING_COMES: (Rung.RESUBSCRIBE, Rung.RESTART),
}
MENDED_BY_A_PERSON_S = 6 * HOUR_S
"""After the alert with all that was tried."""


@dataclass(frozen=True, slots=True)
class DeafTime:
    """From when an account is deaf, how, and from which rung on trying helps."""

    begins_s: float
    breakage: Breakage
    helps: Rung


@dataclass(frozen=True, slots=True)
class GatewayKind:
    """What can be done with a session of its gateway, and how far Homing may go."""

    name: str
    looks_deeper: bool
    resubscribes: bool
    reconnects: bool
    restarts: bool
    fenced: bool
    recycles: bool
    acknowledges: bool
    policy: DeafPolicy
    weight: int
    mode: InstanceMode = InstanceMode.ROUTE


FAMILIES = (
    GatewayKind("ours", False, False, True, True, True, False, True, DeafPolicy.FULL, 3),
    GatewayKind("sets-webhooks", True, True, True, True, False, False, True, DeafPolicy.RESTART, 3),
    GatewayKind("recycled", True, True, False, True, False, True, True, DeafPolicy.FULL, 2),
    GatewayKind("only-said", False, True, True, True, False, False, True, DeafPolicy.OBSERVE, 2),
    GatewayKind("observed", True, False, False, False, False, False, False, DeafPolicy.FULL, 1, InstanceMode.OBSERVE),
)


def deaf_times(chance: Random, profile: Profile, family: GatewayKind) -> list[DeafTime]:
    """One in three weeks or so, at any hour of day or night."""
    found = []
    at = max(profile.born_s, WARM_UP_S + DAY_S if profile.has_past else 0.0) + chance.expovariate(1 / (21 * DAY_S))
    while at < profile.ends_s:
        kinds = [each for each in Breakage if family.looks_deeper or each is not Breakage.DEAD_ENGINE]
        weights = [{Breakage.NOTHING_COMES: 0.1}.get(each, 1.0) for each in kinds]
        breakage = chance.choices(kinds, weights)[0]
        found.append(DeafTime(at, breakage, chance.choice(_HEALS[breakage])))
        at += 2 * DAY_S + chance.expovariate(1 / (21 * DAY_S))
    return found


def helps(deaf: DeafTime, rung: Rung) -> bool:
    """Whether this rung brings it back: those above the one that helps do, so far as they are of use for it at all."""
    heals = _HEALS[deaf.breakage]
    return rung in heals and heals.index(rung) >= heals.index(deaf.helps)
