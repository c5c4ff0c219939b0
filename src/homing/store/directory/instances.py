"""Which instances there are, and how much is placed on each."""

from collections.abc import Mapping
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Select, bindparam, case, delete, exists, func, select, type_coerce, update

from homing.model.fleet import Instance, InstanceMode, InstanceState, InstanceUrl, SessionStatus, WorkspaceId
from homing.ports import InstanceChanges, InstanceLoad, NameTaken
from homing.store.db.many_rows import in_turns
from homing.store.db.prepared import prepared
from homing.store.db.rows import instance_of
from homing.store.db.schema.columns import BoundedInteger, UtcDateTime
from homing.store.db.schema.observing import observations, would_haves
from homing.store.db.schema.tables import accounts, instances, sessions
from homing.store.db.sql import dialect_of, insert
from homing.store.records.recording import record, record_difference


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
    mode: InstanceMode,
    sealed_key: str | None,
    at: datetime,
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
        mode=mode,
        sealed_key=sealed_key,
        mode_since=at if mode is InstanceMode.OBSERVE else None,
    )
    created = connection.execute(row.on_conflict_do_nothing().returning(instances)).one_or_none()
    if created is None:
        raise NameTaken(f"the instance {url} is known already")
    made = instance_of(created)
    record(connection, "instance.added", f"instance {url}", after=_told(made))
    return made


def set_instance_state(connection: Connection, url: InstanceUrl, state: InstanceState) -> Instance | None:
    before = connection.scalar(select(instances.c.state).where(instances.c.url == url).with_for_update())
    statement = update(instances).where(instances.c.url == url).values(state=state).returning(instances)
    row = connection.execute(statement).one_or_none()
    if row is None:
        return None
    action = "instance.drained" if state is InstanceState.DRAINING else "instance.undrained"
    record(connection, action, f"instance {url}", before={"state": before}, after={"state": state.value})
    return instance_of(row)


def change_instance(
    connection: Connection, url: InstanceUrl, changes: InstanceChanges, at: datetime
) -> Instance | None:
    """The instance as it stands changed; None if there is none at the address."""
    this = select(instances).where(instances.c.url == url)
    before = connection.execute(this.with_for_update()).one_or_none()
    if before is None:
        return None
    if changes:
        turned = "mode" in changes and changes["mode"] != before.mode
        more = {"mode_since": at} if turned else {}
        connection.execute(update(instances).where(instances.c.url == url).values(**changes, **more))
    after = instance_of(connection.execute(this).one())
    record_difference(connection, "instance.changed", f"instance {url}", _told(instance_of(before)), _told(after))
    return after


def delete_instance(connection: Connection, url: InstanceUrl) -> bool:
    """Forget the instance; False if sessions are placed on it, and then it stays."""
    placed = exists().where(sessions.c.instance_url == url)
    if connection.execute(delete(instances).where(instances.c.url == url, ~placed)).rowcount:
        for seen_of in (would_haves, observations):
            connection.execute(delete(seen_of).where(seen_of.c.instance_url == url))
        record(connection, "instance.removed", f"instance {url}")
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
        for row in in_turns(connection.execute(_loads_statement(of_one=workspace is not None), asked))
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
        counted = counted.where(accounts.c.workspace_id == bindparam("workspace", type_=BoundedInteger()))
    placed = counted.subquery("placed")
    return (
        select(instances, placed.c.total, placed.c.connected, placed.c.phones, placed.c.seen_at)
        .outerjoin(placed, placed.c.url == instances.c.url)
        .order_by(instances.c.id)
    )


def _told(instance: Instance) -> dict[str, Any]:
    """What an operator may say of an instance, for the audit log."""
    return {
        "driver": instance.driver,
        "name": instance.name,
        "capacity": instance.capacity,
        "memory_limit_mb": instance.memory_limit_mb,
        "sends_limit_per_s": instance.sends_limit_per_s,
        "labels": dict(instance.labels),
        "mode": instance.mode.value,
        "storage": instance.storage,
        "own_key": "kept" if instance.sealed_key is not None else "none",
    }
