"""What instances reported, on every store: once, in order, and each workspace's for itself."""

import asyncio
from dataclasses import replace
from datetime import timedelta
from itertools import count
from typing import Any

import pytest
from fleets import ONE, TWO, A, B, change, new_account, placed_account
from sqlalchemy import Connection, text

from clocks import SteppedClock
from homing.decide.reports import meanings, settling
from homing.model.fleet import InstanceUrl, SessionId
from homing.model.instances.events import IntakeResult, Report, Signed, Taken
from homing.model.sends.messages import MessageRecord, MessageState
from homing.ports import EventsStored, Notice, Page
from homing.store.db.database import Database
from homing.store.directory.directory import SqlDirectory
from homing.store.notices.notices import LocalNotices
from homing.store.records.reports import SqlEvents
from homing.store.sends.messages import SqlMessages
from homing.store.sends.unknown_sends import settle_by_event

S = SessionId("session-1")
READY = Report("session_ready", {"session_id": S, "phone_number": "62811"}, S, A)


class Store:
    """The store, with what every call needs."""

    def __init__(self, events: SqlEvents, clock: SteppedClock) -> None:
        self.events, self.clock, self._numbers = events, clock, count(1)

    async def take(self, report: Report, signature: str | None = None) -> Taken:
        now = self.clock.now()
        return await self.events.store(
            report,
            event_id=f"event-{next(self._numbers)}",
            at=now,
            meaning=meanings.meaning(report),
            signed=Signed(signature, now + timedelta(seconds=600)) if signature else None,
            sign=settling.sign_of(report.kind, report.session_id, report.data),
        )

    async def kinds(self, workspace: Any = None, **wanted: Any) -> list[str]:
        return [event.kind for event in await self.events.page(workspace, Page(0, 100), **wanted)]


@pytest.fixture
def store(database: Database, local_notices: LocalNotices, clock: SteppedClock) -> Store:
    return Store(SqlEvents(database, local_notices), clock)


def said(n: int, session: SessionId | None = S) -> Report:
    return Report("typing_indicator", {"n": n}, session, A)


async def test_an_event_reads_back_as_it_was_told(store: Store, directory: SqlDirectory) -> None:
    account = await placed_account(directory, 1)
    report = replace(READY, data={"text": "Halo 👋\0", "n": [1, None, 2.5]}, occurred_at=store.clock.now())
    taken = await store.take(report)
    [event] = await store.events.page(None, Page(0, 10))
    assert taken == Taken(IntakeResult.ACCEPTED, event.id, event)
    assert (event.kind, event.payload, event.occurred_at) == (report.kind, report.data, report.occurred_at)
    assert (event.session_id, event.instance_url, event.received_at) == (S, A, store.clock.now())
    assert (event.account_uuid, event.workspace_id) == (account.uuid, ONE)


async def test_a_storm_of_reports_is_stored_whole_and_leaves_room_for_others(
    store: Store, directory: SqlDirectory
) -> None:
    account = await placed_account(directory, 1)
    storm = asyncio.gather(*(store.take(said(n), f"signature-{n}") for n in range(300)))
    reading = asyncio.gather(*(directory.route_of_session(account.session_id) for _ in range(20)))
    assert all(await reading)
    assert [each.result for each in await storm] == [IntakeResult.ACCEPTED] * 300
    assert len(await store.kinds()) == 100, "a page"
    assert await store.events.last_sequence() >= 300


async def test_numbers_rise_and_every_gateway_is_told_the_newest(
    store: Store, heard: list[Notice], directory: SqlDirectory
) -> None:
    assert await store.events.last_sequence() == 0
    taken = [await store.take(said(n)) for n in range(3)]
    numbers = [each.event.sequence for each in taken if each.event is not None]
    assert numbers == sorted(set(numbers))
    assert heard == [EventsStored(number) for number in numbers]
    assert await store.events.last_sequence() == numbers[-1]


async def test_the_number_of_a_forgotten_event_is_not_given_out_again(store: Store) -> None:
    first = await store.take(said(1))
    store.clock.advance(10)
    assert await store.events.prune(store.clock.now(), keep_since=store.clock.now(), limit=10) == 1
    second = await store.take(said(2))
    assert first.event is not None
    assert second.event is not None
    assert second.event.sequence > first.event.sequence


