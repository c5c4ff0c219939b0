"""What is heard of sessions, on a SQL database."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime
from itertools import zip_longest
from typing import Any

from sqlalchemy import Connection, Row, Select, Update, delete, func, select, true, update
from sqlalchemy.dialects import postgresql, sqlite

from homing.decide.hearing import outgoing
from homing.model.fleet import (
    AccountUuid,
    DeafPolicy,
    Epoch,
    InstanceUrl,
    Placement,
    PlacementState,
    SessionId,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.model.sessions.hearing import (
    DeepLook,
    HeardHour,
    HeardNews,
    Hearing,
    HearingCase,
    HearingRecord,
    Rung,
    RungHistory,
    Shows,
    TriedRung,
)
from homing.store.db.database import Database, Dialect
from homing.store.db.many_rows import in_turns
from homing.store.db.prepared import prepared
from homing.store.db.schema.columns import Words, json_text
from homing.store.db.schema.hearing import heard_hours, hearing, listening
from homing.store.db.schema.tables import accounts, instances, sessions, workspaces
from homing.store.db.sql import among, as_rows, chunks, dialect_of, given_rows, insert, written_moment
from homing.store.records import rung_history

_ASKED_AT_ONCE = 500
_NOTED_AT_ONCE = 500


class SqlHearings:
    """`ports.hearing.Hearings` on SQLite and PostgreSQL."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def note(self, news: Collection[HeardNews]) -> None:
        # In one order in every gateway, so that two of them never wait for each other's rows.
        ordered = sorted(news, key=lambda each: each.session_id)

        def noted(connection: Connection) -> None:
            for alike in _one_of_each(ordered):
                for some in chunks(alike, _NOTED_AT_ONCE):
                    _note_all(connection, some)

        if ordered:
            await self._database.write(noted)

    async def listened(self, now: datetime, *, at_most_s: float) -> datetime:
        def noted(connection: Connection) -> datetime:
            row = connection.execute(select(listening).with_for_update()).one_or_none()
            is_gap = row is None or (now - row.until_at).total_seconds() > at_most_s
            since = now if is_gap or row is None else row.since_at
            until = now if row is None else max(now, row.until_at)
            adding = insert(dialect_of(connection), listening).values(id=1, since_at=since, until_at=until)
            told = {"since_at": since, "until_at": until}
            connection.execute(adding.on_conflict_do_update(index_elements=[listening.c.id], set_=told))
            return since

        return await self._database.write(noted)

    async def cases(self) -> list[HearingCase]:
        return await self._database.read_aside(lambda c: [_case(row) for row in in_turns(c.execute(_connected()))])

    async def case(self, session_id: SessionId) -> HearingCase | None:
        asked = _connected().where(sessions.c.session_id == session_id)
        row = await self._database.read(lambda c: c.execute(asked).one_or_none())
        return None if row is None else _case(row)

    async def unwell(self) -> list[HearingCase]:
        asked = _placed().where(hearing.c.hearing != Hearing.HEARING.value)
        return await self._database.read(lambda c: [_case(row) for row in in_turns(c.execute(asked))])

    async def hours(self, sessions: Collection[SessionId], *, since: int) -> Mapping[SessionId, Sequence[HeardHour]]:
        found: dict[SessionId, list[HeardHour]] = {}
        for some in chunks(sorted(sessions), _ASKED_AT_ONCE):
            asked = (
                select(heard_hours)
                .where(heard_hours.c.session_id.in_(some), heard_hours.c.hour >= since)
                .order_by(heard_hours.c.session_id, heard_hours.c.hour)
            )
            rows = await self._database.read_aside(lambda c, asked=asked: list(in_turns(c.execute(asked))))  # type: ignore[misc]
            for row in rows:
                hour = HeardHour(row.hour, row.came, row.longest_gap_s, row.void)
                found.setdefault(SessionId(row.session_id), []).append(hour)
        return found

    async def keep(self, record: HearingRecord, *, version: int, climbed: RungHistory | None = None) -> bool:
        def kept(connection: Connection) -> bool:
            _make(connection, record.session_id)
            is_it = (hearing.c.session_id == record.session_id) & (hearing.c.version == version)
            done = connection.execute(update(hearing).where(is_it).values(_written(record, version))).rowcount
            if done and climbed is not None:
                rung_history.remember(connection, climbed)
            return bool(done)

        return await self._database.write(kept)

    async def history(
        self, workspace: WorkspaceId | None, *, session: SessionId | None = None, limit: int
    ) -> Sequence[RungHistory]:
        return await self._database.read(lambda c: rung_history.newest(c, workspace, session, limit))

    async def forget_history(self, *, before: datetime, limit: int) -> int:
        return await self._database.write(lambda c: rung_history.forget(c, before, limit))

    async def keep_probes(self, session_id: SessionId, probes: Sequence[datetime]) -> None:
        def kept(connection: Connection) -> None:
            _make(connection, session_id)
            said = {"at": [_written_at(each) for each in probes]}
            connection.execute(update(hearing).where(hearing.c.session_id == session_id).values(probed=said))

        await self._database.write(kept)

    async def keep_look(self, session_id: SessionId, looked: DeepLook) -> None:
        def kept(connection: Connection) -> None:
            _make(connection, session_id)
            said = {"at": _written_at(looked.at), "failed": looked.failed, "said": looked.said}
            said["since_at"] = None if looked.since_at is None else _written_at(looked.since_at)
            connection.execute(update(hearing).where(hearing.c.session_id == session_id).values(looked=said))

        await self._database.write(kept)

    async def void(self, session_id: SessionId, hours: Sequence[int]) -> None:
        rows = [
            {"session_id": session_id, "hour": hour, "came": 0, "longest_gap_s": 0.0, "void": True} for hour in hours
        ]

        def voided(connection: Connection) -> None:
            adding = insert(dialect_of(connection), heard_hours)
            named = [heard_hours.c.session_id, heard_hours.c.hour]
            connection.execute(adding.on_conflict_do_update(index_elements=named, set_={"void": True}), rows)

        if rows:
            await self._database.write(voided)

    async def forget(self, *, before: int, limit: int) -> int:
        def forgotten(connection: Connection) -> int:
            old = select(heard_hours.c.session_id, heard_hours.c.hour).where(heard_hours.c.hour < before).limit(limit)
            rows = connection.execute(old).all()
            for row in rows:
                one = (heard_hours.c.session_id == row.session_id) & (heard_hours.c.hour == row.hour)
                connection.execute(delete(heard_hours).where(one))
            return len(rows)

        return await self._database.write(forgotten)


