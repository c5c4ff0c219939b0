"""Which gateways are asked for their lists between the syncs, because their reports do not tell, and how often?"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from homing.decide.starting import linking
from homing.model.fleet import Account, InstanceUrl, SessionId, SessionList


@dataclass(frozen=True, slots=True)
class PollPolicy:
    """`share` is the part of its time that an instance may spend on being asked; 0 asks none. Times in seconds."""

    share: float = 0.005
    least_s: float = 15.0
    most_s: float = 300.0


def is_asked(*, retries: bool, tells_status: bool, connected: bool) -> bool:
    """Whether its reports may leave us without knowing how its sessions stand: it does not tell, what it told once and
    nobody heard is gone, or it tells somebody else."""
    return not (retries and tells_status and connected)


def next_after_s(took_s: float, policy: PollPolicy) -> float | None:
    """How long to leave an instance alone whose list took so long; None: for ever."""
    if policy.share <= 0:
        return None
    return min(max(took_s / policy.share, policy.least_s), policy.most_s)


def changed(listing: SessionList, accounts: Iterable[Account], known: Mapping[SessionId, object]) -> list[SessionId]:
    """The sessions that stand otherwise than our record says, and those that are gone. `known` is what was seen when
    it was last asked: what stands as it did then has been looked at since. `accounts` are those of the list."""
    found = [SessionId(session) for session in known if session not in listing.sessions]
    for account in accounts:
        row = listing.sessions.get(account.session_id)
        if row is None or account.placement.instance_url != listing.instance_url:
            continue
        status = linking.meant(row, account.linking)
        if status is not account.status and known.get(account.session_id) != row.status:
            found.append(account.session_id)
    return found


def seen(listing: SessionList) -> dict[SessionId, object]:
    """What is remembered of a list."""
    return {session: row.status for session, row in listing.sessions.items()}


POLLED = "session_polled"
"""The kind of the hint: nobody reported, and the list has changed."""


def due(last_s: Mapping[InstanceUrl, float], url: InstanceUrl, now_s: float) -> bool:
    """Whether an instance may be asked again. `last_s` says from when on it may."""
    return now_s >= last_s.get(url, 0.0)
