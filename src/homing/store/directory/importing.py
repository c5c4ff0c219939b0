"""Accounts and contacts by the batch, as an import brings them: a few statements for a thousand rows.

Each batch is judged and written in one transaction (`decide.importing.merging`), so that an import that is killed in
the midst has written whole batches, and a second one finds them.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, TypeVar

from sqlalchemy import (
    CompoundSelect,
    Connection,
    Table,
    select,
)

from homing.decide.importing.merging import merge_accounts, merge_contacts
from homing.model.directory.importing import (
    AccountMerge,
    ContactMerge,
    ImportedAccount,
    ImportedContact,
    KnownAccount,
    KnownContact,
    ToChange,
    ToCreate,
)
from homing.model.fleet import (
    AccountUuid,
    ContactUuid,
    Epoch,
    MoveKind,
    Placement,
    Rebinding,
    SessionId,
    WorkspaceId,
)
from homing.ports import AccountChanged, Clock, Notice
from homing.ports.directory.importing import Raced
from homing.store.db.database import Database
from homing.store.db.rows import placement_of
from homing.store.db.schema.tables import accounts, contacts, workspaces
from homing.store.db.sql import as_rows, dialect_of, insert
from homing.store.directory import import_statements as statements
from homing.store.directory.accounts import ensure_workspace
from homing.store.directory.naming import skip_chosen_id
from homing.store.directory.placements import rebind
from homing.store.notices.announce import Changes
from homing.store.notices.notices import StagedNotices
from homing.store.records.recording import record_all

Imported = TypeVar("Imported", ImportedAccount, ImportedContact)
Wanted = Mapping[str, str | int | None]


class SqlImports:
    """`ports.importing.ImportStore` on SQLite and PostgreSQL."""

    def __init__(self, database: Database, notices: StagedNotices, clock: Clock) -> None:
        self._database, self._clock = database, clock
        self._changes = Changes(database, notices)

    async def put_accounts(self, rows: Sequence[ImportedAccount], *, dry_run: bool) -> list[AccountMerge]:
        at = self._clock.now()
        if dry_run:
            return await self._database.read_aside(lambda c: _merged_accounts(c, rows))
        return await self._changes.make(lambda c: _put_accounts(c, rows, at))

    async def put_contacts(self, rows: Sequence[ImportedContact], *, dry_run: bool) -> list[ContactMerge]:
        at = self._clock.now()
        if dry_run:
            return await self._database.read_aside(lambda c: _merged_contacts(c, rows))
        return await self._changes.make(lambda c: _put_contacts(c, rows, at))

    async def ensure_workspaces(self, names: Mapping[WorkspaceId, str]) -> None:
        at = self._clock.now()
        await self._database.write(lambda c: _ensure_workspaces(c, names, at))


# --- workspaces -------------------------------------------------------------------------------------------------


def _ensure_workspaces(connection: Connection, names: Mapping[WorkspaceId, str], at: datetime) -> None:
    for number, name in sorted(names.items()):
        row = insert(dialect_of(connection), workspaces).values(id=number, name=name, created_at=at)
        nameless = workspaces.c.name == ""
        connection.execute(
            row.on_conflict_do_update(index_elements=[workspaces.c.id], set_={"name": name}, where=nameless)
        )


# --- contacts ---------------------------------------------------------------------------------------------------


def _merged_contacts(connection: Connection, rows: Sequence[ImportedContact]) -> list[ContactMerge]:
    found = {
        row.id: KnownContact(row.id, row.uuid, WorkspaceId(row.workspace_id), row.phone, row.person, row.name)
        for row in _alike(connection, statements.contacts_statement(dialect_of(connection)), rows)
    }
    return merge_contacts(rows, found.values(), _taken_ids(connection, contacts, rows))


def _put_contacts(
    connection: Connection, rows: Sequence[ImportedContact], at: datetime
) -> tuple[list[ContactMerge], list[Notice]]:
    merged = _merged_contacts(connection, rows)
    new = [each.row for each in merged if isinstance(each, ToCreate)]
    changes = [each for each in merged if isinstance(each, ToChange)]
    _ensure(connection, new, at)
    _insert(
        connection,
        contacts,
        [(row, {"phone": row.address, "phone_as_written": row.written}) for row in new],
        at,
    )
    if changes:
        given = as_rows(_changed(each, each.row.address) for each in changes)
        _all(
            connection.execute(statements.contacts_changed_statement(dialect_of(connection)), {"given": given}).all(),
            changes,
        )
    record_all(connection, "contact.imported", "contact", [row.uuid for row in new], after={})
    record_all(connection, "contact.changed", "contact", [each.row.uuid for each in changes], after={})
    return merged, [AccountChanged(contact_uuid=ContactUuid(each.row.uuid)) for each in changes]


# --- accounts ---------------------------------------------------------------------------------------------------


def _merged_accounts(connection: Connection, rows: Sequence[ImportedAccount]) -> list[AccountMerge]:
    sought = {"sessions": [row.session_id for row in rows]}
    found = {
        row.id: KnownAccount(
            row.id,
            row.uuid,
            WorkspaceId(row.workspace_id),
            row.phone,
            row.person,
            row.name,
            placement_of(row),
            row.last_verified_at,
        )
        for row in _alike(connection, statements.accounts_statement(dialect_of(connection)), rows, **sought)
    }
    return merge_accounts(rows, found.values(), _taken_ids(connection, accounts, rows))


def _put_accounts(
    connection: Connection, rows: Sequence[ImportedAccount], at: datetime
) -> tuple[list[AccountMerge], list[Notice]]:
    merged = _merged_accounts(connection, rows)
    new = [each.row for each in merged if isinstance(each, ToCreate)]
    changes = [each for each in merged if isinstance(each, ToChange)]
    epochs = _create_accounts(connection, new, at)
    if changes:
        given = as_rows(_changed(each, each.row.written) for each in changes)
        _all(
            connection.execute(statements.accounts_changed_statement(dialect_of(connection)), {"given": given}).all(),
            changes,
        )
    records = {
        row.session_id: Placement(row.session_id, None, epochs[row.session_id]) for row in new if row.instance_url
    }
    records |= {each.row.session_id: each.places for each in changes if each.places is not None}
    placed = _place(connection, [*new, *(each.row for each in changes)], records, at)
    record_all(connection, "account.imported", "account", [row.uuid for row in new], after={})
    record_all(connection, "account.changed", "account", [each.row.uuid for each in changes], after={})
    return merged, [*placed, *(AccountChanged(AccountUuid(each.row.uuid)) for each in changes)]


def _create_accounts(connection: Connection, new: Sequence[ImportedAccount], at: datetime) -> dict[SessionId, Epoch]:
    """The accounts, each with its session at the epoch where an earlier account of the same session left it."""
    if not new:
        return {}
    _ensure(connection, new, at)
    _insert(connection, accounts, [(row, {"phone": row.written, "takeover": row.takeover.value}) for row in new], at)
    given = as_rows({"uuid": row.uuid, "session_id": row.session_id, "status": row.status.value} for row in new)
    made = connection.execute(statements.sessions_statement(dialect_of(connection)), {"given": given, "at": at}).all()
    _all(made, new)
    return {SessionId(row.session_id): Epoch(row.epoch) for row in made}


def _place(
    connection: Connection,
    rows: Sequence[ImportedAccount],
    records: Mapping[SessionId, Placement],
    at: datetime,
) -> list[Notice]:
    """Each session is where its source says, in the state that is said of it; the log of moves has it."""
    there = {row.session_id: row for row in rows if row.session_id in records and row.instance_url is not None}
    if not there:
        return []
    wanted = [
        Rebinding(
            expected=records[session],
            instance_url=row.instance_url,
            epoch=Epoch(records[session].epoch + 1),
            kind=MoveKind.PLACEMENT,
            reason=f"imported: {row.origin} says that it is there",
            claimed=True,
        )
        for session, row in there.items()
        if row.instance_url is not None
    ]
    applied = rebind(connection, wanted, at=at, run_id=None)
    given = as_rows(
        {"session_id": each.change.session_id, "status": there[each.change.session_id].status.value} for each in applied
    )
    connection.execute(statements.statuses_statement(dialect_of(connection)), {"given": given})
    return [each.notice for each in applied]


# --- what both have in common -----------------------------------------------------------------------------------


def _alike(
    connection: Connection, statement: CompoundSelect[Any], rows: Sequence[Imported], **more: Sequence[str]
) -> list[Any]:
    """The rows of the directory that share a uuid or a phone with one of these; one may come more than once."""
    spelt = {(row.workspace_id, each) for row in rows for each in (row.person, row.address, row.written)}
    asked = {
        "uuids": [row.uuid for row in rows],
        "spelt": as_rows({"workspace_id": workspace, "spelling": spelling} for workspace, spelling in sorted(spelt)),
        **more,
    }
    return list(connection.execute(statement, asked).all())


def _ensure(connection: Connection, new: Sequence[Imported], at: datetime) -> None:
    for workspace in {row.workspace_id for row in new}:
        ensure_workspace(connection, workspace, at)


def _taken_ids(connection: Connection, table: Table, rows: Sequence[Imported]) -> list[int]:
    ids = [row.id for row in rows if row.id is not None]
    return list(connection.scalars(select(table.c.id).where(table.c.id.in_(ids)))) if ids else []


def _insert(connection: Connection, table: Table, new: Sequence[tuple[Imported, Wanted]], at: datetime) -> None:
    """Those with a number of their own come first: what is numbered by the database goes on behind them."""
    for numbered in (True, False):
        part = [(row, more) for row, more in new if (row.id is not None) is numbered]
        if not part:
            continue
        given = as_rows(
            {
                "place": place,
                "id": row.id,
                "uuid": row.uuid,
                "workspace_id": row.workspace_id,
                "name": row.name,
                "person": row.person,
                **more,
            }
            for place, (row, more) in enumerate(part)
        )
        statement = statements.insert_statement(dialect_of(connection), table.name, numbered=numbered)
        _all(connection.execute(statement, {"given": given, "at": at}).all(), part)
        if numbered:
            skip_chosen_id(connection, table.name)


def _all(done: Sequence[Any], wanted: Sequence[Any]) -> None:
    if len(done) != len(wanted):
        raise Raced(f"{len(wanted) - len(done)} rows were written by somebody else at the same time")


def _changed(change: ToChange[Any], phone: str) -> dict[str, str | int | None]:
    row = change.row
    return {
        "id": change.id,
        "name": row.name if change.name else None,
        "phone": phone if change.phone else None,
        "person": row.person if change.phone else None,
        "phone_as_written": row.written if change.phone else None,
    }
