"""Taking up sessions that run already: many accounts at once, each placed where it is listed."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, select, update

from homing.model.fleet import (
    Account,
    Epoch,
    InstanceUrl,
    ListedSession,
    MoveKind,
    Placement,
    Rebinding,
    SessionId,
    SessionStatus,
)
from homing.model.instances.native_names import NativeName
from homing.ports import AccountChanged, Clock, NameTaken, Notice
from homing.ports.directory.adopting import NewlyListed, NotMade
from homing.store.db.database import Database
from homing.store.db.prepared import prepared
from homing.store.db.rows import ACCOUNTS_WITH_SESSIONS
from homing.store.db.schema.tables import accounts, sessions
from homing.store.directory import placements
from homing.store.directory.accounts import create_account
from homing.store.directory.reported import accounts_of
from homing.store.notices.announce import Changes
from homing.store.notices.notices import StagedNotices


class SqlAdoptions:
    """`ports.adopting.Adoptions` on SQLite and PostgreSQL."""

    def __init__(self, database: Database, notices: StagedNotices, clock: Clock) -> None:
        self._database, self._changes, self._clock = database, Changes(database, notices), clock

    async def take_up(self, listed: Sequence[NewlyListed]) -> list[Account | NotMade]:
        at = self._clock.now()
        if not listed:
            return []
        return await self._changes.make(lambda c: _take_up(c, self._database, listed, at))

    async def place(
        self, listed: Sequence[tuple[SessionId, InstanceUrl, ListedSession]], names: Mapping[SessionId, str]
    ) -> set[SessionId]:
        at = self._clock.now()
        if not listed:
            return set()
        return await self._changes.make(lambda c: _place(c, self._database, listed, names, at))

    async def native_names(self) -> list[NativeName]:
        return await self._database.read(_native_names)


def _take_up(
    connection: Connection, database: Database, listed: Sequence[NewlyListed], at: datetime
) -> tuple[list[Account | NotMade], list[Notice]]:
    made = [_made(connection, each, at) for each in listed]
    both = [(each, account) for each, account in zip(listed, made, strict=True) if isinstance(account, Account)]
    changes = [_placed(account.placement, each.url, each.row) for each, account in both]
    moved = placements.rebind(connection, changes, at=at, run_id=None) if changes else []
    _note_states(connection, database, {account.session_id: each.row for each, account in both}, at)
    seen = [account.session_id for _, account in both]
    now = {account.session_id: account for account in accounts_of(connection, seen)}
    told: list[Notice] = [each.notice for each in moved]
    told += [AccountChanged(account.uuid) for _, account in both]
    return [now.get(each.session_id, each) if isinstance(each, Account) else each for each in made], told


def _place(
    connection: Connection,
    database: Database,
    listed: Sequence[tuple[SessionId, InstanceUrl, ListedSession]],
    names: Mapping[SessionId, str],
    at: datetime,
) -> tuple[set[SessionId], list[Notice]]:
    rows = {session: (url, row) for session, url, row in listed}
    nowhere = [each for each in accounts_of(connection, list(rows)) if each.placement.instance_url is None]
    changes = [_placed(each.placement, *rows[each.session_id]) for each in nowhere]
    moved = placements.rebind(connection, changes, at=at, run_id=None) if changes else []
    placed = {each.change.session_id for each in moved}
    for session in sorted(placed & names.keys()):
        connection.execute(update(sessions).where(sessions.c.session_id == session).values(native_id=names[session]))
    _note_states(connection, database, {session: rows[session][1] for session in sorted(placed)}, at)
    return placed, [each.notice for each in moved]


def _note_states(
    connection: Connection, database: Database, rows: Mapping[SessionId, ListedSession], at: datetime
) -> None:
    """They were seen just now, each in the state that its instance says."""
    for session, row in rows.items():
        if row.status is not SessionStatus.CONNECTED:
            placements.set_status(connection, database, session, row.status, at, ready=False)
    placements.mark_verified(connection, database, list(rows), at, None)


def _made(connection: Connection, listed: NewlyListed, at: datetime) -> Account | NotMade:
    """What cannot be made leaves nothing behind, and harms no other."""
    point = connection.begin_nested()
    try:
        made = create_account(connection, listed.account, at)
    except NameTaken as taken:
        point.rollback()
        return NotMade(str(taken))
    point.commit()
    return made


def _placed(placement: Placement, url: InstanceUrl, row: ListedSession) -> Rebinding:
    """A gateway without epochs opened the credentials unseen: that was a grant, and takes a number."""
    epoch = row.epoch if row.epoch is not None else Epoch(placement.epoch + 1)
    return Rebinding(placement, url, epoch, MoveKind.PLACEMENT, f"adopted where {url} lists it", claimed=True)


def _native_names(connection: Connection) -> list[NativeName]:
    return [
        NativeName(
            SessionId(row.session_id),
            row.native_id,
            row.person,
            None if row.instance_url is None else InstanceUrl(row.instance_url),
        )
        for row in connection.execute(_native_statement())
    ]


@prepared
def _native_statement() -> Select[Any]:
    columns = (sessions.c.session_id, sessions.c.native_id, sessions.c.instance_url, accounts.c.person)
    named = select(*columns).select_from(ACCOUNTS_WITH_SESSIONS).where(sessions.c.native_id.is_not(None))
    return named.order_by(sessions.c.session_id)
