"""Logins as they are kept, and what can be read of who has them."""

from collections.abc import Collection, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Update, bindparam, delete, select, update

from homing.model.instances.vault import Grant, Holder, Holding, Login, StaleEpoch
from homing.store.db.database import Dialect
from homing.store.db.prepared import prepared
from homing.store.db.schema.columns import UtcDateTime
from homing.store.db.schema.device_state import session_keys
from homing.store.db.schema.tables import credentials, reservations
from homing.store.db.sql import among, as_rows, dialect_of, given_rows
from homing.store.vault.rows import LOGIN, is_under, locked, login_row
from homing.store.vault.sealing import KeyRing


def save(
    connection: Connection, keys: KeyRing, logins: Sequence[tuple[Grant, Login]], now: datetime
) -> list[Grant | StaleEpoch]:
    """Keep these logins, each under a version above the last."""
    stored = locked(connection, {grant.session_id for grant, _ in logins})
    versions = {session: row.login_version for session, row in stored.items()}
    rows: dict[str, dict[str, str | int | None]] = {}
    answers: list[Grant | StaleEpoch] = []
    for grant, login in logins:
        session = grant.session_id
        row = stored.get(session)
        if not is_under(row, grant):
            answers.append(StaleEpoch(0 if row is None else row.epoch))
            continue
        versions[session] += 1
        sealed = keys.seal_login(session, versions[session], login)
        rows[session] = {"session_id": session, **login_row(sealed, versions[session])}
        answers.append(replace(grant, login=login, login_version=versions[session]))
    given = as_rows(rows.values())
    connection.execute(_save_statement(dialect_of(connection)), {"given": given, "saved_at": now})
    return answers


def forget(connection: Connection, grant: Grant, now: datetime) -> StaleEpoch | None:
    """Delete the login, its keys and what was reserved. A copy of the login that somebody kept is older than what comes
    next."""
    row = locked(connection, [grant.session_id]).get(grant.session_id)
    if row is None or not is_under(row, grant):
        return StaleEpoch(0 if row is None else row.epoch)
    mine = credentials.c.session_id == grant.session_id
    gone = {"login": None, "login_key": None, "login_version": row.login_version + 1, "updated_at": now}
    connection.execute(update(credentials).where(mine).values(gone))
    connection.execute(delete(reservations).where(reservations.c.session_id == grant.session_id))
    connection.execute(delete(session_keys).where(session_keys.c.session_id == grant.session_id))
    return None


def held_by(connection: Connection, instance_url: str) -> list[Holding]:
    return [Holding(*row) for row in connection.execute(_held_by_statement(), {"address": instance_url})]


@prepared
def _held_by_statement() -> Select[Any]:
    return _holdings().where(credentials.c.holder_url == bindparam("address"), credentials.c.login.is_not(None))


def _holdings() -> Select[Any]:
    return select(credentials.c.session_id, credentials.c.epoch).order_by(credentials.c.session_id)


def held_by_boot(connection: Connection, holder: Holder) -> dict[str, int]:
    mine = {"boot": holder.incarnation, "address": holder.instance_url}
    return {row.session_id: row.epoch for row in connection.execute(_held_by_boot_statement(), mine)}


@prepared
def _held_by_boot_statement() -> Select[Any]:
    boot = credentials.c.holder_incarnation == bindparam("boot")
    return _holdings().where(boot, credentials.c.holder_url == bindparam("address"))


def unheld(connection: Connection, asked: Collection[str]) -> list[Holding]:
    found = connection.execute(_unheld_statement(dialect_of(connection)), {"sessions": sorted(asked)})
    return [Holding(*row) for row in found]


@prepared
def _unheld_statement(dialect: Dialect) -> Select[Any]:
    asked = among(dialect, credentials.c.session_id, "sessions")
    return _holdings().where(asked, credentials.c.holder_url.is_(None), credentials.c.login.is_not(None))


def epoch(connection: Connection, session_id: str) -> int:
    return connection.scalar(_epoch_statement(), {"session": session_id}) or 0


@prepared
def _epoch_statement() -> Select[Any]:
    return select(credentials.c.epoch).where(credentials.c.session_id == bindparam("session"))


@prepared
def _save_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", LOGIN)
    saved = {name: given.c[name] for name in LOGIN if name != "session_id"}
    return (
        update(credentials)
        .where(credentials.c.session_id == given.c.session_id)
        .values(**saved, updated_at=bindparam("saved_at", type_=UtcDateTime()))
    )