async def test_whose_an_event_is_comes_from_our_directory(store: Store, directory: SqlDirectory) -> None:
    await directory.create_account(new_account(1))
    await directory.create_account(new_account(2, workspace=TWO))
    await store.take(replace(READY, data={"workspace_id": 2}))
    await store.take(replace(READY, kind="two", session_id=SessionId("session-2")))
    await store.take(replace(READY, kind="stranger", session_id=SessionId("nobody's")))
    await store.take(replace(READY, kind="nameless", session_id=None))
    assert await store.kinds(ONE) == ["session_ready"]
    assert await store.kinds(TWO) == ["two"]
    assert await store.kinds(None) == ["session_ready", "two", "stranger", "nameless"]


async def test_pages_filter_and_go_on_where_they_ended(store: Store, directory: SqlDirectory) -> None:
    account = await placed_account(directory, 1)
    for n in range(5):
        await store.take(said(n))
    await store.take(said(9, SessionId("other")))
    await store.take(READY)
    first = await store.events.page(None, Page(0, 3))
    rest = await store.events.page(None, Page(first[-1].sequence, 100))
    assert [event.payload.get("n") for event in (*first, *rest)] == [0, 1, 2, 3, 4, 9, None]
    assert await store.kinds(kind="session_ready") == ["session_ready"]
    assert len(await store.kinds(session_id=S)) == len(await store.kinds(account_uuid=account.uuid)) == 6
    assert await store.kinds(TWO, session_id=S) == []


async def test_events_are_unseen_until_their_session_was_seen_at_home_after_them(
    store: Store, directory: SqlDirectory
) -> None:
    await placed_account(directory, 1)
    await placed_account(directory, 2)
    await directory.mark_verified([S, SessionId("session-2")], store.clock.now())
    store.clock.advance(1.0)
    await store.take(READY)
    await store.take(replace(READY, session_id=SessionId("session-2")))
    await store.take(said(1))
    await store.take(replace(READY, session_id=SessionId("nobody's")))
    last = await store.events.last_sequence()

    async def unseen(after: int = 0, until: int = last) -> list[str | None]:
        kinds = {"session_ready", "session_disconnected"}
        return [event.session_id for event in await store.events.unseen_since(kinds, after=after, until=until)]

    assert await unseen() == [S, "session-2"]
    assert await unseen(after=1) == ["session-2"]
    assert await unseen(until=1) == [S]
    store.clock.advance(1.0)
    await directory.mark_verified([S], store.clock.now())
    assert await unseen() == ["session-2"]


# --- once ---


async def test_a_replay_is_stored_once(store: Store, heard: list[Notice]) -> None:
    first = await store.take(READY, "sig-1")
    store.clock.advance(120)
    assert await store.take(READY, "sig-1") == Taken(IntakeResult.REPLAY, first.event_id)
    assert await store.kinds() == ["session_ready"]
    assert len(heard) == 1


async def test_a_retry_signed_anew_is_stored_once(store: Store) -> None:
    first = await store.take(READY, "sig-1")
    store.clock.advance(59)
    assert await store.take(READY, "sig-2") == Taken(IntakeResult.DUPLICATE, first.event_id)
    store.clock.advance(60)
    assert await store.take(READY, "sig-2") == Taken(IntakeResult.REPLAY, first.event_id)


async def test_the_same_words_later_are_news(store: Store) -> None:
    await store.take(READY, "sig-1")
    store.clock.advance(61)
    assert (await store.take(READY, "sig-2")).result is IntakeResult.ACCEPTED
    store.clock.advance(1)
    assert (await store.take(READY, "sig-3")).result is IntakeResult.DUPLICATE


async def test_a_session_that_came_went_and_came_again_told_three_things(store: Store) -> None:
    gone = replace(READY, kind="session_disconnected")
    for report in (READY, gone, READY, gone):
        assert (await store.take(report)).result is IntakeResult.ACCEPTED
    assert (await store.take(gone)).result is IntakeResult.DUPLICATE


async def test_one_sessions_news_do_not_end_anothers(store: Store) -> None:
    await store.take(READY)
    await store.take(Report("session_disconnected", {}, SessionId("session-2"), A))
    assert (await store.take(READY)).result is IntakeResult.DUPLICATE


async def test_a_message_is_stored_once_for_days_whoever_tells_of_it(store: Store) -> None:
    report = Report("message_received", {"message": {"id": "3EB0AA"}}, S, A)
    await store.take(report)
    store.clock.advance(86_400)
    assert (await store.take(replace(report, instance_url=B))).result is IntakeResult.DUPLICATE


