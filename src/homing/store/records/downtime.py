"""The downtime ledger on a SQL database."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, delete, select, tuple_, update

from homing.decide.knowledge.downtime import month_of
from homing.model.ids import SessionId, WorkspaceId
from homing.model.sessions.downtime import Outage
from homing.ports import Page
from homing.store.db.database import Database
from homing.store.db.many_rows import in_turns
from homing.store.db.schema.downtime import failed_sends, outages
from homing.store.db.schema.tables import events, moves
from homing.store.db.sql import dialect_of, insert

_JUST_BEFORE, _SEEN_LATER = timedelta(seconds=10), timedelta(seconds=1)


class SqlDowntime:
    """`ports.downtime.DowntimeLedger` on SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(
        self,
        ended: Mapping[SessionId, datetime],
        begun: Collection[Outage],
        failed: Mapping[SessionId, int],
        *,
        at: datetime,
    ) -> None:
        def noted(connection: Connection) -> None:
            _end(connection, ended)
            _begin(connection, begun)
            _count(connection, failed, month_of(at).begins)

        if ended or begun or failed:
            await self._database.write(noted)

    async def lasting(self) -> Sequence[Outage]:
        return await self._database.read_aside(_lasting)

    async def between(
        self,
        begins: datetime,
        ends: datetime,
        workspace: WorkspaceId | None,
        page: Page,
        *,
        session_id: SessionId | None = None,
    ) -> Sequence[Outage]:
        return await self._database.read_aside(lambda c: _between(c, begins, ends, workspace, page, session_id))

    async def of_sessions(self, sessions: Collection[SessionId], *, since: datetime) -> Sequence[Outage]:
        return await self._database.read_aside(lambda c: _of_sessions(c, sessions, since)) if sessions else []

    async def failed_sends(self, month: datetime, sessions: Collection[SessionId]) -> Mapping[SessionId, int]:
        return await self._database.read_aside(lambda c: _failed(c, month, sessions))

    async def prune(self, *, before: datetime, limit: int) -> int:
        return await self._database.write(lambda c: _prune(c, before, limit))


def _end(connection: Connection, ended: Mapping[SessionId, datetime]) -> None:
    for session in sorted(ended):
        connection.execute(
            update(outages)
            .where(outages.c.session_id == session, outages.c.ended_at.is_(None), outages.c.began_at <= ended[session])
            .values(ended_at=ended[session])
        )


def _begin(connection: Connection, begun: Collection[Outage]) -> None:
    """Another gateway may have been first with any of them."""
    whole = sorted((each for each in begun if each.ended_at is not None), key=lambda each: each.began_at)
    rows = [_row(each) for each in whole if not _is_known(connection, each)]
    rows += [_row(each) for each in sorted(begun, key=lambda each: each.session_id) if each.ended_at is None]
    for row in rows:
        row["trace_id"] = _trace_of(connection, row["session_id"], row["began_at"])
    if rows:
        connection.execute(insert(dialect_of(connection), outages).on_conflict_do_nothing(), rows)


def _trace_of(connection: Connection, session: str, began_at: datetime) -> str | None:
    """The trace of the newest report or move of the session just before it was down, if that had one."""
    for table in (events, moves):
        at = table.c.received_at if table is events else table.c.at
        asked = select(table.c.trace_id).where(table.c.session_id == session, at > began_at - _JUST_BEFORE)
        order = table.c.sequence if table is events else table.c.id
        found = connection.execute(asked.where(at <= began_at + _SEEN_LATER).order_by(order.desc()).limit(1)).scalar()
        if found is not None:
            return str(found)
    return None


def _is_known(connection: Connection, whole: Outage) -> bool:
    """Whether the session is down at some time of this outage already, by the ledger."""
    of = outages.c
    at_that_time = (of.began_at < whole.ended_at) & (of.ended_at.is_(None) | (of.ended_at > whole.began_at))
    asked = select(of.began_at).where(of.session_id == whole.session_id, at_that_time).limit(1)
    return connection.execute(asked).first() is not None


def _row(outage: Outage) -> dict[str, Any]:
    return {
        "session_id": outage.session_id,
        "account_id": outage.account_id,
        "workspace_id": outage.workspace_id,
        "reason": outage.reason,
        "began_at": outage.began_at,
        "ended_at": outage.ended_at,
        "continues": outage.continues,
    }


def _count(connection: Connection, failed: Mapping[SessionId, int], month: datetime) -> None:
    if not failed:
        return
    statement = insert(dialect_of(connection), failed_sends)
    summed = statement.on_conflict_do_update(
        index_elements=[failed_sends.c.session_id, failed_sends.c.month],
        set_={"count": failed_sends.c["count"] + statement.excluded["count"]},
    )
    rows = [{"session_id": session, "month": month, "count": failed[session]} for session in sorted(failed)]
    connection.execute(summed, rows)


def _lasting(connection: Connection) -> Sequence[Outage]:
    return [_outage(row) for row in in_turns(connection.execute(select(outages).where(outages.c.ended_at.is_(None))))]


def _between(
    connection: Connection,
    begins: datetime,
    ends: datetime,
    workspace: WorkspaceId | None,
    page: Page,
    session_id: SessionId | None,
) -> Sequence[Outage]:
    of = outages.c
    lasted = (of.began_at < ends) & (of.ended_at.is_(None) | (of.ended_at > begins))
    if workspace is not None:
        lasted &= of.workspace_id == workspace
    if session_id is not None:
        lasted &= of.session_id == session_id
    accounts = (
        select(of.account_id)
        .where(lasted, of.account_id > page.after)
        .distinct()
        .order_by(of.account_id)
        .limit(page.limit)
    )
    named = list(connection.execute(accounts).scalars())
    found = select(outages).where(lasted, of.account_id.in_(named)).order_by(of.account_id, of.began_at)
    return [_outage(row) for row in connection.execute(found)] if named else []


def _of_sessions(connection: Connection, sessions: Collection[SessionId], since: datetime) -> Sequence[Outage]:
    of = outages.c
    lasted = of.session_id.in_(sorted(sessions)) & (of.ended_at.is_(None) | (of.ended_at > since))
    return [_outage(row) for row in connection.execute(select(outages).where(lasted).order_by(of.began_at))]


def _failed(connection: Connection, month: datetime, sessions: Collection[SessionId]) -> Mapping[SessionId, int]:
    of = failed_sends.c
    asked = select(of.session_id, of["count"].label("times")).where(of.month == month, of.session_id.in_(sessions))
    return {SessionId(row.session_id): int(row.times) for row in connection.execute(asked)}


def _prune(connection: Connection, before: datetime, limit: int) -> int:
    of = outages.c
    old = select(of.session_id, of.began_at).where(of.ended_at < before).limit(limit)
    gone = connection.execute(delete(outages).where(tuple_(of.session_id, of.began_at).in_(old))).rowcount
    connection.execute(delete(failed_sends).where(failed_sends.c.month < month_of(before).begins))
    return gone


def _outage(row: Any) -> Outage:
    return Outage(
        SessionId(row.session_id),
        row.account_id,
        WorkspaceId(row.workspace_id),
        row.reason,
        row.began_at,
        row.ended_at,
        bool(row.continues),
        row.trace_id,
    )
