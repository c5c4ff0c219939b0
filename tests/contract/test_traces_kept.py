"""What is written down of a request carries the trace that its caller named, on every store."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime

import pytest
from fleets import A, B, placed_account

from homing.model.fleet import Epoch, MoveKind, Rebinding
from homing.model.ids import WorkspaceId
from homing.model.sends.messages import MessageRecord, MessageState
from homing.model.tracing import Trace, tracing
from homing.ports import Directory, Page
from homing.store.db.database import Database
from homing.store.sends.messages import SqlMessages

TRACE = Trace("4bf92f3577b34da6a3ce929d0e0e4736", "00f067aa0ba902b7", "01")
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


@pytest.fixture
def within() -> Iterator[None]:
    before = tracing.set(TRACE)
    yield
    tracing.reset(before)


def unknown(uuid: str) -> MessageRecord:
    said = ("a", "m1", "62811", "hello", MessageState.UNKNOWN, None, "it timed out", 1, A, NOON, NOON)
    return MessageRecord(uuid, WorkspaceId(1), *said)  # type: ignore[arg-type]


async def test_a_message_keeps_the_trace_that_it_came_with(database: Database, within: None) -> None:
    store = SqlMessages(database)
    await store.record(unknown("u1"))
    before = tracing.set(None)
    await store.record(replace(unknown("u1"), state=MessageState.SENT))
    await store.record(unknown("u2"))
    tracing.reset(before)
    kept, named_none = await store.message(None, "u1"), await store.message(None, "u2")
    assert kept is not None and named_none is not None
    assert (kept.state, kept.trace_id, named_none.trace_id) == (MessageState.SENT, TRACE.trace_id, None)


async def test_a_correction_found_out_by_a_send_carries_its_trace(directory: Directory, within: None) -> None:
    account = await placed_account(directory, 1)
    change = Rebinding(account.placement, B, Epoch(account.placement.epoch + 1), MoveKind.REDISCOVERY, "it is there")
    assert await directory.rebind([change])
    [move] = await directory.moves(None, Page(limit=10), kind=MoveKind.REDISCOVERY)
    assert move.trace_id == TRACE.trace_id