async def test_a_signature_is_forgotten_with_its_time_and_with_a_failed_store(store: Store) -> None:
    await store.take(said(1), "sig-1")
    store.clock.advance(601)
    await store.events.prune(store.clock.now(), keep_since=store.clock.now() - timedelta(days=1), limit=10)
    assert (await store.take(said(2), "sig-1")).result is IntakeResult.ACCEPTED
    with pytest.raises(Exception):  # noqa: B017 - whatever it is, it must leave nothing behind
        await store.take(replace(said(3), data={"n": object()}), "sig-2")
    assert (await store.take(said(4), "sig-2")).result is IntakeResult.ACCEPTED


async def test_gateways_told_at_once_store_it_once(store: Store) -> None:
    taken = await asyncio.gather(*(store.take(READY, f"sig-{n}") for n in range(20)))
    assert sorted(each.result for each in taken) == ["accepted"] + ["duplicate"] * 19
    assert len({each.event_id for each in taken}) == 1


async def test_a_reader_misses_nothing_however_many_write(store: Store) -> None:
    """A number that was passed by must not appear afterwards: a stream would never show it."""
    seen: list[int] = []

    async def read_along() -> None:
        while len(seen) < 30:
            seen.extend(event.sequence for event in await store.events.page(None, Page(seen[-1] if seen else 0, 100)))
            await asyncio.sleep(0)

    async with asyncio.timeout(20):
        await asyncio.gather(read_along(), *(store.take(said(n)) for n in range(30)))
    assert len(set(seen)) == 30


async def test_pruning_takes_the_old_a_few_at_a_time(store: Store) -> None:
    for n in range(5):
        await store.take(said(n))
    store.clock.advance(100)
    await store.take(said(9))
    keep_since = store.clock.now() - timedelta(seconds=50)
    assert [await store.events.prune(store.clock.now(), keep_since=keep_since, limit=3) for _ in range(3)] == [3, 2, 0]
    assert [event.payload["n"] for event in await store.events.page(None, Page(0, 100))] == [9]


async def test_the_newest_of_a_kind_is_found_by_who_told_it(store: Store) -> None:
    for n in range(2):
        await store.take(Report("qr_code_generated", {"qr_code": f"code-{n}"}, S, A))
    await store.take(Report("qr_code_generated", {"qr_code": "another's"}, S, B))
    await store.take(said(1))
    found = await store.events.newest(S, "qr_code_generated", told_by=A)
    assert found is not None
    assert found.payload == {"qr_code": "code-1"}
    assert await store.events.newest(SessionId("other"), "qr_code_generated", told_by=A) is None
    assert await store.events.newest(S, "qr_code_generated", told_by=InstanceUrl("http://c:3001")) is None


# --- settling ---


def unknown(clock: SteppedClock, account_uuid: Any, uuid: str = "0190-1", **more: Any) -> MessageRecord:
    record = MessageRecord(
        uuid=uuid,
        workspace_id=ONE,
        account_uuid=account_uuid,
        message_id="3EB0AA",
        recipient_phone="62811801641",
        text="hello",
        state=MessageState.UNKNOWN,
        code="unknown",
        reason="the reply did not come",
        attempts=1,
        instance_url=A,
        created_at=clock.now(),
        updated_at=clock.now(),
    )
    return replace(record, **more)


SENT = Report(
    "message_sent", {"message": {"id": "true_62811801641@c.us_3EB0FF", "to": "62811801641@c.us", "body": "hello"}}, S, A
)


@pytest.mark.parametrize("event_first", [True, False])
async def test_an_unknown_send_is_settled_whichever_is_stored_first(
    store: Store, messages: SqlMessages, directory: SqlDirectory, event_first: bool
) -> None:
    account = await placed_account(directory, 1)
    record = unknown(store.clock, account.uuid)
    if event_first:
        taken = await store.take(SENT)
        await messages.record(record)
    else:
        await messages.record(record)
        taken = await store.take(SENT)
    found = await messages.message(ONE, record.uuid)
    assert found is not None
    assert (found.state, found.code, found.message_id) == (MessageState.SENT, None, "true_62811801641@c.us_3EB0FF")
    assert found.reason.endswith(f"(event {taken.event_id})")


