"""What is heard of sessions, on every store."""

from dataclasses import replace
from datetime import datetime, timedelta

import pytest
from fleets import A, B, placed_account

from clocks import SteppedClock
from homing.decide.hearing import judgment, outgoing
from homing.model.fleet import Epoch, MoveKind, Rebinding, SessionId, SessionStatus
from homing.model.sessions.hearing import (
    DeepLook,
    HeardHour,
    HeardNews,
    HeardOf,
    Hearing,
    HearingCase,
    HearingRecord,
    Outgoing,
    Rung,
    Shows,
    TriedRung,
)
from homing.store.db.database import Database
from homing.store.directory.directory import SqlDirectory
from homing.store.records.hearing import SqlHearings

ONE = SessionId("session-1")


@pytest.fixture
def hearings(database: Database) -> SqlHearings:
    return SqlHearings(database)


async def connected(directory: SqlDirectory, number: int) -> SessionId:
    account = await placed_account(directory, number)
    await directory.set_status(account.session_id, SessionStatus.CONNECTED)
    return account.session_id


async def case_of(hearings: SqlHearings, session: SessionId = ONE) -> HearingCase:
    found = await hearings.case(session)
    assert found is not None
    return found


def sent(at: datetime, *more: int) -> HeardNews:
    moments = tuple(at + timedelta(seconds=after) for after in (0, *more))
    return HeardNews(ONE, sent=len(moments), unacknowledged=moments)


async def test_only_sessions_that_are_connected_where_they_are_held_are_judged(
    hearings: SqlHearings, directory: SqlDirectory
) -> None:
    await connected(directory, 1)
    other = await placed_account(directory, 2)
    await directory.set_status(other.session_id, SessionStatus.PAIRING)
    assert [each.session_id for each in await hearings.cases()] == [ONE]
    case = await case_of(hearings)
    assert (case.instance_url, case.record.hearing, case.last_at, case.version) == (A, Hearing.HEARING, None, 0)
    assert await hearings.case(SessionId("session-2")) is None


async def test_what_several_gateways_heard_adds_up(
    hearings: SqlHearings, directory: SqlDirectory, clock: SteppedClock
) -> None:
    await connected(directory, 1)
    now = clock.now()
    await hearings.note([HeardNews(ONE, now, {100: (3, 60.0), 101: (1, 900.0)})])
    await hearings.note([HeardNews(ONE, now - timedelta(minutes=5), {101: (4, 120.0)})])
    assert (await case_of(hearings)).last_at == now, "an older one does not take it back"
    found = await hearings.hours([ONE, SessionId("nobody")], since=101)
    assert found == {ONE: [HeardHour(101, 5, 900.0)]}
    assert [each.hour for each in (await hearings.hours([ONE], since=0))[ONE]] == [100, 101]


async def test_what_was_heard_of_many_sessions_is_noted_by_as_few_statements_as_of_one(
    hearings: SqlHearings, directory: SqlDirectory, clock: SteppedClock, statements: list[str]
) -> None:
    """Another gateway that notes waits for the rows meanwhile."""
    now, many = clock.now(), [await connected(directory, number) for number in range(1, 31)]
    nowhere = SessionId("session-nowhere")
    for round_ in (1, 2):
        of = {session: nth for nth, session in enumerate(many)}
        news = [HeardNews(each, now, {100: (of[each], 60.0 * round_)}, sent=1, unacknowledged=(now,)) for each in of]
        before = len(statements)
        await hearings.note([*reversed(news), HeardNews(nowhere, now, {7: (1, 0.0)})])
        assert len(statements) - before <= 6, "with BEGIN and COMMIT, where they are seen"
    cases = {each.session_id: each for each in await hearings.cases()}
    assert [cases[each].unacknowledged for each in many] == [(now,)] * 30
    found = await hearings.hours([*many, nowhere], since=0)
    assert [found[each] for each in many] == [[HeardHour(100, 2 * nth, 120.0)] for nth in range(30)]
    assert found[nowhere] == [HeardHour(7, 2, 0.0)]


async def test_an_acknowledgement_ends_what_was_unacknowledged_before_it_and_nothing_after(
    hearings: SqlHearings, directory: SqlDirectory, clock: SteppedClock
) -> None:
    await connected(directory, 1)
    now = clock.now()
    await hearings.note([sent(now, 40)])
    case = await case_of(hearings)
    assert [each - now for each in case.unacknowledged] == [timedelta(0), timedelta(seconds=40)]
    assert (case.settled, case.acknowledged) == (0, 0)
    at = now + timedelta(seconds=20)
    await hearings.note([HeardNews(ONE, acknowledged=1, acknowledged_at=at)])
    case = await case_of(hearings)
    assert [each - now for each in case.unacknowledged] == [timedelta(seconds=40)]
    assert (case.acknowledged_at, case.settled, case.acknowledged) == (at, 2, 1)
    await hearings.note([HeardNews(ONE, acknowledged=1, acknowledged_at=at - timedelta(minutes=1))])
    assert (await case_of(hearings)).acknowledged_at == at


