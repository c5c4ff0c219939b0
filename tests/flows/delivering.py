"""Endpoints, events and gateways that tell them, in virtual time: what each receiver got, in its order."""

import asyncio
import base64
import hmac
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from itertools import count
from typing import Any

from homing.decide.egress.rules import EgressRules
from homing.decide.work.attempts import RetryPolicy
from homing.flows.background.alerts import AlertBook
from homing.flows.background.worker import Duty, Worker
from homing.flows.deliveries.managing import EndpointOperations
from homing.flows.deliveries.telling import QUICK, SLOW, DeliveryTurns, TellingPolicy
from homing.flows.deliveries.waking import Waking
from homing.lab.sim.egress import SimulatedEgress
from homing.lab.sim.world import SeededEntropy, VirtualClock
from homing.model.deliveries.deliveries import Delivery, DeliveryState, Fact
from homing.model.deliveries.egress import CallAnswer, CallFailed
from homing.model.deliveries.endpoints import EndpointRecord, EndpointSettings
from homing.model.fleet import SessionId, WorkspaceId
from homing.ports import Page
from homing.ports.deliveries.deliveries import WantedDeliveries
from homing.store.db.database import Database
from homing.store.db.opening import open_database
from homing.store.deliveries.secrets import DerivedSecrets
from homing.store.deliveries.stores import SqlDeliveries, SqlEndpoints
from homing.store.deliveries.telling import append
from homing.store.notices.announce import Changes
from homing.store.notices.notices import LocalNotices
from homing.store.records.alerts import SqlAlerts
from homing.store.work.queue import SqlWork

ONE = WorkspaceId(1)
S = SessionId("session-1")
Answering = Callable[[str], Awaitable[CallAnswer | CallFailed]]
OK = CallAnswer(200)


@dataclass
class Got:
    """One call of a receiver."""

    at_s: float
    id: str
    type: str
    data: dict[str, Any]
    headers: Mapping[str, str]
    body: bytes


@dataclass(eq=False)
class CustomersServer:
    """A customer's server: remembers each call, and answers as `answer` says just now."""

    clock: VirtualClock
    answer: CallAnswer | CallFailed = OK
    takes_s: float = 0.0
    secret: str = ""
    got: list[Got] = field(default_factory=list)
    taken: list[Got] = field(default_factory=list)
    at_once: int = 0
    most_at_once: int = 0

    async def __call__(self, body: bytes, headers: Mapping[str, str]) -> CallAnswer | CallFailed:
        told = json.loads(body)
        got = Got(self.clock.monotonic(), headers["webhook-id"], told["type"], told["data"], headers, body)
        self.got.append(got)
        self.at_once += 1
        self.most_at_once = max(self.most_at_once, self.at_once)
        try:
            await asyncio.sleep(self.takes_s)
        finally:
            self.at_once -= 1
        if isinstance(self.answer, CallAnswer) and 200 <= self.answer.status < 300:
            self.taken.append(got)
        return self.answer

    @property
    def ids(self) -> list[str]:
        """Of what it took, in order."""
        return [each.id for each in self.taken]


