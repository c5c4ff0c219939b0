"""What is remembered of a session's link with its phone: reported codes and logouts, and when it was told to start.

All moments are by the store's clock, so that they can be compared whichever gateway wrote them down.
"""

from typing import Any

from sqlalchemy import BindParameter, Connection, Select, Update, bindparam, or_, select, update

from homing.decide.starting import linking
from homing.decide.starting.linking import LinkSign
from homing.model.fleet import InstanceUrl, SessionId
from homing.model.instances.events import Report
from homing.store.db.database import Database, Dialect
from homing.store.db.prepared import prepared
from homing.store.db.schema.tables import sessions
from homing.store.db.sql import moment, moments

_COLUMNS = {LinkSign.CODE: "code_reported_at", LinkSign.READY: "ready_at", LinkSign.ENDED: "logout_reported_at"}


def note_report(connection: Connection, database: Database, report: Report) -> None:
    """Remember what the report says of its session's link, if it comes from whoever holds the session."""
    sign = linking.sign_of(report.kind, report.data)
    if sign is None or report.session_id is None or report.instance_url is None:
        return
    told = {"session": report.session_id, "teller": report.instance_url, **moments(connection, database, now_s=0.0)}
    connection.execute(_reported_statement(database.dialect, _COLUMNS[sign]), told)


@prepared
def _reported_statement(dialect: Dialect, column: str) -> Update:
    teller: BindParameter[str] = bindparam("teller")
    holds_it = or_(sessions.c.instance_url == teller, sessions.c.started_on == teller)
    return (
        update(sessions)
        .where(sessions.c.session_id == bindparam("session"), holds_it)
        .values({column: moment(dialect, "now_s")})
    )


def note_start(connection: Connection, database: Database, session: SessionId, url: InstanceUrl) -> None:
    """An instance is about to be told to start the session."""
    told = {"session": session, "url": url, **moments(connection, database, now_s=0.0)}
    connection.execute(_started_statement(database.dialect), told)


@prepared
def _started_statement(dialect: Dialect) -> Update:
    started = {"started_at": moment(dialect, "now_s"), "started_on": bindparam("url")}
    return update(sessions).where(sessions.c.session_id == bindparam("session")).values(started)


def claim_renewal(connection: Connection, database: Database, session: SessionId, every_s: float) -> float:
    """Whether a new code may be asked for now: 0.0, and it is noted; else in how many seconds."""
    told = {"session": session, **moments(connection, database, now_s=0.0, due_s=-every_s)}
    if connection.execute(_claim_statement(database.dialect), told).rowcount:
        return 0.0
    renewed_at = connection.scalar(_renewed_statement(), {"session": session})
    if renewed_at is None:
        return 0.0
    ago_s: float = (database.now(connection) - renewed_at).total_seconds()
    return max(0.1, every_s - ago_s)


@prepared
def _claim_statement(dialect: Dialect) -> Update:
    is_due = or_(sessions.c.code_renewed_at.is_(None), sessions.c.code_renewed_at <= moment(dialect, "due_s"))
    return (
        update(sessions)
        .where(sessions.c.session_id == bindparam("session"), is_due)
        .values(code_renewed_at=moment(dialect, "now_s"))
    )


def claim_restart(connection: Connection, database: Database, session: SessionId, every_s: float) -> bool:
    """Whether a doubtful session may be restarted now: then that is noted."""
    told = {"session": session, **moments(connection, database, now_s=0.0, due_s=-every_s)}
    return bool(connection.execute(_claim_restart_statement(database.dialect), told).rowcount)


@prepared
def _claim_restart_statement(dialect: Dialect) -> Update:
    is_due = or_(sessions.c.doubt_restart_at.is_(None), sessions.c.doubt_restart_at <= moment(dialect, "due_s"))
    return (
        update(sessions)
        .where(sessions.c.session_id == bindparam("session"), is_due)
        .values(doubt_restart_at=moment(dialect, "now_s"))
    )


@prepared
def _renewed_statement() -> Select[Any]:
    return select(sessions.c.code_renewed_at).where(sessions.c.session_id == bindparam("session"))
