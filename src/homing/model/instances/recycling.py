"""Instances that are started anew by whoever supervises them, emptied first."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from homing.model.fleet import InstanceUrl


class RecycleState(StrEnum):
    """How far the recycling of an instance is."""

    ASKED = "asked"
    """Its turn has not come: one after the other is done."""
    EMPTYING = "emptying"
    WAITING = "waiting"
    """Its supervisor was told; no new process has come up yet."""
    DONE = "done"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class Recycle:
    """One instance that is to be started anew, why, and how far that is. `id` is given by the store."""

    id: int
    instance_url: InstanceUrl
    asked_at: datetime
    reason: str
    with_gap: bool = False
    """Its process may be ended although sessions are on it that cannot leave: they are away meanwhile."""
    state: RecycleState = RecycleState.ASKED
    incarnation: str | None = None
    """The boot that is to end; None where the gateway does not tell its boots apart."""
    told_at: datetime | None = None
    """When its supervisor was first told."""
    was_away: bool = False
    """Its address did not answer since."""
    stayed: int = 0
    """Sessions that stayed on it."""
    ended_at: datetime | None = None
    result: str = ""

    @property
    def is_open(self) -> bool:
        return self.ended_at is None
