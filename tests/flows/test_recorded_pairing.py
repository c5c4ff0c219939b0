"""The Node service's recorded reports, in their order: after each the account's status is right."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

import pytest

from homing.decide.reports import meanings
from homing.flows.background.alerts import AlertBook
from homing.flows.background.link_alerts import LinkAlerts
from homing.flows.discovery.listings import Lists
from homing.flows.discovery.sync import Sync
from homing.flows.sending.own_messages import Said
from homing.flows.webhooks.hints import Hints
from homing.flows.webhooks.intake import Intake
from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import Account, InstanceUrl, SessionStatus
from homing.model.instances.events import Report
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import FailureCode, NotSent, Sent
from homing.store.records.alerts import SqlAlerts
from homing.store.records.reports import SqlEvents
from tests.flows.worlds import PLAIN, A, B, Bench, W, bench
from transcripts import KEPT, read

pytestmark = pytest.mark.virtual

REPORTS = [
    each.told
    for each in read(KEPT / "webjs-node-service.json").exchanges
    if each.is_report and each.method == "POST" and each.told["event"].startswith(("qr_", "session_"))
]
SCANNING, UP, GONE = SessionStatus.PAIRING, SessionStatus.CONNECTED, SessionStatus.DISCONNECTED


@dataclass(slots=True)
class Following:
    """A gateway in front of A, which holds one account's session."""

    it: Bench
    intake: Intake
    sync: Sync
    alerts: AlertBook
    account: Account

    async def reports(self, kind: str, url: InstanceUrl = A, **data: Any) -> None:
        session = self.account.session_id
        await self.intake.take(Report(kind, {**data, "session_id": session}, session, url), None)
        await self.it.clock.sleep(5)

    def lists(self, status: SessionStatus) -> None:
        self.it.world.hold(A, self.account.session_id, status=status)

    async def status(self) -> SessionStatus:
        found = await self.it.directory.account(W, uuid=self.account.uuid)
        assert found is not None
        return found.status

    def alerted(self) -> bool:
        standing = self.alerts.of(Subject.session(self.account.session_id))
        return AlertKind.SESSION_LOGGED_OUT in {alert.kind for alert in standing}


@asynccontextmanager
async def following() -> AsyncIterator[Following]:
    async with bench(A, B, can=PLAIN) as it:
        account = await it.account(A)
        database = it.directory._database
        alerts = AlertBook(SqlAlerts(database, it.notices), it.clock)
        lists, links = Lists(it.world, it.clock), LinkAlerts(alerts)
        hints = Hints(it.directory, lists, it.clock, it.entropy, it.tally, it.news, alerts=links)
        events = SqlEvents(database, it.notices)
        intake = Intake(events, hints, Said(), it.clock, it.entropy, keep_days=1)
        sync = Sync(it.directory, lists, it.clock, it.entropy, it.tally, alerts=links)
        await it.directory.note_start(account.session_id, A)
        await it.directory.set_status(account.session_id, SessionStatus.STARTING)
        running = asyncio.create_task(hints.run())
        try:
            yield Following(it, intake, sync, alerts, account)
        finally:
            running.cancel()
            await asyncio.gather(running, return_exceptions=True)


def listed_after(told: dict[str, Any]) -> SessionStatus:
    """What the recorded service lists once it has reported this."""
    match told["event"]:
        case "qr_code_generated" | "session_reconnected":
            return SCANNING
        case "session_authenticated":
            return SessionStatus.STARTING
        case "session_ready" | "session_error":
            return UP
        case "session_disconnected":
            return GONE
        case other:
            raise AssertionError(other)


def status_after(told: dict[str, Any]) -> SessionStatus:
    if told["event"] == "session_reconnected":
        return SessionStatus.STARTING
    if told["data"].get("reason") == "LOGOUT":
        return SessionStatus.LOGGED_OUT
    return listed_after(told)


