"""Every rung that was tried with a deaf session, and what it came to."""

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, delete, select

from homing.model.fleet import InstanceUrl, SessionId, WorkspaceId
from homing.model.sessions.hearing import Rung, RungHistory, TriedRung
from homing.store.db.schema.hearing import rungs
from homing.store.db.sql import dialect_of, insert


def remember(connection: Connection, climbed: RungHistory) -> None:
    """A rung that began, or how one ended that is known already."""
    tried = climbed.tried
    values = {
        "session_id": climbed.session_id,
        "began_at": tried.began_at,
        "account_id": climbed.account_id,
        "workspace_id": climbed.workspace_id,
        "instance_url": climbed.instance_url,
        "rung": tried.rung.value,
        "reason": climbed.reason,
        "ended_at": tried.ended_at,
        "result": tried.result,
    }
    adding = insert(dialect_of(connection), rungs).values(values)
    ended = {"ended_at": tried.ended_at, "result": tried.result}
    named = [rungs.c.session_id, rungs.c.began_at]
    connection.execute(adding.on_conflict_do_update(index_elements=named, set_=ended))


def newest(
    connection: Connection, workspace: WorkspaceId | None, session: SessionId | None, limit: int
) -> Sequence[RungHistory]:
    asked = select(rungs).order_by(rungs.c.began_at.desc(), rungs.c.session_id).limit(limit)
    if workspace is not None:
        asked = asked.where(rungs.c.workspace_id == workspace)
    if session is not None:
        asked = asked.where(rungs.c.session_id == session)
    return [_history(row) for row in connection.execute(asked)]


def forget(connection: Connection, before: datetime, limit: int) -> int:
    old = select(rungs.c.session_id, rungs.c.began_at).where(rungs.c.began_at < before).limit(limit)
    rows = connection.execute(old).all()
    for row in rows:
        is_it = (rungs.c.session_id == row.session_id) & (rungs.c.began_at == row.began_at)
        connection.execute(delete(rungs).where(is_it))
    return len(rows)


def _history(row: Any) -> RungHistory:
    return RungHistory(
        SessionId(row.session_id),
        row.account_id,
        WorkspaceId(row.workspace_id),
        InstanceUrl(row.instance_url),
        TriedRung(Rung(row.rung), row.began_at, row.ended_at, row.result),
        row.reason,
    )
