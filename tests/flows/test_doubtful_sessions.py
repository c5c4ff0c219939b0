"""A session that its instance calls connected although nothing goes through it: noticed, told, restarted once."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace

import msgspec
import pytest
from worlds import PLAIN, A, B, Bench, Misfortune, bench, hears_nothing, no_obstacle

from homing.decide.knowledge.doubt import RESTART_EVERY_S
from homing.decide.sending.recovery import SendPolicy
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.discovery.listings import Lists
from homing.flows.failover.doubtful_sessions import Doubts
from homing.flows.sending.own_messages import Said
from homing.flows.sending.send import Sending
from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import Account
from homing.model.sends.content import LinkedMedia, MediaContent, MessageType
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Sent

pytestmark = pytest.mark.virtual

DEAD = Fault(Phase.SERVER_ERROR, "Target closed.", 500)


@dataclass
class Restarts:
    done: list[str] = field(default_factory=list)

    async def restart(self, account: Account) -> Account:
        self.done.append(account.session_id)
        return account


@dataclass
class Fleet:
    it: Bench
    alerts: AlertBook
    restarts: Restarts
    doubts: Doubts
    sending: Sending

    async def fails(self, account: Account, fault: Fault, times: int) -> None:
        for _ in range(times):
            self.it.world.instances[A].misfortunes.extend(Misfortune(fault) for _ in range(12))
            outcome = await self.sending.send(self.it.text(account, "hello"), await self.it.route(account))
            assert not isinstance(outcome, Sent)
            self.it.world.instances[A].misfortunes.clear()
        await self.it.clock.sleep(1)

    async def works(self, account: Account) -> None:
        outcome = await self.sending.send(self.it.text(account, "hello"), await self.it.route(account))
        assert isinstance(outcome, Sent)
        await asyncio.sleep(0.001)  # who hears of sends is told behind their answers

    def doubtful(self, account: Account) -> bool:
        return AlertKind.DOUBTFUL in {alert.kind for alert in self.alerts.of(Subject.session(account.session_id))}


@asynccontextmanager
async def fleet() -> AsyncIterator[Fleet]:
    async with bench(A, B, can=PLAIN) as it:
        alerts, restarts = AlertBook(Unkept(), it.clock), Restarts()
        lists = Lists(it.world, it.clock)
        doubts = Doubts(it.directory, it.directory, lists, it.world, restarts, alerts, it.clock, after=3)
        sending = Sending(
            it.routes,
            it.world,
            it.rediscovery,
            it.clock,
            SendPolicy(),
            Said(),
            it.news,
            hears_nothing,
            no_obstacle,
            doubts,
            lambda *_: None,
            files=None,
            checked_numbers=None,
        )
        running = asyncio.create_task(doubts.run())
        try:
            yield Fleet(it, alerts, restarts, doubts, sending)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


async def test_three_engine_errors_in_a_row_make_a_session_doubtful_and_restart_it_where_it_is() -> None:
    async with fleet() as at:
        account = await at.it.account(A)
        await at.fails(account, DEAD, 2)
        assert not at.doubtful(account)
        await at.fails(account, DEAD, 1)
        assert at.doubtful(account)
        assert at.restarts.done == [account.session_id]
        [alert] = at.alerts.standing()
        assert alert.reason.startswith(f"{A} calls it connected, and 3 sends in a row failed")


async def test_the_next_success_resolves_and_begins_the_count_anew() -> None:
    async with fleet() as at:
        account = await at.it.account(A)
        await at.fails(account, DEAD, 3)
        await at.works(account)
        assert not at.alerts.standing()
        await at.fails(account, DEAD, 2)
        assert not at.doubtful(account)


async def test_failures_with_a_success_between_them_are_no_row() -> None:
    async with fleet() as at:
        account = await at.it.account(A)
        for _ in range(4):
            await at.fails(account, DEAD, 2)
            await at.works(account)
        assert at.restarts.done == []
        assert not at.alerts.standing()


async def test_large_files_that_take_their_time_restart_no_session() -> None:
    slow, photo = Fault(Phase.REPLY_TIMED_OUT), MediaContent(MessageType.IMAGE, LinkedMedia("http://x/large.jpg"))
    async with fleet() as at:
        account = await at.it.account(A)
        at.it.world.instances[A].can = replace(PLAIN, sends=frozenset(MessageType))
        for _ in range(5):
            at.it.world.instances[A].misfortunes.extend(Misfortune(slow) for _ in range(12))
            text = msgspec.structs.replace(at.it.text(account, ""), content=photo)
            assert not isinstance(await at.sending.send(text, await at.it.route(account)), Sent)
            at.it.world.instances[A].misfortunes.clear()
        await at.it.clock.sleep(1)
        assert not at.doubtful(account)
        assert at.restarts.done == []
        await at.fails(account, slow, 3)
        assert at.doubtful(account)


@pytest.mark.parametrize(
    "fault",
    [Fault(Phase.REFUSED), Fault(Phase.THROTTLED, status=429), Fault(Phase.REQUEST_REJECTED, status=400)],
    ids=lambda fault: fault.phase.value,
)
async def test_what_speaks_of_the_instance_or_the_message_is_no_evidence(fault: Fault) -> None:
    async with fleet() as at:
        account = await at.it.account(A)
        await at.fails(account, fault, 5)
        assert not at.doubtful(account)
        assert at.restarts.done == []


async def test_it_is_restarted_once_in_half_an_hour_by_whichever_gateway() -> None:
    async with fleet() as at:
        account = await at.it.account(A)
        other = Restarts()
        lists = Lists(at.it.world, at.it.clock)
        told = AlertBook(Unkept(), at.it.clock)
        second = Doubts(at.it.directory, at.it.directory, lists, at.it.world, other, told, at.it.clock, after=1)
        await at.fails(account, DEAD, 6)
        second.failed(account.session_id, A, DEAD)
        await second.look(account.session_id, A, 1, "500")
        assert (at.restarts.done, other.done) == ([account.session_id], [])
        await at.it.clock.sleep(RESTART_EVERY_S)
        await at.fails(account, DEAD, 3)
        assert at.restarts.done == [account.session_id] * 2
        assert at.doubtful(account)


async def test_a_success_elsewhere_resolves_what_another_gateway_raised() -> None:
    async with fleet() as at:
        account = await at.it.account(A)
        at.alerts.raised(AlertKind.DOUBTFUL, Subject.session(account.session_id), "by another gateway, or before")
        await at.works(account)
        assert not at.alerts.standing()


async def test_successful_sends_read_nothing_from_the_database() -> None:
    async with fleet() as at:
        account = await at.it.account(A)
        await at.works(account)
        reads = at.it.tally.reads
        for _ in range(5):
            await at.works(account)
        assert at.it.tally.reads == reads
