"""Leases of incarnations, by the store's clock."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    Float,
    Select,
    Update,
    bindparam,
    delete,
    exists,
    func,
    literal_column,
    select,
    tuple_,
    update,
)
from sqlalchemy.sql.dml import ReturningInsert, ReturningUpdate
from sqlalchemy.types import TypeEngine

from homing.model.fleet import InstanceUrl
from homing.model.instances.leases import Ended, Heartbeats, Incarnation, IncarnationId, Renewed, StoreIdentity
from homing.model.instances.vault import Holder
from homing.store.db import sql
from homing.store.db.database import Database, Dialect
from homing.store.db.history import (
    file_identity,
    identity_columns,
    kept_in,
    known_column,
    may_name_the_system,
    server_identity,
    told_by,
)
from homing.store.db.prepared import prepared
from homing.store.db.rows import AnyRow
from homing.store.db.schema.columns import BoundedInteger, UtcDateTime, Words
from homing.store.db.schema.tables import credentials, incarnations
from homing.store.records.recording import record


class SqlLeases:
    """`ports.Leases` on SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._named: bool | None = None

    async def begin(self, holder: Holder, *, expiry_s: float) -> Renewed:
        named = await self._is_named()
        return await self._database.write(lambda c: _begin(c, self._database, holder, expiry_s, named=named))

    async def renew(self, holder: Holder, *, expiry_s: float, answered_ago_s: float | None = None) -> Renewed | None:
        if self._database.dialect == "sqlite":
            return await self._database.write(lambda c: _renew(c, self._database, holder, expiry_s, answered_ago_s))
        named = await self._is_named()
        renewal = _renewal_row(holder, expiry_s, answered_ago_s)
        return await self._database.write_at_once(lambda c: _renew_at_once(c, renewal, named=named))

    async def end(self, instance_url: InstanceUrl, how: Ended, *, incarnation: IncarnationId | None = None) -> int:
        return await self._database.write(lambda c: _end(c, self._database, instance_url, how, incarnation))

    async def incarnations(self) -> list[Incarnation]:
        return await self._database.read(lambda c: _newest(c, self._database))

    async def heartbeats(self) -> Heartbeats:
        named = await self._is_named()
        boots, store = await self._database.read(lambda c: _heard(c, self._database, named=named))
        if store is None:
            store = await self._database.write(file_identity)
        return Heartbeats(tuple(boots), store)

    async def _is_named(self) -> bool:
        """Whether the server tells its system's number; asked for once."""
        if self._named is None:
            sqlite = self._database.dialect == "sqlite"
            self._named = False if sqlite else await self._database.read(may_name_the_system)
        return self._named

    async def prune(self, *, keep_s: float) -> int:
        return await self._database.write(lambda c: _prune(c, self._database, keep_s))


def note_revoked(connection: Connection, taken: Mapping[str, int]) -> None:
    """So many grants were taken from each of these boots: with its next renewal it hears of that."""
    known = {boot: count for boot, count in taken.items() if boot}
    if known:
        dialect = sql.dialect_of(connection)
        locked(connection, known)
        given = sql.as_rows({"id": boot, "count": count} for boot, count in known.items())
        connection.execute(_revoked_statement(dialect), {"given": given})


def incarnation_of(row: AnyRow, now: datetime) -> Incarnation:
    return Incarnation(
        id=IncarnationId(row.id),
        instance_url=InstanceUrl(row.instance_url),
        renewed_ago_s=(now - row.renewed_at).total_seconds(),
        lease_left_s=(row.lease_until - now).total_seconds(),
        began_ago_s=(now - row.began_at).total_seconds(),
        ended=None if row.ended is None else Ended(row.ended),
        answered_ago_s=row.answered_ago_s,
    )


def locked(connection: Connection, boots: Collection[str]) -> dict[str, AnyRow]:
    """The rows of these boots by id, nobody else's to change until the transaction ends."""
    found = connection.execute(_locked_statement(sql.dialect_of(connection)), {"boots": sorted(boots)})
    return {row.id: row for row in found}


