"""What the gateway adds to a message: through it, and straight to the instance, in turn."""

import asyncio
import json
import os
import time
from collections.abc import Awaitable, Callable, Iterator

from bench.fleet import Fleet, percentile
from bench.report import Report, milliseconds
from homing.model.faults import Fault

ROUNDS = 4
TICKS = os.sysconf("SC_CLK_TCK")


async def run(fleet: Fleet, *, sends: int) -> Report:
    """`sends` each way, in alternating rounds, so that the machine's moods fall on both."""
    report = Report(f"Relayed against straight ({sends:,} sends each way)")
    for clients in (1, 32):
        many = sends // 5 if clients == 1 else sends
        await _compare(fleet, report, clients, many)
    return report


async def _compare(fleet: Fleet, report: Report, clients: int, sends: int) -> None:
    relayed: list[float] = []
    straight: list[float] = []
    relayed_s = straight_s = cpu_s = 0.0
    for _ in range(ROUNDS):
        cpu_before_s = _cpu_s(fleet)
        relayed_s += await _timed(lambda n: _through(fleet, n), clients, sends // ROUNDS, relayed)
        cpu_s += _cpu_s(fleet) - cpu_before_s
        straight_s += await _timed(lambda n: _straight(fleet, n), clients, sends // ROUNDS, straight)
    rate, straight_rate = len(relayed) / relayed_s, len(straight) / straight_s
    added_s = percentile(relayed, 0.5) - percentile(straight, 0.5)
    who = f"{clients} client" + ("s" if clients > 1 else "")
    report.add(
        f"{who}: sends/s", "", f"{rate:,.0f} relayed, {straight_rate:,.0f} straight ({rate / straight_rate:.2f}×)"
    )
    report.add(
        f"{who}: added at p50", "≤ 5 ms" if clients == 1 else "", milliseconds(added_s), clients > 1 or added_s <= 0.005
    )
    report.add(f"{who}: gateways' processor time", "", f"{cpu_s / len(relayed) * 1e6:.0f} µs a send")


async def _timed(send: Callable[[int], Awaitable[None]], clients: int, sends: int, times: list[float]) -> float:
    numbers = iter(range(sends))
    began_s = time.monotonic()
    await asyncio.gather(*(_client(send, numbers, times) for _ in range(clients)))
    return time.monotonic() - began_s


async def _client(send: Callable[[int], Awaitable[None]], numbers: Iterator[int], times: list[float]) -> None:
    for number in numbers:
        began_s = time.monotonic()
        await send(number)
        times.append(time.monotonic() - began_s)


async def _through(fleet: Fleet, number: int) -> None:
    answered = await fleet.send(fleet.residents[number % len(fleet.residents)], gateway=number, contact=number)
    assert answered.status == 200, answered


async def _straight(fleet: Fleet, number: int) -> None:
    resident = fleet.residents[number % len(fleet.residents)]
    body = {
        "session_id": resident.session_id,
        "workspace_id": resident.workspace_id,
        "recipient_phone": fleet.demo.population.contacts[number % len(fleet.demo.population.contacts)].phone,
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
    assert reply.status == 200, reply


def _cpu_s(fleet: Fleet) -> float:
    """Processor time of all gateways so far."""
    total = 0
    for child in fleet.demo.gateways.values():
        with open(f"/proc/{child.pid}/stat") as stat:  # noqa: PTH123 - not a file
            fields = stat.read().rpartition(")")[2].split()
        total += int(fields[11]) + int(fields[12])
    return total / TICKS
