"""Conditions that nobody meets on the way are looked for: each becomes an alert, and passes when it has passed."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import timedelta

import pytest
from worlds import OURS, A, B, W, bench
from worlds import Bench as Sends

from homing.flows.alerts.conditions import FACTS_EVERY_S, SYNC, ConditionPolicy, ConditionWatch
from homing.flows.background.alerts import AlertBook, Unkept
from homing.model.alerts import FLEET, AlertKind, Subject
from homing.model.fleet import AccountUuid, InstanceUrl
from homing.model.instances.health import HealthJudgment, HealthState
from homing.model.sends.messages import MessageRecord, MessageState
from homing.model.work import Tick
from homing.ports import InstanceHealth
from homing.store.records.standing_facts import SqlFacts
from homing.store.sends.messages import SqlMessages
from homing.store.work.schedules import SqlSchedules
from tests.flows.vault_fleet import running

pytestmark = pytest.mark.virtual
HERE = Subject.gateway("gw:8000")


@dataclass(slots=True)
class Seen:
    """What the rest of a gateway knows."""

    at: dict[InstanceUrl, HealthJudgment] = field(default_factory=dict)
    health: dict[InstanceUrl, InstanceHealth] = field(default_factory=dict)
    ahead: dict[InstanceUrl, float] = field(default_factory=dict)
    lag_s: float = 0.01
    lacks_key: str | None = None

    def judged(self) -> dict[InstanceUrl, HealthJudgment]:
        return self.at

    def health_of(self, url: InstanceUrl) -> InstanceHealth | None:
        return self.health.get(url)

    def ahead_s(self, url: InstanceUrl) -> float | None:
        return self.ahead.get(url)

    def was_well(self, url: InstanceUrl) -> bool:
        return True

    def unfit(self) -> dict[InstanceUrl, str]:
        return {url: "is down" for url, each in self.at.items() if each.state is not HealthState.HEALTHY}

    def store_lag_s(self) -> float:
        return self.lag_s

    async def lacking(self) -> str | None:
        return self.lacks_key


class Apart(SqlFacts):
    """The store's clock goes wrong by so many seconds."""

    behind_s = 0.0

    async def now(self):  # type: ignore[no-untyped-def]
        return await super().now() - timedelta(seconds=self.behind_s)


@dataclass(slots=True)
class Looked:
    sends: Sends
    seen: Seen
    alerts: AlertBook
    facts: Apart
    schedules: SqlSchedules

    async def passes(self, seconds: float) -> None:
        await self.sends.clock.sleep(seconds)

    def kinds(self, about: Subject) -> set[AlertKind]:
        return {each.kind for each in self.alerts.of(about)}

    def is_(self, url: InstanceUrl, state: HealthState, reason: str = "it refuses connections") -> None:
        now_s = self.sends.clock.monotonic()
        self.seen.at[url] = HealthJudgment(state, now_s, reason, unwell_since_s=now_s)


@asynccontextmanager
async def looking(expression: str = "") -> AsyncIterator[Looked]:
    async with bench(A, B) as it:
        database, seen, alerts = it.directory._database, Seen(), AlertBook(Unkept(), it.clock)
        facts, schedules = Apart(database), SqlSchedules(database)
        for url in (A, B):
            await it.directory.change_instance(url, {"capacity": 4})
        instances = {each.url: each for each in await it.directory.instances()}
        policy = ConditionPolicy("gw:8000", expression, capacity_h=24)
        look = ConditionWatch(seen, lambda: instances, it.directory, schedules, facts, seen, alerts, it.clock, policy)
        looked = Looked(it, seen, alerts, facts, schedules)
        for url in (A, B):
            looked.is_(url, HealthState.HEALTHY)
        async with running(look):
            yield looked
        instances.clear()


async def test_an_instance_that_is_unwell_for_30_s_is_an_alert_until_it_is_well() -> None:
    async with looking() as it:
        await it.sends.account(A)
        it.is_(A, HealthState.DOWN)
        await it.passes(25)
        assert it.alerts.standing() == []
        await it.passes(10)
        assert it.kinds(Subject.instance(A)) == {AlertKind.INSTANCE_DOWN}
        it.is_(A, HealthState.HEALTHY)
        await it.passes(5)
        assert it.alerts.standing() == []


async def test_a_version_that_nobody_checked_is_an_alert_until_another_runs() -> None:
    async with looking() as it:
        it.seen.health[A] = InstanceHealth(OURS, version="9.9", unchecked="it is 9.9; the driver knows 2.3 to 2.4")
        await it.passes(5)
        [alert] = it.alerts.of(Subject.instance(A))
        assert (alert.kind, alert.reason) == (AlertKind.VERSION_UNCHECKED, "it is 9.9; the driver knows 2.3 to 2.4")
        it.seen.health[A] = InstanceHealth(OURS, version="2.4")
        await it.passes(5)
        assert it.alerts.standing() == []


async def test_growth_that_fills_all_instances_is_an_alert_until_there_is_room() -> None:
    async with looking() as it:
        for _ in range(5):
            await it.sends.account(A)
        await it.passes(FACTS_EVERY_S + 5)
        [alert] = it.alerts.of(FLEET)
        assert alert.kind is AlertKind.CAPACITY_SHORT
        assert alert.reason == "there is room for 4 more, and 0.2 accounts an hour are added: enough for 19 h"
        await it.passes(7 * 3600)
        assert it.alerts.standing() == [], "nothing was added for six hours"


