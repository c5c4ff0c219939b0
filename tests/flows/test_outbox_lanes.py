"""Lanes at work in virtual time: order, sessions that are away, gateways that die at every point of a dispatch."""

import asyncio
import itertools
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest

from homing.decide.outbox.endings import CHAT_WAITS_S
from homing.flows.background.worker import Duty, Worker
from homing.flows.outbox.chat_turns import ChatTurns
from homing.flows.outbox.lanes import KIND, PATIENCE, STEPS_AT_ONCE, Lanes
from homing.model.fleet import Account, Capabilities, SessionId, SessionStatus
from homing.model.sends import content_json
from homing.model.sends.addresses import Address, AddressKind
from homing.model.sends.calls import NumberChecked
from homing.model.sends.content import TextContent
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.messages import MessageState
from homing.model.sends.outbox import Advance, LaneStep, NewMessage
from homing.model.sends.sending import Outcome, Text
from homing.ports import StoreUnavailable
from homing.store.outbox.outbox import SqlOutbox
from homing.store.sends.messages import SqlMessages
from homing.store.work.queue import SqlWork
from tests.flows.worlds import OURS, PLAIN, A, Bench, Misfortune, W, bench

pytestmark = pytest.mark.virtual
_numbers = itertools.count(1)


@dataclass
class Life:
    """Of one gateway: it dies at its `at`-th of these points, and from then on nothing of it moves."""

    at: int = 10**9
    passed: int = 0
    dead: asyncio.Event = field(default_factory=asyncio.Event)
    over: asyncio.Event = field(default_factory=asyncio.Event)

    async def point(self) -> None:
        self.passed += 1
        if self.passed >= self.at:
            self.dead.set()
        if self.dead.is_set():
            await self.over.wait()
            raise StoreUnavailable("this gateway is dead")


class MortalOutbox:
    """The outbox: before a step, and between its commit and whoever waits for it, the gateway may die."""

    def __init__(self, outbox: SqlOutbox, life: Life) -> None:
        self._outbox, self._life = outbox, life

    async def advance(self, step: LaneStep) -> Advance:
        await self._life.point()
        answer = await self._outbox.advance(step)
        await self._life.point()
        return answer


class MortalSending:
    """Sends: before the bytes leave, and between their arrival and the word of it, the gateway may die."""

    def __init__(self, sending: Any, life: Life) -> None:
        self._sending, self._life = sending, life

    async def send(self, text: Text, route: Any) -> Outcome:
        await self._life.point()
        outcome: Outcome = await self._sending.send(text, route)
        await self._life.point()
        return outcome


class MortalWork:
    """The work table as a gateway uses it; a dead one renews nothing."""

    def __init__(self, work: SqlWork, life: Life) -> None:
        self._work, self._life = work, life

    def __getattr__(self, name: str) -> Any:
        asked = getattr(self._work, name)
        if name == "bell":
            return asked

        async def guarded(*given: Any, **named: Any) -> Any:
            if self._life.dead.is_set():
                await self._life.over.wait()
                raise StoreUnavailable("this gateway is dead")
            return await asked(*given, **named)

        return guarded


class World:
    """A bench with an outbox, and gateways that can die."""

    def __init__(self, made: Bench, account: Account) -> None:
        self.bench, self.account = made, account
        database = made.directory._database
        self.outbox, self.messages = SqlOutbox(database, made.notices), SqlMessages(database)
        self.lives: list[tuple[Life, asyncio.Task[None]]] = []

    def gateway(self, at: int = 10**9) -> Life:
        life, made = Life(at), self.bench
        lanes = Lanes(
            MortalOutbox(self.outbox, life),  # type: ignore[arg-type]
            MortalSending(made.sending, life),  # type: ignore[arg-type]
            made.routes,
            ChatTurns(10.0),
            made.clock,
            made.entropy,
        )
        made.notices.subscribe(lanes.hear)
        duty = Duty(handler=lanes.work, policy=PATIENCE, at_once=8, lease_s=10.0, fair=True, poll_s=1.0)
        work: Any = MortalWork(made.work, life)
        worker = Worker(work, made.clock, made.entropy, KIND, duty, owner=made.entropy.uuid())
        self.lives.append((life, asyncio.ensure_future(worker.run())))
        return life

    async def accept(self, said: str, chat: str = "62811111111", **more: Any) -> str:
        uuid = f"01900000-0000-7000-8000-{next(_numbers):012d}"
        content = TextContent(said)
        text = Text(uuid, f"3EB0{next(_numbers):016X}", W, self.account.uuid, chat, said, content=content)
        await self.outbox.accept(NewMessage(text, chat, content_json.written(content), 0.0, more.get("age_s", 3600.0)))
        return uuid

    async def state(self, uuid: str) -> MessageState:
        found = await self.messages.message(None, uuid)
        assert found is not None
        return found.state

    async def until(self, done: Callable[[], Any], within_s: float = 300.0) -> None:
        deadline_s = self.bench.clock.monotonic() + within_s
        while self.bench.clock.monotonic() < deadline_s:
            if await done():
                return
            await asyncio.sleep(0.25)
        raise AssertionError(
            [(row.text, row.state.value) for row in await self.outbox.page(None, before=None, limit=50)]
        )

    async def all_in(self, uuids: list[str], *states: MessageState) -> None:
        async def reached() -> bool:
            return all([await self.state(uuid) in states for uuid in uuids])

        await self.until(reached)

    async def end(self) -> None:
        for life, task in self.lives:
            life.dead.set()
            life.over.set()
            task.cancel()
        await asyncio.gather(*(task for _, task in self.lives), return_exceptions=True)