# --- writing --------------------------------------------------------------------------------------------------


def _make(connection: Connection, session: SessionId) -> None:
    adding = insert(dialect_of(connection), hearing).values(session_id=session)
    connection.execute(adding.on_conflict_do_nothing())


def _one_of_each(news: Sequence[HeardNews]) -> Iterable[Sequence[HeardNews]]:
    """The news in rounds, so that each has no session twice: one round, unless somebody says two things of one."""
    of: dict[SessionId, list[HeardNews]] = {}
    for each in news:
        of.setdefault(each.session_id, []).append(each)
    for some in zip_longest(*of.values()):
        yield [each for each in some if each is not None]


def _note_all(connection: Connection, news: Sequence[HeardNews]) -> None:
    """Four statements, however many sessions it is of: another gateway waits for their rows meanwhile."""
    dialect = dialect_of(connection)
    asked = {"sessions": [each.session_id for each in news]}
    connection.execute(_make_statement(dialect), {"given": as_rows({"session_id": each.session_id} for each in news)})
    rows = {row.session_id: row for row in connection.execute(_noted_statement(dialect), asked)}
    changed = [_with_news(rows[each.session_id], each, rows[each.session_id].driver) for each in news]
    given = as_rows(
        {"session_id": each.session_id, **_as_row(values)} for each, values in zip(news, changed, strict=True)
    )
    connection.execute(_changed_statement(dialect), {"given": given})
    _note_hours(connection, news)


@prepared
def _make_statement(dialect: Dialect) -> sqlite.Insert | postgresql.Insert:
    given = given_rows(dialect, "given", {"session_id": Words()})
    # A WHERE, for SQLite to see where the rows end and what is done on a conflict begins.
    adding = insert(dialect, hearing).from_select(["session_id"], select(given.c.session_id).where(true()))
    return adding.on_conflict_do_nothing()


