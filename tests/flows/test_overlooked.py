"""What a gateway stored and did not live to follow is followed by another one, or by itself when it is back."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass

import pytest

from homing.flows.discovery.listings import Lists
from homing.flows.sending.own_messages import Said
from homing.flows.webhooks.catch_up import LOOK_EVERY_S, Overlooked
from homing.flows.webhooks.hints import Hints
from homing.flows.webhooks.intake import Intake
from homing.model.fleet import Account, InstanceUrl
from homing.model.instances.events import Report
from homing.ports import EventsStored
from homing.store.records.reports import SqlEvents
from tests.flows.vault_fleet import running
from tests.flows.worlds import A, B, Bench, bench

pytestmark = pytest.mark.virtual

LOOKED_S = 2 * LOOK_EVERY_S + 1.0


@dataclass
class Gateway:
    """What of a gateway takes in reports, and what follows them."""

    intake: Intake
    hints: Hints
    overlooked: Overlooked

    @asynccontextmanager
    async def at_work(self) -> AsyncIterator[None]:
        async with running(self.hints), running(self.overlooked):
            yield

    async def take(self, account: Account, url: InstanceUrl, kind: str = "session_ready", sender: str = "1") -> None:
        await self.intake.take(Report(kind, {}, account.session_id, url, sender_id=sender), None)


def gateway(it: Bench) -> Gateway:
    store = SqlEvents(it.directory._database, it.notices)
    hints = Hints(it.directory, Lists(it.world, it.clock), it.clock, it.entropy, it.tally, it.news)
    overlooked = Overlooked(store, hints, it.clock)
    it.notices.subscribe(overlooked.hear)
    return Gateway(Intake(store, hints, Said(), it.clock, it.entropy, keep_days=1), hints, overlooked)


async def test_another_gateway_follows_what_one_stored_before_it_died() -> None:
    async with bench(A, B) as it, gateway(it).at_work():
        account = await it.account(A, held=False)
        it.world.hold(B, account.session_id, epoch=2)
        await it.clock.sleep(1.0)
        dead = gateway(it)
        await dead.take(account, B)
        await it.clock.sleep(LOOKED_S)
        placement = await it.placement(account)
        assert (placement.instance_url, placement.epoch) == (B, 2)


async def test_a_gateway_that_is_back_follows_what_it_stored_before() -> None:
    async with bench(A, B) as it:
        account = await it.account(A, held=False)
        it.world.hold(B, account.session_id, epoch=2)
        await gateway(it).take(account, B)
        async with gateway(it).at_work():
            await it.clock.sleep(LOOKED_S)
        assert (await it.placement(account)).instance_url == B


async def test_what_was_followed_is_not_followed_again() -> None:
    async with bench(A, B) as it:
        well = gateway(it)
        async with gateway(it).at_work(), well.at_work():
            account = await it.account(A)
            await well.take(account, A)
            await it.clock.sleep(1.0)
            looked = it.world.instances[A].lists
            assert looked == 1
            await it.clock.sleep(10 * LOOK_EVERY_S)
            assert it.world.instances[A].lists == looked


async def test_a_session_that_is_nowhere_is_looked_for_once_more_and_no_oftener() -> None:
    async with bench(A, B) as it, gateway(it).at_work():
        account = await it.account(A, held=False)
        await gateway(it).take(account, A, "session_disconnected")
        await it.clock.sleep(LOOKED_S)
        assert it.world.instances[A].lists == 1
        await it.clock.sleep(10 * LOOK_EVERY_S)
        assert it.world.instances[A].lists == 1


async def test_nothing_is_asked_of_the_store_while_nothing_is_reported() -> None:
    async with bench(A) as it:
        quiet = gateway(it)
        asked = 0

        async def unseen_since(*_: object, **__: object) -> list[object]:
            nonlocal asked
            asked += 1
            return []

        quiet.overlooked._store.unseen_since = unseen_since  # type: ignore[method-assign, assignment]
        async with quiet.at_work():
            await it.clock.sleep(10 * LOOK_EVERY_S)
            assert asked == 0
            await it.notices.publish([EventsStored(7)])
            await it.clock.sleep(10 * LOOK_EVERY_S)
            assert asked == 1