async def test_an_unknown_message_is_an_alert_after_a_quarter_of_an_hour_until_it_is_settled() -> None:
    async with looking() as it:
        messages, now = SqlMessages(it.sends.directory._database), it.sends.clock.now()
        record = MessageRecord(
            "u1", W, AccountUuid("a"), "m1", "62811", "hello", MessageState.UNKNOWN, "unknown", "it timed out", 1, A,
            now, now,
        )  # fmt: skip
        await messages.record(record)
        await it.passes(14 * 60)
        assert it.alerts.standing() == []
        await it.passes(3 * 60)
        assert it.kinds(FLEET) == {AlertKind.UNKNOWN_WAITING}
        await it.sends.directory._database.write(_settled)
        await it.passes(FACTS_EVERY_S + 5)
        assert it.alerts.standing() == []


def _settled(connection: object) -> None:
    from sqlalchemy import update

    from homing.store.db.schema.tables import messages

    connection.execute(update(messages).values(state=MessageState.SENT))  # type: ignore[attr-defined]


async def check(it: Looked, *, error: str = "") -> None:
    tick = await it.schedules.begin(SYNC, "*/5 * * * *", owner="a", lease_s=15)
    assert isinstance(tick, Tick)
    await it.schedules.finish(tick, error=error, result="" if error else "well")


async def test_a_check_of_the_fleet_that_nobody_runs_is_an_alert_until_one_runs() -> None:
    async with looking("*/5 * * * *") as it:
        await it.schedules.begin(SYNC, "*/5 * * * *", owner="a", lease_s=15)
        await it.passes(301)
        await check(it)
        await it.passes(14 * 60)
        assert it.alerts.standing() == []
        await it.passes(4 * 60)
        assert it.kinds(FLEET) == {AlertKind.SYNC_NOT_RUNNING}
        await check(it)
        await it.passes(FACTS_EVERY_S + 5)
        assert it.alerts.standing() == []


async def test_a_check_of_the_fleet_that_fails_twice_is_an_alert_until_one_does_not() -> None:
    async with looking("*/5 * * * *") as it:
        await it.schedules.begin(SYNC, "*/5 * * * *", owner="a", lease_s=15)
        for error, says in (("away", set()), ("away", {AlertKind.SYNC_FAILING}), ("", set())):
            await it.passes(300)
            await check(it, error=error)
            await it.passes(FACTS_EVERY_S + 5)
            assert it.kinds(FLEET) == says


async def test_a_slow_database_is_an_alert_of_this_gateway_until_it_answers_in_time() -> None:
    async with looking() as it:
        it.seen.lag_s = 0.8
        await it.passes(8)
        assert it.alerts.standing() == []
        await it.passes(20)
        assert it.kinds(HERE) == {AlertKind.DATABASE_SLOW}
        it.seen.lag_s = 0.01
        await it.passes(15)
        assert it.alerts.standing() == []


async def test_an_instance_whose_clock_is_off_is_an_alert_until_it_is_not() -> None:
    async with looking() as it:
        it.is_(A, HealthState.HEALTHY)
        it.seen.ahead[A] = -8.0
        await it.passes(5)
        assert it.kinds(Subject.instance(A)) == set(), "as long as nobody knows of our own"
        await it.passes(FACTS_EVERY_S)
        [alert] = it.alerts.of(Subject.instance(A))
        assert (alert.kind, alert.reason) == (AlertKind.CLOCK_OFF, "its clock is 8 s behind the database's")
        it.seen.ahead[A] = -1.0
        await it.passes(5)
        assert it.alerts.standing() == []


async def test_a_gateway_whose_own_clock_is_off_accuses_no_instance() -> None:
    async with looking() as it:
        it.is_(A, HealthState.HEALTHY)
        it.facts.behind_s, it.seen.ahead[A] = 7.0, -7.0
        await it.passes(FACTS_EVERY_S + 5)
        assert it.kinds(Subject.instance(A)) == set()
        assert it.kinds(HERE) == {AlertKind.CLOCK_OFF}


async def test_clocks_apart_are_an_alert_of_this_gateway_until_they_agree() -> None:
    async with looking() as it:
        it.facts.behind_s = 7.0
        await it.passes(FACTS_EVERY_S + 5)
        [alert] = it.alerts.of(HERE)
        assert (alert.kind, alert.reason) == (AlertKind.CLOCK_OFF, "its clock is 7 s ahead of the database's")
        it.facts.behind_s = 0.0
        await it.passes(FACTS_EVERY_S + 5)
        assert it.alerts.standing() == []


async def test_a_key_of_the_vault_that_is_not_at_hand_is_an_alert_until_it_is() -> None:
    async with looking() as it:
        it.seen.lacks_key = "the vault key 'new' is not at hand"
        await it.passes(601)
        assert it.kinds(HERE) == {AlertKind.VAULT_KEY_MISSING}
        it.seen.lacks_key = None
        await it.passes(601)
        assert it.alerts.standing() == []
