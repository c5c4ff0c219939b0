"""Which of the sessions that an instance lists are not placed on it, and what is known of each?

A stray is shown and nothing more. Its phone says whose it probably is and never where an account's session is: one
phone may rightly have several linked devices.
"""

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from enum import StrEnum

from homing.decide.knowledge.identity import phone_of
from homing.decide.phones.aliases import person
from homing.model.fleet import InstanceUrl, ListedSession, Placement, PlacementState, SessionId


class StrayKind(StrEnum):
    """Why a session is a stray."""

    UNKNOWN = "unknown"
    """No account has it."""
    ELSEWHERE = "elsewhere"
    """It is an account's, which is placed on another instance or on none."""
    SAME_PHONE = "same_phone"
    """No account has it, and an account has its phone, with another session."""


@dataclass(frozen=True, slots=True)
class Owner:
    """An account that a stray may have to do with."""

    account_id: int
    session_id: SessionId
    placement: Placement


@dataclass(frozen=True, slots=True)
class Stray:
    """One session that its instance lists and that is not placed there. `account_id` is whose it is, or whose phone."""

    instance_url: InstanceUrl
    row: ListedSession
    kind: StrayKind
    reason: str
    account_id: int | None = None

    @property
    def session_id(self) -> SessionId:
        return self.row.session_id


def strays(url: InstanceUrl, rows: Iterable[ListedSession], owners: Mapping[SessionId, Owner]) -> list[Stray]:
    """Those of an instance's rows that are not placed on it, by session. One that is on its way is at home in both."""
    found: list[Stray] = []
    for row in sorted(rows, key=lambda row: row.session_id):
        owner = owners.get(row.session_id)
        if owner is None:
            found.append(Stray(url, row, StrayKind.UNKNOWN, "no account has it"))
        elif owner.placement.instance_url != url and owner.placement.state is PlacementState.HELD:
            where = owner.placement.instance_url or "no instance"
            reason = f"it is the session of account {owner.account_id}, which is placed on {where}"
            found.append(Stray(url, row, StrayKind.ELSEWHERE, reason, owner.account_id))
    return found


def persons(strays: Collection[Stray]) -> set[str]:
    """Whose phones the unknown ones have."""
    phones = (phone_of(stray.row.phone) for stray in strays if stray.kind is StrayKind.UNKNOWN and stray.row.phone)
    return {person(phone) for phone in phones if phone is not None}


def recognised(stray: Stray, accounts: Mapping[str, int]) -> Stray:
    """The stray, of which it is known by now which account has its phone; `accounts` are by person."""
    phone = phone_of(stray.row.phone) if stray.row.phone else None
    account_id = accounts.get(person(phone)) if phone is not None else None
    if stray.kind is not StrayKind.UNKNOWN or account_id is None:
        return stray
    reason = f"its phone {phone} is that of account {account_id}, which has another session"
    return Stray(stray.instance_url, stray.row, StrayKind.SAME_PHONE, reason, account_id)
