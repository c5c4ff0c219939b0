"""What does a fault imply about the instance, the session and the message?

Phase decides safety: what failed before a byte left is safe to repeat, and so is an answer by which a gateway
says that it did nothing. All else is ambiguous, because WhatsApp may have the message.
"""

from typing import assert_never

from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Verdict, VerdictKind


def classify(fault: Fault) -> Verdict:
    """The verdict on one failed send."""
    kind, may_have_left, implies = _judge(fault.phase)
    return Verdict(kind, may_have_left, f"{fault}: {implies}", fault.retry_after_s)


def before_sending(fault: Fault) -> Verdict:
    """The verdict on a fault met while still asking the instance about itself: the message had not been handed over."""
    kind, _, implies = _judge(fault.phase)
    return Verdict(kind, may_have_left=False, reason=f"{fault} before the message was handed over: {implies}")


def may_be_another_boot(phase: Phase) -> bool:
    """Whether whoever answers at the address may be another than before, with other capabilities.

    What one session met says nothing of that: its neighbours are not to wait until the instance was asked anew.
    """
    match phase:
        case Phase.NAME_NOT_RESOLVED | Phase.REFUSED | Phase.CONNECT_TIMED_OUT | Phase.CONNECT_BROKEN:
            return True
        case Phase.INTERRUPTED | Phase.REPLY_MALFORMED | Phase.BAD_GATEWAY | Phase.GATEWAY_TIMED_OUT:
            return True
        case Phase.SESSION_NOT_FOUND | Phase.PATH_NOT_FOUND | Phase.EPOCH_STALE | Phase.UNAVAILABLE:
            return True
        case Phase.UNAUTHORISED | Phase.MISDIRECTED:
            return True
        case Phase.NOT_ATTEMPTED | Phase.CUT_SHORT | Phase.REPLY_TIMED_OUT | Phase.SERVER_ERROR | Phase.OUTCOME_UNKNOWN:
            return False
        case Phase.SESSION_NOT_READY | Phase.SESSION_LOGGED_OUT | Phase.THROTTLED:
            return False
        case Phase.REQUEST_REJECTED | Phase.RECIPIENT_RESTRICTED | Phase.UNLICENSED:
            return False
        case _:
            assert_never(phase)


def _judge(phase: Phase) -> tuple[VerdictKind, bool, str]:
    match phase:
        case Phase.NOT_ATTEMPTED:
            return VerdictKind.OVERLOADED, False, "nothing was asked of the instance, because of a limit of our own"
        case Phase.NAME_NOT_RESOLVED:
            return VerdictKind.DOWN, False, "the instance's host name is not known"
        case Phase.REFUSED:
            return VerdictKind.DOWN, False, "nothing listens at the instance's address"
        case Phase.CONNECT_TIMED_OUT:
            return VerdictKind.DOWN, False, "the instance did not take the connection in time"
        case Phase.CONNECT_BROKEN:
            return VerdictKind.DOWN, False, "the connection broke before anything was sent"
        case Phase.INTERRUPTED:
            return VerdictKind.DOWN, True, "the connection broke after the message had left us"
        case Phase.CUT_SHORT:
            return (
                VerdictKind.NOT_READY,
                False,
                "the message's file did not get there, and nobody acts on half a request",
            )
        case Phase.REPLY_TIMED_OUT:
            return VerdictKind.DOWN, True, "the instance took the message and did not answer in time"
        case Phase.REPLY_MALFORMED:
            return VerdictKind.DOWN, True, "the instance answered what its protocol does not know"
        case Phase.SESSION_NOT_FOUND:
            return VerdictKind.MOVED, False, "the instance does not have the session"
        case Phase.PATH_NOT_FOUND:
            return VerdictKind.MOVED, True, "somebody answered 404 in other words than the gateway's"
        case Phase.SESSION_NOT_READY:
            return VerdictKind.NOT_READY, False, "the session is there and cannot send yet"
        case Phase.SESSION_LOGGED_OUT:
            return VerdictKind.LOGGED_OUT, False, "the session's link with WhatsApp has ended; it needs pairing"
        case Phase.REQUEST_REJECTED:
            return VerdictKind.REJECTED, False, "the instance refused the message itself"
        case Phase.OUTCOME_UNKNOWN:
            return (
                VerdictKind.REJECTED,
                True,
                "the instance says no in words that it also uses after a send",
            )
        case Phase.RECIPIENT_RESTRICTED:
            return VerdictKind.REJECTED, False, "WhatsApp does not let this account write to this person now"
        case Phase.UNAUTHORISED:
            return VerdictKind.MISCONFIGURED, False, "the instance does not accept our API key"
        case Phase.UNLICENSED:
            return VerdictKind.MISCONFIGURED, False, "the gateway does nothing before its licence is activated"
        case Phase.MISDIRECTED:
            return (
                VerdictKind.MISCONFIGURED,
                False,
                (
                    "it was not processed: our base URL for the instance leads to a redirect or a proxy's login, and a"
                    " message is never sent on to another address; correct the URL with `homing instances add`"
                ),
            )
        case Phase.EPOCH_STALE:
            return VerdictKind.STALE, False, "the session was granted anew since we last looked"
        case Phase.THROTTLED:
            return VerdictKind.THROTTLED, False, "the instance asked us to slow down"
        case Phase.UNAVAILABLE:
            return VerdictKind.DOWN, False, "the instance says that it is not available"
        case Phase.SERVER_ERROR:
            return VerdictKind.NOT_READY, True, "the instance failed while it worked on the message"
        case Phase.BAD_GATEWAY | Phase.GATEWAY_TIMED_OUT:
            return VerdictKind.DOWN, True, "a proxy lost the instance while it worked on the message"
        case _:
            assert_never(phase)