async def test_after_each_recorded_report_the_status_is_right() -> None:
    assert [told["event"] for told in REPORTS][:4] == ["qr_code_generated"] * 2 + [
        "session_authenticated",
        "session_ready",
    ]
    async with following() as it:
        for told in REPORTS:
            it.lists(listed_after(told))
            await it.reports(told["event"], **told["data"])
            assert await it.status() is status_after(told), told
            assert it.alerted() is (status_after(told) is SessionStatus.LOGGED_OUT)
        assert REPORTS[-1]["data"]["reason"] == "LOGOUT"


async def test_a_logout_stays_known_while_the_list_says_disconnected_for_ever_and_passes_with_readiness() -> None:
    async with following() as it:
        it.lists(UP)
        await it.reports("session_ready")
        it.lists(GONE)
        await it.reports("session_disconnected", reason="LOGOUT")
        for _ in range(3):
            await it.it.clock.sleep(600)
            await it.sync.run()
            assert (await it.status(), it.alerted()) == (SessionStatus.LOGGED_OUT, True)
        refused = await it.it.send(it.account)
        assert isinstance(refused, NotSent)
        assert (refused.code, refused.final) == (FailureCode.SESSION_LOGGED_OUT, True)
        it.lists(UP)
        await it.reports("session_ready")
        assert (await it.status(), it.alerted()) == (UP, False)
        assert isinstance(await it.it.send(it.account, "again"), Sent)


async def test_a_logout_is_followed_once_the_holder_can_be_asked() -> None:
    async with following() as it:
        it.lists(UP)
        await it.reports("session_ready")
        it.lists(GONE)
        it.it.world.instances[A].down = Fault(Phase.REFUSED)
        await it.reports("session_disconnected", reason="LOGOUT")
        assert await it.status() is UP
        it.it.world.instances[A].down = None
        await it.it.clock.sleep(120)
        await it.sync.run()
        assert (await it.status(), it.alerted()) == (SessionStatus.LOGGED_OUT, True)


@pytest.mark.parametrize(("url", "listed", "reason"), [(B, GONE, "LOGOUT"), (A, UP, "LOGOUT"), (A, GONE, "CONFLICT")])
async def test_a_logout_is_followed_only_if_the_holder_reports_it_and_does_not_say_connected(
    url: InstanceUrl, listed: SessionStatus, reason: str
) -> None:
    async with following() as it:
        it.lists(UP)
        await it.reports("session_ready")
        it.lists(listed)
        await it.reports("session_disconnected", url, reason=reason)
        assert await it.status() is listed
        await it.it.clock.sleep(120)
        await it.sync.run()
        assert (await it.status(), it.alerted()) == (listed, False)


async def test_a_list_that_is_behind_the_logout_is_read_again() -> None:
    async with following() as it:
        it.lists(UP)
        await it.reports("session_ready")
        asyncio.get_running_loop().call_later(1.0, it.lists, GONE)
        await it.reports("session_disconnected", reason="LOGOUT")
        assert await it.status() is SessionStatus.LOGGED_OUT


async def test_a_restored_session_is_starting_for_as_long_as_its_browser_takes() -> None:
    async with following() as it:
        await it.reports("qr_code_generated", qr_code="2@abc")
        it.lists(UP)
        await it.reports("session_ready")
        it.lists(SCANNING)
        await it.reports("session_disconnected", reason="NAVIGATION")
        for _ in range(3):
            await it.it.clock.sleep(90)
            report = await it.sync.run(force=True)
            assert (await it.status(), report.needs_attention) == (SessionStatus.STARTING, False)
        refused = await it.it.send(it.account)
        assert isinstance(refused, NotSent)
        assert (refused.code, refused.retry_after_s is not None) == (FailureCode.SESSION_NOT_READY, True)


def test_a_code_is_followed_and_not_looked_back_for() -> None:
    assert meanings.QR_CODE in meanings.FOLLOWED
    assert meanings.QR_CODE not in meanings.HINTS
