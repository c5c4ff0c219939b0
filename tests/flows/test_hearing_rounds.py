"""Judging round by round on a real directory: what comes is heard, what does not is said, one rung is tried after the
other, and by one gateway."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta

import pytest
from structlog.testing import capture_logs
from worlds import A, B, W, World

from homing.decide.hearing import baseline
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.discovery.listings import Lists
from homing.flows.hearing.abilities import HearingAbilities
from homing.flows.hearing.climbing import Climbing
from homing.flows.hearing.ears import Ears
from homing.flows.hearing.judging import KIND, Judging, rung_job
from homing.flows.hearing.probing import Probing
from homing.lab.sim.world import SeededEntropy, VirtualClock
from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import (
    Account,
    AccountUuid,
    DeafPolicy,
    Epoch,
    InstanceUrl,
    MoveKind,
    Rebinding,
    SessionId,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.model.instances.events import Event
from homing.model.sessions.hearing import HeardNews, Hearing, Rung, Shows
from homing.model.work import Done, Job, Tick
from homing.ports import NewAccount
from homing.store.db.opening import open_database
from homing.store.directory.directory import SqlDirectory
from homing.store.grants.grants import SqlGrants
from homing.store.notices.notices import LocalNotices
from homing.store.records.hearing import SqlHearings
from homing.store.work.queue import SqlWork

pytestmark = pytest.mark.virtual

TICK = Tick("hearing", datetime(2026, 1, 1, tzinfo=UTC), 1, False, "")
EVENT = Event(1, "e", TICK.at, None, "message_received", None, AccountUuid("u"), W, A, {"message": {"from_me": False}})


@dataclass
class Restarted:
    """Restarts sessions, which helps if `mends`."""

    world: World
    why: list[str] = field(default_factory=list)

    async def restart(self, account: Account, why: str, *, waits_s: float) -> Account:
        self.why.append(why)
        return account


@dataclass
class Ward:
    """Sessions on A and B that are judged, and what is done with them."""

    world: World
    directory: SqlDirectory
    store: SqlHearings
    work: SqlWork
    alerts: AlertBook
    clock: VirtualClock
    ears: Ears
    judging: Judging
    climbing: Climbing
    restarts: Restarted
    braked: list[str | None]

    async def session(self, number: int, url: InstanceUrl = A) -> SessionId:
        name = SessionId(f"webjs_1_{number}")
        new = NewAccount(AccountUuid(f"uuid-{number}"), W, name, f"62811{number:06}", "", Takeover.AUTO)
        account = await self.directory.create_account(new)
        change = Rebinding(account.placement, url, Epoch(1), MoveKind.PLACEMENT, "placed")
        assert await self.directory.rebind([change])
        await self.directory.set_status(name, SessionStatus.CONNECTED)
        self.world.hold(url, name)
        return name

    async def past(self, session: SessionId, *, per_h: int = 120, weeks: int = 3) -> None:
        """Every hour of these weeks as many messages came, to this moment."""
        now = self.clock.now()
        last = baseline.hour_of(now)
        came = dict.fromkeys(range(last - 168 * weeks, last + 1), (per_h, 100.0))
        await self.store.note([HeardNews(session, now, came)])

    async def round(self) -> str:
        return await self.judging.tick(TICK)

    async def rounds(self, minutes: int) -> None:
        """Minute after minute, with all that is asked for done at once."""
        for _ in range(minutes):
            await self.clock.sleep(60)
            await self.round()
            await self.work_off()

    async def work_off(self, owner: str = "one") -> list[Job]:
        jobs = await self.work.claim(KIND, owner=owner, limit=100, lease_s=30)
        for job in jobs:
            await self.work.settle([(job, Done(await self.climbing.do(job)))])
        return jobs

    async def hearing(self, session: SessionId) -> Hearing:
        case = await self.store.case(session)
        assert case is not None
        return case.record.hearing

    async def tried(self, session: SessionId) -> list[Rung]:
        case = await self.store.case(session)
        assert case is not None
        return [each.rung for each in case.record.tried]

    def comes(
        self, session: SessionId, *, late_s: float = 0.0, kind: str = "message_received", **payload: object
    ) -> None:
        now = self.clock.now()

        told = payload or {"message": {"from_me": False}}
        event = replace(
            EVENT,
            session_id=session,
            kind=kind,
            received_at=now,
            occurred_at=now - timedelta(seconds=late_s),
            payload=told,
        )
        self.ears.heard(event)


@pytest.fixture
async def ward() -> AsyncIterator[Ward]:
    clock, notices = VirtualClock(), LocalNotices()
    database = open_database("sqlite://", now=clock.now)
    directory = SqlDirectory(database, notices, clock)
    await directory.create_instance(A)
    await directory.create_instance(B)
    world = World(clock, A, B)
    store, work, alerts = SqlHearings(database), SqlWork(database, notices), AlertBook(Unkept(), clock)
    abilities = HearingAbilities(world, SqlGrants(database, notices), default=DeafPolicy.RESTART)
    braked: list[str | None] = [None]
    judging = Judging(store, world, abilities, work, alerts, clock, braked=lambda: braked[0])
    restarts = Restarted(world)
    climbing = Climbing(store, directory, Lists(world, clock), restarts, NoMoves(), alerts, clock)
    ears = Ears(store, clock)
    yield Ward(world, directory, store, work, alerts, clock, ears, judging, climbing, restarts, braked)
    await database.close()


class Killed(BaseException):
    """The gateway's process ends here."""


