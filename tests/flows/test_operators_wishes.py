"""What operators and supervisors want of the fleet: which wishes that makes, what is refused, and how far it is."""

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from worlds import OURS, PLAIN, A, B, Bench, C, bench

from homing.decide.fleet.capacity import Load
from homing.decide.moves.next_step import MoveCause, MoveRequest
from homing.decide.moves.rebalance import RebalancePolicy
from homing.flows.failover.exits import Exits
from homing.flows.moves.move_jobs import KIND, WishList
from homing.flows.operations.drain import Drain, Drains
from homing.flows.operations.migrate import MigrationRequest, Migrations
from homing.flows.operations.rebalance import Balance
from homing.model.errors import Code, Problem
from homing.model.fleet import (
    Account,
    Epoch,
    InstanceState,
    InstanceUrl,
    MoveKind,
    Rebinding,
    SessionId,
    SessionStatus,
    Takeover,
)
from homing.model.instances.leases import Ended, Incarnation, IncarnationId
from homing.model.instances.vault import Holder, SessionHolding
from homing.model.sends.faults import Fault, Phase
from homing.model.work import Dead, Ending, Job, JobState, Priority, Retry
from homing.ports import Page

pytestmark = pytest.mark.virtual

NOWHERE = InstanceUrl("http://nowhere:3001")


@dataclass(slots=True)
class ModelVault:
    """`ports.Grants` and `ports.Leases`, as far as wishes are entered: who holds what, and whose boot has ended."""

    holdings: dict[SessionId, SessionHolding] = field(default_factory=dict)
    moved: dict[SessionId, int] = field(default_factory=dict)
    exited: list[tuple[InstanceUrl, IncarnationId | None]] = field(default_factory=list)
    boots: set[Holder] = field(default_factory=lambda: {Holder(A, "a boot")})

    async def fenced(self, sessions: Collection[SessionId]) -> Mapping[SessionId, SessionHolding]:
        return {session: self.holdings[session] for session in sessions if session in self.holdings}

    async def moves_today(self, sessions: Collection[SessionId]) -> Mapping[SessionId, int]:
        return self.moved

    async def incarnations(self) -> list[Incarnation]:
        holders = {each.holder for each in self.holdings.values() if each.holder is not None} | self.boots
        return [
            Incarnation(IncarnationId(each.incarnation), InstanceUrl(each.instance_url), 0.1, 5.0, 60.0)
            for each in holders
        ]

    async def end(self, url: InstanceUrl, how: Ended, *, incarnation: IncarnationId | None = None) -> int:
        assert how is Ended.EXITED
        self.exited.append((url, incarnation))
        ended = [
            session
            for session, holding in self.holdings.items()
            if holding.holder is not None
            and holding.holder.instance_url == url
            and incarnation in (None, holding.holder.incarnation)
        ]
        for session in ended:
            self.holdings[session] = replace(self.holdings[session], holder_ended=True)
        return 1 if ended else 0


@dataclass(slots=True)
class Seen:
    """What is known of the instances."""

    out_of_use: dict[InstanceUrl, str] = field(default_factory=dict)

    def unfit(self) -> Mapping[InstanceUrl, str]:
        return self.out_of_use

    def loads_now(self, loads: Sequence[Load]) -> list[Load]:
        return list(loads)


