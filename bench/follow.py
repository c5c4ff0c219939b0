"""A move made through one gateway is followed by the other at once."""

import asyncio
import time
from collections.abc import Callable
from datetime import UTC, datetime

from bench.fleet import Fleet
from bench.report import Report, Spread
from homing.demo.population import DemoAccount

FOLLOWED_P99_S = 0.1
GIVES_UP_AFTER_S = 5.0


async def run(fleet: Fleet, *, moves: int) -> Report:
    """Each move is made by hand and learnt by a send through the first gateway, while the second has the old route."""
    report = Report(f"Two gateways: {moves} moves learnt by one, followed by the other")
    taken: list[float] = []
    at_once = 0
    for number in range(moves):
        mover = fleet.residents[number % len(fleet.residents)]
        old = await _known_to_both(fleet, mover)
        new = next(url for url in fleet.demo.instances if url != old)
        await fleet.start_elsewhere([mover], new)
        taken.append(await _followed(fleet, mover))
        answer = await fleet.send(mover, gateway=1)
        at_once += (answer.status, answer.attempts, answer.document["instance_url"]) == (200, 1, new)
    fleet.judge(report)
    report.add("then sent by the other at the first attempt", "each", f"{at_once} of {moves}", at_once == moves)
    spread = Spread(taken)
    report.add("from the record to the other's cache", "p99 ≤ 100 ms", spread, spread.at(0.99) <= FOLLOWED_P99_S)
    return report


async def _known_to_both(fleet: Fleet, mover: DemoAccount) -> str:
    answers = [await fleet.send(mover, gateway=gateway) for gateway in (0, 1)]
    return str(answers[-1].document["instance_url"])


async def _followed(fleet: Fleet, mover: DemoAccount) -> float:
    """Send through the first gateway; the time from the move's record until the second has dropped its route."""
    before = await _dropped(fleet)
    sending = asyncio.create_task(fleet.send(mover, gateway=0))
    dropped_at = await _when(fleet, lambda dropped: dropped > before)
    answer = await sending
    assert (answer.status, answer.document["failover"]) == (200, True), answer
    moved = (await fleet.api(f"/moves?account={mover.id}&limit=1"))["data"][0]
    return max(0.0, dropped_at - datetime.fromisoformat(moved["at"]).astimezone(UTC).timestamp())


async def _when(fleet: Fleet, seen: Callable[[int], bool]) -> float:
    """When the second gateway's count of dropped routes was first so, in unix seconds; looking costs it nothing."""
    until_s = time.monotonic() + GIVES_UP_AFTER_S
    while not seen(await _dropped(fleet)):
        assert time.monotonic() < until_s, "the other gateway did not drop its route"
        await asyncio.sleep(0.001)
    return time.time()


async def _dropped(fleet: Fleet) -> int:
    return int((await fleet.api("/cache", gateway=1))["invalidations"])
