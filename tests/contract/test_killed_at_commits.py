"""A gateway is killed right behind each of its commits, and between a message's bytes and the word of them, on both
stores: nothing that was accepted is lost, and nothing is said twice."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest
from fleets import A, placed_account

from homing.decide.deliveries.attempts import PatiencePolicy
from homing.decide.egress.rules import EgressRules
from homing.decide.work.attempts import RetryPolicy
from homing.flows.background.alerts import AlertBook
from homing.flows.background.worker import Duty, Worker
from homing.flows.deliveries.telling import QUICK, SLOW, DeliveryTurns
from homing.flows.deliveries.waking import Waking
from homing.flows.outbox.bulk import Bulk, BulkWish
from homing.flows.outbox.bulk_lines import BulkLine
from homing.flows.outbox.chat_turns import ChatTurns
from homing.flows.outbox.lanes import KIND, PATIENCE, Lanes
from homing.flows.sending.accept import AskedSend
from homing.lab.sim.egress import SimulatedEgress
from homing.model.deliveries.deliveries import DeliveryState
from homing.model.deliveries.egress import CallAnswer
from homing.model.deliveries.endpoints import EndpointId, EndpointSettings
from homing.model.fleet import Account, WorkspaceId
from homing.model.sends.addresses import Address, Recipient
from homing.model.sends.content import TextContent
from homing.model.sends.messages import MessageState
from homing.model.sends.outbox import Batch, BatchState
from homing.model.sends.sending import Receipt, Sent, Text
from homing.ports import Page, StoreUnavailable
from homing.ports.deliveries.deliveries import WantedDeliveries
from homing.store.db.database import Database
from homing.store.db.opening import open_database
from homing.store.deliveries.secrets import DerivedSecrets
from homing.store.deliveries.stores import SqlDeliveries, SqlEndpoints
from homing.store.directory.directory import SqlDirectory
from homing.store.notices.notices import LocalNotices
from homing.store.outbox.outbox import SqlOutbox
from homing.store.records.alerts import SqlAlerts
from homing.store.work.queue import SqlWork
from homing.world import SystemClock, SystemEntropy

ONE = WorkspaceId(1)
CHATS = ("628110000001", "628110000002")
LINES = [(chat, f"line {number} to {chat}") for number in range(2) for chat in CHATS]
WISH = BulkWish(ONE, "", "the same key", None, all_or_nothing=True, after_s=0.0, max_age_s=3600.0)
NEVER = 10**9


class Life:
    """Of one gateway: it dies at its `at`-th point. Nothing of it moves from then on."""

    def __init__(self, at: int = NEVER) -> None:
        self.at, self.passed, self.died, self.over = at, 0, asyncio.Event(), asyncio.Event()

    async def point(self) -> None:
        self.passed += 1
        if self.passed >= self.at:
            self.died.set()
        await self.alive()

    async def alive(self) -> None:
        if self.died.is_set():
            await self.over.wait()
            raise StoreUnavailable("this gateway is dead")


class MortalDatabase:
    """A database as a gateway has it that may die between a commit and the word of it."""

    def __init__(self, database: Database, life: Life) -> None:
        self._database, self._life, self.dialect = database, life, database.dialect

    def __getattr__(self, name: str) -> Any:
        return getattr(self._database, name)

    async def read(self, fn: Callable[[Any], Any]) -> Any:
        await self._life.alive()
        return await self._database.read(fn)

    async def write(self, fn: Callable[[Any], Any]) -> Any:
        await self._life.alive()
        value = await self._database.write(fn)
        await self._life.point()
        return value


class World:
    """A store, who has been written to, and gateways that can die."""

    def __init__(self, database: Database, account: Account) -> None:
        self.database, self.account, self.clock, self.entropy = database, account, SystemClock(), SystemEntropy()
        self.said: dict[str, str] = {}
        self.calls = 0
        self.tasks: list[asyncio.Task[Any]] = []
        self.lives: list[Life] = []

    def life(self, at: int) -> Life:
        self.lives.append(Life(at))
        return self.lives[-1]

    def spawn(self, work: Any) -> "asyncio.Task[Any]":
        self.tasks.append(asyncio.ensure_future(work))
        return self.tasks[-1]

    async def close(self) -> None:
        for life in self.lives:
            life.died.set()
            life.over.set()
        for task in self.tasks:
            task.cancel()
        for task in self.tasks:
            with suppress(asyncio.CancelledError, Exception):
                await task


@pytest.fixture
async def database(store_url: str) -> AsyncIterator[Database]:
    """On the clocks that gateways have: a lease lapses by itself."""
    opened = open_database(store_url)
    yield opened
    await opened.close()


@pytest.fixture
async def world(database: Database, directory: SqlDirectory) -> AsyncIterator[World]:
    made = World(database, await placed_account(directory, 1, A))
    yield made
    await made.close()


async def until(done: Callable[[], Any], within_s: float = 240.0) -> None:
    """Until it is so; a store that does not answer for a moment is asked again."""
    async with asyncio.timeout(within_s):
        while True:
            with suppress(StoreUnavailable):
                if await done():
                    return
            await asyncio.sleep(0.02)


# --- the outbox and bulk ------------------------------------------------------------------------------------------


class Campaign:
    """A gateway that takes batches in and works on lanes."""

    def __init__(self, world: World, at: int = NEVER) -> None:
        self.world, self.life = world, world.life(at)
        database: Any = MortalDatabase(world.database, self.life)
        notices = LocalNotices()
        self.outbox = SqlOutbox(database, notices)
        routes: Any = SimpleNamespace(route=self._route)
        no_files: Any = SimpleNamespace()
        self.bulk = Bulk(self.outbox, routes, no_files, world.clock, world.entropy, secret=b"secret")
        sending: Any = SimpleNamespace(send=self._send)
        lanes = Lanes(self.outbox, sending, routes, ChatTurns(5.0), world.clock, world.entropy)
        notices.subscribe(lanes.hear)
        duty = Duty(handler=lanes.work, policy=PATIENCE, at_once=4, lease_s=1.5, fair=True, poll_s=0.05)
        work = SqlWork(database, notices)
        worker = Worker(work, world.clock, world.entropy, KIND, duty, owner=world.entropy.uuid())
        world.spawn(worker.run())

    async def _route(self, *_: object) -> tuple[Any, None]:
        return SimpleNamespace(), None

    async def _send(self, text: Text, _route: object) -> Sent:
        self.world.calls += 1
        await self.life.alive()
        self.world.said.setdefault(text.message_id, text.text)  # who has it already drops it, by its id
        await self.life.point()
        return Sent(Receipt(text.message_id, 1), A, self.world.account.session_id, attempts=1, failover=False)

    async def hand_in(self) -> Batch:
        async def lines() -> AsyncIterator[BulkLine]:
            for number, (chat, said) in enumerate(LINES, start=1):
                asked = AskedSend(ONE, self.world.account.uuid, TextContent(said), phone=chat)
                yield BulkLine(number, asked, Recipient(chat, Address.of(chat)))

        return await self.bulk.take(WISH, lines())

    async def hand_in_at_last(self) -> Batch:
        """As a client does: once more, under the same key."""
        while True:
            with suppress(StoreUnavailable):
                return await self.hand_in()
            await asyncio.sleep(0.1)

    async def all_sent(self) -> bool:
        await self.outbox.sweep_batches()
        rows = await self.outbox.page(ONE, before=None, limit=100)
        return len(rows) == len(LINES) and all(row.state is MessageState.SENT for row in rows)


@pytest.mark.parametrize("at", [1, 2, 3, 4, 5, 6, 8, 10])
async def test_a_batch_survives_a_gateway_killed_at_any_commit(world: World, at: int) -> None:
    first = Campaign(world, at)
    handing_in = world.spawn(first.hand_in())
    await asyncio.wait([handing_in, world.spawn(first.life.died.wait())], return_when=asyncio.FIRST_COMPLETED)
    if not first.life.died.is_set():
        waits: list[asyncio.Task[Any]] = [world.spawn(first.life.died.wait()), world.spawn(until(first.all_sent))]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    second = Campaign(world)
    batch = await second.hand_in_at_last()
    await until(second.all_sent)
    assert sorted(world.said.values()) == sorted(said for _, said in LINES), "each once"
    for chat in CHATS:
        arrived = [said for said in world.said.values() if said.endswith(chat)]
        assert arrived == [said for to, said in LINES if to == chat], "in order"
    await second.outbox.sweep_batches()
    found = await second.outbox.batch(ONE, batch.id)
    assert found is not None
    assert (found.state, found.messages) == (BatchState.DONE, len(LINES))


# --- deliveries ---------------------------------------------------------------------------------------------------


class Telling:
    """A gateway that tells one endpoint."""

    def __init__(self, world: World, egress: SimulatedEgress, at: int = NEVER) -> None:
        self.life = world.life(at)
        database: Any = MortalDatabase(world.database, self.life)
        notices = LocalNotices()
        self.deliveries, alerts = SqlDeliveries(database, notices), AlertBook(SqlAlerts(database, notices), world.clock)
        secrets = DerivedSecrets(b"a secret", (), world.entropy.token)
        waking = Waking(
            self.deliveries, alerts, world.clock, PatiencePolicy(), backlog_max=1_000, keep_days=7, look_every_s=0.1
        )
        turns = DeliveryTurns(
            SqlEndpoints(database), self.deliveries, egress, secrets, world.clock, world.entropy, alerts,
            look=waking.look,
        )  # fmt: skip
        duty = Duty(handler=turns.do, policy=RetryPolicy((0.1,)), at_once=4, lease_s=1.5, poll_s=0.05)
        work = SqlWork(database, notices)
        owner = world.entropy.uuid()
        world.spawn(waking.run())
        for kind in (QUICK, SLOW):
            world.spawn(Worker(work, world.clock, world.entropy, kind, duty, owner=owner).run())

    async def all_told(self) -> bool:
        pending = await self.deliveries.page(WantedDeliveries(state=DeliveryState.PENDING), page=Page(0, 100))
        return not pending


@pytest.mark.parametrize("at", [1, 2, 3, 5])
async def test_deliveries_survive_a_gateway_killed_at_any_commit(world: World, at: int) -> None:
    taken: list[str] = []

    async def receiver(_body: bytes, headers: Any) -> CallAnswer:
        taken.append(headers["webhook-id"])
        return CallAnswer(204)

    egress = SimulatedEgress(EgressRules(), {"hook.example": receiver})
    box = DerivedSecrets(b"a secret", (), world.entropy.token)
    wanted = EndpointSettings("https://hook.example/", ordered=True)
    await SqlEndpoints(world.database).create(EndpointId("ep"), ONE, wanted, box.seal("endpoint ep", b"s" * 32))
    campaign = Campaign(world)
    first = Telling(world, egress, at)
    await campaign.hand_in_at_last()
    await until(campaign.all_sent)
    waits: list[asyncio.Task[Any]] = [world.spawn(first.life.died.wait()), world.spawn(until(first.all_told))]
    await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    first.life.died.set()
    second = Telling(world, egress)
    await until(second.all_told)
    told = {each.event_id for each in await second.deliveries.page(WantedDeliveries(), page=Page(0, 100))}
    assert set(taken) == told
    sent = [each for each in taken if each.startswith("outbox_")]
    assert len(set(sent)) == len(LINES)
    assert len(sent) <= len(LINES) + 8, "what was not written down is told once more, and nothing else"
