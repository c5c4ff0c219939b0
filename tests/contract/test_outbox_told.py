"""What comes of accepted messages and batches is told to customers, on both stores, in its own transaction."""

import pytest
from fleets import A, placed_account
from outboxes import accepted, claim, ended, new

from homing.model.deliveries.deliveries import Delivery
from homing.model.deliveries.endpoints import EndpointId, EndpointSettings, SealedSecret
from homing.model.fleet import Account, WorkspaceId
from homing.model.sends.messages import MessageState
from homing.model.sends.outbox import BatchState, InvalidLine, NewBatch, Settle
from homing.ports import EventsStored, LaneLost, Notice, Page
from homing.ports.deliveries.deliveries import WantedDeliveries
from homing.store.db.database import Database
from homing.store.deliveries.stores import SqlDeliveries, SqlEndpoints
from homing.store.directory.directory import SqlDirectory
from homing.store.notices.notices import LocalNotices
from homing.store.outbox.outbox import SqlOutbox
from homing.store.work.queue import SqlWork

ONE = WorkspaceId(1)


@pytest.fixture
async def account(directory: SqlDirectory, database: Database) -> Account:
    made = await placed_account(directory, 1, A)
    settings = EndpointSettings("https://crm.example/")
    await SqlEndpoints(database).create(EndpointId("crm"), ONE, settings, SealedSecret("k", b"sealed"))
    return made


@pytest.fixture
def outbox(database: Database, local_notices: LocalNotices) -> SqlOutbox:
    return SqlOutbox(database, local_notices)


@pytest.fixture
def deliveries(database: Database, local_notices: LocalNotices) -> SqlDeliveries:
    return SqlDeliveries(database, local_notices)


async def all_of(deliveries: SqlDeliveries) -> list[Delivery]:
    return list(reversed(await deliveries.page(WantedDeliveries(), page=Page(0, 100))))


async def types(deliveries: SqlDeliveries) -> list[str]:
    return [each.type for each in await all_of(deliveries) if each.type != "session.moved"]


async def test_what_comes_of_a_message_is_told_once_and_in_its_chat(
    account: Account, outbox: SqlOutbox, deliveries: SqlDeliveries, work: SqlWork, heard: list[Notice]
) -> None:
    [sent, failed] = await accepted(
        outbox, new("a", account=account.uuid), new("b", account=account.uuid, chat="62812")
    )
    lane = await claim(outbox, work, account.uuid)
    await lane.step()
    assert await types(deliveries) == []
    await lane.step(ended(sent), ended(failed, MessageState.FAILED, "message_rejected"))
    assert sorted(await types(deliveries)) == ["message.failed", "message.sent"]
    assert {each.lane for each in await all_of(deliveries)} >= {
        f"{account.session_id}|62811",
        f"{account.session_id}|62812",
    }
    assert any(isinstance(each, EventsStored) for each in heard)


async def test_a_step_that_came_too_late_tells_nothing(
    account: Account, outbox: SqlOutbox, deliveries: SqlDeliveries, work: SqlWork
) -> None:
    [uuid] = await accepted(outbox, new("a", account=account.uuid))
    lane = await claim(outbox, work, account.uuid, lease_s=0.0)
    await lane.step()
    await claim(outbox, work, account.uuid, owner="gw2")
    with pytest.raises(LaneLost):
        await lane.step(ended(uuid))
    assert await types(deliveries) == []


async def test_what_never_goes_is_told_too(
    account: Account, outbox: SqlOutbox, deliveries: SqlDeliveries, work: SqlWork
) -> None:
    [doubtful, _, back] = await accepted(
        outbox,
        new("a", account=account.uuid),
        new("b", account=account.uuid, chat="62812", max_age_s=0.0),
        new("c", account=account.uuid, after_s=3600.0),
    )
    await outbox.cancel(ONE, back)
    lane = await claim(outbox, work, account.uuid)
    await lane.step()
    assert await types(deliveries) == ["message.failed", "message.failed"], "one taken back, one too old"
    await lane.step(ended(doubtful, MessageState.UNKNOWN, "unknown"))
    assert len(await types(deliveries)) == 2, "of a message in doubt nothing is told yet"
    await outbox.settle(ONE, doubtful, Settle.MARK_SENT, "somebody")
    assert (await types(deliveries))[-1] == "message.sent"


async def test_the_end_of_a_batch_is_told_with_its_counts(
    account: Account, outbox: SqlOutbox, deliveries: SqlDeliveries, work: SqlWork
) -> None:
    for name in ("spring", "autumn"):
        await outbox.begin_batch(NewBatch(name, ONE, name, None, None))
        lines = [new("x", account=account.uuid, chat=f"6281{nth}", batch=name) for nth in range(2)]
        await outbox.add_to_batch(name, lines, [InvalidLine(3, "phone_invalid", "no number")])
        await outbox.change_batch(None, name, BatchState.RUNNING, "")
    assert await outbox.change_batch(ONE, "autumn", BatchState.CANCELLED, "somebody")
    assert await types(deliveries) == ["batch.done"], "a batch that was cancelled is over"
    lane = await claim(outbox, work, account.uuid)
    taken = (await lane.step()).taken
    await lane.step(*[ended(each.text.uuid) for each in taken])
    await outbox.sweep_batches()
    assert (await types(deliveries)).count("batch.done") == 2
    await outbox.sweep_batches()
    assert (await types(deliveries)).count("batch.done") == 2, "told once"
