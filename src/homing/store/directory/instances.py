"""Which instances there are, how much is placed on each, and which keys open the API."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, delete, exists, func, select, type_coerce, update

from homing.model.access import Key
from homing.model.fleet import Instance, InstanceState, InstanceUrl, SessionStatus, WorkspaceId
from homing.ports import InstanceChanges, InstanceLoad, NameTaken
from homing.store.db.columns import Number, UtcDateTime
from homing.store.db.prepared import prepared
from homing.store.db.rows import instance_of, key_of
from homing.store.db.schema import accounts, api_keys, instances, sessions
from homing.store.db.sql import dialect_of, insert
from homing.store.directory.accounts import ensure_workspace


def all_instances(connection: Connection) -> list[Instance]:
    return [instance_of(row) for row in connection.execute(_all_statement())]


@prepared
def _all_statement() -> Select[Any]:
    return select(instances).order_by(instances.c.id)


def create_instance(
    connection: Connection,
    url: InstanceUrl,
    *,
    driver: str,
    name: str,
    capacity: int | None,
    labels: Mapping[str, str] | None,
    memory_limit_mb: float | None,
    sends_limit_per_s: float | None,
    key_salt: str | None,
) -> Instance:
    row = insert(dialect_of(connection), instances).values(
        url=url,
        driver=driver,
        name=name,
        state=InstanceState.ACTIVE,
        capacity=capacity,
        labels=dict(labels or {}),
        memory_limit_mb=memory_limit_mb,
        sends_limit_per_s=sends_limit_per_s,
        key_salt=key_salt,
    )
    created = connection.execute(row.on_conflict_do_nothing().returning(instances)).one_or_none()
    if created is None:
        raise NameTaken(f"the instance {url} is known already")
    return instance_of(created)


def set_instance_state(connection: Connection, url: InstanceUrl, state: InstanceState) -> Instance | None:
    statement = update(instances).where(instances.c.url == url).values(state=state).returning(instances)
    row = connection.execute(statement).one_or_none()
    return None if row is None else instance_of(row)


def change_instance(connection: Connection, url: InstanceUrl, changes: InstanceChanges) -> Instance | None:
    """The instance as it stands changed; None if there is none at the address."""
    if changes:
        connection.execute(update(instances).where(instances.c.url == url).values(**changes))
    row = connection.execute(select(instances).where(instances.c.url == url)).one_or_none()
    return None if row is None else instance_of(row)


def delete_instance(connection: Connection, url: InstanceUrl) -> bool:
    """Forget the instance; False if sessions are placed on it, and then it stays."""
    placed = exists().where(sessions.c.instance_url == url)
    connection.execute(delete(instances).where(instances.c.url == url, ~placed))
    return connection.scalar(select(instances.c.id).where(instances.c.url == url)) is None


def note_strays(connection: Connection, strays: Mapping[InstanceUrl, int]) -> None:
    """How many sessions each instance lists that are not placed on it."""
    for url, count in sorted(strays.items()):
        known = instances.c.strays.is_not_distinct_from(count)
        connection.execute(update(instances).where(instances.c.url == url, ~known).values(strays=count))


def loads(connection: Connection, since: datetime, workspace: WorkspaceId | None = None) -> list[InstanceLoad]:
    """What (of one workspace, if that is named) is placed on each instance, by its id, in one SELECT.

    Connected are those that were seen so `since` then.
    """
    asked: dict[str, Any] = {"since": since}
    asked |= {"workspace": workspace} if workspace is not None else {}
    return [
        InstanceLoad(
            instance=instance_of(row),
            sessions=row.total or 0,
            connected=row.connected or 0,
            phones=tuple(sorted(row.phones.split(","))) if row.phones else (),
            seen_at=row.seen_at,
        )
        for row in connection.execute(_loads_statement(of_one=workspace is not None), asked)
    ]


@prepared
def _loads_statement(*, of_one: bool) -> Select[Any]:
    verified, changed = sessions.c.last_verified_at, sessions.c.updated_at
    seen_at = case((verified > changed, verified), else_=changed)
    known = seen_at >= bindparam("since", type_=UtcDateTime())
    connected = (sessions.c.status == SessionStatus.CONNECTED.value) & known
    counted = (
        select(
            sessions.c.instance_url.label("url"),
            func.count().label("total"),
            func.sum(case((connected, 1), else_=0)).label("connected"),
            func.aggregate_strings(case((connected, accounts.c.phone)), ",").label("phones"),
            type_coerce(func.min(case((connected, seen_at))), UtcDateTime()).label("seen_at"),
        )
        .join(accounts, accounts.c.id == sessions.c.account_id)
        .group_by(sessions.c.instance_url)
    )
    if of_one:
        counted = counted.where(accounts.c.workspace_id == bindparam("workspace", type_=Number()))
    placed = counted.subquery("placed")
    return (
        select(instances, placed.c.total, placed.c.connected, placed.c.phones, placed.c.seen_at)
        .outerjoin(placed, placed.c.url == instances.c.url)
        .order_by(instances.c.id)
    )


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
    )
    if connection.scalar(row.on_conflict_do_nothing().returning(api_keys.c.id)) is None:
        raise NameTaken(f"there is a key {key.id} already")


def revoke_key(connection: Connection, key_id: str, at: datetime) -> Key | None:
    """The key as it stands revoked; a second revocation keeps the first one's time."""
    live = (api_keys.c.id == key_id, api_keys.c.revoked_at.is_(None))
    connection.execute(update(api_keys).where(*live).values(revoked_at=at))
    row = connection.execute(select(api_keys).where(api_keys.c.id == key_id)).one_or_none()
    return None if row is None else key_of(row)
