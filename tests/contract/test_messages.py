"""The records of sends, on every store."""

from dataclasses import replace

import pytest
from fleets import ONE, TWO, unknown_send

from clocks import SteppedClock
from homing.model.sends.messages import MessageRecord, MessageState
from homing.store.sends.messages import SqlMessages


@pytest.fixture
def record(clock: SteppedClock) -> MessageRecord:
    return unknown_send(at=clock.now(), text="Halo 👋\nsecond line")


async def test_a_record_reads_back_as_it_was_written(messages: SqlMessages, record: MessageRecord) -> None:
    await messages.record(record)
    assert await messages.message(ONE, record.uuid) == record
    assert await messages.message(None, record.uuid) == record


async def test_a_record_replaces_what_stood_under_its_uuid(
    messages: SqlMessages, record: MessageRecord, clock: SteppedClock
) -> None:
    await messages.record(record)
    clock.advance(1)
    settled = replace(
        record, state=MessageState.FAILED, code="overloaded", attempts=3, instance_url=None, updated_at=clock.now()
    )
    await messages.record(settled)
    assert await messages.messages(ONE, before=None, limit=10) == [settled]


async def test_another_workspaces_record_looks_like_none(messages: SqlMessages, record: MessageRecord) -> None:
    await messages.record(record)
    assert await messages.message(TWO, record.uuid) is None
    assert await messages.messages(TWO, before=None, limit=10) == []


async def test_records_are_read_newest_first_and_in_pages(messages: SqlMessages, record: MessageRecord) -> None:
    for number in range(5):
        await messages.record(replace(record, uuid=f"0190-{number}"))
    first = await messages.messages(ONE, before=None, limit=3)
    rest = await messages.messages(ONE, before=first[-1].uuid, limit=3)
    assert [each.uuid for each in (*first, *rest)] == [f"0190-{number}" for number in (4, 3, 2, 1, 0)]


async def test_a_text_with_nul_is_recorded_all_the_same(messages: SqlMessages, record: MessageRecord) -> None:
    await messages.record(replace(record, text="a\0b"))
    found = await messages.message(ONE, record.uuid)
    assert found is not None
    assert found.text == "a\ufffdb"