@asynccontextmanager
async def world(can: Capabilities = OURS) -> AsyncIterator[World]:
    async with bench(A, can=can) as made:
        account = await made.account(A)
        one = World(made, account)
        try:
            yield one
        finally:
            await one.end()


async def test_a_message_of_the_outbox_goes_to_the_spelling_that_its_gateway_knows() -> None:
    async with world(can=replace(PLAIN, check_numbers=True)) as one:
        written, known = "5491123456789", "541123456789"
        known_as = NumberChecked(exists=True, address=Address(AddressKind.PHONE, known))
        one.bench.world.instances[A].known_as[written] = known_as
        uuid = await one.accept("hello", written)
        one.gateway()
        await one.all_in([uuid], MessageState.SENT)
        assert one.bench.world.recipients == [known]
        found = await one.messages.message(None, uuid)
        assert found is not None and f"to {known}, by its gateway's number check" in found.reason


async def test_a_backlog_goes_in_order_and_once() -> None:
    async with world() as one:
        uuids = [await one.accept(f"{n}", f"6281{n % 3}") for n in range(30)]
        one.gateway()
        await one.all_in(uuids, MessageState.SENT)
        said = [text for _, text in one.bench.world.ledger]
        assert sorted(said, key=int) == [str(n) for n in range(30)]
        for chat in range(3):
            assert [int(each) for each in said if int(each) % 3 == chat] == list(range(chat, 30, 3))


@pytest.mark.parametrize("at", range(1, 26))
async def test_a_gateway_that_dies_at_any_point_loses_nothing_and_doubles_nothing(at: int) -> None:
    async with world() as one:
        uuids = [await one.accept(f"{n}", f"6281{n % 2}") for n in range(6)]
        dying = one.gateway(at)
        await asyncio.sleep(2.0)
        one.gateway()
        await one.all_in(uuids, MessageState.SENT)
        said = [text for _, text in one.bench.world.ledger]
        assert sorted(said) == [str(n) for n in range(6)], f"died at {at} of {dying.passed}"
        for chat in range(2):
            assert [int(each) for each in said if int(each) % 2 == chat] == list(range(chat, 6, 2))


@pytest.mark.parametrize("at", range(1, 14))
async def test_where_nothing_can_be_repeated_what_may_have_left_is_unknown(at: int) -> None:
    async with world(PLAIN) as one:
        uuids = [await one.accept(f"{n}") for n in range(3)]
        one.gateway(at)
        await asyncio.sleep(2.0)
        one.gateway()
        await one.all_in(uuids, MessageState.SENT, MessageState.UNKNOWN)
        said = [text for _, text in one.bench.world.ledger]
        assert len(said) == len(set(said)), "nothing twice"
        sent = [n for n, uuid in enumerate(uuids) if await one.state(uuid) is MessageState.SENT]
        assert {str(n) for n in sent} <= set(said), "what is called sent was said"
        unknown = [uuid for uuid in uuids if await one.state(uuid) is MessageState.UNKNOWN]
        assert len(unknown) <= 1, "only what was under way"


