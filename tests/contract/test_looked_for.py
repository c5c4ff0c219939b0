"""Unknown messages that are looked for in their chats, on both stores: the job comes with the word that they are."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from outboxes import ACCOUNT, OTHER, W, accepted, claim, ended, new, record

from homing.decide.sending.history import KIND, LOOKED_FOR_AFTER_S
from homing.model.instances.events import Settlement
from homing.model.sends.history import HandOver
from homing.model.sends.messages import MessageRecord, MessageState
from homing.model.sends.outbox import MessageEnding, Settle
from homing.model.work import Job
from homing.ports import Page
from homing.store.db.database import Database
from homing.store.notices.notices import LocalNotices
from homing.store.outbox.outbox import SqlOutbox
from homing.store.sends.messages import SqlMessages
from homing.store.work.queue import SqlWork

SINCE = datetime(2026, 1, 1, 12, tzinfo=UTC)
GIVEN = HandOver(SINCE, SINCE + timedelta(seconds=30))
DIRECT = MessageRecord(
    uuid="019b0000-0000-7000-8000-000000000001",
    workspace_id=W,
    account_uuid=ACCOUNT,
    message_id="3EB0AA",
    recipient_phone="62811",
    text="hi",
    state=MessageState.UNKNOWN,
    code="unknown",
    reason="no answer",
    attempts=1,
    instance_url=None,
    created_at=GIVEN.until,
    updated_at=GIVEN.until,
)


@pytest.fixture
def outbox(database: Database, local_notices: LocalNotices) -> SqlOutbox:
    return SqlOutbox(database, local_notices)


@pytest.fixture
def messages(database: Database) -> SqlMessages:
    return SqlMessages(database)


def unknown(uuid: str) -> MessageEnding:
    return replace(ended(uuid, MessageState.UNKNOWN, "unknown"), given=GIVEN)


async def looks(work: SqlWork) -> list[Job]:
    return await work.jobs(Page(0, 50), kind=KIND)


async def test_a_message_of_the_outbox_is_looked_for_once_from_when_it_became_unknown(
    outbox: SqlOutbox, work: SqlWork
) -> None:
    [uuid] = await accepted(outbox, new())
    lane = await claim(outbox, work)
    await lane.step()
    await lane.step(unknown(uuid))
    [job] = await looks(work)
    assert job.dedup == uuid
    assert job.payload == {"message": uuid, "since": GIVEN.since.isoformat(), "until": GIVEN.until.isoformat()}
    assert (job.due_at - job.created_at).total_seconds() == pytest.approx(LOOKED_FOR_AFTER_S[0], abs=0.01)
    await work.claim(KIND, owner="gw", limit=1, lease_s=10)
    await lane.step(unknown(uuid))
    assert len(await looks(work)) == 1


async def test_what_ended_otherwise_is_not_looked_for(outbox: SqlOutbox, work: SqlWork) -> None:
    [uuid] = await accepted(outbox, new())
    lane = await claim(outbox, work)
    await lane.step()
    await lane.step(replace(ended(uuid), given=GIVEN))
    assert await looks(work) == []


async def test_a_send_whose_caller_waited_is_looked_for_too(messages: SqlMessages, work: SqlWork) -> None:
    await messages.record(DIRECT)
    await messages.record(replace(DIRECT, uuid="019b0000-0000-7000-8000-000000000002", state=MessageState.FAILED))
    [job] = await looks(work)
    assert job.payload["message"] == DIRECT.uuid
    assert datetime.fromisoformat(job.payload["until"]) == DIRECT.created_at


async def test_what_its_chat_shows_is_sent_under_its_id(outbox: SqlOutbox, messages: SqlMessages) -> None:
    await messages.record(DIRECT)
    assert await outbox.found(Settlement(DIRECT.uuid, "true_62811@c.us_3EB0FF", "its chat shows it"))
    row = await record(messages, DIRECT.uuid)
    assert (row.state, row.code, row.message_id) == (MessageState.SENT, None, "true_62811@c.us_3EB0FF")
    assert row.reason == "it was sent after all: its chat shows it"
    assert not await outbox.found(Settlement(DIRECT.uuid, "true_62811@c.us_3EB0FF", "again"))


async def test_what_a_person_said_stands(outbox: SqlOutbox, messages: SqlMessages) -> None:
    await messages.record(DIRECT)
    await outbox.settle(None, DIRECT.uuid, Settle.MARK_FAILED, "somebody")
    assert not await outbox.found(Settlement(DIRECT.uuid, "3EB0FF", "its chat shows it"))
    await outbox.remark(DIRECT.uuid, "late")
    row = await record(messages, DIRECT.uuid)
    assert row.state is MessageState.FAILED and "late" not in row.reason


@pytest.mark.parametrize("spelt", ["3EB0FF", "true_62811@c.us_3EB0FF", "true_62811@c.us_3EB0FF_out"])
async def test_one_id_never_stands_for_two_messages(outbox: SqlOutbox, messages: SqlMessages, spelt: str) -> None:
    other = replace(DIRECT, uuid="019b0000-0000-7000-8000-000000000002", state=MessageState.SENT, message_id="3EB0FF")
    await messages.record(other)
    await messages.record(DIRECT)
    record_of = await record(messages, DIRECT.uuid)
    assert (await outbox.alike(record_of, [spelt, "3EB0CC"])).ids == {spelt}
    if not spelt.endswith("_out"):
        assert not await outbox.found(Settlement(DIRECT.uuid, spelt, "its chat shows it"))


async def test_others_of_the_same_words_in_doubt_are_counted(
    outbox: SqlOutbox, messages: SqlMessages, work: SqlWork
) -> None:
    await messages.record(DIRECT)
    seen = await record(messages, DIRECT.uuid)
    assert (await outbox.alike(seen, [])).open == 0
    elsewhere = replace(DIRECT, uuid="019b0000-0000-7000-8000-000000000003", recipient_phone="62812")
    another = replace(DIRECT, uuid="019b0000-0000-7000-8000-000000000004", account_uuid=OTHER)
    for each in (elsewhere, another, replace(DIRECT, uuid="019b0000-0000-7000-8000-000000000005", text="ho")):
        await messages.record(each)
    assert (await outbox.alike(seen, [])).open == 0
    await accepted(outbox, new("hi"))
    await (await claim(outbox, work)).step()  # now it is under way
    assert (await outbox.alike(seen, [])).open == 1


async def test_what_came_of_looking_is_added_once(outbox: SqlOutbox, messages: SqlMessages) -> None:
    await messages.record(DIRECT)
    for _ in range(2):
        await outbox.remark(DIRECT.uuid, "its chat does not show it")
    assert (await record(messages, DIRECT.uuid)).reason == "no answer; its chat does not show it"


async def test_a_found_message_lets_its_chat_go_on(outbox: SqlOutbox, messages: SqlMessages, work: SqlWork) -> None:
    [first, _] = await accepted(outbox, new("one"), new("two"))
    lane = await claim(outbox, work)
    assert await lane.said() == ["one"]
    assert await lane.said(unknown(first)) == []
    assert await outbox.found(Settlement(first, "3EB0FF", "its chat shows it"))
    assert await lane.said() == ["two"]
    assert (await record(messages, first)).state is MessageState.SENT
