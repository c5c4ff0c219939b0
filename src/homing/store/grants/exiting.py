"""The word that no process of an instance runs any more, where its sessions can be opened by another one."""

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection, Select, Text, Update, bindparam, literal_column, select, update

from homing.model.fleet import InstanceUrl, Placement, PlacementState, Takeover
from homing.model.instances.vault import AskedLately, Left
from homing.ports import Notice, RosterChanged
from homing.store.db.database import Database
from homing.store.db.prepared import prepared
from homing.store.db.rows import ACCOUNTS_WITH_SESSIONS, placement_of
from homing.store.db.schema.columns import UtcDateTime
from homing.store.db.schema.tables import accounts, credentials, instances, sessions
from homing.store.directory.placement_reads import RUNNING
from homing.store.grants.mark_moving import mark
from homing.store.records.recording import record_all


def leave_all(
    connection: Connection, database: Database, url: InstanceUrl, quiet_s: float, shared: bool
) -> tuple[Left | AskedLately, list[Notice]]:
    """Mark every session on the instance that others may take over as moving, and note the exit.

    The rows are locked as a hand-out locks them: a process that asked for its sessions while we were told that none
    runs is found here, and one that asks later is given nothing of what is marked.
    """
    rows = connection.execute(_placed_statement(), {"url": url}).all()
    now = database.now(connection)
    asked = [row.offered_at for row in rows if row.offered_to == url and row.offered_at is not None]
    if asked and now - max(asked) < timedelta(seconds=quiet_s):
        return AskedLately((now - max(asked)).total_seconds()), []
    forbidden = sum(row.takeover == Takeover.NEVER for row in rows)
    placed: list[Placement] = [placement_of(row) for row in rows if shared and row.takeover != Takeover.NEVER]
    marked, notices = mark(connection, database, placed, PlacementState.MOVING) if placed else ([], [])
    connection.execute(_exited_statement(), {"at": url, "now": now})
    record_all(connection, "session.left", "session", [each.session_id for each in marked], after={"instance_url": url})
    return Left(tuple(marked), forbidden), [*notices, RosterChanged()]


@prepared
def _placed_statement() -> Select[Any]:
    foreign = ~select(credentials.c.session_id).where(credentials.c.session_id == sessions.c.session_id).exists()
    waits_for_its_phone = sessions.c.status == literal_column("'pairing'")
    return (
        select(sessions, accounts.c.takeover)
        .select_from(ACCOUNTS_WITH_SESSIONS)
        .where(sessions.c.instance_url == bindparam("url", type_=Text()), RUNNING, foreign, ~waits_for_its_phone)
        .order_by(sessions.c.session_id)
        .with_for_update(of=sessions)
    )


@prepared
def _exited_statement() -> Update:
    at = instances.c.url == bindparam("at", type_=Text())
    return update(instances).where(at).values(exited_at=bindparam("now", type_=UtcDateTime()))
