"""Hours of small trouble in virtual time: renewals lost, stalls, a busy machine; nobody moves, pauses, or is told."""

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from itertools import count

import pytest
from structlog.testing import capture_logs

from homing.decide.fleet.leases import LeasePolicy
from homing.decide.moves.next_step import MoveRequest
from homing.flows.alerts.conditions import ConditionPolicy, ConditionWatch
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.discovery.wakeups import News
from homing.flows.failover.keeper import Keeper, KeeperPolicy
from homing.flows.failover.watching import Watching, WatchPolicy
from homing.instance.lease import LeaseKeeper
from homing.lab.sim.world import SeededEntropy, VirtualClock
from homing.model.fleet import Capabilities, Instance, InstanceUrl, ListedSession, Listing, SessionList
from homing.model.instances.leases import Renewed
from homing.model.instances.vault import Holder
from homing.ports import InstanceHealth, Roster, StoreUnavailable
from homing.store.db.opening import open_database
from homing.store.directory.directory import SqlDirectory
from homing.store.grants.leases import SqlLeases
from homing.store.notices.notices import LocalNotices
from homing.store.records.standing_facts import SqlFacts, SqlVaultKeys
from homing.store.work.schedules import SqlSchedules

HOURS = 4
LOST = 0.2
STALL_S = 2.0
STALL_EVERY_S = 300.0
BUSY_S = 0.08
URLS = [InstanceUrl(f"http://i{number}:3001") for number in range(4)]


class RoughLeases:
    """The store as an instance meets it that stalls now and then, on a busy machine, over a lossy network."""

    def __init__(self, inner: SqlLeases, clock: VirtualClock, entropy: SeededEntropy) -> None:
        self._inner, self._clock, self._entropy = inner, clock, entropy
        self.stalled_until_s = 0.0
        self.lost = 0

    async def begin(self, holder: Holder, *, expiry_s: float) -> Renewed:
        return await self._inner.begin(holder, expiry_s=expiry_s)

    async def renew(self, holder: Holder, *, expiry_s: float, answered_ago_s: float | None = None) -> Renewed | None:
        await self._clock.sleep(max(0.0, self.stalled_until_s - self._clock.monotonic()))
        await self._clock.sleep(BUSY_S * self._entropy.random())
        if self._entropy.random() < LOST:
            self.lost += 1
            await self._clock.sleep(3_600.0)
            raise StoreUnavailable("lost")
        return await self._inner.renew(holder, expiry_s=expiry_s, answered_ago_s=answered_ago_s)


class Tenants:
    """Counts how often this instance had to pause."""

    def __init__(self) -> None:
        self.pauses = 0

    async def review(self) -> None:
        pass

    async def redeclare(self) -> None:
        pass

    async def hand_back(self) -> None:
        raise AssertionError("it is the same database all the time")

    def abandon(self) -> None:
        raise AssertionError("nobody was declared ended")

    def pause(self) -> None:
        self.pauses += 1

    def resume(self) -> None:
        pass


class RoughFleet:
    """Instances that answer their probes late while they stall, and otherwise within a busy machine's time."""

    default_url = None
    family = "webjs"

    def __init__(self, clock: VirtualClock, entropy: SeededEntropy, stores: dict[InstanceUrl, RoughLeases]) -> None:
        self._clock, self._entropy, self._stores = clock, entropy, stores
        self.roster = Roster({url: Instance(number, url) for number, url in enumerate(URLS, 1)})

    def driver(self, url: InstanceUrl) -> "RoughFleet":
        return self

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | object:
        from homing.model.sends.faults import Fault, Phase

        late_s = max(0.0, self._stores[instance].stalled_until_s - self._clock.monotonic())
        takes_s = late_s + BUSY_S * self._entropy.random()
        await self._clock.sleep(min(takes_s, timeout_s))
        if takes_s > timeout_s:
            return Fault(Phase.REPLY_TIMED_OUT, "no answer in time")
        return InstanceHealth(Capabilities())

    async def sessions(self, instance: InstanceUrl, *, timeout_s: float) -> Listing:
        rows: dict[str, ListedSession] = {}
        return SessionList(instance, rows)  # type: ignore[arg-type]


class Wishes:
    def __init__(self) -> None:
        self.entered: list[MoveRequest] = []

    async def want(self, wishes: Sequence[MoveRequest]) -> int:
        self.entered += wishes
        return len(wishes)


@asynccontextmanager
async def calm_fleet(seed: int) -> AsyncIterator[tuple[VirtualClock, SeededEntropy, list[Tenants], Wishes, dict]]:
    clock = VirtualClock()
    entropy = SeededEntropy(seed, clock)
    database = open_database("sqlite://", now=clock.now)
    directory = SqlDirectory(database, LocalNotices(), clock)
    real = SqlLeases(database)
    names = count()
    stores = {url: RoughLeases(real, clock, entropy) for url in URLS}
    tenants = [Tenants() for _ in URLS]
    leases = [
        LeaseKeeper(stores[url], url, clock, fresh_id=lambda: f"boot {next(names)}", policy=LeasePolicy())  # type: ignore[arg-type]
        for url in URLS
    ]
    fleet, wishes = RoughFleet(clock, entropy, stores), Wishes()
    alerts = AlertBook(Unkept(), clock)
    watching = Watching(real, fleet, clock, entropy, WatchPolicy(), alerts=alerts)  # type: ignore[arg-type]
    keeper = Keeper(watching, wishes, directory, fleet, News(), clock, KeeperPolicy(), alerts)  # type: ignore[arg-type]
    conditions = ConditionWatch(
        watching,
        lambda: fleet.roster.instances,
        directory,
        SqlSchedules(database),
        SqlFacts(database),
        SqlVaultKeys(database, None),
        alerts,
        clock,
        ConditionPolicy("gateway", ""),
    )
    running = [asyncio.create_task(lease.run(each)) for lease, each in zip(leases, tenants, strict=True)]
    running += [asyncio.create_task(part.run()) for part in (watching, keeper, conditions)]
    try:
        yield clock, entropy, tenants, wishes, stores
    finally:
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await database.close()


@pytest.mark.slow
@pytest.mark.virtual
async def test_four_hours_of_stalls_and_lost_renewals_move_pause_and_alert_nobody() -> None:
    with capture_logs() as lines:
        async with calm_fleet(11) as (clock, entropy, tenants, wishes, stores):
            while clock.monotonic() < HOURS * 3_600.0:
                await clock.sleep(STALL_EVERY_S * (0.5 + entropy.random()))
                stalled = URLS[int(entropy.random() * len(URLS))]
                stores[stalled].stalled_until_s = clock.monotonic() + STALL_S
            assert sum(store.lost for store in stores.values()) > HOURS * 3_600.0 * len(URLS) * LOST * 0.8
            assert [each.pauses for each in tenants] == [0] * len(URLS)
            assert wishes.entered == []
    assert [line for line in lines if line.get("alert")] == []
