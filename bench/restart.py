"""A restart of everything: all instances are killed together, and begin again with the sessions that were theirs."""

import asyncio
import time

from bench.fleet import Fleet, percentile
from bench.report import Report, milliseconds


async def run(fleet: Fleet, *, repeats: int) -> Report:
    """In each repeat every account sends while all instances are down."""
    report = Report(f"Restart of all instances ({repeats} times, {len(fleet.residents)} accounts)")
    taken: list[float] = []
    for _ in range(repeats):
        for url in fleet.demo.instances:
            fleet.kill_instance(url)
        began_s = time.monotonic()
        sends = [asyncio.create_task(fleet.send(each, gateway=n)) for n, each in enumerate(fleet.residents)]
        await asyncio.gather(*(fleet.demo.start_instance_again(url) for url in list(fleet.demo.instances)))
        up_s = time.monotonic() - began_s
        answers = await asyncio.gather(*sends)
        taken += [max(0.0, each.took_s - up_s) for each in answers]
    failed = [each for each in fleet.answered if each.status != 200]
    lost, doubled = fleet.lost_and_doubled()
    report.add("requests that failed", "0", f"{len(failed)} of {len(fleet.answered)}", not failed)
    report.add("lost / doubled, by the ledger", "0 / 0", f"{lost} / {doubled}", not lost and not doubled)
    shown = f"p50 {milliseconds(percentile(taken, 0.5))}, p99 {milliseconds(percentile(taken, 0.99))}"
    report.add(
        f"answered after the instances were up (n={len(taken)})", "p99 ≤ 5 s", shown, percentile(taken, 0.99) <= 5
    )
    return report
