"""What instances reported, on a SQL database: each event once, under a number that rises with every commit."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import (
    Connection,
    Integer,
    Select,
    Text,
    Update,
    bindparam,
    delete,
    func,
    literal_column,
    null,
    or_,
    select,
    true,
    update,
)
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert

from homing.model.fleet import AccountUuid, InstanceUrl, SessionId, WorkspaceId
from homing.model.instances.events import DeliveryEvidence, Event, IntakeResult, Meaning, Report, Signed, Taken
from homing.model.tracing import trace_id_now
from homing.ports import EventsStored, Page
from homing.store.db.batcher import Together
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import ACCOUNTS_WITH_SESSIONS, AnyRow
from homing.store.db.schema.columns import Words
from homing.store.db.schema.tables import accounts, events, sessions
from homing.store.db.schema.tables import webhook_signatures as signatures
from homing.store.db.sql import among, dialect_of, insert
from homing.store.db.turns import take_turn
from homing.store.deliveries.telling import StoredEvent, tell
from homing.store.directory import linking
from homing.store.notices.notices import Announce, StagedNotices
from homing.store.sends.unknown_sends import settle_by_event


@dataclass(frozen=True, slots=True)
class _Reported:
    """A report to be stored, with what is known of it."""

    report: Report
    event_id: str
    at: datetime
    meaning: Meaning
    signed: Signed | None
    sign: DeliveryEvidence | None
    trace_id: str | None


class SqlEvents:
    """`ports.Events` on SQLite and PostgreSQL.

    Numbers rise in the order of commits, so reports are stored one transaction after the other; those that come
    together share one, and a storm of them never takes more than one connection from those who send.
    """

    def __init__(self, database: Database, notices: StagedNotices) -> None:
        self._database, self._notices = database, notices
        self._together = Together(self._store_all)

    async def store(
        self,
        report: Report,
        *,
        event_id: str,
        at: datetime,
        meaning: Meaning,
        signed: Signed | None,
        sign: DeliveryEvidence | None,
    ) -> Taken:
        return await self._together(_Reported(report, event_id, at, meaning, signed, sign, trace_id_now()))

    async def _store_all(self, reported: Sequence[_Reported]) -> Sequence[Taken]:
        def stored(connection: Connection) -> tuple[list[Taken], Announce]:
            take_turn(connection)
            taken = [self._take(connection, each) for each in reported]
            tell(connection, self._database, _of_workspaces(taken))
            numbers = [each.event.sequence for each in taken if each.event is not None]
            return taken, self._notices.stage(connection, [EventsStored(number) for number in numbers])

        taken, announce = await self._database.write(stored)
        await announce()
        return taken

    def _take(self, connection: Connection, given: _Reported) -> Taken:
        taken = _store(connection, given)
        if taken.event is not None and taken.event.account_uuid is not None:
            linking.note_report(connection, self._database, given.report)
        return taken

    async def page(
        self,
        workspace: WorkspaceId | None,
        page: Page,
        *,
        kind: str | None = None,
        session_id: SessionId | None = None,
        account_uuid: AccountUuid | None = None,
        aside: bool = False,
    ) -> list[Event]:
        wanted = {
            events.c.workspace_id: workspace,
            events.c.kind: kind,
            events.c.session_id: session_id,
            events.c.account_uuid: account_uuid,
        }
        statement = select(events).where(events.c.sequence > page.after).order_by(events.c.sequence).limit(page.limit)
        for column, value in wanted.items():
            if value is not None:
                statement = statement.where(column == value)
        read = self._database.read_aside if aside else self._database.read
        return await read(lambda c: [event_of(row) for row in c.execute(statement)])

    async def event(self, id: str) -> Event | None:
        row = await self._database.read(lambda c: c.execute(select(events).where(events.c.id == id)).one_or_none())
        return None if row is None else event_of(row)

    async def newest(self, session_id: SessionId, kind: str, *, told_by: InstanceUrl) -> Event | None:
        told = (events.c.session_id == session_id, events.c.kind == kind, events.c.instance_url == told_by)
        statement = select(events).where(*told).order_by(events.c.sequence.desc()).limit(1)
        row = await self._database.read(lambda c: c.execute(statement).one_or_none())
        return None if row is None else event_of(row)

    async def unseen_since(self, kinds: Collection[str], *, after: int, until: int) -> list[Event]:
        asked = {"kinds": sorted(kinds), "after": after, "until": until}
        return await self._database.read(
            lambda c: [event_of(row) for row in c.execute(_unseen_statement(dialect_of(c)), asked)]
        )

    async def last_sequence(self) -> int:
        last = await self._database.read(lambda c: c.scalar(select(func.max(events.c.sequence))))
        return int(last or 0)

    async def prune(self, now: datetime, *, keep_since: datetime, limit: int) -> int:
        return await self._database.write(lambda c: _prune(c, now, keep_since, limit))


def _of_workspaces(taken: Sequence[Taken]) -> list[StoredEvent]:
    """What is news, and somebody's."""
    return [
        StoredEvent(
            event.sequence, event.id, event.kind, event.received_at, event.workspace_id, event.session_id, event.payload
        )
        for each in taken
        if (event := each.event) is not None and event.workspace_id is not None
    ]


def event_of(row: AnyRow) -> Event:
    return Event(
        sequence=row.sequence,
        id=row.id,
        received_at=row.received_at,
        occurred_at=row.occurred_at,
        kind=row.kind,
        session_id=None if row.session_id is None else SessionId(row.session_id),
        account_uuid=None if row.account_uuid is None else AccountUuid(row.account_uuid),
        workspace_id=None if row.workspace_id is None else WorkspaceId(row.workspace_id),
        instance_url=None if row.instance_url is None else InstanceUrl(row.instance_url),
        payload=row.payload,
        trace_id=row.trace_id,
    )


