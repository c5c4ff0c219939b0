"""Which accounts and contacts a workspace has."""

from collections.abc import Collection, Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, Table, delete, func, or_, select, update

from homing.decide.phones.aliases import person
from homing.model.fleet import (
    Account,
    Contact,
    ContactUuid,
    InstanceUrl,
    PlacementState,
    SessionId,
    SessionStatus,
    WorkspaceId,
)
from homing.model.sessions.exit_proxies import SealedExitProxy
from homing.ports import AccountChanges, NameTaken, NewAccount, Page
from homing.store.db.many_rows import in_turns
from homing.store.db.rows import ACCOUNT_COLUMNS, ACCOUNTS_WITH_SESSIONS, account_of, contact_of
from homing.store.db.schema.tables import accounts, contacts, sessions, workspaces
from homing.store.db.sql import dialect_of, insert
from homing.store.directory.naming import insert_session, skip_chosen_id
from homing.store.records.recording import record, record_difference, subject

_ACCOUNTS = select(*ACCOUNT_COLUMNS).select_from(ACCOUNTS_WITH_SESSIONS)


def ensure_workspace(connection: Connection, workspace: WorkspaceId, at: datetime) -> None:
    """The workspace exists from here on."""
    row = insert(dialect_of(connection), workspaces).values(id=workspace, created_at=at)
    connection.execute(row.on_conflict_do_nothing())


def create_account(connection: Connection, new: NewAccount, at: datetime) -> Account:
    """The account and its session's row, at the epoch where an earlier account of the same session left it."""
    ensure_workspace(connection, new.workspace_id, at)
    account_id = _insert_account(connection, new, at)
    insert_session(
        connection,
        new.session_id,
        account_id,
        new.workspace_id,
        at,
        any_owner=new.any_owner,
        native_id=new.native_id,
    )
    made = account_of(connection.execute(_ACCOUNTS.where(accounts.c.id == account_id)).one())
    record(connection, "account.created", subject(made), after=told(made))
    return made


def account(
    connection: Connection,
    workspace: WorkspaceId | None,
    *,
    id: int | None,
    uuid: str | None,
    session_id: SessionId | None = None,
) -> Account | None:
    """One account by id, uuid or session, if it is this workspace's."""
    if id is None and uuid is None and session_id is None:
        return None
    statement = _of_workspace(_ACCOUNTS, accounts, workspace)
    if id is not None:
        statement = statement.where(accounts.c.id == id)
    if uuid is not None:
        statement = statement.where(accounts.c.uuid == uuid)
    if session_id is not None:
        statement = statement.where(sessions.c.session_id == session_id)
    row = connection.execute(statement).one_or_none()
    return None if row is None else account_of(row)


def accounts_page(
    connection: Connection,
    workspace: WorkspaceId | None,
    page: Page,
    *,
    instance_url: InstanceUrl | None,
    status: SessionStatus | None,
    away: Collection[InstanceUrl] = (),
    since: datetime | None = None,
) -> list[Account]:
    """A page of accounts by id. By `status` as it is known now: see `homing.decide.knowledge.presence`."""
    statement = _page_of(_of_workspace(_ACCOUNTS, accounts, workspace), accounts.c.id, page)
    if instance_url is not None:
        statement = statement.where(sessions.c.instance_url == instance_url)
    if status is not None:
        statement = statement.where(_is_now(status, away, since))
    return [account_of(row) for row in in_turns(connection.execute(statement))]


def _is_now(status: SessionStatus, away: Collection[InstanceUrl], since: datetime | None) -> ColumnElement[bool]:
    """`decide.presence.status_now`, for the database."""
    recorded = sessions.c.status == status
    if status not in (SessionStatus.CONNECTED, SessionStatus.UNKNOWN):
        return recorded
    outdated: ColumnElement[bool] = sessions.c.instance_url.in_(sorted(away))
    if since is not None:
        verified = sessions.c.last_verified_at
        outdated = outdated | ((sessions.c.updated_at < since) & (verified.is_(None) | (verified < since)))
    connected = sessions.c.status == SessionStatus.CONNECTED
    return recorded & ~outdated if status is SessionStatus.CONNECTED else recorded | (connected & outdated)


def delete_account(connection: Connection, account: Account, at: datetime) -> None:
    """Forget the account. Its session's row stays, placed nowhere, so that the epoch is never used again."""
    owner = select(accounts.c.workspace_id).where(accounts.c.id == account.id).scalar_subquery()
    gone = {
        "account_id": None,
        "instance_url": None,
        "state": PlacementState.HELD,
        "former_workspace_id": owner,
        "mismatched_phone": None,
        "updated_at": at,
    }
    connection.execute(update(sessions).where(sessions.c.account_id == account.id).values(gone))
    if connection.execute(delete(accounts).where(accounts.c.id == account.id)).rowcount:
        record(connection, "account.deleted", subject(account), before=told(account))


def change_account(connection: Connection, account: Account, changes: AccountChanges) -> None:
    """Each field is a column of the same name, and an attribute of the account; a proxy is several columns."""
    if changes:
        connection.execute(update(accounts).where(accounts.c.id == account.id).values(_columns(changes)))
    before = {name: _plain(getattr(account, name)) for name in changes}
    after = {name: _plain(value) for name, value in changes.items()}
    record_difference(connection, "account.changed", subject(account), before, after)


