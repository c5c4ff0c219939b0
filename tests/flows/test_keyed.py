"""Keyed sends while the store is slow: who is kept waiting, and what is left behind."""

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from homing.decide.sending.idempotency import LONGEST_WAIT_S, QUEUE_MAX, Drive, InFlight, Mismatch
from homing.flows.sending.idempotent_send import CLAIM_WITHIN_S, KeyedSends
from homing.lab.sim.world import VirtualClock
from homing.model.errors import Code, Problem
from homing.model.fleet import SessionId, WorkspaceId
from homing.model.sends.messages import StoredAnswer
from homing.model.sends.sending import Receipt, Sent
from homing.ports import StoreUnavailable
from homing.store.sends.messages import SqlMessages
from homing.store.sqlite.engine import SqliteMemory
from tests.flows.worlds import W
from tests.keyed_driving import Driven, answered

pytestmark = pytest.mark.virtual


class SlowMessages(SqlMessages):
    """The real thing, whose claims are answered `late_s` after they were made."""

    late_s = 0.0

    async def claim_key(self, *args: Any, **kwargs: Any) -> Any:
        claimed = await super().claim_key(*args, **kwargs)
        await asyncio.sleep(self.late_s)
        return claimed


def keyed_sends(late_s: float = 0.0) -> tuple[KeyedSends, SlowMessages]:
    clock = VirtualClock()
    messages = SlowMessages(SqliteMemory(now=clock.now))
    messages.late_s = late_s
    return KeyedSends(messages, clock, owner="one", keep_s=3600), messages


async def never(_: Drive) -> Driven:
    raise AssertionError("nothing was to be driven")


_uuids = itertools.count()


def ask(keyed: KeyedSends, number: int, drive: Callable[[Drive], Awaitable[Driven]] = never) -> Awaitable[Any]:
    return answered(keyed, WorkspaceId(W), f"key {number}", "fingerprint", f"uuid {next(_uuids)}", drive)


async def test_a_claim_that_came_too_late_holds_the_key_no_longer() -> None:
    keyed, messages = keyed_sends(late_s=CLAIM_WITHIN_S + 1)
    with pytest.raises(StoreUnavailable, match="did not answer within"):
        await ask(keyed, 1)
    messages.late_s = 0.0
    await asyncio.sleep(0.1)

    async def drive(admission: Drive) -> Driven:
        assert not admission.repeated
        raise Driving

    with pytest.raises(Driving):
        await ask(keyed, 1, drive)


@pytest.mark.parametrize("other", ["fingerprint", "another"])
async def test_a_request_that_comes_twice_is_not_told_that_nothing_was_sent(other: str) -> None:
    keyed, messages = keyed_sends()
    said, sent = asyncio.Event(), asyncio.Event()

    async def drive(_: Drive) -> Driven:
        said.set()
        await sent.wait()
        return Sent(Receipt("3EB0", 0), None, SessionId("s"), 1, failover=False), StoredAnswer(200, {})

    first = asyncio.ensure_future(answered(keyed, WorkspaceId(W), "key", "fingerprint", "uuid of the first", drive))
    await said.wait()
    messages.late_s = CLAIM_WITHIN_S + 1
    second = asyncio.ensure_future(answered(keyed, WorkspaceId(W), "key", other, "uuid of the second", never))
    await asyncio.sleep(CLAIM_WITHIN_S - 0.1)
    sent.set()
    assert (await first).status == 200
    told = InFlight if other == "fingerprint" else Mismatch
    assert await second == told("uuid of the first")
    with pytest.raises(StoreUnavailable):
        await answered(keyed, WorkspaceId(W), "key", other, "uuid of the third", never)


async def test_nor_that_there_is_no_time_for_it() -> None:
    keyed, messages = keyed_sends()
    said, sent = asyncio.Event(), asyncio.Event()

    async def drive(_: Drive) -> Driven:
        said.set()
        await sent.wait()
        raise Driving

    first = asyncio.ensure_future(answered(keyed, WorkspaceId(W), "key", "fingerprint", "uuid of the first", drive))
    await said.wait()
    messages.late_s = 60.0
    waiting = [asyncio.ensure_future(ask(keyed, number)) for number in range(QUEUE_MAX)]
    await asyncio.sleep(LONGEST_WAIT_S + 0.1)
    again = await answered(keyed, WorkspaceId(W), "key", "fingerprint", "uuid of the second", never)
    assert again == InFlight("uuid of the first")
    sent.set()
    await asyncio.gather(first, *waiting, return_exceptions=True)


async def test_whoever_comes_to_a_long_queue_is_told_at_once() -> None:
    keyed, _ = keyed_sends(late_s=60.0)
    waiting = [asyncio.ensure_future(ask(keyed, number)) for number in range(QUEUE_MAX)]
    await asyncio.sleep(LONGEST_WAIT_S + 0.1)
    with pytest.raises(Problem) as told:
        await ask(keyed, QUEUE_MAX)
    assert told.value.code is Code.OVERLOADED
    assert f"{QUEUE_MAX} sends wait for the database" in told.value.detail
    outcomes = await asyncio.gather(*waiting, return_exceptions=True)
    assert all(isinstance(outcome, StoreUnavailable) for outcome in outcomes)


async def test_a_workspace_of_which_few_wait_is_not_refused_because_of_another() -> None:
    keyed, messages = keyed_sends(late_s=60.0)
    waiting = [asyncio.ensure_future(ask(keyed, number)) for number in range(2 * QUEUE_MAX)]
    await asyncio.sleep(LONGEST_WAIT_S + 0.1)
    messages.late_s = 0.0
    with pytest.raises(Problem):
        await ask(keyed, 2 * QUEUE_MAX)
    with pytest.raises(Driving):
        await answered(keyed, WorkspaceId(2), "key", "fingerprint", "uuid of another's", driving)
    await asyncio.gather(*waiting, return_exceptions=True)


@pytest.mark.parametrize(("queue", "for_s"), [(QUEUE_MAX, LONGEST_WAIT_S - 0.1), (QUEUE_MAX - 1, LONGEST_WAIT_S + 0.1)])
async def test_a_short_stall_and_a_short_queue_refuse_nobody(queue: int, for_s: float) -> None:
    keyed, messages = keyed_sends(late_s=60.0)
    waiting = [asyncio.ensure_future(ask(keyed, number)) for number in range(queue)]
    await asyncio.sleep(for_s)
    messages.late_s = 0.0
    with pytest.raises(Driving):
        await ask(keyed, queue, driving)
    await asyncio.gather(*waiting, return_exceptions=True)


async def test_a_key_that_is_driven_here_is_not_let_go_by_another_request_for_it() -> None:
    keyed, messages = keyed_sends()
    finish = asyncio.Event()

    async def drive(_: Drive) -> Driven:
        await finish.wait()
        raise Driving

    driving = asyncio.ensure_future(ask(keyed, 1, drive))
    await asyncio.sleep(0.1)
    messages.late_s = CLAIM_WITHIN_S + 1
    assert isinstance(await ask(keyed, 1), InFlight)
    messages.late_s = 0.0
    assert isinstance(await ask(keyed, 1), InFlight)
    finish.set()
    with pytest.raises(Driving):
        await driving


class Driving(Exception):
    """The send is being driven."""


async def driving(_: Drive) -> Driven:
    raise Driving