class NoMoves:
    async def want(self, wishes: object) -> int:
        return 0


async def test_a_session_that_falls_silent_is_said_tried_and_heard_again(ward: Ward) -> None:
    session = await ward.session(1)
    await ward.past(session)
    await ward.round()
    await ward.rounds(2)
    assert await ward.hearing(session) is Hearing.HEARING
    await ward.rounds(28)
    assert await ward.hearing(session) is Hearing.DEAF
    [alert] = ward.alerts.of(Subject.session(session))
    assert alert.kind is AlertKind.DEAF
    assert "no message has come for" in alert.reason
    assert "tried: check (its instance calls it connected), restart" in alert.reason
    assert await ward.tried(session) == [Rung.CHECK, Rung.RESTART]
    assert len(ward.restarts.why) == 1
    assert "deaf; restart, after check: no message has come" in ward.restarts.why[0]
    ward.comes(session)
    await ward.ears.write()
    await ward.rounds(1)
    assert await ward.hearing(session) is Hearing.HEARING
    assert ward.alerts.of(Subject.session(session)) == []
    assert await ward.tried(session) == [Rung.CHECK, Rung.RESTART]


async def test_a_replayed_message_is_no_sign_of_life(ward: Ward) -> None:
    session = await ward.session(1)
    await ward.past(session)
    await ward.round()
    for _ in range(10):
        ward.comes(session, late_s=1)
    await ward.ears.write()
    for _ in range(30):
        ward.comes(session, late_s=7_200)
        await ward.ears.write()
        await ward.rounds(1)
    assert await ward.hearing(session) is Hearing.DEAF


async def test_messages_of_a_gateway_whose_clock_is_wrong_count(ward: Ward) -> None:
    session = await ward.session(1)
    await ward.past(session)
    await ward.round()
    for _ in range(40):
        ward.comes(session, late_s=7_200)
        await ward.ears.write()
        await ward.rounds(1)
    assert await ward.hearing(session) is Hearing.HEARING


async def test_messages_that_stay_pending_are_noticed_on_a_quiet_account(ward: Ward) -> None:
    session = await ward.session(1)
    await ward.round()
    for number in range(12):
        ward.ears.sent(session)
        await ward.clock.sleep(40)
        ward.comes(session, kind="message_status_updated", message_id=f"m{number}", status="sent")
        await ward.ears.write()
    await ward.rounds(1)
    assert await ward.hearing(session) is Hearing.HEARING
    for _ in range(6):
        ward.ears.sent(session)
        await ward.clock.sleep(40)
    await ward.ears.write()
    await ward.rounds(6)
    assert await ward.hearing(session) is Hearing.DEAF
    await ward.clock.sleep(1)
    ward.comes(session, kind="message_status_updated", message_id="late", status="delivered")
    await ward.ears.write()
    await ward.rounds(1)
    assert await ward.hearing(session) is Hearing.HEARING


async def test_an_acknowledgement_that_says_pending_is_none(ward: Ward) -> None:
    session = await ward.session(1)
    ward.ears.sent(session)
    ward.comes(session, kind="message_status_updated", message_id="m", status="pending", ack_level=1)
    await ward.ears.write()
    case = await ward.store.case(session)
    assert case is not None
    assert (case.acknowledged, len(case.unacknowledged)) == (0, 1)


