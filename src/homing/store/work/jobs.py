"""The work table: who may have which job, and which job of a key comes next.

Of the unfinished jobs of a key exactly one, the oldest, is the head (`ready` or `running`); the others are `queued`
behind it, and whoever finishes a head makes the next one ready in the same transaction. So a claim need only look at
heads, by an index that holds nothing else, and a unique index on the heads' keys refuses a second one.

On PostgreSQL those who add to a key and those who finish its head take turns (an advisory lock until their commit):
otherwise neither would see the other, and a job could stay queued behind nobody.
"""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    FromClause,
    Integer,
    Text,
    Update,
    and_,
    bindparam,
    case,
    column,
    func,
    literal,
    literal_column,
    null,
    select,
    true,
    union_all,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.types import TypeEngine

from homing.model.work import TAKEN_OVER, Dead, Done, Ending, GivenBack, Job, JobId, JobState, NewJob, Priority, Retry
from homing.ports import Notice, WorkReady
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import AnyRow
from homing.store.db.schema.columns import BoundedInteger, TextList, UtcDateTime, Words, storable
from homing.store.db.schema.tables import jobs
from homing.store.db.sql import as_rows, chunks, dialect_of, given_rows, moment, moments, written_moment

_CHUNK = 1_000
_LOCK_CLASS = 0x4A4F42  # "JOB": tells our advisory locks from others
_LOCKS = 1_024  # A lock for each of a million keys would exhaust the server's memory for locks.


@dataclass(frozen=True, slots=True)
class Enqueued:
    """The ids of new jobs, None where an unfinished one of the same kind and `dedup` exists, and whom to wake."""

    ids: list[JobId | None]
    notices: list[Notice]


def enqueue(connection: Connection, database: Database, new: Sequence[NewJob]) -> Enqueued:
    """Add jobs, within whatever transaction the connection is in. The notices are to be staged in it by the caller."""
    keys = {job.key for job in new if job.key is not None}
    now = _take_turn(connection, database, keys)
    ids = [made for part in chunks(new, _CHUNK) for made in _insert(connection, part, now)]
    _promote(connection, keys)
    kinds = sorted({job.kind for job, made in zip(new, ids, strict=True) if made is not None})
    return Enqueued(ids, [WorkReady(kind) for kind in kinds])


def claim(
    connection: Connection, database: Database, kind: str, *, owner: str, limit: int, lease_s: float
) -> list[Job]:
    """Take up to `limit` due heads of the kind, each with a higher fence than it ever had."""
    times = moments(connection, database, clock=0.0, held_for=lease_s)
    wanted = {"wanted": kind, "most": limit, "claimer": owner, **times}
    rows = connection.execute(_claim_statement(database.dialect), wanted)
    return sorted((job_of(row) for row in rows), key=lambda job: (job.priority, job.id))


def claim_fairly(
    connection: Connection, database: Database, kind: str, *, owner: str, limit: int, lease_s: float
) -> list[Job]:
    """The same, by turns of the shares: the first of each, then the second of each… Those that run have had theirs."""
    times = moments(connection, database, clock=0.0, held_for=lease_s)
    wanted = {"wanted": kind, "most": limit, "claimer": owner, **times}
    rows = connection.execute(_fair_claim_statement(database.dialect), wanted)
    return sorted((job_of(row) for row in rows), key=lambda job: (job.priority, job.id))


def renew(connection: Connection, database: Database, held: Collection[Job], lease_s: float) -> set[JobId]:
    """Hold these for longer; answers which of them are still held under that fence."""
    given = as_rows({"id": job.id, "fence": job.fence} for job in held)
    times = moments(connection, database, held_for=lease_s)
    return set(connection.scalars(_renew_statement(database.dialect), {"given": given, **times}))


@dataclass(frozen=True, slots=True)
class Settled:
    """Which endings were accepted, and of which kinds there is something new to claim."""

    ids: set[JobId]
    notices: list[Notice]