def _store(connection: Connection, given: _Reported) -> Taken:
    known = connection.execute(_known_statement(), _asked(given)).one()
    if known.brought is not None:
        return Taken(IntakeResult.REPLAY, known.brought)
    if known.same is not None and known.until > given.at:
        _remember(connection, given.signed, known.same)
        return Taken(IntakeResult.DUPLICATE, known.same)
    if known.same is not None:
        connection.execute(update(events).where(events.c.id == known.same).values(meaning=None, meaning_until=None))
    _end_meanings(connection, given.meaning, given.report.session_id)
    row = {**_row(given), "account_uuid": known.uuid, "workspace_id": known.workspace_id}
    sequence = connection.scalar(_insert_statement(dialect_of(connection)), row)
    assert sequence is not None
    event = _event(given, int(sequence), known)
    _remember(connection, given.signed, given.event_id)
    if given.sign is not None and event.account_uuid is not None:
        settle_by_event(connection, given.sign, event.account_uuid, given.event_id, given.at)
    return Taken(IntakeResult.ACCEPTED, given.event_id, event)


def _event(given: _Reported, sequence: int, owner: AnyRow) -> Event:
    """As it is stored. Its payload is not read again: it may be long."""
    report = given.report
    return Event(
        sequence=sequence,
        id=given.event_id,
        received_at=given.at,
        occurred_at=report.occurred_at,
        kind=report.kind,
        session_id=report.session_id,
        account_uuid=None if owner.uuid is None else AccountUuid(owner.uuid),
        workspace_id=None if owner.workspace_id is None else WorkspaceId(owner.workspace_id),
        instance_url=report.instance_url,
        payload=report.data,
        trace_id=given.trace_id,
    )


def _asked(given: _Reported) -> dict[str, Any]:
    signature = None if given.signed is None else given.signed.signature
    return {"signed": signature, "means": given.meaning.key, "session": given.report.session_id}


@prepared
def _known_statement() -> Select[Any]:
    """One row: which event came with this very signature, which one means the same and until when, and whose session
    it is. Each is null where there is none."""
    brought = select(signatures.c.event_id).where(signatures.c.signature == bindparam("signed", type_=Words()))
    means_it = events.c.meaning == bindparam("means", type_=Words())
    same = select(events.c.id, events.c.meaning_until.label("until")).where(means_it).subquery("same")
    named = sessions.c.session_id == bindparam("session", type_=Words())
    owner = select(accounts.c.uuid, accounts.c.workspace_id).select_from(ACCOUNTS_WITH_SESSIONS).where(named)
    owning, once = owner.subquery("owner"), select(literal_column("1")).subquery("once")
    return select(
        brought.scalar_subquery().label("brought"),
        same.c.id.label("same"),
        same.c.until,
        owning.c.uuid,
        owning.c.workspace_id,
    ).select_from(once.outerjoin(same, true()).outerjoin(owning, true()))


@prepared
def _unseen_statement(dialect: Dialect) -> Select[Any]:
    numbered = (events.c.sequence > bindparam("after"), events.c.sequence <= bindparam("until"))
    unseen = or_(sessions.c.last_verified_at.is_(None), sessions.c.last_verified_at < events.c.received_at)
    about = events.join(sessions, sessions.c.session_id == events.c.session_id)
    wanted = (*numbered, among(dialect, events.c.kind, "kinds"), unseen)
    return select(events).select_from(about).where(*wanted).order_by(events.c.sequence)


def _end_meanings(connection: Connection, meaning: Meaning, session: SessionId | None) -> None:
    if not meaning.ends or session is None:
        return
    ended = {"session": session, "beginning": meaning.ends, "length": len(meaning.ends)}
    connection.execute(_ended_statement(), ended)


@prepared
def _ended_statement() -> Update:
    beginning = func.substr(events.c.meaning, 1, bindparam("length", type_=Integer()))
    ended = beginning == bindparam("beginning", type_=Text())
    unsaid = {"meaning": null(), "meaning_until": null()}
    return update(events).where(events.c.session_id == bindparam("session"), ended).values(unsaid)


def _row(given: _Reported) -> dict[str, Any]:
    report, meaning = given.report, given.meaning
    return {
        "id": given.event_id,
        "received_at": given.at,
        "occurred_at": report.occurred_at,
        "kind": report.kind,
        "session_id": report.session_id,
        "instance_url": report.instance_url,
        "payload": report.data,
        "meaning": meaning.key,
        "meaning_until": given.at + timedelta(seconds=meaning.window_s),
        "trace_id": given.trace_id,
    }


@prepared
def _insert_statement(dialect: Dialect) -> ReturningInsert[Any]:
    adding = sqlite.insert(events) if dialect == "sqlite" else postgresql.insert(events)
    return adding.returning(events.c.sequence)


def _remember(connection: Connection, signed: Signed | None, event_id: str) -> None:
    if signed is not None:
        row = {"signature": signed.signature, "event_id": event_id, "expires_at": signed.until_at}
        connection.execute(_remember_statement(dialect_of(connection)), row)


@prepared
def _remember_statement(dialect: Dialect) -> sqlite.Insert | postgresql.Insert:
    return insert(dialect, signatures).on_conflict_do_nothing()


def _prune(connection: Connection, now: datetime, keep_since: datetime, limit: int) -> int:
    connection.execute(delete(signatures).where(signatures.c.expires_at <= now))
    oldest = connection.execute(
        select(events.c.sequence, events.c.received_at).order_by(events.c.sequence).limit(limit)
    ).all()
    old = [row.sequence for row in oldest if row.received_at < keep_since]
    if old:
        connection.execute(delete(events).where(events.c.sequence <= max(old), events.c.received_at < keep_since))
    return len(old)
