"""What comes next, after all that a send went through so far."""

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.sending import failures, recovery
from homing.decide.sending.recovery import Finish, Look, SendPolicy, Step, Try
from homing.decide.sending.uploads import UploadPolicy
from homing.model.fleet import Epoch, InstanceUrl
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import (
    Attempt,
    CannotRepeat,
    FailureCode,
    Finding,
    Found,
    Happening,
    HeldTwice,
    InQuarantine,
    Looked,
    NeedsPairing,
    NotLooked,
    NotSent,
    Nowhere,
    OnlyObserved,
    Unknown,
    Unplaced,
    VerdictKind,
    Waiting,
)

A, B = InstanceUrl("http://a:1"), InstanceUrl("http://b:1")
POLICY = SendPolicy(deadline_s=10, retry_attempts=3, retry_delay_s=1.0)


def attempt(
    phase: Phase, *, url: InstanceUrl = A, chose_id: bool = False, retry_after_s: float | None = None
) -> Attempt:
    fault = Fault(phase, retry_after_s=retry_after_s)
    return Attempt(url, Epoch(1), fault, failures.classify(fault), chose_id, at_s=0.0)


def looked(finding: Finding, denied: frozenset[InstanceUrl] = frozenset()) -> Looked:
    return Looked(finding, 0.0, denied)


FOUND_ELSEWHERE = looked(Found(B, Epoch(2), moved=True, reason="found on b"), frozenset({A}))
STILL_THERE = looked(Found(A, Epoch(1), moved=False, reason="a has it"))
NOWHERE = looked(Nowhere(2, (), "asked 2 instances"), frozenset({A, B}))
WAITING = looked(Waiting("a is starting it"))


def step(*happened: Happening, policy: SendPolicy = POLICY, now_s: float = 0.0, repeated: bool = False) -> Step:
    return recovery.next_step(happened, now_s=now_s, deadline_s=10.0, policy=policy, repeated=repeated)


def failed(found: Step) -> NotSent:
    assert isinstance(found, Finish)
    assert isinstance(found.outcome, NotSent)
    return found.outcome


def unknown(found: Step) -> Unknown:
    assert isinstance(found, Finish)
    assert isinstance(found.outcome, Unknown), found.outcome
    return found.outcome


@pytest.mark.parametrize(
    "phase",
    [Phase.REFUSED, Phase.NAME_NOT_RESOLVED, Phase.CONNECT_TIMED_OUT, Phase.SESSION_NOT_FOUND, Phase.EPOCH_STALE,
     Phase.SESSION_NOT_READY, Phase.UNAVAILABLE],
)  # fmt: skip
def test_a_safe_fault_of_the_place_is_looked_into_at_once(phase: Phase) -> None:
    found = step(attempt(phase))
    assert isinstance(found, Look)
    assert found.after_s == 0


@pytest.mark.parametrize("phase", [Phase.INTERRUPTED, Phase.REPLY_TIMED_OUT, Phase.SERVER_ERROR, Phase.BAD_GATEWAY,
                                   Phase.GATEWAY_TIMED_OUT, Phase.REPLY_MALFORMED])  # fmt: skip
def test_an_ambiguous_fault_is_unknown_where_the_instance_chooses_the_id(phase: Phase) -> None:
    assert unknown(step(attempt(phase))).reason == failures.classify(Fault(phase)).reason


@pytest.mark.parametrize("phase", [Phase.INTERRUPTED, Phase.REPLY_TIMED_OUT, Phase.SERVER_ERROR, Phase.BAD_GATEWAY])
def test_an_ambiguous_fault_is_looked_into_where_the_id_is_ours(phase: Phase) -> None:
    assert isinstance(step(attempt(phase, chose_id=True)), Look)


def test_what_our_own_limit_kept_back_is_tried_again_until_the_deadline_and_counts_as_no_try() -> None:
    kept_back = [attempt(Phase.NOT_ATTEMPTED)] * 5
    again = step(*kept_back)
    assert isinstance(again, Try)
    assert again.after_s == POLICY.retry_delay_s
    end = failed(step(*kept_back, now_s=9.5))
    assert (end.code, end.attempts, end.final) == (FailureCode.OVERLOADED, 0, False)
    failing = [attempt(Phase.SESSION_NOT_READY), STILL_THERE]
    assert isinstance(step(*kept_back, *failing), Try)


def test_what_may_have_left_before_stays_unknown_if_our_own_limit_then_kept_it_back() -> None:
    happened = [attempt(Phase.REPLY_TIMED_OUT, chose_id=True), STILL_THERE, attempt(Phase.NOT_ATTEMPTED)]
    assert isinstance(step(*happened), Try)
    unknown(step(*happened, now_s=9.5))


