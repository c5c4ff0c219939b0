"""Each condition that the flows see is one alert, however often it is seen, and stands no longer than it is so."""

import asyncio
from dataclasses import dataclass

import pytest
from structlog.testing import capture_logs
from worlds import A, B, bench

from homing.decide.reports.hints import Hint
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.discovery.listings import Lists
from homing.flows.discovery.rediscover import Rediscovery
from homing.flows.discovery.sync import Sync
from homing.flows.discovery.wakeups import News
from homing.flows.failover.keeper import Keeper, KeeperPolicy
from homing.flows.failover.sqlite_lock_watchdog import LOOKS, Unblocking
from homing.flows.failover.stuck_moves import Strays
from homing.flows.failover.watching import Watching, WatchPolicy
from homing.flows.webhooks.hints import Hints
from homing.model.alerts import FLEET, AlertKind, Subject
from homing.model.fleet import InstanceUrl, SessionId, SessionStatus, Takeover
from homing.model.locks import LockHolder
from homing.model.sends.faults import Fault, Phase
from tests.flows.test_keeper import Wishes
from tests.flows.test_watching import ModelLeases
from tests.flows.vault_fleet import running

pytestmark = pytest.mark.virtual


def kinds(alerts: AlertBook, subject: Subject) -> set[AlertKind]:
    return {alert.kind for alert in alerts.of(subject)}


async def test_a_session_that_nobody_has_is_one_alert_until_it_is_found() -> None:
    async with bench(A, B) as it:
        alerts = AlertBook(Unkept(), it.clock)
        looking = Rediscovery(it.directory, Lists(it.world, it.clock), it.clock, it.entropy, it.tally, alerts=alerts)
        account = await it.account(A, held=False)
        about = Subject.session(account.session_id)
        with capture_logs() as logs:
            for _ in range(3):
                await looking.look(await it.route(account))
        assert [line["event"] for line in logs if line.get("alert")] == ["Session unreachable"]
        assert kinds(alerts, about) == {AlertKind.SESSION_UNREACHABLE}
        it.world.hold(A, account.session_id, epoch=account.placement.epoch)
        await looking.look(await it.route(account))
        assert not alerts.standing()


async def test_two_holders_are_an_alert_until_all_lists_say_that_there_is_one() -> None:
    async with bench(A, B) as it:
        alerts = AlertBook(Unkept(), it.clock)
        looking = Rediscovery(it.directory, Lists(it.world, it.clock), it.clock, it.entropy, it.tally, alerts=alerts)
        account = await it.account(A)
        about = Subject.session(account.session_id)
        it.world.hold(B, account.session_id, epoch=account.placement.epoch)
        await looking.look(await it.route(account))
        assert AlertKind.DUPLICATE_HOLDER in kinds(alerts, about)
        it.world.lose(B, Fault(Phase.REFUSED))
        await looking.look(await it.route(account))
        assert AlertKind.DUPLICATE_HOLDER in kinds(alerts, about), "a list that was not read proves nothing"


async def test_the_sync_raises_and_resolves_also_what_an_earlier_boot_raised() -> None:
    async with bench(A, B) as it:
        alerts = AlertBook(Unkept(), it.clock)
        sync = Sync(it.directory, Lists(it.world, it.clock), it.clock, it.entropy, it.tally, book=alerts)
        lost, well = await it.account(A, held=False), await it.account(B)
        gone = Subject.session(SessionId("long-deleted"))
        earlier = Subject.session(well.session_id)
        for kind in (AlertKind.SESSION_UNREACHABLE, AlertKind.DUPLICATE_HOLDER, AlertKind.QUARANTINED):
            alerts.raised(kind, earlier, "as it was before")
        alerts.raised(AlertKind.SESSION_UNREACHABLE, gone, "as it was before")
        await it.clock.sleep(61)
        await sync.run(dry_run=True)
        assert len(alerts.standing()) == 4, "a dry run changes nothing"
        await sync.run()
        assert kinds(alerts, Subject.session(lost.session_id)) == {AlertKind.SESSION_UNREACHABLE}
        assert kinds(alerts, earlier) == set()
        assert kinds(alerts, gone) == set()
        await it.directory.set_status(lost.session_id, SessionStatus.STOPPED)
        await sync.run()
        assert not alerts.standing()


async def test_a_hint_that_leads_home_resolves() -> None:
    async with bench(A) as it:
        alerts = AlertBook(Unkept(), it.clock)
        hints = Hints(it.directory, Lists(it.world, it.clock), it.clock, it.entropy, it.tally, book=alerts)
        account = await it.account(A)
        alerts.raised(AlertKind.SESSION_UNREACHABLE, Subject.session(account.session_id), "nobody had it")
        following = asyncio.create_task(hints.run())
        hints.offer(Hint(account.session_id, "session_ready", A))
        await it.clock.sleep(1)
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
        assert not alerts.standing()


