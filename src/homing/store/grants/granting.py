"""Granting sessions to other instances: fence, next epoch, placement and log, in one transaction.

Grants take turns, because they count together how many sessions log in per second. All who lock rows of several tables
lock sessions before credentials before incarnations, each by its key.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import structlog
from sqlalchemy import Connection, Select, Update, bindparam, func, insert, null, select, update

from homing.decide.fleet.leases import unproven
from homing.model.fleet import AccountUuid, Epoch, InstanceUrl, PlacementState, SessionId, SessionStatus
from homing.model.instances.vault import Granted, Granting, SessionHolding
from homing.ports import PlacementChanged
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import ACCOUNTS_WITH_SESSIONS, AnyRow, placement_of
from homing.store.db.schema.columns import UtcDateTime
from homing.store.db.schema.tables import accounts, credentials, incarnations, instances, moves, sessions
from homing.store.db.sql import among, as_rows, chunks, dialect_of, given_rows
from homing.store.grants import leases, start_turns
from homing.store.vault.rows import GRANT, holder_of, locked

_CHUNK = 500

log = structlog.get_logger("homing")


@dataclass(frozen=True, slots=True)
class Pace:
    """How many sessions may be granted, and so log in, per second; and how many may be started within a minute on each
    target that has a rate."""

    fleet_per_s: float
    instance_per_s: float
    starts_per_min: Mapping[InstanceUrl, int] = field(default_factory=dict)


@dataclass(slots=True)
class _Room:
    """How many more may be granted at this moment: `left` in all, and to each target what it has not had lately.

    A target with a capacity takes no more than are `free` on it, one with a rate no more than have their `turns`.
    """

    left: int
    each: int
    granted: dict[str, int]
    free: dict[str, int]
    turns: dict[str, int]

    def take(self, granting: Granting) -> bool:
        url = granting.to_url
        had, comes = self.granted.get(url, 0), granting.expected.instance_url != url
        if self.left <= 0 or had >= self.each or (comes and self.free.get(url, 1) <= 0) or self.turns.get(url, 1) <= 0:
            return False
        self.left -= 1
        if url in self.turns:
            self.turns[url] -= 1
        self.granted[url] = had + 1
        if comes and url in self.free:
            self.free[url] -= 1
        return True


@dataclass(frozen=True, slots=True)
class Entered:
    """One session granted, with the account it concerns and the boot that it was taken from."""

    granted: Granted
    account_id: int
    account_uuid: AccountUuid
    workspace_id: int
    taken_from: str | None

    @property
    def notice(self) -> PlacementChanged:
        granting, epoch = self.granted.granting, self.granted.epoch
        return PlacementChanged(
            granting.session_id, self.account_uuid, epoch, granting.expected.instance_url, granting.to_url
        )

    def grant_row(self) -> dict[str, str | int | None]:
        granting = self.granted.granting
        return {
            "session_id": granting.session_id,
            "epoch": self.granted.epoch,
            "url": granting.to_url,
            "incarnation": granting.to_incarnation or "",
        }

    def move_row(self, at: datetime, run_id: str) -> dict[str, Any]:
        granting = self.granted.granting
        return {
            "kind": granting.kind,
            "session_id": granting.session_id,
            "account_id": self.account_id,
            "workspace_id": self.workspace_id,
            "from_url": granting.expected.instance_url,
            "to_url": granting.to_url,
            "epoch": self.granted.epoch,
            "reason": granting.reason,
            "at": at,
            "run_id": run_id,
            "fence": granting.fence,
            "steps": {},
            "trace_id": granting.trace_id,
        }


def grant(
    connection: Connection, database: Database, wanted: Sequence[Granting], *, pace: Pace, run_id: str
) -> list[Entered]:
    """Grant those whose record stands and whose fence is proven, the first ones first, as many as may log in now."""
    start_turns.alone(connection, database)
    now = database.now(connection)
    firsts = _first_of_each(wanted)
    room = _room(connection, now, pace, {each.to_url for each in firsts})
    entered: list[Entered] = []
    for part in chunks(firsts, _CHUNK):
        if room.left > 0:
            entered += _grant_part(connection, part, room, now, run_id)
    return entered


def _grant_part(
    connection: Connection, part: Sequence[Granting], room: _Room, now: datetime, run_id: str
) -> list[Entered]:
    records = _records(connection, part)
    standing = [each for each in part if _stands(each, records)]
    known = locked(connection, [each.session_id for each in standing])
    boots = _boots(connection, standing, known)
    proven = [each for each in standing if _is_proven(each, known.get(each.session_id), boots, now)]
    paced = [each for each in proven if room.take(each)]
    entered = [_entered(each, records[each.session_id], known.get(each.session_id)) for each in paced]
    if entered:
        _enter(connection, entered, now, run_id)
    return entered


def _first_of_each(wanted: Iterable[Granting]) -> list[Granting]:
    firsts: dict[SessionId, Granting] = {}
    for each in wanted:
        firsts.setdefault(each.session_id, each)
    return list(firsts.values())


def _room(connection: Connection, now: datetime, pace: Pace, targets: Collection[str]) -> _Room:
    lately = moves.c.fence.is_not(None) & (moves.c.at > now - timedelta(seconds=1))
    counted = select(moves.c.to_url, func.count().label("number")).where(lately).group_by(moves.c.to_url)
    granted = {row.to_url: row.number for row in connection.execute(counted)}
    left = max(1, int(pace.fleet_per_s)) - sum(granted.values())
    turns = _turns(connection, now, {url: per_min for url, per_min in pace.starts_per_min.items() if url in targets})
    return _Room(left, max(1, int(pace.instance_per_s)), granted, _free(connection, targets), turns)


def _turns(connection: Connection, now: datetime, rates: Mapping[InstanceUrl, int]) -> dict[str, int]:
    """How many more may be started on each of these at this moment."""
    lately = start_turns.started_lately(connection, now, rates)
    return {url: per_min - len(lately[url]) for url, per_min in rates.items()}


def _free(connection: Connection, targets: Collection[str]) -> dict[str, int]:
    """How many more fit on each of these that has a capacity. Gateways that chose at the same time meet here."""
    statement = _free_statement(dialect_of(connection))
    return {row.url: row.free for row in connection.execute(statement, {"targets": list(targets)})}


@prepared
def _free_statement(dialect: Dialect) -> Select[Any]:
    placed = (
        select(func.count())
        .select_from(ACCOUNTS_WITH_SESSIONS)
        .where(sessions.c.instance_url == instances.c.url)
        .scalar_subquery()
    )
    limited = instances.c.capacity.is_not(None) & among(dialect, instances.c.url, "targets")
    return select(instances.c.url, (instances.c.capacity - placed).label("free")).where(limited)


# --- what stands --------------------------------------------------------------------------------------------------


def _records(connection: Connection, part: Sequence[Granting]) -> dict[str, AnyRow]:
    asked = {"sessions": sorted(each.session_id for each in part)}
    return {row.session_id: row for row in connection.execute(_records_statement(dialect_of(connection)), asked)}


@prepared
def _records_statement(dialect: Dialect) -> Select[Any]:
    owner = (accounts.c.id.label("account"), accounts.c.uuid, accounts.c.workspace_id)
    return (
        select(sessions, *owner)
        .select_from(ACCOUNTS_WITH_SESSIONS)
        .where(among(dialect, sessions.c.session_id, "sessions"))
        .order_by(sessions.c.session_id)
        .with_for_update(of=sessions)
    )


def _stands(granting: Granting, records: Mapping[str, AnyRow]) -> bool:
    row = records.get(granting.session_id)
    return row is not None and placement_of(row) == granting.expected


def _boots(connection: Connection, standing: Sequence[Granting], known: Mapping[str, AnyRow]) -> dict[str, AnyRow]:
    """The boots that hold these sessions, and all at the addresses of those that are not in the vault."""
    boots = {row.holder_incarnation for row in known.values() if row.holder_incarnation}
    unknown = {
        each.expected.instance_url
        for each in standing
        if (each.session_id not in known or known[each.session_id].holder_incarnation == "")
        and each.expected.instance_url is not None
    }
    if unknown:
        statement = select(incarnations.c.id).where(
            among(dialect_of(connection), incarnations.c.instance_url, "addresses")
        )
        boots.update(connection.scalars(statement, {"addresses": sorted(unknown)}))
    return leases.locked(connection, boots) if boots else {}


def _is_proven(granting: Granting, row: AnyRow | None, boots: Mapping[str, AnyRow], now: datetime) -> bool:
    holding = None if row is None else holding_of(row, boots.get(row.holder_incarnation), now)
    place = granting.expected.instance_url
    there = [boot for boot in boots.values() if boot.instance_url == place]
    newest = max(there, key=lambda boot: (boot.began_at, boot.id), default=None)
    doubt = unproven(granting, holding, None if newest is None else leases.incarnation_of(newest, now))
    if doubt is not None:
        log.warning("A session is not granted", session=granting.session_id, to=granting.to_url, reason=doubt.reason)
    return doubt is None


def holding_of(row: AnyRow, boot: AnyRow | None, now: datetime) -> SessionHolding:
    """What the vault knows of a session; `boot` is its holder's."""
    return SessionHolding(
        session_id=SessionId(row.session_id),
        epoch=Epoch(row.epoch),
        holder=holder_of(row),
        has_login=row.login is not None,
        lease_left_s=0.0 if boot is None else (boot.lease_until - now).total_seconds(),
        holder_ended=boot is not None and boot.ended is not None,
    )


