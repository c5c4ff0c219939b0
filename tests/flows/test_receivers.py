"""Operators are told of what matters: soon, once over two gateways, and after an outage too; and that we live."""

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Callable, Collection, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from delivering import CustomersServer

from homing.decide.egress.rules import EgressRules
from homing.flows.alerts.managing import ReceiverOperations
from homing.flows.alerts.receivers import TELL_RECEIVER, ReceiverTurns
from homing.flows.background.alerts import AlertBook
from homing.flows.background.worker import Duty, Worker
from homing.lab.sim.egress import SimulatedEgress, SimulatedMail
from homing.lab.sim.world import SeededEntropy, VirtualClock
from homing.model.alerts import FLEET, About, AlertKind, Subject
from homing.model.deliveries.egress import CallAnswer, CallFailed, CallFailure
from homing.model.deliveries.receivers import AlertPlace, ReceiverKind, Reminding, ToldAlert
from homing.model.errors import Problem
from homing.model.fleet import SessionId
from homing.store.db.opening import open_database
from homing.store.deliveries.secrets import DerivedSecrets
from homing.store.notices.notices import LocalNotices
from homing.store.receivers.receivers import SqlReceivers
from homing.store.records.alerts import SqlAlerts
from homing.store.work.queue import SqlWork

pytestmark = pytest.mark.virtual
DOWN = CallFailed(CallFailure.UNREACHED, "Connection refused")
OK = CallAnswer(200)


@dataclass(eq=False)
class Server(CustomersServer):
    """An operator's server: what was posted, as far as it took it."""

    said: list[Any] = field(default_factory=list)
    webhook_ids: list[str] = field(default_factory=list)

    async def __call__(self, body: bytes, headers: Mapping[str, str]) -> CallAnswer | CallFailed:
        self.webhook_ids.append(headers.get("webhook-id", ""))
        if self.answer is OK:
            self.said.append(json.loads(body) if body else None)
        return self.answer


@dataclass(eq=False)
class Watch:
    """Alerts, receivers, and any number of gateways."""

    clock: VirtualClock
    alerts: AlertBook
    receivers: SqlReceivers
    operations: ReceiverOperations
    egress: SimulatedEgress
    mail: SimulatedMail
    running: list[asyncio.Task[None]]
    another_gateway: Callable[[], ReceiverTurns]

    async def killed(self) -> None:
        """All gateways' turns end at once."""
        dead, self.running[1:] = self.running[1:], []
        for task in dead:
            task.cancel()
        await asyncio.gather(*dead, return_exceptions=True)

    async def server(self, kind: ReceiverKind, name: str = "ops") -> Server:
        server = Server(self.clock, answer=OK)
        self.egress.receivers[f"{name}.example"] = server
        await self.operations.create(name, kind, f"https://{name}.example/in", {}, "")
        return server


def session(name: str) -> Subject:
    return Subject.session(SessionId(name))


PLACES = {
    f"s{number}": AlertPlace(f"http://wa{number % 2}:3001", f"rack{number % 2}", "webjs 1.34") for number in range(200)
}


async def places_of(told: Collection[ToldAlert]) -> Mapping[Subject, AlertPlace]:
    return {each.alert.subject: PLACES[name] for each in told if (name := each.alert.subject.name) in PLACES}


