"""Which account a session, a uuid and an id name, and how that changes while the account is nowhere."""

from datetime import datetime

from sqlalchemy import Connection, delete, select, text, update
from sqlalchemy.exc import IntegrityError

from homing.decide.phones.aliases import person
from homing.model.fleet import NEVER_GRANTED, Account, PlacementState, SessionId, SessionStatus
from homing.ports import AccountPlaced, NameTaken, NewNames
from homing.store.db.schema.tables import accounts, sessions
from homing.store.db.sql import dialect_of, insert
from homing.store.records.recording import record, subject


def insert_session(
    connection: Connection,
    session_id: SessionId,
    account_id: int,
    workspace: int,
    at: datetime,
    *,
    any_owner: bool,
    native_id: str | None = None,
) -> None:
    """The account's session, at the epoch where an earlier account of the same session left it.

    A session that another workspace had is taken like one that somebody has, unless `any_owner`: its login may still
    be there. Raises NameTaken.
    """
    fresh = insert(dialect_of(connection), sessions).values(
        session_id=session_id,
        account_id=account_id,
        epoch=NEVER_GRANTED,
        state=PlacementState.HELD,
        status=SessionStatus.UNKNOWN,
        updated_at=at,
        native_id=native_id,
    )
    free = sessions.c.account_id.is_(None)
    former = sessions.c.former_workspace_id
    adopted = fresh.on_conflict_do_update(
        index_elements=[sessions.c.session_id],
        set_={
            "account_id": account_id,
            "status": SessionStatus.UNKNOWN.value,
            "updated_at": at,
            "former_workspace_id": None,
            "mismatched_phone": None,
            "native_id": native_id,
        },
        where=free if any_owner else free & (former.is_(None) | (former == workspace)),
    )
    if connection.scalar(adopted.returning(sessions.c.epoch)) is None:
        raise NameTaken(taken(session_id))


def taken(session_id: SessionId) -> str:
    """What is said of a session that an account has, whosever that is."""
    return f"the session {session_id} belongs to another account already"


def rename(connection: Connection, account_id: int, names: NewNames, at: datetime, *, any_owner: bool) -> None:
    """Give an account that is nowhere another session, uuid or id. Raises NameTaken and AccountPlaced."""
    row = connection.execute(
        select(sessions.c.session_id, sessions.c.instance_url, sessions.c.epoch, accounts.c.workspace_id)
        .select_from(sessions.join(accounts, accounts.c.id == sessions.c.account_id))
        .where(sessions.c.account_id == account_id)
        .with_for_update(of=sessions)
    ).one()
    if row.instance_url is not None:
        raise AccountPlaced(row.instance_url)
    session_id = SessionId(row.session_id)
    if names.session_id is not None and names.session_id != session_id:
        _let_go(connection, session_id, row.workspace_id, at)
        native_id = names.native_id
        insert_session(
            connection, names.session_id, account_id, row.workspace_id, at, any_owner=any_owner, native_id=native_id
        )
        session_id = names.session_id
    elif names.native_id is not None:
        this = sessions.c.session_id == session_id
        connection.execute(update(sessions).where(this).values(native_id=names.native_id))
    try:
        _rename(connection, account_id, session_id, names)
    except IntegrityError as error:
        what = f"the id {names.id}" if names.uuid is None else f"the uuid {names.uuid}"
        raise NameTaken(f"{what} is another account's already") from error


def _let_go(connection: Connection, session_id: SessionId, workspace: int, at: datetime) -> None:
    """One that was never granted is forgotten; of another the epoch stays known."""
    this = sessions.c.session_id == session_id
    if connection.execute(delete(sessions).where(this, sessions.c.epoch == NEVER_GRANTED)).rowcount == 0:
        gone = {"account_id": None, "former_workspace_id": workspace, "mismatched_phone": None, "updated_at": at}
        connection.execute(update(sessions).where(this).values(gone))


def _rename(connection: Connection, account_id: int, session_id: SessionId, names: NewNames) -> None:
    this = sessions.c.session_id == session_id
    if names.uuid is not None:
        connection.execute(update(accounts).where(accounts.c.id == account_id).values(uuid=names.uuid))
    if names.id is None or names.id == account_id:
        return
    # The session points to its account: it lets go while the number changes.
    connection.execute(update(sessions).where(this).values(account_id=None))
    connection.execute(update(accounts).where(accounts.c.id == account_id).values(id=names.id))
    connection.execute(update(sessions).where(this).values(account_id=names.id))
    skip_chosen_id(connection, "accounts")


def skip_chosen_id(connection: Connection, table: str) -> None:
    """PostgreSQL's sequence does not see an id that was chosen, and would give it out again."""
    if dialect_of(connection) == "postgresql":
        connection.execute(text(_SKIP_CHOSEN_ID.format(table=table)))


_SKIP_CHOSEN_ID = """
    SELECT setval(pg_get_serial_sequence('{table}', 'id'), greatest(
        (SELECT max(id) FROM {table}), nextval(pg_get_serial_sequence('{table}', 'id')) - 1, 1))
"""


def set_mismatch(connection: Connection, session_id: SessionId, phone: str | None) -> None:
    """Note the phone that was reported for the session, if it is somebody else's."""
    connection.execute(
        update(sessions)
        .where(sessions.c.session_id == session_id, sessions.c.account_id.is_not(None))
        .values(mismatched_phone=phone)
    )


def mismatched(connection: Connection, limit: int) -> list[SessionId]:
    """The sessions with a stranger's phone."""
    standing = sessions.c.mismatched_phone.is_not(None)
    found = connection.scalars(
        select(sessions.c.session_id).where(standing).order_by(sessions.c.session_id).limit(limit)
    )
    return [SessionId(session) for session in found]


def accept_phone(connection: Connection, account: Account, phone: str) -> bool:
    """The account's phone is from here on the one reported, if that is still what is reported. Raises NameTaken."""
    standing = sessions.c.mismatched_phone == phone
    accepted = update(sessions).where(sessions.c.account_id == account.id, standing).values(mismatched_phone=None)
    if connection.execute(accepted).rowcount == 0:
        return False
    set_phone(connection, account.id, phone)
    record(
        connection, "account.phone_accepted", subject(account), before={"phone": account.phone}, after={"phone": phone}
    )
    return True


def set_phone(connection: Connection, account_id: int, phone: str) -> None:
    """Raises NameTaken if another account of the workspace has it."""
    try:
        connection.execute(
            update(accounts).where(accounts.c.id == account_id).values(phone=phone, person=person(phone))
        )
    except IntegrityError as error:
        raise NameTaken(f"another account of the workspace has the phone {phone} already") from error
