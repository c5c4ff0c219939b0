"""Accounts that go deaf in virtual time are noticed, those that do not are left alone, and a seed replays."""

import pytest

from homing.lab.deaf.run import run


@pytest.mark.parametrize("seed", [3, 11])
def test_deaf_sessions_are_noticed_and_no_others_are_treated(seed: int) -> None:
    report = run(20, seed)
    assert report.false_ladders == []
    assert report.counted
    assert report.noticed == len(report.counted)
    assert set(report.rungs) <= {"check", "resubscribe", "reconnect", "restart", "rehome", "recycle", "alert"}


def test_a_seed_gives_the_same_weeks_again_however_many_processes_play_them() -> None:
    one, two = run(10, 5).document(), run(10, 5, processes=2).document()
    assert one == two
    assert run(10, 6).document() != one
