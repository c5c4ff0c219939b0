"""How an instance's answers look: the bodies of the webjs protocol, and what we add to them.

Source: the Node service, src/controllers and src/managers/SessionManager.js.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import lru_cache
from typing import Any, assert_never

from homing.instance.engine import EnginePairingCode, FrameRefused
from homing.instance.host import NotFound
from homing.instance.notify.events import Status
from homing.instance.opening import CredentialsSealed, InstanceFull, OpenRequest, Started
from homing.instance.session.messages import (
    EngineSent,
    EngineUnknown,
    NotConnected,
    Overloaded,
    Paused,
    SendOutcome,
    VaultAway,
)
from homing.instance.session.session import HostedSession
from homing.model.instances.vault import StaleEpoch

NOT_CONNECTED = "Session not connected. Please check session status."
RESTRICTED = 463
HEALTHY_WITHIN_S = 300.0


@dataclass(frozen=True, slots=True)
class ApiAnswer:
    """A status code and a JSON body."""

    body: Mapping[str, Any]
    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)


SESSION_NOT_FOUND = ApiAnswer({"error": "Session not found"}, 404)
PAUSED = ApiAnswer(
    {"error": "This instance is paused: it does not hold its lease at the moment. Nothing was done."},
    503,
    {"Retry-After": "1"},
)


@lru_cache(4096)  # every list tells the same moments of every session again
def iso(at: float | None) -> str | None:
    """Unix seconds as the Node service writes times: ISO-8601 UTC with milliseconds."""
    if at is None:
        return None
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def row(session: HostedSession) -> dict[str, Any]:
    """A session in the list. One that is being restored has no status yet."""
    shown = {
        "session_id": session.session_id,
        "workspace_id": session.workspace_id,
        "status": session.status,
        "phone_number": session.phone_number,
        "connected_at": iso(session.connected_at),
        "last_activity": iso(session.last_activity_at),
        "epoch": session.epoch,
    }
    if session.error is not None:
        shown["error"] = session.error
    return shown


def status(session: HostedSession) -> dict[str, Any]:
    """A session by itself, with its pairing code while it waits for a phone."""
    shown = row(session)
    if session.status is Status.QR_SCANNING and session.pairing is not None:
        shown |= {**_code(session.pairing), "expires_in": int(session.code_left_s)}
    return shown


def started(result: Started) -> ApiAnswer:
    """To a caller that wants a session held."""
    match result:
        case StaleEpoch(current):
            return stale(current)
        case InstanceFull():
            return ApiAnswer({"error": "This instance holds as many sessions as it may"}, 503)
        case CredentialsSealed(reason):
            return ApiAnswer({"error": f"The session's credentials cannot be opened here: {reason}"}, 503)
        case Paused():
            return PAUSED
        case HostedSession():
            up = result.status in (Status.CONNECTED, Status.AUTHENTICATED, Status.QR_SCANNING)
            return ApiAnswer({"success": up, **status(result)})
        case _:
            assert_never(result)


def started_many(wanted: Sequence[OpenRequest], results: Sequence[Started]) -> ApiAnswer:
    """To a caller that wants many sessions held: each with its own answer, as it would have been alone."""
    rows = []
    for each, result in zip(wanted, results, strict=True):
        alone = started(result)
        rows.append({"session_id": each.session_id, "success": False, **alone.body})
    return ApiAnswer({"success": all(row["success"] for row in rows), "sessions": rows})


def stopped(held: bool | StaleEpoch) -> ApiAnswer:
    """To a caller that wants a session let go."""
    if isinstance(held, StaleEpoch):
        return stale(held.current)
    if held:
        return ApiAnswer({"success": True, "message": "Session disconnected successfully"})
    message = "Session already disconnected or does not exist"
    return ApiAnswer({"success": True, "message": message, "alreadyDisconnected": True})


def renewed(result: EnginePairingCode | Status | NotFound | None, session: HostedSession | None = None) -> ApiAnswer:
    """To a caller that wants a fresh code of this session."""
    match result:
        case NotFound():
            return SESSION_NOT_FOUND
        case EnginePairingCode():
            return ApiAnswer({**_code(result), "expires_in": int(result.expires_in_s)})
        case Status() | None:
            why = session.error if session is not None and session.pairing_ended else None
            return ApiAnswer({"error": why or "Session does not wait for a QR code", "status": result}, 400)
        case _:
            assert_never(result)


def logged_out(result: HostedSession | NotFound | StaleEpoch) -> ApiAnswer:
    """To a caller that wants a session's device unlinked."""
    if isinstance(result, NotFound):
        return SESSION_NOT_FOUND
    if isinstance(result, StaleEpoch):
        return stale(result.current)
    if result.status is Status.LOGGED_OUT:
        return ApiAnswer({"success": True, "message": "Session logged out", "status": result.status})
    return not_connected(result.status)


