"""The outbox: what was accepted is dispatched once, in order, by one gateway at a time, whoever dies in between."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from msgspec import structs
from outboxes import ACCOUNT, OTHER, W, accepted, claim, ended, new, record
from sqlalchemy import Connection, select, text, update
from sqlalchemy.dialects import sqlite

from clocks import PassTime
from homing.decide.outbox.endings import CHAT_WAITS_S, INTERRUPTIONS_MAX, TRIED_AGAIN_AFTER_S
from homing.model.fleet import SessionId, WorkspaceId
from homing.model.instances.events import DeliveryEvidence
from homing.model.sends.messages import InUse, MessageState
from homing.model.sends.outbox import Accepted, BatchState, InvalidLine, NewBatch, Settle, StateChange
from homing.model.sends.pacing import PaceAsked, PaceGo, PacePolicy, PaceWait, QuietHours
from homing.ports import LaneLost, Notice, OutboxChanged, WorkReady
from homing.store.db.database import Database
from homing.store.db.migrating import migrate
from homing.store.db.opening import open_database
from homing.store.db.schema.outbox import batches
from homing.store.db.schema.tables import messages as m
from homing.store.db.schema.tables import sessions
from homing.store.notices.notices import LocalNotices
from homing.store.outbox.accepting import KIND
from homing.store.outbox.outbox import SqlOutbox, in_state
from homing.store.sends.messages import SqlMessages
from homing.store.sends.unknown_sends import settle_by_event
from homing.store.work.queue import SqlWork


@pytest.fixture
def told() -> list[StateChange]:
    return []


@pytest.fixture
def outbox(database: Database, local_notices: LocalNotices, told: list[StateChange]) -> SqlOutbox:
    def hear(_: Connection, changes: Sequence[StateChange]) -> Sequence[Notice]:
        told.extend(changes)
        return ()

    return SqlOutbox(database, local_notices, hear)


@pytest.fixture
def messages(database: Database) -> SqlMessages:
    return SqlMessages(database)


async def test_what_is_accepted_is_kept_as_it_goes_out(outbox: SqlOutbox, messages: SqlMessages) -> None:
    [uuid] = await accepted(outbox, new("hello"))
    kept = await record(messages, uuid)
    assert (kept.state, kept.text, kept.content) == (MessageState.ACCEPTED, "hello", {"type": "text", "text": "hello"})
    assert kept.message_id.startswith("3EB0")


async def test_one_gateway_at_a_time_has_a_lane(outbox: SqlOutbox, work: SqlWork) -> None:
    await accepted(outbox, new("one"), new("two", chat="62812"))
    await claim(outbox, work)
    assert await work.claim(KIND, owner="gw2", limit=10, lease_s=30) == []


async def test_a_chat_has_one_message_under_way_and_others_go_beside_it(outbox: SqlOutbox, work: SqlWork) -> None:
    await accepted(outbox, new("a1"), new("a2"), new("b1", chat="62812"), new("a3"))
    lane = await claim(outbox, work)
    first = await lane.step()
    assert [each.text.text for each in first.taken] == ["a1", "b1"]
    assert await lane.said(under_way=2) == []
    [a1, b1] = [each.text.uuid for each in first.taken]
    assert await lane.said(ended(b1), under_way=1) == []
    assert await lane.said(ended(a1)) == ["a2"]


async def test_a_lane_with_nothing_left_ends_and_begins_again(outbox: SqlOutbox, work: SqlWork) -> None:
    [uuid] = await accepted(outbox, new("one"))
    lane = await claim(outbox, work)
    await lane.step()
    assert (await lane.step(ended(uuid))).over
    assert await work.claim(KIND, owner="gw2", limit=10, lease_s=30) == []
    await accepted(outbox, new("two"))
    assert await (await claim(outbox, work)).said() == ["two"]


async def test_what_is_accepted_while_its_lane_is_worked_on_is_found_by_the_next_step(
    outbox: SqlOutbox, work: SqlWork, heard: list[Notice]
) -> None:
    [uuid] = await accepted(outbox, new("one"))
    lane = await claim(outbox, work)
    await lane.step()
    heard.clear()
    await accepted(outbox, new("two"))
    assert OutboxChanged(ACCOUNT) in heard
    step = await lane.step(ended(uuid))
    assert ([each.text.text for each in step.taken], step.over) == (["two"], False)


async def test_a_lane_that_rests_is_roused_by_what_is_accepted(outbox: SqlOutbox, work: SqlWork) -> None:
    await accepted(outbox, new("tomorrow", after_s=86_400))
    lane = await claim(outbox, work)
    resting = await lane.outbox.advance(_rest(lane))
    assert resting.over
    assert resting.next_due_s == pytest.approx(86_400, abs=5)
    assert await work.claim(KIND, owner="gw1", limit=10, lease_s=30) == []
    await accepted(outbox, new("now"))
    assert await (await claim(outbox, work)).said() == ["now"]


def _rest(lane):  # type: ignore[no-untyped-def]
    from homing.model.sends.outbox import LaneStep

    return LaneStep(lane.claim, free=8, fresh=True, held_for_s=5.0)


async def test_whoever_lost_a_lane_changes_nothing_any_more(
    outbox: SqlOutbox, work: SqlWork, messages: SqlMessages, pass_time: PassTime
) -> None:
    [uuid] = await accepted(outbox, new("one"))
    lost = await claim(outbox, work, lease_s=10)
    await lost.step()
    await pass_time(11)
    lane = await claim(outbox, work, owner="gw2")
    with pytest.raises(LaneLost):
        await lost.step(ended(uuid))
    assert (await record(messages, uuid)).state is MessageState.DISPATCHING
    [again] = (await lane.step()).taken
    assert (again.text.uuid, again.text.repeated) == (uuid, True), "it may have left"
    await lane.step(ended(uuid))
    assert (await record(messages, uuid)).state is MessageState.SENT


async def test_what_was_marked_by_a_step_whose_answer_was_lost_goes_as_if_new(outbox: SqlOutbox, work: SqlWork) -> None:
    await accepted(outbox, new("one"), new("two", chat="62812"))
    lane = await claim(outbox, work)
    [known] = (await lane.step(free=1)).taken
    await lane.step(free=1, under_way=1)  # its answer never came
    step = await lane.step(under_way=1, in_doubt=True, known=frozenset({known.text.uuid}))
    assert [(each.text.text, each.text.repeated) for each in step.taken] == [("two", False)]


async def test_a_message_that_gateways_die_with_is_given_up(
    outbox: SqlOutbox, work: SqlWork, messages: SqlMessages, pass_time: PassTime
) -> None:
    [poison, _] = await accepted(outbox, new("poison"), new("next"))
    for _ in range(INTERRUPTIONS_MAX + 1):
        lane = await claim(outbox, work, lease_s=1)
        assert await lane.said() == ["poison"]
        await pass_time(2)
    lane = await claim(outbox, work)
    assert await lane.said() == ["next"]
    given_up = await record(messages, poison)
    assert (given_up.state, given_up.code) == (MessageState.UNKNOWN, "unknown")


async def test_a_chat_waits_for_its_unknown_message_and_then_goes_on(
    outbox: SqlOutbox, work: SqlWork, messages: SqlMessages, pass_time: PassTime
) -> None:
    [first, _, _] = await accepted(outbox, new("first"), new("second"), new("elsewhere", chat="62812"))
    lane = await claim(outbox, work)
    assert await lane.said() == ["first", "elsewhere"]
    assert await lane.said(ended(first, MessageState.UNKNOWN, "unknown"), under_way=1) == []
    await pass_time(TRIED_AGAIN_AFTER_S + 0.1)
    [again] = (await lane.step(under_way=1)).taken
    assert (again.text.text, again.text.repeated) == ("first", True)
    await lane.step(ended(first, MessageState.UNKNOWN, "unknown"), under_way=1)
    await pass_time(CHAT_WAITS_S)
    assert await lane.said(under_way=1) == ["second"]
    assert (await record(messages, first)).state is MessageState.UNKNOWN


async def test_an_unknown_message_is_settled_by_a_person(
    outbox: SqlOutbox, work: SqlWork, messages: SqlMessages, pass_time: PassTime
) -> None:
    uuids = await accepted(outbox, new("a"), new("b", chat="2"), new("c", chat="3"))
    lane = await claim(outbox, work)
    await lane.step()
    await lane.step(*(ended(uuid, MessageState.UNKNOWN, "unknown") for uuid in uuids))
    await pass_time(CHAT_WAITS_S + 1)
    for uuid, how in zip(uuids, Settle, strict=True):
        assert not await outbox.settle(WorkspaceId(2), uuid, how, "stranger")
        assert await outbox.settle(W, uuid, how, "ann")
        assert not await outbox.settle(W, uuid, Settle.MARK_SENT, "ann")
    states = [(await record(messages, uuid)).state for uuid in uuids]
    assert states == [MessageState.ACCEPTED, MessageState.SENT, MessageState.FAILED]
    [again] = (await lane.step()).taken
    assert (again.text.text, again.text.repeated) == ("a", False), "somebody said so"
    assert "out of order" in (await record(messages, uuids[0])).reason


async def test_what_did_not_leave_is_accepted_still_and_keeps_its_place(outbox: SqlOutbox, work: SqlWork) -> None:
    [first, _] = await accepted(outbox, new("first"), new("second"))
    lane = await claim(outbox, work)
    await lane.step()
    assert await lane.said(ended(first, MessageState.ACCEPTED, "session_unreachable")) == ["first"]


async def test_a_scheduled_message_stands_in_nobodys_way(outbox: SqlOutbox, work: SqlWork, pass_time: PassTime) -> None:
    [_, now] = await accepted(outbox, new("at noon", after_s=60), new("now"))
    lane = await claim(outbox, work)
    assert await lane.said() == ["now"]
    waits = await lane.step(ended(now))
    assert waits.next_due_s == pytest.approx(60, abs=5)
    await pass_time(61)
    assert await lane.said() == ["at noon"]


async def test_what_waited_too_long_expires(
    outbox: SqlOutbox, work: SqlWork, messages: SqlMessages, pass_time: PassTime, told: list[StateChange]
) -> None:
    [old, _] = await accepted(outbox, new("old", max_age_s=10), new("young"))
    await pass_time(11)
    lane = await claim(outbox, work)
    assert await lane.said() == ["young"]
    assert (await record(messages, old)).state is MessageState.EXPIRED
    assert [(each.message_uuid, each.state) for each in told] == [(old, MessageState.EXPIRED)]


async def test_only_what_has_not_left_can_be_taken_back(
    outbox: SqlOutbox, work: SqlWork, messages: SqlMessages
) -> None:
    [first, second] = await accepted(outbox, new("first"), new("second"))
    lane = await claim(outbox, work)
    await lane.step()
    assert not await outbox.cancel(W, first)
    assert not await outbox.cancel(WorkspaceId(2), second)
    assert await outbox.cancel(W, second)
    assert (await record(messages, second)).state is MessageState.CANCELLED
    assert await lane.said(ended(first)) == []


async def test_a_key_is_one_message(outbox: SqlOutbox, messages: SqlMessages) -> None:
    [first] = await outbox.accept_all([new("hi", key="k")])
    again, other = await outbox.accept_all([new("hi", key="k"), new("other", key="k")])
    assert isinstance(first, Accepted)
    assert isinstance(again, InUse)
    assert isinstance(other, InUse)
    assert again.row.answer is not None
    assert again.row.answer.body == {"state": "accepted", "message_uuid": first.message_uuid}
    assert (again.row.fingerprint, other.row.fingerprint) == ("hi", "hi")
    assert len(await outbox.page(W, before=None, limit=10)) == 1


async def test_of_two_with_one_key_that_are_accepted_together_the_second_has_the_first_ones_answer(
    outbox: SqlOutbox, messages: SqlMessages
) -> None:
    await outbox.accept_all([new("old", key="old")])
    first, old, other, again = await outbox.accept_all(
        [new("hi", key="k"), new("old", key="old"), new("another", key="another"), new("hi", key="k")]
    )
    assert isinstance(first, Accepted)
    assert isinstance(other, Accepted)
    assert isinstance(old, InUse)
    assert isinstance(again, InUse)
    assert again.row.answer is not None
    assert again.row.answer.body == {"state": "accepted", "message_uuid": first.message_uuid}
    assert len(await outbox.page(W, before=None, limit=10)) == 3


async def test_a_key_that_a_dead_gateway_sent_under_is_repeated_and_not_new(
    outbox: SqlOutbox, work: SqlWork, messages: SqlMessages, pass_time: PassTime
) -> None:
    one = new("hi", key="k")
    await messages.claim_key(
        W, "k", fingerprint="hi", message_uuid="01900000-0000-7000-8000-00000000dead", owner="gw0", lease_s=5, keep_s=60
    )
    await pass_time(6)
    [taken] = await outbox.accept_all([one])
    assert taken == Accepted("01900000-0000-7000-8000-00000000dead")
    [message] = (await (await claim(outbox, work)).step()).taken
    assert message.text.repeated


async def test_all_that_is_accepted_together_is_kept_or_nothing(outbox: SqlOutbox, heard: list[Notice]) -> None:
    half = new("half")
    unnamed: Any = None
    half = replace(half, text=structs.replace(half.text, message_id=unnamed))
    with pytest.raises(Exception, match=r"NOT NULL|not-null|null value"):
        await outbox.accept_all([new("one", key="k1"), half])
    assert await outbox.page(None, before=None, limit=10) == []
    assert heard == []
    assert isinstance((await outbox.accept_all([new("one", key="k1")]))[0], Accepted), "nor is its key taken"


async def test_a_gateway_that_leaves_writes_down_what_ended(
    outbox: SqlOutbox, work: SqlWork, messages: SqlMessages
) -> None:
    [first, second] = await accepted(outbox, new("first"), new("second"))
    lane = await claim(outbox, work)
    await lane.step()
    assert await lane.said(ended(first), free=0, leaving=True) == []
    assert (await record(messages, first)).state is MessageState.SENT
    assert (await record(messages, second)).state is MessageState.ACCEPTED


async def test_accounts_of_every_workspace_get_their_turn(outbox: SqlOutbox, work: SqlWork) -> None:
    big = [new("x", account=f"big-{n}") for n in range(20)]  # type: ignore[arg-type]
    await accepted(outbox, *big)
    await accepted(outbox, new("small", account=OTHER, workspace=WorkspaceId(2)))
    jobs = await work.claim(KIND, owner="gw1", limit=4, lease_s=30, fair=True)
    assert sorted(job.payload["workspace"] for job in jobs) == [1, 1, 1, 2]
    more = await work.claim(KIND, owner="gw1", limit=4, lease_s=30, fair=True)
    assert [job.payload["workspace"] for job in more] == [1, 1, 1, 1]


async def test_two_gateways_never_have_the_same_lane(outbox: SqlOutbox, work: SqlWork) -> None:
    await accepted(outbox, *(new("x", account=f"acc-{n}") for n in range(30)))  # type: ignore[arg-type]
    claims = await asyncio.gather(
        *(work.claim(KIND, owner=f"gw{n}", limit=20, lease_s=30, fair=True) for n in range(3))
    )
    # Who meets a row that another one is just taking goes past it: what is left is for the next look.
    rest = await work.claim(KIND, owner="gw3", limit=30, lease_s=30, fair=True)
    ids = [job.id for jobs in (*claims, rest) for job in jobs]
    assert len(ids) == len(set(ids)) == 30


async def test_many_accepted_at_once_all_have_places(outbox: SqlOutbox, work: SqlWork, heard: list[Notice]) -> None:
    await asyncio.gather(*(outbox.accept(new(f"{n}", chat=f"{n % 5}")) for n in range(50)))
    assert WorkReady(KIND) in heard
    lane = await claim(outbox, work)
    said: list[str] = []
    done: list[str] = []
    for _ in range(30):
        step = await lane.step(*(ended(uuid) for uuid in done))
        said += [each.text.text for each in step.taken]
        done = [each.text.uuid for each in step.taken]
        if step.over:
            break
    assert sorted(said, key=int) == [str(n) for n in range(50)]
    for chat in range(5):
        in_chat = [int(each) for each in said if int(each) % 5 == chat]
        assert in_chat == sorted(in_chat)


@pytest.mark.parametrize("late", ["sent", "delivered", "read"])
async def test_reports_tell_how_far_a_message_came_and_late_ones_change_nothing(
    outbox: SqlOutbox, work: SqlWork, messages: SqlMessages, database: Database, late: str
) -> None:
    message = new("hi")
    [uuid] = await accepted(outbox, message)
    lane = await claim(outbox, work)
    await lane.step()
    for reached in ("delivered", "read", late):
        evidence = DeliveryEvidence(
            "message_ack", SessionId("s"), f"true_62811@c.us_{message.text.message_id}", "62811", None, reached=reached
        )
        at = message.text.uuid and await database.read(database.now)
        await database.write(lambda c, e=evidence, t=at: settle_by_event(c, e, ACCOUNT, "event", t))  # type: ignore[misc]
        assert (await record(messages, uuid)).state in (MessageState(reached), MessageState.READ)
    await lane.step(ended(uuid, MessageState.UNKNOWN, "unknown"))
    assert (await record(messages, uuid)).state is MessageState.READ, "what was read was sent, whatever the call met"


@pytest.mark.parametrize("paired", ["again", "not yet"])
async def test_after_a_new_pairing_the_old_backlog_waits_for_a_word(
    outbox: SqlOutbox, work: SqlWork, database: Database, messages: SqlMessages, paired: str
) -> None:
    await database.write(lambda c: [c.execute(text(each)) for each in _AN_ACCOUNT])
    [old] = await accepted(outbox, new("old"))
    now = await database.read(database.now)
    status = "connected" if paired == "again" else "logged_out"
    left = sessions.update().values(logout_reported_at=now + timedelta(seconds=1), status=status)
    await database.write(lambda c: c.execute(left))
    lane = await claim(outbox, work)
    if paired == "not yet":
        assert await lane.said() == ["old"], "what its session is, the send finds out"
        return
    assert await lane.said() == []
    assert (await record(messages, old)).state is MessageState.HELD
    young = new("young", chat="62812", after_s=2.0)
    await accepted(outbox, young)
    await database.write(lambda c: c.execute(update(m).where(m.c.uuid == young.text.uuid).values(_later(now))))
    assert await (await claim(outbox, work)).said() == ["young"], "what came after the pairing goes"
    assert await outbox.go(WorkspaceId(2), ACCOUNT) == 0
    assert await outbox.go(W, ACCOUNT) == 1
    assert (await record(messages, old)).state is MessageState.ACCEPTED


def _later(now: datetime) -> dict[str, Any]:
    return {"created_at": now + timedelta(seconds=5), "due_at": now}


_NOW = "'2026-01-01T00:00:00Z'"
_AN_ACCOUNT = [
    f"INSERT INTO workspaces (id, name, created_at) VALUES (1, 'w', {_NOW})",
    (
        "INSERT INTO accounts (id, uuid, workspace_id, phone, name, takeover, created_at)"
        f" VALUES (7, '{ACCOUNT}', 1, '62811', 'a', 'auto', {_NOW})"
    ),
    (
        "INSERT INTO sessions (session_id, account_id, epoch, state, status, updated_at)"
        f" VALUES ('s', 7, 1, 'held', 'connected', {_NOW})"
    ),
]


async def test_a_paced_lane_takes_what_its_pace_allows_and_the_rest_waits(
    outbox: SqlOutbox, work: SqlWork, pass_time: PassTime
) -> None:
    await outbox.set_pace(W, None, PacePolicy(per_minute=2))
    await accepted(outbox, *(new(f"{n}", chat=f"{n}") for n in range(5)))
    lane = await claim(outbox, work)
    step = await lane.step()
    assert [each.text.text for each in step.taken] == ["0", "1"]
    assert "2 messages in a minute" in step.paced
    assert (await outbox.pace(W, ACCOUNT) or {})["left"] == {"minute": 0}
    await pass_time(31)
    if outbox._database.dialect == "sqlite":  # the store's own clock cannot be moved on the other
        assert await lane.said(under_way=2) == ["2"]
    await outbox.set_pace(W, ACCOUNT, PacePolicy(per_day=1_000))
    assert len(await lane.said(under_way=2)) >= 2, "its own pace replaces its workspace's"


async def test_sends_at_the_same_time_take_from_one_pace(outbox: SqlOutbox) -> None:
    assert await outbox.charge(W, ACCOUNT, PaceAsked("1", 9, 0.5)) == PaceGo(), "no pace is set"
    await outbox.set_pace(W, None, PacePolicy(per_day=3, typing_ms_per_char=100))
    answers = await asyncio.gather(*(outbox.charge(W, ACCOUNT, PaceAsked(f"{n}", 9, 0.5)) for n in range(8)))
    refused = [wait for wait in answers if isinstance(wait, PaceWait)]
    assert [each for each in answers if isinstance(each, PaceGo)] == [PaceGo(0.9)] * 3
    assert all("3 messages in a day" in wait.reason and wait.wait_s > 20_000 for wait in refused)
    assert isinstance(await outbox.charge(W, OTHER, PaceAsked("1", 9, 0.5)), PaceGo), "each account has its own"


async def test_who_sleeps_is_not_written_to_and_others_are(
    outbox: SqlOutbox, work: SqlWork, database: Database
) -> None:
    now = (await database.read(database.now)).astimezone(ZoneInfo("America/New_York"))
    minute = now.hour * 60 + now.minute
    await outbox.set_pace(W, ACCOUNT, PacePolicy(quiet=QuietHours((minute - 60) % 1440, (minute + 60) % 1440)))
    await accepted(outbox, new("asleep", chat="12125550123"), new("group", chat="120363041234567890@g.us"))
    lane = await claim(outbox, work)
    assert await lane.said() == ["group"]


async def test_what_ended_long_ago_is_forgotten_and_what_waits_is_not(
    outbox: SqlOutbox, work: SqlWork, messages: SqlMessages, database: Database
) -> None:
    batch = NewBatch(OLD_BATCH, W, "spring", None, None)
    await outbox.begin_batch(batch)
    await outbox.add_to_batch(
        OLD_BATCH, [new("of a batch", chat="4", batch=OLD_BATCH)], [InvalidLine(2, "phone_invalid", "no")]
    )
    await outbox.change_batch(None, OLD_BATCH, BatchState.RUNNING, "")
    sent, waiting, fresh = await accepted(outbox, new("sent"), new("waits", chat="2"), new("fresh", chat="3"))
    lane = await claim(outbox, work)
    step = await lane.step()
    of_batch = next(each.text.uuid for each in step.taken if each.text.text == "of a batch")
    await lane.step(
        ended(sent), ended(of_batch), ended(fresh, MessageState.FAILED), ended(waiting, MessageState.ACCEPTED)
    )
    await outbox.sweep_batches()
    long_ago = await database.read(database.now) - timedelta(days=100)
    aged = update(m).where(m.c.uuid.in_([sent, waiting, of_batch])).values(updated_at=long_ago)
    await database.write(lambda c: c.execute(aged))
    await database.write(lambda c: c.execute(update(batches).values(updated_at=long_ago)))
    gone, parts = 0, 0
    after: str | None = ""
    while after is not None:
        part = await outbox.prune(keep_s=90 * 86_400.0, after=after, limit=2)
        gone, after, parts = gone + part.gone, part.next_after, parts + 1
    assert (gone, parts) == (3, 3), "two messages and their batch, two rows looked at at a time"
    left = {row.text for row in await outbox.page(None, before=None, limit=50)}
    assert left == {"waits", "fresh"}
    assert await outbox.batch(None, OLD_BATCH) is None
    assert await outbox.invalid_lines(OLD_BATCH, after=0, limit=10) == []


OLD_BATCH = "01900000-0000-7000-8000-ba7c40000001"


async def test_what_went_wrong_is_listed_by_an_index_and_not_by_looking_through_all(tmp_path: Path) -> None:
    url = f"sqlite:///{tmp_path}/homing.db"
    await migrate(url)
    database = open_database(url)
    outbox = SqlOutbox(database, LocalNotices())
    explained = select(m.c.uuid).where(*in_state(MessageState.UNKNOWN)).order_by(m.c.uuid.desc()).limit(50)
    written = str(explained.compile(dialect=sqlite.dialect(), compile_kwargs={"literal_binds": True}))
    rows = await database.read(lambda c: c.execute(text(f"EXPLAIN QUERY PLAN {written}")).all())
    assert any("messages_state_idx" in row.detail for row in rows), rows
    assert await outbox.page(None, before=None, limit=50, state=MessageState.UNKNOWN) == []
    await outbox.close()
    await database.close()