@dataclass(slots=True)
class Desk:
    """Where operators stand."""

    bench: Bench
    vault: ModelVault
    seen: Seen
    drains: Drains
    migrations: Migrations
    exits: Exits
    balance: Balance
    braked: list[str]

    async def account(self, url: InstanceUrl | None = A, *, boot: str | None = "boot", **changes: Any) -> Account:
        account = await self.bench.account(url)
        if url is not None and boot is not None:
            holder = Holder(url, boot)
            self.vault.holdings[account.session_id] = SessionHolding(
                account.session_id, account.placement.epoch, holder, True, 5.0, False
            )
        if "takeover" in changes:
            await self.bench.directory.change_account(account, {"takeover": changes["takeover"]})
        if "requires" in changes:
            await self.bench.directory.change_account(account, {"requires": changes["requires"]})
        if "status" in changes:
            await self.bench.directory.set_status(account.session_id, changes["status"])
        return await self.again(account)

    async def again(self, account: Account) -> Account:
        found = await self.bench.directory.account(None, uuid=account.uuid)
        assert found is not None
        return found

    async def jobs(self) -> list[Job]:
        return sorted(await self.bench.work.jobs(Page(limit=500), kind=KIND), key=lambda job: job.id)

    async def wishes(self) -> list[MoveRequest]:
        return [MoveRequest.of(job.payload) for job in await self.jobs()]

    async def end(self, ending: Ending) -> None:
        """How every job that is waiting ends."""
        jobs = await self.bench.work.claim(KIND, owner="me", limit=500, lease_s=10)
        await self.bench.work.settle([(job, ending) for job in jobs])

    async def refused(self, wanted: Any) -> Problem:
        with pytest.raises(Problem) as refusal:
            await wanted
        assert await self.jobs() == []
        return refusal.value


@asynccontextmanager
async def desk(*urls: InstanceUrl) -> AsyncIterator[Desk]:
    async with bench(*urls or (A, B, C)) as made:
        vault, seen, wishes, braked = ModelVault(), Seen(), WishList(made.work), list[str]()
        directory, fleet = made.directory, made.world
        yield Desk(
            made,
            vault,
            seen,
            Drains(directory, fleet, made.work, wishes, made.clock),
            Migrations(directory, fleet, vault, seen, wishes),  # type: ignore[arg-type]
            Exits(directory, vault, vault, wishes),  # type: ignore[arg-type]
            Balance(
                directory,
                fleet,
                vault,  # type: ignore[arg-type]
                seen,
                wishes,
                RebalancePolicy(),
                lambda: braked[0] if braked else None,
            ),
            braked,
        )


def told(drain: Drain) -> tuple[int, int, int, int]:
    return drain.remaining, drain.moving, drain.stuck, drain.unwished


# --- draining -------------------------------------------------------------------------------------------------


async def test_draining_wishes_every_session_elsewhere_the_idle_ones_first() -> None:
    async with desk() as it:
        busy, idle, unknown, elsewhere = [await it.account(url) for url in (A, A, A, B)]
        it.bench.world.instances[A].idle_s = {busy.session_id: 1.0, idle.session_id: 900.0}
        drain = await it.drains.drain(A)
        assert told(drain) == (3, 3, 0, 0)
        wishes = await it.wishes()
        assert [wish.session_id for wish in wishes] == [each.session_id for each in (idle, busy, unknown)]
        assert {(wish.cause, wish.from_url, wish.to_url) for wish in wishes} == {(MoveCause.DRAIN, A, None)}
        assert {job.priority for job in await it.jobs()} == {Priority.BULK}
        [first, *_] = await it.bench.directory.instances()
        assert first.state is InstanceState.DRAINING
        assert (await it.bench.placement(elsewhere)).instance_url == B


async def test_asking_again_for_a_drain_takes_along_what_came_and_what_was_stuck_and_nothing_twice() -> None:
    async with desk() as it:
        await it.account(A)
        await it.drains.drain(A)
        await it.end(Dead("it would not"))
        newcomer = await it.account(A)
        before = await it.drains.progress(await _instance(it, A))
        assert told(before) == (2, 0, 1, 1)
        assert told(await it.drains.drain(A)) == (2, 2, 0, 0)
        assert told(await it.drains.drain(A)) == (2, 2, 0, 0)
        assert len(await it.jobs()) == 3
        assert (await it.wishes())[-1].session_id == newcomer.session_id