async def test_a_session_that_is_away_holds_its_messages() -> None:
    async with world() as one:
        session = one.account.session_id
        one.bench.world.instances[A].sessions[session] = (SessionStatus.DISCONNECTED, 1)
        uuids = [await one.accept(f"{n}", f"6281{n}") for n in range(5)]
        one.gateway()
        await asyncio.sleep(60.0)
        assert [await one.state(uuid) for uuid in uuids] == [MessageState.ACCEPTED] * 5
        tried = one.bench.world.instances[A].sends
        assert tried < 60, "one tries for all"
        one.bench.world.hold(A, SessionId(session))
        await one.all_in(uuids, MessageState.SENT)
        assert one.bench.world.said("3") == 1


async def test_an_unknown_message_is_tried_again_under_its_id_and_its_chat_waits() -> None:
    async with world() as one:
        cut = Misfortune(Fault(Phase.REPLY_TIMED_OUT, "cut"), delivered=True)
        one.bench.world.instances[A].misfortunes.extend([cut] * 12)
        first, second = await one.accept("first"), await one.accept("second")
        one.gateway()

        async def is_unknown() -> bool:
            return await one.state(first) is MessageState.UNKNOWN

        await one.until(is_unknown, within_s=60)
        assert await one.state(second) is MessageState.ACCEPTED
        one.bench.world.instances[A].misfortunes.clear()
        await one.all_in([first, second], MessageState.SENT)
        assert [text for _, text in one.bench.world.ledger] == ["first", "second"]


async def test_a_chat_goes_on_after_half_a_minute_in_doubt() -> None:
    async with world(PLAIN) as one:
        one.bench.world.instances[A].misfortunes.append(Misfortune(Fault(Phase.REPLY_TIMED_OUT, "cut")))
        first, second = await one.accept("first"), await one.accept("second")
        began_s = one.bench.clock.monotonic()
        one.gateway()
        await one.all_in([second], MessageState.SENT)
        assert await one.state(first) is MessageState.UNKNOWN
        assert CHAT_WAITS_S <= one.bench.clock.monotonic() - began_s <= CHAT_WAITS_S + 15
        assert one.bench.world.said("first") == 0


async def test_a_message_that_fails_inside_the_gateway_takes_nobody_with_it(monkeypatch: pytest.MonkeyPatch) -> None:
    async with world() as one:
        send = one.bench.sending.send

        async def poisoned(text: Text, route: Any) -> Outcome:
            if text.text == "poison":
                raise ZeroDivisionError("a bug")
            return await send(text, route)

        monkeypatch.setattr(one.bench.sending, "send", poisoned)
        poison, other = await one.accept("poison"), await one.accept("other", "62812")
        behind = await one.accept("behind")
        one.gateway()
        await one.all_in([other, behind], MessageState.SENT)
        assert await one.state(poison) is MessageState.UNKNOWN


async def test_what_is_not_worth_sending_any_more_expires_while_its_session_is_away() -> None:
    async with world() as one:
        one.bench.world.instances[A].sessions.clear()
        old = await one.accept("old", age_s=20.0)
        one.gateway()
        await one.all_in([old], MessageState.EXPIRED)


async def test_two_gateways_share_the_lanes_and_say_everything_once() -> None:
    async with world() as one:
        one.gateway()
        one.gateway()
        uuids = [await one.accept(f"{n}", f"6281{n % 4}") for n in range(40)]
        await one.all_in(uuids, MessageState.SENT)
        said = [text for _, text in one.bench.world.ledger]
        assert len(said) == len(set(said)) == 40


class BusyOutbox:
    """An outbox each of whose steps takes its time. `most`: how many it was given at once."""

    def __init__(self) -> None:
        self.steps: list[LaneStep] = []
        self.at_once = self.most = 0

    async def advance(self, step: LaneStep) -> Advance:
        self.steps.append(step)
        self.at_once += 1
        self.most = max(self.most, self.at_once)
        await asyncio.sleep(0.1)
        self.at_once -= 1
        return Advance((), None, over=True)


async def test_a_backlog_in_many_lanes_leaves_the_connections_of_the_store_to_others() -> None:
    async with world() as one:
        busy, made = BusyOutbox(), one.bench
        outbox: Any = busy
        lanes = Lanes(outbox, made.sending, made.routes, ChatTurns(10.0), made.clock, made.entropy)
        uuid = await one.accept("hello")
        [claimed] = await made.work.claim(KIND, owner="me", limit=1, lease_s=60.0)
        jobs = [replace(claimed, payload=claimed.payload | {"account": f"{uuid} {n}"}) for n in range(40)]
        await asyncio.gather(*(lanes.work(job) for job in jobs))
        assert len(busy.steps) == 40
        assert 1 < busy.most <= STEPS_AT_ONCE
