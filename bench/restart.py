"""A restart of everything: all instances are killed together, and begin again with the sessions that were theirs."""

import asyncio
import time

import aiohttp

from bench.fleet import Fleet
from bench.load import Load
from bench.report import Report, Spread

WAITED_P99_S = 2.0
LOOK_EVERY_S = 0.02
UP_WITHIN_S = 30.0
SETTLE_S = 1.0


async def run(fleet: Fleet, *, repeats: int, rate: float = 50.0) -> Report:
    """Sends arrive throughout; besides, every account sends in the moment when all instances die."""
    report = Report(f"All instances restart: {repeats} times under load, {len(fleet.residents)} accounts")
    away: list[float] = []
    waited: list[float] = []
    async with Load(fleet, rate):
        for _ in range(repeats):
            await _restart(fleet, away, waited)
            await asyncio.sleep(SETTLE_S)
    fleet.judge(report)
    report.add("a session is away, from the kill to its login", "", Spread(away))
    spread = Spread(waited)
    report.add("from its login to its first message", "p99 ≤ 2 s", spread, spread.at(0.99) <= WAITED_P99_S)
    return report


async def _restart(fleet: Fleet, away: list[float], waited: list[float]) -> None:
    for url in fleet.demo.instances:
        fleet.kill_instance(url)
    killed_s = time.monotonic()
    sends = [asyncio.create_task(fleet.send(each, gateway=n)) for n, each in enumerate(fleet.residents)]
    began = asyncio.gather(*(fleet.demo.start_instance_again(url) for url in list(fleet.demo.instances)))
    up = await _ups(fleet)
    await asyncio.gather(began, *sends)
    for session, up_s in up.items():
        away.append(up_s - killed_s)
        waited.append(max(0.0, _first_answered_s(fleet, session, killed_s) - up_s))


async def _ups(fleet: Fleet) -> dict[str, float]:
    """When each session was first seen connected."""
    seen: dict[str, float] = {}
    until_s = time.monotonic() + UP_WITHIN_S
    while len(seen) < len(fleet.residents):
        assert time.monotonic() < until_s, "some sessions did not come back"
        for sessions in await asyncio.gather(*(_connected(fleet, url) for url in fleet.demo.instances)):
            for session in sessions:
                seen.setdefault(session, time.monotonic())
        await asyncio.sleep(LOOK_EVERY_S)
    return seen


async def _connected(fleet: Fleet, url: str) -> set[str]:
    try:
        return await fleet.demo.operator.sessions(url)
    except (aiohttp.ClientError, OSError):
        return set()


def _first_answered_s(fleet: Fleet, session: str, since_s: float) -> float:
    return min(
        each.at_s
        for each in fleet.answered
        if each.session_id == session and each.status == 200 and each.at_s > since_s
    )
