"""Who may act, until when, and what proves that somebody else cannot?"""

from dataclasses import dataclass

from homing.model.instances.leases import Fence, Incarnation
from homing.model.instances.vault import Granting, Holder, SessionHolding, StaleEpoch


@dataclass(frozen=True, slots=True)
class LeasePolicy:
    """Times of a lease, in seconds.

    A holder renews every `heartbeat_s`, and an unanswered renewal every `repeat_s`. It counts from before it asked, and
    pauses itself `self_fence_s` after the last renewal that succeeded. The store gives the lease away `expiry_s` after
    it. Between the two lies all that the clocks and the network may be off.
    """

    heartbeat_s: float = 1.0
    repeat_s: float = 0.25
    self_fence_s: float = 4.0
    expiry_s: float = 6.0


def unsafe(policy: LeasePolicy) -> str | None:
    """Why these times cannot be safe together, in one sentence; None if they can."""
    if policy.self_fence_s >= policy.expiry_s:
        return (
            f"an instance would pause {policy.self_fence_s:g} s after its last renewal, when its lease has run out"
            f" already (HOMING_LEASE_EXPIRY is {policy.expiry_s:g}); HOMING_LEASE_SELF_FENCE must be shorter"
        )
    if policy.heartbeat_s * 2 > policy.self_fence_s:
        return (
            f"one lost renewal would pause an instance: HOMING_LEASE_SELF_FENCE ({policy.self_fence_s:g}) must be at"
            f" least twice HOMING_LEASE_HEARTBEAT ({policy.heartbeat_s:g})"
        )
    if not 0 < policy.repeat_s <= policy.heartbeat_s:
        return f"HOMING_LEASE_REPEAT ({policy.repeat_s:g}) must be above 0 and at most HOMING_LEASE_HEARTBEAT"
    return None


BEYOND_A_BACKUP = 10**9
"""By so much every epoch rises when a backup was restored. What was granted since is not in it, and nobody knows how
often that was; but not once a second for 31 years. The first digits of an epoch then count the restored backups."""

LIVE_HOLDERS_SPEAK_S = 10.0
"""After the first boot has found a restored database, nothing is opened for so long: whoever was at work all the while
knows counters and logins that the backup lacks, and says them first."""


def outlived_a_backup(own: int, current: int) -> bool:
    """Whether a holder at epoch `own` is refused by a restored backup at `current`, and not by another's grant."""
    return current - own > BEYOND_A_BACKUP // 2


def may_act(asked_s: float | None, now_s: float, policy: LeasePolicy) -> bool:
    """Whether a holder may act: its last renewal that succeeded was asked for at `asked_s`, by a clock that runs on in
    suspend."""
    return asked_s is not None and now_s - asked_s < policy.self_fence_s


@dataclass(frozen=True, slots=True)
class NotFenced:
    """Nothing proves yet that the holder cannot act."""

    reason: str


def fence(holding: SessionHolding | None, *, stopped: bool = False, exited: bool = False) -> Fence | NotFenced:
    """What proves that the session's holder cannot act any more. `holding` is None if the vault does not know it.

    Only engines that reserve in the vault, under their epoch, before their bytes leave can open credentials from it:
    its refusal alone stops them. `stopped`: the holder acknowledged that it stopped the session, and its list agrees.
    `exited`: whoever supervises the holder's process group said that it ended. Refused connections are no proof of
    death, and silence is none.
    """
    if stopped:
        return Fence.STOPPED
    if holding is not None and holding.holder is None:
        return Fence.NONE
    if holding is None or holding.holder is None or not holding.holder.incarnation:
        return Fence.EXITED if exited else NotFenced("its gateway holds no lease, so that its silence proves nothing")
    if holding.holder_ended:
        return Fence.EXITED
    return Fence.LAPSED if holding.lease_left_s <= 0 else Fence.REVOKED


def epoch_to_open(
    wanted: int | None, holder: Holder, *, stored: int, held_by: Holder | None, recorded: int
) -> int | StaleEpoch:
    """The epoch under which `holder` opens a session that the vault has at `stored`, or its refusal.

    `recorded` is the directory's copy. A boot may open again what was granted to it; who names no epoch takes the
    next one, whoever had the last.
    """
    if wanted is None:
        return max(stored, recorded) + 1
    if wanted > stored or (wanted == stored and held_by == holder):
        return wanted
    return StaleEpoch(stored)


def unproven(granting: Granting, holding: SessionHolding | None, there: Incarnation | None) -> NotFenced | None:
    """Why the fence named does not hold by what the store knows now; None if it does.

    `there` is the newest boot known at the address where the session is placed. Only that tells anything of a holder
    that opens no vault. That a holder stopped the session, and that its engine heeds the vault, is the word of whoever
    asks.
    """
    holder = None if holding is None else holding.holder
    if holding is not None and holder is None:
        return None
    if holding is None or holder is None or not holder.incarnation:
        return _unproven_by_its_address(granting, there)
    alive = holding.lease_left_s > 0 and not holding.holder_ended
    if alive and holder.instance_url != granting.expected.instance_url:
        return NotFenced(f"{holder.instance_url} has it, at epoch {holding.epoch}, and is alive: the record is behind")
    match granting.fence:
        case Fence.NONE | Fence.ABSENT:
            return NotFenced(f"{holder.instance_url} has it")
        case Fence.EXITED if not holding.holder_ended:
            return NotFenced(f"nobody said that its holder's boot at {holder.instance_url} has ended")
        case Fence.LAPSED if holding.lease_left_s > 0:
            return NotFenced(f"its holder's lease has {holding.lease_left_s:.1f} s to run")
        case _:
            return None


def _unproven_by_its_address(granting: Granting, there: Incarnation | None) -> NotFenced | None:
    place = granting.expected.instance_url
    match granting.fence:
        case Fence.NONE if place is not None:
            return NotFenced(f"it is placed on {place}, and nothing says that nobody has it")
        case Fence.EXITED if there is not None and there.ended is None:
            return NotFenced(f"nobody said that the newest boot at {place} has ended")
        case Fence.ABSENT if granting.to_url != place:
            return NotFenced(f"it is missing from {place}, and may be opened again only there")
        case Fence.LAPSED if there is None or there.holds_lease:
            return NotFenced(f"no lease of {place} is known to have run out")
        case _:
            return None
