"""Sessions that are listed where they are not placed, and phones that are not the accounts'."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from homing.decide.knowledge.stray_sessions import StrayKind
from homing.decide.reports.hints import Hint
from homing.flows.background.alerts import AlertBook
from homing.flows.discovery.listings import Lists
from homing.flows.discovery.phones import Identity
from homing.flows.discovery.stray_sessions import NAMED_MAX, StraySessions
from homing.flows.discovery.sync import Sync
from homing.flows.webhooks.hints import Hints
from homing.model.alerts import AlertKind
from homing.model.errors import Problem
from homing.model.fleet import Account, SessionId, WorkspaceId
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import FailureCode, NotSent, Sent
from homing.store.records.alerts import SqlAlerts
from tests.flows.worlds import A, B, Bench, W, bench

pytestmark = pytest.mark.virtual


@dataclass(slots=True)
class Desk:
    bench: Bench
    sync: Sync
    strays: StraySessions
    hints: Hints
    alerts: AlertBook

    async def account(self, url: str | None, phone: str) -> Account:
        """An account of which it is known whose phone it has."""
        made = await self.bench.account(url)  # type: ignore[arg-type]
        number = replace(made, phone=phone)
        await self.bench.directory.set_mismatch(number, phone)
        assert await self.bench.directory.accept_phone(number, phone)
        found = await self.bench.directory.account(W, id=made.id)
        assert found is not None
        return found

    async def again(self, account: Account) -> Account:
        found = await self.bench.directory.account(W, id=account.id)
        assert found is not None
        return found

    def alerted(self) -> list[str]:
        return [alert.subject.name for alert in self.alerts.standing() if alert.kind is AlertKind.PHONE_MISMATCH]


@asynccontextmanager
async def desk() -> AsyncIterator[Desk]:
    async with bench(A, B) as it:
        lists = Lists(it.world, it.clock)
        alerts = AlertBook(SqlAlerts(it.directory._database, it.notices), it.clock)  # type: ignore[arg-type]
        identity = Identity(it.directory, alerts)
        sync = Sync(it.directory, lists, it.clock, it.entropy, it.tally, identity)
        hints = Hints(it.directory, lists, it.clock, it.entropy, it.tally, it.news, identity)
        yield Desk(it, sync, StraySessions(it.directory, lists), hints, alerts)


async def test_what_no_account_has_is_a_stray_and_is_left_where_it_is() -> None:
    async with desk() as it:
        await it.bench.account(A)
        it.bench.world.hold(A, SessionId("stray"))
        found = await it.strays.of(A)
        assert (found.count, [(each.session_id, each.kind) for each in found.named]) == (
            1,
            [(SessionId("stray"), StrayKind.UNKNOWN)],
        )
        report = await it.sync.run()
        assert (report.strays.count, report.needs_attention) == (1, False)
        assert [each.strays for each in await it.bench.directory.instances()] == [1, 0]
        assert SessionId("stray") in it.bench.world.instances[A].sessions


async def test_a_second_session_of_a_known_phone_is_shown_with_its_account_and_never_holds_for_it() -> None:
    async with desk() as it:
        account = await it.account(A, "62811801641")
        it.bench.world.hold(B, SessionId("second"))
        it.bench.world.phones[SessionId("second")] = "62811801641@c.us"
        it.bench.world.lose(A)
        [stray] = (await it.strays.of(B)).named
        assert (stray.kind, stray.account_id) == (StrayKind.SAME_PHONE, account.id)
        await it.sync.run()
        assert (await it.bench.placement(account)).instance_url == A
        assert isinstance(await it.bench.send(account), NotSent)


async def test_a_session_that_its_own_instance_has_too_is_a_stray_elsewhere() -> None:
    async with desk() as it:
        account = await it.bench.account(A)
        it.bench.world.hold(B, account.session_id)
        [stray] = (await it.strays.of(B)).named
        assert (stray.kind, A in stray.reason) == (StrayKind.ELSEWHERE, True)
        assert (await it.strays.of(A)).count == 0
        assert (await it.sync.run()).strays.count == 1


async def test_a_session_that_a_sync_finds_elsewhere_is_corrected_and_no_stray() -> None:
    async with desk() as it:
        account = await it.bench.account(A, held=False)
        it.bench.world.hold(B, account.session_id, epoch=2)
        report = await it.sync.run()
        assert (len(report.updates), report.strays.count) == (1, 0)


async def test_strays_are_named_up_to_a_limit_and_counted_beyond() -> None:
    async with desk() as it:
        for number in range(NAMED_MAX + 5):
            it.bench.world.hold(A, SessionId(f"stray-{number}"))
        found = await it.strays.of(A)
        assert (found.count, len(found.named)) == (NAMED_MAX + 5, NAMED_MAX)
        lists = it.bench.world.instances[A].lists
        await it.sync.run()
        assert it.bench.world.instances[A].lists == lists + 1


async def test_an_instance_without_a_list_is_no_instance_without_strays() -> None:
    async with desk() as it:
        it.bench.world.hold(A, SessionId("stray"))
        await it.sync.run()
        it.bench.world.instances[A].down = Fault(Phase.REFUSED)
        with pytest.raises(Problem):
            await it.strays.of(A)
        await it.sync.run()
        assert [each.strays for each in await it.bench.directory.instances()] == [1, 0]


# --- whose phone it is ---


async def test_a_sync_sees_a_strangers_phone_and_when_it_is_gone() -> None:
    async with desk() as it:
        account = await it.account(A, "5215512345678")
        assert isinstance(await it.bench.send(account), Sent)
        it.bench.world.phones[account.session_id] = "4915112345678"
        await it.sync.run(dry_run=True)
        assert (await it.again(account)).mismatched_phone is None
        await it.sync.run()
        assert (await it.again(account)).mismatched_phone == "4915112345678"
        assert it.alerted() == [account.session_id]
        refused = await it.bench.send(account)
        assert isinstance(refused, NotSent)
        assert (refused.code, refused.final, refused.attempts) == (FailureCode.PHONE_MISMATCH, True, 0)
        it.bench.world.phones[account.session_id] = "525512345678"
        await it.sync.run()
        assert ((await it.again(account)).mismatched_phone, it.alerted()) == (None, [])
        assert isinstance(await it.bench.send(account), Sent)


async def test_one_phone_under_two_sessions_of_ours_moves_nothing() -> None:
    async with desk() as it:
        first, second = await it.account(A, "62811801641"), await it.account(A, "62811801642")
        for account in (first, second):
            it.bench.world.phones[account.session_id] = "62811801641"
        await it.sync.run()
        assert it.alerted() == [second.session_id]
        assert {(await it.bench.placement(each)).instance_url for each in (first, second)} == {A}
        assert isinstance(await it.bench.send(first), Sent)


@pytest.mark.parametrize("listed", ["4915112345678", None])
async def test_a_session_that_reports_itself_ready_tells_its_phone(listed: str | None) -> None:
    async with desk() as it:
        account = await it.account(A, "62811801641")
        if listed is not None:
            it.bench.world.phones[account.session_id] = listed
        await it.hints._round({account.session_id: _wanted(account, "4915112345678")})
        assert (await it.again(account)).mismatched_phone == "4915112345678"


@pytest.mark.parametrize("reported", ["123456789012@lid", "", "none", "12"])
async def test_what_is_no_phone_says_nothing(reported: str) -> None:
    async with desk() as it:
        account = await it.account(A, "62811801641")
        it.bench.world.phones[account.session_id] = reported
        await it.sync.run()
        assert (await it.again(account)).mismatched_phone is None


async def test_only_the_instance_of_the_record_says_whose_phone_it_is() -> None:
    async with desk() as it:
        account = await it.account(A, "62811801641")
        identity = Identity(it.bench.directory, it.alerts)
        await identity.compare({account.session_id: (B, "4915112345678")})
        assert (await it.again(account)).mismatched_phone is None


def _wanted(account: Account, phone: str) -> "object":
    from homing.flows.webhooks.hints import _Wanted

    return _Wanted(Hint(account.session_id, "session_ready", A, phone))


@pytest.mark.parametrize(("owner", "placed"), [(W, True), (None, True), (W + 1, False)])
async def test_an_account_that_is_nowhere_is_not_placed_on_another_workspaces_session(
    owner: int | None, placed: bool
) -> None:
    async with desk() as it:
        account = await it.bench.account(None)
        it.bench.world.hold(B, account.session_id)
        if owner is not None:
            it.bench.world.owners[account.session_id] = WorkspaceId(owner)
        report = await it.sync.run()
        await it.hints._round({account.session_id: _wanted(account, "")})
        assert ((await it.bench.placement(account)).instance_url == B) is placed
        assert report.strays.count == (0 if placed else 1)
