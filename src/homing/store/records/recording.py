"""Entries of the audit log, each written by the very transaction that makes the change.

Which act a change belongs to is known where it was asked for. A write takes it along to wherever it is carried out.
"""

from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, TypeVar

from sqlalchemy import Connection, func

from homing.decide.access.audit import difference, digest, masked
from homing.model.directory.audit import acting, carrying_out
from homing.model.fleet import Account
from homing.store.db.schema.tables import audit_log
from homing.store.db.sql import dialect_of

T = TypeVar("T")

Fields = Mapping[str, Any]


def subject(account: Account) -> str:
    """An account, as entries name it."""
    return f"account {account.id}"


def by_its_act(fn: Callable[[Connection], T]) -> Callable[[Connection], T]:
    """The operation, carried out by the act that stands here and now, in whichever thread that will be."""
    act = acting.get()
    if act is None:
        return fn

    def carried_out(connection: Connection) -> T:
        with carrying_out(act):
            return fn(connection)

    return carried_out


def record(
    connection: Connection, action: str, subject: str, *, before: Fields | None = None, after: Fields | None = None
) -> None:
    """An entry, if an act is being carried out. Phones and secrets are masked here."""
    _insert(connection, action, subject, before=before and masked(before), after=after and masked(after))


def record_difference(connection: Connection, action: str, subject: str, before: Fields, after: Fields) -> None:
    """An entry with what of it changed; none if nothing did."""
    was, is_now = difference(before, after)
    if is_now:
        record(connection, action, subject, before=was, after=is_now)


def record_all(connection: Connection, action: str, kind: str, things: Iterable[str], *, after: Fields) -> None:
    """One entry for a change of many things, and of one thing an entry as any other; of none, none."""
    if acting.get() is None:
        return
    names = sorted(things)
    if len(names) == 1:
        record(connection, action, f"{kind} {names[0]}", after=after)
    elif names:
        many = {"things": len(names), "digest": digest(names)}
        _insert(connection, action, f"{len(names)} {kind}s", after=masked(after), **many)


def _insert(connection: Connection, action: str, subject: str, **more: Any) -> None:
    act = acting.get()
    if act is None:
        return
    # The time of the change itself and not of its transaction, which may have waited.
    at = datetime.now(UTC) if dialect_of(connection) == "sqlite" else func.clock_timestamp()
    who = {
        "act_id": act.id,
        "via": act.via,
        "actor": act.actor,
        "key_id": act.key_id,
        "workspace_id": act.workspace_id,
        "origin": act.origin,
        "request": act.request,
    }
    connection.execute(audit_log.insert().values(at=at, action=action, subject=subject, **{"things": 1, **more}, **who))