# --- writing it down ----------------------------------------------------------------------------------------------


def _entered(granting: Granting, record: AnyRow, known: AnyRow | None) -> Entered:
    epoch = max(record.epoch, 0 if known is None else known.epoch) + 1
    taken_from = None if known is None else known.holder_incarnation
    return Entered(
        granted=Granted(granting, Epoch(epoch)),
        account_id=record.account,
        account_uuid=AccountUuid(record.uuid),
        workspace_id=record.workspace_id,
        taken_from=taken_from if taken_from != granting.to_incarnation else None,
    )


def _enter(connection: Connection, entered: Sequence[Entered], now: datetime, run_id: str) -> None:
    dialect = dialect_of(connection)
    given = {"given": as_rows(each.grant_row() for each in entered), "granted": now}
    connection.execute(_placed_statement(dialect), given)
    connection.execute(_raised_statement(dialect), given)
    leases.note_revoked(connection, Counter(each.taken_from for each in entered if each.taken_from))
    connection.execute(insert(moves), [each.move_row(now, run_id) for each in entered])


@prepared
def _placed_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", GRANT)
    return (
        update(sessions)
        .where(sessions.c.session_id == given.c.session_id)
        .values(
            instance_url=given.c.url,
            epoch=given.c.epoch,
            state=PlacementState.MOVING.value,
            # Whatever it was before, it cannot send where it goes before it arrives.
            status=SessionStatus.STARTING.value,
            # Codes that were reported before it is opened there are void.
            started_at=bindparam("granted", type_=UtcDateTime()),
            started_on=null(),
            updated_at=bindparam("granted", type_=UtcDateTime()),
        )
    )


@prepared
def _raised_statement(dialect: Dialect) -> Update:
    """Of sessions that the vault knows; the others are granted by the directory alone."""
    given = given_rows(dialect, "given", GRANT)
    granted_at = bindparam("granted", type_=UtcDateTime())
    return (
        update(credentials)
        .where(credentials.c.session_id == given.c.session_id, credentials.c.epoch < given.c.epoch)
        .values(
            epoch=given.c.epoch,
            holder_url=given.c.url,
            holder_incarnation=given.c.incarnation,
            restored_from=null(),
            granted_at=granted_at,
            updated_at=granted_at,
        )
    )
