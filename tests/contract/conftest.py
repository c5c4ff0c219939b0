"""What the suites of the store share."""

from collections.abc import Iterator
from typing import Any

import pytest
from sqlalchemy import Connection, Engine, event, text

from clocks import PassTime, SteppedClock
from homing.ports import Notice
from homing.store.db.database import Database
from homing.store.notices.notices import LocalNotices
from homing.store.work.queue import SqlWork


@pytest.fixture
def heard(local_notices: LocalNotices) -> list[Notice]:
    """All notices that the directory gave, in order."""
    notices: list[Notice] = []
    local_notices.subscribe(notices.append)
    return notices


@pytest.fixture
def statements() -> Iterator[list[str]]:
    """Every statement that reached a database, as it was sent."""
    seen: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_rest: Any) -> None:
        seen.append(statement)

    event.listen(Engine, "before_cursor_execute", note)
    yield seen
    event.remove(Engine, "before_cursor_execute", note)


@pytest.fixture
def work(database: Database, local_notices: LocalNotices) -> SqlWork:
    return SqlWork(database, local_notices)


@pytest.fixture
def pass_time(database: Database, clock: SteppedClock) -> PassTime:
    """Let the store's clock run ahead; on PostgreSQL, whose clock is its own, the rows grow older instead."""

    async def pass_time(by_s: float) -> None:
        clock.advance(by_s)
        if database.dialect == "postgresql":
            await database.write(lambda c: _age(c, by_s))

    return pass_time


_TIMES = {
    "idempotency_keys": ("lease_until", "expires_at"),
    "incarnations": ("began_at", "renewed_at", "lease_until"),
    "reservations": ("reserved_at", "settled_at"),
    "credentials": ("granted_at",),
    "sessions": ("code_reported_at", "ready_at", "logout_reported_at", "started_at", "code_renewed_at"),
    "moves": ("at",),
    "alerts": ("affirmed_at",),
    "pairing_links": ("created_at", "expires_at"),
    "messages": ("due_at", "expires_at", "unknown_at", "created_at", "updated_at"),
    "outbox_lanes": ("go_at",),
    "jobs": ("due_at", "created_at", "finished_at"),
    "schedules": ("last_tick_at", "started_at", "lease_until"),
}


def _age(connection: Connection, by_s: float) -> None:
    for table, columns in _TIMES.items():
        aged = ", ".join(f"{column} = {column} - interval '{by_s} s'" for column in columns)
        connection.execute(text(f"UPDATE {table} SET {aged}"))
