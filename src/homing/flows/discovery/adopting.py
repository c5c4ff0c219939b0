"""Taking up sessions that instances run already: an account is made for one, and its record says where it is.

Nothing is started, stopped or paired by it. The session keeps its id, its login and its instance.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import assert_never

import structlog

from homing.decide.knowledge import adoption
from homing.decide.knowledge.adoption import Adoption, NotListed, OfOthers, Several, TakeUp
from homing.flows.discovery.corrections import correct
from homing.flows.discovery.listings import Lists
from homing.flows.discovery.phones import Identity
from homing.model.errors import Code, Problem
from homing.model.fleet import (
    Account,
    Epoch,
    InstanceUrl,
    ListedSession,
    Listing,
    MoveKind,
    NoList,
    Rebinding,
    SessionId,
    SessionList,
    SessionStatus,
    WorkspaceId,
)
from homing.model.sends.faults import Fault
from homing.ports import Clock, Directory, Meters, NameTaken

log = structlog.get_logger("homing")

UP = frozenset({SessionStatus.CONNECTED, SessionStatus.STARTING, SessionStatus.PAIRING, SessionStatus.UNKNOWN})
"""A session that is listed so runs: a second start could make a second client of the same login."""


@dataclass(frozen=True, slots=True)
class Sought:
    """A session that is to be taken up: on this instance, or wherever it is listed. `starts`: or else be started.

    `allowed` is the workspace whose sessions the caller may take up; None: anybody's.
    """

    session_id: SessionId
    instance_url: InstanceUrl | None
    allowed: WorkspaceId | None
    starts: bool = False


class Adopting:
    """Looks for sessions, and places accounts where they are."""

    def __init__(
        self,
        directory: Directory,
        lists: Lists,
        identity: Identity,
        clock: Clock,
        meters: Meters,
        taken: Callable[[SessionId], str],
    ) -> None:
        """`taken` is what is said of a session that somebody has."""
        self._directory, self._lists, self._identity = directory, lists, identity
        self._clock, self._meters, self._taken = clock, meters, taken

    async def look(self, sought: Sought) -> TakeUp | None:
        """Where the session is, before anything is changed; None if it may be created and is nowhere.

        Raises Problem and NameTaken where an account for it must not come to be.
        """
        if sought.instance_url is not None:
            return await self._there(sought, sought.instance_url)
        return self._judged(sought, adoption.adoption(sought.session_id, await self._all(), allowed=sought.allowed))

    async def place(self, account: Account, found: TakeUp) -> Account:
        """The account's session is where it was found, in the state that was found there."""
        row, url = found.row, found.url
        epoch = row.epoch if row.epoch is not None else Epoch(account.placement.epoch + 1)
        why = f"taken up where {url} lists it"
        change = Rebinding(account.placement, url, epoch, MoveKind.PLACEMENT, why, claimed=True)
        if not await correct(self._directory, self._meters, [change]):
            log.warning("A session could not be placed where it is listed", session_id=account.session_id, url=url)
            return await self._again(account)
        await self._directory.set_status(account.session_id, row.status)
        await self._directory.mark_verified([account.session_id], self._clock.now())
        placed = await self._again(account)
        log.info("Session taken up", session_id=account.session_id, account_id=account.id, url=url, epoch=epoch)
        await self._identity.reported(placed, row.phone)
        return await self._again(placed)

    async def _all(self) -> dict[InstanceUrl, Listing]:
        return await self._lists.read_all()

    async def _there(self, sought: Sought, url: InstanceUrl) -> TakeUp:
        if url not in self._lists.instances():
            raise Problem(Code.INSTANCE_NOT_FOUND, f"There is no instance {url}; add it first", field="instance_url")
        listing = await self._lists.read(url)
        if isinstance(listing, NoList) and listing.fault is None:
            return await self._asked_after(sought, url)
        if isinstance(listing, NoList):
            detail = f"{url} gave no list, so it is not known whether it has the session: {listing.category}"
            raise Problem(Code.INSTANCE_FAULT, detail, field="instance_url", retry_after_s=5)
        row = listing.sessions.get(sought.session_id)
        if row is None or not adoption.visible(row, sought.allowed):
            raise _not_listed(sought, listing)
        return TakeUp(url, row)

    async def _asked_after(self, sought: Sought, url: InstanceUrl) -> TakeUp:
        """Of an instance whose gateway gives no lists, which is no fault of it."""
        row = await self._lists.one(url, sought.session_id)
        if isinstance(row, Fault) or not adoption.visible(row, sought.allowed):
            why = f": {row}" if isinstance(row, Fault) else ""
            detail = f"{url} does not say that it has the session {sought.session_id}{why}"
            raise Problem(Code.SESSION_NOT_LISTED, detail, field="session_id")
        return TakeUp(url, row)

    def _judged(self, sought: Sought, found: Adoption) -> TakeUp | None:
        match found:
            case TakeUp():
                return found
            case OfOthers():
                raise NameTaken(self._taken(sought.session_id))
            case Several(urls=urls) if sought.starts:
                detail = f"{' and '.join(urls)} both list the session {sought.session_id}; stop it on all but one"
                raise Problem(Code.DUPLICATE_HOLDER, detail, field="session_id", retry_after_s=5)
            case NotListed(silent=(_, *_) as silent) if sought.starts or sought.allowed is not None:
                names = ", ".join(each.instance_url for each in silent)
                detail = f"{names} gave no list, and may have the session {sought.session_id}; try again when it does"
                raise Problem(Code.INSTANCE_FAULT, detail, field="session_id", retry_after_s=5)
            case Several() | NotListed():
                return None
            case _:
                assert_never(found)

    async def _again(self, account: Account) -> Account:
        return await self._directory.account(account.workspace_id, uuid=account.uuid) or account


def runs(row: ListedSession) -> bool:
    """Whether the session is up, or on its way there."""
    return row.status in UP


def _not_listed(sought: Sought, listing: SessionList) -> Problem:
    detail = f"{listing.instance_url} does not list the session {sought.session_id}; "
    return Problem(Code.SESSION_NOT_LISTED, detail + adoption.shows(listing, sought.allowed), field="session_id")