@dataclass(eq=False)
class Fleet:
    """A store, and any number of gateways that tell endpoints from it."""

    clock: VirtualClock
    entropy: SeededEntropy
    database: Database
    notices: LocalNotices
    egress: SimulatedEgress
    endpoints: SqlEndpoints
    deliveries: SqlDeliveries
    operations: EndpointOperations
    alerts: AlertBook
    work: SqlWork
    secrets: DerivedSecrets
    gateways: list["asyncio.Task[None]"] = field(default_factory=list)
    numbers: Any = field(default_factory=lambda: count(1))
    policy: TellingPolicy = field(default_factory=TellingPolicy)

    def gateway(self, *, reached: Callable[[str], None] = lambda _: None) -> "asyncio.Task[None]":
        """One more gateway at work; to be cancelled for its death."""
        waking = Waking(
            self.deliveries,
            self.alerts,
            self.clock,
            self.policy.patience,
            backlog_max=1_000_000,
            keep_days=7,
            look_every_s=1_800,
        )
        self.notices.subscribe(waking.hear)
        telling = DeliveryTurns(
            self.endpoints,
            self.deliveries,
            self.egress,
            self.secrets,
            self.clock,
            self.entropy,
            self.alerts,
            self.policy,
            waking.look,
            reached=reached,
        )
        duty = Duty(handler=telling.do, policy=RetryPolicy((1.0, 5.0)), at_once=8, lease_s=10.0, poll_s=600.0)
        owner = self.entropy.uuid()
        workers = [Worker(self.work, self.clock, self.entropy, kind, duty, owner=owner) for kind in (QUICK, SLOW)]

        async def run() -> None:
            async with asyncio.TaskGroup() as group:
                for part in (waking, *workers):
                    group.create_task(part.run())

        task = asyncio.create_task(run())
        self.gateways.append(task)
        return task

    async def endpoint(self, host: str, **settings: Any) -> tuple[EndpointRecord, CustomersServer]:
        """An endpoint, and the customer's server behind it."""
        server = CustomersServer(self.clock)
        self.egress.receivers[host] = server
        made = await self.operations.create(ONE, EndpointSettings(f"https://{host}/hook", **settings))
        server.secret = made.secret
        return made.endpoint, server

    async def happen(self, *chats: str, kind: str = "message_received", workspace: WorkspaceId = ONE) -> list[str]:
        """Something happened in each of these chats; the events' ids."""
        numbers = [next(self.numbers) for _ in chats]
        facts = [
            Fact(
                id=f"event-{number:06}",
                kind=kind,
                workspace_id=workspace,
                at=self.clock.now(),
                payload={"message": {"id": f"M{number}", "from": f"{chat}@c.us", "body": f"text {number}"}},
                session_id=S,
            )
            for number, chat in zip(numbers, chats, strict=True)
        ]
        changes = Changes(self.database, self.notices)
        await changes.make(lambda c: (None, append(c, self.database, facts)))
        return [fact.id for fact in facts]

    async def all(self, state: DeliveryState | None = None) -> list[Delivery]:
        return await self.deliveries.page(WantedDeliveries(state=state), page=Page(0, 1_000_000))

    async def until_quiet(self, *, within_s: float = 3600.0) -> None:
        """Until nothing waits."""
        async with asyncio.timeout(within_s):
            while await self.all(DeliveryState.PENDING):  # noqa: ASYNC110 - nobody tells of it
                await asyncio.sleep(30.0)


@asynccontextmanager
async def fleet(url: str = "sqlite://", **policy: Any) -> AsyncIterator[Fleet]:
    clock, entropy = VirtualClock(), SeededEntropy(7)
    database, notices = open_database(url, now=clock.now), LocalNotices()
    endpoints, deliveries = SqlEndpoints(database), SqlDeliveries(database, notices)
    egress, alerts = SimulatedEgress(EgressRules()), AlertBook(SqlAlerts(database, notices), clock)
    secrets = DerivedSecrets(b"a secret of the gateways", (), entropy.token)
    operations = EndpointOperations(endpoints, deliveries, egress, secrets, clock, entropy, alerts, look=lambda: None)
    made = Fleet(
        clock, entropy, database, notices, egress, endpoints, deliveries, operations, alerts,
        SqlWork(database, notices), secrets, policy=TellingPolicy(**policy),
    )  # fmt: skip
    try:
        yield made
    finally:
        for task in made.gateways:
            task.cancel()
        for task in made.gateways:
            with suppress(asyncio.CancelledError, Exception):
                await task
        await database.close()


def is_signed(got: Got, secret: str) -> bool:
    """By the specification, with nothing of ours."""
    key = base64.b64decode(secret.removeprefix("whsec_"))
    signed = f"{got.id}.{got.headers['webhook-timestamp']}.".encode() + got.body
    expected = "v1," + base64.b64encode(hmac.digest(key, signed, "sha256")).decode()
    return expected in got.headers["webhook-signature"].split(" ")


DAY_S = timedelta(days=1).total_seconds()