@asynccontextmanager
async def watch(gateways: int = 1, reminding: Mapping[AlertKind, Reminding] | None = None) -> AsyncIterator[Watch]:
    clock, entropy = VirtualClock(), SeededEntropy(3)
    database, notices = open_database("sqlite://", now=clock.now), LocalNotices()
    store, work, receivers = SqlAlerts(database, notices), SqlWork(database, notices), SqlReceivers(database)
    secrets, egress, mail = (
        DerivedSecrets(b"a secret", (), entropy.token),
        SimulatedEgress(EgressRules()),
        SimulatedMail(),
    )
    alerts, running = AlertBook(store, clock), []
    notices.subscribe(alerts.hear)
    running.append(asyncio.create_task(alerts.run()))

    def another_gateway() -> ReceiverTurns:
        turns = ReceiverTurns(receivers, store, work, egress, mail, secrets, clock, places_of, reminding)
        notices.subscribe(turns.hear)
        duty = Duty(handler=turns.do, at_once=8, lease_s=10.0, poll_s=5.0)
        worker = Worker(work, clock, entropy, TELL_RECEIVER, duty, owner=entropy.uuid())
        running.extend([asyncio.create_task(turns.run()), asyncio.create_task(worker.run())])
        return turns

    for _ in range(gateways):
        turns = another_gateway()
    operations = ReceiverOperations(receivers, turns, egress, secrets, clock, entropy)
    yield Watch(clock, alerts, receivers, operations, egress, mail, running, another_gateway)
    for task in running:
        task.cancel()
    for task in running:
        with suppress(asyncio.CancelledError):
            await task
    await database.close()


async def test_an_alert_is_told_within_5_s_once_over_two_gateways_and_resolved() -> None:
    async with watch(gateways=2) as it:
        server = await it.server(ReceiverKind.WEBHOOK)
        it.alerts.raised(AlertKind.SESSION_UNREACHABLE, session("s1"), "nobody holds it")
        await asyncio.sleep(5)
        [told] = server.said
        assert (told["type"], told["data"]["kind"]) == ("alert.firing", "session_unreachable")
        assert [each["subject"] for each in told["data"]["alerts"]] == ["s1"]
        await asyncio.sleep(3600)
        assert len(server.said) == 1
        it.alerts.resolved(AlertKind.SESSION_UNREACHABLE, session("s1"))
        await asyncio.sleep(5)
        assert [each["type"] for each in server.said] == ["alert.firing", "alert.resolved"]
        assert server.said[1]["data"]["alerts"][0]["id"] == told["data"]["alerts"][0]["id"]


async def test_alerts_that_come_together_are_told_together_by_kind() -> None:
    async with watch() as it:
        server = await it.server(ReceiverKind.SLACK)
        for number in range(30):
            it.alerts.raised(AlertKind.SESSION_UNREACHABLE, session(f"s{number}"), "nobody <holds> it")
        it.alerts.raised(AlertKind.BRAKE_ENGAGED, FLEET, "too much is gone")
        await asyncio.sleep(5)
        assert len(server.said) == 2
        texts = "\n".join(each["text"] for each in server.said)
        assert "Session unreachable (30)" in texts
        assert "and 10 more" in texts
        assert "all of webjs 1.34" in texts
        assert "&lt;holds&gt;" in texts


async def test_many_of_one_kind_that_come_one_after_the_other_are_few_notifications() -> None:
    async with watch(gateways=2) as it:
        server = await it.server(ReceiverKind.WEBHOOK)
        for number in range(0, 200, 2):
            it.alerts.raised(AlertKind.SESSION_UNREACHABLE, session(f"s{number}"), "nobody holds it")
            await asyncio.sleep(0.2)
        it.alerts.raised(AlertKind.BRAKE_ENGAGED, FLEET, "too much is gone")
        await asyncio.sleep(5)
        assert server.said[-1]["data"]["kind"] == "brake_engaged", "another kind does not wait"
        await asyncio.sleep(90)
        told = Counter(each["id"] for said in server.said for each in said["data"]["alerts"])
        assert (len(told), set(told.values())) == (101, {1})
        assert len(server.said) <= 8
        *_, last = [said["data"] for said in server.said if said["data"]["kind"] == "session_unreachable"]
        assert last["counts"]["instance"] == {"http://wa0:3001": len(last["alerts"])}
        assert (last["alerts"][0]["host"], last["alerts"][0]["engine"]) == ("rack0", "webjs 1.34")


async def test_ten_thousand_alerts_at_once_are_told_in_documents_that_somebody_can_take() -> None:
    async with watch() as it:
        server = await it.server(ReceiverKind.WEBHOOK)
        slack = await it.server(ReceiverKind.SLACK, "chat")
        manager = await it.server(ReceiverKind.ALERTMANAGER, "am")
        for number in range(10_000):
            it.alerts.raised(AlertKind.SESSION_UNREACHABLE, session(f"s{number}"), "nobody holds it")
        await asyncio.sleep(10)
        assert [len(said["data"]["alerts"]) for said in server.said] == [1_000] * 10
        assert len({each["id"] for said in server.said for each in said["data"]["alerts"]}) == 10_000
        assert len(slack.said) == 1
        assert [len(said) for said in manager.said] == [1_000] * 10