async def test_what_comes_to_an_instance_that_drains_is_taken_along_and_what_is_stuck_is_left() -> None:
    async with desk() as it:
        await it.account(A)
        await it.drains.drain(A)
        await it.end(Dead("it would not"))
        tending = asyncio.create_task(it.drains.run())
        newcomer, elsewhere = await it.account(A), await it.account(B)
        await it.bench.clock.sleep(5.0)
        assert {wish.session_id for wish in await it.wishes()} >= {newcomer.session_id}
        assert elsewhere.session_id not in {wish.session_id for wish in await it.wishes()}
        assert told(await it.drains.progress(await _instance(it, A))) == (2, 1, 1, 0)
        tending.cancel()


async def test_the_progress_of_a_drain_names_who_is_stuck_and_why_others_wait() -> None:
    async with desk() as it:
        stuck = await it.account(A)
        await it.drains.drain(A)
        await it.end(Dead("WhatsApp does not know it any more"))
        await it.account(A)
        await it.drains.drain(A)
        await it.end(Retry(5.0, "no instance has room: http://b:3001 is full"))
        drain = await it.drains.progress(await _instance(it, A))
        assert told(drain) == (2, 2, 0, 0)
        assert drain.delayed == {"no instance has room: http://b:3001 is full": 2}
        await it.bench.clock.sleep(6.0)
        await it.end(Dead("it would not"))
        drain = await it.drains.progress(await _instance(it, A))
        assert told(drain) == (2, 0, 2, 0)
        assert (drain.told[0].session_id, drain.told[0].phone, drain.told[0].reason) == (
            stuck.session_id,
            stuck.phone,
            "it would not",
        )


async def test_what_was_given_up_at_an_earlier_place_does_not_count_as_stuck() -> None:
    async with desk() as it:
        account = await it.account(B)
        await it.drains.drain(B)
        await it.end(Dead("long ago"))
        moved = Rebinding(account.placement, A, Epoch(2), MoveKind.REDISCOVERY, "found")
        assert await it.bench.directory.rebind([moved])
        assert told(await it.drains.progress(await _instance(it, A))) == (1, 0, 0, 1)


async def test_sessions_that_do_not_run_do_not_hold_up_a_drain() -> None:
    async with desk() as it:
        await it.account(A, status=SessionStatus.STOPPED)
        await it.account(A, status=SessionStatus.LOGGED_OUT)
        assert told(await it.drains.drain(A)) == (0, 0, 0, 0)


async def test_a_gateway_that_keeps_its_logins_to_itself_drains_of_nothing_and_says_what_it_would_need() -> None:
    async with desk() as it:
        it.bench.world.instances[A].can = PLAIN
        await it.account(A, boot=None)
        drain = await it.drains.drain(A)
        assert told(drain) == (1, 0, 1, 0)
        assert "share_credentials" in drain.told[0].reason
        assert await it.jobs() == []


async def test_undraining_keeps_what_has_not_begun_to_leave() -> None:
    async with desk() as it:
        leaving, staying = await it.account(A), await it.account(A)
        wanted_by_a_person = await it.account(A)
        await it.migrations.migrate(wanted_by_a_person, None)
        await it.drains.drain(A)
        claimed = await it.bench.work.claim(KIND, owner="me", limit=2, lease_s=10)
        assert [job.dedup for job in claimed] == [wanted_by_a_person.session_id, leaving.session_id]
        assert told(await it.drains.undrain(A)) == (3, 2, 0, 1)
        states = {job.dedup: job.state for job in await it.jobs()}
        assert states[staying.session_id] is JobState.CANCELLED
        assert states[leaving.session_id] is states[wanted_by_a_person.session_id] is JobState.RUNNING
        assert (await _instance(it, A)).state is InstanceState.ACTIVE


@pytest.mark.parametrize("verb", ["drain", "undrain"])
async def test_an_instance_that_is_not_there_cannot_be_drained(verb: str) -> None:
    async with desk() as it:
        problem = await it.refused(getattr(it.drains, verb)(NOWHERE))
        assert (problem.code, str(NOWHERE) in problem.detail) == (Code.INSTANCE_NOT_FOUND, True)


