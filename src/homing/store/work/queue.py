"""Durable work on a SQL database, with a bell for whoever waits for it."""

import asyncio
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, bindparam, delete, func, literal_column, select, text, union_all

from homing.model.work import Ending, Job, JobId, JobState, NewJob, Priority, WorkFigures
from homing.ports import CacheCleared, Notice, Page, WorkReady
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.schema.tables import UNFINISHED, jobs
from homing.store.db.sql import among, dialect_of, moment, moments
from homing.store.notices.notices import StagedNotices
from homing.store.records.recording import record_all
from homing.store.work import jobs as operations
from homing.store.work.jobs import is_head, job_of

T = TypeVar("T")

_MANY = 1_000
"""Sessions; asking after more of them is in no hurry."""


class SqlWork:
    """`ports.Work` on SQLite and PostgreSQL.

    Who enqueues rings the bell with the commit itself, in every gateway. A bell may be missed with the connection that
    carries it, or if the enqueuer dies between commit and word on SQLite; so those who wait also look now and then.
    """

    def __init__(self, database: Database, notices: StagedNotices) -> None:
        self._database, self._notices = database, notices
        self._bells: dict[str, asyncio.Event] = {}
        notices.subscribe(self._hear)

    async def enqueue(self, jobs: Sequence[NewJob]) -> list[JobId | None]:
        def add(connection: Connection) -> tuple[list[JobId | None], list[Notice]]:
            enqueued = operations.enqueue(connection, self._database, jobs)
            _record(connection, jobs, enqueued.ids)
            return enqueued.ids, enqueued.notices

        return await self._change(add) if jobs else []

    async def claim(self, kind: str, *, owner: str, limit: int, lease_s: float, fair: bool = False) -> list[Job]:
        claim = operations.claim_fairly if fair else operations.claim
        return await self._database.write(
            lambda c: claim(c, self._database, kind, owner=owner, limit=limit, lease_s=lease_s)
        )

    async def renew(self, jobs: Collection[Job], *, lease_s: float) -> set[JobId]:
        if not jobs:
            return set()
        return await self._database.write(lambda c: operations.renew(c, self._database, jobs, lease_s))

    async def settle(self, endings: Sequence[tuple[Job, Ending]]) -> set[JobId]:
        def end(connection: Connection) -> tuple[set[JobId], list[Notice]]:
            settled = operations.settle(connection, self._database, endings)
            return settled.ids, settled.notices

        return await self._change(end) if endings else set()

    async def cancel(self, id: JobId) -> bool:
        return await self._change(lambda c: operations.cancel(c, self._database, id))

    async def replay(self, ids: Collection[JobId]) -> set[JobId]:
        return await self._change(lambda c: operations.replay(c, self._database, ids))

    async def job(self, id: JobId) -> Job | None:
        return await self._database.read(lambda c: _job(c, id))

    async def jobs(self, page: Page, *, kind: str | None = None, state: JobState | None = None) -> list[Job]:
        return await self._database.read(lambda c: _page(c, page, kind, state))

    async def open_of(self, kind: str, dedups: Collection[str]) -> dict[str, Job]:
        if not dedups:
            return {}
        read = self._database.read_aside if len(dedups) > _MANY else self._database.read
        return await read(lambda c: _open_of(c, kind, dedups))

    async def latest(self, kind: str, dedup: str) -> Job | None:
        return await self._database.read(lambda c: _latest(c, kind, dedup))

    async def figures(self) -> list[WorkFigures]:
        return await self._database.read(lambda c: _figures(c, self._database))

    async def next_due_s(self, kind: str) -> float | None:
        return await self._database.read(lambda c: _next_due_s(c, self._database, kind))

    async def prune(self, *, done_keep_s: float, dead_keep_s: float, limit: int = 10_000) -> int:
        keep_s = {JobState.DONE: done_keep_s, JobState.CANCELLED: done_keep_s, JobState.DEAD: dead_keep_s}
        return await self._database.write(lambda c: _prune(c, self._database, keep_s, limit))

    def bell(self, kind: str) -> asyncio.Event:
        return self._bells.setdefault(kind, asyncio.Event())

    def _hear(self, notice: Notice) -> None:
        if isinstance(notice, WorkReady) and notice.kind in self._bells:
            self._bells[notice.kind].set()
        elif isinstance(notice, CacheCleared):
            for bell in self._bells.values():
                bell.set()

    async def _change(self, fn: Callable[[Connection], tuple[T, list[Notice]]]) -> T:
        def staged(connection: Connection) -> tuple[T, Any]:
            value, notices = fn(connection)
            return value, self._notices.stage(connection, notices) if notices else None

        value, announce = await self._database.write(staged)
        if announce is not None:
            await announce()
        return value


