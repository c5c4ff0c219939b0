"""What a webjs service says of its sessions: in a list, one by one, and when it was told to start them.

Facts of the Node service (ltmoerdani/blazz, folder whatsapp-service) are cited by file below `src/`.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime
from http import HTTPStatus
from typing import Any

from homing.drivers.http.connection import Reply
from homing.drivers.reading import Row, list_of, malformed, said_by
from homing.drivers.redact import shown, words_of
from homing.drivers.values import LARGEST, NAME_MAX, epoch_in, is_int, moment_in, phone_in, text_in
from homing.model.fleet import InstanceUrl, ListedSession, SessionId, SessionList, SessionStatus, WorkspaceId
from homing.model.sends.faults import Fault, Phase

_STATUSES = {
    "connected": SessionStatus.CONNECTED,
    "authenticated": SessionStatus.STARTING,
    "initializing": SessionStatus.STARTING,
    "starting": SessionStatus.STARTING,
    "qr_scanning": SessionStatus.PAIRING,
    "pairing": SessionStatus.PAIRING,
    "disconnected": SessionStatus.DISCONNECTED,
    "logged_out": SessionStatus.LOGGED_OUT,
    "error": SessionStatus.FAILED,
    "failed": SessionStatus.FAILED,
    "stopped": SessionStatus.STOPPED,
    "unknown": SessionStatus.UNKNOWN,
}


def status_of(said: object) -> tuple[SessionStatus, str]:
    """A status word in our vocabulary, and what was odd about it.

    A restored session has no status at all until it is ready (managers/SessionManager.js, restoreSession).
    """
    if said is None or said == "":
        return SessionStatus.STARTING, ""
    known = _STATUSES.get(said.lower()) if isinstance(said, str) else None
    if known is None:
        return SessionStatus.UNKNOWN, f"has a status that is not known: {words_of(said)!r}"
    return known, ""


def session_of(row: Mapping[str, Any], session_id: SessionId, at: datetime | None = None) -> Row:
    """One session as a list or status answer describes it, and what was odd about it. `at` is when it answered."""
    status, oddity = status_of(row.get("status"))
    epoch = epoch_in(row.get("epoch"))
    if epoch is None and row.get("epoch") is not None:
        # Whoever has epochs, and names one that cannot be, is not taken for a gateway that has none.
        oddity, status = f"has an epoch that cannot be: {words_of(row['epoch'])!r}", SessionStatus.UNKNOWN
    listed = ListedSession(
        session_id,
        status,
        phone_in(row.get("phone_number")),
        epoch,
        _idle_s(moment_in(row.get("last_activity")), at),
        shown(row["error"]) if isinstance(row.get("error"), str) else None,
        _workspace(row.get("workspace_id")),
    )
    return listed, oddity


def _workspace(said: object) -> WorkspaceId | None:
    """The Node service gives back what it was given at the start, as a number or as a text of digits."""
    if isinstance(said, str) and said.isascii() and said.isdecimal() and len(said) < 18:
        said = int(said)
    return WorkspaceId(said) if isinstance(said, int) and is_int(said) and 0 < said < LARGEST else None


def _idle_s(last_active: datetime | None, at: datetime | None) -> float | None:
    """By the instance's own clock, so that no clock has to agree with another."""
    return max(0.0, (at - last_active).total_seconds()) if last_active is not None and at is not None else None


def sessions_of(instance: InstanceUrl, reply: Reply) -> SessionList | Fault:
    """The session list, with each row that could not be taken as it stood told as a sentence."""
    said = said_by(reply.body)
    rows = said.get("sessions") if isinstance(said, dict) else None
    if not isinstance(said, dict) or not isinstance(rows, list) or said.get("success") is False:
        return malformed(reply, "the answer to a list was not a list of sessions")
    at = moment_in(said.get("timestamp"))
    return list_of(instance, reply, rows, lambda row: _row(row, at))


def _row(row: object, at: datetime | None) -> Row | None:
    said_id = text_in(row.get("session_id"), NAME_MAX) if isinstance(row, dict) else None
    if not isinstance(row, dict) or said_id is None:
        return None
    return session_of(row, SessionId(said_id), at)


def one_session_of(reply: Reply, session_id: SessionId, secrets: Iterable[str] = ()) -> ListedSession | Fault:
    """The session that a status, start or reconnect answer describes. It must be the one that was meant.

    Our instance says `success: false` of a session that it opened and that did not come up, with its status.
    """
    said = said_by(reply.body)
    if not isinstance(said, dict):
        return malformed(reply, "the answer about a session was not a JSON object")
    if said.get("success") is False and "status" not in said:
        return Fault(Phase.REQUEST_REJECTED, words_of(said.get("error"), secrets), reply.status, quoted=True)
    if said.get("session_id", session_id) != session_id:
        other = words_of(said["session_id"])
        return malformed(reply, f"the answer was about another session: {other}", secrets, quoted=True)
    if "session_id" not in said and "status" not in said:
        return malformed(reply, "the answer named neither session nor status")
    return session_of(said, session_id)[0]


def started_of(
    reply: Reply, wanted: Iterable[SessionId], secrets: Iterable[str] = ()
) -> dict[SessionId, ListedSession | Fault] | Fault:
    """What became of each of the sessions that were to be started together.

    One that has a status was opened; whether it can send is in there. One without was not, and says why.
    """
    said = said_by(reply.body)
    rows = said.get("sessions") if isinstance(said, dict) else None
    if not isinstance(rows, list):
        return malformed(reply, "the answer to a batch of starts was not a list of sessions")
    told = {row["session_id"]: row for row in rows if isinstance(row, dict) and isinstance(row.get("session_id"), str)}
    return {session_id: _started(reply, told.get(session_id), session_id, secrets) for session_id in wanted}


def _started(
    reply: Reply, row: Mapping[str, Any] | None, session_id: SessionId, secrets: Iterable[str]
) -> ListedSession | Fault:
    if row is None:
        return malformed(reply, "the answer to a batch of starts did not name the session")
    if "status" in row:
        return session_of(row, session_id)[0]
    words = words_of(row.get("error"), secrets)
    epoch = epoch_in(row.get("epoch"))
    if epoch is not None:
        return Fault(Phase.EPOCH_STALE, words, HTTPStatus.CONFLICT, epoch=epoch, quoted=True)
    return Fault(Phase.UNAVAILABLE, words, reply.status, quoted=True)
