"""A demo fleet under measurement: load through its gateways, faults in its processes, and what the judge wrote down."""

import asyncio
import json
import os
import socket
import time
from collections import Counter
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit

import asyncpg

from bench.report import Report
from homing.demo.opening import Demo, open_demo
from homing.demo.plan import DemoPlan, Detours
from homing.demo.population import DemoAccount
from homing.demo.processes import Child
from homing.drivers.http.wire import Wire, WireLimits
from homing.model.instances.vault import Holder
from homing.model.sends.faults import Fault
from homing.store.vault.opening import open_vault
from simulated_whatsapp import ledger

SEND = "/api/v1/messages/send"
STARTS_AT_ONCE = 50


@dataclass(frozen=True, slots=True)
class Answered:
    """One send, as its client met it. Status 0: no answer came."""

    session_id: str
    text: str
    status: int
    document: dict[str, Any]
    took_s: float
    at_s: float

    @property
    def attempts(self) -> int:
        return int(self.document.get("attempts", 0))


@dataclass(slots=True)
class Fleet:
    """A demo that is up, with a client for each gateway."""

    demo: Demo
    wire: Wire
    answered: list[Answered] = field(default_factory=list)
    _numbers: int = 0

    @property
    def residents(self) -> list[DemoAccount]:
        return self.demo.population.residents

    @property
    def gateways(self) -> list[str]:
        return list(self.demo.gateways)

    def on(self, instance_url: str) -> list[DemoAccount]:
        """Who was placed on an instance when the fleet began."""
        return [resident for resident in self.residents if resident.instance_url == instance_url]

    def text(self, what: str = "message") -> str:
        """A text that no other message has."""
        self._numbers += 1
        return f"{what} {self._numbers}"

    async def send(
        self,
        resident: DemoAccount,
        text: str | None = None,
        *,
        gateway: int = 0,
        key: str | None = None,
        contact: int = 0,
    ) -> Answered:
        """One send, remembered."""
        said = text or self.text()
        contacts = self.demo.population.contacts
        body = {
            "workspace_id": resident.workspace_id,
            "account_uuid": resident.uuid,
            "contact_uuid": contacts[contact % len(contacts)].uuid,
            "message": said,
        }
        began_s = time.monotonic()
        status, document = await self.call("POST", SEND, body, gateway=gateway, key=key)
        at_s = time.monotonic()
        answered = Answered(resident.session_id, said, status, document, at_s - began_s, at_s)
        self.answered.append(answered)
        return answered

    async def call(
        self, method: str, path: str, body: Any = None, *, gateway: int = 0, key: str | None = None
    ) -> tuple[int, dict[str, Any]]:
        """One request to a gateway, by an operator's key."""
        headers = {"Authorization": f"Bearer {self.demo.population.token}", "Content-Type": "application/json"}
        if key is not None:
            headers["Idempotency-Key"] = key
        raw = None if body is None else json.dumps(body).encode()
        url = self.gateways[gateway % len(self.gateways)]
        reply = await self.wire.call(method, url, path, body=raw, headers=headers, timeout_s=60)
        if isinstance(reply, Fault):
            return 0, {"detail": str(reply)}
        return reply.status, json.loads(reply.body or b"{}")

    async def api(self, path: str, *, gateway: int = 0) -> dict[str, Any]:
        """A resource under /api/v1."""
        status, document = await self.call("GET", f"/api/v1{path}", gateway=gateway)
        assert status == 200, (path, status, document)
        return document

    async def figure(self, name: str, **labels: str) -> float:
        """A figure of /metrics, over all gateways and all its label sets that have these labels."""
        total = 0.0
        for url in self.gateways:
            reply = await self.wire.call("GET", url, "/metrics", timeout_s=10)
            assert not isinstance(reply, Fault), reply
            wanted = [f'{label}="{value}"' for label, value in labels.items()]
            for line in reply.body.decode().splitlines():
                if line.startswith((f"{name} ", f"{name}{{")) and all(each in line for each in wanted):
                    total += float(line.split()[-1])
        return total

    async def start_elsewhere(self, residents: list[DemoAccount], instance_url: str) -> None:
        """An operator's start, by the instance's own API: nobody tells the gateways."""
        gate = asyncio.Semaphore(STARTS_AT_ONCE)

        async def start(session_id: str) -> None:
            async with gate:
                await self.demo.operator.start(instance_url, session_id)

        await asyncio.gather(*(start(each.session_id) for each in residents))

    async def hand_over(self, heirs: dict[str, str]) -> None:
        """While no instance runs: let each session be among those that its heir takes up at its next start."""
        by_heir: dict[str, dict[str, int | None]] = {}
        for session_id, url in heirs.items():
            by_heir.setdefault(url, {})[session_id] = None
        async with open_vault(self.demo.database_url, key=self.demo.secrets.vault_key) as (vault, *_):
            for url, sessions in by_heir.items():
                await vault.open_many(sessions, holder=Holder(url, "handed over"))

    async def misbehave(self, instance_url: str, **faults: Any) -> None:
        """Faults on demand, in the words of `homing.instance.api.faults`; `clear=True` ends them."""
        raw = json.dumps({"api_key": self.demo.secrets.instance_api_key, **faults}).encode()
        headers = {"Content-Type": "application/json"}
        reply = await self.wire.call("POST", instance_url, "/faults", body=raw, headers=headers, timeout_s=5)
        assert not isinstance(reply, Fault), reply
        assert reply.status == 200, reply

    async def befall(self, instance_url: str, fault: str | None) -> None:
        """What befalls a model of somebody's gateway from now on: hang, garbage, page, unlicensed; None: nothing."""
        raw, headers = json.dumps({"fault": fault}).encode(), {"Content-Type": "application/json"}
        reply = await self.wire.call("PUT", instance_url, "/faults", body=raw, headers=headers, timeout_s=5)
        assert not isinstance(reply, Fault), reply

    def kill_instance(self, url: str) -> None:
        kill(self.demo.instances[url])

    def kill_gateway(self, number: int) -> None:
        kill(self.demo.gateways[self.gateways[number]])

    async def ready(self, gateway: int = 0) -> None:
        """Wait until a gateway can do its work."""
        for _ in range(600):
            reply = await self.wire.call("GET", self.gateways[gateway], "/ready", timeout_s=2)
            if not isinstance(reply, Fault) and reply.status == 200:
                return
            await asyncio.sleep(0.05)
        raise AssertionError("the gateway was not ready within 30 s")

    def delivered(self) -> Counter[str]:
        """How often each text reached a recipient, by the judge's own ledger."""
        return Counter(delivery.text for delivery in ledger.read(self.demo.folder.ledger))

    def judge(self, report: Report) -> None:
        """What is claimed of every measurement: each request was answered 200, each message said exactly once."""
        failed = [each for each in self.answered if each.status != 200]
        lost, doubled = self.lost_and_doubled()
        seen = f"{len(failed)} of {len(self.answered):,}"
        report.add("requests that failed", "0", f"{seen} ({failed[0].document})" if failed else seen, not failed)
        report.add("lost / doubled, by the ledger", "0 / 0", f"{lost} / {doubled}", not lost and not doubled)

    def lost_and_doubled(self) -> tuple[int, int]:
        """Of the messages answered 200 until now: how many the ledger lacks; and of all, how many it has twice."""
        delivered = self.delivered()
        lost = sum(1 for each in self.answered if each.status == 200 and not delivered[each.text])
        return lost, sum(1 for count in delivered.values() if count > 1)


