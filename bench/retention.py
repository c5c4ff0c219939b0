"""What it costs to forget old messages, and to find the few that went wrong, by how many there are."""

import time
from datetime import UTC, datetime, timedelta
from statistics import median
from typing import Any

from sqlalchemy import BindParameter, Connection, bindparam, text

from bench.report import Report, Spread, shown
from homing.flows.background.retention import MESSAGES_AT_ONCE
from homing.model.sends.messages import MessageState
from homing.store.db.database import Database
from homing.store.db.migrating import migrate
from homing.store.db.opening import open_database
from homing.store.db.schema.columns import UtcDateTime
from homing.store.notices.notices import LocalNotices
from homing.store.outbox.outbox import SqlOutbox
from homing.store.outbox.retention import first_uuid_at

PARTS = 15
KEEP_S = 90 * 86_400.0
DEARER = 1.5
UNKNOWN_EACH = 10_000
FILLED_AT_ONCE = 20_000

_NUMBERS = {
    "postgresql": "SELECT n FROM generate_series(CAST(:first AS int), CAST(:last AS int)) AS numbers(n)",
    "sqlite": "WITH RECURSIVE numbers(n) AS (SELECT :first UNION ALL SELECT n + 1 FROM numbers WHERE n < :last)"
    " SELECT n FROM numbers",
}
_HEX = {"postgresql": "lpad(to_hex(n), 12, '0')", "sqlite": "printf('%012x', n)"}


async def run(url: str, *, few: int, many: int) -> Report:
    """The same part of old messages in a small table and in a large one."""
    report = Report(f"Forgetting {MESSAGES_AT_ONCE:,} old messages at a time, and finding what is unknown")
    await migrate(url)
    database = open_database(url)
    outbox = SqlOutbox(database, LocalNotices())
    parts = {}
    for number in (few, many):
        await _fill(database, number)
        found = await _looked_up(outbox)
        report.add(f"a page of unknown ones, of {number:,}", "", Spread(found))
        parts[number] = await _forgotten(outbox)
        report.add(f"one part, of {number:,}", "", Spread(parts[number]))
    ratio = median(parts[many]) / median(parts[few])
    claim = f"≤ {DEARER}×"
    measured = f"{ratio:.2f}× of {shown(median(parts[few]))}"
    report.add(f"one part of {many:,} against one of {few:,}", claim, measured, ratio <= DEARER)
    await outbox.close()
    await database.close()
    return report


async def _fill(database: Database, number: int) -> None:
    """So many that ended a year ago, one in ten thousand of them unknown, in ten accounts."""
    await database.write(lambda c: c.execute(text("DELETE FROM messages")))
    for first in range(1, number + 1, FILLED_AT_ONCE):
        await database.write(lambda c, f=first: _add(c, database.dialect, f, f + FILLED_AT_ONCE - 1))  # type: ignore[misc]
    await database.write(lambda c: c.execute(text("ANALYZE messages")))


def _add(connection: Connection, dialect: str, first: int, last: int) -> None:
    long_ago = datetime.now(UTC) - timedelta(days=365)
    rows = text(
        "INSERT INTO messages (uuid, workspace_id, account_uuid, message_id, recipient_phone, text, state, reason,"
        " attempts, created_at, updated_at, chat, position)"
        f" SELECT '{first_uuid_at(long_ago)}-7000-8000-' || {_HEX[dialect]}, 1, 'account-' || (n % 10), '3EB0' || n,"
        f" '62811' || (n % 5000), 'hello', CASE WHEN n % {UNKNOWN_EACH} = 0 THEN 'unknown' ELSE 'read' END, 'sent', 1,"
        f" :at, :at, '62811' || (n % 5000), n FROM ({_NUMBERS[dialect]}) AS source"
    )
    given: tuple[BindParameter[Any], ...] = (
        bindparam("first", first),
        bindparam("last", last),
        bindparam("at", long_ago, UtcDateTime()),
    )
    connection.execute(rows.bindparams(*given))


async def _looked_up(outbox: SqlOutbox) -> list[float]:
    times = []
    for _ in range(PARTS):
        began_s = time.perf_counter()
        await outbox.page(None, before=None, limit=50, state=MessageState.UNKNOWN)
        times.append(time.perf_counter() - began_s)
    return times


async def _forgotten(outbox: SqlOutbox) -> list[float]:
    times: list[float] = []
    after = ""
    for _ in range(PARTS):
        began_s = time.perf_counter()
        part = await outbox.prune(keep_s=KEEP_S, after=after, limit=MESSAGES_AT_ONCE)
        times.append(time.perf_counter() - began_s)
        assert part.gone and part.next_after is not None
        after = part.next_after
    return times
