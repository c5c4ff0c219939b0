"""A session is to live elsewhere: what is the next step towards that?

Nothing here remembers anything: each step follows from the record of the placement, from the vault, and from the wish,
so that any gateway can go on where another one died.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from homing.decide.fleet import leases
from homing.decide.fleet.leases import NotFenced
from homing.decide.moves import movable, rules
from homing.decide.moves.rules import MovePolicy, MoveWish, Resident
from homing.model.fleet import (
    Account,
    Epoch,
    InstanceUrl,
    MoveKind,
    Placement,
    PlacementState,
    SessionId,
)
from homing.model.instances.leases import Fence, Incarnation
from homing.model.instances.vault import SessionHolding
from homing.model.work import Job, JobState


class MoveCause(StrEnum):
    """Why a session is to live elsewhere."""

    GONE = "gone"
    """Its instance is down."""
    EXITED = "exited"
    """Whoever supervises its instance said that it ended."""
    RESTORE = "restore"
    """Its instance began anew and does not have it: it is started there again, and lives nowhere else."""
    MISSING = "missing"
    """Its instance is well and does not have it."""
    REPLACED = "replaced"
    """Somebody else logged in with its credentials; it is taken back, once."""
    DRAIN = "drain"
    BALANCE = "balance"
    REQUEST = "request"
    LOST = "lost"
    """An operator wants it back from an instance that does not serve it."""


BY_ITSELF = frozenset({MoveCause.GONE, MoveCause.EXITED, MoveCause.MISSING})
"""What nobody asked for: only sessions with `takeover: auto` are moved for it."""
PLANNED = frozenset({MoveCause.DRAIN, MoveCause.BALANCE, MoveCause.REQUEST})
"""The holder is alive: it is told to stop first, so that nothing is cut off in the middle."""

_WISHES = {
    MoveCause.GONE: MoveWish.LOST,
    MoveCause.EXITED: MoveWish.LOST,
    MoveCause.RESTORE: MoveWish.LOST,
    MoveCause.MISSING: MoveWish.LOST,
    MoveCause.REPLACED: MoveWish.OPERATOR,
    MoveCause.DRAIN: MoveWish.DRAIN,
    MoveCause.BALANCE: MoveWish.BALANCE,
    MoveCause.REQUEST: MoveWish.OPERATOR,
    MoveCause.LOST: MoveWish.OPERATOR,
}


@dataclass(frozen=True, slots=True)
class MoveRequest:
    """That a session move away from where it was when the wish was made, to `to_url` or wherever there is room."""

    session_id: SessionId
    cause: MoveCause
    reason: str
    from_url: InstanceUrl | None
    from_epoch: Epoch
    to_url: InstanceUrl | None = None
    urgent: bool = False
    """Somebody waits for it."""
    forced: bool = False
    """A person insists, and answers for it."""
    trace_id: str | None = None
    """Of the request that the wish came of."""

    @property
    def move(self) -> MoveKind:
        if self.cause is MoveCause.REPLACED:
            return MoveKind.TAKE_BACK
        if self.cause is MoveCause.RESTORE:
            return MoveKind.PLACEMENT
        return MoveKind.MIGRATION if self.cause in PLANNED else MoveKind.REHOME

    def payload(self) -> dict[str, Any]:
        """As it is kept with the job."""
        return {
            "session_id": self.session_id,
            "cause": self.cause.value,
            "reason": self.reason,
            "from_url": self.from_url,
            "from_epoch": self.from_epoch,
            "to_url": self.to_url,
            "forced": self.forced,
            **({"trace_id": self.trace_id} if self.trace_id is not None else {}),
        }

    @classmethod
    def of(cls, payload: Mapping[str, Any]) -> "MoveRequest":
        return cls(
            SessionId(payload["session_id"]),
            MoveCause(payload["cause"]),
            payload["reason"],
            payload["from_url"],
            Epoch(payload["from_epoch"]),
            payload["to_url"],
            forced=payload["forced"],
            trace_id=payload.get("trace_id"),
        )


@dataclass(frozen=True, slots=True)
class Obstacle:
    """What stands in the way of a session that is to be elsewhere."""

    reason: str
    no_room: bool = False


NO_ROOM = "no instance has room: "


def obstacle(job: Job | None) -> Obstacle | None:
    """What the newest job of the session says about why it is not there yet."""
    if job is None or job.state is JobState.DONE or not job.reason:
        return None
    return Obstacle(job.reason, no_room=job.reason.startswith(NO_ROOM))


@dataclass(frozen=True, slots=True)
class MoveFacts:
    """What is known of the session at this moment.

    `lives` are the boots that hold a lease, by address; `down` the instances that are judged to be down; `exited` those
    that were said to have exited and have not been heard of since.
    """

    account: Account | None
    holding: SessionHolding | None
    lives: Mapping[InstanceUrl, Incarnation]
    down: Collection[InstanceUrl] = ()
    exited: Collection[InstanceUrl] = ()
    stopped: bool = False
    """The holder acknowledged in this very attempt that it stopped the session."""


@dataclass(frozen=True, slots=True)
class Over:
    """There is nothing (more) to do."""

    reason: str


@dataclass(frozen=True, slots=True)
class NotMoved:
    """It is not moved, and why; somebody has to do something first."""

    reason: str


@dataclass(frozen=True, slots=True)
class MarkMoving:
    """Let new messages wait: the session is about to be stopped where it is."""

    placement: Placement


@dataclass(frozen=True, slots=True)
class Stop:
    """Tell its holder to stop it, politely."""

    placement: Placement


@dataclass(frozen=True, slots=True)
class Give:
    """Grant it to another incarnation. `fence` is why the holder until now cannot act."""

    placement: Placement
    fence: Fence


@dataclass(frozen=True, slots=True)
class StartOnTarget:
    """It is granted; its target has to open it."""

    placement: Placement


@dataclass(frozen=True, slots=True)
class Adopt:
    """Somebody alive opened it already, under a higher epoch than the record's: the record is to follow the vault."""

    placement: Placement
    url: InstanceUrl
    epoch: Epoch
    reason: str