def settle(connection: Connection, database: Database, endings: Sequence[tuple[Job, Ending]]) -> Settled:
    """Write down how attempts ended, each only if its claim is still the last; then let the next of its key go."""
    keys = {job.key for job, ending in endings if job.key is not None and isinstance(ending, Done | Dead)}
    now = _take_turn(connection, database, keys)
    ids: set[JobId] = set()
    for part in chunks(endings, _CHUNK):
        given = as_rows(_ending_row(job, ending, now) for job, ending in part)
        ids.update(connection.scalars(_settle_statement(dialect_of(connection)), {"given": given}))
    given_back = {job.kind for job, ending in endings if isinstance(ending, GivenBack) and job.id in ids}
    return Settled(ids, [WorkReady(kind) for kind in sorted(given_back | _promote(connection, keys))])


def cancel(connection: Connection, database: Database, id: JobId) -> tuple[bool, list[Notice]]:
    """Take back a job that nobody has claimed."""
    key = connection.scalar(select(jobs.c.key).where(jobs.c.id == id))
    keys = {key} if key is not None else set()
    now = _take_turn(connection, database, keys)
    unclaimed = jobs.c.state.in_([JobState.QUEUED, JobState.READY])
    ended = {"state": JobState.CANCELLED, "finished_at": now, "reason": "cancelled"}
    found = connection.scalar(update(jobs).where(jobs.c.id == id, unclaimed).values(ended).returning(jobs.c.id))
    return found is not None, [WorkReady(kind) for kind in sorted(_promote(connection, keys))]


def replay(connection: Connection, database: Database, ids: Collection[JobId]) -> tuple[set[JobId], list[Notice]]:
    """Let dead jobs live again, the oldest first, except where another of the same `dedup` lives already."""
    dead = list(
        connection.execute(
            select(jobs.c.id, jobs.c.kind, jobs.c.key)
            .where(jobs.c.id.in_(sorted(ids)), jobs.c.state == JobState.DEAD)
            .order_by(jobs.c.id)
        )
    )
    keys = {row.key for row in dead if row.key is not None}
    now = _take_turn(connection, database, keys)
    alive = {JobId(row.id) for row in dead if _revive(connection, row, now)}
    _promote(connection, keys)
    return alive, [WorkReady(kind) for kind in sorted({row.kind for row in dead if row.id in alive})]


def job_of(row: AnyRow) -> Job:
    return Job(
        id=JobId(row.id),
        kind=row.kind,
        key=row.key,
        dedup=row.dedup,
        payload=row.payload,
        priority=Priority(row.priority),
        state=JobState(row.state),
        due_at=row.due_at,
        attempts=row.attempts,
        fence=row.fence,
        owner=row.owner,
        reason=row.reason,
        created_at=row.created_at,
        finished_at=row.finished_at,
    )


def is_head(table: FromClause = jobs) -> ColumnElement[bool]:
    """Written so, and not with parameters, that both databases see the condition of the partial indexes in it."""
    return table.c.state.in_([literal_column("'ready'"), literal_column("'running'")])


# --- adding -------------------------------------------------------------------------------------------------------

_NEW: dict[str, TypeEngine[Any]] = {
    "place": Integer(),
    "kind": Words(),
    "key": Words(),
    "dedup": Words(),
    "payload": Text(),
    "priority": Integer(),
    "state": Words(),
    "due_at": UtcDateTime(),
    "share": Words(),
}


def _insert(connection: Connection, part: Sequence[NewJob], now: datetime) -> list[JobId | None]:
    given = as_rows(_new_row(job, place, now) for place, job in enumerate(part))
    rows = connection.execute(_insert_statement(dialect_of(connection)), {"given": given, "created": now})
    made = sorted((row.id, row.kind, row.dedup) for row in rows)
    # Ids rise in the order given, and of several alike the first one was taken.
    made_ids = (JobId(made_id) for made_id, _, _ in made)
    deduped = {(kind, dedup) for _, kind, dedup in made if dedup is not None}
    return [next(made_ids) if _was_made(job, deduped) else None for job in part]


def _was_made(job: NewJob, deduped: set[tuple[str, str]]) -> bool:
    if job.dedup is None:
        return True
    same = (job.kind, storable(job.dedup))
    was_made = same in deduped
    deduped.discard(same)
    return was_made


def _new_row(job: NewJob, place: int, now: datetime) -> dict[str, str | int | None]:
    return {
        "place": place,
        "kind": job.kind,
        "key": job.key,
        "dedup": job.dedup,
        "payload": json.dumps(job.payload, separators=(",", ":")),
        "priority": job.priority,
        "state": JobState.READY if job.key is None else JobState.QUEUED,
        "due_at": written_moment(now + timedelta(seconds=job.after_s)),
        "share": job.share,
    }


