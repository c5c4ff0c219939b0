"""Keeping the downtime ledger: what is seen is written once, and what could not be written is written later."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from clocks import SteppedClock
from homing.decide.knowledge.downtime import month_of
from homing.decide.knowledge.standing import Standing
from homing.flows.background.downtime import COMPARE_EVERY_S, DowntimeBook
from homing.model.fleet import (
    Account,
    AccountUuid,
    Epoch,
    InstanceUrl,
    Placement,
    PlacementState,
    SessionStatus,
    Takeover,
)
from homing.model.ids import SessionId, WorkspaceId
from homing.model.sends.sending import FailureCode, NotSent
from homing.model.sessions.downtime import Outage
from homing.ports import Page, StoreUnavailable
from homing.store.db.database import Database
from homing.store.records.downtime import SqlDowntime

S = SessionId("s1")


def account(clock: SteppedClock, session: SessionId = S, number: int = 1) -> Account:
    placement = Placement(session, InstanceUrl("http://a"), Epoch(3), PlacementState.HELD)
    uuid, workspace = AccountUuid(f"u{number}"), WorkspaceId(1)
    known = (placement, SessionStatus.CONNECTED, Takeover.AUTO, clock.now())
    return Account(number, uuid, workspace, "62811", "Shop", *known)


async def written(database: Database, clock: SteppedClock) -> list[tuple[str, float | None, bool]]:
    month = month_of(clock.now())
    found = await SqlDowntime(database).between(month.begins, month.ends, None, Page())
    return [
        (
            each.reason,
            None if each.ended_at is None else (each.ended_at - each.began_at).total_seconds(),
            each.continues,
        )
        for each in found
    ]


@pytest.fixture
def book(database: Database, clock: SteppedClock) -> DowntimeBook:
    return DowntimeBook(SqlDowntime(database), clock)


async def test_an_outage_is_written_as_it_begins_changes_and_ends(
    book: DowntimeBook, database: Database, clock: SteppedClock
) -> None:
    who = account(clock)
    book.stands(who, SessionStatus.CONNECTED, Standing.CONNECTED)
    book.stands(who, SessionStatus.DISCONNECTED, Standing.FAILED)
    await book.write()
    assert await written(database, clock) == [("failed", None, False)]
    clock.advance(30)
    book.stands(who, SessionStatus.UNKNOWN, Standing.MOVING)
    await book.write()
    clock.advance(5)
    book.stands(who, SessionStatus.CONNECTED, Standing.CONNECTED)
    await book.write()
    assert await written(database, clock) == [("failed", 30.0, False), ("moving", 5.0, True)]


async def test_what_the_store_did_not_take_is_written_when_it_is_back(
    book: DowntimeBook, database: Database, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("refused")

    who = account(clock)
    book.stands(who, SessionStatus.DISCONNECTED, Standing.FAILED)
    book.sent(S, NotSent(FailureCode.SESSION_NOT_READY, "", 1))
    with monkeypatch.context() as patched:
        patched.setattr(SqlDowntime, "note", away)
        with pytest.raises(StoreUnavailable):
            await book.write()
    await book.write()
    await book.write()
    assert await written(database, clock) == [("failed", None, False)]
    assert await SqlDowntime(database).failed_sends(month_of(clock.now()).begins, {S}) == {S: 1}


async def test_what_another_gateway_did_not_live_to_end_is_ended(
    book: DowntimeBook, database: Database, clock: SteppedClock
) -> None:
    began = clock.now() - timedelta(seconds=COMPARE_EVERY_S)
    left = [Outage(SessionId(f"s{n}"), n, WorkspaceId(1), "failed", began) for n in (1, 2, 3)]
    await SqlDowntime(database).note({}, left, {}, at=clock.now())
    book.stands(account(clock), SessionStatus.CONNECTED, Standing.CONNECTED)
    book.stands(account(clock, SessionId("s2"), 2), SessionStatus.DISCONNECTED, Standing.FAILED)
    await book.write()
    assert len(await SqlDowntime(database).lasting()) == 3, "not everything is known yet"
    book.all_told()
    await book.write()
    assert [each.session_id for each in await SqlDowntime(database).lasting()] == ["s2"]


async def test_a_deleted_account_is_down_no_longer(book: DowntimeBook, database: Database, clock: SteppedClock) -> None:
    book.stands(account(clock), SessionStatus.DISCONNECTED, Standing.FAILED)
    await book.write()
    clock.advance(10)
    book.gone(S)
    await book.write()
    assert await written(database, clock) == [("failed", 10.0, False)]


@pytest.mark.parametrize(
    ("code", "counts"),
    [
        (FailureCode.SESSION_NOT_READY, True),
        (FailureCode.NO_CAPACITY, True),
        (FailureCode.MESSAGE_REJECTED, False),
        (FailureCode.SESSION_STOPPED, False),
    ],
)
async def test_only_what_the_session_failed_to_send_counts(
    book: DowntimeBook, database: Database, clock: SteppedClock, code: FailureCode, counts: bool
) -> None:
    book.sent(S, NotSent(code, "", 1))
    await book.write()
    failed = await SqlDowntime(database).failed_sends(month_of(clock.now()).begins, {S})
    assert failed == ({S: 1} if counts else {})


def test_nothing_is_told_of_an_account_that_never_was_anywhere(book: DowntimeBook, clock: SteppedClock) -> None:
    who = account(clock)
    nowhere = replace(who, placement=replace(who.placement, instance_url=None, epoch=Epoch(0)))
    book.stands(nowhere, SessionStatus.UNKNOWN, Standing.UNKNOWN)
    assert book._begun == {}


async def test_an_outage_between_two_writes_is_written_as_a_whole(
    book: DowntimeBook, database: Database, clock: SteppedClock
) -> None:
    who = account(clock)
    book.stands(who, SessionStatus.DISCONNECTED, Standing.FAILED)
    clock.advance(0.4)
    book.stands(who, SessionStatus.UNKNOWN, Standing.MOVING)
    clock.advance(0.3)
    book.stands(who, SessionStatus.CONNECTED, Standing.CONNECTED)
    await book.write()
    assert await written(database, clock) == [("failed", 0.4, False), ("moving", 0.3, True)]


async def test_what_two_gateways_saw_between_two_writes_is_one_outage(
    book: DowntimeBook, database: Database, clock: SteppedClock
) -> None:
    other, who = DowntimeBook(SqlDowntime(database), clock), account(clock)
    for each in (book, other):
        each.stands(who, SessionStatus.DISCONNECTED, Standing.FAILED)
        clock.advance(0.01)
    clock.advance(0.4)
    for each in (book, other):
        each.stands(who, SessionStatus.CONNECTED, Standing.CONNECTED)
        await each.write()
    assert [(reason, continues) for reason, _, continues in await written(database, clock)] == [("failed", False)]


async def test_what_ends_while_its_beginning_is_written_ends_in_the_ledger_too(
    book: DowntimeBook, database: Database, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    who, note = account(clock), SqlDowntime.note

    async def meanwhile(*given: Any, **told: Any) -> None:
        await note(*given, **told)
        monkeypatch.setattr(SqlDowntime, "note", note)
        clock.advance(2)
        book.stands(who, SessionStatus.CONNECTED, Standing.CONNECTED)

    monkeypatch.setattr(SqlDowntime, "note", meanwhile)
    book.stands(who, SessionStatus.DISCONNECTED, Standing.FAILED)
    await book.write()
    await book.write()
    assert await written(database, clock) == [("failed", 2.0, False)]


async def test_what_ends_while_the_store_goes_away_is_written_when_it_is_back(
    book: DowntimeBook, database: Database, clock: SteppedClock, monkeypatch: pytest.MonkeyPatch
) -> None:
    who = account(clock)

    async def away(*_: object, **__: object) -> None:
        clock.advance(2)
        book.stands(who, SessionStatus.CONNECTED, Standing.CONNECTED)
        raise StoreUnavailable("refused")

    book.stands(who, SessionStatus.DISCONNECTED, Standing.FAILED)
    with monkeypatch.context() as patched:
        patched.setattr(SqlDowntime, "note", away)
        with pytest.raises(StoreUnavailable):
            await book.write()
    await book.write()
    assert await written(database, clock) == [("failed", 2.0, False)]