def test_unknown_is_not_retried_on_an_instance_that_does_not_take_the_id() -> None:
    happened = [attempt(Phase.INTERRUPTED, chose_id=True), FOUND_ELSEWHERE]
    assert recovery.must_not_repeat(happened, False, chooses_id=False)
    assert not recovery.must_not_repeat(happened, False, chooses_id=True)
    unknown(step(*happened, CannotRepeat(B, 0.0)))


def test_a_takeover_is_repeated_only_under_the_same_id() -> None:
    assert recovery.must_not_repeat([], True, chooses_id=False)
    assert not recovery.must_not_repeat([], True, chooses_id=True)
    assert not recovery.must_not_repeat([], False, chooses_id=False)


def test_a_found_session_is_tried_at_once() -> None:
    found = step(attempt(Phase.REFUSED), FOUND_ELSEWHERE)
    assert isinstance(found, Try)
    assert found.after_s == 0


def test_a_session_that_came_up_while_we_waited_is_tried_at_once() -> None:
    found = step(attempt(Phase.SESSION_NOT_READY), WAITING, STILL_THERE)
    assert isinstance(found, Try)
    assert found.after_s == 0


def test_a_place_that_keeps_failing_is_tried_a_few_times_and_spaced() -> None:
    failing = [attempt(Phase.SESSION_NOT_READY), STILL_THERE]
    once = step(*failing)
    twice = step(*failing * 2)
    assert isinstance(once, Try)
    assert isinstance(twice, Try)
    assert (once.after_s, twice.after_s) == (min(POLICY.look_pause_s, POLICY.retry_delay_s), POLICY.retry_delay_s)
    assert failed(step(*failing * 3)).code is FailureCode.SESSION_NOT_READY


def test_nowhere_is_looked_for_until_the_deadline_with_growing_pauses() -> None:
    happened: list[Happening] = [attempt(Phase.REFUSED)]
    pauses: list[float] = []
    for _ in range(8):
        happened.append(NOWHERE)
        found = step(*happened)
        assert isinstance(found, Look)
        pauses.append(found.after_s)
    assert pauses == sorted(pauses)
    assert pauses[-1] == POLICY.look_pause_max_s
    end = failed(step(*happened, now_s=9.99))
    assert end.code is FailureCode.SESSION_UNREACHABLE
    assert "asked 2 instances" in end.reason
    assert not end.final


def test_a_deadline_after_an_ambiguous_attempt_is_unknown_and_says_both() -> None:
    reason = unknown(step(attempt(Phase.REPLY_TIMED_OUT, chose_id=True), NOWHERE, now_s=9.99)).reason
    assert "did not answer in time" in reason
    assert "asked 2 instances" in reason


@pytest.mark.parametrize(
    ("finding", "code", "final"),
    [
        (NeedsPairing("scan"), FailureCode.SESSION_LOGGED_OUT, True),
        (InQuarantine("a stranger has it"), FailureCode.SESSION_QUARANTINED, True),
        (HeldTwice((A, B), "both"), FailureCode.DUPLICATE_HOLDER, False),
        (NotLooked("the directory is away"), FailureCode.DIRECTORY_UNAVAILABLE, False),
    ],
)
def test_some_findings_end_the_send_at_once(finding: Finding, code: FailureCode, final: bool) -> None:
    end = failed(step(attempt(Phase.REFUSED), looked(finding)))
    assert (end.code, end.final) == (code, final)


def test_a_restricted_recipient_is_never_tried_again() -> None:
    end = failed(step(attempt(Phase.RECIPIENT_RESTRICTED)))
    assert (end.code, end.final) == (FailureCode.RECIPIENT_RESTRICTED, True)


def test_an_instances_wrong_key_is_our_fault_and_not_the_clients() -> None:
    assert failed(step(attempt(Phase.UNAUTHORISED))).code is FailureCode.INSTANCE_MISCONFIGURED


def test_a_throttling_instance_is_waited_for_as_it_asks() -> None:
    found = step(attempt(Phase.THROTTLED, retry_after_s=2.5))
    assert isinstance(found, Try)
    assert found.after_s == 2.5
    end = failed(step(attempt(Phase.THROTTLED, retry_after_s=60)))
    assert (end.code, end.retry_after_s) == (FailureCode.THROTTLED, 5.0)
    assert failed(step(*[attempt(Phase.THROTTLED, retry_after_s=1)] * 3)).retry_after_s == 1


def test_an_unplaced_account_without_a_default_is_not_sent_and_not_tried_again() -> None:
    end = failed(step(Unplaced("never placed", 0.0)))
    assert (end.code, end.final, end.attempts) == (FailureCode.ACCOUNT_NOT_PLACED, True, 0)


