"""Sends through the driver of each family, beside those through `webjs`: one gateway, and a peer of each family.

The peers answer with written bytes, one as cheap as the other. What is claimed is judged by the gateway's own processor
time: how many sends a second of it makes is true on a machine that others use, too.
"""

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

from bench.canned_peers import ANSWERS, FAMILIES, KEY, phone_of, session_name
from bench.fleet import SEND, free_ports
from bench.model_fleet import REPOSITORY, listening, settings_for
from bench.report import Report
from homing.compose import open_stores
from homing.demo import processes
from homing.drivers import drivers_over
from homing.drivers.http.wire import Reply, Wire, WireLimits
from homing.model.directory.access import Scope
from homing.model.fleet import (
    AccountUuid,
    Epoch,
    InstanceUrl,
    MoveKind,
    Rebinding,
    SessionId,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.model.sends.faults import Fault
from homing.model.sends.sending import Receipt
from homing.ports import NewAccount, OutgoingText
from homing.serve.callers.keyring import new_key
from homing.world import SystemClock, SystemEntropy

NOT_SLOWER = 0.8
CLIENTS = 32
SESSIONS = 64
ROUND_S = 1.5
"""Long enough for the processor to be at home in one family's code, as it is in a fleet of that family."""
TICKS = os.sysconf("SC_CLK_TCK")
BASE = "webjs"
ONE = WorkspaceId(1)


class Round(NamedTuple):
    """So many sends, and what they took of the clock and of the gateway's processor."""

    sends: int
    wall_s: float
    processor_s: float

    @property
    def cost_s(self) -> float:
        """The gateway's processor time for one send."""
        return self.processor_s / max(1, self.sends)


@dataclass(slots=True)
class Ways:
    """The gateway, and the accounts of each family."""

    gateway: str
    token: str
    wire: Wire
    pid: int = 0
    accounts: dict[str, list[str]] = field(default_factory=dict)
    failed: list[str] = field(default_factory=list)

    async def round(self, family: str, for_s: float) -> "Round":
        """Sends by so many clients, each of whom waits for its answer."""
        began_s, before_s = time.monotonic(), self._processor_s()
        ends_s = began_s + for_s
        counts = await asyncio.gather(*(self._client(family, number, ends_s) for number in range(CLIENTS)))
        return Round(sum(counts), time.monotonic() - began_s, self._processor_s() - before_s)

    def _processor_s(self) -> float:
        """Of all threads of the gateway so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / TICKS

    async def _client(self, family: str, number: int, ends_s: float) -> int:
        uuids = self.accounts[family]
        sent = 0
        while time.monotonic() < ends_s:
            await self._send(family, uuids[(number + sent * CLIENTS) % len(uuids)])
            sent += 1
        return sent

    async def _send(self, family: str, uuid: str) -> None:
        body = {"workspace_id": 1, "account_uuid": uuid, "phone": "+62811801641", "message": "hello"}
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        raw = json.dumps(body).encode()
        reply = await self.wire.call("POST", self.gateway, SEND, body=raw, headers=headers, timeout_s=30)
        if isinstance(reply, Fault) or reply.status != 200:
            self.failed.append(f"{family}: {reply if isinstance(reply, Fault) else reply.body[:200]!r}")


class AtHand:
    """A wire that has the family's answer at once: what is left is the driver's own work."""

    def __init__(self, family: str) -> None:
        told = ANSWERS[family]
        self._sends = told["sends"].split()[-1]
        self._sent = Reply(int(told["status"][:3]), {}, json.dumps(told["body"]).encode())
        self._first = Reply(200, {}, json.dumps(told.get("first")).encode())

    async def call(self, *asked: Any, **_: Any) -> Reply:
        """Asked for by method, base URL and path."""
        return self._sent if self._sends in asked[2] else self._first


async def own_work_us(family: str) -> float:
    """The processor time that a driver takes for one send, wire and gateway apart: the best of some rounds."""
    driver = drivers_over(AtHand(family), default_api_key=KEY).of(family)
    session = SessionId(session_name(family, 0))
    message = OutgoingText(session, ONE, "62811801641", "hello", "3EB0AAAABBBBCCCCDDDD", Epoch(1))
    found = []
    for _ in range(5):
        began_s = time.process_time()
        for _ in range(5_000):
            receipt = await driver.send(InstanceUrl("http://localhost:3000"), message, timeout_s=30)
            assert isinstance(receipt, Receipt), receipt
        found.append((time.process_time() - began_s) / 5_000 * 1e6)
    return min(found)


async def run(url: str, *, rounds: int) -> Report:
    """Each family's rounds against those of webjs right before and after them: what a second of a processor is worth
    changes within minutes where others use the machine, too.

    The turn is drawn anew each time: what the gateway does every few seconds would else fall on the same family always.
    """
    chance = Random(1)
    others = [family for family in FAMILIES if family != BASE]
    report = Report(f"Sends through the driver of each family: {CLIENTS} clients, {rounds} rounds in turn")
    made: dict[str, list[Round]] = {family: [] for family in FAMILIES}
    ratios: dict[str, list[float]] = {BASE: [1.0], **{family: [] for family in others}}
    async with _opened(url) as ways:
        for family in FAMILIES:
            await ways.round(family, ROUND_S / 2)  # connections are made, routes are read
        for _ in range(rounds):
            made[BASE].append(await ways.round(BASE, ROUND_S))
            for family in chance.sample(others, len(others)):
                made[family].append(await ways.round(family, ROUND_S))
                made[BASE].append(await ways.round(BASE, ROUND_S))
                beside = statistics.mean(each.cost_s for each in made[BASE][-2:])
                ratios[family].append(beside / made[family][-1].cost_s)
    report.add("sends that failed", "0", f"{len(ways.failed)} {ways.failed[:1] or ''}".strip(), not ways.failed)
    for family, seen in made.items():
        cost_s, ratio = statistics.median(each.cost_s for each in seen), statistics.median(ratios[family])
        per_s = statistics.median(each.sends / each.wall_s for each in seen)
        own_us = await own_work_us(family)
        measured = f"{ratio:.2f}×, {cost_s * 1e6:,.0f} µs of its processor for one, {own_us:.0f} of them the driver's"
        claimed = "" if family == BASE else f"≥ {NOT_SLOWER}×"
        report.add(family, claimed, measured, ratio >= NOT_SLOWER)
        report.rows[-1].figures.update(cost_us=cost_s * 1e6, own_us=own_us, ratio=ratio, per_s=per_s)
    return report


@asynccontextmanager
async def _opened(url: str) -> AsyncIterator[Ways]:
    first = free_ports(len(FAMILIES) + 1)
    gateway = f"http://localhost:{first + len(FAMILIES)}"
    wire = Wire(WireLimits(connections=1_000, waiting=10_000, connect_timeout_s=30))
    children: list[processes.Child] = []
    with tempfile.TemporaryDirectory(prefix="homing-bench-") as name:
        folder = Path(name)
        try:
            children.append(_models(first, folder))
            await listening(children[0])
            ways = Ways(gateway, await _populated(url, first), wire)
            ways.accounts = {family: [_uuid(family, n) for n in range(SESSIONS)] for family in FAMILIES}
            children.append(_gateway(url, gateway, folder))
            ways.pid = children[-1].pid
            await _ready(wire, gateway)
            yield ways
        finally:
            await processes.end(children)
            await wire.close()


def _models(first_port: int, folder: Path) -> processes.Child:
    settings = {"PYTHONPATH": f"{REPOSITORY}:{REPOSITORY}/src"}
    options = [str(first_port), str(SESSIONS)]
    return processes.start("Models", "bench.canned_peers", options, folder=folder, logs=folder, settings=settings)


def _gateway(url: str, address: str, folder: Path) -> processes.Child:
    settings = {
        "HOMING_PORT": address.rpartition(":")[2],
        "HOMING_DATABASE_URL": url,
        "HOMING_LOG_LEVEL": "error",
        "HOMING_SYNC_SCHEDULE": "",
        "HOMING_POLL_SHARE": "0",
        "HOMING_CONNECTIONS_PER_ADDRESS": "0",
        "WHATSAPP_API_KEY": KEY,
    }
    return processes.start("Gateway", "homing.cli", ["serve"], folder=folder, logs=folder, settings=settings)


def _uuid(family: str, number: int) -> str:
    return f"{family}-{number}"


async def _populated(url: str, first_port: int) -> str:
    """Every session placed where its model has it; the token of a key that may send."""
    key, token = new_key(SystemEntropy(), SystemClock(), workspace=None, scope=Scope.SEND, name="bench")
    async with open_stores(settings_for(url)) as stores:
        directory = stores.directory
        await directory.add_key(key)
        changes = []
        for place, family in enumerate(FAMILIES):
            instance = InstanceUrl(f"http://localhost:{first_port + place}")
            await directory.create_instance(instance, driver=family)
            for number in range(SESSIONS):
                name = session_name(family, number)
                session = SessionId(name if family in ("baileys-api", BASE) else f"{family}/{name}")
                account = await directory.create_account(
                    NewAccount(
                        AccountUuid(_uuid(family, number)),
                        ONE,
                        session,
                        f"+{phone_of(place, number)}",
                        "",
                        Takeover.MANUAL,
                        native_id=name,
                    )
                )
                why = "it began here"
                changes.append(Rebinding(account.placement, instance, Epoch(1), MoveKind.PLACEMENT, why))
        await directory.rebind(changes)
        for change in changes:
            await directory.set_status(change.session_id, SessionStatus.CONNECTED)
    return token


async def _ready(wire: Wire, gateway: str) -> None:
    for _ in range(2_400):
        reply = await wire.call("GET", gateway, "/ready", timeout_s=2)
        if not isinstance(reply, Fault) and reply.status == 200:
            return
        await asyncio.sleep(0.05)
    raise AssertionError("the gateway was not ready within two minutes")
