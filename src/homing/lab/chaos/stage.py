"""A demo fleet on which faults are played: its processes, the ways between them, and what stands under it."""

import asyncio
import json
import sqlite3
import subprocess
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any

from homing.demo.opening import Demo
from homing.demo.plan import RealEngine, Unworkable
from homing.demo.population import DemoAccount
from homing.drivers.http.wire import Reply, Wire
from homing.lab.chaos.client import Client
from homing.lab.chaos.ground.conditions import WayConditions
from homing.lab.chaos.ground.equipment import Equipment, Equipped
from homing.lab.chaos.ground.gateway import DIE_AT
from homing.lab.chaos.ground.proxy import Way
from homing.lab.chaos.ground.servers import GroundServer, Postgres
from homing.lab.chaos.judge import Judge
from homing.model.sends.faults import Fault

SQLITE = "sqlite"
OWN_POSTGRES = "postgres"
LISTS_WITHIN_S = 3.0
LAB_AGENT = "homing-lab"
ANSWERS_WITHIN_S = 20.0


@dataclass(frozen=True, slots=True)
class StageOrder:
    """The fleet to be. `database`: `sqlite`, `postgres` (a server of this run's own), or an empty database's URL."""

    database: str = SQLITE
    gateways: int = 1
    instances: int = 4
    accounts: int = 100
    contacts: int = 50
    folder: Path | None = None
    reports: bool = True
    redis: bool = False
    equipment: Equipment = Equipment.NONE
    settings: Mapping[str, str] = field(default_factory=dict)
    engine: RealEngine | None = None
    """What instances speak WhatsApp with; None: the simulated engine."""

    @property
    def on_postgres(self) -> bool:
        return self.database != SQLITE


@dataclass(frozen=True, slots=True)
class Ways:
    """All ways of one process to its database: one to each server and address of it."""

    each: Sequence[Way]

    def become(self, conditions: WayConditions) -> None:
        for way in self.each:
            way.become(conditions)


@dataclass(frozen=True, slots=True)
class Row:
    """A session as its instance lists it."""

    session_id: str
    status: str
    epoch: int


@dataclass(slots=True)
class Stage:
    """The fleet, up. Instances are by their address; `listens` is where each really does.

    `addresses`: where a name may lead, by address the ways from there.
    """

    wanted: StageOrder
    demo: Demo
    client: Client
    judge: Judge
    chance: Random
    ways: dict[str, Way]
    listens: dict[str, str]
    gateway_stores: list[Ways]
    instance_stores: dict[str, Ways]
    equipped: Equipped = field(default_factory=Equipped)
    addresses: Mapping[str, Mapping[str, Sequence[Way]]] = field(default_factory=dict)
    postgres: Postgres | None = None
    redis: GroundServer | None = None
    lock: sqlite3.Connection | None = None
    wire: Wire = field(default_factory=lambda: Wire(agent=LAB_AGENT))
    """Past every way. It is no gateway: who looks on is no reason for an instance to be taken for reachable."""

    @property
    def order(self) -> Path:
        """The file that names the milestone at which a gateway is to die."""
        return self.demo.folder.path / DIE_AT

    @property
    def residents(self) -> list[DemoAccount]:
        return self.demo.population.residents

    @property
    def instances(self) -> list[str]:
        return list(self.demo.instances)

    @property
    def gateways(self) -> list[str]:
        return list(self.demo.gateways)

    def name_of(self, url: str) -> str:
        """What the process of a gateway or an instance is called."""
        if url in self.demo.gateways:
            return self.demo.plan.gateway_name(self.gateways.index(url) + 1)
        return self.demo.plan.instance_name(self.instances.index(url) + 1)

    def process_of(self, url: str) -> "subprocess.Popen[bytes]":
        return (self.demo.gateways.get(url) or self.demo.instances[url]).process

    async def api(self, path: str, *, method: str = "GET", body: Any = None) -> dict[str, Any]:
        """A resource under /api/v1, from whichever gateway answers before long. Raises Unworkable."""
        until_s, said = time.monotonic() + ANSWERS_WITHIN_S, ""
        while True:
            for number in range(len(self.gateways)):
                answer = await self.client.ask(method, f"/api/v1{path}", body, gateway=number)
                if 200 <= answer.status < 300:
                    return answer.document
                said = str(answer)
            if time.monotonic() > until_s:
                raise Unworkable(f"No gateway answered {method} {path}: {said}")
            await asyncio.sleep(0.2)

    async def ready(self, url: str, within_s: float = 60.0) -> None:
        """Until the gateway can do its work. Raises Unworkable."""
        for _ in range(int(within_s / 0.05)):
            reply = await self.wire.call("GET", url, "/ready", timeout_s=2)
            if not isinstance(reply, Fault) and reply.status == 200:
                return
            await asyncio.sleep(0.05)
        raise Unworkable(f"The gateway {url} was not ready within {within_s:.0f} s")

    async def listed(self, url: str) -> dict[str, Row] | None:
        """What an instance has, asked past everything that stands before it; None if it does not answer."""
        path = f"/api/sessions?api_key={self.demo.secrets.instance_api_key}"
        reply = await self.wire.call("GET", self.listens[url], path, timeout_s=LISTS_WITHIN_S)
        if isinstance(reply, Fault) or reply.status != 200:
            return None
        rows = json.loads(reply.body)["sessions"]
        found = [Row(row["session_id"], row["status"], int(row.get("epoch") or 0)) for row in rows]
        return {row.session_id: row for row in found}

    async def knock(self, url: str, session: str, epoch: int, text: str, timeout_s: float) -> int:
        """A send straight to an instance, under an epoch; the status that it answered, 0 if it did not."""
        body = {
            "session_id": session,
            "workspace_id": 1,
            "recipient_phone": self.demo.population.contacts[0].phone,
            "message": text,
        }
        reply = await self.tell(url, "/api/messages/send", body, epoch=epoch, timeout_s=timeout_s)
        return 0 if isinstance(reply, Fault) else reply.status

    async def tell(
        self, url: str, path: str, body: Mapping[str, Any], *, epoch: int | None = None, timeout_s: float = 5.0
    ) -> Reply | Fault:
        """A request to an instance, past everything that stands before it."""
        headers = {"Content-Type": "application/json"}
        if epoch is not None:
            headers["X-Homing-Epoch"] = str(epoch)
        raw = json.dumps({"api_key": self.demo.secrets.instance_api_key, **body}).encode()
        return await self.wire.call("POST", self.listens[url], path, body=raw, headers=headers, timeout_s=timeout_s)

    async def close(self) -> None:
        if self.lock is not None:
            self.lock.close()
        await self.wire.close()
        await self.client.close()
