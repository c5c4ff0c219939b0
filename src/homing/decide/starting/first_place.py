"""A session without a place was told to start on an instance, and that failed: try another, or is it running there?

Only where it is certain that nothing was started may another instance be told: two that start one session are two
clients on one login.
"""

from dataclasses import dataclass
from typing import assert_never

from homing.model.fleet import ListedSession, Listing, SessionId, SessionList
from homing.model.sends.faults import Fault, Phase


@dataclass(frozen=True, slots=True)
class TryElsewhere:
    """Nothing was started, and not because of the request: another instance may take it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Here:
    """It was started all the same: the instance lists it."""

    row: ListedSession


@dataclass(frozen=True, slots=True)
class Unclear:
    """It may have been started, or may yet be."""

    reason: str


@dataclass(frozen=True, slots=True)
class StartRefused:
    """The request was understood and refused: no other instance would take it."""


After = TryElsewhere | Here | Unclear | StartRefused


def needs_its_list(fault: Fault) -> bool:
    """Whether the instance's list, read afterwards, tells more."""
    return isinstance(after(SessionId(""), fault, None), Unclear)


def after(session_id: SessionId, fault: Fault, listing: Listing | None) -> After:
    """What a start that met `fault` came to, by the instance's list read afterwards; None if it was not read."""
    listed = listing.sessions if isinstance(listing, SessionList) else None
    if listed is not None and session_id in listed:
        return Here(listed[session_id])
    match fault.phase:
        case Phase.NAME_NOT_RESOLVED | Phase.REFUSED | Phase.CONNECT_TIMED_OUT | Phase.CONNECT_BROKEN:
            return TryElsewhere(f"was not reached: {fault}")
        case Phase.NOT_ATTEMPTED | Phase.CUT_SHORT:
            return TryElsewhere(f"was not asked: {fault}")
        case Phase.UNAUTHORISED:
            return TryElsewhere(f"does not accept our API key: {fault}")
        case Phase.UNLICENSED:
            return TryElsewhere(f"has no licence: {fault}")
        case Phase.PATH_NOT_FOUND | Phase.MISDIRECTED | Phase.THROTTLED | Phase.UNAVAILABLE:
            return TryElsewhere(f"did not take it: {fault}")
        case Phase.SERVER_ERROR | Phase.REPLY_MALFORMED | Phase.OUTCOME_UNKNOWN:
            # It answered: whatever it did is done, and would be listed.
            return Unclear(str(fault)) if listed is None else TryElsewhere(f"could not start it: {fault}")
        case Phase.INTERRUPTED | Phase.REPLY_TIMED_OUT | Phase.BAD_GATEWAY | Phase.GATEWAY_TIMED_OUT:
            return Unclear(str(fault))
        case Phase.REQUEST_REJECTED | Phase.RECIPIENT_RESTRICTED | Phase.EPOCH_STALE:
            return StartRefused()
        case Phase.SESSION_NOT_FOUND | Phase.SESSION_NOT_READY | Phase.SESSION_LOGGED_OUT:
            return StartRefused()
        case _:
            assert_never(fault.phase)
