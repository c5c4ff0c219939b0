"""May a login leave this vault, or come into it? Nobody else may be using it: of two who do, each ruins the other."""

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum

from homing.decide.phones.aliases import same_person
from homing.model.fleet import Account, InstanceUrl, ListedSession, Listing, NoList, SessionList, SessionStatus
from homing.model.instances.vault import SessionHolding
from homing.model.sends.faults import Fault, Phase

RISK = (
    "two programs with one login end each other's connections and use up each other's keys: chats become unreadable,"
    " and WhatsApp may remove the device"
)
_USED = {
    SessionStatus.CONNECTED: "is connected",
    SessionStatus.STARTING: "is starting",
    SessionStatus.UNKNOWN: "is in a state that nobody understands",
    SessionStatus.QUARANTINED: "is used by a stranger",
}
"""Statuses that do not show that a session's login is used by nobody, in words."""


class LoginOrigin(StrEnum):
    """Where a login comes from."""

    EXPORT = "export"
    """A Homing wrote it out, and ended its grant with that."""
    FOLDER = "folder"
    """Another program kept it, and may be running."""


@dataclass(frozen=True, slots=True)
class ProvenStopped:
    """Whoever used the login until now cannot, and what shows it.

    `may_pass`: its gateway says so, which makes a lost connection anew by itself; it has to say so twice.
    """

    how: str
    may_pass: bool = False


@dataclass(frozen=True, slots=True)
class CarryingRefused:
    """The login stays where it is. `code` is stable; the reason says what to do."""

    code: str
    reason: str


@dataclass(frozen=True, slots=True)
class OldHolder:
    """What is known of who uses a login. `phone` is whose it is; `placed_on` where its account is, if on a gateway that
    keeps logins to itself, and `answered` what that one said when it was asked after this session alone: a list may be
    older, and some give none. `said`: somebody vouches that it is stopped.
    """

    origin: LoginOrigin
    session_id: str
    phone: str | None
    placed_on: InstanceUrl | None
    lists: Mapping[InstanceUrl, Listing]
    answered: ListedSession | Fault | None = None
    said: bool = False


def old_holder_stopped(known: OldHolder) -> ProvenStopped | CarryingRefused:
    """Whether the login's holder until now is proven stopped. What shows it as connected outweighs any word."""
    for url, row in _of_it(known):
        used = _USED.get(row.status)
        if used is None or (known.said and row.status is SessionStatus.UNKNOWN):
            continue
        detail = (
            f"{url} says that session {row.session_id} {used}: stop it there without logging it out, see that nothing"
            f" starts it again, and import then; {RISK}"
        )
        return CarryingRefused("login_in_use", detail)
    if known.origin is LoginOrigin.EXPORT:
        return ProvenStopped("its export ended the grant that it was used under")
    if (told := _told_by_its_gateway(known)) is not None:
        return ProvenStopped(f"{known.placed_on} says that it is {told}", may_pass=True)
    if known.said:
        return ProvenStopped("somebody vouched for it with --stopped")
    asked = (
        f"{known.placed_on} could not be asked"
        if known.placed_on is not None
        else "no other gateway is known to have it"
    )
    return CarryingRefused(
        "not_proven_stopped",
        f"Nothing shows that the program which used this login is stopped: {asked}. Stop it, see that nothing starts it"
        f" again, and say --stopped; {RISK}",
    )


def _of_it(known: OldHolder) -> list[tuple[InstanceUrl, ListedSession]]:
    """All that is said of this login, by the session or by the phone, and who says it."""
    told = [(url, row) for url, listing in known.lists.items() for row in _listed(known, listing)]
    if known.placed_on is not None and isinstance(known.answered, ListedSession):
        told.append((known.placed_on, known.answered))
    return told


def _listed(known: OldHolder, listing: Listing) -> list[ListedSession]:
    if isinstance(listing, NoList):
        return []
    return [
        row
        for row in listing.sessions.values()
        if row.session_id == known.session_id
        or (row.phone is not None and known.phone is not None and same_person(row.phone, known.phone))
    ]


def _told_by_its_gateway(known: OldHolder) -> str | None:
    """As what its gateway has the session, none of whose words is that it is used; None: it cannot be asked.

    That it is not there at all counts only with a list that says so too: a proxy can say that as well.
    """
    listing = known.lists.get(known.placed_on) if known.placed_on is not None else None
    match known.answered:
        case ListedSession(status=status):
            return status.value.replace("_", " ")
        case Fault(phase=Phase.SESSION_NOT_FOUND) if isinstance(listing, SessionList):
            rows = _listed(known, listing)
            return rows[0].status.value.replace("_", " ") if rows else "not there"
        case _:
            return None


def may_leave(holding: SessionHolding | None) -> CarryingRefused | None:
    """Why a session is not taken out of the vault now; None: it may be."""
    if holding is None or not holding.has_login:
        return CarryingRefused("no_login", "There is no login of this session in the vault: there is nothing to export")
    if _is_held(holding) and holding.holder is not None:
        return CarryingRefused(
            "session_in_use",
            f"{holding.holder.instance_url} has the session open: stop it first with `homing accounts stop`",
        )
    return None


def may_enter(holding: SessionHolding | None, *, replace: bool) -> CarryingRefused | None:
    """Why no login of this session is taken into the vault now; None: one may be."""
    if holding is None:
        return None
    if _is_held(holding) and holding.holder is not None:
        return CarryingRefused(
            "session_in_use",
            f"{holding.holder.instance_url} has the session open: stop it first with `homing accounts stop`",
        )
    if holding.has_login and not replace:
        return CarryingRefused(
            "login_exists",
            "There is a login of this session in the vault already; --replace throws that one away, for good",
        )
    return None


def whose(account: Account | None, phone: str | None) -> CarryingRefused | None:
    """Why a login of this phone is not the account's; None: it is, or nobody can tell."""
    if account is None or phone is None or account.person is None or same_person(account.person, phone):
        return None
    detail = f"The login is of {phone}, and account {account.id} is {account.phone}: name the right account"
    return CarryingRefused("phone_mismatch", detail)


def _is_held(holding: SessionHolding) -> bool:
    """By a boot that may act. One that ended, or whose lease is over, the vault refuses from the next grant on."""
    return holding.holder is not None and not holding.holder_ended and holding.lease_left_s > 0