async def test_a_dead_instance_and_whoever_stays_on_it_are_alerts_until_it_is_well() -> None:
    async with bench(A, B) as it:
        alerts = AlertBook(Unkept(), it.clock)
        leases = ModelLeases(it.clock, boots={A: "boot a", B: "boot b"})  # type: ignore[arg-type]
        watching = Watching(leases, it.world, it.clock, it.entropy, WatchPolicy(), alerts=alerts)  # type: ignore[arg-type]
        keeper = Keeper(watching, Wishes(), it.directory, it.world, News(), it.clock, KeeperPolicy(), alerts)
        await it.account(A)
        stays = await it.account(A)
        await it.directory.change_account(stays, {"takeover": Takeover.MANUAL})
        tasks = [asyncio.create_task(part.run()) for part in (watching, keeper)]
        try:
            await it.clock.sleep(8)
            assert not alerts.standing()
            it.world.lose(A, Fault(Phase.REFUSED))
            leases.stopped_s[A] = it.clock.monotonic()
            await it.clock.sleep(12)
            assert kinds(alerts, Subject.instance(A)) == {AlertKind.INSTANCE_GONE}
            assert kinds(alerts, Subject.session(stays.session_id)) == {AlertKind.LEFT_WHERE_IT_IS}
            it.world.instances[A].down = None
            del leases.stopped_s[A]
            await it.clock.sleep(12)
            assert not alerts.standing()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)


async def test_leases_that_cannot_be_read_are_an_alert_until_they_can() -> None:
    async with bench(A) as it:
        alerts = AlertBook(Unkept(), it.clock)
        leases = ModelLeases(it.clock, boots={A: "boot a"})  # type: ignore[arg-type]
        watching = Watching(leases, it.world, it.clock, it.entropy, WatchPolicy(), alerts=alerts)  # type: ignore[arg-type]
        await watching._read_leases()
        leases.away = True
        await watching._read_leases()
        assert kinds(alerts, FLEET) == {AlertKind.LEASES_UNREADABLE}
        leases.away = False
        await watching._read_leases()
        assert not alerts.standing()


async def test_sessions_adrift_are_an_alert_until_none_is() -> None:
    async with bench(A) as it:
        alerts = AlertBook(Unkept(), it.clock)
        strays = Strays(it.directory, it.work, Wishes(), it.clock, alerts)
        alerts.raised(AlertKind.ADRIFT, FLEET, "taken up again: some")
        await strays.look()
        assert not alerts.standing()


@dataclass
class Lock:
    standing: LockHolder | None

    def holder(self) -> LockHolder | None:
        return self.standing

    def end(self, holder: LockHolder) -> bool:
        return True


async def nobody(mark: str) -> None:
    return None


async def test_a_locked_file_is_an_alert_until_it_is_free() -> None:
    async with bench(A) as it:
        lock = Lock(LockHolder(7, ("someone",), is_stopped=True))
        unblocking = Unblocking(lock, it.clock, nobody, ends=False)
        for _ in range(2 * LOOKS):
            await unblocking.look()
        assert kinds(unblocking.alerts, FLEET) == {AlertKind.DATABASE_LOCKED}
        lock.standing = None
        await unblocking.look()
        assert not unblocking.alerts.standing()


async def test_too_much_gone_at_once_is_an_alert_until_it_is_back() -> None:
    urls = [InstanceUrl(f"http://wa{number}:3001") for number in range(5)]
    async with bench(*urls) as it:
        alerts = AlertBook(Unkept(), it.clock)
        leases = ModelLeases(it.clock, boots={url: f"boot {url}" for url in urls})  # type: ignore[arg-type]
        watching = Watching(leases, it.world, it.clock, it.entropy, WatchPolicy(), alerts=alerts)  # type: ignore[arg-type]
        keeper = Keeper(watching, Wishes(), it.directory, it.world, News(), it.clock, KeeperPolicy(), alerts)
        for url in urls:
            await it.account(url)
        async with running(watching), running(keeper):
            await it.clock.sleep(8)
            for url in urls[:4]:
                it.world.lose(url, Fault(Phase.REFUSED))
                leases.stopped_s[url] = it.clock.monotonic()
            await it.clock.sleep(12)
            assert kinds(alerts, FLEET) == {AlertKind.BRAKE_ENGAGED}
            assert alerts.counts() == {AlertKind.BRAKE_ENGAGED: 1}, "nothing is moved"
            for url in urls[:4]:
                it.world.instances[url].down = None
                del leases.stopped_s[url]
            await it.clock.sleep(60)
            assert not alerts.standing()
