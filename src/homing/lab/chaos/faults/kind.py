"""What a kind of fault is: whom it strikes, and what is promised of it."""

from dataclasses import dataclass, replace
from enum import Enum, auto
from typing import Any

from homing.lab.chaos.faults.actions import Action, nothing
from homing.lab.chaos.ground.equipment import Equipment
from homing.lab.chaos.ground.servers import ON_LINUX
from homing.lab.chaos.stage import OWN_POSTGRES, SQLITE, StageOrder


class Struck(Enum):
    """Whom a fault strikes, and so whose messages tell how it went."""

    INSTANCE = auto()
    GATEWAY = auto()
    ALL = auto()


class Needs(Enum):
    """What a fault takes that not every fleet has."""

    NOTHING = "nothing"
    SQLITE = "SQLite"
    POSTGRES = "PostgreSQL"
    OWN_POSTGRES = "a PostgreSQL of this run's own"
    OWN_DATABASE = "SQLite, or a PostgreSQL of this run's own"
    REDIS = "Redis"
    LINUX = "Linux"
    REAL_ENGINE = "--engine baileys"


@dataclass(frozen=True, slots=True)
class FaultKind:
    """One kind of fault.

    `within_s` is how long it may take until every session that is struck can send again: from the beginning of the
    fault, or (`from_healing`) from its end; `whole_within_s`, until the fleet is whole again, is from its end. Unless
    it `loses`, the fault lasts `holds_s`, and nothing may move.
    """

    name: str
    does: str
    struck: Struck
    inflict: Action
    heal: Action
    within_s: float
    holds_s: float = 0.0
    loses: bool = False
    """The instance's sessions have to come back elsewhere, and the fault lasts until they did, or longer."""
    may_move: bool = False
    once: bool = False
    """No session is moved twice."""
    from_healing: bool = False
    knocks: bool = False
    """Messages under the old epochs go straight to the instance, to wait in its sockets and once it is well again."""
    talks: bool = False
    """The sessions that are struck say one thing after the other; what counts is the longest that one had to wait."""
    fails: bool = True
    """Requests may be answered otherwise than 200, as long as asking again helps."""
    keeps: bool = False
    """Every session stays connected to WhatsApp meanwhile."""
    doubts: bool = False
    """Messages that were on their way may be answered as unknown."""
    anew: bool = False
    """What counts is what the struck sessions begin to say at the fault's end, asked again without delay."""
    whole_within_s: float | None = None
    ends: bool = False
    """A gateway or an instance ends, and another process takes its place."""
    needs: Needs = Needs.NOTHING
    equipment: Equipment = Equipment.NONE
    afterwards: Action = nothing
    """What makes it possible once more, when all is well again."""

    def missing(self, wanted: StageOrder) -> str | None:
        """What the fleet or this machine lacks for it; None if nothing."""
        there = {
            Needs.NOTHING: True,
            Needs.SQLITE: not wanted.on_postgres,
            Needs.POSTGRES: wanted.on_postgres,
            Needs.OWN_POSTGRES: wanted.database == OWN_POSTGRES,
            Needs.OWN_DATABASE: wanted.database in (SQLITE, OWN_POSTGRES),
            Needs.REDIS: wanted.redis,
            Needs.LINUX: ON_LINUX,
            Needs.REAL_ENGINE: wanted.engine is not None and ON_LINUX,
        }
        return self.equipment.lacking() if there[self.needs] else self.needs.value

    @property
    def is_lived_through(self) -> bool:
        """By every process, on a fleet without equipment."""
        return not self.ends and self.equipment is Equipment.NONE

    @property
    def takes(self) -> list[str]:
        """What not every fleet has, in words."""
        needs = [self.needs.value] if self.needs is not Needs.NOTHING else []
        return needs + ([self.equipment.value] if self.equipment is not Equipment.NONE else [])

    def lasting(self, holds_s: float) -> "FaultKind":
        return replace(self, holds_s=holds_s)


def lost(name: str, does: str, inflict: Action, heal: Action, within_s: float, **more: Any) -> FaultKind:
    """One that takes an instance from its sessions."""
    return FaultKind(name, does, Struck.INSTANCE, inflict, heal, within_s, loses=True, **more)


def borne(
    name: str, does: str, inflict: Action, heal: Action, within_s: float, holds_s: float, **more: Any
) -> FaultKind:
    """One that an instance lives through, sessions and all."""
    return FaultKind(name, does, Struck.INSTANCE, inflict, heal, within_s, holds_s, **more)


def gateway(name: str, does: str, inflict: Action, heal: Action, within_s: float, **more: Any) -> FaultKind:
    return FaultKind(name, does, Struck.GATEWAY, inflict, heal, within_s, keeps=True, **more)


def under(name: str, does: str, inflict: Action, heal: Action, within_s: float, **more: Any) -> FaultKind:
    """One that strikes everybody, and that everybody is to bear."""
    return FaultKind(name, does, Struck.ALL, inflict, heal, within_s, keeps=True, doubts=True, **more)
