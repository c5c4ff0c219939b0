"""EventTelling customers of what is stored, in the very transaction that stores it.

Each event that tells something gets its numbers, and for every endpoint that wants it there is a delivery, or neither
the event nor what it tells of was ever there. Whoever stores something that customers are told of calls `append` at
the end of the same transaction.
"""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Integer, Select, Text, Update, case, cast, literal_column, select, true, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.sql.dml import ReturningInsert
from sqlalchemy.types import TypeEngine

from homing.decide.deliveries.filters import wanted
from homing.decide.deliveries.shapes import EventTelling, telling
from homing.model.deliveries.deliveries import DeliveryState, Fact
from homing.model.deliveries.endpoints import EndpointState
from homing.model.notices import EventsStored, Notice
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import AnyRow
from homing.store.db.schema.columns import BoundedInteger, UtcDateTime, Words
from homing.store.db.schema.deliveries import deliveries, endpoints, event_counters
from homing.store.db.schema.tables import events
from homing.store.db.sql import among, as_rows, chunks, dialect_of, given_rows, insert, written_moment
from homing.store.db.turns import take_turn

_CHUNK = 500


@dataclass(frozen=True, slots=True)
class StoredEvent:
    """An event as it was stored a moment ago, in this transaction."""

    sequence: int
    id: str
    kind: str
    at: datetime
    workspace_id: int
    session_id: str | None
    payload: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class _Told:
    """A stored event with what it tells."""

    event: StoredEvent
    telling: EventTelling

    @property
    def lane(self) -> str:
        return f"{self.event.session_id or ''}|{self.telling.chat}"


def append(connection: Connection, database: Database, facts: Sequence[Fact]) -> list[Notice]:
    """Store what happened here as events, and the deliveries of them; the notices are the caller's to stage.

    The last thing in its transaction: from here to the commit nobody else appends. A fact whose `id` is stored already
    is not told again.
    """
    if not facts:
        return []
    take_turn(connection)
    newest = 0
    for part in chunks(facts, _CHUNK):
        stored = _store(connection, part)
        tell(connection, database, stored)
        newest = max(newest, *(each.sequence for each in stored), 0)
    return [EventsStored(newest)] if newest else []


def tell(connection: Connection, database: Database, stored: Sequence[StoredEvent]) -> None:
    """Number the events that tell customers something, in their order, and make their deliveries."""
    said = [_Told(event, what) for event in stored if (what := _telling(event)) is not None]
    said = _not_told_yet(connection, said)
    if not said:
        return
    _number(connection, said)
    _fan_out(connection, database.now(connection), said)


def _telling(event: StoredEvent) -> EventTelling | None:
    return telling(event.kind, event.session_id, event.payload)


# --- storing ------------------------------------------------------------------------------------------------------

_FACT: dict[str, TypeEngine[Any]] = {
    "place": Integer(),
    "id": Words(),
    "at": UtcDateTime(),
    "kind": Words(),
    "session_id": Words(),
    "account_uuid": Words(),
    "workspace_id": BoundedInteger(),
    "payload": Text(),
}


def _store(connection: Connection, facts: Sequence[Fact]) -> list[StoredEvent]:
    rows = as_rows({**_fact_row(fact), "place": place} for place, fact in enumerate(facts))
    made = connection.execute(_store_statement(dialect_of(connection)), {"given": rows})
    numbers = {row.id: row.sequence for row in made}
    return [
        StoredEvent(numbers[fact.id], fact.id, fact.kind, fact.at, fact.workspace_id, fact.session_id, fact.payload)
        for fact in facts
        if fact.id in numbers
    ]


def _fact_row(fact: Fact) -> dict[str, str | int | None]:
    return {
        "id": fact.id,
        "at": written_moment(fact.at),
        "kind": fact.kind,
        "session_id": fact.session_id,
        "account_uuid": fact.account_uuid,
        "workspace_id": fact.workspace_id,
        "payload": json.dumps(dict(fact.payload), separators=(",", ":")),
    }


@prepared
def _store_statement(dialect: Dialect) -> ReturningInsert[Any]:
    given = given_rows(dialect, "given", _FACT)
    names = ["id", "received_at", "occurred_at", "kind", "session_id", "account_uuid", "workspace_id", "payload"]
    given_names = ["id", "at", "at", "kind", "session_id", "account_uuid", "workspace_id", "payload"]
    chosen = select(*(given.c[name] for name in given_names)).where(true()).order_by(given.c.place)
    adding = sqlite.insert(events) if dialect == "sqlite" else postgresql.insert(events)
    return adding.from_select(names, chosen).on_conflict_do_nothing().returning(events.c.sequence, events.c.id)


# --- once ---------------------------------------------------------------------------------------------------------


def _not_told_yet(connection: Connection, said: Sequence[_Told]) -> list[_Told]:
    """Without what was told before in other words, and without a status that a session had when it was last told."""
    known = _told_keys(connection, {each.telling.key for each in said if each.telling.key})
    statuses = _told_statuses(connection, {each.event.session_id or "" for each in said if each.telling.status})
    fresh: list[_Told] = []
    for each in said:
        key, status, session = each.telling.key, each.telling.status, each.event.session_id or ""
        if (key and key in known) or (status and statuses.get(session) == status):
            continue
        known.add(key)
        if status:
            statuses[session] = status
        fresh.append(each)
    return fresh


def _told_keys(connection: Connection, keys: set[str]) -> set[str]:
    if not keys:
        return set()
    return set(connection.scalars(_told_statement(dialect_of(connection)), {"keys": sorted(keys)}))


@prepared
def _told_statement(dialect: Dialect) -> Select[Any]:
    return select(events.c.told_key).where(among(dialect, events.c.told_key, "keys"), events.c.told_key.is_not(None))


