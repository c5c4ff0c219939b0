"""Which sessions were told to start on an instance within the last minute, whoever told them, and whose turn comes."""

from collections.abc import Collection
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection, Select, and_, bindparam, func, or_, select

from homing.decide.starting import start_rate
from homing.model.fleet import InstanceUrl, SessionId
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.schema.columns import UtcDateTime
from homing.store.db.schema.tables import sessions
from homing.store.db.sql import among, dialect_of
from homing.store.directory import linking

_TURN = 0x4752414E54  # "GRANT": whoever holds it grants, the others wait


def alone(connection: Connection, database: Database) -> None:
    """Nobody else grants or starts anything before this transaction ends, so that what is counted stays so."""
    if database.dialect == "postgresql":
        connection.execute(select(func.pg_advisory_xact_lock(_TURN)))


def started_lately(connection: Connection, now: datetime, urls: Collection[str]) -> dict[str, list[float]]:
    """How many seconds ago sessions were told to start on each of these, within the last minute."""
    found: dict[str, list[float]] = {url: [] for url in urls}
    if not urls:
        return found
    asked = {"urls": sorted(urls), "since": now - timedelta(seconds=start_rate.WINDOW_S)}
    for row in connection.execute(_started_statement(dialect_of(connection)), asked):
        found[row.url].append((now - row.started_at).total_seconds())
    return found


@prepared
def _started_statement(dialect: Dialect) -> Select[Any]:
    told, placed = sessions.c.started_on, sessions.c.instance_url
    there = or_(among(dialect, told, "urls"), and_(told.is_(None), among(dialect, placed, "urls")))
    return select(func.coalesce(told, placed).label("url"), sessions.c.started_at).where(
        there, sessions.c.started_at > bindparam("since", type_=UtcDateTime())
    )


def claim_start(
    connection: Connection, database: Database, session: SessionId, url: InstanceUrl, per_min: int
) -> float:
    """0.0 if it may be told to start now, which is noted; else in how many seconds that may be."""
    alone(connection, database)
    ago_s = started_lately(connection, database.now(connection), [url])[url]
    wait_s = start_rate.wait_s(ago_s, per_min)
    if wait_s <= 0.0:
        linking.note_start(connection, database, session, url)
    return wait_s
