"""Emptying instances while people send, in virtual time: nobody sees an error, and nothing is said twice."""

import asyncio
import base64
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest
from worlds import A, B, Bench, C, bench

from homing.decide.rooms import Load
from homing.flows.drain import Drain, Drains
from homing.flows.rehome import KIND, PATIENCE, RehomePolicy, Rehoming
from homing.flows.worker import Duty, Worker
from homing.model.faults import Phase
from homing.model.fleet import Account, InstanceUrl
from homing.model.sending import Outcome, Sent
from homing.model.vault import Grant, Holder
from homing.ports import Page
from homing.store.grants import SqlGrants
from homing.store.leases import SqlLeases
from homing.store.sealing import KeyRing
from homing.store.vault import SqlVault

pytestmark = pytest.mark.virtual

KEY = "k1:" + base64.b64encode(bytes(32)).decode()
LOGIN_S = 0.4
SEND_EVERY_S = 0.1


@dataclass(slots=True)
class AllWell:
    """Nothing is wrong with any instance."""

    def down(self) -> frozenset[InstanceUrl]:
        return frozenset()

    def loads_now(self, loads: Sequence[Load]) -> list[Load]:
        return list(loads)

    def unfit(self) -> dict[InstanceUrl, str]:
        return {}

    def may_grant(self) -> str | None:
        return None

    def saw(self, url: InstanceUrl, phase: Phase | None) -> None:
        pass


@dataclass(slots=True)
class Traffic:
    """Every account says something every tenth of a second, and waits for what becomes of it."""

    made: Bench
    accounts: Sequence[Account]
    outcomes: list[tuple[Outcome, float]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)

    async def run(self, for_s: float) -> None:
        end_s = self.made.clock.monotonic() + for_s
        number = 0
        async with asyncio.TaskGroup() as sends:
            while self.made.clock.monotonic() < end_s:
                for account in self.accounts:
                    number += 1
                    sends.create_task(self._send(account, f"message {number}"))
                await self.made.clock.sleep(SEND_EVERY_S)

    async def _send(self, account: Account, text: str) -> None:
        began_s = self.made.clock.monotonic()
        self.said.append(text)
        outcome = await self.made.send(account, text)
        self.outcomes.append((outcome, self.made.clock.monotonic() - began_s))

    def slowest_s(self) -> float:
        return max(took_s for _, took_s in self.outcomes)

    def check(self) -> None:
        """All were sent, each once."""
        assert [outcome for outcome, _ in self.outcomes if not isinstance(outcome, Sent)] == []
        assert sorted(text for _, text in self.made.world.ledger) == sorted(self.said)


@dataclass(slots=True)
class Fleet:
    """A gateway that does the jobs, over instances that share a vault."""

    made: Bench
    drains: Drains
    rehoming: Rehoming
    vault: SqlVault

    def gateway(self, name: str) -> Worker:
        duty = Duty(together=self.rehoming.do, policy=PATIENCE, at_once=1_000, lease_s=3.0, poll_s=1.0)
        return Worker(self.made.work, self.made.clock, self.made.entropy, KIND, duty, owner=name)

    async def accounts(self, count: int, url: InstanceUrl) -> list[Account]:
        accounts = [await self.made.account(url) for _ in range(count)]
        for account in accounts:
            opened = await self.vault.open(account.session_id, epoch=account.placement.epoch, holder=_boot(url))
            assert isinstance(opened, Grant)
            await self.vault.save(opened, {"linked": True})
        return accounts

    async def emptied(self, url: InstanceUrl) -> Drain:
        """What the drain comes to."""
        drain = await self.drains.drain(url)
        async with asyncio.timeout(60.0):
            while drain.remaining > drain.stuck:
                await self.made.clock.sleep(0.1)
                drain = await self.drains.progress(drain.instance)
        return drain


def _boot(url: InstanceUrl) -> Holder:
    return Holder(url, f"boot of {url}")