def _told_statuses(connection: Connection, sessions: set[str]) -> dict[str, str]:
    if not sessions:
        return {}
    rows = connection.execute(_statuses_statement(dialect_of(connection)), {"sessions": sorted(sessions)})
    return {row.session_id: row.told_status for row in rows}


@prepared
def _statuses_statement(dialect: Dialect) -> Select[Any]:
    columns = (event_counters.c.session_id, event_counters.c.told_status)
    return select(*columns).where(event_counters.c.chat == "", among(dialect, event_counters.c.session_id, "sessions"))


# --- numbers ------------------------------------------------------------------------------------------------------

_COUNTED: dict[str, TypeEngine[Any]] = {
    "session_id": Words(),
    "chat": Words(),
    "more": BoundedInteger(),
    "status": Words(),
}
_NUMBERED: dict[str, TypeEngine[Any]] = {
    "sequence": BoundedInteger(),
    "type": Words(),
    "chat": Words(),
    "session_sequence": BoundedInteger(),
    "chat_sequence": BoundedInteger(),
    "told_key": Words(),
}


def _number(connection: Connection, said: Sequence[_Told]) -> None:
    """Give each its next number in its session, and in its chat, without a gap."""
    counters = [place for each in said for place in _counters(each)]
    counted = Counter(counters)
    status = {each.event.session_id or "": each.telling.status for each in said if each.telling.status}
    # In one order in every gateway, so that two of them never wait for each other's rows.
    rows = as_rows(
        {"session_id": session, "chat": chat, "more": more, "status": "" if chat else status.get(session, "")}
        for (session, chat), more in sorted(counted.items())
    )
    made = connection.execute(_count_statement(dialect_of(connection)), {"given": rows})
    last = {(row.session_id, row.chat): row.last - counted[row.session_id, row.chat] for row in made}
    numbered = []
    for each in said:
        numbers = {}
        for place in _counters(each):
            last[place] += 1
            numbers[place[1] != ""] = last[place]
        numbered.append(
            {
                "sequence": each.event.sequence,
                "type": each.telling.type.value,
                "chat": each.telling.chat,
                "session_sequence": numbers.get(False),
                "chat_sequence": numbers.get(True),
                "told_key": each.telling.key or None,
            }
        )
    connection.execute(_numbered_statement(dialect_of(connection)), {"given": as_rows(numbered)})


def _counters(each: _Told) -> list[tuple[str, str]]:
    session, chat = each.event.session_id, each.telling.chat
    if session is None:
        return []
    return [(session, ""), (session, chat)] if chat else [(session, "")]


@prepared
def _count_statement(dialect: Dialect) -> ReturningInsert[Any]:
    given = given_rows(dialect, "given", _COUNTED)
    chosen = select(given.c.session_id, given.c.chat, given.c.more, given.c.status).where(true())
    adding = sqlite.insert(event_counters) if dialect == "sqlite" else postgresql.insert(event_counters)
    adding = adding.from_select(["session_id", "chat", "last", "told_status"], chosen)
    newest = adding.excluded.told_status
    counted = adding.on_conflict_do_update(
        index_elements=[event_counters.c.session_id, event_counters.c.chat],
        set_={
            "last": event_counters.c.last + adding.excluded.last,
            "told_status": case((newest == literal_column("''"), event_counters.c.told_status), else_=newest),
        },
    )
    return counted.returning(event_counters.c.session_id, event_counters.c.chat, event_counters.c.last)


@prepared
def _numbered_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", _NUMBERED)
    told = {name: given.c[name] for name in _NUMBERED if name != "sequence"}
    return update(events).where(events.c.sequence == given.c.sequence).values(**told)


# --- deliveries ---------------------------------------------------------------------------------------------------


def _fan_out(connection: Connection, now: datetime, said: Sequence[_Told]) -> None:
    spaces = sorted({str(each.event.workspace_id) for each in said})
    rows = connection.execute(_endpoints_statement(dialect_of(connection)), {"workspaces": spaces}).all()
    if not rows:
        return
    new = [_delivery_row(row, each, now) for each in said for row in rows if _is_for(row, each)]
    for part in chunks(new, _CHUNK):
        connection.execute(insert(dialect_of(connection), deliveries).on_conflict_do_nothing(), list(part))


def _is_for(row: AnyRow, each: _Told) -> bool:
    if row.workspace_id != each.event.workspace_id:
        return False
    return wanted(filter_of(row.events), each.telling.type)


def filter_of(words: str) -> tuple[str, ...]:
    """An endpoint's filter as it is kept."""
    return tuple(words.split(",")) if words else ()


def _delivery_row(endpoint: AnyRow, each: _Told, now: datetime) -> dict[str, Any]:
    is_full = endpoint.backlog_full
    return {
        "endpoint_id": endpoint.id,
        "workspace_id": each.event.workspace_id,
        "event_sequence": each.event.sequence,
        "event_id": each.event.id,
        "type": each.telling.type.value,
        "lane": each.lane,
        "state": DeliveryState.DEAD if is_full else DeliveryState.PENDING,
        "due_at": now,
        "attempts": 0,
        "round_attempts": 0,
        "reason": "too many deliveries wait for this endpoint" if is_full else "",
        "created_at": now,
        "finished_at": now if is_full else None,
    }


@prepared
def _endpoints_statement(dialect: Dialect) -> Select[Any]:
    named = among(dialect, cast(endpoints.c.workspace_id, Text()), "workspaces")
    columns = (endpoints.c.id, endpoints.c.workspace_id, endpoints.c.events, endpoints.c.backlog_full)
    return select(*columns).where(named, endpoints.c.state == literal_column(f"'{EndpointState.ENABLED.value}'"))
