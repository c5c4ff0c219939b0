"""What customers are told is stored with what it tells of, on every store: both, or neither."""

import asyncio
from itertools import count
from typing import Any

import pytest
from fleets import ONE, TWO, A, B, change, placed_account

from clocks import SteppedClock
from homing.decide.reports import meanings, settling
from homing.model.deliveries.deliveries import Delivery, DeliveryState, Fact
from homing.model.deliveries.endpoints import EndpointId, EndpointSettings, EndpointState, SealedSecret
from homing.model.fleet import SessionId, WorkspaceId
from homing.model.instances.events import Report
from homing.ports import EventsStored, Notice, Page
from homing.ports.deliveries.deliveries import WantedDeliveries
from homing.store.db.database import Database
from homing.store.deliveries.stores import SqlDeliveries, SqlEndpoints
from homing.store.deliveries.telling import append
from homing.store.directory.directory import SqlDirectory
from homing.store.notices.announce import Changes
from homing.store.notices.notices import LocalNotices
from homing.store.records.reports import SqlEvents

S = SessionId("session-1")
_numbers = count(1)


class Tellings:
    """Endpoints and what is stored for them."""

    def __init__(self, database: Database, notices: LocalNotices, clock: SteppedClock) -> None:
        self.database, self.notices, self.clock = database, notices, clock
        self.endpoints, self.deliveries = SqlEndpoints(database), SqlDeliveries(database, notices)
        self.events = SqlEvents(database, notices)

    async def endpoint(self, name: str, workspace: WorkspaceId = ONE, **settings: Any) -> EndpointId:
        made = EndpointSettings(f"https://{name}.example/", **settings)
        return (await self.endpoints.create(EndpointId(name), workspace, made, SealedSecret("k", b"sealed"))).id

    def fact(self, kind: str, session: SessionId | None = S, workspace: WorkspaceId = ONE, **payload: Any) -> Fact:
        return Fact(f"event-{next(_numbers)}", kind, workspace, self.clock.now(), payload, session)

    async def append(self, *facts: Fact) -> None:
        await Changes(self.database, self.notices).make(lambda c: (None, append(c, self.database, facts)))

    async def report(self, kind: str, **data: Any) -> None:
        told = Report(kind, data, S, A)
        await self.events.store(
            told,
            event_id=f"event-{next(_numbers)}",
            at=self.clock.now(),
            meaning=meanings.meaning(told),
            signed=None,
            sign=settling.sign_of(told.kind, told.session_id, told.data),
        )

    async def all(self, endpoint: str | None = None) -> list[Delivery]:
        wanted = WantedDeliveries(endpoint=EndpointId(endpoint) if endpoint else None)
        return list(reversed(await self.deliveries.page(wanted, page=Page(0, 1000))))

    async def types(self) -> list[str]:
        return [each.type for each in await self.all()]


@pytest.fixture
def telling(database: Database, local_notices: LocalNotices, clock: SteppedClock) -> Tellings:
    return Tellings(database, local_notices, clock)


async def test_what_is_rolled_back_was_told_to_nobody(telling: Tellings, heard: list[Notice]) -> None:
    await telling.endpoint("one")

    def fail(connection: Any) -> None:
        append(connection, telling.database, [telling.fact("message_failed", message_id="M1")])
        raise RuntimeError

    with pytest.raises(RuntimeError):
        await telling.database.write(fail)
    assert await telling.all() == []
    assert await telling.events.last_sequence() == 0
    await telling.append(telling.fact("message_failed", message_id="M1", reason="no such number"))
    [delivery] = await telling.all()
    assert (delivery.type, delivery.state, delivery.lane) == ("message.failed", DeliveryState.PENDING, "session-1|")
    assert [each for each in heard if isinstance(each, EventsStored)] == [EventsStored(delivery.sequence)]


async def test_each_endpoint_of_the_workspace_that_wants_it_is_told(telling: Tellings) -> None:
    await telling.endpoint("all")
    await telling.endpoint("moves", events=("session.moved",))
    await telling.endpoint("sessions", events=("session.*",))
    await telling.endpoint("other", workspace=TWO)
    off = await telling.endpoint("off")
    await telling.endpoints.change(off, EndpointSettings("https://off.example/"), EndpointState.DISABLED, "")
    await telling.append(telling.fact("session_moved", to="b"), telling.fact("batch_done", session=None))
    told = sorted((each.endpoint_id, each.type) for each in await telling.all())
    assert told == [
        ("all", "batch.done"),
        ("all", "session.moved"),
        ("moves", "session.moved"),
        ("sessions", "session.moved"),
    ]


async def test_of_what_happens_at_once_in_two_workspaces_each_hears_its_own(telling: Tellings) -> None:
    """Stored in one transaction: their endpoints are looked up together."""
    await telling.endpoint("one")
    await telling.endpoint("two", workspace=TWO)
    kind, message = "message_received", {"id": "M1", "from": "62811@c.us"}
    mine = telling.fact(kind, message=message)
    other = telling.fact(kind, SessionId("session-2"), TWO, message=message)
    await telling.append(mine, other)
    assert [(each.endpoint_id, each.event_id) for each in await telling.all()] == [("one", mine.id), ("two", other.id)]


async def test_a_report_is_told_under_its_events_id(telling: Tellings, directory: SqlDirectory) -> None:
    await placed_account(directory, 1)
    await telling.endpoint("one")
    await telling.report("message_received", message={"id": "M1", "from": "62811@c.us", "body": "hello"})
    [delivery] = await telling.all()
    [event] = await telling.events.page(None, Page(0, 10))
    assert (delivery.event_id, delivery.type, delivery.lane) == (event.id, "message.received", "session-1|62811")