@prepared
def _locked_statement(dialect: Dialect) -> Select[Any]:
    asked = sql.among(dialect, incarnations.c.id, "boots")
    return select(incarnations).where(asked).order_by(incarnations.c.id).with_for_update()


_REVOKED: dict[str, TypeEngine[Any]] = {"id": Words(), "count": BoundedInteger()}


@prepared
def _revoked_statement(dialect: Dialect) -> Update:
    given = sql.given_rows(dialect, "given", _REVOKED)
    risen = incarnations.c.revoked + given.c["count"]
    return update(incarnations).where(incarnations.c.id == given.c.id).values(revoked=risen)


def _begin(connection: Connection, database: Database, holder: Holder, expiry_s: float, *, named: bool) -> Renewed:
    now = database.now(connection)
    mine = {"boot": holder.incarnation, "address": holder.instance_url}
    begun = {**mine, "asked": now, "until": now + timedelta(seconds=expiry_s)}
    revoked = connection.scalar(_begun_statement(database.dialect), begun)
    sqlite = database.dialect == "sqlite"
    store = file_identity(connection) if sqlite else server_identity(connection, named=named)
    return Renewed(revoked or 0, was_lapsed=False, store=store)


@prepared
def _begun_statement(dialect: Dialect) -> ReturningInsert[Any]:
    asked, until = bindparam("asked", type_=UtcDateTime()), bindparam("until", type_=UtcDateTime())
    lease = {"renewed_at": asked, "lease_until": until}
    boot = {"id": bindparam("boot"), "instance_url": bindparam("address"), "began_at": asked, "revoked": 0}
    fresh = sql.insert(dialect, incarnations).values(**boot, **lease)
    # Begun twice, if the first answer was lost.
    lives = incarnations.c.ended.is_(None)
    again = fresh.on_conflict_do_update(index_elements=[incarnations.c.id], set_=lease, where=lives)
    return again.returning(incarnations.c.revoked)


def _renew(
    connection: Connection, database: Database, holder: Holder, expiry_s: float, answered_ago_s: float | None
) -> Renewed | None:
    dialect, mine = database.dialect, {"boot": holder.incarnation, "address": holder.instance_url}
    held = {**mine, **sql.moments(connection, database, clock=0.0)}
    row = connection.execute(_held_statement(dialect), held).one_or_none()
    if row is None:
        return None
    until = row.now + timedelta(seconds=expiry_s)
    connection.execute(_renewed_statement(), {**mine, "asked": row.now, "until": until, "answered": answered_ago_s})
    store = kept_in(row) or file_identity(connection)
    return Renewed(row.revoked, was_lapsed=row.lease_until <= row.now, store=store)


def _renewal_row(holder: Holder, expiry_s: float, answered_ago_s: float | None) -> dict[str, Any]:
    mine = {"boot": holder.incarnation, "address": holder.instance_url}
    return {**mine, "held_for": expiry_s, "answered": answered_ago_s}


def _renew_at_once(connection: Connection, renewal: Mapping[str, Any], *, named: bool) -> Renewed | None:
    """In one statement. A renewal that is not answered is soon followed by another one, and would keep that and all
    after it waiting if it held its row from one round trip to the next."""
    row = connection.execute(_renewed_at_once_statement(named), renewal).one_or_none()
    return None if row is None else Renewed(row.revoked, was_lapsed=row.was_lapsed, store=told_by(row))


@prepared
def _renewed_at_once_statement(named: bool) -> ReturningUpdate[Any]:
    now = func.clock_timestamp().label("now")
    held = (
        select(incarnations.c.id, incarnations.c.lease_until.label("until"), now)
        .where(*_mine(), incarnations.c.ended.is_(None))
        .with_for_update()
        .cte("held")
    )
    lease = func.make_interval(0, 0, 0, 0, 0, 0, bindparam("held_for", type_=Float(53)))
    renewed = {
        "renewed_at": held.c.now,
        "lease_until": held.c.now + lease,
        "answered_ago_s": bindparam("answered", type_=Float(53)),
    }
    told = (incarnations.c.revoked, (held.c.until <= held.c.now).label("was_lapsed"), *identity_columns(named=named))
    return update(incarnations).where(incarnations.c.id == held.c.id).values(renewed).returning(*told)