# --- migrating ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("to", [B, None])
async def test_migrating_is_an_urgent_wish_for_that_place_or_for_any(to: InstanceUrl | None) -> None:
    async with desk() as it:
        account = await it.account(A)
        assert await it.migrations.migrate(account, to) == MigrationRequest(account, to, new=True)
        [wish] = await it.wishes()
        assert (wish.cause, wish.from_url, wish.from_epoch, wish.to_url) == (MoveCause.REQUEST, A, 1, to)
        assert [job.priority for job in await it.jobs()] == [Priority.URGENT]
        assert await it.migrations.migrate(account, to) == MigrationRequest(account, to, new=False)


async def test_a_session_that_is_there_already_does_not_migrate() -> None:
    async with desk() as it:
        problem = await it.refused(it.migrations.migrate(await it.account(A), A))
        assert (problem.code, A in problem.detail) == (Code.ALREADY_THERE, True)


@pytest.mark.parametrize(
    ("status", "code", "next_step"),
    [
        (SessionStatus.STOPPED, Code.NOT_MOVABLE, "start it first"),
        (SessionStatus.PAIRING, Code.NOT_MOVABLE, "link it first"),
        (SessionStatus.QUARANTINED, Code.NOT_MOVABLE, "start it"),
        (SessionStatus.LOGGED_OUT, Code.SESSION_LOGGED_OUT, "start it and link it first"),
    ],
)
async def test_a_session_that_does_not_run_does_not_migrate(status: SessionStatus, code: Code, next_step: str) -> None:
    async with desk() as it:
        problem = await it.refused(it.migrations.migrate(await it.account(A, status=status), B))
        assert (problem.code, next_step in problem.detail) == (code, True)


async def test_an_account_that_is_nowhere_does_not_migrate() -> None:
    async with desk() as it:
        problem = await it.refused(it.migrations.migrate(await it.account(None), B))
        assert problem.code is Code.ACCOUNT_NOT_PLACED


async def test_a_session_of_a_gateway_that_keeps_its_logins_does_not_migrate() -> None:
    async with desk() as it:
        it.bench.world.instances[A].can = PLAIN
        problem = await it.refused(it.migrations.migrate(await it.account(A, boot=None), B))
        assert problem.code is Code.NOT_SUPPORTED
        assert "share_credentials" in problem.detail


async def test_a_gateway_that_opens_no_logins_of_others_is_no_place_to_migrate_to() -> None:
    async with desk() as it:
        it.bench.world.instances[B].can = replace(OURS, share_credentials=False)
        problem = await it.refused(it.migrations.migrate(await it.account(A), B))
        assert (problem.code, B in problem.detail) == (Code.NOT_SUPPORTED, True)


async def test_a_place_that_drains_or_lacks_a_label_is_unfit_and_named() -> None:
    async with desk() as it:
        account = await it.account(A, requires={"region": "sg", "proxy": "p1"})
        await it.bench.directory.change_instance(B, {"labels": {"region": "us", "proxy": "p1"}})
        problem = await it.refused(it.migrations.migrate(account, B))
        assert (problem.code, B in problem.detail) == (Code.INSTANCE_UNFIT, True)
        assert "has region=us, not sg" in problem.detail
        assert "proxy" not in problem.detail
        await it.bench.directory.set_instance_state(C, InstanceState.DRAINING)
        problem = await it.refused(it.migrations.migrate(account, C))
        assert (problem.code, f"{C} is draining" in problem.detail) == (Code.INSTANCE_UNFIT, True)


async def test_a_place_that_is_full_or_out_of_use_is_no_capacity_and_named() -> None:
    async with desk() as it:
        account = await it.account(A)
        await it.bench.directory.change_instance(B, {"capacity": 1})
        await it.account(B)
        problem = await it.refused(it.migrations.migrate(account, B))
        assert (problem.code, problem.retry_after_s) == (Code.NO_CAPACITY, 10)
        assert f"{B} is full (1 of 1)" in problem.detail
        it.seen.out_of_use[C] = "is down: it refuses"
        problem = await it.refused(it.migrations.migrate(account, C))
        assert (problem.code, f"{C} is down: it refuses" in problem.detail) == (Code.NO_CAPACITY, True)
        problem = await it.refused(it.migrations.migrate(account, None))
        assert problem.code is Code.NO_CAPACITY
        assert A not in problem.detail