async def test_our_own_instances_word_that_a_message_was_sent_is_an_acknowledgement(ward: Ward) -> None:
    session = await ward.session(1)
    ward.ears.sent(session)
    about = {"message": {"id": "m1", "from_me": True, "body": "hello"}, "source": "message_create_event"}
    ward.comes(session, kind="message_sent", **about)
    await ward.ears.write()
    case = await ward.store.case(session)
    assert case is not None
    assert case.acknowledged == 0, "the Node service says so before WhatsApp has it"
    (event, body) = ("message_sent", {"message_id": "m1", "to": "62811@c.us", "status": "sent", "timestamp": 1})
    await ward.clock.sleep(1)
    ward.comes(session, kind=event, **body)
    await ward.ears.write()
    case = await ward.store.case(session)
    assert case is not None
    assert (case.acknowledged, case.unacknowledged) == (1, ())


async def test_a_session_that_denies_being_connected_when_asked_alone_is_deaf(ward: Ward) -> None:
    session = await ward.session(1)
    ward.world.hold(A, session, status=SessionStatus.DISCONNECTED)
    await ward.rounds(5)
    assert await ward.hearing(session) is Hearing.DEAF
    ward.world.hold(A, session)
    await ward.rounds(2)
    assert await ward.hearing(session) is Hearing.HEARING


async def test_what_nobody_listened_to_is_no_silence(ward: Ward) -> None:
    session = await ward.session(1)
    await ward.past(session)
    await ward.round()
    await ward.clock.sleep(3_600)
    await ward.rounds(2)
    assert await ward.hearing(session) is Hearing.HEARING


async def test_many_at_once_are_held_and_looked_at(ward: Ward) -> None:
    sessions = [await ward.session(number, A if number % 2 else B) for number in range(12)]
    for session in sessions:
        await ward.past(session)
    await ward.round()
    await ward.rounds(40)
    assert {await ward.hearing(each) for each in sessions} == {Hearing.DEAF}
    assert ward.restarts.why == []
    assert {tuple(await ward.tried(each)) for each in sessions} == {(Rung.CHECK,)}
    assert AlertKind.DEAF_TOGETHER in {each.kind for each in ward.alerts.standing()}


async def test_nothing_is_touched_while_the_brake_is_engaged(ward: Ward) -> None:
    session = await ward.session(1)
    await ward.past(session)
    await ward.round()
    ward.braked[0] = "half of the fleet is gone"
    await ward.rounds(40)
    assert await ward.hearing(session) is Hearing.DEAF
    assert await ward.tried(session) == [Rung.CHECK]
    ward.braked[0] = None
    await ward.rounds(3)
    assert Rung.RESTART in await ward.tried(session)


async def test_a_rung_whose_gateway_was_killed_is_not_repeated(ward: Ward) -> None:
    session = await ward.session(1)
    await ward.past(session)
    await ward.round()
    for _ in range(40):
        if Rung.CHECK in await ward.tried(session):
            break
        await ward.rounds(1)
    case = await ward.store.case(session)
    assert case is not None
    await ward.clock.sleep(60)
    await ward.round()
    [job] = await ward.work.claim(KIND, owner="one", limit=10, lease_s=5)

    async def killed(*_: object, **__: object) -> Account:
        raise Killed

    ward.climbing._restarts.restart = killed  # type: ignore[method-assign]
    with pytest.raises(Killed):
        await ward.climbing.do(job)
    assert await ward.tried(session) == [Rung.CHECK, Rung.RESTART]
    await ward.clock.sleep(10)
    [again] = await ward.work.claim(KIND, owner="two", limit=10, lease_s=5)
    assert await ward.climbing.do(again) == "restart was begun already, and is not repeated"


async def test_two_gateways_that_judge_at_once_ask_for_one_rung(ward: Ward) -> None:
    session = await ward.session(1)
    await ward.past(session)
    await ward.round()
    for _ in range(14):
        await ward.clock.sleep(60)
        await ward.round()
        await ward.round()
    jobs = await ward.work.claim(KIND, owner="one", limit=10, lease_s=5)
    assert len(jobs) <= 1


