"""After a backup was restored: nothing that was given since holds, and nothing from before the backup acts.

The backup lacks what was granted, reserved and sent after it was made. Every epoch rises beyond all of that; boots,
whose leases are from before, are forgotten; so are moves that were under way, and messages that were about to leave.
"""

import secrets
from collections.abc import Collection
from dataclasses import asdict, dataclass

from sqlalchemy import Connection, case, delete, func, null, select, text, update

from homing.decide.fleet.leases import BEYOND_A_BACKUP
from homing.store.db.database import Database
from homing.store.db.schema.tables import (
    UNFINISHED,
    credentials,
    incarnations,
    jobs,
    reservations,
    schedules,
    sessions,
    store_clock,
)
from homing.store.db.sql import insert
from homing.store.records.recording import record

NO_BOOT = "restored"
"""In place of a holder's boot: none has this name, so that no lease protects it."""
_REASON = "a backup was restored: it was wanted by somebody who knew another world"


@dataclass(frozen=True, slots=True)
class Restored:
    """How many sessions were raised, boots forgotten, moves cancelled, and messages given up before they left."""

    sessions: int
    boots: int
    moves: int
    messages: int


def declare(connection: Connection, database: Database, *, moves: Collection[str]) -> Restored:
    """Let the database be another one than it was. `moves` are the kinds of jobs that bring sessions elsewhere.

    May be said again: then all rises once more, and whoever holds a session opens it anew.
    """
    if database.dialect == "postgresql":
        connection.execute(text("SET LOCAL statement_timeout = 0"))
    # Sessions before credentials: everybody who locks both does it in this order.
    raised = {"epoch": sessions.c.epoch + BEYOND_A_BACKUP, "updated_at": database.instant()}
    count = connection.execute(update(sessions).values(raised)).rowcount
    _raise_credentials(connection, database)
    result = Restored(
        sessions=count,
        boots=connection.execute(delete(incarnations)).rowcount,
        moves=_forget_work(connection, database, moves),
        messages=_give_up_messages(connection, database),
    )
    _be_another(connection, database)
    record(connection, "database.restored", "database", after={**asdict(result), "raised_by": BEYOND_A_BACKUP})
    return result


def _raise_credentials(connection: Connection, database: Database) -> None:
    boot = case((credentials.c.holder_incarnation != "", NO_BOOT), else_=credentials.c.holder_incarnation)
    connection.execute(
        update(credentials).values(
            epoch=credentials.c.epoch + BEYOND_A_BACKUP,
            restored_from=func.coalesce(credentials.c.restored_from, credentials.c.epoch),
            holder_incarnation=boot,
            updated_at=database.instant(),
        )
    )


def _forget_work(connection: Connection, database: Database, moves: Collection[str]) -> int:
    """Whoever still works on a job, or on a schedule's turn, finds that it is not theirs."""
    unfinished = text(UNFINISHED)
    connection.execute(update(jobs).where(unfinished).values(fence=jobs.c.fence + BEYOND_A_BACKUP))
    free = {"holder": null(), "lease_until": null(), "fence": schedules.c.fence + BEYOND_A_BACKUP}
    connection.execute(update(schedules).values(free))
    cancelled = {"state": "cancelled", "owner": null(), "finished_at": database.instant(), "reason": _REASON}
    return connection.execute(update(jobs).where(unfinished, jobs.c.kind.in_(moves)).values(cancelled)).rowcount


def _give_up_messages(connection: Connection, database: Database) -> int:
    """What was about to leave has left long ago, or never will: said again, it could be said twice."""
    settled = {"settled_at": database.instant(), "frame": null(), "frame_key": null()}
    return connection.execute(update(reservations).where(reservations.c.settled_at.is_(None)).values(settled)).rowcount


def _be_another(connection: Connection, database: Database) -> None:
    """Another identity: those who were at work find that it may lack what they know."""
    named = {"store_id": secrets.token_hex(16)}
    if connection.scalar(select(store_clock.c.id)) is not None:
        connection.execute(update(store_clock).values(named))
    else:
        connection.execute(insert(database.dialect, store_clock).values(id=1, boot_id="", offset_us=0, **named))
