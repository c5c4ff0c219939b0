"""The alerts that stand, on every store."""

import pytest
from fleets import A

from clocks import PassTime, SteppedClock
from homing.model.alerts import Alert, AlertKind, Subject
from homing.model.fleet import SessionId
from homing.ports import AlertsChanged, Notice
from homing.store.db.database import Database
from homing.store.notices.notices import LocalNotices
from homing.store.records.alerts import SqlAlerts

SESSION = Subject.session(SessionId("webjs_1_a"))
INSTANCE = Subject.instance(A)


@pytest.fixture
def alerts(database: Database, local_notices: LocalNotices) -> SqlAlerts:
    return SqlAlerts(database, local_notices)


def alert(kind: AlertKind, subject: Subject, clock: SteppedClock, reason: str = "because") -> Alert:
    return Alert(kind, subject, reason, clock.now())


async def test_what_was_raised_stands_until_it_is_resolved(alerts: SqlAlerts, clock: SteppedClock) -> None:
    gone = alert(AlertKind.INSTANCE_GONE, INSTANCE, clock)
    clock.advance(1)
    twice = alert(AlertKind.DUPLICATE_HOLDER, SESSION, clock)
    await alerts.change([twice, gone], [])
    assert await alerts.standing(limit=10) == [gone, twice]
    await alerts.change([], [(INSTANCE, AlertKind.INSTANCE_GONE), (SESSION, AlertKind.INSTANCE_GONE)])
    assert await alerts.standing(limit=10) == [twice]


async def test_one_that_stands_keeps_its_beginning_and_takes_the_new_reason(
    alerts: SqlAlerts, clock: SteppedClock
) -> None:
    first = alert(AlertKind.DUPLICATE_HOLDER, SESSION, clock, "on a and b")
    await alerts.change([first], [])
    clock.advance(60)
    await alerts.change([alert(AlertKind.DUPLICATE_HOLDER, SESSION, clock, "on a and c")], [])
    [standing] = await alerts.standing(limit=10)
    assert (standing.reason, standing.raised_at) == ("on a and c", first.raised_at)


async def test_what_is_raised_and_resolved_at_once_stands(alerts: SqlAlerts, clock: SteppedClock) -> None:
    again = alert(AlertKind.DUPLICATE_HOLDER, SESSION, clock)
    await alerts.change([again], [(SESSION, AlertKind.DUPLICATE_HOLDER)])
    assert await alerts.standing(limit=10) == [again]


async def test_every_gateway_hears_of_a_change(alerts: SqlAlerts, clock: SteppedClock, heard: list[Notice]) -> None:
    await alerts.change([], [])
    assert heard == []
    await alerts.change([alert(AlertKind.INSTANCE_GONE, INSTANCE, clock)], [])
    assert heard == [AlertsChanged()]


async def test_the_oldest_are_read_first_up_to_the_limit(alerts: SqlAlerts, clock: SteppedClock) -> None:
    raised = []
    for number in range(5):
        raised.append(alert(AlertKind.NO_CAPACITY, Subject.session(SessionId(f"s{number}")), clock))
        clock.advance(1)
    await alerts.change(raised[::-1], [])
    assert await alerts.standing(limit=3) == raised[:3]


async def test_what_a_gateway_says_no_more_stands_no_more_and_nothing_else_is_touched(
    alerts: SqlAlerts, clock: SteppedClock, pass_time: PassTime
) -> None:
    here, there = Subject.gateway("a:8000"), Subject.gateway("b:8000")
    slow = [alert(AlertKind.DATABASE_SLOW, each, clock) for each in (here, there)]
    gone = alert(AlertKind.INSTANCE_GONE, INSTANCE, clock)
    await alerts.change([*slow, gone], [])
    await alerts.affirm([(here, AlertKind.DATABASE_SLOW), (there, AlertKind.DATABASE_SLOW)])
    await pass_time(60)
    await alerts.affirm([(here, AlertKind.DATABASE_SLOW)])
    await pass_time(60)
    assert await alerts.expire(after_s=90) == [(there, AlertKind.DATABASE_SLOW)]
    assert {each.subject for each in await alerts.standing(limit=9)} == {here, INSTANCE}
    assert await alerts.expire(after_s=90) == []
