"""A session found elsewhere: an operator starts an instance's sessions on another one, then the instance is killed."""

import asyncio
import time
from itertools import count

from bench.fleet import Fleet, percentile
from bench.report import Report, milliseconds


async def run(fleet: Fleet, *, repeats: int, rate: float = 150.0) -> Report:
    """Sends arrive at `rate` a second, through all gateways, half of them with a key, throughout all repeats."""
    report = Report(f"A session is found elsewhere ({repeats} crashes, {len(fleet.residents)} accounts)")
    load = asyncio.create_task(_load(fleet, rate))
    directory_right = moves_say_why = 0
    for repeat in range(repeats):
        victim, heir = _pair(fleet, repeat)
        lost = await _placed(fleet, victim)
        await fleet.start_elsewhere(lost, heir)
        fleet.kill_instance(victim)
        await asyncio.gather(*(fleet.send(each, gateway=number) for number, each in enumerate(lost)))
        directory_right += not await _placed(fleet, victim)
        moves = (await fleet.api("/moves?limit=5"))["data"]
        moves_say_why += "found on" in moves[0]["reason"]
        await fleet.demo.start_instance_again(victim)
    load.cancel()
    await asyncio.gather(load, return_exceptions=True)
    _conclude(report, fleet, repeats, directory_right, moves_say_why)
    return report


def _pair(fleet: Fleet, repeat: int) -> tuple[str, str]:
    urls = list(fleet.demo.instances)
    return urls[repeat % len(urls)], urls[(repeat + 1) % len(urls)]


async def _placed(fleet: Fleet, url: str) -> list:  # type: ignore[type-arg]
    rows = (await fleet.api(f"/accounts?limit=500&instance_url={url}"))["data"]
    placed = {row["uuid"] for row in rows}
    return [resident for resident in fleet.residents if resident.uuid in placed]


async def _load(fleet: Fleet, rate: float) -> None:
    """Open loop: a send begins when its time has come, whether or not the ones before have ended."""
    began_s = time.monotonic()
    async with asyncio.TaskGroup() as group:
        for number in count():
            await asyncio.sleep(max(0.0, began_s + number / rate - time.monotonic()))
            resident = fleet.residents[number * 7 % len(fleet.residents)]
            text = fleet.text()
            key = text if number % 2 else None
            group.create_task(fleet.send(resident, text, gateway=number, key=key, contact=number))


def _conclude(report: Report, fleet: Fleet, repeats: int, directory_right: int, moves_say_why: int) -> None:
    answered = fleet.answered
    failed = [each for each in answered if each.status != 200]
    lucky = [each.took_s for each in answered if each.attempts == 1]
    usual_s = percentile(lucky, 0.5)
    added = [each.took_s - usual_s for each in answered if each.attempts > 1]
    lost, doubled = fleet.lost_and_doubled()
    report.add("requests that failed", "0", f"{len(failed)} of {len(answered)}", not failed)
    p50, p99, most = percentile(added, 0.5), percentile(added, 0.99), max(added, default=0)
    shown = f"p50 {milliseconds(p50)}, p99 {milliseconds(p99)}, max {milliseconds(most)}"
    report.add(f"time added to the unlucky (n={len(added)})", "p99 ≤ 1 s", shown, p99 <= 1 and bool(added))
    report.add("lost / doubled, by the ledger", "0 / 0", f"{lost} / {doubled}", not lost and not doubled)
    report.add("directory corrected", "each time", f"{directory_right} of {repeats}", directory_right == repeats)
    report.add("moves say why", "each time", f"{moves_say_why} of {repeats}", moves_say_why == repeats)
