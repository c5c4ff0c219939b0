"""A fleet in virtual time whose instances share a vault, and gateways that bring its sessions elsewhere."""

import asyncio
import base64
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Protocol

from worlds import Bench, bench

from homing.decide.fleet.capacity import Load
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.background.worker import Duty, Worker
from homing.flows.moves.batch import RehomePolicy
from homing.flows.moves.move_jobs import KIND, PATIENCE, Rehoming
from homing.flows.operations.drain import Drain, Drains
from homing.model.fleet import Account, InstanceUrl
from homing.model.instances.vault import Grant, Holder
from homing.model.sends.faults import Phase
from homing.model.sends.sending import Outcome, Sent
from homing.store.grants.grants import SqlGrants
from homing.store.grants.leases import SqlLeases
from homing.store.vault.sealing import KeyRing
from homing.store.vault.vault import SqlVault

KEY = "k1:" + base64.b64encode(bytes(32)).decode()
LOGIN_S = 0.4
SEND_EVERY_S = 0.1


@dataclass(slots=True)
class AllWell:
    """Nothing is wrong with any instance, but for those that are gone."""

    gone: set[InstanceUrl] = field(default_factory=set)

    def down(self) -> frozenset[InstanceUrl]:
        return frozenset(self.gone)

    def loads_now(self, loads: Sequence[Load]) -> list[Load]:
        return list(loads)

    def unfit(self) -> dict[InstanceUrl, str]:
        return dict.fromkeys(self.gone, "is gone")

    def may_grant(self) -> str | None:
        return None

    def saw(self, url: InstanceUrl, phase: Phase | None) -> None:
        pass

    def refused_ago_s(self, url: InstanceUrl) -> float | None:
        return None


@dataclass(slots=True)
class Traffic:
    """Every account says something again and again, and waits for what becomes of it."""

    made: Bench
    accounts: Sequence[Account]
    every_s: float = SEND_EVERY_S
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
                await self.made.clock.sleep(self.every_s)

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
    well: AllWell
    alerts: AlertBook

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

    def boot(self, url: InstanceUrl) -> Holder:
        """The boot that lives at the address."""
        return _boot(url)

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
        well, alerts = AllWell(), AlertBook(Unkept(), made.clock)
        rehoming = Rehoming(
            made.directory,
            grants,
            leases,
            made.world,
            made.work,
            well,
            made.clock,
            made.entropy,
            made.tally,
            RehomePolicy(),
            alerts=alerts,
        )
        made.sending._obstacles = rehoming.obstacle
        vault = await SqlVault.of(database, KeyRing.read(KEY))
        drains = Drains(made.directory, made.world, made.work, rehoming, made.clock)
        async with running(drains):
            yield Fleet(made, drains, rehoming, vault, well, alerts)
        await vault.close()


class Part(Protocol):
    """What a gateway does by itself, all the time."""

    async def run(self) -> None: ...


@asynccontextmanager
async def running(part: Part) -> AsyncIterator[None]:
    task = asyncio.create_task(part.run())
    try:
        yield
    finally:
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