async def test_asking_what_is_next_changes_nothing(ward: Ward) -> None:
    session = await ward.session(1)
    await ward.past(session)
    await ward.round()
    for _ in range(5):
        await ward.clock.sleep(240)
        judged = await ward.judging.judged()
    [each] = judged
    assert each.record.hearing is Hearing.DEAF
    [(_, next_)] = await ward.judging.planned(judged)
    assert getattr(next_, "rung", None) is Rung.CHECK
    assert await ward.hearing(session) is Hearing.HEARING
    assert await ward.work.claim(KIND, owner="one", limit=10, lease_s=5) == []


@pytest.mark.parametrize("rung", list(Rung))
async def test_a_gateway_that_is_killed_on_any_rung_is_followed_by_one_that_goes_on(ward: Ward, rung: Rung) -> None:
    session = await ward.session(1)
    case = await ward.store.case(session)
    assert case is not None
    deaf = replace(case.record, hearing=Hearing.DEAF, reason="silent", since_at=ward.clock.now())
    assert await ward.store.keep(deaf, version=case.version)
    await ward.work.enqueue([rung_job(session, rung, "silent")])
    [job] = await ward.work.claim(KIND, owner="one", limit=10, lease_s=5)
    calls: list[Rung] = []

    async def killed(*_: object) -> str:
        calls.append(rung)
        raise Killed

    ward.climbing._tried = killed  # type: ignore[method-assign]
    with pytest.raises(Killed):
        await ward.climbing.do(job)
    assert "begun already" in await ward.climbing.do(job)
    assert calls == [rung]
    [told] = await ward.store.history(None, limit=10)
    assert (told.tried.rung, told.tried.ended_at, told.reason) == (rung, None, "silent")


async def test_every_rung_stays_in_the_history_with_its_reason(ward: Ward) -> None:
    session = await ward.session(1)
    await ward.past(session)
    await ward.round()
    await ward.rounds(32)
    told = await ward.store.history(W, session=session, limit=10)
    assert [each.tried.rung for each in told] == [Rung.RESTART, Rung.CHECK]
    assert all("no message has come" in each.reason for each in told)
    assert [each.tried.result for each in told][1] == "its instance calls it connected"
    assert await ward.store.history(WorkspaceId(99), limit=10) == []
    assert await ward.store.forget_history(before=ward.clock.now() + timedelta(days=1), limit=1) == 1


async def test_a_dry_run_tries_nothing_and_says_what_it_would(ward: Ward) -> None:
    session = await ward.session(1)
    await ward.past(session)
    ward.judging._dry_run = True
    await ward.round()
    with capture_logs() as logs:
        await ward.rounds(40)
    assert await ward.hearing(session) is Hearing.DEAF
    assert await ward.tried(session) == []
    said = [line["rung"] for line in logs if line["event"] == "Deaf session: a rung would be tried"]
    assert said == ["check"]


async def test_doubtful_sessions_are_sent_messages_to_themselves_within_their_budget(ward: Ward) -> None:
    session = await ward.session(1)
    await ward.past(session)
    ward.judging._probing = Probing(ward.store, ward.world, ward.clock, SeededEntropy(1), per_day=2)
    # As acknowledgements usually are there; and its silence began outside its traffic: it may be a day off.
    for number in range(8):
        ward.ears.sent(session)
        await ward.clock.sleep(40)
        ward.comes(session, kind="message_status_updated", message_id=f"m{number}", status="sent")
    await ward.ears.write()
    sent_before = ward.world.instances[A].sends
    await ward.rounds(9)
    assert await ward.hearing(session) is Hearing.DOUBTFUL
    await ward.rounds(30)
    to_itself = ward.world.instances[A].sends - sent_before
    assert 1 <= to_itself <= 2
    case = await ward.store.case(session)
    assert case is not None
    assert len(case.probes) == to_itself
    assert Shows.PROBE in case.record.shows or case.record.hearing is Hearing.DEAF


async def test_nothing_is_sent_to_itself_unless_that_is_said(ward: Ward) -> None:
    session = await ward.session(1)
    await ward.past(session)
    ward.judging._probing = Probing(ward.store, ward.world, ward.clock, SeededEntropy(1), per_day=0)
    await ward.round()
    await ward.rounds(30)
    assert ward.world.instances[A].sends == 0
