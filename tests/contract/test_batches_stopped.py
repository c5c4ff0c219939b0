"""A batch that was paused or cancelled says nothing more: neither what waits, nor what was held, nor what came back."""

import pytest
from outboxes import W, accepted, claim, ended, new

from homing.model.sends.messages import MessageState
from homing.model.sends.outbox import BatchState, NewBatch
from homing.store.db.database import Database
from homing.store.db.schema.tables import messages as m
from homing.store.notices.notices import LocalNotices
from homing.store.outbox.outbox import SqlOutbox
from homing.store.work.queue import SqlWork


@pytest.fixture
def outbox(database: Database, local_notices: LocalNotices) -> SqlOutbox:
    return SqlOutbox(database, local_notices, lambda _connection, _changes: ())


async def running(outbox: SqlOutbox, *chats: str) -> list[str]:
    await outbox.begin_batch(NewBatch("b", W, "spring", None, None))
    lines = [new(f"to {chat}", chat=chat, batch="b") for chat in chats]
    await outbox.add_to_batch("b", lines, [])
    await outbox.change_batch(None, "b", BatchState.RUNNING, "")
    return [each.text.uuid for each in lines]


async def test_nothing_of_a_batch_goes_before_it_runs(outbox: SqlOutbox, work: SqlWork) -> None:
    await outbox.begin_batch(NewBatch("b", W, "spring", None, None))
    await outbox.add_to_batch("b", [new("of the batch", chat="62811", batch="b")], [])
    await accepted(outbox, new("alone", chat="62812"))
    lane = await claim(outbox, work)
    assert await lane.said() == ["alone"]


@pytest.mark.parametrize("to", [BatchState.PAUSED, BatchState.CANCELLED])
async def test_what_waits_in_a_lane_does_not_go(outbox: SqlOutbox, work: SqlWork, to: BatchState) -> None:
    await running(outbox, "62811", "62812")
    lane = await claim(outbox, work)
    [first] = (await lane.step(free=1)).taken
    await outbox.change_batch(None, "b", to, "")
    assert await lane.said(ended(first.text.uuid)) == []


@pytest.mark.parametrize("to", [BatchState.PAUSED, BatchState.CANCELLED])
async def test_what_did_not_leave_waits_in_its_batch_again(outbox: SqlOutbox, work: SqlWork, to: BatchState) -> None:
    await running(outbox, "62811")
    lane = await claim(outbox, work)
    [taken] = (await lane.step()).taken
    await outbox.change_batch(None, "b", to, "")
    assert await lane.said(ended(taken.text.uuid, MessageState.ACCEPTED, "session_not_ready")) == []
    if to is BatchState.PAUSED:
        await outbox.change_batch(None, "b", BatchState.RUNNING, "")
        again = await claim(outbox, work, owner="gw2")
        assert await again.said() == ["to 62811"]


@pytest.mark.parametrize("to", [BatchState.PAUSED, BatchState.CANCELLED])
async def test_what_was_held_does_not_go_with_the_word_go(
    outbox: SqlOutbox, work: SqlWork, database: Database, to: BatchState
) -> None:
    [uuid] = await running(outbox, "62811")
    lane = await claim(outbox, work)
    await lane.step(free=0)
    held = m.update().where(m.c.uuid == uuid).values(state=MessageState.HELD, position=1)
    await database.write(lambda c: c.execute(held))
    await outbox.change_batch(None, "b", to, "")
    await outbox.go(None, lane.claim.account_uuid)
    assert await lane.said() == []


async def test_what_was_held_is_cancelled_with_its_batch(outbox: SqlOutbox, database: Database) -> None:
    [uuid] = await running(outbox, "62811")
    await database.write(lambda c: c.execute(m.update().where(m.c.uuid == uuid).values(state=MessageState.HELD)))
    await outbox.change_batch(None, "b", BatchState.CANCELLED, "")
    await outbox.sweep_batches()
    [row] = await outbox.page(W, before=None, limit=10)
    assert row.state is MessageState.CANCELLED