@prepared
def _noted_statement(dialect: Dialect) -> Select[Any]:
    there = sessions.join(instances, instances.c.url == sessions.c.instance_url)
    driver = select(instances.c.driver).select_from(there).where(sessions.c.session_id == hearing.c.session_id)
    return (
        select(hearing, driver.scalar_subquery().label("driver"))
        .where(among(dialect, hearing.c.session_id, "sessions"))
        .order_by(hearing.c.session_id)
        .with_for_update()
    )


@prepared
def _changed_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", {"session_id": Words(), **{name: hearing.c[name].type for name in _CHANGED}})
    changed = {name: given.c[name] for name in _CHANGED}
    return update(hearing).where(hearing.c.session_id == given.c.session_id).values(changed)


_CHANGED = ("last_at", "acknowledged_at", "unacknowledged", "unsettled", "settled", "acknowledged")


def _as_row(values: Mapping[str, Any]) -> dict[str, str | int | None]:
    moments = {name: values[name] and written_moment(values[name]) for name in ("last_at", "acknowledged_at")}
    return {**values, **moments, "unacknowledged": json_text(values["unacknowledged"])}


def _with_news(row: Row[Any], news: HeardNews, family: str | None) -> dict[str, Any]:
    """The row with what one gateway heard: an acknowledgement ends what was unacknowledged before it."""
    newest = _later(row.acknowledged_at, news.acknowledged_at)
    was_elsewhere = _of_another_family(row, family)
    before = [] if was_elsewhere else _moments(row.unacknowledged.get("at", ()))
    pending = sorted({*before, *news.unacknowledged})
    pending = [at for at in pending if newest is None or at > newest]
    unsettled, settled, known = (0, 0, 0) if was_elsewhere else (row.unsettled, row.settled, row.acknowledged)
    unsettled += news.sent
    if news.acknowledged:
        settled, unsettled = settled + min(unsettled, outgoing.SETTLED_AT_ONCE * news.acknowledged), len(pending)
    settled, acknowledged = outgoing.faded(settled, known + news.acknowledged)
    return {
        "last_at": _later(row.last_at, news.last_at),
        "acknowledged_at": newest,
        "unacknowledged": {"at": [_written_at(at) for at in pending[-outgoing.KEPT :]], "family": family},
        "unsettled": unsettled,
        "settled": settled,
        "acknowledged": acknowledged,
    }


def _of_another_family(row: Row[Any], family: str | None) -> bool:
    """Whether what is known of its acknowledgements was told by a gateway of another family than it is with now: that
    says nothing of how surely this one tells them. What comes of a session is its account's, wherever it is."""
    told_by = row.unacknowledged.get("family")
    return told_by is not None and family is not None and told_by != family


def _note_hours(connection: Connection, news: Sequence[HeardNews]) -> None:
    rows = [
        {"session_id": each.session_id, "hour": hour, "came": came, "longest_gap_s": gap, "void": False}
        for each in news
        for hour, (came, gap) in sorted(each.came.items())
    ]
    if rows:
        connection.execute(_hours_statement(dialect_of(connection)), rows)


def _hours_statement(dialect: Dialect) -> sqlite.Insert | postgresql.Insert:
    adding = insert(dialect, heard_hours)
    gap, more = heard_hours.c.longest_gap_s, adding.excluded.longest_gap_s
    longest = func.max(gap, more) if dialect == "sqlite" else func.greatest(gap, more)
    changed = {"came": heard_hours.c.came + adding.excluded.came, "longest_gap_s": longest}
    return adding.on_conflict_do_update(index_elements=[heard_hours.c.session_id, heard_hours.c.hour], set_=changed)


def _written(record: HearingRecord, version: int) -> dict[str, Any]:
    tried = [
        {
            "rung": each.rung.value,
            "began_at": _written_at(each.began_at),
            "ended_at": None if each.ended_at is None else _written_at(each.ended_at),
            "result": each.result,
        }
        for each in record.tried
    ]
    return {
        "hearing": record.hearing.value,
        "reason": record.reason,
        "since_at": record.since_at,
        "against": record.against,
        "shows": {"shows": sorted(each.value for each in record.shows)},
        "tried": {"tried": tried},
        "version": version + 1,
    }


