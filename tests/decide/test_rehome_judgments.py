"""What is the next step towards a session living elsewhere? Each claim is one line of the story."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from homing.decide.fleet.leases import LeasePolicy, NotFenced, fence, may_act, unsafe
from homing.decide.moves.next_step import (
    BY_ITSELF,
    NO_ROOM,
    PLANNED,
    Adopt,
    Give,
    MarkMoving,
    MoveCause,
    MoveFacts,
    MoveRequest,
    NotMoved,
    Over,
    StartOnTarget,
    Stop,
    leaves,
    next_step,
    obstacle,
)
from homing.model.fleet import (
    Account,
    AccountUuid,
    Epoch,
    InstanceUrl,
    MoveKind,
    Placement,
    PlacementState,
    SessionId,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.model.instances.leases import Fence, Incarnation, IncarnationId
from homing.model.instances.vault import Holder, SessionHolding
from homing.model.work import Job, JobId, JobState, Priority

A, B = InstanceUrl("http://a:3001"), InstanceUrl("http://b:3001")
S = SessionId("webjs_1_s")
NOW = datetime(2026, 1, 1, tzinfo=UTC)


def placed(
    url: InstanceUrl | None = A, epoch: int = 4, state: PlacementState = PlacementState.HELD, **changes: object
) -> Account:
    account = Account(
        id=1,
        uuid=AccountUuid("u"),
        workspace_id=WorkspaceId(1),
        phone="62811",
        name="",
        placement=Placement(S, url, Epoch(epoch), state),
        status=SessionStatus.CONNECTED,
        takeover=Takeover.AUTO,
        created_at=NOW,
    )
    return replace(account, **changes)  # type: ignore[arg-type]


def held(url: InstanceUrl | None = A, epoch: int = 4, *, boot: str = "a1", left_s: float = 3.0) -> SessionHolding:
    return SessionHolding(S, Epoch(epoch), Holder(url, boot) if url else None, True, left_s, False)


def lives(url: InstanceUrl, boot: str) -> dict[InstanceUrl, Incarnation]:
    return {url: Incarnation(IncarnationId(boot), url, 0.2, 5.0, 60.0)}


def wish(cause: MoveCause = MoveCause.GONE) -> MoveRequest:
    return MoveRequest(S, cause, "because", A, Epoch(4))


@pytest.mark.parametrize("cause", [MoveCause.GONE, MoveCause.EXITED, MoveCause.MISSING])
def test_a_session_whose_instance_is_gone_is_granted_elsewhere_at_once(cause: MoveCause) -> None:
    known = MoveFacts(placed(), replace(held(), holder_ended=cause is MoveCause.EXITED), {}, {A})
    step = next_step(wish(cause), known)
    assert isinstance(step, Give)
    assert step.fence is (Fence.EXITED if cause is MoveCause.EXITED else Fence.REVOKED)


@pytest.mark.parametrize("cause", sorted(PLANNED))
def test_a_living_holder_is_told_to_stop_before_anybody_else_begins(cause: MoveCause) -> None:
    known = MoveFacts(placed(), held(), lives(A, "a1"))
    assert isinstance(next_step(wish(cause), known), MarkMoving)
    leaving = replace(known, account=placed(state=PlacementState.MOVING))
    assert isinstance(next_step(wish(cause), leaving), Stop)
    assert next_step(wish(cause), replace(leaving, stopped=True)) == Give(
        Placement(S, A, Epoch(4), PlacementState.MOVING), Fence.STOPPED
    )


def test_a_planned_move_off_an_instance_that_died_meanwhile_does_not_wait_for_its_stop() -> None:
    step = next_step(wish(MoveCause.DRAIN), MoveFacts(placed(state=PlacementState.MOVING), held(), {}, {A}))
    assert isinstance(step, Give)


def test_who_comes_later_starts_what_was_granted() -> None:
    moving = placed(B, 5, PlacementState.MOVING)
    step = next_step(wish(), MoveFacts(moving, held(B, 5, boot="b1"), lives(B, "b1")))
    assert step == StartOnTarget(moving.placement)


@pytest.mark.parametrize(
    ("why", "known"),
    [
        (
            "the target is down",
            MoveFacts(placed(B, 5, PlacementState.MOVING), held(B, 5, boot="b1"), lives(B, "b1"), {B}),
        ),
        (
            "the target was restarted",
            MoveFacts(placed(B, 5, PlacementState.MOVING), held(B, 5, boot="b1"), lives(B, "b2")),
        ),
        ("the target lost its lease", MoveFacts(placed(B, 5, PlacementState.MOVING), held(B, 5, boot="b1"), {})),
        ("the vault is further", MoveFacts(placed(B, 5, PlacementState.MOVING), held(B, 6, boot="b1"), lives(B, "b1"))),
    ],
)
def test_a_target_that_cannot_start_it_any_more_gives_way_to_the_next_epoch(why: str, known: MoveFacts) -> None:
    assert isinstance(next_step(wish(), known), Give), why


def test_what_somebody_else_settled_is_over() -> None:
    assert isinstance(next_step(wish(), MoveFacts(placed(B, 5), held(B, 5), lives(B, "b1"))), Over)
    assert isinstance(next_step(wish(), MoveFacts(placed(A, 5), held(A, 5), lives(A, "a2"))), Over)
    assert isinstance(next_step(wish(), MoveFacts(None, None, {})), Over)


def test_a_session_that_somebody_alive_opened_is_not_taken_from_him() -> None:
    known = MoveFacts(placed(), held(B, 7, boot="b1"), lives(B, "b1"), {A})
    assert next_step(wish(), known) == Adopt(
        placed().placement, B, Epoch(7), f"by the vault {B} opened it under epoch 7"
    )
    assert isinstance(next_step(wish(), replace(known, down={A, B})), Give)
    assert isinstance(next_step(wish(), replace(known, lives=lives(B, "b2"))), Give)


@pytest.mark.parametrize("cause", sorted(BY_ITSELF))
@pytest.mark.parametrize("takeover", [Takeover.NEVER, Takeover.MANUAL])
def test_what_an_operator_kept_for_himself_is_not_moved_unasked(cause: MoveCause, takeover: Takeover) -> None:
    step = next_step(wish(cause), MoveFacts(placed(takeover=takeover), held(), {}, {A}))
    assert isinstance(step, NotMoved)
    assert takeover.value in step.reason
    asked = replace(wish(MoveCause.REQUEST), forced=takeover is Takeover.NEVER)
    assert isinstance(next_step(asked, MoveFacts(placed(takeover=takeover), held(), {}, {A})), Give)


def test_what_an_operator_says_is_lost_is_granted_elsewhere_without_asking_its_holder() -> None:
    known = MoveFacts(placed(takeover=Takeover.MANUAL), held(), lives(A, "a1"))
    assert isinstance(next_step(wish(MoveCause.LOST), known), Give)


def test_every_cause_can_be_followed() -> None:
    for cause in MoveCause:
        next_step(wish(cause), MoveFacts(placed(), held(), lives(A, "a1")))


@pytest.mark.parametrize(
    "status", [SessionStatus.STOPPED, SessionStatus.LOGGED_OUT, SessionStatus.PAIRING, SessionStatus.QUARANTINED]
)
def test_what_should_not_run_is_not_started_elsewhere(status: SessionStatus) -> None:
    assert isinstance(next_step(wish(), MoveFacts(placed(status=status), held(), {}, {A})), NotMoved)


def test_a_session_that_no_phone_is_linked_to_is_not_moved() -> None:
    unlinked = replace(held(), has_login=False)
    assert isinstance(next_step(wish(), MoveFacts(placed(), unlinked, {}, {A})), NotMoved)


def test_a_foreign_gateway_s_silence_is_no_fence() -> None:
    step = next_step(wish(), MoveFacts(placed(), None, {}, {A}))
    assert isinstance(step, NotMoved)
    assert "bring" in step.reason
    assert "homing exited" in step.reason
    assert isinstance(next_step(wish(MoveCause.EXITED), MoveFacts(placed(), None, {}, {A})), Give)


def test_a_session_comes_back_to_an_address_only_if_another_boot_lives_there() -> None:
    assert leaves(wish(), MoveFacts(placed(), held(), lives(A, "a1")))
    assert leaves(wish(), MoveFacts(placed(), held(), {}))
    assert not leaves(wish(), MoveFacts(placed(), held(), lives(A, "a2")))
    assert not leaves(wish(MoveCause.MISSING), MoveFacts(placed(), held(), lives(A, "a1")))
    assert leaves(wish(MoveCause.DRAIN), MoveFacts(placed(), held(), lives(A, "a2")))


def test_a_wish_is_kept_with_its_job_as_it_was() -> None:
    made = replace(wish(MoveCause.DRAIN), to_url=B)
    assert MoveRequest.of(made.payload()) == made
    assert made.move is MoveKind.MIGRATION
    assert wish().move is MoveKind.REHOME


def test_each_fence_is_named_for_what_it_proves() -> None:
    assert fence(None, stopped=True) is Fence.STOPPED
    assert fence(None, exited=True) is Fence.EXITED
    assert fence(held(None)) is Fence.NONE
    assert fence(held()) is Fence.REVOKED
    assert fence(held(left_s=-0.1)) is Fence.LAPSED
    assert fence(replace(held(), holder_ended=True)) is Fence.EXITED
    assert isinstance(fence(None), NotFenced)


@pytest.mark.parametrize(
    ("policy", "named"),
    [
        (LeasePolicy(self_fence_s=6, expiry_s=6), "HOMING_LEASE_SELF_FENCE"),
        (LeasePolicy(heartbeat_s=3), "HOMING_LEASE_HEARTBEAT"),
        (LeasePolicy(repeat_s=0), "HOMING_LEASE_REPEAT"),
        (LeasePolicy(repeat_s=1.5), "HOMING_LEASE_REPEAT"),
    ],
)
def test_times_that_cannot_be_safe_together_are_named(policy: LeasePolicy, named: str) -> None:
    said = unsafe(policy)
    assert said is not None
    assert named in said
    assert unsafe(LeasePolicy()) is None


def test_a_holder_counts_from_before_it_asked() -> None:
    policy = LeasePolicy()
    assert may_act(10.0, 13.99, policy)
    assert not may_act(10.0, 14.0, policy)
    assert not may_act(None, 0.0, policy)


def test_the_newest_job_says_what_is_in_the_way() -> None:
    job = Job(JobId(1), "rehome", None, S, {}, Priority.NORMAL, JobState.READY, NOW, 1, 1, None, "", NOW, None)
    full = replace(job, reason=f"{NO_ROOM}http://b is full (3 of 3)")
    assert obstacle(None) is None
    assert obstacle(job) is None
    assert obstacle(replace(full, state=JobState.DONE)) is None
    found = obstacle(full)
    assert found is not None
    assert found.no_room
    assert not (obstacle(replace(job, reason="it is logged out")) or found).no_room
