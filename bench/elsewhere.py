"""A session found elsewhere: an operator starts an instance's sessions on others, then the instance is killed."""

import asyncio

from bench.fleet import Fleet
from bench.load import Load
from bench.report import Report, Spread
from homing.demo.population import DemoAccount

ADDED_P99_S = 1.0
SETTLE_S = 0.5


async def run(fleet: Fleet, *, repeats: int, rate: float = 150.0) -> Report:
    """Sends arrive at `rate` a second, through all gateways, half of them with a key, throughout all repeats."""
    report = Report(f"Sessions are found elsewhere: {repeats} crashes under load, {len(fleet.residents)} accounts")
    right = explained = moved = 0
    async with Load(fleet, rate):
        for repeat in range(repeats):
            victim = list(fleet.demo.instances)[repeat % len(fleet.demo.instances)]
            heirs = await _crash(fleet, victim)
            moved += len(heirs)
            right += await _right(fleet, heirs)
            explained += await _explained(fleet, heirs)
            await fleet.demo.start_instance_again(victim)
            await asyncio.sleep(SETTLE_S)
    _conclude(report, fleet)
    report.add("directory shows the new instance", "each", f"{right:,} of {moved:,}", right == moved)
    report.add("log of moves says why", "each", f"{explained:,} of {moved:,}", explained == moved)
    return report


async def _crash(fleet: Fleet, victim: str) -> dict[str, str]:
    """Start all of one instance's sessions on the others, kill it, and let each say something at once.

    Returns where each account went.
    """
    others = [url for url in fleet.demo.instances if url != victim]
    lost = await _placed(fleet, victim)
    parts = {url: lost[number :: len(others)] for number, url in enumerate(others)}
    await asyncio.gather(*(fleet.start_elsewhere(part, url) for url, part in parts.items()))
    fleet.kill_instance(victim)
    await asyncio.gather(*(fleet.send(each, gateway=number) for number, each in enumerate(lost)))
    return {resident.uuid: url for url, part in parts.items() for resident in part}


async def _placed(fleet: Fleet, url: str) -> list[DemoAccount]:
    rows = (await fleet.api(f"/accounts?limit=500&instance_url={url}"))["data"]
    placed = {row["uuid"] for row in rows}
    return [resident for resident in fleet.residents if resident.uuid in placed]


async def _right(fleet: Fleet, heirs: dict[str, str]) -> int:
    shown = (await fleet.api("/accounts?limit=500"))["data"]
    return sum(row["instance_url"] == heirs.get(row["uuid"]) for row in shown)


async def _explained(fleet: Fleet, heirs: dict[str, str]) -> int:
    """Of how many the newest move names the new instance and a reason."""
    number_of = {resident.uuid: resident.id for resident in fleet.residents}
    found = 0
    for uuid, url in heirs.items():
        newest = (await fleet.api(f"/moves?account={number_of[uuid]}&limit=1"))["data"]
        found += bool(newest) and newest[0]["to_url"] == url and bool(newest[0]["reason"])
    return found


def _conclude(report: Report, fleet: Fleet) -> None:
    sent = [each for each in fleet.answered if each.status == 200]
    lucky = Spread([each.took_s for each in sent if each.attempts == 1])
    unlucky = Spread([each.took_s - lucky.at(0.5) for each in sent if each.attempts > 1])
    fleet.judge(report)
    report.add("a send at the first attempt", "", lucky)
    kept = bool(unlucky.times) and unlucky.at(0.99) <= ADDED_P99_S
    report.add("time added to those that needed more", "p99 ≤ 1 s", unlucky, kept)