async def test_reports_of_sessions_that_nobody_owns_are_told_to_nobody(telling: Tellings) -> None:
    await telling.endpoint("one")
    await telling.report("message_received", message={"id": "M1", "from": "62811@c.us"})
    assert await telling.all() == []


async def test_what_gateways_tell_in_several_words_is_told_once(telling: Tellings, directory: SqlDirectory) -> None:
    await placed_account(directory, 1)
    await telling.endpoint("one")
    await telling.report("message_sent", message={"id": "M1", "to": "62811@c.us", "from_me": True})
    await telling.report("message_status_updated", message_id="M1", status="sent", ack_level=2)
    await telling.report("message_status_updated", message_id="M1", status="delivered", ack_level=3)
    await telling.report("message_delivered", message_id="M1")
    await telling.report("message_status_updated", message_id="M1", status="read", ack_level=4)
    assert await telling.types() == ["message.sent", "message.delivered", "message.read"]


async def test_a_sessions_status_is_told_when_it_changes(telling: Tellings, directory: SqlDirectory) -> None:
    await placed_account(directory, 1)
    await telling.endpoint("one")
    for code in ("a", "b", "c"):
        await telling.report("qr_code_generated", qr_code=code)
    await telling.report("session_ready", phone_number="62811")
    await telling.report("session_disconnected", reason="LOGOUT")
    await telling.report("session_ready", phone_number="62811")
    assert await telling.types() == ["session.status"] * 4


async def test_numbers_have_no_gap_although_several_append_at_once(telling: Tellings) -> None:
    await telling.endpoint("one", concurrency=1)
    bursts = [
        [telling.fact("message_received", message={"id": f"M{n}-{m}", "from": f"{m % 3}@c.us"}) for m in range(5)]
        for n in range(8)  # no more than there are connections: those wait for each other
    ]
    await asyncio.gather(*(telling.append(*burst) for burst in bursts))
    endpoint = await telling.endpoints.find(EndpointId("one"))
    assert endpoint is not None
    due = await telling.deliveries.due(endpoint, limit=1000, busy=())
    events = [each.event for each in due if each.event is not None]
    assert sorted(each.session_sequence or 0 for each in events) == list(range(1, 41))
    for chat in "012":
        in_chat = [each for each in events if each.chat == chat]
        by_event = [each.chat_sequence for each in sorted(in_chat, key=lambda each: each.sequence)]
        assert by_event == list(range(1, len(in_chat) + 1)), "numbers rise with the events"


async def test_an_event_that_is_stored_already_is_not_told_again(telling: Tellings) -> None:
    await telling.endpoint("one")
    fact = telling.fact("batch_done", session=None)
    await telling.append(fact)
    await telling.append(fact)
    assert len(await telling.all()) == 1


async def test_of_an_ordered_lane_the_first_is_due_alone(telling: Tellings) -> None:
    await telling.endpoint("one", ordered=True)
    await telling.append(
        *(telling.fact("message_received", message={"id": f"M{n}", "from": "a@c.us"}) for n in range(3))
    )
    await telling.append(telling.fact("message_received", message={"id": "M9", "from": "b@c.us"}))
    endpoint = await telling.endpoints.find(EndpointId("one"))
    assert endpoint is not None
    first = await telling.deliveries.due(endpoint, limit=10, busy=())
    assert [each.delivery.lane for each in first] == ["session-1|a", "session-1|b"]
    assert await telling.deliveries.due(endpoint, limit=10, busy=[each.delivery.id for each in first]) == []


async def test_an_endpoint_is_woken_once_however_many_ask(telling: Tellings) -> None:
    await telling.endpoint("one")
    await telling.append(telling.fact("batch_done", session=None))
    await asyncio.gather(*(telling.deliveries.wake("quick", "slow", slow_ms=1000, failures=3) for _ in range(3)))
    from homing.store.work.queue import SqlWork

    work = SqlWork(telling.database, telling.notices)
    [job] = await work.claim("quick", owner="me", limit=10, lease_s=30)
    assert job.payload == {"endpoint": "one"}


async def test_ended_deliveries_are_forgotten_with_their_attempts(telling: Tellings, clock: SteppedClock) -> None:
    one = await telling.endpoint("one")
    await telling.append(telling.fact("batch_done", session=None))
    assert await telling.deliveries.disable(one, "a trial") == 1
    assert await telling.deliveries.prune(keep_s=3600, limit=10) == 0
    assert await telling.deliveries.prune(keep_s=-3600, limit=10) == 1
    assert await telling.all() == []


async def test_a_session_that_is_somewhere_else_is_told_of(telling: Tellings, directory: SqlDirectory) -> None:
    account = await placed_account(directory, 1)
    await directory.rebind([change(account.placement, B, 2)])
    assert await telling.all() == [], "nobody listened"
    await telling.endpoint("one", events=("session.moved",))
    after = await directory.account(ONE, id=account.id)
    assert after is not None
    await directory.rebind([change(after.placement, A, 3)])
    [delivery] = await telling.all()
    [event] = await telling.events.page(ONE, Page(0, 10), kind="session_moved")
    assert (delivery.type, delivery.event_id) == ("session.moved", event.id)
    assert (event.payload["from"], event.payload["to"]) == (B, A)
