"""What the directory has placed where, for a look at the whole fleet."""

from collections.abc import Collection
from typing import Any

from sqlalchemy import ColumnElement, Connection, Integer, Select, bindparam, func, literal_column, select

from homing.model.fleet import Epoch, InstanceUrl, Placed, Placement, PlacementState, SessionId, SessionStatus
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.rows import ACCOUNTS_WITH_SESSIONS
from homing.store.db.schema.tables import accounts, sessions
from homing.store.db.sql import moment, moments

# Written out, so that nothing of it is a parameter.
_ENDED = sorted(status for status in SessionStatus if not status.should_run)
_STOPPED: list[ColumnElement[str]] = [literal_column(f"'{status}'") for status in _ENDED]
RUNNING = sessions.c.instance_url.is_not(None) & sessions.c.status.not_in(_STOPPED)


def placed_on(connection: Connection, instance: InstanceUrl) -> list[Placed]:
    """The sessions placed on one instance that should be running there, by account."""
    return _placed(connection, sessions.c.instance_url == instance)


def placed_elsewhere(connection: Connection, instances: Collection[InstanceUrl]) -> list[Placed]:
    """The sessions that should be running at addresses that are none of these."""
    return _placed(connection, sessions.c.instance_url.not_in(sorted(instances)))


def placed_count(connection: Connection) -> int:
    """How many sessions should be running somewhere."""
    counted: int = connection.scalar(select(func.count()).select_from(sessions).where(RUNNING)) or 0
    return counted


def adrift(connection: Connection, database: Database, for_s: float, limit: int) -> list[Placement]:
    """Sessions on their way for so long, the longest ones first."""
    asked = {"most": limit, **moments(connection, database, before=-for_s)}
    return [
        Placement(SessionId(session), InstanceUrl(url), Epoch(epoch), PlacementState.MOVING)
        for session, url, epoch in connection.execute(_adrift_statement(database.dialect), asked)
    ]


@prepared
def _adrift_statement(dialect: Dialect) -> Select[Any]:
    columns = (sessions.c.session_id, sessions.c.instance_url, sessions.c.epoch)
    moving = (sessions.c.state == literal_column("'moving'")) & (sessions.c.updated_at <= moment(dialect, "before"))
    found = select(*columns).where(moving, sessions.c.account_id.is_not(None), RUNNING)
    return found.order_by(sessions.c.updated_at).limit(bindparam("most", type_=Integer()))


def _placed(connection: Connection, where: ColumnElement[bool]) -> list[Placed]:
    return [
        Placed(SessionId(session), Epoch(epoch), account, phone, verified_at)
        for session, epoch, account, phone, verified_at in connection.execute(_statement(where))
    ]


def _statement(where: ColumnElement[bool]) -> Select[Any]:
    columns = (
        sessions.c.session_id,
        sessions.c.epoch,
        accounts.c.id,
        accounts.c.phone,
        sessions.c.last_verified_at,
    )
    return select(*columns).select_from(ACCOUNTS_WITH_SESSIONS).where(RUNNING, where).order_by(accounts.c.id)
