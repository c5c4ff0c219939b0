"""Which keys open the API, until when, and how often they may."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, Update, bindparam, or_, select, update

from homing.model.directory.access import Key, RateLimit
from homing.ports import KeyChanges, NameTaken
from homing.store.db.prepared import prepared
from homing.store.db.rows import key_of
from homing.store.db.schema.columns import UtcDateTime
from homing.store.db.schema.tables import api_keys
from homing.store.db.sql import dialect_of, insert
from homing.store.directory.accounts import ensure_workspace
from homing.store.records.recording import record, record_difference


def unrevoked_keys(connection: Connection) -> list[Key]:
    return [key_of(row) for row in connection.execute(_keys_statement())]


@prepared
def _keys_statement() -> Select[Any]:
    in_force = api_keys.c.revoked_at.is_(None)
    return select(api_keys).where(in_force).order_by(api_keys.c.created_at, api_keys.c.id)


def add_key(connection: Connection, key: Key) -> None:
    if key.workspace_id is not None:
        ensure_workspace(connection, key.workspace_id, key.created_at)
    row = insert(dialect_of(connection), api_keys).values(
        id=key.id,
        workspace_id=key.workspace_id,
        scope=key.scope,
        name=key.name,
        secret_hash=key.secret_hash,
        created_at=key.created_at,
        revoked_at=key.revoked_at,
        expires_at=key.expires_at,
        **rate_columns(key.rate_limit),
    )
    if connection.scalar(row.on_conflict_do_nothing().returning(api_keys.c.id)) is None:
        raise NameTaken(f"there is a key {key.id} already")
    record(connection, "key.created", _subject(key.id), after=_told(key))


def change_key(connection: Connection, key_id: str, changes: KeyChanges) -> Key | None:
    """The key as it stands changed; None if there is none in force."""
    before = _locked(connection, key_id)
    if before is None:
        return None
    values: dict[str, Any] = {name: value for name, value in changes.items() if name != "rate_limit"}
    if "rate_limit" in changes:
        values |= rate_columns(changes["rate_limit"])
    if values:
        connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(values))
    after = _locked(connection, key_id)
    assert after is not None
    record_difference(connection, "key.changed", _subject(key_id), _told(before), _told(after))
    return after


def rotate_key(connection: Connection, key_id: str, secret_hash: str, previous_until: datetime) -> Key | None:
    """The key under a new secret; the one that it had opens until then. None if there is none in force."""
    before = _locked(connection, key_id)
    if before is None:
        return None
    anew = {"secret_hash": secret_hash, "previous_hash": before.secret_hash, "previous_until": previous_until}
    connection.execute(update(api_keys).where(api_keys.c.id == key_id).values(anew))
    record(connection, "key.rotated", _subject(key_id), after={"previous_until": previous_until.isoformat()})
    return _locked(connection, key_id)


def revoke_key(connection: Connection, key_id: str, at: datetime) -> Key | None:
    """The key as it stands revoked; a second revocation keeps the first one's time."""
    live = (api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
    if connection.execute(update(api_keys).where(*live).values(revoked_at=at)).rowcount:
        record(connection, "key.revoked", _subject(key_id))
    row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).one_or_none()
    return None if row is None else key_of(row)


def note_uses(connection: Connection, uses: Mapping[str, datetime]) -> None:
    """When these keys were last used. An earlier use never overwrites a later one."""
    rows = [{"key": key_id, "used_at": at} for key_id, at in sorted(uses.items())]
    if rows:
        connection.execute(_used_statement(), rows)


def rate_columns(limit: RateLimit | None) -> dict[str, int | None]:
    return {
        "rate_requests": None if limit is None else limit.requests,
        "rate_per_s": None if limit is None else limit.per_s,
    }


def rate_told(limit: RateLimit | None) -> str | None:
    """A limit as the audit log names it."""
    return None if limit is None else f"{limit.requests} in {limit.per_s} s"


def _locked(connection: Connection, key_id: str) -> Key | None:
    this = (api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
    row = connection.execute(select(api_keys).where(*this).with_for_update()).one_or_none()
    return None if row is None else key_of(row)


def _subject(key_id: str) -> str:
    return f"key {key_id}"


def _told(key: Key) -> dict[str, Any]:
    return {
        "name": key.name,
        "scope": key.scope.value,
        "workspace_id": key.workspace_id,
        "expires_at": key.expires_at.isoformat() if key.expires_at is not None else None,
        "rate_limit": rate_told(key.rate_limit),
    }


def _used_statement() -> Update:
    used_at = bindparam("used_at", type_=UtcDateTime())
    older = or_(api_keys.c.last_used_at.is_(None), api_keys.c.last_used_at < used_at)
    return update(api_keys).where(api_keys.c.id == bindparam("key"), older).values(last_used_at=used_at)
