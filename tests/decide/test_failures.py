"""Phase decides safety."""

import pytest

from homing.decide.sending import failures
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import VerdictKind

SAFE = {
    Phase.NOT_ATTEMPTED,
    Phase.NAME_NOT_RESOLVED,
    Phase.REFUSED,
    Phase.CONNECT_TIMED_OUT,
    Phase.CONNECT_BROKEN,
    Phase.CUT_SHORT,
    Phase.SESSION_NOT_FOUND,
    Phase.SESSION_NOT_READY,
    Phase.SESSION_LOGGED_OUT,
    Phase.REQUEST_REJECTED,
    Phase.RECIPIENT_RESTRICTED,
    Phase.UNAUTHORISED,
    Phase.UNLICENSED,
    Phase.MISDIRECTED,
    Phase.EPOCH_STALE,
    Phase.THROTTLED,
    Phase.UNAVAILABLE,
}
AMBIGUOUS = {
    Phase.INTERRUPTED,
    Phase.REPLY_TIMED_OUT,
    Phase.REPLY_MALFORMED,
    Phase.PATH_NOT_FOUND,
    Phase.SERVER_ERROR,
    Phase.BAD_GATEWAY,
    Phase.GATEWAY_TIMED_OUT,
    Phase.OUTCOME_UNKNOWN,
}
KINDS = {
    VerdictKind.DOWN: {
        Phase.NAME_NOT_RESOLVED,
        Phase.REFUSED,
        Phase.CONNECT_TIMED_OUT,
        Phase.CONNECT_BROKEN,
        Phase.INTERRUPTED,
        Phase.REPLY_TIMED_OUT,
        Phase.REPLY_MALFORMED,
        Phase.UNAVAILABLE,
        Phase.BAD_GATEWAY,
        Phase.GATEWAY_TIMED_OUT,
    },
    VerdictKind.MOVED: {Phase.SESSION_NOT_FOUND, Phase.PATH_NOT_FOUND},
    VerdictKind.OVERLOADED: {Phase.NOT_ATTEMPTED},
    VerdictKind.STALE: {Phase.EPOCH_STALE},
    VerdictKind.NOT_READY: {Phase.SESSION_NOT_READY, Phase.CUT_SHORT, Phase.SERVER_ERROR},
    VerdictKind.THROTTLED: {Phase.THROTTLED},
    VerdictKind.LOGGED_OUT: {Phase.SESSION_LOGGED_OUT},
    VerdictKind.REJECTED: {Phase.REQUEST_REJECTED, Phase.RECIPIENT_RESTRICTED, Phase.OUTCOME_UNKNOWN},
    VerdictKind.MISCONFIGURED: {Phase.UNAUTHORISED, Phase.UNLICENSED, Phase.MISDIRECTED},
}


def test_every_phase_is_judged_in_these_tables() -> None:
    assert set(Phase) == SAFE | AMBIGUOUS
    assert not SAFE & AMBIGUOUS
    assert set().union(*KINDS.values()) == set(Phase)


@pytest.mark.parametrize("phase", sorted(SAFE))
def test_what_failed_before_a_byte_left_or_was_declined_did_not_leave(phase: Phase) -> None:
    assert not failures.classify(Fault(phase)).may_have_left


@pytest.mark.parametrize("phase", sorted(AMBIGUOUS))
def test_everything_else_may_have_left(phase: Phase) -> None:
    assert failures.classify(Fault(phase)).may_have_left


@pytest.mark.parametrize("phase", list(Phase))
def test_the_kind_follows_the_phase(phase: Phase) -> None:
    assert phase in KINDS[failures.classify(Fault(phase)).kind]


@pytest.mark.parametrize("phase", list(Phase))
def test_nothing_left_while_we_only_asked_for_health(phase: Phase) -> None:
    assert not failures.before_sending(Fault(phase)).may_have_left


def test_the_reason_names_the_status_and_the_peers_words() -> None:
    reason = failures.classify(Fault(Phase.SESSION_NOT_FOUND, "Session not found", status=404)).reason
    assert reason == "404 session not found (Session not found): the instance does not have the session"


def test_a_throttling_instance_says_how_long() -> None:
    assert failures.classify(Fault(Phase.THROTTLED, retry_after_s=7)).retry_after_s == 7


def test_a_redirect_is_told_as_our_wrong_address_and_not_as_the_messages_fault() -> None:
    reason = failures.classify(Fault(Phase.MISDIRECTED, "it answered with a redirect to /login", status=302)).reason
    assert reason.startswith("302 misdirected (it answered with a redirect to /login): it was not processed")
    assert "`homing instances add`" in reason
