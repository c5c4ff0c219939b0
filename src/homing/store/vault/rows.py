"""Rows of the vault: found under a grant, and locked in one order everywhere."""

from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, FromClause, Select, bindparam, literal_column, select, true
from sqlalchemy.types import TypeEngine

from homing.model.instances.vault import Grant, Holder, StaleEpoch
from homing.store.db.database import Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import AnyRow
from homing.store.db.schema.columns import BoundedInteger, UtcDateTime, Words, as_base64
from homing.store.db.schema.tables import credentials
from homing.store.db.sql import among, as_rows, dialect_of, given_rows, insert
from homing.store.vault.sealing import SealedText

GRANT: dict[str, TypeEngine[Any]] = {
    "session_id": Words(),
    "epoch": BoundedInteger(),
    "url": Words(),
    "incarnation": Words(),
}
"""What a statement is given of a grant that it is to be done under."""

LOGIN: dict[str, TypeEngine[Any]] = {
    "session_id": Words(),
    "login": Words(),
    "login_key": Words(),
    "login_version": BoundedInteger(),
}
"""What a statement is given of a login that it is to keep."""


def grant_row(grant: Grant) -> dict[str, str | int | None]:
    return {
        "session_id": grant.session_id,
        "epoch": grant.epoch,
        "url": grant.holder.instance_url,
        "incarnation": grant.holder.incarnation,
    }


def under(given: FromClause) -> tuple[ColumnElement[bool], ...]:
    """The session is still at the grant's epoch, and with the boot that the grant was given to."""
    return (
        credentials.c.session_id == given.c.session_id,
        credentials.c.epoch == given.c.epoch,
        credentials.c.holder_url == given.c.url,
        credentials.c.holder_incarnation == given.c.incarnation,
    )


def holder_of(row: AnyRow) -> Holder | None:
    return None if row.holder_url is None else Holder(row.holder_url, row.holder_incarnation)


def is_under(row: AnyRow | None, grant: Grant) -> bool:
    return row is not None and row.epoch == grant.epoch and holder_of(row) == grant.holder


def login_of(row: AnyRow) -> SealedText | None:
    return None if row.login is None else SealedText(row.login_key, row.login)


def login_row(sealed: SealedText | None, version: int) -> dict[str, str | int | None]:
    if sealed is None:
        return {"login": None, "login_key": None, "login_version": version}
    return {"login": as_base64(sealed.text), "login_key": sealed.key_id, "login_version": version}


def locked(connection: Connection, sessions: Collection[str]) -> dict[str, AnyRow]:
    """The rows of these sessions, nobody else's to change until the transaction ends."""
    found = connection.execute(_locked_statement(dialect_of(connection)), {"sessions": sorted(sessions)})
    return {row.session_id: row for row in found}


def made_and_locked(connection: Connection, sessions: Collection[str], now: datetime) -> dict[str, AnyRow]:
    """The same, of sessions that the vault may not know yet: those are at epoch 0, held by nobody."""
    given = as_rows({"session_id": session} for session in sorted(sessions))
    connection.execute(_made_statement(dialect_of(connection)), {"given": given, "made_at": now})
    return locked(connection, sessions)


def refusals(connection: Connection, grants: Iterable[Grant]) -> dict[str, StaleEpoch]:
    """What the epochs of these sessions are now, for those whose grants were refused."""
    asked = sorted({grant.session_id for grant in grants})
    if not asked:
        return {}
    known = connection.execute(_epochs_statement(dialect_of(connection)), {"sessions": asked})
    epochs = {row.session_id: row.epoch for row in known}
    return {session: StaleEpoch(epochs.get(session, 0)) for session in asked}


@prepared
def _locked_statement(dialect: Dialect) -> Select[Any]:
    return (
        select(credentials)
        .where(among(dialect, credentials.c.session_id, "sessions"))
        .order_by(credentials.c.session_id)
        .with_for_update()
    )


@prepared
def _epochs_statement(dialect: Dialect) -> Select[Any]:
    columns = (credentials.c.session_id, credentials.c.epoch)
    return select(*columns).where(among(dialect, credentials.c.session_id, "sessions"))


@prepared
def _made_statement(dialect: Dialect) -> Any:
    given = given_rows(dialect, "given", {"session_id": Words()})
    zero: ColumnElement[int] = literal_column("0")
    made_at = bindparam("made_at", type_=UtcDateTime())
    names: Sequence[str] = ["session_id", "epoch", "login_version", "reserved_to", "updated_at"]
    chosen = select(given.c.session_id, zero, zero, zero, made_at).where(true()).order_by(given.c.session_id)
    return insert(dialect, credentials).from_select(names, chosen).on_conflict_do_nothing()