async def test_a_receiver_that_was_down_for_an_hour_gets_what_still_matters_once() -> None:
    async with watch(gateways=2) as it:
        server = await it.server(ReceiverKind.WEBHOOK)
        server.answer = DOWN
        for number in range(6):
            it.alerts.raised(AlertKind.SESSION_UNREACHABLE, session(f"s{number}"), "nobody holds it")
            await asyncio.sleep(600)
            if number % 2:
                it.alerts.resolved(AlertKind.SESSION_UNREACHABLE, session(f"s{number}"))
        server.answer = OK
        await asyncio.sleep(120)
        told = Counter(each["subject"] for said in server.said for each in said["data"]["alerts"])
        assert told == {"s0": 1, "s2": 1, "s4": 1}
        assert {said["type"] for said in server.said} == {"alert.firing"}


async def test_a_repeat_carries_the_same_id() -> None:
    async with watch() as it:
        server = await it.server(ReceiverKind.WEBHOOK)
        ids: list[str] = []

        async def takes_it_and_says_so_late(body: bytes, headers: Mapping[str, str]) -> CallAnswer | CallFailed:
            ids.append(headers["webhook-id"])
            return CallFailed(CallFailure.BROKEN, "cut") if len(ids) < 3 else OK

        it.egress.receivers["ops.example"] = takes_it_and_says_so_late
        it.alerts.raised(AlertKind.BRAKE_ENGAGED, FLEET, "too much is gone")
        await asyncio.sleep(60)
        assert len(ids) == 3
        assert len(set(ids)) == 1
        assert server.said == []


async def test_what_is_silenced_is_not_told_until_the_silence_ends() -> None:
    async with watch() as it:
        server = await it.server(ReceiverKind.WEBHOOK)
        await it.operations.silence(None, About.SESSION, "s1", for_s=3600, reason="known", by="op")
        for name in ("s1", "s2"):
            it.alerts.raised(AlertKind.SESSION_UNREACHABLE, session(name), "nobody holds it")
        await asyncio.sleep(60)
        assert [each["subject"] for said in server.said for each in said["data"]["alerts"]] == ["s2"]
        await asyncio.sleep(3600)
        assert [each["subject"] for said in server.said for each in said["data"]["alerts"]] == ["s2", "s1"]


async def test_alertmanager_is_told_again_what_stands_and_what_passed() -> None:
    async with watch(gateways=2) as it:
        server = await it.server(ReceiverKind.ALERTMANAGER)
        it.alerts.raised(AlertKind.BRAKE_ENGAGED, FLEET, "too much is gone")
        await asyncio.sleep(300)
        assert 4 <= len(server.said) <= 6
        assert {each["labels"]["alertname"] for said in server.said for each in said} == {"brake_engaged"}
        assert all("endsAt" not in each for said in server.said for each in said)
        it.alerts.resolved(AlertKind.BRAKE_ENGAGED, FLEET)
        await asyncio.sleep(5)
        assert "endsAt" in server.said[-1][0]


async def test_a_heartbeat_is_called_every_minute_by_one_of_two_gateways() -> None:
    async with watch(gateways=2) as it:
        server = await it.server(ReceiverKind.HEARTBEAT)
        await asyncio.sleep(3600)
        assert 45 <= len(server.said) <= 61


