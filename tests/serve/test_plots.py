"""What the plots are drawn from: a day in ring buffers, gaps that stay gaps, peaks that a day does not hide."""

import re
from datetime import UTC, datetime, timedelta
from html import unescape

import pytest

from homing.model.fleet import InstanceUrl, Move, MoveKind, SessionId, WorkspaceId
from homing.serve.page import charts, plots
from homing.serve.state.history import KEPT, MINUTES_KEPT, Cause, MoveHistory, Sample, SampleHistory
from tests.serve.conftest import Api
from tests.serve.test_pages import page, settled

NOW = datetime(2026, 5, 4, 12, 0, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(hours=24)


def sample(ago: timedelta, *, sent: float = 1.0, needs_you: int = 0) -> Sample:
    return Sample(NOW - ago, sent, 0.0, 10 - needs_you, 0, needs_you, 0, 0)


def move(number: int, ago: timedelta, kind: MoveKind = MoveKind.REHOME) -> Move:
    return Move(
        id=number, kind=kind, session_id=SessionId(f"s{number}"), account_id=number, workspace_id=WorkspaceId(1),
        from_url=InstanceUrl("http://a"), to_url=InstanceUrl("http://b"), epoch=2, reason="", at=NOW - ago,
    )  # fmt: skip


def test_a_day_is_kept_and_no_more() -> None:
    history = SampleHistory()
    for number in range(KEPT + 500):
        history.add(sample(timedelta(seconds=10 * (KEPT + 500 - number))))
    assert len(history.over(NOW, DAY * 3, 10**6)) == KEPT
    assert len(history.over(NOW, HOUR, 10**6)) == 359
    assert len(history.over(NOW, DAY, 288)) <= 289


def test_a_short_outage_is_seen_in_a_day_and_its_numbers_add_up() -> None:
    history = SampleHistory()
    for number in range(8_000, 0, -1):
        history.add(sample(timedelta(seconds=10 * number), needs_you=7 if number == 4_000 else 0))
    shown = history.over(NOW, DAY, 120)
    assert max(each.needs_you for each in shown) == 7
    assert {each.can_send + each.cannot_send + each.stopped for each in shown} == {10}


def test_while_nobody_looked_there_is_a_gap_in_the_line() -> None:
    points = [(NOW - timedelta(minutes=minutes), 1.0) for minutes in (50, 49.9, 10, 9.9)]
    drawn = charts.line(charts.Window(NOW), charts.Series("ink", points), charts.Series("bad", []), "says")
    assert drawn.count("<polyline") == 2
    whole = charts.line(
        charts.Window(NOW, DAY, timedelta(minutes=15)), charts.Series("ink", points), charts.Series("bad", []), ""
    )
    assert whole.count("<polyline") == 1


def test_moves_are_counted_by_minute_and_cause_and_forgotten_after_a_day() -> None:
    kept = MoveHistory()
    kept.note([move(1, timedelta(minutes=5)), move(2, timedelta(minutes=5)), move(3, DAY)], NOW)
    kept.note([move(4, timedelta(hours=2), MoveKind.MIGRATION), move(5, HOUR, MoveKind.PLACEMENT)], NOW)
    [(_, counted)] = kept.over(NOW, HOUR, timedelta(minutes=1))
    assert counted == {Cause.LOST: 2}
    in_a_day = kept.over(NOW, DAY, timedelta(minutes=10))
    assert sum(each.total() for _, each in in_a_day) == 3
    kept.note([], NOW + DAY)
    assert kept.over(NOW + DAY, DAY, timedelta(minutes=10)) == []
    many = (move(number, timedelta(seconds=number % 86_000)) for number in range(100_000))
    kept = MoveHistory()
    kept.note(many, NOW)
    assert len(kept.over(NOW, DAY, timedelta(minutes=1))) <= MINUTES_KEPT


@pytest.mark.parametrize("span", ["", "24h"])
async def test_now_plots_an_hour_or_a_day(api: Api, span: str) -> None:
    await api.account()
    await settled(api, "/now", "Sends per second")
    shown = unescape((await page(api, f"/now?span={span}")).text)
    assert shown.count('role="img"') >= 3
    assert ("in the day" in shown) == (span == "24h")
    assert re.search(rf'href="/now\?span=24h"{" aria-current=.true." if span else ""}', shown)
    assert "Sends per second" not in (await page(api, "/now", "reader")).text, "that is the whole fleet's"


def test_an_unknown_time_is_an_hour() -> None:
    assert plots.window_of(NOW, "<script>").span == HOUR