@prepared
def _insert_statement(dialect: Dialect) -> ReturningInsert[Any]:
    given = given_rows(dialect, "given", _NEW)
    names = [name for name in _NEW if name != "place"]
    created_at = bindparam("created", type_=UtcDateTime())
    untouched: list[ColumnElement[Any]] = [literal_column("0"), literal_column("0"), literal_column("''"), created_at]
    chosen = select(*(given.c[name] for name in names), *untouched).where(true()).order_by(given.c.place)
    adding = sqlite.insert(jobs) if dialect == "sqlite" else postgresql.insert(jobs)
    into = [*names, "attempts", "fence", "reason", "created_at"]
    return adding.from_select(into, chosen).on_conflict_do_nothing().returning(jobs.c.id, jobs.c.kind, jobs.c.dedup)


def _revive(connection: Connection, row: AnyRow, now: datetime) -> bool:
    other = jobs.alias("other")
    unfinished = other.c.state.in_([JobState.QUEUED, JobState.READY, JobState.RUNNING])
    same = select(other.c.id).where(other.c.kind == jobs.c.kind, other.c.dedup == jobs.c.dedup, unfinished)
    state = JobState.READY if row.key is None else JobState.QUEUED
    again = {"state": state, "due_at": now, "attempts": 0, "finished_at": None}
    statement = update(jobs).where(jobs.c.id == row.id, jobs.c.state == JobState.DEAD, ~same.exists()).values(again)
    return connection.execute(statement).rowcount > 0


# --- claiming and holding -----------------------------------------------------------------------------------------


# These statements are asked so often that building them anew would cost more than running them.
@prepared
def _claim_statement(dialect: Dialect) -> Update:
    # As a subquery the clock is asked once, and its answer can bound the search in the index.
    now = select(moment(dialect, "clock")).scalar_subquery()
    most = bindparam("most", type_=Integer())
    due = [
        select(jobs.c.id)
        .where(is_head(), jobs.c.kind == bindparam("wanted", type_=Words()))
        .where(jobs.c.priority == literal_column(str(priority.value)), jobs.c.due_at <= now)
        .order_by(jobs.c.due_at, jobs.c.id)
        .limit(most)
        .with_for_update(skip_locked=True)
        .cte(f"due_{priority.name.lower()}")
        for priority in Priority
    ]
    picked = union_all(*(select(each.c.id) for each in due)).limit(most).subquery("picked")
    return _taken(dialect, picked)


def _taken(dialect: Dialect, picked: FromClause) -> Update:
    held = {
        "state": JobState.RUNNING,
        "owner": bindparam("claimer", type_=Words()),
        "due_at": moment(dialect, "held_for"),
    }
    abandoned = jobs.c.state == literal_column("'running'")
    once_more = {
        "attempts": jobs.c.attempts + 1,
        "fence": jobs.c.fence + 1,
        "reason": case((abandoned, literal(TAKEN_OVER)), else_=jobs.c.reason),
    }
    return update(jobs).where(jobs.c.id.in_(select(picked.c.id))).values(**held, **once_more).returning(jobs)


@prepared
def _fair_claim_statement(dialect: Dialect) -> Update:
    # PostgreSQL locks no rows below a window, so they are ranked first and locked afterwards.
    now = select(moment(dialect, "clock")).scalar_subquery()
    most = bindparam("most", type_=Integer())
    runs = case((and_(jobs.c.state == literal_column("'running'"), jobs.c.due_at > now), 0), else_=1)
    turn = func.row_number().over(partition_by=jobs.c.share, order_by=(runs, jobs.c.priority, jobs.c.due_at, jobs.c.id))
    heads = (
        select(jobs.c.id, jobs.c.due_at, runs.label("waits"), turn.label("turn"))
        .where(is_head(), jobs.c.kind == bindparam("wanted", type_=Words()))
        .subquery("heads")
    )
    ranked = select(heads).where(heads.c.waits == 1, heads.c.due_at <= now)
    ranked = ranked.order_by(heads.c.turn, heads.c.due_at, heads.c.id).limit(most)
    first = ranked.subquery("first")
    picked = (
        select(jobs.c.id)
        .where(jobs.c.id.in_(select(first.c.id)), is_head(), jobs.c.due_at <= now)
        .with_for_update(skip_locked=True)
        .cte("picked")
    )
    return _taken(dialect, picked)


