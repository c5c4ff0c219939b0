"""An instance that falls silent leaves many sends of unknown outcome: recording them keeps nobody else waiting."""

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from fleets import ONE, unknown_send
from outboxes import accepted, claim_all, ended, new
from sqlalchemy import Connection, text

from clocks import SteppedClock
from homing.model.fleet import AccountUuid
from homing.model.sends.messages import MessageRecord, MessageState
from homing.ports import RowRefused
from homing.store.db.database import Database
from homing.store.db.opening import open_database
from homing.store.db.turns import take_turn
from homing.store.notices.notices import LocalNotices
from homing.store.outbox.outbox import SqlOutbox
from homing.store.sends.messages import SqlMessages
from homing.store.work.queue import SqlWork


def storm(many: int, clock: SteppedClock) -> list[MessageRecord]:
    return [unknown_send(number, at=clock.now()) for number in range(many)]


def has_the_turn(connection: Connection) -> None:
    take_turn(connection)
    connection.execute(text("SELECT pg_sleep(1.5)"))


def takes_it(connection: Connection) -> int:
    take_turn(connection)
    return int(connection.scalar(text("SELECT 7")))


async def while_it_is_anothers_turn(postgres_url: str, here: Database, waiting: Sequence[Any]) -> None:
    """What waits for its turn here leaves connections to others, and is done when its turn has come."""
    elsewhere = open_database(postgres_url)
    turn = asyncio.create_task(elsewhere.write(has_the_turn))
    await asyncio.sleep(0.3)
    tasks = [asyncio.create_task(each) for each in waiting]
    await asyncio.sleep(0.4)
    for _ in range(5):
        assert await here.read(lambda c: c.scalar(text("SELECT 42"))) == 42
    assert not turn.done()
    await asyncio.gather(turn, *tasks)
    await elsewhere.close()


async def test_whoever_waits_for_its_turn_leaves_connections_to_those_who_bring_sessions_back(
    postgres_url: str,
) -> None:
    here = open_database(postgres_url, pool_size=3)
    await while_it_is_anothers_turn(postgres_url, here, [here.write(takes_it) for _ in range(15)])
    await here.close()


async def test_sends_of_unknown_outcome_wait_for_their_turn_together(postgres_url: str, clock: SteppedClock) -> None:
    here = open_database(postgres_url, pool_size=2, pool_timeout_s=0.3)
    messages = SqlMessages(here)
    await while_it_is_anothers_turn(postgres_url, here, [messages.record(each) for each in storm(40, clock)])
    assert len(await messages.messages(ONE, before=None, limit=100)) == 40
    await here.close()


async def test_lanes_whose_messages_end_unknown_leave_connections_to_others(postgres_url: str) -> None:
    here = open_database(postgres_url, pool_size=3)
    notices = LocalNotices()
    outbox, work = SqlOutbox(here, notices), SqlWork(here, notices)
    await accepted(outbox, *(new(account=AccountUuid(f"acc-{number}")) for number in range(12)))
    steps = []
    for lane in await claim_all(outbox, work):
        [message] = (await lane.step()).taken
        steps.append(lane.step(ended(message.text.uuid, MessageState.UNKNOWN, "unknown")))
    assert len(steps) == 12
    await while_it_is_anothers_turn(postgres_url, here, steps)
    await here.close()


async def test_a_record_that_the_database_refuses_keeps_no_other_from_being_written(
    messages: SqlMessages, clock: SteppedClock
) -> None:
    poison: Any = replace(unknown_send(2, at=clock.now()), text=None)
    given = [unknown_send(1, at=clock.now()), poison, unknown_send(3, at=clock.now())]
    came = await asyncio.gather(*map(messages.record, given), return_exceptions=True)
    assert (came[0], type(came[1]), came[2]) == (None, RowRefused, None)
    assert [each.uuid for each in await messages.messages(ONE, before=None, limit=10)] == ["0190-3", "0190-1"]
