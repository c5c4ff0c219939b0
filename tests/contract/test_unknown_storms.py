"""An instance that falls silent leaves many sends of unknown outcome: recording them keeps nobody else waiting."""

import asyncio
from dataclasses import replace
from datetime import UTC, datetime

from fleets import ONE, A
from sqlalchemy import Connection, text

from homing.model.fleet import AccountUuid
from homing.model.sends.messages import MessageRecord, MessageState
from homing.store.db.opening import open_database
from homing.store.sends.messages import SqlMessages
from homing.store.sends.unknown_sends import take_turn

WHEN = datetime(2026, 3, 1, tzinfo=UTC)
UNKNOWN = MessageRecord(
    uuid="",
    workspace_id=ONE,
    account_uuid=AccountUuid("account-1"),
    message_id="3EB0AA",
    recipient_phone="62811",
    text="hello",
    state=MessageState.UNKNOWN,
    code=None,
    reason="the reply did not come",
    attempts=1,
    instance_url=A,
    created_at=WHEN,
    updated_at=WHEN,
)


def storm(many: int) -> list[MessageRecord]:
    return [replace(UNKNOWN, uuid=f"0190-{number}", message_id=f"3EB0{number:04}") for number in range(many)]


async def test_what_waits_for_its_turn_leaves_connections_to_those_who_bring_sessions_back(postgres_url: str) -> None:
    def has_the_turn(connection: Connection) -> None:
        take_turn(connection)
        connection.execute(text("SELECT pg_sleep(1.5)"))

    elsewhere, here = open_database(postgres_url), open_database(postgres_url, pool_size=2, pool_timeout_s=0.3)
    messages = SqlMessages(here)
    turn = asyncio.create_task(elsewhere.write(has_the_turn))
    await asyncio.sleep(0.3)
    recording = [asyncio.create_task(messages.record(each)) for each in storm(40)]
    await asyncio.sleep(0.1)
    assert await here.read(lambda c: c.scalar(text("SELECT 42"))) == 42
    assert not turn.done()
    await asyncio.gather(turn, *recording)
    assert len(await messages.messages(ONE, before=None, limit=100)) == 40
    for each in (elsewhere, here):
        await each.close()
