"""The audit log on a SQL database: its pages, its chain, and what retention leaves of it."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Text, Update, bindparam, delete, func, select, text, update
from sqlalchemy.types import TypeEngine

from homing.decide.access.audit import BEGINNING, ChainKeys, doubts, link, signed
from homing.model.directory.audit import Act, Broken, Checkpoint, Entry, Mark, Via, acting
from homing.model.fleet import WorkspaceId
from homing.ports import Page
from homing.ports.directory.audit import Chained
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import AnyRow
from homing.store.db.schema.columns import BoundedInteger
from homing.store.db.schema.tables import audit_log, audit_marks
from homing.store.db.sql import as_rows, dialect_of, given_rows, insert
from homing.store.records.recording import record

_LOCK_WITHIN_MS = 500


class SqlAudit:
    """`ports.audit.Audit` on SQLite and PostgreSQL."""

    def __init__(self, database: Database, keys: ChainKeys) -> None:
        self._database, self._keys = database, keys

    async def note(self, action: str, subject: str, after: Mapping[str, Any] | None = None) -> None:
        if acting.get() is not None:
            await self._database.write(lambda c: record(c, action, subject, after=after))

    async def page(
        self, page: Page, *, action: str | None = None, subject: str | None = None, key_id: str | None = None
    ) -> list[Entry]:
        given = {"action": action, "subject": subject, "key_id": key_id}
        wanted = {name: value for name, value in given.items() if value is not None}
        return await self._database.read_aside(lambda c: _page(c, page, wanted))

    async def behind(self, entry_id: int, limit: int) -> list[Entry]:
        return await self._database.read_aside(lambda c: _behind(c, entry_id, limit))

    async def marks(self) -> tuple[Checkpoint | None, Checkpoint | None]:
        return await self._database.read(_marks)

    async def chain(self, limit: int) -> Chained | Broken:
        return await self._database.write(lambda c: _chain(c, self._database, self._keys, limit))

    async def prune(self, before: datetime, limit: int) -> int:
        return await self._database.write(lambda c: _prune(c, self._database, self._keys, before, limit))


def _page(connection: Connection, page: Page, wanted: Mapping[str, str]) -> list[Entry]:
    statement = select(audit_log).order_by(audit_log.c.id.desc()).limit(page.limit)
    if page.after:
        statement = statement.where(audit_log.c.id < page.after)
    for name, value in wanted.items():
        statement = statement.where(audit_log.c[name] == value)
    return [_entry_of(row) for row in connection.execute(statement)]


def _behind(connection: Connection, entry_id: int, limit: int) -> list[Entry]:
    statement = select(audit_log).where(audit_log.c.id > entry_id).order_by(audit_log.c.id).limit(limit)
    return [_entry_of(row) for row in connection.execute(statement)]


def _marks(connection: Connection) -> tuple[Checkpoint | None, Checkpoint | None]:
    found = {row.mark: _checkpoint_of(row) for row in connection.execute(select(audit_marks))}
    return found.get(Mark.START), found.get(Mark.HEAD)


# --- the chain ------------------------------------------------------------------------------------------------


def _chain(connection: Connection, database: Database, keys: ChainKeys, limit: int) -> Chained | Broken:
    _wait_for_those_who_write(connection)
    start, head = _marks(connection)
    newest_key = connection.execute(_newest_chained()).scalar()
    wrong = doubts(start, head, keys, chained=newest_key is not None, keyed=bool(newest_key))
    if wrong is not None:
        return wrong
    last_id, previous, entries = (head.entry_id, head.chain, head.entries) if head else (0, BEGINNING, 0)
    fresh = [_entry_of(row) for row in connection.execute(_unchained(limit))]
    if fresh and fresh[0].id <= last_id:
        return Broken(fresh[0].id, "it is not chained, and later ones are")
    if not fresh:
        return Chained(0, head)
    links: list[dict[str, str | int | None]] = []
    for entry in fresh:
        previous = link(previous, entry, keys.newest)
        links.append({"id": entry.id, "chain": previous, "keyed_by": keys.newest.id})
    connection.execute(_chained_statement(dialect_of(connection)), {"given": as_rows(links)})
    now = database.now(connection)
    newest = signed(Mark.HEAD, fresh[-1].id, previous, entries + len(fresh), now, keys.newest)
    _leave(connection, newest)
    if start is not None and start.keyed_by != newest.keyed_by:
        _leave(connection, signed(Mark.START, start.entry_id, start.chain, start.entries, start.at, keys.newest))
    return Chained(len(fresh), newest)


def _wait_for_those_who_write(connection: Connection) -> None:
    """An id is given out before its entry is committed. Once nobody is between the two, none below can come any more.

    Not for long: whoever wants to write an entry now waits behind us.
    """
    if dialect_of(connection) == "postgresql":
        connection.execute(text(f"SET LOCAL lock_timeout = {_LOCK_WITHIN_MS}"))
        connection.execute(text("LOCK TABLE audit_log IN SHARE ROW EXCLUSIVE MODE"))


def _newest_chained() -> Any:
    """What the newest chained entry is keyed by: the empty text, if by no secret."""
    chained = audit_log.c.chain.is_not(None)
    return select(audit_log.c.keyed_by).where(chained).order_by(audit_log.c.id.desc()).limit(1)


def _unchained(limit: int) -> Any:
    return select(audit_log).where(audit_log.c.chain.is_(None)).order_by(audit_log.c.id).limit(limit)


_LINKS: dict[str, TypeEngine[Any]] = {"id": BoundedInteger(), "chain": Text(), "keyed_by": Text()}


@prepared
def _chained_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", _LINKS)
    tied = {"chain": given.c.chain, "keyed_by": given.c.keyed_by}
    return update(audit_log).where(audit_log.c.id == given.c.id).values(tied)


def _leave(connection: Connection, checkpoint: Checkpoint) -> None:
    values = {
        "mark": checkpoint.mark,
        "entry_id": checkpoint.entry_id,
        "chain": checkpoint.chain,
        "entries": checkpoint.entries,
        "at": checkpoint.at,
        "keyed_by": checkpoint.keyed_by,
        "signature": checkpoint.signature,
    }
    row = insert(dialect_of(connection), audit_marks).values(values)
    connection.execute(row.on_conflict_do_update(index_elements=[audit_marks.c.mark], set_=values))


# --- retention ------------------------------------------------------------------------------------------------


def _prune(connection: Connection, database: Database, keys: ChainKeys, before: datetime, limit: int) -> int:
    """Only what the chain has passed goes, and only from its beginning."""
    start, head = _marks(connection)
    if head is None or doubts(start, head, keys, chained=True, keyed=False) is not None:
        return 0
    kept = connection.scalar(select(func.min(audit_log.c.id)).where(audit_log.c.at >= before))
    oldest = select(audit_log.c.id, audit_log.c.chain).where(audit_log.c.id <= head.entry_id)
    if kept is not None:
        oldest = oldest.where(audit_log.c.id < kept)
    rows: Sequence[AnyRow] = connection.execute(oldest.order_by(audit_log.c.id).limit(limit)).all()
    if not rows:
        return 0
    last = rows[-1]
    connection.execute(delete(audit_log).where(audit_log.c.id <= bindparam("last")), {"last": last.id})
    removed = len(rows) + (start.entries if start is not None else 0)
    now = database.now(connection)
    _leave(connection, signed(Mark.START, last.id, last.chain, removed, now, keys.newest))
    return len(rows)


# --- rows -----------------------------------------------------------------------------------------------------


def _entry_of(row: AnyRow) -> Entry:
    workspace = None if row.workspace_id is None else WorkspaceId(row.workspace_id)
    act = Act(row.act_id, Via(row.via), row.actor, row.request, row.origin, row.key_id, workspace)
    return Entry(
        id=row.id,
        at=row.at,
        act=act,
        action=row.action,
        subject=row.subject,
        before=row.before,
        after=row.after,
        count=row.things,
        digest=row.digest,
        chain=row.chain,
        keyed_by=row.keyed_by,
    )


def _checkpoint_of(row: AnyRow) -> Checkpoint:
    return Checkpoint(Mark(row.mark), row.entry_id, row.chain, row.entries, row.at, row.keyed_by, row.signature)
