"""Grants of sessions to other instances, on a SQL database."""

import json
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection, Select, Text, Update, func, select, update
from sqlalchemy.types import TypeEngine

from homing.model.fleet import InstanceUrl, MoveKind, Placement, PlacementState, Rebinding, SessionId
from homing.model.instances.vault import Arrival, AskedLately, Granted, Granting, Left, SessionHolding
from homing.ports import Notice
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.schema.columns import BoundedInteger, Words
from homing.store.db.schema.tables import credentials, incarnations, moves, sessions
from homing.store.db.sql import among, as_rows, dialect_of, given_rows, moment, moments
from homing.store.deliveries.moved import tell_moved
from homing.store.directory import placements
from homing.store.grants import exiting, start_turns
from homing.store.grants.granting import Entered, Pace, grant, holding_of
from homing.store.grants.mark_moving import mark
from homing.store.notices.announce import Changes
from homing.store.notices.notices import StagedNotices

_DAY_S = 86_400.0


class SqlGrants:
    """`ports.Grants` on SQLite and PostgreSQL."""

    def __init__(self, database: Database, notices: StagedNotices) -> None:
        self._database, self._changes = database, Changes(database, notices)

    async def grant(
        self,
        wanted: Sequence[Granting],
        *,
        fleet_logins_per_s: float,
        instance_logins_per_s: float,
        run_id: str,
        starts_per_min: Mapping[InstanceUrl, int] | None = None,
    ) -> list[Granted]:
        pace = Pace(fleet_logins_per_s, instance_logins_per_s, starts_per_min or {})

        def change(connection: Connection) -> tuple[list[Entered], list[Notice]]:
            entered = grant(connection, self._database, wanted, pace=pace, run_id=run_id)
            return entered, [each.notice for each in entered]

        return [each.granted for each in await self._changes.make(change)] if wanted else []

    async def started_lately(self, instances: Collection[InstanceUrl]) -> Mapping[InstanceUrl, int]:
        def counted(connection: Connection) -> dict[InstanceUrl, int]:
            lately = start_turns.started_lately(connection, self._database.now(connection), instances)
            return {InstanceUrl(url): len(ago_s) for url, ago_s in lately.items()}

        return await self._database.read(counted) if instances else {}

    async def arrive(self, arrivals: Sequence[Arrival]) -> list[Arrival]:
        def change(connection: Connection) -> tuple[list[Arrival], list[Notice]]:
            arrived = _arrive(connection, self._database, arrivals)
            rebound = [each for _, each in arrived]
            told = tell_moved(connection, self._database, rebound)
            return [arrival for arrival, _ in arrived], [*(each.notice for each in rebound), *told]

        return await self._changes.make(change) if arrivals else []

    async def leave(self, expected: Sequence[Placement]) -> list[Placement]:
        return await self._mark(expected, PlacementState.MOVING) if expected else []

    async def leave_all(self, instance: InstanceUrl, *, quiet_s: float, shared: bool) -> Left | AskedLately:
        return await self._changes.make(lambda c: exiting.leave_all(c, self._database, instance, quiet_s, shared))

    async def stay(self, moving: Sequence[Placement]) -> list[Placement]:
        return await self._mark(moving, PlacementState.HELD) if moving else []

    async def _mark(self, placed: Sequence[Placement], state: PlacementState) -> list[Placement]:
        def change(connection: Connection) -> tuple[list[Placement], list[Notice]]:
            return mark(connection, self._database, placed, state)

        return await self._changes.make(change)

    async def fenced(self, sessions: Collection[SessionId]) -> Mapping[SessionId, SessionHolding]:
        return await self._database.read(lambda c: _holdings(c, self._database, sessions))

    async def moves_today(self, sessions: Collection[SessionId]) -> Mapping[SessionId, int]:
        return await self._database.read(lambda c: _moves_today(c, self._database, sessions))


def _arrive(
    connection: Connection, database: Database, arrivals: Sequence[Arrival]
) -> list[tuple[Arrival, placements.Rebound]]:
    moving = {each.placement.session_id: each for each in arrivals if each.placement.state is PlacementState.MOVING}
    dialect = dialect_of(connection)
    now = database.now(connection)
    asked = sorted(moving)
    connection.execute(_locked_statement(dialect), {"sessions": asked})
    applied = placements.apply(connection, [_held(moving[session]) for session in asked], now)
    arrived = [(moving[rebound.change.session_id], rebound) for rebound in applied]
    given = as_rows(_completed_row(arrival) for arrival, _ in arrived)
    connection.execute(_completed_statement(dialect), {"given": given})
    return arrived


def _held(arrival: Arrival) -> Rebinding:
    """The target itself said that the session can send there, so it counts as seen."""
    there = arrival.placement
    assert there.instance_url is not None
    return Rebinding(there, there.instance_url, there.epoch, MoveKind.REHOME, "it arrived", PlacementState.HELD)


@prepared
def _locked_statement(dialect: Dialect) -> Select[Any]:
    asked = among(dialect, sessions.c.session_id, "sessions")
    return select(sessions.c.session_id).where(asked).order_by(sessions.c.session_id).with_for_update()


_COMPLETED: dict[str, TypeEngine[Any]] = {
    "session_id": Words(),
    "epoch": BoundedInteger(),
    "url": Words(),
    "duration_ms": BoundedInteger(),
    "steps": Text(),
}


def _completed_row(arrival: Arrival) -> dict[str, str | int | None]:
    there = arrival.placement
    return {
        "session_id": there.session_id,
        "epoch": there.epoch,
        "url": there.instance_url,
        "duration_ms": arrival.duration_ms,
        "steps": json.dumps(dict(arrival.steps), separators=(",", ":")),
    }


@prepared
def _completed_statement(dialect: Dialect) -> Update:
    given = given_rows(dialect, "given", _COMPLETED)
    return (
        update(moves)
        .where(moves.c.session_id == given.c.session_id, moves.c.epoch == given.c.epoch)
        .where(moves.c.to_url == given.c.url, moves.c.fence.is_not(None), moves.c.duration_ms.is_(None))
        .values(duration_ms=given.c.duration_ms, steps=given.c.steps)
    )


def _holdings(
    connection: Connection, database: Database, asked: Collection[SessionId]
) -> dict[SessionId, SessionHolding]:
    wanted = {"sessions": sorted(asked), **moments(connection, database, clock=0.0)}
    return {
        SessionId(row.session_id): holding_of(row, None if row.boot is None else row, row.now)
        for row in connection.execute(_holdings_statement(database.dialect), wanted)
    }


@prepared
def _holdings_statement(dialect: Dialect) -> Select[Any]:
    boot = (incarnations.c.lease_until, incarnations.c.ended, moment(dialect, "clock").label("now"))
    return (
        select(credentials, incarnations.c.id.label("boot"), *boot)
        .outerjoin(incarnations, incarnations.c.id == credentials.c.holder_incarnation)
        .where(among(dialect, credentials.c.session_id, "sessions"))
    )


def _moves_today(connection: Connection, database: Database, asked: Collection[SessionId]) -> dict[SessionId, int]:
    statement = (
        select(moves.c.session_id, func.count().label("number"))
        .where(among(dialect_of(connection), moves.c.session_id, "sessions"))
        .where(moves.c.kind.in_([MoveKind.REHOME, MoveKind.MIGRATION]), moves.c.at > database.instant(-_DAY_S))
        .group_by(moves.c.session_id)
    )
    rows = connection.execute(statement, {"sessions": sorted(asked)})
    return {SessionId(row.session_id): row.number for row in rows}
