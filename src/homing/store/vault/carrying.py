"""Sessions taken out of the vault, and into it: all that is kept of them, in one transaction each way."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Self, TypeVar

from sqlalchemy import Connection, Table, case, delete, select, update

from homing.model.instances.vault import Grant, Holder, InboxMessage, SessionKey, StaleEpoch, VaultSealed
from homing.model.sessions.carried import CarriedSession
from homing.ports.sessions.carrying import HasLogin
from homing.store.db.database import Database
from homing.store.db.rows import AnyRow
from homing.store.db.schema.columns import storable
from homing.store.db.schema.device_state import inbox, session_keys
from homing.store.db.schema.tables import credentials, reservations
from homing.store.vault import grants as vault_grants
from homing.store.vault import keys as vault_keys
from homing.store.vault import logins as vault_logins
from homing.store.vault.rows import locked
from homing.store.vault.sealing import KeyRing, SealedText, frame_place, inbox_place, key_place
from homing.store.vault.stepping import inbox_message

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class SqlCarrying:
    """`ports.CarriesSessions` on SQLite and PostgreSQL."""

    database: Database
    ring: KeyRing

    @classmethod
    async def of(cls, database: Database, ring: KeyRing) -> Self:
        """Raises VaultSealed, with one sentence, if these are not the vault's keys."""
        await database.write(lambda c: vault_keys.check(c, ring, database.now(c)))
        return cls(database, ring)

    async def take_out(self, session_id: str, *, holder: Holder) -> tuple[Grant, CarriedSession] | None:
        return await self._database(lambda c, _: _take_out(c, self.database, self.ring, storable(session_id), holder))

    async def forget(self, grant: Grant) -> StaleEpoch | None:
        return await self._database(lambda c, now: _forget(c, grant, now))

    async def put_back(self, grant: Grant) -> None:
        await self._database(lambda c, now: vault_grants.release(c, [grant], now))

    async def take_in(self, carried: CarriedSession, *, replace: bool) -> HasLogin | None:
        return await self._database(lambda c, now: _take_in(c, self.ring, carried, now, replace=replace))

    async def _database(self, work: Callable[[Connection, datetime], T]) -> T:
        return await self.database.write(lambda c: work(c, self.database.now(c)))


def _take_out(
    connection: Connection, database: Database, ring: KeyRing, session: str, holder: Holder
) -> tuple[Grant, CarriedSession] | None:
    row = locked(connection, [session]).get(session)
    if row is None or row.login is None:
        return None
    opened = vault_grants.open_many(connection, database, ring, {session: None}, holder)[session]
    if isinstance(opened, VaultSealed):
        raise opened
    assert isinstance(opened, Grant) and opened.login is not None, "the next epoch is refused to nobody"
    carried = CarriedSession(
        session,
        opened.login,
        _keys(connection, ring, session),
        next_counter=opened.next_counter,
        unfinished=opened.unfinished,
        inbox=_inbox(connection, ring, session),
    )
    return opened, carried


def _keys(connection: Connection, ring: KeyRing, session: str) -> list[SessionKey]:
    mine = select(session_keys).where(session_keys.c.session_id == session)
    rows = connection.execute(mine.order_by(session_keys.c.kind, session_keys.c.id))
    return [SessionKey(row.kind, row.id, _value(ring, row)) for row in rows]


def _value(ring: KeyRing, row: AnyRow) -> bytes:
    return ring.unseal(key_place(row.session_id, row.kind, row.id), SealedText(row.value_key, row.value))


def _inbox(connection: Connection, ring: KeyRing, session: str) -> list[InboxMessage]:
    mine = select(inbox).where(inbox.c.session_id == session).order_by(inbox.c.arrived_at)
    return [
        InboxMessage(row.message_id, row.digest, None) if row.body is None else inbox_message(ring, row)
        for row in connection.execute(mine)
    ]


def _forget(connection: Connection, grant: Grant, now: datetime) -> StaleEpoch | None:
    stale = vault_logins.forget(connection, grant, now)
    if stale is None:
        _delete(connection, inbox, grant.session_id)
        vault_grants.release(connection, [grant], now)
    return stale


def _take_in(
    connection: Connection, ring: KeyRing, carried: CarriedSession, now: datetime, *, replace: bool
) -> HasLogin | None:
    session = storable(carried.session_id)
    row = locked(connection, [session]).get(session)
    if row is not None and row.login is not None and not replace:
        return HasLogin()
    for table in (reservations, inbox):
        _delete(connection, table, session)
    vault_grants.adopt(connection, ring, {session: carried.login}, {session: carried.keys}, now)
    past = carried.next_counter - 1
    raised = case((credentials.c.reserved_to < past, past), else_=credentials.c.reserved_to)
    mine = credentials.c.session_id == session
    connection.execute(update(credentials).where(mine).values(reserved_to=raised, restored_from=None))
    epoch = connection.scalars(select(credentials.c.epoch).where(mine)).one()
    rows = [_unfinished_row(ring, session, epoch, each, now) for each in carried.unfinished]
    if rows:
        connection.execute(reservations.insert(), rows)
    came = [_inbox_row(ring, session, epoch, each, now, place) for place, each in enumerate(carried.inbox)]
    if came:
        connection.execute(inbox.insert(), came)
    return None


def _unfinished_row(ring: KeyRing, session: str, epoch: int, each: Any, now: datetime) -> dict[str, Any]:
    message = storable(each.message_id)
    sealed = ring.seal(frame_place(session, message), each.frame)
    return {
        "session_id": session,
        "counter": each.counter,
        "epoch": epoch,
        "message_id": message,
        "frame": sealed.text,
        "frame_key": sealed.key_id,
        "reserved_at": now - timedelta(seconds=each.age_s),
        "acknowledged": False,
    }


def _inbox_row(
    ring: KeyRing, session: str, epoch: int, each: InboxMessage, now: datetime, place: int
) -> dict[str, Any]:
    message, at = storable(each.message_id), now + timedelta(microseconds=place)
    row = {"session_id": session, "message_id": message, "digest": each.digest, "epoch": epoch, "arrived_at": at}
    if each.body is None:
        return row | {"body": None, "body_key": None, "told_at": at}
    sealed = ring.seal(inbox_place(session, message, each.digest), each.body)
    return row | {"body": sealed.text, "body_key": sealed.key_id, "told_at": None}


def _delete(connection: Connection, table: Table, session: str) -> None:
    connection.execute(delete(table).where(table.c.session_id == session))
