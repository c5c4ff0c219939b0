"""Who does not want to be written to by a workspace. Asked when a message would go, so that it is never too late."""

from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Select, bindparam, delete, func, select

from homing.model.fleet import WorkspaceId
from homing.model.sends.outbox import Suppression
from homing.store.db.database import Database
from homing.store.db.prepared import prepared
from homing.store.db.schema.outbox import suppressions
from homing.store.db.sql import dialect_of, insert
from homing.store.records.recording import record_all


def suppress(
    connection: Connection, database: Database, workspace: WorkspaceId, chats: Sequence[str], reason: str
) -> int:
    """Note that these opted out; returns of how many that was not known."""
    now = database.now(connection)
    rows = [
        {"workspace_id": workspace, "chat": chat, "reason": reason, "created_at": now} for chat in sorted(set(chats))
    ]
    if not rows:
        return 0
    adding = insert(dialect_of(connection), suppressions).on_conflict_do_nothing()
    added = sum(connection.execute(adding.values(row)).rowcount for row in rows)
    record_all(connection, "suppression.added", "chat", chats, after={"reason": reason})
    return added


def allow(connection: Connection, workspace: WorkspaceId, chat: str) -> bool:
    """They may be written to again; False if they always could."""
    named = (suppressions.c.workspace_id == workspace, suppressions.c.chat == chat)
    gone = connection.execute(delete(suppressions).where(*named)).rowcount > 0
    if gone:
        record_all(connection, "suppression.removed", "chat", [chat], after={})
    return gone


def page(connection: Connection, workspace: WorkspaceId, after: str, limit: int) -> list[Suppression]:
    found = select(suppressions).where(suppressions.c.workspace_id == workspace, suppressions.c.chat > after)
    return [
        Suppression(WorkspaceId(row.workspace_id), row.chat, row.reason, row.created_at)
        for row in connection.execute(found.order_by(suppressions.c.chat).limit(limit))
    ]


def workspaces_with_some(connection: Connection) -> set[WorkspaceId]:
    return {WorkspaceId(each) for each in connection.scalars(_with_some())}


def chats_of(connection: Connection, workspace: WorkspaceId, limit: int) -> list[str]:
    return list(connection.scalars(_chats_of(), {"workspace": workspace, "limit": limit}))


def is_suppressed(connection: Connection, workspace: WorkspaceId, chat: str) -> bool:
    asked = {"workspace": workspace, "chat": chat}
    return connection.execute(_one_of(), asked).one_or_none() is not None


@prepared
def _with_some() -> Select[Any]:
    """From one to the next along the key, past all that each has on its list."""
    each = select(func.min(suppressions.c.workspace_id).label("id")).cte("each", recursive=True)
    following = select(func.min(suppressions.c.workspace_id)).where(suppressions.c.workspace_id > each.c.id)
    each = each.union_all(select(following.scalar_subquery()).where(each.c.id.is_not(None)))
    return select(each.c.id).where(each.c.id.is_not(None))


@prepared
def _chats_of() -> Select[Any]:
    of_workspace = suppressions.c.workspace_id == bindparam("workspace")
    return select(suppressions.c.chat).where(of_workspace).order_by(suppressions.c.chat).limit(bindparam("limit"))


@prepared
def _one_of() -> Select[Any]:
    this = (suppressions.c.workspace_id == bindparam("workspace"), suppressions.c.chat == bindparam("chat"))
    return select(suppressions.c.chat).where(*this)
