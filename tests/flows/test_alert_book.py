"""An alert is one log line and one condition that stands, in every gateway, until it has passed."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from structlog.testing import capture_logs

from homing.flows.background.alerts import READ_EVERY_S, STANDING_MAX, AlertBook
from homing.model.alerts import GUIDES, AlertKind, Subject
from homing.model.fleet import SessionId
from homing.ports import StoreUnavailable
from homing.store.records.alerts import SqlAlerts
from tests.flows.vault_fleet import running
from tests.flows.worlds import A, Bench, bench

pytestmark = pytest.mark.virtual

SESSION = Subject.session(SessionId("webjs_1_a"))
TWICE, GONE = AlertKind.DUPLICATE_HOLDER, AlertKind.INSTANCE_GONE


def store(it: Bench) -> SqlAlerts:
    return SqlAlerts(it.directory._database, it.notices)


@asynccontextmanager
async def book(it: Bench) -> AsyncIterator[AlertBook]:
    made = AlertBook(store(it), it.clock)
    it.notices.subscribe(made.hear)
    async with running(made):
        yield made


def test_every_kind_has_a_guide() -> None:
    assert set(GUIDES) == set(AlertKind)
    assert all(guide.title and guide.means and guide.do for guide in GUIDES.values())
    assert len({guide.title for guide in GUIDES.values()}) == len(GUIDES)


async def test_a_condition_that_is_seen_again_and_again_is_one_log_line() -> None:
    async with bench(A) as it, book(it) as alerts:
        with capture_logs() as logged:
            for _ in range(3):
                alerts.raised(TWICE, SESSION, "a and b", also_on=["b"])
        [line] = logged
        assert line["alert"] is True
        assert line["session_id"] == SESSION.name
        assert line["kind"] == "duplicate_holder"
        assert line["also_on"] == ["b"]
        assert line["do"] == GUIDES[TWICE].do
        assert alerts.counts() == {TWICE: 1}


async def test_what_has_passed_does_not_stand_and_may_be_raised_anew() -> None:
    async with bench(A) as it, book(it) as alerts:
        alerts.raised(TWICE, SESSION, "a and b")
        alerts.resolved(TWICE, SESSION)
        alerts.resolved(TWICE, SESSION)
        assert alerts.standing() == []
        with capture_logs() as logged:
            alerts.raised(TWICE, SESSION, "a and b")
        assert len(logged) == 1


async def test_another_gateway_knows_it_soon_and_so_does_the_next_boot() -> None:
    async with bench(A) as it, book(it) as one, book(it) as other:
        one.raised(TWICE, SESSION, "a and b")
        await it.clock.sleep(1.0)
        assert [alert.reason for alert in other.of(SESSION)] == ["a and b"]
        other.resolved(TWICE, SESSION)
        await it.clock.sleep(1.0)
        assert one.of(SESSION) == []
        one.raised(GONE, Subject.instance(A), "refused")
        await it.clock.sleep(1.0)
        later = AlertBook(store(it), it.clock)
        await later.refresh()
        assert later.counts() == {GONE: 1}


async def test_nothing_is_lost_while_the_store_is_away(monkeypatch: pytest.MonkeyPatch) -> None:
    async with bench(A) as it, book(it) as alerts:

        async def away(*_: object) -> None:
            raise StoreUnavailable("away")

        with monkeypatch.context() as patched:
            patched.setattr(SqlAlerts, "change", away)
            alerts.raised(TWICE, SESSION, "a and b")
            await it.clock.sleep(2 * READ_EVERY_S)
            assert alerts.counts() == {TWICE: 1}
            assert await store(it).standing(limit=10) == []
        await it.clock.sleep(5.0)
        assert len(await store(it).standing(limit=10)) == 1


async def test_what_is_not_written_yet_survives_a_reading() -> None:
    async with bench(A) as it:
        alerts = AlertBook(store(it), it.clock)
        alerts.raised(TWICE, SESSION, "a and b")
        await alerts.refresh()
        assert alerts.counts() == {TWICE: 1}
        alerts.resolved(TWICE, SESSION)
        await alerts.refresh()
        assert alerts.counts() == {}


async def test_there_is_a_limit_to_what_is_kept() -> None:
    async with bench(A) as it:
        alerts = AlertBook(store(it), it.clock)
        for number in range(STANDING_MAX + 5):
            alerts.raised(TWICE, Subject.session(SessionId(f"s{number}")), "a and b")
        assert len(alerts.standing()) == STANDING_MAX
        await asyncio.sleep(0)


async def test_what_is_forgotten_leaves_no_alert_behind() -> None:
    async with bench(A) as it, book(it) as alerts:
        alerts.raised(TWICE, SESSION, "a and b")
        alerts.raised(AlertKind.NO_CAPACITY, SESSION, "full")
        alerts.forget(SESSION)
        assert alerts.standing() == []


async def test_what_only_a_gateway_that_died_knew_passes_and_what_lives_on_stays() -> None:
    here, there = Subject.gateway("a:8000"), Subject.gateway("b:8000")
    async with bench(A) as it, book(it) as alive:
        async with book(it) as dies:
            dies.raised(AlertKind.DATABASE_SLOW, there, "it takes 1 s")
            alive.raised(AlertKind.DATABASE_SLOW, here, "it takes 1 s")
            alive.raised(GONE, Subject.instance(A), "refused")
            await it.clock.sleep(60)
        assert len(alive.standing()) == 3
        await it.clock.sleep(180)
        assert {each.subject for each in alive.standing()} == {here, Subject.instance(A)}
