"""What the gateway adds to a message: through it, and straight to the instance, in turn."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from bench.fleet import Fleet
from bench.report import Report, Spread, shown
from homing.model.sends.faults import Fault

ROUNDS = 8
ADDED_P50_S = 0.005
TICKS = os.sysconf("SC_CLK_TCK")

OneSend = Callable[[int], Awaitable[None]]


@dataclass(slots=True)
class Way:
    """One of the two ways, and how long sends took on it."""

    send: OneSend
    times: list[float] = field(default_factory=list)
    took_s: float = 0.0

    @property
    def rate(self) -> float:
        return len(self.times) / self.took_s

    async def go(self, clients: int, sends: int) -> None:
        numbers = iter(range(sends))
        began_s = time.monotonic()
        await asyncio.gather(*(self._client(numbers) for _ in range(clients)))
        self.took_s += time.monotonic() - began_s

    async def _client(self, numbers: Iterator[int]) -> None:
        for number in numbers:
            began_s = time.monotonic()
            await self.send(number)
            self.times.append(time.monotonic() - began_s)


async def run(fleet: Fleet, *, sends: int) -> Report:
    """`sends` each way, in alternating rounds, so that the machine's moods fall on both."""
    report = Report(f"Relayed against straight: {sends:,} sends each way with 32 clients, {sends // 4:,} with one")
    for clients in (1, 32):
        await _compare(fleet, report, clients, sends if clients > 1 else sends // 4)
    fleet.judge(report)
    return report


async def _compare(fleet: Fleet, report: Report, clients: int, sends: int) -> None:
    relayed, straight = Way(lambda number: _through(fleet, number)), Way(lambda number: _straight(fleet, number))
    for way in (relayed, straight):  # connections are made, routes are read
        await way.go(clients, 100)
    relayed, straight = Way(relayed.send), Way(straight.send)
    cpu_s = 0.0
    for _ in range(ROUNDS):
        before_s = _cpu_s(fleet)
        await relayed.go(clients, sends // ROUNDS)
        cpu_s += _cpu_s(fleet) - before_s
        await straight.go(clients, sends // ROUNDS)
    _tell(report, "1 client" if clients == 1 else f"{clients} clients", relayed, straight, cpu_s)


def _tell(report: Report, who: str, relayed: Way, straight: Way, cpu_s: float) -> None:
    through, direct = Spread(relayed.times), Spread(straight.times)
    added_s = through.at(0.5) - direct.at(0.5)
    alone = who == "1 client"
    report.add(f"{who}: through the gateway", "", through)
    report.add(f"{who}: straight to the instance", "", direct)
    report.add(f"{who}: added at p50", "≤ 5 ms" if alone else "", shown(added_s), not alone or added_s <= ADDED_P50_S)
    ratio = relayed.rate / straight.rate
    report.add(f"{who}: sends/s", "", f"{relayed.rate:,.0f}, straight {straight.rate:,.0f}: ratio {ratio:.2f}")
    share = cpu_s / len(relayed.times) * 1_000
    report.add(f"{who}: gateways' share of one core for 1,000 sends/s", "", f"{share:.0%}")


async def _through(fleet: Fleet, number: int) -> None:
    answered = await fleet.send(fleet.residents[number % len(fleet.residents)], gateway=number, contact=number)
    assert answered.status == 200, answered


async def _straight(fleet: Fleet, number: int) -> None:
    resident = fleet.residents[number % len(fleet.residents)]
    contacts = fleet.demo.population.contacts
    body = {
        "session_id": resident.session_id,
        "workspace_id": resident.workspace_id,
        "recipient_phone": contacts[number % len(contacts)].phone,
        "message": fleet.text("straight"),
        "type": "text",
        "api_key": fleet.demo.secrets.instance_api_key,
    }
    headers = {"Content-Type": "application/json"}
    raw = json.dumps(body).encode()
    reply = await fleet.wire.call(
        "POST", resident.instance_url, "/api/messages/send", body=raw, headers=headers, timeout_s=30
    )
    assert not isinstance(reply, Fault), reply
    assert json.loads(reply.body)["success"], reply


def _cpu_s(fleet: Fleet) -> float:
    """Processor time of all gateways so far."""
    ticks = 0
    for child in fleet.demo.gateways.values():
        fields = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / TICKS