# --- reading --------------------------------------------------------------------------------------------------


def _placed() -> Select[Any]:
    about = sessions.join(accounts, accounts.c.id == sessions.c.account_id)
    about = about.join(workspaces, workspaces.c.id == accounts.c.workspace_id)
    about = about.outerjoin(hearing, hearing.c.session_id == sessions.c.session_id)
    about = about.outerjoin(instances, instances.c.url == sessions.c.instance_url)
    return (
        select(
            accounts.c.id,
            accounts.c.uuid,
            accounts.c.workspace_id,
            accounts.c.phone,
            accounts.c.takeover,
            func.coalesce(accounts.c.deaf_policy, workspaces.c.deaf_policy).label("policy"),
            sessions.c.session_id,
            sessions.c.instance_url,
            sessions.c.epoch,
            sessions.c.state,
            sessions.c.status,
            sessions.c.updated_at,
            instances.c.driver,
            *(each for each in hearing.c if each.name != "session_id"),
        )
        .select_from(about)
        .where(sessions.c.instance_url.is_not(None))
        .order_by(sessions.c.session_id)
    )


def _connected() -> Select[Any]:
    is_there = sessions.c.state == PlacementState.HELD.value
    return _placed().where(sessions.c.status == SessionStatus.CONNECTED.value, is_there)


def _case(row: Row[Any]) -> HearingCase:
    is_kept = row.version is not None
    session = SessionId(row.session_id)
    placement = Placement(session, InstanceUrl(row.instance_url), Epoch(row.epoch), PlacementState(row.state))
    case = HearingCase(
        account_id=row.id,
        account_uuid=AccountUuid(row.uuid),
        workspace_id=WorkspaceId(row.workspace_id),
        phone=row.phone,
        placement=placement,
        status=SessionStatus(row.status),
        takeover=Takeover(row.takeover),
        since_at=row.updated_at,
        policy=None if row.policy is None else DeafPolicy(row.policy),
        record=HearingRecord(session, Hearing.HEARING, "", row.updated_at),
    )
    if not is_kept:
        return case
    case = replace(case, record=_record(row, case), last_at=row.last_at, version=row.version)
    if _of_another_family(row, row.driver):
        return case
    return replace(
        case,
        unacknowledged=tuple(_moments(row.unacknowledged.get("at", ()))),
        acknowledged_at=row.acknowledged_at,
        settled=row.settled,
        acknowledged=row.acknowledged,
        looked=_look(row.looked),
        probes=tuple(_moments((row.probed or {}).get("at", ()))),
    )


def _record(row: Row[Any], case: HearingCase) -> HearingRecord:
    tried = tuple(
        TriedRung(
            Rung(each["rung"]),
            _read_at(each["began_at"]),
            None if each["ended_at"] is None else _read_at(each["ended_at"]),
            each["result"],
        )
        for each in row.tried.get("tried", ())
    )
    return HearingRecord(
        session_id=case.session_id,
        hearing=Hearing(row.hearing),
        reason=row.reason,
        since_at=row.since_at or case.since_at,
        against=row.against,
        shows=frozenset(Shows(each) for each in row.shows.get("shows", ())),
        tried=tried,
        instance_url=case.placement.instance_url,
    )


def _look(kept: Mapping[str, Any]) -> DeepLook | None:
    if not kept:
        return None
    since = kept["since_at"]
    return DeepLook(_read_at(kept["at"]), kept["failed"], None if since is None else _read_at(since), kept["said"])


def _moments(kept: Sequence[float]) -> list[datetime]:
    return [_read_at(each) for each in kept]


def _written_at(at: datetime) -> float:
    return at.timestamp()


def _read_at(kept: float) -> datetime:
    return datetime.fromtimestamp(kept, UTC)


def _later(one: datetime | None, other: datetime | None) -> datetime | None:
    return max((each for each in (one, other) if each is not None), default=None)
