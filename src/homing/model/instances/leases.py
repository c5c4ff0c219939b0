"""The right of one boot of an instance to act: its lease, and how that ends."""

from dataclasses import dataclass
from enum import StrEnum
from typing import NewType

from homing.model.fleet import InstanceUrl

IncarnationId = NewType("IncarnationId", str)
"""One boot of an instance, by a random name. The same address started again is another incarnation."""


class Ended(StrEnum):
    """How an incarnation ended, where somebody said so. One whose lease merely ran out has not ended: it may return."""

    LEFT = "left"
    """It stopped in order, and said so itself."""
    EXITED = "exited"
    """Whoever supervises its whole process group said that none of it runs any more."""


class Fence(StrEnum):
    """Why an older epoch can certainly not act any more."""

    NONE = "none"
    """Nobody held the session: there was nothing to fence."""
    REVOKED = "revoked"
    """The vault refuses the older epoch. Enough for engines that reserve there before their bytes leave."""
    STOPPED = "stopped"
    """The holder acknowledged that it stopped the session, and its list does not name it any more."""
    EXITED = "exited"
    ABSENT = "absent"
    """Its instance began anew and has it not, nor has any other that could: it may be started there again."""
    LAPSED = "lapsed"
    """A full lease was waited out."""


@dataclass(frozen=True, slots=True)
class StoreIdentity:
    """Which history of which store this is: on PostgreSQL its system identifier and timeline.

    Another one than before means that the newest commits may be gone.
    """

    system: str
    timeline: int


@dataclass(frozen=True, slots=True)
class Renewed:
    """The incarnation holds its lease anew.

    `revoked` counts the grants taken from it since it began: when that rises, it is to look which sessions it still
    holds. `was_lapsed`: the lease had run out before.
    """

    revoked: int
    was_lapsed: bool
    store: StoreIdentity


@dataclass(frozen=True, slots=True)
class Incarnation:
    """One boot of an instance, as the store's clock sees it at the moment of asking."""

    id: IncarnationId
    instance_url: InstanceUrl
    renewed_ago_s: float
    lease_left_s: float
    """Below zero once the lease ran out."""
    began_ago_s: float
    ended: Ended | None = None
    answered_ago_s: float | None = None
    """Since when it has answered no gateway's call, by its own word with its newest renewal; None: it does not tell."""

    @property
    def holds_lease(self) -> bool:
        return self.ended is None and self.lease_left_s > 0


@dataclass(frozen=True, slots=True)
class Heartbeats:
    """The newest boot at each address, and which history of which store they stand in."""

    boots: tuple[Incarnation, ...]
    store: StoreIdentity
