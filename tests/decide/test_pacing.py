"""The pace: limits that are kept to, whatever clocks, restarts and moves do."""

from datetime import UTC, datetime
from typing import Any

import pytest

from homing.decide.pacing.pace import RESTRICTED_S, TYPING_AT_MOST_S, limits, plan, typing_s
from homing.decide.pacing.quiet_hours import quiet_until, zones_of
from homing.model.sends.pacing import PRESETS, PacePolicy, PaceState, QuietHours, WarmUp

NIGHT = QuietHours(22 * 60, 7 * 60)


def campaign(policy: PacePolicy, seconds: int, *, jumps: dict[int, float] | None = None, **more: Any) -> list[int]:
    """When messages went, in real seconds, of an endless campaign; the store's clock jumps where it is told to."""
    state, offset, went = PaceState({}, 0.0), 1_800_000_000.0, []
    for second in range(seconds):
        offset += (jumps or {}).get(second, 0.0)
        epoch = more.get("epochs", {}).get(second, state.epoch or 1)
        made = plan(
            policy, state, [False] * 8, now_s=offset + second, age_days=more.get("age", 99.0), epoch=epoch, chance=0.5
        )
        # As if from the store, after a restart in each second.
        state = PaceState.read(made.state.written(), offset + second)
        went += [second] * len(made.goes)
    return went


@pytest.mark.parametrize("jumps", [{}, {1_800: 3_600.0}, {1_800: -3_600.0}], ids=["steady", "ahead", "back"])
def test_the_pace_is_kept_within_two_percent_over_restarts_and_jumps_of_the_clock(jumps: dict[int, float]) -> None:
    hours, per_minute = 3, 30
    went = campaign(PacePolicy(per_minute=per_minute), hours * 3_600, jumps=jumps)
    assert len(went) == pytest.approx(hours * 60 * per_minute, rel=0.02)


def test_a_limit_of_a_day_is_never_exceeded_by_more_than_itself_in_one() -> None:
    went = campaign(PacePolicy(per_day=100), 86_400)
    assert 100 <= len(went) <= 200


def test_after_a_move_the_gaps_are_longer_and_then_as_before() -> None:
    policy = PacePolicy(gap_s=(2.0, 2.0), ramp_s=60.0)
    went = campaign(policy, 600, epochs={300: 2})
    assert len([s for s in went if 200 <= s < 300]) == 50
    assert len([s for s in went if 300 <= s < 330]) < 12
    assert len([s for s in went if 400 <= s < 500]) == 50


def test_a_fresh_account_warms_up() -> None:
    policy = PacePolicy(per_day=1_000, warm_up=WarmUp(20, 1.8, 7))
    assert [limits(policy, age)[0].messages for age in (0.0, 1.5, 6.9, 7.0)] == [20, 36, 680, 1_000]


def test_new_chats_have_a_limit_of_their_own_and_old_ones_go_past_them() -> None:
    policy = PacePolicy(new_chats_per_day=1)
    made = plan(policy, PaceState({}, 0.0), [True, True, False], now_s=9.0, age_days=9, epoch=1, chance=0.0)
    assert made.goes == (0, 2)
    assert made.next_s is not None
    assert "new chats" in made.reason


def test_after_whatsapp_said_do_not_no_new_chat_is_begun_for_a_while() -> None:
    state = PaceState({}, 100.0, restricted_until_s=100.0 + RESTRICTED_S)
    for now_s, goes in ((101.0, (1,)), (100.0 + RESTRICTED_S, (0, 1))):
        made = plan(PacePolicy(per_hour=9), state, [True, False], now_s=now_s, age_days=9, epoch=1, chance=0.0)
        assert made.goes == goes


def test_the_reason_names_the_limit_that_is_used_up() -> None:
    state = PaceState({"hour": 0.5, "minute": 0.2}, 100.0)
    made = plan(PRESETS["steady"], state, [False], now_s=100.0, age_days=9, epoch=1, chance=0.0)
    assert (made.goes, made.reason) == ((), "its pace: 600 messages in a hour")
    assert made.next_s == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("chat", "now", "until"),
    [
        ("12125550123", "2026-03-07T23:00", None),
        ("12125550123", "2026-03-08T04:00", "2026-03-08T11:00"),
        ("12125550123", "2026-03-07T04:00", "2026-03-07T12:00"),
        ("12125550123", "2026-11-01T03:00", "2026-11-01T12:00"),
        ("62816108641", "2026-06-01T23:30", "2026-06-02T00:00"),
        ("120363041234567890@g.us", "2026-06-01T23:30", None),
        ("99999", "2026-06-01T23:30", None),
    ],
    ids=[
        "awake",
        "the-night-clocks-go-ahead",
        "the-night-before",
        "the-night-clocks-go-back",
        "zones",
        "group",
        "nobody",
    ],
)
def test_quiet_hours_are_those_of_the_recipients_clock(chat: str, now: str, until: str | None) -> None:
    at = datetime.fromisoformat(now).replace(tzinfo=UTC)
    expected = None if until is None else datetime.fromisoformat(until).replace(tzinfo=UTC)
    assert quiet_until(chat, NIGHT, at) == expected


def test_a_number_that_may_be_anywhere_has_no_night() -> None:
    assert zones_of("12125550123") == ("America/New_York",)
    assert zones_of("80012345678") == ()


def test_typing_takes_as_long_as_the_message_is_and_ten_seconds_at_most() -> None:
    policy = PacePolicy(typing_ms_per_char=30)
    assert [typing_s(policy, length) for length in (0, 100, 60_000)] == [0.0, 3.0, TYPING_AT_MOST_S]
    assert typing_s(PacePolicy(per_day=1), 100) == 0.0
