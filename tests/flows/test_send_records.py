"""What came of a send is recorded, and kept in memory while the store does not take it."""

import asyncio
from collections.abc import Iterable

import pytest
from structlog.testing import capture_logs

from homing.flows.sending import send_records
from homing.flows.sending.send_records import Recorder
from homing.model.fleet import AccountUuid
from homing.model.sends.messages import MessageRecord, MessageState
from homing.model.sends.sending import Text, Unknown
from homing.ports import RowRefused, StoreUnavailable
from tests.flows.worlds import A, W, bench

pytestmark = pytest.mark.virtual


class AwayStore:
    """A store of records that is away until it is told to be back."""

    def __init__(self) -> None:
        self.is_away = True
        self.refused: set[str] = set()
        self.rows: list[MessageRecord] = []

    async def record(self, message: MessageRecord) -> None:
        if self.is_away:
            raise StoreUnavailable("it is away")
        if message.uuid in self.refused:
            raise RowRefused("no column holds it")
        self.rows.append(message)


def text(uuid: str) -> Text:
    return Text(uuid, f"3EB0{uuid}", W, AccountUuid("account-1"), "62811", "hello")


async def recorded(recorder: Recorder, uuids: Iterable[str]) -> None:
    for uuid in uuids:
        await recorder.record(text(uuid), Unknown("the reply did not come", 1, A))


async def test_what_the_store_did_not_take_is_written_in_its_order_as_soon_as_it_is_back() -> None:
    async with bench(A) as it:
        store = AwayStore()
        recorder = Recorder(store, it.clock)  # type: ignore[arg-type]
        await recorded(recorder, ["1", "2", "3"])
        writing = asyncio.ensure_future(recorder.run())
        await asyncio.sleep(5)
        assert store.rows == []
        store.is_away = False
        await asyncio.sleep(2)
        assert [(row.uuid, row.state) for row in store.rows] == [(each, MessageState.UNKNOWN) for each in "123"]
        await asyncio.sleep(5)
        assert len(store.rows) == 3
        writing.cancel()


async def test_a_record_that_the_store_refuses_is_named_and_keeps_none_waiting_behind_it() -> None:
    async with bench(A) as it:
        store = AwayStore()
        recorder = Recorder(store, it.clock)  # type: ignore[arg-type]
        await recorded(recorder, ["1", "2", "3"])
        store.is_away, store.refused = False, {"1", "4"}
        writing = asyncio.ensure_future(recorder.run())
        with capture_logs() as lines:
            await recorded(recorder, ["4"])
            await asyncio.sleep(2)
        assert [row.uuid for row in store.rows] == ["2", "3"]
        assert [line["message_uuid"] for line in lines if line["log_level"] == "error"] == ["4", "1"]
        await asyncio.sleep(5)
        assert len(store.rows) == 2
        writing.cancel()


async def test_of_more_than_can_be_kept_the_oldest_goes_and_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(send_records, "HELD_BACK_MAX", 2)
    async with bench(A) as it:
        store = AwayStore()
        recorder = Recorder(store, it.clock)  # type: ignore[arg-type]
        with capture_logs() as lines:
            await recorded(recorder, ["1", "2", "3"])
        assert [line["message_uuid"] for line in lines if line["log_level"] == "error"] == ["1"]
        store.is_away = False
        writing = asyncio.ensure_future(recorder.run())
        await asyncio.sleep(2)
        assert [row.uuid for row in store.rows] == ["2", "3"]
        writing.cancel()
