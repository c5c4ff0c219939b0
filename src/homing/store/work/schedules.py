"""Which tick of a schedule is whose to run. The row is the authority: whoever begins or ends a run locks it."""

from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, select, update
from sqlalchemy.dialects import postgresql, sqlite

from homing.decide.work.cron import Due, Later, Off, due
from homing.model.work import NotDue, ScheduleRecord, Tick
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import AnyRow
from homing.store.db.schema.tables import schedules
from homing.store.db.sql import dialect_of, insert, moment, moments


class SqlSchedules:
    """`ports.Schedules` on SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def begin(self, name: str, expression: str, *, owner: str, lease_s: float) -> Tick | NotDue:
        return await self._database.write(lambda c: _begin(c, self._database, name, expression, owner, lease_s))

    async def renew(self, tick: Tick, *, lease_s: float) -> bool:
        return await self._database.write(lambda c: _change(c, tick, {"lease_until": self._database.instant(lease_s)}))

    async def finish(self, tick: Tick, *, result: str = "", error: str = "") -> bool:
        return await self._database.write(lambda c: _finish(c, self._database, tick, result, error))

    async def schedules(self) -> list[ScheduleRecord]:
        return await self._database.read(_all)


def _begin(
    connection: Connection, database: Database, name: str, expression: str, owner: str, lease_s: float
) -> Tick | NotDue:
    row, now = _locked(connection, database, name, expression)
    if row.holder is not None and now < row.lease_until:
        ask_in_s = (row.lease_until - now).total_seconds()
        return NotDue(ask_in_s, f"{row.holder} is running it since {row.started_at:%H:%M:%S} UTC")
    answer = due(now, row.last_tick_at, expression)
    if isinstance(answer, Off):
        return NotDue(None, answer.reason)
    unfinished = row.holder is not None
    if isinstance(answer, Later) and not unfinished:
        return NotDue((answer.next_at - now).total_seconds(), answer.reason)
    # A run that was cut short is made good by the newest tick, which is its own if none came after.
    tick_at = answer.tick_at if isinstance(answer, Due) else row.last_tick_at
    reason = f"{row.holder} vanished while running it" if unfinished else answer.reason
    tick = Tick(name, tick_at, row.fence + 1, unfinished, reason)
    _enter(connection, tick, owner, database.instant(lease_s), now)
    return tick


def _locked(connection: Connection, database: Database, name: str, expression: str) -> tuple[AnyRow, datetime]:
    """The schedule's row, ours until the end of the transaction, and the store's time after we got it.

    A schedule that is new has its first tick in the future.
    """
    fresh = {"named": name, "said": expression, **moments(connection, database, begun=0.0)}
    connection.execute(_fresh_statement(dialect_of(connection)), fresh)
    row = connection.execute(_held_statement(), {"wanted": name}).one()
    if row.expression != expression:
        connection.execute(update(schedules).where(schedules.c.name == name).values(expression=expression))
    return row, database.now(connection)


@prepared
def _fresh_statement(dialect: Dialect) -> sqlite.Insert | postgresql.Insert:
    given = {"name": bindparam("named"), "expression": bindparam("said"), "last_tick_at": moment(dialect, "begun")}
    nothing_yet = {"result": "", "error": "", "fence": 0, "runs": 0, "failures": 0}
    return insert(dialect, schedules).values(**given, **nothing_yet).on_conflict_do_nothing()


@prepared
def _held_statement() -> Select[Any]:
    return select(schedules).where(schedules.c.name == bindparam("wanted")).with_for_update()


def _enter(connection: Connection, tick: Tick, owner: str, lease_until: ColumnElement[datetime], now: datetime) -> None:
    begun = {
        "last_tick_at": tick.at,
        "started_at": now,
        "finished_at": None,
        "result": "",
        "error": "",
        "holder": owner,
        "lease_until": lease_until,
        "fence": tick.fence,
    }
    connection.execute(update(schedules).where(schedules.c.name == tick.name).values(begun))


def _finish(connection: Connection, database: Database, tick: Tick, result: str, error: str) -> bool:
    ended = {
        "finished_at": database.instant(),
        "result": result,
        "error": error,
        "holder": None,
        "lease_until": None,
        "runs": schedules.c.runs + 1,
        "failures": schedules.c.failures + (1 if error else 0),
    }
    return _change(connection, tick, ended)


def _change(connection: Connection, tick: Tick, values: dict[str, Any]) -> bool:
    """Change the row, if the tick's run is still the last one begun and is not over."""
    ours = and_(schedules.c.name == tick.name, schedules.c.fence == tick.fence, schedules.c.holder.is_not(None))
    return connection.execute(update(schedules).where(ours).values(values)).rowcount > 0


def _all(connection: Connection) -> list[ScheduleRecord]:
    rows = connection.execute(select(schedules).order_by(schedules.c.name))
    return [ScheduleRecord(**row._mapping) for row in rows]