Step = Over | NotMoved | Adopt | MarkMoving | Stop | Give | StartOnTarget


def next_step(wish: MoveRequest, known: MoveFacts) -> Step:
    """What to do next for one session."""
    account = known.account
    if account is None:
        return Over("its account does not exist any more")
    placement = account.placement
    if (ended := rules.not_running(account.status)) is not None:
        return NotMoved(ended)
    if placement.instance_url is None:
        return Over("it is placed nowhere")
    if (placement.instance_url, placement.epoch) != (wish.from_url, wish.from_epoch):
        return _under_way(placement, known)
    if wish.cause is MoveCause.RESTORE:
        return _restored(placement, known)
    if (adopted := _opened_by_another(placement, known)) is not None:
        return adopted
    if (refused := _refused(wish, account)) is not None:
        return NotMoved(refused)
    if wish.cause in PLANNED and not known.stopped and placement.instance_url not in known.down:
        return MarkMoving(placement) if placement.state is PlacementState.HELD else Stop(placement)
    return _give(placement, known, exited=wish.cause is MoveCause.EXITED)


def _restored(placement: Placement, known: MoveFacts) -> Give | NotMoved:
    """It is granted to its own instance. Whether that may open it is judged by the lists (see `decide.restoring`)."""
    if known.holding is not None:
        return NotMoved("its login is in the vault: it is brought back by its leases")
    if placement.state is PlacementState.MOVING:
        return NotMoved("it is on its way already")
    return Give(placement, Fence.ABSENT)


def leaves(wish: MoveRequest, known: MoveFacts) -> bool:
    """Whether it has to go to another address.

    An instance that is gone still has a lease for a while; only if another boot lives there by now may it come back.
    """
    if wish.cause in PLANNED:
        return True
    if wish.cause in (MoveCause.MISSING, MoveCause.REPLACED, MoveCause.RESTORE) or wish.from_url is None:
        return False
    life, holding = known.lives.get(wish.from_url), known.holding
    holder = holding.holder if holding is not None else None
    return life is None or holder is None or holder.incarnation == life.id


def _refused(wish: MoveRequest, account: Account) -> str | None:
    url = account.placement.instance_url
    assert url is not None
    session = Resident(account.session_id, url, takeover=account.takeover)
    refused = rules.may_move(session, _WISHES[wish.cause], MovePolicy(), forced=wish.forced)
    return None if refused is None else refused.reason


def _under_way(placement: Placement, known: MoveFacts) -> Step:
    """The record has changed since the wish: by us, on the way to the target, or by somebody else."""
    url = placement.instance_url
    assert url is not None
    if placement.state is PlacementState.HELD:
        return Over(f"it lives on {url}, under epoch {placement.epoch}")
    if not _can_still_start(placement, url, known):
        return _give(placement, known)
    return StartOnTarget(placement)


def _opened_by_another(placement: Placement, known: MoveFacts) -> Adopt | None:
    holding = known.holding
    if holding is None or holding.epoch <= placement.epoch or holding.holder is None:
        return None
    url = InstanceUrl(holding.holder.instance_url)
    life = known.lives.get(url)
    if life is None or life.id != holding.holder.incarnation or url in known.down:
        return None
    reason = f"by the vault {url} opened it under epoch {holding.epoch}"
    return Adopt(placement, url, holding.epoch, reason)


def _can_still_start(placement: Placement, url: InstanceUrl, known: MoveFacts) -> bool:
    """Whether the boot to which the session was granted lives, and has its grant still."""
    life, holding = known.lives.get(url), known.holding
    if holding is None:
        return url not in known.down and url not in known.exited
    granted_to = holding.holder.incarnation if holding.holder is not None else None
    return url not in known.down and life is not None and life.id == granted_to and holding.epoch == placement.epoch


def _give(placement: Placement, known: MoveFacts, *, exited: bool = False) -> Give | NotMoved:
    holding = known.holding
    if holding is not None and not holding.has_login:
        return NotMoved("no phone is linked to it: there is nothing to open elsewhere")
    url = placement.instance_url
    fence = leases.fence(holding, stopped=known.stopped, exited=exited or url in known.exited)
    if isinstance(fence, NotFenced):
        advice = "" if url is None else f"; {movable.unfenced(url, answers=url not in known.down)}"
        return NotMoved(f"{fence.reason}{advice}")
    return Give(placement, fence)