async def test_a_place_that_nobody_knows_is_not_found() -> None:
    async with desk() as it:
        problem = await it.refused(it.migrations.migrate(await it.account(A), NOWHERE))
        assert problem.code is Code.INSTANCE_NOT_FOUND


# --- bringing back --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("takeover", [Takeover.AUTO, Takeover.MANUAL])
async def test_an_operator_brings_back_what_is_lost_even_where_takeover_is_manual(takeover: Takeover) -> None:
    async with desk() as it:
        account = await it.account(A, takeover=takeover)
        it.seen.out_of_use[A] = "is down"
        assert (await it.migrations.rehome(account)).new
        [wish] = await it.wishes()
        assert (wish.cause, wish.move, wish.to_url) == (MoveCause.LOST, MoveKind.REHOME, None)


async def test_what_nobody_is_to_move_is_moved_and_brought_back_only_by_force() -> None:
    async with desk() as it:
        account = await it.account(A, takeover=Takeover.NEVER)
        for wanted in (it.migrations.rehome(account), it.migrations.migrate(account, B)):
            problem = await it.refused(wanted)
            assert (problem.code, "never" in problem.detail) == (Code.NOT_MOVABLE, True)
        assert (await it.migrations.rehome(account, force=True)).new
        assert (await it.wishes())[0].forced


async def test_a_holder_that_answers_is_asked_to_stop_first() -> None:
    async with desk() as it:
        await it.migrations.rehome(await it.account(A))
        assert [wish.cause for wish in await it.wishes()] == [MoveCause.REQUEST]


async def test_a_holder_that_just_fell_silent_is_not_said_to_answer() -> None:
    """It is not judged to be down yet."""
    async with desk() as it:
        account = await it.account(A, boot=None)
        it.bench.world.lose(A, Fault(Phase.REFUSED))
        problem = await it.refused(it.migrations.rehome(account))
        assert problem.code is Code.NOT_FENCED
        assert f"{A} answers" not in problem.detail
        assert f"homing instances set {A} --storage" in problem.detail


async def test_what_nothing_fences_is_refused_with_what_to_do() -> None:
    async with desk() as it:
        account = await it.account(A, boot=None)
        it.bench.world.lose(A, Fault(Phase.REFUSED))
        it.seen.out_of_use[A] = "is down"
        for wanted in (it.migrations.rehome(account), it.migrations.migrate(account, B)):
            problem = await it.refused(wanted)
            assert problem.code is Code.NOT_FENCED
            assert f"homing exited {A}" in problem.detail


async def test_what_has_no_login_yet_is_not_brought_back() -> None:
    async with desk() as it:
        account = await it.account(A)
        holding = it.vault.holdings[account.session_id]
        it.vault.holdings[account.session_id] = replace(holding, has_login=False)
        it.seen.out_of_use[A] = "is down"
        problem = await it.refused(it.migrations.rehome(account))
        assert (problem.code, "pair it" in problem.detail) == (Code.NOT_MOVABLE, True)


# --- exited ---------------------------------------------------------------------------------------------------


async def test_an_instance_that_exited_loses_its_lease_and_all_its_sessions_are_wished_home() -> None:
    async with desk() as it:
        accounts = [await it.account(A) for _ in range(3)]
        exited = await it.exits.exited(A)
        assert (exited.boots, exited.sessions, exited.wanted, exited.staying) == (1, 3, 3, {})
        assert it.vault.exited == [(A, None)]
        wishes = await it.wishes()
        assert [wish.session_id for wish in wishes] == [account.session_id for account in accounts]
        assert {(wish.cause, wish.move) for wish in wishes} == {(MoveCause.EXITED, MoveKind.REHOME)}
        assert (await it.exits.exited(A)).wanted == 0


