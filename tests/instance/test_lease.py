"""The lease of one boot, in virtual time: when it may act, when it pauses, and what it looks at before it goes on."""

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from random import Random

import pytest

from homing.decide.fleet.leases import LeasePolicy
from homing.instance.lease import LeaseKeeper
from homing.lab.sim.world import VirtualClock
from homing.model.instances.leases import Ended, Renewed, StoreIdentity
from homing.model.instances.vault import Holder
from homing.ports import StoreUnavailable

pytestmark = pytest.mark.virtual
DEFAULT = LeasePolicy()
STORE = StoreIdentity("store", 1)


def _now() -> float:
    return asyncio.get_running_loop().time()


class ScriptedLeases:
    """A store of leases. `fate` says what becomes of each renewal, by the number of the ask."""

    def __init__(self, fate: Callable[[int], str | float] = lambda _: 0.0) -> None:
        self.fate = fate
        self.asked: list[tuple[float, str]] = []
        self.begun: list[str] = []
        self.ended: dict[str, Ended] = {}
        self.revoked = 0
        self.store = STORE
        self.until_s = 0.0
        self.away = False
        self.waiting = self.waiting_max = 0

    async def begin(self, holder: Holder, *, expiry_s: float) -> Renewed:
        self._check()
        self.begun.append(holder.incarnation)
        self.until_s = _now() + expiry_s
        return Renewed(0, was_lapsed=False, store=self.store)

    async def renew(self, holder: Holder, *, expiry_s: float, answered_ago_s: float | None = None) -> Renewed | None:
        self.asked.append((_now(), holder.incarnation))
        fate = self.fate(len(self.asked))
        if fate == "lost":
            self.waiting += 1
            self.waiting_max = max(self.waiting_max, self.waiting)
            try:
                await asyncio.sleep(3600)
            finally:
                self.waiting -= 1
        if isinstance(fate, float):
            await asyncio.sleep(fate)
        self._check()
        if holder.incarnation in self.ended:
            return None
        lapsed, self.until_s = _now() >= self.until_s, _now() + expiry_s
        return Renewed(self.revoked, was_lapsed=lapsed, store=self.store)

    async def end(self, instance_url: str, how: Ended, *, incarnation: str | None = None) -> int:
        self._check()
        self.ended[incarnation or ""] = how
        return 1

    def _check(self) -> None:
        if self.away:
            raise StoreUnavailable("the store is gone")


@dataclass
class Tenants:
    """Notes what is asked of the sessions, and whether the boot might act at that moment."""

    lease: LeaseKeeper
    noted: list[tuple[float, str, bool]] = field(default_factory=list)
    slow_s: float = 0.0

    async def review(self) -> None:
        self._note("review")
        await asyncio.sleep(self.slow_s)

    async def redeclare(self) -> None:
        self._note("redeclare")
        await asyncio.sleep(self.slow_s)

    async def hand_back(self) -> None:
        self._note("hand back")
        if self.slow_s:
            self.slow_s = 0.0
            raise StoreUnavailable("gone again")

    def abandon(self) -> None:
        self._note("abandon")

    def pause(self) -> None:
        self._note("pause")

    def resume(self) -> None:
        self._note("resume")

    def words(self) -> list[str]:
        return [word for _, word, _ in self.noted]

    def _note(self, word: str) -> None:
        self.noted.append((_now(), word, self.lease.may_act()))


class Frozen(VirtualClock):
    """A clock that a test lets jump, as it does for a process that was stopped for that long."""

    ahead_s = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead_s


@asynccontextmanager
async def held(
    leases: ScriptedLeases, policy: LeasePolicy = DEFAULT
) -> AsyncIterator[tuple[LeaseKeeper, Tenants, Frozen]]:
    """A lease that was taken up, with nothing noted yet."""
    clock, numbers = Frozen(), iter(range(1, 100))
    lease = LeaseKeeper(leases, "http://one", clock, fresh_id=lambda: f"boot-{next(numbers)}", policy=policy)
    tenants = Tenants(lease)
    running = asyncio.create_task(lease.run(tenants))
    await lease.trusted()
    tenants.noted.clear()
    yield lease, tenants, clock
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)


