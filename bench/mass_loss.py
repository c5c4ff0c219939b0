"""A mass loss: an instance with very many sessions dies, they are up elsewhere, and all of them send at once."""

import asyncio

from bench.fleet import Fleet
from bench.report import Report, Spread

LISTS_MAX = 10
SLOWEST_S = 10.0


async def run(fleet: Fleet) -> Report:
    """All sessions of the fleet are brought onto its first instance, then lost at once."""
    everyone = fleet.residents
    report = Report(f"A mass loss: {len(everyone):,} sessions of one instance, as many sends at once")
    victim = await _gather_on_one(fleet)
    await _start_on_the_others(fleet, victim)
    urls = list(fleet.demo.instances)
    before = {url: await _lists(fleet, url) for url in urls}
    fleet.kill_instance(victim)
    answers = await asyncio.gather(*(fleet.send(each, gateway=n) for n, each in enumerate(everyone)))
    lists = [await _lists(fleet, url) - before[url] for url in urls]
    fleet.judge(report)
    limit = LISTS_MAX * len(fleet.gateways)
    claimed = f"≤ {LISTS_MAX} by each gateway"
    report.add("lists read of each instance", claimed, f"{max(lists):.0f} at most", max(lists) <= limit)
    spread = Spread([each.took_s for each in answers])
    report.add("time of a send", "max ≤ 10 s", spread, spread.at(1.0) <= SLOWEST_S)
    return report


async def _gather_on_one(fleet: Fleet) -> str:
    """Start all sessions on the first instance, and let the gateways know. Every route is cached afterwards."""
    victim = next(iter(fleet.demo.instances))
    await fleet.start_elsewhere([each for each in fleet.residents if each.instance_url != victim], victim)
    _, report = await fleet.call("POST", "/api/v1/sync", {"force": True})
    assert not report["failed"] + report["unreachable"], report
    for gateway in range(len(fleet.gateways)):
        for start in range(0, len(fleet.residents), 50):
            part = fleet.residents[start : start + 50]
            await asyncio.gather(*(fleet.send(each, gateway=gateway) for each in part))
    return victim


async def _start_on_the_others(fleet: Fleet, victim: str) -> None:
    others = [url for url in fleet.demo.instances if url != victim]
    for number, url in enumerate(others):
        await fleet.start_elsewhere(fleet.residents[number :: len(others)], url)


async def _lists(fleet: Fleet, url: str) -> float:
    return await fleet.figure("homing_instance_calls_total", call="list", instance=url.removeprefix("http://"))
