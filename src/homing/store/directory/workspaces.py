"""Which workspaces there are, and how each reads numbers."""

from typing import Any

from sqlalchemy import Connection, select, text, update

from homing.decide.phones.aliases import person
from homing.decide.phones.reading import read
from homing.model.directory.phones import Bare, PhoneNumber
from homing.model.directory.workspaces import Workspace
from homing.model.fleet import DeafPolicy, WorkspaceId
from homing.ports import WorkspaceChanges
from homing.store.db.rows import AnyRow, rate_limit_of
from homing.store.db.schema.tables import accounts, workspaces
from homing.store.directory.keys import rate_columns, rate_told
from homing.store.records.recording import record_difference


def all_workspaces(connection: Connection) -> list[Workspace]:
    return [_workspace_of(row) for row in connection.execute(select(workspaces).order_by(workspaces.c.id))]


def change_workspace(connection: Connection, id: WorkspaceId, changes: WorkspaceChanges) -> Workspace | None:
    """The workspace as it stands changed; None if there is none."""
    this = select(workspaces).where(workspaces.c.id == id)
    before = connection.execute(this.with_for_update()).one_or_none()
    if before is None:
        return None
    values: dict[str, Any] = {name: value for name, value in changes.items() if name != "rate_limit"}
    if "rate_limit" in changes:
        values |= rate_columns(changes["rate_limit"])
    if values:
        connection.execute(update(workspaces).where(workspaces.c.id == id).values(values))
    after = _workspace_of(connection.execute(this).one())
    record_difference(connection, "workspace.changed", f"workspace {id}", _told(_workspace_of(before)), _told(after))
    return after


def recognise_accounts(connection: Connection, default_region: str) -> int:
    """Note whose the phones of accounts are that were created before that was noted; returns how many it is known of.

    Of two accounts of one person the older keeps the phone. What cannot be read stays as it is.
    """
    asked = (
        select(accounts.c.id, accounts.c.phone, workspaces.c.region, workspaces.c.bare_digits)
        .join(workspaces, workspaces.c.id == accounts.c.workspace_id)
        .where(accounts.c.person.is_(None))
        .order_by(accounts.c.id)
    )
    known = 0
    for row in connection.execute(asked).all():
        found = read(row.phone, row.region or default_region, Bare(row.bare_digits))
        if isinstance(found, PhoneNumber):
            named: dict[str, Any] = {"id": row.id, "person": person(found.digits)}
            known += connection.execute(_RECOGNISED, named).rowcount
    return known


_RECOGNISED = text("""
    UPDATE accounts SET person = :person WHERE id = :id AND person IS NULL AND NOT EXISTS (
        SELECT 1 FROM accounts AS other WHERE other.workspace_id = accounts.workspace_id AND other.person = :person)
""")


def _workspace_of(row: AnyRow) -> Workspace:
    bare = Bare(row.bare_digits)
    policy = DeafPolicy(row.deaf_policy) if row.deaf_policy else None
    return Workspace(WorkspaceId(row.id), row.name, row.region, bare, row.created_at, rate_limit_of(row), policy)


def _told(workspace: Workspace) -> dict[str, Any]:
    return {
        "name": workspace.name,
        "region": workspace.region,
        "bare_digits": workspace.bare_digits.value,
        "rate_limit": rate_told(workspace.rate_limit),
        "deaf_policy": workspace.deaf_policy.value if workspace.deaf_policy is not None else None,
    }