def kill(child: Child) -> None:
    """kill -9; it is gone when this returns."""
    child.process.kill()
    child.process.wait()


@asynccontextmanager
async def open_fleet(
    *,
    database_url: str | None = None,
    gateways: int = 1,
    accounts: int = 12,
    contacts: int = 10,
    instances: int = 4,
    folder: Path | None = None,
    reports: bool = True,
    gateway_database_url: str | None = None,
    settings: Mapping[str, str] | None = None,
    families: tuple[str, ...] = (),
    strangers: bool = False,
    restarts_empty: bool = False,
) -> AsyncIterator[Fleet]:
    """A demo on free ports; without a database, on SQLite. Its processes read the settings in `folder`/.env, if any.

    `gateway_database_url` is another way to the same database, which the gateways take. Without `reports` the gateways
    learn of a change by themselves, which some measurements are about. `families` are those of the instances, and
    `strangers` those of them whom nobody has told us of. `restarts_empty`: a model of somebody's gateway that begins
    anew has none of its sessions open.
    """
    instances = len(families) or instances
    first = free_ports(instances + gateways)
    plan = DemoPlan(
        accounts=accounts,
        contacts=contacts,
        instances=instances,
        gateways=gateways,
        first_instance_port=first,
        gateway_port=first + instances,
        folder=folder,
        database_url=database_url,
        reports=reports,
        detours=Detours(gateway_databases=(gateway_database_url,) * gateways if gateway_database_url else ()),
        settings=settings or {},
        families=families,
        strangers=strangers,
        restarts_empty=restarts_empty,
    )
    wire = Wire(WireLimits(connections=1_100, waiting=200_000, connect_timeout_s=30))
    try:
        async with open_demo(plan, lambda _: None) as demo:
            yield Fleet(demo, wire)
    finally:
        await wire.close()


@asynccontextmanager
async def fresh_database(server_url: str) -> AsyncIterator[str]:
    """An empty database on a PostgreSQL server, dropped afterwards."""
    name = f"homing_bench_{os.getpid()}_{time.monotonic_ns()}"
    connection = await asyncpg.connect(server_url)
    try:
        await connection.execute(f'CREATE DATABASE "{name}"')
        yield urlunsplit(urlsplit(server_url)._replace(path=f"/{name}"))
    finally:
        await connection.execute(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')
        await connection.close()


def free_ports(count: int) -> int:
    """The first of so many ports in a row that nobody listens on."""
    for first in range(20_000 + os.getpid() % 5_000, 60_000, count + 3):
        if all(_is_free(port) for port in range(first, first + count)):
            return first
    raise AssertionError("there are no free ports")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) != 0 and _binds(port)


def _binds(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True