async def test_it_is_renewed_at_every_heartbeat():
    leases = ScriptedLeases()
    async with held(leases) as (lease, tenants, _):
        await asyncio.sleep(10.5)
        assert lease.may_act()
        assert len(leases.asked) == 10
        assert tenants.noted == []


async def test_nobody_acts_before_it_was_taken_up():
    leases = ScriptedLeases()
    leases.away = True
    lease = LeaseKeeper(leases, "http://one", Frozen(), fresh_id=lambda: "boot", policy=DEFAULT)
    running = asyncio.create_task(lease.run(Tenants(lease)))
    await asyncio.sleep(5)
    assert not lease.may_act()
    leases.away = False
    await asyncio.sleep(0.3)
    assert lease.may_act()
    running.cancel()


async def test_an_unanswered_renewal_is_asked_for_again_soon_and_the_lease_goes_on():
    leases = ScriptedLeases(lambda n: "lost" if n in (2, 3, 4) else 0.0)
    async with held(leases) as (lease, tenants, _):
        await asyncio.sleep(6)
        assert lease.may_act()
        assert tenants.noted == []
        times = [at for at, _ in leases.asked]
        assert times[1:5] == pytest.approx([2.0, 2.25, 2.5, 2.75])


async def test_it_counts_from_before_a_renewal_was_asked_for():
    """An answer that took three seconds leaves one second to act on."""
    leases = ScriptedLeases(lambda n: 3.0)
    async with held(leases) as (lease, _, _):
        await asyncio.sleep(4.01)
        asked_s = leases.asked[0][0]
        assert lease.left_s() == pytest.approx(asked_s + DEFAULT.self_fence_s - _now(), abs=0.01)


async def test_without_renewals_it_pauses_itself_and_goes_on_after_a_look():
    leases = ScriptedLeases()
    async with held(leases) as (lease, tenants, _):
        await asyncio.sleep(1.5)
        leases.away = True
        await asyncio.sleep(3.4)
        assert lease.may_act()
        await asyncio.sleep(0.4)
        assert not lease.may_act()
        assert tenants.words() == ["pause"]
        leases.away = False
        await lease.trusted()
        assert tenants.words() == ["pause", "review", "resume"]
        assert [acting for _, word, acting in tenants.noted if word == "review"] == [False]


async def test_the_store_gives_nothing_away_before_the_holder_has_paused():
    leases = ScriptedLeases()
    async with held(leases) as (_lease, tenants, _):
        await asyncio.sleep(1.2)
        leases.away = True
        await asyncio.sleep(10)
        (paused_s, _, _) = tenants.noted[0]
        assert paused_s < leases.until_s


async def test_a_boot_that_wakes_from_a_freeze_may_not_act_at_once():
    leases = ScriptedLeases()
    async with held(leases) as (lease, tenants, clock):
        await asyncio.sleep(2.5)
        clock.ahead_s += 10
        assert not lease.may_act(), "whatever it was about to do, it is refused"
        await lease.trusted()
        assert tenants.words()[-2:] == ["review", "resume"]


async def test_an_answer_from_before_a_freeze_counts_for_nothing():
    leases = ScriptedLeases(lambda n: 0.5 if n == 2 else 0.0)
    async with held(leases) as (lease, _, clock):
        await asyncio.sleep(2.3)
        clock.ahead_s += 10
        await asyncio.sleep(0.25)
        assert leases.asked[1][0] < 2.3
        await lease.trusted()
        assert leases.asked[-1][0] >= 2.3


async def test_a_grant_taken_away_is_looked_for_while_the_others_go_on():
    leases = ScriptedLeases()
    async with held(leases) as (_lease, tenants, _):
        await asyncio.sleep(1.5)
        leases.revoked = 1
        await asyncio.sleep(5)
        assert tenants.words() == ["review"]
        assert tenants.noted[0][2], "it acts on meanwhile"
        leases.revoked = 3
        await asyncio.sleep(2)
        assert tenants.words() == ["review", "review"]