@prepared
def _held_statement(dialect: Dialect) -> Select[Any]:
    wanted = [incarnations.c.revoked, incarnations.c.lease_until, sql.moment(dialect, "clock").label("now")]
    mine = (*_mine(), incarnations.c.ended.is_(None))
    return select(*wanted, known_column()).where(*mine).with_for_update()


@prepared
def _renewed_statement() -> Update:
    renewed = {
        "renewed_at": bindparam("asked", type_=UtcDateTime()),
        "lease_until": bindparam("until", type_=UtcDateTime()),
        "answered_ago_s": bindparam("answered"),
    }
    return update(incarnations).where(*_mine()).values(renewed)


def _mine() -> tuple[ColumnElement[bool], ...]:
    return incarnations.c.id == bindparam("boot"), incarnations.c.instance_url == bindparam("address")


def _end(
    connection: Connection, database: Database, url: InstanceUrl, how: Ended, incarnation: IncarnationId | None
) -> int:
    there = [incarnations.c.instance_url == url, incarnations.c.ended.is_(None)]
    if incarnation is not None:
        there.append(incarnations.c.id == incarnation)
    boots = connection.scalars(select(incarnations.c.id).where(*there).order_by(incarnations.c.id).with_for_update())
    ended = {"ended": how, "lease_until": database.now(connection)}
    found: Sequence[str] = boots.all()
    connection.execute(update(incarnations).where(incarnations.c.id.in_(found)).values(ended))
    record(connection, f"instance.{how.value}", f"instance {url}", after={"boots": list(found)})
    return len(found)


def _newest(connection: Connection, database: Database) -> list[Incarnation]:
    asked = sql.moments(connection, database, clock=0.0)
    return [incarnation_of(row, row.now) for row in connection.execute(_newest_statement(database.dialect), asked)]


def _heard(
    connection: Connection, database: Database, *, named: bool
) -> tuple[list[Incarnation], StoreIdentity | None]:
    asked = sql.moments(connection, database, clock=0.0)
    rows = connection.execute(_heard_statement(database.dialect, named), asked).all()
    boots = [incarnation_of(row, row.now) for row in rows if row.id is not None]
    return boots, kept_in(rows[0]) if database.dialect == "sqlite" else told_by(rows[0])


@prepared
def _newest_statement(dialect: Dialect) -> Select[Any]:
    now = sql.moment(dialect, "clock").label("now")
    return select(incarnations, now).where(_is_newest()).order_by(incarnations.c.instance_url)


@prepared
def _heard_statement(dialect: Dialect, named: bool) -> Select[Any]:
    """The same, with the store's identity in each row; in one row of nothing else, if nobody holds a lease."""
    store = [known_column()] if dialect == "sqlite" else identity_columns(named=named)
    now = sql.moment(dialect, "clock").label("now")
    newest = select(literal_column("1")).subquery("once").outerjoin(incarnations, _is_newest())
    return select(*store, incarnations, now).select_from(newest).order_by(incarnations.c.instance_url)


def _is_newest() -> ColumnElement[bool]:
    """Whether no boot at the same address began later."""
    later = incarnations.alias("later")
    order = tuple_(later.c.began_at, later.c.id) > tuple_(incarnations.c.began_at, incarnations.c.id)
    return ~exists().where(later.c.instance_url == incarnations.c.instance_url, order)


def _prune(connection: Connection, database: Database, keep_s: float) -> int:
    holds = exists().where(credentials.c.holder_incarnation == incarnations.c.id)
    old = incarnations.c.lease_until < select(database.instant(-keep_s)).scalar_subquery()
    return connection.execute(delete(incarnations).where(old, ~holds)).rowcount