async def test_how_many_reports_may_tell_of_a_send_costs_no_more_statements(
    store: Store, messages: SqlMessages, directory: SqlDirectory, statements: list[str]
) -> None:
    """Whoever records it has the turn, and all who store reports wait."""
    account = await placed_account(directory, 1)
    taken: list[int] = []
    for many, uuid in ((1, "0190-1"), (20, "0190-2")):
        for n in range(many):
            other = {"message": {"id": f"3EB0{uuid}{n}", "to": "62811801641@c.us", "body": f"another {n}"}}
            await store.take(Report("message_sent", other, S, A))
        before = len(statements)
        await messages.record(unknown(store.clock, account.uuid, uuid, message_id=f"3EB0AA{uuid}"))
        taken.append(len(statements) - before)
    assert taken[0] == taken[1] <= 12


async def test_a_send_recorded_while_its_report_is_being_stored_is_settled(
    store: Store,
    messages: SqlMessages,
    directory: SqlDirectory,
    database: Database,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    account = await placed_account(directory, 1)
    looked = asyncio.Event()

    def look_and_dawdle(connection: Connection, *rest: Any) -> None:
        settle_by_event(connection, *rest)
        loop.call_soon_threadsafe(looked.set)
        if database.dialect == "postgresql":
            connection.execute(text("SELECT pg_sleep(0.2)"))

    loop = asyncio.get_running_loop()
    monkeypatch.setattr("homing.store.records.reports.settle_by_event", look_and_dawdle)
    storing = asyncio.create_task(store.take(SENT))
    await looked.wait()
    await messages.record(unknown(store.clock, account.uuid))
    await storing
    found = await messages.message(ONE, "0190-1")
    assert found is not None
    assert found.state is MessageState.SENT


async def test_one_message_settles_one_send_however_often_it_is_told_of(
    store: Store, messages: SqlMessages, directory: SqlDirectory
) -> None:
    account = await placed_account(directory, 1)
    for uuid in ("0190-1", "0190-2"):
        await messages.record(unknown(store.clock, account.uuid, uuid, message_id=f"3EB0{uuid}"))
    await store.take(SENT)
    await store.take(
        replace(SENT, kind="message_received", data={"message": {**SENT.data["message"], "from_me": True}})
    )
    await messages.record(unknown(store.clock, account.uuid, "0190-3", message_id="3EB03"))
    found = await messages.messages(ONE, before=None, limit=10)
    assert sorted(message.state for message in found) == ["sent", "unknown", "unknown"]


HIDDEN = Report(
    "message_sent", {"message": {"id": "true_998877@lid_3EB0FF", "to": "998877@lid", "body": "hello"}}, S, A
)


@pytest.mark.parametrize("event_first", [True, False])
@pytest.mark.parametrize(("candidates", "states"), [(1, ["sent"]), (2, ["unknown", "unknown"])])
async def test_a_report_of_a_hidden_number_settles_the_only_send_it_can_be_of(
    store: Store, messages: SqlMessages, directory: SqlDirectory, event_first: bool, candidates: int, states: list[str]
) -> None:
    account = await placed_account(directory, 1)
    records = [
        unknown(store.clock, account.uuid, f"0190-{n}", message_id=f"3EB0{n}", recipient_phone=f"6281180164{n}")
        for n in range(candidates)
    ]
    *earlier, last = records
    for record in earlier:
        await messages.record(record)
    if event_first:
        await store.take(HIDDEN)
        await messages.record(last)
    else:
        await messages.record(last)
        await store.take(HIDDEN)
    found = await messages.messages(ONE, before=None, limit=10)
    settled_first = event_first and candidates == 2
    assert sorted(message.state for message in found) == (["sent", "unknown"] if settled_first else states)


async def test_an_ack_of_another_accounts_session_settles_nothing(
    store: Store, messages: SqlMessages, directory: SqlDirectory
) -> None:
    account = await placed_account(directory, 1)
    other = await placed_account(directory, 2)
    await messages.record(unknown(store.clock, account.uuid))
    await store.take(Report("message_delivered", {"message_id": "3EB0AA"}, other.session_id, A))
    await store.take(Report("message_delivered", {"message_id": "3EB0AA"}, SessionId("nobody's"), A))
    found = await messages.message(ONE, "0190-1")
    assert found is not None
    assert found.state is MessageState.UNKNOWN


async def test_the_accounts_of_sessions_are_found_in_one_read(
    directory: SqlDirectory, statements: list[str], store: Store
) -> None:
    first, second = await placed_account(directory, 1), await placed_account(directory, 2)
    assert await directory.rebind([change(second.placement, B, 2)])
    statements.clear()
    found = await directory.accounts_of([second.session_id, first.session_id, SessionId("nobody's")])
    assert [account.id for account in found] == [first.id, second.id]
    assert found[1].placement.instance_url == B
    assert len(statements) == 1