async def test_a_lapse_is_looked_at_before_anything_is_done():
    leases = ScriptedLeases()
    async with held(leases) as (_lease, tenants, _):
        await asyncio.sleep(1.5)
        leases.until_s = 0.0
        await asyncio.sleep(1)
        assert tenants.words() == ["pause", "review", "resume"]
        assert not tenants.noted[1][2]


async def test_another_history_of_the_store_is_told_again_what_is_held_before_anything_else():
    leases = ScriptedLeases()
    async with held(leases) as (lease, tenants, _):
        tenants.slow_s = 0.3
        await asyncio.sleep(1.5)
        leases.store = StoreIdentity("store", 2)
        await asyncio.sleep(0.6)
        assert not lease.may_act()
        await asyncio.sleep(1)
        assert tenants.words() == ["pause", "redeclare", "resume"]
        assert lease.may_act()
        await asyncio.sleep(5)
        assert tenants.words().count("redeclare") == 1


async def test_a_look_that_fails_is_made_again_before_it_goes_on():
    leases = ScriptedLeases()
    async with held(leases) as (lease, tenants, clock):
        looks = iter([StoreUnavailable("gone"), StoreUnavailable("gone"), None])
        real = tenants.review

        async def review() -> None:
            await real()
            if (problem := next(looks)) is not None:
                raise problem

        tenants.review = review
        clock.ahead_s += 10
        await lease.trusted()
        assert tenants.words().count("review") == 3


async def test_a_boot_declared_ended_leaves_everything_and_begins_anew():
    leases = ScriptedLeases()
    async with held(leases) as (lease, tenants, _):
        await asyncio.sleep(1.5)
        leases.ended["boot-1"] = Ended.EXITED
        await asyncio.sleep(1)
        assert tenants.words() == ["pause", "abandon", "resume"]
        assert [may_act for _, _, may_act in tenants.noted] == [False, False, True]
        assert leases.begun == ["boot-1", "boot-2"]
        assert lease.holder == Holder("http://one", "boot-2")
        assert lease.may_act()


async def test_a_boot_that_another_database_does_not_know_tells_it_what_it_holds():
    leases = ScriptedLeases()
    async with held(leases) as (lease, tenants, _):
        await asyncio.sleep(1.5)
        tenants.slow_s = 0.1
        leases.store, leases.ended["boot-1"] = StoreIdentity("restored", 1), Ended.EXITED
        await asyncio.sleep(2)
        assert tenants.words() == ["pause", "hand back", "hand back", "resume"]
        assert not any(may_act for _, word, may_act in tenants.noted if word == "hand back")
        assert lease.holder == Holder("http://one", "boot-2")
        assert lease.may_act()


async def test_its_end_is_said_and_nobody_acts_after_it():
    leases = ScriptedLeases()
    async with held(leases) as (lease, _, _):
        await lease.end()
        assert leases.ended == {"boot-1": Ended.LEFT}
        assert not lease.may_act()


async def test_an_end_that_nobody_hears_does_not_keep_anybody():
    leases = ScriptedLeases()
    async with held(leases) as (lease, _, _):
        leases.away = True
        before_s = _now()
        await lease.end()
        assert _now() - before_s <= 1.0


async def test_renewals_do_not_pile_up_on_a_store_that_answers_nothing():
    leases = ScriptedLeases(lambda n: "lost" if n > 1 else 0.0)
    async with held(leases):
        await asyncio.sleep(120)
        assert leases.waiting_max <= 17


@pytest.mark.virtual(seeds=3)
async def test_four_hours_of_stalls_and_lost_renewals_pause_nobody():
    """2 s stalls now and then, every fifth renewal lost: never a pause."""
    chance = Random(7)

    def fate(_: int) -> str | float:
        if chance.random() < 0.2:
            return "lost"
        return 2.0 if chance.random() < 0.02 else chance.random() * 0.05

    leases = ScriptedLeases(fate)
    async with held(leases) as (_, tenants, _):
        await asyncio.sleep(4 * 3600)
        assert tenants.noted == []
        assert len(leases.asked) > 4 * 3600