_HELD: dict[str, TypeEngine[Any]] = {"id": BoundedInteger(), "fence": BoundedInteger()}


@prepared
def _renew_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", _HELD)
    held = update(jobs).where(*_still_held(given)).values(due_at=moment(dialect, "held_for"))
    return held.returning(jobs.c.id)


def _still_held(given: FromClause) -> tuple[ColumnElement[bool], ...]:
    return jobs.c.id == given.c.id, jobs.c.fence == given.c.fence, jobs.c.state == JobState.RUNNING


# --- settling -----------------------------------------------------------------------------------------------------

_ENDED: dict[str, TypeEngine[Any]] = {
    **_HELD,
    "state": Words(),
    "due_at": UtcDateTime(),
    "finished_at": UtcDateTime(),
    "uncounted": Integer(),
    "reason": Words(),
}


def _ending_row(job: Job, ending: Ending, now: datetime) -> dict[str, str | int | None]:
    state, after_s = _state_after(ending)
    return {
        "id": job.id,
        "fence": job.fence,
        "state": state,
        "due_at": written_moment(now + timedelta(seconds=after_s)),
        "finished_at": None if state is JobState.READY else written_moment(now),
        "uncounted": int(isinstance(ending, GivenBack) or (isinstance(ending, Retry) and not ending.counts)),
        "reason": ending.reason,
    }


def _state_after(ending: Ending) -> tuple[JobState, float]:
    match ending:
        case Done():
            return JobState.DONE, 0.0
        case Dead():
            return JobState.DEAD, 0.0
        case Retry(after_s=after_s):
            return JobState.READY, after_s
        case GivenBack():
            return JobState.READY, 0.0


@prepared
def _settle_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", _ENDED)
    taken = {name: given.c[name] for name in ("state", "due_at", "finished_at", "reason")}
    return (
        update(jobs)
        .where(*_still_held(given))
        .values(**taken, owner=null(), attempts=jobs.c.attempts - given.c.uncounted)
        .returning(jobs.c.id)
    )


# --- the order within a key ---------------------------------------------------------------------------------------


def _take_turn(connection: Connection, database: Database, keys: Collection[str]) -> datetime:
    """Wait until nobody else changes what these keys have, and tell the store's time. SQLite has one writer anyway."""
    if database.dialect == "sqlite" or not keys:
        return database.now(connection)
    names = func.unnest(bindparam("keys", type_=TextList())).table_valued(column("key", Text())).render_derived()
    locks = select(func.hashtext(names.c.key).op("&")(_LOCKS - 1).label("number")).distinct().order_by("number")
    taken = func.pg_advisory_xact_lock(_LOCK_CLASS, locks.subquery("locks").c.number)
    return connection.execute(select(database.instant(), func.count(taken)), {"keys": sorted(keys)}).one()[0]


def _promote(connection: Connection, keys: Collection[str]) -> set[str]:
    """Make the oldest queued job of each of these keys its head, unless it has one; answers the kinds of those."""
    kinds: set[str] = set()
    for part in chunks(sorted(keys), _CHUNK):
        given = as_rows({"key": key} for key in part)
        kinds.update(connection.scalars(_promote_statement(dialect_of(connection)), {"given": given}))
    return kinds


@prepared
def _promote_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", {"key": Words()})
    queued, head = jobs.alias("waiting"), jobs.alias("head")
    oldest = (
        select(queued.c.id)
        .where(queued.c.key == given.c.key, queued.c.state == literal_column("'queued'"))
        .order_by(queued.c.id)
        .limit(1)
        .correlate(given)
        .scalar_subquery()
    )
    # A LIMIT, and not EXISTS, which PostgreSQL may turn into a walk over all heads.
    present = select(head.c.id).where(head.c.key == given.c.key, is_head(head)).limit(1).correlate(given)
    nexts = select(oldest).select_from(given).where(present.scalar_subquery().is_(None))
    return update(jobs).where(jobs.c.id.in_(nexts)).values(state=JobState.READY).returning(jobs.c.kind)