async def test_mail_goes_to_all_and_is_tried_until_it_is_taken() -> None:
    async with watch() as it:
        options = {"server": "mail.example", "from": "homing@example.com"}
        to = "a@example.com, b@example.com"
        await it.operations.create("mail", ReceiverKind.EMAIL, to, options, "password")
        it.mail.refuses = "greylisted"
        it.alerts.raised(AlertKind.BRAKE_ENGAGED, FLEET, "too much is gone")
        await asyncio.sleep(30)
        [shown] = await it.receivers.all()
        assert (shown.last_error, shown.failing_since is not None) == ("greylisted", True)
        it.mail.refuses = None
        await asyncio.sleep(120)
        [mail] = it.mail.taken
        assert mail.to == ("a@example.com", "b@example.com")
        assert mail.subject == "[Homing] critical: Brake engaged"
        assert "too much is gone" in mail.text
        [shown] = await it.receivers.all()
        assert (shown.last_error, shown.failing_since) == ("", None)


async def test_nothing_is_told_in_four_hours_in_which_nothing_happens() -> None:
    async with watch(gateways=2) as it:
        server = await it.server(ReceiverKind.WEBHOOK)
        await asyncio.sleep(4 * 3600)
        assert server.said == []


@pytest.mark.parametrize(
    ("kind", "target", "options"),
    [
        (ReceiverKind.WEBHOOK, "ftp://ops.example/", {}),
        (ReceiverKind.SLACK, "https://nowhere.example/", {}),
        (ReceiverKind.WEBHOOK, "https://ops.example/", {"server": "x"}),
        (ReceiverKind.EMAIL, "nobody", {"server": "m", "from": "a@b.c"}),
        (ReceiverKind.EMAIL, "a@b.c", {}),
        (ReceiverKind.EMAIL, "a@b.c\nBcc: x@y.z", {"server": "m", "from": "a@b.c"}),
        (ReceiverKind.EMAIL, "a@b.c", {"server": "m", "from": "a@b.c", "tls": "perhaps"}),
    ],
)
async def test_a_receiver_that_could_not_be_told_is_refused(kind: ReceiverKind, target: str, options: Any) -> None:
    async with watch() as it:
        await it.server(ReceiverKind.WEBHOOK)
        with pytest.raises(Problem):
            await it.operations.create("other", kind, target, options, "")


EVERY_S = 300.0


async def test_who_waits_to_be_linked_is_reminded_of_at_its_interval_once_over_two_gateways_and_restarts() -> None:
    reminding = {AlertKind.PAIRING_WAITS: Reminding(every_s=EVERY_S, times=3)}
    async with watch(gateways=2, reminding=reminding) as it:
        server, phone = await it.server(ReceiverKind.WEBHOOK), session("s1")
        it.alerts.raised(AlertKind.PAIRING_WAITS, phone, "it waits; 1 message waits for it")
        it.alerts.raised(AlertKind.DEAF, session("s2"), "nothing comes")
        await it.clock.sleep(0.9 * EVERY_S)
        assert len(server.said) == 2, "each once"
        it.alerts.raised(AlertKind.PAIRING_WAITS, phone, "it waits; 7 messages wait for it")
        await it.killed()
        for _ in range(2):
            it.another_gateway()
        await it.clock.sleep(0.05 * EVERY_S)
        assert len(server.said) == 2, "a start of all gateways reminds nobody"
        await it.clock.sleep(EVERY_S)
        assert len(server.said) == 3
        assert "7 messages" in json.dumps(server.said[-1]), "as it is now"
        await it.clock.sleep(EVERY_S)
        assert len(server.said) == 4
        assert len(server.webhook_ids) == len(set(server.webhook_ids)) == 4, "a reminder is no repeat"
        await it.clock.sleep(5 * EVERY_S)
        assert len(server.said) == 4, "three times in all"
        it.alerts.resolved(AlertKind.PAIRING_WAITS, phone)
        await it.clock.sleep(60.0)
        assert len(server.said) == 5


async def test_alertmanager_reminds_by_its_own_rules() -> None:
    reminding = {AlertKind.PAIRING_WAITS: Reminding(every_s=EVERY_S, times=3)}
    async with watch(reminding=reminding) as it:
        server = await it.server(ReceiverKind.ALERTMANAGER)
        it.alerts.raised(AlertKind.PAIRING_WAITS, session("s1"), "it waits")
        await it.clock.sleep(1.5 * EVERY_S)
        assert all(len(said) == 1 for said in server.said), "it is told once in each document"