def _columns(changes: AccountChanges) -> dict[str, Any]:
    values: dict[str, Any] = {name: value for name, value in changes.items() if name != "exit_proxy"}
    if "exit_proxy" in changes:
        proxy = changes["exit_proxy"]
        sealed = (proxy.sealed, proxy.shown, proxy.name) if proxy is not None else (None, None, None)
        values |= dict(zip(("sealed_proxy", "proxy_shown", "proxy_name"), sealed, strict=True))
    return values


def _plain(value: object) -> Any:
    """As the audit log may have it: of a proxy, what people may see."""
    if isinstance(value, SealedExitProxy):
        return value.shown
    return dict(value) if isinstance(value, Mapping) else value


def named(account: Account) -> dict[str, Any]:
    """What an account is known by, for the audit log."""
    return {"id": account.id, "uuid": account.uuid, "session_id": account.session_id}


def told(account: Account) -> dict[str, Any]:
    """An account for the audit log."""
    return {
        **named(account),
        "workspace_id": account.workspace_id,
        "phone": account.phone,
        "name": account.name,
        "takeover": account.takeover.value,
        "requires": dict(account.requires),
        "instance_url": account.placement.instance_url,
    }


def create_contact(
    connection: Connection,
    uuid: ContactUuid,
    workspace: WorkspaceId,
    phone: str,
    name: str,
    at: datetime,
    *,
    as_written: str | None,
    id: int | None = None,
) -> Contact:
    ensure_workspace(connection, workspace, at)
    whose = person(phone)
    chosen = {} if id is None else {"id": id}
    values = chosen | {"uuid": uuid, "workspace_id": workspace, "phone": phone, "name": name, "created_at": at}
    written = {"person": whose, "phone_as_written": as_written}
    statement = insert(dialect_of(connection), contacts).values(values | written).on_conflict_do_nothing()
    row = connection.execute(statement.returning(contacts)).one_or_none()
    if row is None:
        raise _taken(connection, contacts, "contact", workspace, phone, whose, uuid)
    if id is not None:
        skip_chosen_id(connection, "contacts")
    made = contact_of(row)
    record(connection, "contact.created", f"contact {made.uuid}", after=_contact_told(made))
    return made


def _contact_told(contact: Contact) -> dict[str, Any]:
    return {"id": contact.id, "workspace_id": contact.workspace_id, "phone": contact.phone, "name": contact.name}


def contact(connection: Connection, workspace: WorkspaceId | None, uuid: str) -> Contact | None:
    """One contact, if it is this workspace's."""
    statement = _of_workspace(select(contacts).where(contacts.c.uuid == uuid), contacts, workspace)
    row = connection.execute(statement).one_or_none()
    return None if row is None else contact_of(row)


def contacts_page(connection: Connection, workspace: WorkspaceId | None, page: Page) -> list[Contact]:
    """A page of contacts by id."""
    statement = _page_of(_of_workspace(select(contacts), contacts, workspace), contacts.c.id, page)
    return [contact_of(row) for row in connection.execute(statement)]


def delete_contact(connection: Connection, contact: Contact) -> None:
    if connection.execute(delete(contacts).where(contacts.c.id == contact.id)).rowcount:
        record(connection, "contact.deleted", f"contact {contact.uuid}", before=_contact_told(contact))


def _insert_account(connection: Connection, new: NewAccount, at: datetime) -> int:
    values = {
        "uuid": new.uuid,
        "workspace_id": new.workspace_id,
        "phone": new.phone,
        "name": new.name,
        "takeover": new.takeover,
        "created_at": at,
        "requires": dict(new.requires),
        "person": new.person,
    }
    if new.id is not None:
        values["id"] = new.id
    statement = (
        insert(dialect_of(connection), accounts).values(values).on_conflict_do_nothing().returning(accounts.c.id)
    )
    account_id = connection.scalar(statement)
    if account_id is None:
        raise _taken(connection, accounts, "account", new.workspace_id, new.phone, new.person, new.uuid)
    if new.id is not None:
        skip_chosen_id(connection, "accounts")
    return int(account_id)


def _taken(
    connection: Connection,
    table: Table,
    what: str,
    workspace: WorkspaceId,
    phone: str,
    whose: str | None,
    uuid: str,
) -> NameTaken:
    def exists(*clauses: ColumnElement[bool]) -> bool:
        return connection.scalar(select(func.count()).select_from(table).where(*clauses)) > 0  # type: ignore[operator]

    same = or_(table.c.phone == phone, table.c.person == whose) if whose is not None else table.c.phone == phone
    owner = connection.execute(
        select(table.c.id, table.c.uuid, table.c.phone).where(table.c.workspace_id == workspace, same).limit(1)
    ).one_or_none()
    if owner is not None:
        spelt = "" if owner.phone == phone else f", written {owner.phone}"
        return NameTaken(
            f"workspace {workspace} has the phone {phone} as another {what} already: {owner.id} ({owner.uuid}){spelt}"
        )
    if exists(table.c.uuid == uuid):
        return NameTaken(f"the uuid {uuid} is another {what}'s already")
    return NameTaken(f"the id is another {what}'s already")


def _of_workspace(statement: Any, table: Table, workspace: WorkspaceId | None) -> Any:
    return statement if workspace is None else statement.where(table.c.workspace_id == workspace)


def _page_of(statement: Any, id: ColumnElement[int], page: Page) -> Any:
    return statement.where(id > page.after).order_by(id).limit(page.limit)