def test_what_may_have_left_before_stays_unknown_when_it_is_found_on_an_observed_instance() -> None:
    end = failed(step(OnlyObserved(A, 0.0)))
    assert (end.code, end.final, end.attempts) == (FailureCode.INSTANCE_OBSERVED, True, 0)
    left = step(attempt(Phase.REPLY_TIMED_OUT, chose_id=True), OnlyObserved(B, 0.0))
    assert isinstance(left, Finish) and isinstance(left.outcome, Unknown)


def test_a_404_that_the_list_confirms_did_not_leave() -> None:
    strange = attempt(Phase.PATH_NOT_FOUND)
    assert recovery.may_have_left([strange])
    assert not recovery.may_have_left([strange, FOUND_ELSEWHERE])
    assert not recovery.must_not_repeat([strange, FOUND_ELSEWHERE], False, chooses_id=False)


def test_a_404_that_the_list_contradicts_is_not_repeated_blindly() -> None:
    happened = [attempt(Phase.PATH_NOT_FOUND), STILL_THERE]
    assert recovery.must_not_repeat(happened, False, chooses_id=False)
    assert not recovery.must_not_repeat(
        [attempt(Phase.PATH_NOT_FOUND, chose_id=True), STILL_THERE], False, chooses_id=True
    )


def test_plain_routing_retries_safe_faults_in_place_and_no_others() -> None:
    plain = SendPolicy(rediscover=False, retry_attempts=2, retry_delay_s=0.5)
    first = step(attempt(Phase.REFUSED), policy=plain)
    assert isinstance(first, Try)
    assert first.after_s == 0.5
    assert failed(step(*[attempt(Phase.REFUSED)] * 2, policy=plain)).code is FailureCode.SESSION_UNREACHABLE
    unknown(step(attempt(Phase.INTERRUPTED), policy=plain))


def test_a_hanging_instance_cannot_eat_the_deadline() -> None:
    first = recovery.attempt_timeout_s(now_s=0, deadline_s=10, policy=POLICY, chooses_id=True)
    assert first == 4.0
    assert recovery.attempt_timeout_s(now_s=9, deadline_s=10, policy=POLICY, chooses_id=True) == 1.0


def test_an_attempt_that_cannot_be_repeated_is_awaited_with_patience() -> None:
    assert recovery.attempt_timeout_s(now_s=9, deadline_s=10, policy=POLICY, chooses_id=False) == POLICY.patience_s


happenings = st.lists(
    st.one_of(
        st.builds(attempt, st.sampled_from(list(Phase)), url=st.sampled_from([A, B]), chose_id=st.booleans()),
        st.sampled_from([FOUND_ELSEWHERE, STILL_THERE, NOWHERE, WAITING]),
    ),
    min_size=1,
    max_size=8,
)


@given(happened=happenings, now_s=st.floats(0, 12), repeated=st.booleans())
def test_what_may_have_left_never_ends_as_not_sent(happened: Sequence[Happening], now_s: float, repeated: bool) -> None:
    found = step(*happened, now_s=now_s, repeated=repeated)
    if isinstance(found, Finish) and isinstance(found.outcome, NotSent):
        assert not repeated
        certain = [
            item for item in happened if isinstance(item, Attempt) and item.verdict.kind is not VerdictKind.MOVED
        ]
        assert not any(item.verdict.may_have_left for item in certain)


def test_what_an_earlier_gateway_may_have_sent_ends_as_unknown() -> None:
    found = step(attempt(Phase.REFUSED, chose_id=True), now_s=10.0, repeated=True)
    assert isinstance(found, Finish)
    assert isinstance(found.outcome, Unknown)
    assert "died while it drove" in found.outcome.reason


@given(happened=happenings)
def test_no_step_begins_after_the_deadline(happened: Sequence[Happening]) -> None:
    assert isinstance(step(*happened, now_s=10.0), Finish)


@pytest.mark.parametrize("chooses_id", [True, False])
def test_an_attempt_with_a_file_may_take_as_long_as_its_bytes_at_the_slowest_rate(chooses_id: bool) -> None:
    policy = SendPolicy(patience_s=30.0, uploads=UploadPolicy(slowest_bytes_s=1_000_000))

    def within_s(file_bytes: int | None) -> float:
        return recovery.attempt_timeout_s(
            now_s=0.0, deadline_s=10.0, policy=policy, chooses_id=chooses_id, file_bytes=file_bytes
        )

    assert within_s(0) == 30.0
    assert within_s(64_000_000) == 94.0
    assert within_s(None) == (4.0 if chooses_id else 30.0)