async def test_sessions_of_another_boot_and_those_unknown_to_the_vault_stay() -> None:
    async with desk() as it:
        await it.account(A, boot="older")
        await it.account(A, boot="newer")
        await it.account(A, boot=None)
        exited = await it.exits.exited(A, IncarnationId("older"))
        assert (exited.sessions, exited.wanted) == (3, 1)
        assert sorted(exited.staying.values()) == [1, 1]
        assert any("another boot holds it" in reason for reason in exited.staying)
        assert any("never opened there" in reason for reason in exited.staying)


async def test_a_session_that_its_holder_released_in_order_is_wished_home_too() -> None:
    async with desk() as it:
        account = await it.account(A)
        holding = it.vault.holdings[account.session_id]
        it.vault.holdings[account.session_id] = replace(holding, holder=None)
        assert (await it.exits.exited(A)).wanted == 1


async def test_an_instance_that_nobody_knows_has_not_exited() -> None:
    async with desk() as it:
        problem = await it.refused(it.exits.exited(NOWHERE))
        assert problem.code is Code.INSTANCE_NOT_FOUND
        assert it.vault.exited == []


# --- balancing ------------------------------------------------------------------------------------------------


async def test_a_dry_run_says_what_would_move_and_moves_nothing() -> None:
    async with desk(A, B) as it:
        for _ in range(4):
            await it.account(A)
        shown = await it.balance.rebalance(dry_run=True)
        assert shown.begun is None
        assert [(move.order, move.from_url, move.to_url) for move in shown.plan.moves] == [(1, A, B), (2, A, B)]
        assert {shown.accounts[move.session_id].placement.instance_url for move in shown.plan.moves} == {A}
        assert await it.jobs() == []


async def test_a_plan_is_begun_in_its_order_idle_sessions_first_and_behind_everything_urgent() -> None:
    async with desk(A, B) as it:
        accounts = [await it.account(A) for _ in range(4)]
        it.bench.world.instances[A].idle_s = {
            account.session_id: 10.0 * number for number, account in enumerate(accounts, start=1)
        }
        begun = await it.balance.rebalance(dry_run=False)
        assert begun.begun == 2
        wishes = await it.wishes()
        assert [wish.session_id for wish in wishes] == [accounts[3].session_id, accounts[2].session_id]
        assert {(wish.cause, wish.from_url, wish.to_url) for wish in wishes} == {(MoveCause.BALANCE, A, B)}
        assert {job.priority for job in await it.jobs()} == {Priority.BULK}
        assert (await it.balance.rebalance(dry_run=False)).begun == 0


async def test_what_was_moved_often_today_and_what_cannot_leave_stay_and_say_why() -> None:
    async with desk(A, B) as it:
        accounts = [await it.account(A) for _ in range(2)]
        it.vault.moved = {account.session_id: 3 for account in accounts}
        plan = (await it.balance.rebalance(dry_run=True)).plan
        assert plan.moves == ()
        assert [("today" in each.reason) for each in plan.skipped] == [True, True]
        it.vault.moved = {}
        it.bench.world.instances[A].can = PLAIN
        for _ in range(4):
            await it.account(A)
        plan = (await it.balance.rebalance(dry_run=True)).plan
        assert plan.moves == ()
        assert plan.skipped
        assert all("login" in each.reason for each in plan.skipped)


async def test_nothing_is_balanced_while_the_brake_is_on_but_a_plan_may_be_seen() -> None:
    async with desk(A, B) as it:
        for _ in range(4):
            await it.account(A)
        it.braked.append("3 of 5 instances became suspect within 30 s")
        problem = await it.refused(it.balance.rebalance(dry_run=False))
        assert (problem.code, "3 of 5" in problem.detail) == (Code.BRAKE_ENGAGED, True)
        assert (await it.balance.rebalance(dry_run=True)).plan.moves


async def _instance(it: Desk, url: InstanceUrl) -> Any:
    return next(each for each in await it.bench.directory.instances() if each.url == url)
