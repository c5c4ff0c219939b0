"""Gateways of every family that say *connected* and swallow: noticed, the right rung tried first, heard again.

Each family's own driver speaks to its model over the loopback; minutes pass at once.
"""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime

import pytest
from structlog.testing import capture_logs

from clocks import SteppedClock
from homing.decide.hearing import baseline
from homing.drivers import Drivers
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.discovery.listings import Lists
from homing.flows.hearing.abilities import HearingAbilities
from homing.flows.hearing.climbing import Climbing
from homing.flows.hearing.ears import Ears
from homing.flows.hearing.judging import KIND, Judging
from homing.model.fleet import (
    Account,
    AccountUuid,
    DeafPolicy,
    Epoch,
    InstanceUrl,
    ListedSession,
    MoveKind,
    Rebinding,
    SessionId,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.model.instances.events import Event
from homing.model.instances.webhooks import WebhookWanted
from homing.model.sends.calls import SessionStart
from homing.model.sessions.hearing import HeardNews, Hearing, Rung
from homing.model.work import Done, Tick
from homing.ports import NewAccount
from homing.ports.instances.reports import RawReport
from homing.routing.roster import LiveFleet
from homing.store.db.opening import open_database
from homing.store.directory.directory import SqlDirectory
from homing.store.grants.grants import SqlGrants
from homing.store.notices.notices import LocalNotices
from homing.store.records.hearing import SqlHearings
from homing.store.work.queue import SqlWork
from simulated_gateways import MODELS
from simulated_gateways.base import Told
from tests.drivers.test_contract import There, served

W = WorkspaceId(1)
TICK = Tick("hearing", datetime(2026, 1, 1, tzinfo=UTC), 1, False, "")
HOOK = "http://homing.test/in/1/secret/s"
FIRST = {
    "waha": Rung.RESTART,
    "evolution": Rung.RESUBSCRIBE,
    "wppconnect": Rung.RESTART,
    "wwebjs-api": Rung.RESTART,
    "wuzapi": Rung.RESUBSCRIBE,
    "gowa": Rung.RESUBSCRIBE,
    "baileys-api": Rung.ALERT,
}
"""The first rung beyond looking, where sessions were told where to report."""
RENEWS = {
    "waha": Rung.RESTART,
    "evolution": Rung.RECONNECT,
    "wppconnect": Rung.RESTART,
    "wwebjs-api": Rung.RESTART,
    "wuzapi": Rung.RECONNECT,
    "gowa": Rung.RECONNECT,
}
"""The rung that makes a session's engine or connection anew. Of baileys-api nothing does."""
ASKED_DEEPER = {"waha", "wppconnect", "wwebjs-api", "baileys-api"}
"""Those that tell of a dead engine when they are asked for the session alone."""


@dataclass
class Restarts:
    """Restarts a session through its driver, as accounts are."""

    ward: "Ward"
    times: int = 0

    async def restart(self, account: Account, why: str, *, waits_s: float) -> Account:
        assert waits_s > 60
        assert why.startswith("deaf; ")
        self.times += 1
        about = SessionStart(account.session_id, W, account.id, Epoch(2))
        row = await self.ward.fleet.driver(self.ward.there.url).restart(self.ward.there.url, about, timeout_s=5)
        assert isinstance(row, ListedSession), row
        return account


@dataclass
class Ward:
    """One session of a family's model, judged minute by minute."""

    there: There
    fleet: LiveFleet
    store: SqlHearings
    work: SqlWork
    judging: Judging
    ears: Ears
    clock: SteppedClock
    climbing: Climbing = field(init=False)
    restarts: Restarts = field(init=False)
    sent: int = 0

    @property
    def session(self) -> SessionId:
        return SessionId(self.there.name)

    def reports(self, what: str, **told: object) -> None:
        """The model reports it, if it has where to and its session is not mute."""
        model, name = self.there.model, self.there.name
        body = model.body_of(model.sessions[name], Told(what, **told))  # type: ignore[arg-type]
        if body is None or model.sessions[name].mute or not model.hooks.get(name):
            return
        family = self.fleet.reports_of(self.there.family)
        assert family is not None
        for report in family.read(RawReport(json.dumps(body).encode(), {}, name)):
            event = Event(
                1, "e", self.clock.now(), None, report.kind, self.session, AccountUuid("u"), W, None, report.data
            )
            self.ears.heard(event)

    async def sends(self) -> None:
        """A message goes out, and is acknowledged unless the session is mute."""
        await self.there.send(f"message {self.sent}")
        self.sent += 1
        self.ears.sent(self.session)
        self.clock.advance(31)
        self.reports("ack", message_id=f"3EB0{self.sent:016X}")

    async def rounds(self, minutes: int, *, comes: bool = False, sends: bool = False) -> None:
        for _ in range(minutes):
            self.clock.advance(60)
            if comes:
                self.reports("incoming", message_id=f"IN{self.clock.now().timestamp():.0f}")
            if sends:
                await self.sends()
            await self.ears.write()
            await self.judging.tick(TICK)
            for job in await self.work.claim(KIND, owner="one", limit=100, lease_s=30):
                await self.work.settle([(job, Done(await self.climbing.do(job)))])

    async def until(self, rung: Rung, **what: bool) -> list[Rung]:
        """Go on until this rung was tried, two hours at the most; all that were."""
        for _ in range(120):
            if rung in (tried := await self.tried()):
                return tried
            await self.rounds(1, **what)
        raise AssertionError(f"{rung} was not tried: {await self.tried()}")

    async def tried(self) -> list[Rung]:
        case = await self.store.case(self.session)
        return [each.rung for each in case.record.tried] if case is not None else []

    async def hearing(self) -> Hearing:
        case = await self.store.case(self.session)
        assert case is not None
        return case.record.hearing

    async def again(self, url: InstanceUrl, session: SessionId) -> str:
        """Tell the session again where to report."""
        calls = self.fleet.webhooks(url)
        assert calls is not None
        fault = await calls.connect(url, session, WebhookWanted(HOOK, "s"), timeout_s=5)
        assert fault is None, fault
        return "it is told where to report"

    async def can_again(self, url: InstanceUrl, _: SessionId) -> bool:
        calls = self.fleet.webhooks(url)
        return calls is not None and not calls.restarts


class NoMoves:
    async def want(self, wishes: object) -> int:
        return 0


async def opened(stack: AsyncExitStack, family: str) -> Ward:
    there = await stack.enter_async_context(served(family))
    there.add(paired=True)
    there.model.hooks[there.name] = [{"url": HOOK}]
    clock, notices = SteppedClock(), LocalNotices()
    database = open_database("sqlite://", now=clock.now)
    stack.push_async_callback(database.close)
    directory = SqlDirectory(database, notices, clock)
    await directory.create_instance(there.url, driver=family)
    await _placed(directory, there)
    fleet = LiveFleet(directory, Drivers({family: there.driver}), clock)
    await fleet.refresh()
    if (calls := fleet.webhooks(there.url)) is not None:
        calls.know(there.url, {SessionId(there.name): WebhookWanted(HOOK, "s")})
    store, work, alerts = SqlHearings(database), SqlWork(database, notices), AlertBook(Unkept(), clock)
    ward = Ward(there, fleet, store, work, None, Ears(store, clock), clock)  # type: ignore[arg-type]
    grants = SqlGrants(database, notices)
    abilities = HearingAbilities(fleet, grants, default=DeafPolicy.RESTART, resubscribes=ward.can_again)
    ward.judging, ward.restarts = Judging(store, fleet, abilities, work, alerts, clock), Restarts(ward)
    lists = Lists(fleet, clock)
    ward.climbing = Climbing(store, directory, lists, ward.restarts, NoMoves(), alerts, clock, resubscribe=ward.again)
    return ward


async def _placed(directory: SqlDirectory, there: There) -> None:
    session = SessionId(there.name)
    new = NewAccount(AccountUuid("u"), W, session, "628000000009", "", Takeover.AUTO)
    account = await directory.create_account(new)
    change = Rebinding(account.placement, there.url, Epoch(1), MoveKind.PLACEMENT, "placed")
    assert await directory.rebind([change])
    await directory.set_status(session, SessionStatus.CONNECTED)


async def past(ward: Ward) -> None:
    """Two messages a minute came in every hour of three weeks."""
    now = ward.clock.now()
    last = baseline.hour_of(now)
    came = dict.fromkeys(range(last - 168 * 3, last + 1), (120, 100.0))
    await ward.store.note([HeardNews(ward.session, now, came)])
    await ward.judging.tick(TICK)


@pytest.fixture(params=sorted(MODELS))
async def ward(request: pytest.FixtureRequest) -> AsyncIterator[Ward]:
    async with AsyncExitStack() as stack:
        yield await opened(stack, request.param)


async def test_a_session_that_hears_is_left_alone(ward: Ward) -> None:
    await past(ward)
    await ward.rounds(40, comes=True, sends=True)
    assert await ward.hearing() is Hearing.HEARING
    assert await ward.tried() == []
    assert ward.restarts.times == 0


async def test_sends_that_stay_pending_for_ever_are_noticed_and_the_right_rung_comes_first(ward: Ward) -> None:
    await ward.rounds(12, sends=True)
    assert await ward.hearing() is Hearing.HEARING
    ward.there.model.sessions[ward.there.name].mute = True
    first = FIRST[ward.there.family]
    assert await ward.until(first, sends=True) == [Rung.CHECK, first]
    assert len(ward.there.model.sent) == ward.sent, "nothing was sent a second time"


async def test_one_of_which_nothing_comes_is_renewed_once_and_heard_again(ward: Ward) -> None:
    await past(ward)
    ward.there.model.sessions[ward.there.name].mute = True
    renews = RENEWS.get(ward.there.family, Rung.ALERT)
    await ward.until(renews, comes=True)
    assert ward.restarts.times == (0 if renews is Rung.ALERT else 1)
    if renews is Rung.ALERT:
        assert await ward.hearing() is Hearing.DEAF, "only a person can help, and was told"
        return
    await ward.rounds(3, comes=True)
    assert await ward.hearing() is Hearing.HEARING
    assert ward.restarts.times == 1, "it is left alone once it is heard of"


async def test_events_that_stopped_after_a_reconnect_come_again_once_it_is_told_where_to_report(ward: Ward) -> None:
    if FIRST[ward.there.family] is not Rung.RESUBSCRIBE:
        pytest.skip("it is told at a start, or by hand")
    await past(ward)
    ward.there.model.hooks[ward.there.name] = []
    await ward.until(Rung.RESUBSCRIBE, comes=True)
    await ward.rounds(3, comes=True)
    assert await ward.hearing() is Hearing.HEARING
    assert ward.restarts.times == 0


@pytest.mark.parametrize("family", sorted(ASKED_DEEPER))
async def test_a_dead_engine_shows_when_it_is_asked_for_alone(family: str) -> None:
    async with AsyncExitStack() as stack:
        ward = await opened(stack, family)
        ward.there.model.sessions[ward.there.name].dead = True
        renews = RENEWS.get(family, Rung.ALERT)
        with capture_logs() as logs:
            assert await ward.until(renews) == [Rung.CHECK, renews]
        assert any("asked deeper, its gateway says" in str(line.get("reason")) for line in logs)
        await ward.rounds(2)
        assert await ward.hearing() is (Hearing.DEAF if renews is Rung.ALERT else Hearing.HEARING)
        assert ward.restarts.times == (0 if renews is Rung.ALERT else 1)
