"""Does a session come up by itself, or must a person link its phone?

Gateways without epochs do not tell the two apart: the Node service says `qr_scanning` from the moment it is told to
start a session until WhatsApp has let it in, also while it restores a login that needs nobody. What tells them apart is
what it reports: a code to scan, or that the link has ended. Our own instances mean what they say.
"""

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from typing import Any, assert_never

from homing.model.fleet import Linking, ListedSession, Listing, NoList, SessionId, SessionStatus

UNLINKED = frozenset({SessionStatus.PAIRING, SessionStatus.LOGGED_OUT})
"""In these states a session waits for a person."""


class LinkSign(StrEnum):
    """What one report says of a session's link with its phone."""

    CODE = "code"
    """It waits for somebody to scan or type a code."""
    READY = "ready"
    ENDED = "ended"
    """WhatsApp has ended the link: only linking anew helps."""


_REASONS: Mapping[str, LinkSign] = {
    # whatsapp-web.js 1.34, src/Client.js: a page that went to `post_logout=1`; the login's folder is deleted then.
    "LOGOUT": LinkSign.ENDED,
    # The same, src/util/Constants.js WAState: the states with which a client gives up are its reasons, word for word.
    # UNPAIRED is WhatsApp's word for a device that was removed; UNPAIRED_IDLE for codes that nobody scanned.
    "UNPAIRED": LinkSign.ENDED,
    "UNPAIRED_IDLE": LinkSign.CODE,
    "MAX QRCODE RETRIES REACHED": LinkSign.CODE,
}
"""Why a session was disconnected. What is not here may pass by itself, or is nothing that linking would cure:
NAVIGATION (the page was loaded again; the Node service reconnects), CONFLICT (opened elsewhere), TIMEOUT, OPENING,
PAIRING, UNLAUNCHED, PROXYBLOCK, DEPRECATED_VERSION, TOS_BLOCK and SMB_TOS_BLOCK (the number is blocked)."""


def sign_of(kind: str, data: Mapping[str, Any]) -> LinkSign | None:
    """What a report says of its session's link; None if nothing."""
    match kind:
        case "qr_code_generated":
            return LinkSign.CODE
        case "session_ready":
            return LinkSign.READY
        case "session_disconnected":
            reason = data.get("reason")
            return _REASONS.get(reason.strip().upper()) if isinstance(reason, str) else None
        case _:
            return None


def waits_for_a_scan(known: Linking) -> bool:
    """Whether a code was reported since the session was last ready and since it was last told to start."""
    return _stands(known.code_at, known)


def has_ended(known: Linking) -> bool:
    """Whether the end of the link was reported, and neither readiness nor a start came after it."""
    return _stands(known.logout_at, known)


def meant(row: ListedSession, known: Linking) -> SessionStatus:
    """What a listed status means, with all that was reported of the session."""
    if row.epoch is not None:
        return row.status
    match row.status:
        case SessionStatus.CONNECTED | SessionStatus.LOGGED_OUT | SessionStatus.QUARANTINED:
            return row.status
        case SessionStatus.PAIRING if row.surely_unlinked:
            return row.status
        case SessionStatus.PAIRING:
            needed = has_ended(known) or waits_for_a_scan(known)
            return SessionStatus.PAIRING if needed else SessionStatus.STARTING
        case SessionStatus.STARTING | SessionStatus.STOPPED:
            return SessionStatus.LOGGED_OUT if has_ended(known) else row.status
        case SessionStatus.DISCONNECTED | SessionStatus.FAILED | SessionStatus.UNKNOWN:
            if has_ended(known):
                return SessionStatus.LOGGED_OUT
            return SessionStatus.PAIRING if waits_for_a_scan(known) else row.status
        case _:
            assert_never(row.status)


def at_holder(listing: Listing | None, session: SessionId, known: Linking) -> SessionStatus | None:
    """What the list of the session's holder says of it; None if it says nothing."""
    if listing is None or isinstance(listing, NoList):
        return None
    row = listing.sessions.get(session)
    if row is None:
        return SessionStatus.LOGGED_OUT if has_ended(known) else None
    return meant(row, known)


def was_never_linked(known: Linking) -> bool:
    """Whether nothing is known that would say that the session could ever send."""
    return known.ready_at is None and known.logout_at is None


def _stands(at: datetime | None, known: Linking) -> bool:
    if at is None or (known.ready_at is not None and at <= known.ready_at):
        return False
    return known.started_at is None or at >= known.started_at