def sent(outcome: SendOutcome | NotFound, now: float) -> ApiAnswer:
    """To a caller that wants a message sent. 504 alone means that it may have left."""
    match outcome:
        case EngineSent(message_id):
            return ApiAnswer({"success": True, "message_id": message_id, "timestamp": int(now)})
        case NotFound():
            return SESSION_NOT_FOUND
        case NotConnected(state):
            return not_connected(state)
        case StaleEpoch(current):
            return stale(current)
        case FrameRefused():
            return _refused(outcome)
        case EngineUnknown(reason):
            return ApiAnswer({"error": reason}, 504)
        case Paused():
            return PAUSED
        case Overloaded():
            error = "Too many messages of this session wait for WhatsApp"
            return ApiAnswer({"error": error}, 429, {"Retry-After": "1"})
        case VaultAway(reason):
            return ApiAnswer({"error": reason}, 503, {"Retry-After": "1"})
        case _:
            assert_never(outcome)


def shown(result: NotConnected | NotFound | None) -> ApiAnswer:
    """To a caller that wants a sign shown to a chat."""
    match result:
        case None:
            return ApiAnswer({"success": True})
        case NotFound():
            return SESSION_NOT_FOUND
        case NotConnected(state):
            return not_connected(state)
        case _:
            assert_never(result)


def file_missing(why: str) -> ApiAnswer:
    """A message's file could not be had; nobody was written to, and the next attempt may find it."""
    return ApiAnswer({"error": f"The file of the message could not be read: {why}"}, 503, {"Retry-After": "1"})


def not_connected(state: Status | None) -> ApiAnswer:
    return ApiAnswer({"error": NOT_CONNECTED, "status": state}, 400)


def stale(current: int) -> ApiAnswer:
    return ApiAnswer({"error": "stale epoch", "epoch": current}, 409)


def validation(session: HostedSession, now: float) -> dict[str, Any]:
    """Whether the session can send, as the Node service judges it."""
    can_send = session.status is Status.CONNECTED
    healthy = session.last_activity_at is not None and now - session.last_activity_at < HEALTHY_WITHIN_S
    return {
        "success": True,
        "session_id": session.session_id,
        "status": session.status,
        "can_send": can_send,
        "is_healthy": healthy,
        "last_activity": iso(session.last_activity_at),
        "phone_number": session.phone_number,
        "recommendations": _recommendations(session.status, can_send, healthy),
    }


def _recommendations(state: Status | None, can_send: bool, healthy: bool) -> list[str]:
    if can_send and healthy:
        return ["Session is ready to send messages"]
    if can_send:
        return ["Session has been inactive for a while, consider reconnecting"]
    if state is Status.QR_SCANNING:
        return ["Session is waiting for QR code scan"]
    if state is Status.DISCONNECTED:
        return ["Session is disconnected, please reconnect"]
    return [f"Session is {state or 'being restored'}, cannot send messages"]


def _refused(refused: FrameRefused) -> ApiAnswer:
    if refused.code == RESTRICTED:
        return ApiAnswer({"error": "recipient restricted", "code": RESTRICTED}, 400)
    return ApiAnswer({"error": f"WhatsApp refused the message: {refused.reason}", "code": refused.code}, 400)


def _code(pairing: EnginePairingCode) -> dict[str, str | None]:
    return {"qr_code": None if pairing.typed else pairing.code, "pairing_code": pairing.code}
