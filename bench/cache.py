"""What the route cache saves: directory reads for a hundred sends at once, and for very many over many accounts."""

import asyncio
import time
from collections.abc import Iterator

from bench.fleet import Fleet, percentile
from bench.report import Report, milliseconds

AT_ONCE = 32


async def run(fleet: Fleet, *, sends: int) -> Report:
    """`sends` messages over all accounts and contacts of the fleet."""
    accounts, contacts = len(fleet.residents), len(fleet.demo.population.contacts)
    report = Report(f"The route cache ({sends:,} sends over {accounts} accounts and {contacts:,} contacts)")
    await _cold(fleet, report)
    await fleet.call("POST", "/api/v1/cache/clear")
    reads, hits, misses = await _figures(fleet)
    done_before = len(fleet.answered)
    began_s = time.monotonic()
    numbers = iter(range(sends))
    await asyncio.gather(*(_sender(fleet, numbers) for _ in range(AT_ONCE)))
    took_s = time.monotonic() - began_s
    after = await _figures(fleet)
    answered = fleet.answered[done_before:]
    _conclude(report, (after[0] - reads, after[1] - hits, after[2] - misses), sends)
    failed = sum(1 for each in answered if each.status != 200)
    lost, doubled = fleet.lost_and_doubled()
    report.add("requests that failed", "0", f"{failed} of {sends}", not failed)
    report.add("lost / doubled, by the ledger", "0 / 0", f"{lost} / {doubled}", not lost and not doubled)
    times = [each.took_s for each in answered]
    p50, p99 = percentile(times, 0.5), percentile(times, 0.99)
    shown = f"{sends / took_s:,.0f}/s, p50 {milliseconds(p50)}, p99 {milliseconds(p99)}"
    report.add(f"throughput, {AT_ONCE} clients, all processes on this machine", "", shown)
    return report


async def _cold(fleet: Fleet, report: Report) -> None:
    await fleet.call("POST", "/api/v1/cache/clear")
    before, _, _ = await _figures(fleet)
    answers = await asyncio.gather(*(fleet.send(fleet.residents[0]) for _ in range(100)))
    after, _, _ = await _figures(fleet)
    sent = sum(1 for each in answers if each.status == 200)
    report.add(
        "100 sends at once, cold: directory reads", "1", f"{after - before:.0f}", after - before == 1 and sent == 100
    )


async def _sender(fleet: Fleet, numbers: Iterator[int]) -> None:
    for number in numbers:
        await fleet.send(fleet.residents[number % len(fleet.residents)], gateway=0, contact=number)


async def _figures(fleet: Fleet) -> tuple[float, float, float]:
    return (
        await fleet.figure("homing_directory_reads_total"),
        await fleet.figure("homing_route_cache_hits_total"),
        await fleet.figure("homing_route_cache_misses_total"),
    )


def _conclude(report: Report, figures: tuple[float, float, float], sends: int) -> None:
    reads, hits, misses = figures
    rate = hits / (hits + misses)
    enough = sends >= 50_000
    claimed = "≤ 0.003" if enough else "few"
    report.add(
        "directory reads per message", claimed, f"{reads / sends:.5f}", reads / sends <= (0.003 if enough else 0.05)
    )
    report.add("hit rate", "> 99 %" if enough else "> 95 %", f"{rate:.3%}", rate > (0.99 if enough else 0.95))
