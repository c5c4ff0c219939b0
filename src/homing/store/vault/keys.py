"""The keys of a vault: whether those at hand are the right ones, and how a new one takes over."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from datetime import datetime

from sqlalchemy import Connection, and_, func, select, union_all, update

from homing.model.instances.vault import VaultSealed
from homing.store.db.rows import AnyRow
from homing.store.db.schema.device_state import inbox, session_keys
from homing.store.db.schema.tables import credentials, reservations, vault_keys
from homing.store.db.sql import dialect_of, insert
from homing.store.records.recording import record_all
from homing.store.vault.sealing import (
    KeyRing,
    SealedPlace,
    SealedText,
    frame_place,
    inbox_place,
    key_place,
    login_place,
)

_KNOWN = b"Homing keeps its word."


def check(connection: Connection, keys: KeyRing, now: datetime) -> None:
    """Raise VaultSealed unless these keys are the ones known by their names, and open all that is stored."""
    known = {row.key_id: row.known for row in connection.execute(select(vault_keys))}
    for key_id in keys.ids:
        if key_id not in known:
            sealed = keys.seal(_place(key_id), _KNOWN, key_id=key_id)
            new = insert(dialect_of(connection), vault_keys).values(key_id=key_id, known=sealed.text, created_at=now)
            connection.execute(new.on_conflict_do_nothing())
    # Read again: of two who bring different keys under one name at the same time, one comes second.
    for row in connection.execute(select(vault_keys).where(vault_keys.c.key_id.in_(keys.ids))):
        _check_known(keys, row.key_id, row.known)
    check_in_use(connection, keys)


def check_in_use(connection: Connection, keys: KeyRing) -> None:
    """Raise VaultSealed unless the keys of all that is stored are at hand."""
    missing = [(key_id, logins) for key_id, logins in _in_use(connection).items() if key_id not in keys.ids]
    if missing:
        key_id, count = missing[0]
        raise VaultSealed(
            f"the vault key {key_id!r} is not at hand, and {count} sealed rows of this database need it;"
            " add it to HOMING_VAULT_OLD_KEYS"
        )


@dataclass(frozen=True, slots=True)
class Rotated:
    """How many rows were sealed anew, and the sessions with rows that do not open, each with the reason."""

    resealed: int = 0
    unreadable: Mapping[str, str] = field(default_factory=dict)


def rotate(connection: Connection, keys: KeyRing, limit: int, skip: Collection[str] = ()) -> Rotated:
    """Seal up to so many rows anew under the newest key, of those that an older one at hand opens.

    Whoever writes such a row in the meantime has the newest key too: then it is left as it is.
    """
    old = [key_id for key_id in keys.ids if key_id != keys.newest_id]
    resealed, unreadable = 0, {}
    sessions: list[str] = []
    rows = [(_login_resealed, row) for row in _logins_under(connection, old, skip, limit)]
    rows += [(_frame_resealed, row) for row in _frames_under(connection, old, skip, limit - len(rows))]
    rows += [(_key_resealed, row) for row in _session_keys_under(connection, old, skip, limit - len(rows))]
    rows += [(_inbox_resealed, row) for row in _inbox_under(connection, old, skip, limit - len(rows))]
    for reseal, row in rows:
        try:
            resealed += reseal(connection, keys, row)
            sessions.append(row.session_id)
        except VaultSealed as reason:
            unreadable[str(row.session_id)] = str(reason)
    record_all(connection, "vault.resealed", "session", set(sessions), after={"newest_key_id": keys.newest_id})
    return Rotated(resealed, unreadable)


def left_to_rotate(connection: Connection, keys: KeyRing) -> int:
    """How many rows are not sealed under the newest key."""
    return sum(count for key_id, count in _in_use(connection).items() if key_id != keys.newest_id)


def _check_known(keys: KeyRing, key_id: str, known: bytes) -> None:
    try:
        keys.unseal(_place(key_id), SealedText(key_id, known))
    except VaultSealed as error:
        raise VaultSealed(
            f"the vault key {key_id!r} is not the one of this name that this database was sealed with"
        ) from error


def _place(key_id: str) -> SealedPlace:
    return SealedPlace("known text", "", key_id)


def _in_use(connection: Connection) -> dict[str, int]:
    logins = select(credentials.c.login_key.label("key_id"), func.count().label("rows"))
    frames = select(reservations.c.frame_key, func.count()).where(reservations.c.settled_at.is_(None))
    devices = select(session_keys.c.value_key, func.count()).group_by(session_keys.c.value_key)
    arrived = select(inbox.c.body_key, func.count()).where(inbox.c.told_at.is_(None)).group_by(inbox.c.body_key)
    every = union_all(
        logins.where(credentials.c.login_key.is_not(None)).group_by(credentials.c.login_key),
        frames.group_by(reservations.c.frame_key),
        devices,
        arrived,
    ).subquery()
    sums = select(every.c.key_id, func.sum(every.c.rows).label("rows"))
    summed = sums.group_by(every.c.key_id).order_by(every.c.key_id)
    return {row.key_id: int(row.rows) for row in connection.execute(summed)}


def _logins_under(connection: Connection, old: Collection[str], skip: Collection[str], limit: int) -> list[AnyRow]:
    wanted = (credentials.c.login_key.in_(old), credentials.c.session_id.not_in(skip))
    in_order = select(credentials).where(*wanted).order_by(credentials.c.session_id)
    return list(connection.execute(in_order.limit(limit)))


def _frames_under(connection: Connection, old: Collection[str], skip: Collection[str], limit: int) -> list[AnyRow]:
    unfinished = (reservations.c.settled_at.is_(None), reservations.c.frame_key.in_(old))
    wanted = select(reservations).where(*unfinished, reservations.c.session_id.not_in(skip))
    return list(connection.execute(wanted.limit(max(0, limit))))


def _session_keys_under(
    connection: Connection, old: Collection[str], skip: Collection[str], limit: int
) -> list[AnyRow]:
    wanted = (session_keys.c.value_key.in_(old), session_keys.c.session_id.not_in(skip))
    return list(connection.execute(select(session_keys).where(*wanted).limit(max(0, limit))))


def _inbox_under(connection: Connection, old: Collection[str], skip: Collection[str], limit: int) -> list[AnyRow]:
    wanted = (inbox.c.told_at.is_(None), inbox.c.body_key.in_(old), inbox.c.session_id.not_in(skip))
    return list(connection.execute(select(inbox).where(*wanted).limit(max(0, limit))))


def _login_resealed(connection: Connection, keys: KeyRing, row: AnyRow) -> bool:
    place = login_place(row.session_id, row.login_version)
    sealed = keys.seal(place, keys.unseal(place, SealedText(row.login_key, row.login)))
    unchanged = and_(
        credentials.c.session_id == row.session_id,
        credentials.c.login_version == row.login_version,
        credentials.c.login_key == row.login_key,
    )
    anew = update(credentials).where(unchanged).values(login=sealed.text, login_key=sealed.key_id)
    return connection.execute(anew).rowcount > 0


def _frame_resealed(connection: Connection, keys: KeyRing, row: AnyRow) -> bool:
    place = frame_place(row.session_id, row.message_id)
    sealed = keys.seal(place, keys.unseal(place, SealedText(row.frame_key, row.frame)))
    unchanged = and_(
        reservations.c.session_id == row.session_id,
        reservations.c.counter == row.counter,
        reservations.c.frame_key == row.frame_key,
    )
    anew = update(reservations).where(unchanged).values(frame=sealed.text, frame_key=sealed.key_id)
    return connection.execute(anew).rowcount > 0


def _key_resealed(connection: Connection, keys: KeyRing, row: AnyRow) -> bool:
    place = key_place(row.session_id, row.kind, row.id)
    sealed = keys.seal(place, keys.unseal(place, SealedText(row.value_key, row.value)))
    name = (session_keys.c.session_id, session_keys.c.kind, session_keys.c.id)
    # Of two ratchets sealed under the same key the later must not give way to the one that was read.
    mine = and_(*(column == getattr(row, column.name) for column in name))
    unchanged = and_(mine, session_keys.c.value == row.value)
    anew = update(session_keys).where(unchanged).values(value=sealed.text, value_key=sealed.key_id)
    return connection.execute(anew).rowcount > 0


def _inbox_resealed(connection: Connection, keys: KeyRing, row: AnyRow) -> bool:
    place = inbox_place(row.session_id, row.message_id, row.digest)
    sealed = keys.seal(place, keys.unseal(place, SealedText(row.body_key, row.body)))
    named = (inbox.c.session_id == row.session_id, inbox.c.message_id == row.message_id, inbox.c.digest == row.digest)
    unchanged = and_(*named, inbox.c.body_key == row.body_key)
    anew = update(inbox).where(unchanged).values(body=sealed.text, body_key=sealed.key_id)
    return connection.execute(anew).rowcount > 0