@asynccontextmanager
async def fleet(*urls: InstanceUrl) -> AsyncIterator[Fleet]:
    async with bench(*urls) as made:
        database = made.directory._database
        leases, grants = SqlLeases(database), SqlGrants(database, made.notices)
        for url in urls:
            await leases.begin(_boot(url), expiry_s=3600.0)
            made.world.instances[url].start_takes_s = LOGIN_S
        rehoming = Rehoming(
            made.directory,
            grants,
            leases,
            made.world,
            made.work,
            AllWell(),
            made.clock,
            made.entropy,
            made.tally,
            RehomePolicy(),
        )
        vault = await SqlVault.of(database, KeyRing.read(KEY))
        drains = Drains(made.directory, made.world, made.work, rehoming, made.clock)
        async with running(drains):
            yield Fleet(made, drains, rehoming, vault)
        await vault.close()


@asynccontextmanager
async def running(part: Worker | Drains) -> AsyncIterator[None]:
    task = asyncio.create_task(part.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)


async def test_nobody_sees_an_error_while_an_instance_is_emptied() -> None:
    async with fleet(A, B, C) as it, running(it.gateway("g1")):
        accounts = [*await it.accounts(10, A), *await it.accounts(5, B)]
        traffic = Traffic(it.made, accounts)
        talking = asyncio.create_task(traffic.run(6.0))
        await it.made.clock.sleep(0.5)
        drain = await it.emptied(A)
        await talking
        assert (drain.remaining, drain.stuck) == (0, 0)
        traffic.check()
        assert traffic.slowest_s() <= 1.0
        assert it.made.world.instances[A].sessions == {}
        moves = await it.made.directory.moves(None, Page(limit=100))
        told = [move for move in moves if move.fence is not None]
        assert len(told) == 10
        assert all(move.fence == "stopped" and move.duration_ms is not None for move in told)


async def test_a_whole_fleet_is_upgraded_instance_by_instance_under_load() -> None:
    async with fleet(A, B, C) as it, running(it.gateway("g1")):
        accounts = [account for url in (A, B, C) for account in await it.accounts(6, url)]
        traffic = Traffic(it.made, accounts)
        talking = asyncio.create_task(traffic.run(12.0))
        for url in (A, B, C):
            assert (await it.emptied(url)).remaining == 0
            assert it.made.world.instances[url].sessions == {}
            await it.drains.undrain(url)
        await talking
        traffic.check()
        assert traffic.slowest_s() <= 1.0


async def test_what_a_dead_gateway_had_begun_goes_on_in_another() -> None:
    async with fleet(A, B) as it:
        accounts = await it.accounts(8, A)
        await it.drains.drain(A)
        held = await it.made.work.claim(KIND, owner="it dies here", limit=8, lease_s=3.0)
        assert len(held) == 8
        async with running(it.gateway("g2")):
            began_s = it.made.clock.monotonic()
            assert (await it.emptied(A)).remaining == 0
            assert it.made.clock.monotonic() - began_s <= 5.0
            await it.made.clock.sleep(1.0)
        placements: Mapping[str, object] = {
            account.uuid: (await it.made.placement(account)).epoch for account in accounts
        }
        assert set(placements.values()) == {2}


async def test_a_drain_that_nobody_can_take_waits_and_goes_on_when_there_is_room() -> None:
    async with fleet(A, B) as it, running(it.gateway("g1")):
        await it.accounts(3, A)
        await it.made.directory.change_instance(B, {"capacity": 1})
        drain = await it.drains.drain(A)
        await it.made.clock.sleep(5.0)
        drain = await it.drains.progress(drain.instance)
        assert drain.remaining == drain.moving == 2
        assert all(f"{B} is full (1 of 1)" in reason for reason in drain.delayed)
        await it.made.directory.change_instance(B, {"capacity": None})
        async with asyncio.timeout(60.0):
            assert (await it.emptied(A)).remaining == 0