async def test_what_went_out_while_nothing_was_acknowledged_is_not_taken_for_usual(
    hearings: SqlHearings, directory: SqlDirectory, clock: SteppedClock
) -> None:
    await connected(directory, 1)
    now = clock.now()
    for each in range(30):
        await hearings.note([sent(now + timedelta(minutes=each))])
    case = await case_of(hearings)
    assert len(case.unacknowledged) == outgoing.KEPT
    assert case.unacknowledged[-1] == now + timedelta(minutes=29), "the newest are remembered"
    await hearings.note([HeardNews(ONE, acknowledged=1, acknowledged_at=now + timedelta(hours=1))])
    case = await case_of(hearings)
    assert (case.settled, case.acknowledged, case.unacknowledged) == (outgoing.SETTLED_AT_ONCE, 1, ())


async def test_a_judgment_by_an_older_record_is_refused(
    hearings: SqlHearings, directory: SqlDirectory, clock: SteppedClock
) -> None:
    await connected(directory, 1)
    before = await case_of(hearings)
    tried = TriedRung(Rung.RESTART, clock.now(), clock.now() + timedelta(seconds=3), "done")
    begun = TriedRung(Rung.ALERT, clock.now())
    deaf = HearingRecord(
        ONE, Hearing.DEAF, "no message", clock.now(), 15.5, frozenset({Shows.SILENCE}), (tried, begun), A
    )
    assert await hearings.keep(deaf, version=before.version)
    assert not await hearings.keep(replace(deaf, hearing=Hearing.HEARING), version=before.version)
    case = await case_of(hearings)
    assert (case.record, case.version) == (deaf, 1)
    assert [each.session_id for each in await hearings.unwell()] == [ONE]
    assert await hearings.keep(replace(deaf, hearing=Hearing.HEARING), version=1)
    assert await hearings.unwell() == []


async def test_the_deeper_question_and_void_hours_are_kept(
    hearings: SqlHearings, directory: SqlDirectory, clock: SteppedClock
) -> None:
    await connected(directory, 1)
    look = DeepLook(clock.now(), 2, clock.now() - timedelta(minutes=5), "not connected")
    await hearings.keep_look(ONE, look)
    assert (await case_of(hearings)).looked == look
    await hearings.note([HeardNews(ONE, clock.now(), {7: (5, 30.0)})])
    await hearings.void(ONE, [6, 7])
    assert (await hearings.hours([ONE], since=0))[ONE] == [HeardHour(6, 0, 0.0, True), HeardHour(7, 5, 30.0, True)]
    assert await hearings.forget(before=7, limit=10) == 1
    assert [each.hour for each in (await hearings.hours([ONE], since=0))[ONE]] == [7]


async def test_a_time_in_which_nobody_listened_begins_it_anew(hearings: SqlHearings, clock: SteppedClock) -> None:
    began = clock.now()
    assert await hearings.listened(began, at_most_s=180) == began
    assert await hearings.listened(began + timedelta(seconds=170), at_most_s=180) == began
    assert await hearings.listened(began + timedelta(seconds=400), at_most_s=180) == began + timedelta(seconds=400)


async def test_an_account_that_moved_between_families_keeps_its_traffic_and_no_acknowledgements_of_the_other(
    hearings: SqlHearings, directory: SqlDirectory, clock: SteppedClock
) -> None:
    await directory.create_instance(A, driver="evolution")
    await directory.create_instance(B, driver="baileys-api")
    account = await placed_account(directory, 1)
    await directory.set_status(ONE, SessionStatus.CONNECTED)
    start = clock.now()
    for number in range(20):
        await hearings.note([sent(start + timedelta(minutes=number))])
        at = start + timedelta(minutes=number, seconds=1)
        await hearings.note([HeardNews(ONE, acknowledged=1, acknowledged_at=at)])
    await hearings.note([HeardNews(ONE, start, {100: (30, 60.0)}), sent(start + timedelta(minutes=30))])
    before = await case_of(hearings)
    assert (before.settled, before.acknowledged, len(before.unacknowledged)) == (20, 20, 1)
    change = Rebinding(account.placement, B, Epoch(9), MoveKind.MIGRATION, "moved")
    assert await directory.rebind([change])
    await directory.set_status(ONE, SessionStatus.CONNECTED)
    moved = await case_of(hearings)
    assert (moved.settled, moved.acknowledged, moved.unacknowledged, moved.looked) == (0, 0, (), None)
    assert moved.last_at == start
    assert await hearings.hours([ONE], since=0) == {ONE: [HeardHour(100, 30, 60.0)]}, "people write to it all the same"
    late = start + timedelta(hours=1)
    await hearings.note([sent(late, 60, 120, 180, 240)])
    after = await case_of(hearings)
    assert outgoing.share(after.settled, after.acknowledged) is None
    known = HeardOf(
        ONE,
        late,
        outgoing=Outgoing(
            after.unacknowledged, after.acknowledged_at, outgoing.share(after.settled, after.acknowledged)
        ),
    )
    assert judgment.judge(known, late + timedelta(minutes=30)).hearing is Hearing.HEARING
    wrong = outgoing.share(before.settled, before.acknowledged)
    as_before = replace(known, outgoing=replace(known.outgoing, acknowledged_share=wrong))
    assert judgment.judge(as_before, late + timedelta(minutes=30)).hearing is Hearing.DEAF, "as the other would be"