def _record(connection: Connection, new: Sequence[NewJob], ids: Sequence[JobId | None]) -> None:
    """What somebody asked for, and was not asked for already, by its kind."""
    made = [job for job, made_id in zip(new, ids, strict=True) if made_id is not None]
    for kind in sorted({job.kind for job in made}):
        named = [job.dedup or job.key or "" for job in made if job.kind == kind]
        why = next(str(job.payload.get("reason", "")) for job in made if job.kind == kind)
        record_all(connection, f"{kind}.wanted", "session", named, after={"reason": why})


def _job(connection: Connection, id: JobId) -> Job | None:
    row = connection.execute(select(jobs).where(jobs.c.id == id)).one_or_none()
    return None if row is None else job_of(row)


def _latest(connection: Connection, kind: str, dedup: str) -> Job | None:
    newest = select(jobs).where(jobs.c.kind == kind, jobs.c.dedup == dedup).order_by(jobs.c.id.desc()).limit(1)
    row = connection.execute(newest).one_or_none()
    return None if row is None else job_of(row)


def _page(connection: Connection, page: Page, kind: str | None, state: JobState | None) -> list[Job]:
    statement = select(jobs).order_by(jobs.c.id.desc()).limit(page.limit)
    if page.after:
        statement = statement.where(jobs.c.id < page.after)
    if kind is not None:
        statement = statement.where(jobs.c.kind == kind)
    if state is not None:
        statement = statement.where(jobs.c.state == state)
    return [job_of(row) for row in connection.execute(statement)]


def _open_of(connection: Connection, kind: str, dedups: Collection[str]) -> dict[str, Job]:
    # Two halves, each by a partial index of its own; the states are written out so that both databases see that.
    named = among(dialect_of(connection), jobs.c.dedup, "dedups")
    of_kind = select(jobs.c.id).where(jobs.c.kind == kind, named)
    unfinished = of_kind.where(text(UNFINISHED), jobs.c.dedup.is_not(None))
    dead = of_kind.where(jobs.c.state == literal_column("'dead'"), jobs.c.finished_at.is_not(None))
    statement = select(jobs).where(jobs.c.id.in_(union_all(unfinished, dead))).order_by(jobs.c.id)
    rows = connection.execute(statement, {"dedups": list(dedups)})
    return {job.dedup: job for job in map(job_of, rows) if job.dedup is not None}


def _figures(connection: Connection, database: Database) -> list[WorkFigures]:
    counts: dict[str, dict[JobState, int]] = {}
    oldest: dict[str, float] = {}
    grouped = select(jobs.c.kind, jobs.c.state, func.count().label("number"), func.min(jobs.c.due_at).label("oldest"))
    now = database.now(connection)
    for row in connection.execute(grouped.group_by(jobs.c.kind, jobs.c.state)):
        state = JobState(row.state)
        counts.setdefault(row.kind, {})[state] = row.number
        if state in (JobState.READY, JobState.RUNNING):
            oldest[row.kind] = max(oldest.get(row.kind, 0.0), (now - row.oldest).total_seconds())
    return [WorkFigures(kind, counts[kind], oldest.get(kind, 0.0)) for kind in sorted(counts)]


def _next_due_s(connection: Connection, database: Database, kind: str) -> float | None:
    asked = {"wanted": kind, **moments(connection, database, clock=0.0)}
    now, *due = connection.execute(_next_due_statement(database.dialect), asked).one()
    known = [(each - now).total_seconds() for each in due if each is not None]
    return max(0.0, min(known)) if known else None


@prepared
def _next_due_statement(dialect: Dialect) -> Select[Any]:
    firsts = [
        select(jobs.c.due_at)
        .where(is_head(), jobs.c.kind == bindparam("wanted"))
        .where(jobs.c.priority == literal_column(str(priority.value)))
        .order_by(jobs.c.due_at)
        .limit(1)
        .scalar_subquery()
        for priority in Priority
    ]
    return select(moment(dialect, "clock").label("now"), *firsts)


def _prune(connection: Connection, database: Database, keep_s: dict[JobState, float], limit: int) -> int:
    gone = 0
    for state, kept_s in keep_s.items():
        before = select(database.instant(-kept_s)).scalar_subquery()
        old = (
            select(jobs.c.id)
            .where(jobs.c.state == state, jobs.c.finished_at.is_not(None), jobs.c.finished_at < before)
            .order_by(jobs.c.finished_at)
            .limit(limit - gone)
        )
        gone += connection.execute(delete(jobs).where(jobs.c.id.in_(old))).rowcount
    return gone
