"""A mass loss: an instance with very many sessions dies, they are up elsewhere, and all of them send at once."""

import asyncio

from bench.fleet import Fleet
from bench.report import Report

LISTS_MAX = 10


async def run(fleet: Fleet) -> Report:
    """All sessions of the fleet are brought onto its first instance, then lost at once."""
    urls = list(fleet.demo.instances)
    victim, heirs = urls[0], urls[1:]
    everyone = fleet.residents
    for part in (everyone[start : start + 50] for start in range(0, len(everyone), 50)):
        await fleet.start_elsewhere([each for each in part if each.instance_url != victim], victim)
    await fleet.call("POST", "/api/v1/sync", {"force": True})
    report = Report(f"A mass loss ({len(everyone):,} sessions of one instance, as many sends at once)")
    for number, heir in enumerate(heirs):
        part = everyone[number :: len(heirs)]
        for slice_ in (part[start : start + 50] for start in range(0, len(part), 50)):
            await fleet.start_elsewhere(slice_, heir)
    lists_before = {url: await _lists(fleet, url) for url in urls}
    fleet.kill_instance(victim)
    answers = await asyncio.gather(*(fleet.send(each, gateway=n) for n, each in enumerate(everyone)))
    lists = {url: await _lists(fleet, url) - lists_before[url] for url in urls}
    failed = [each for each in answers if each.status != 200]
    lost, doubled = fleet.lost_and_doubled()
    most = max(lists.values())
    limit = LISTS_MAX * len(fleet.gateways)
    report.add("requests that failed", "0", f"{len(failed)} of {len(answers)}", not failed)
    report.add("list calls to each instance", f"≤ {limit}", f"{most:.0f} at most", most <= limit)
    report.add("slowest answer", "≤ 10 s", f"{max(each.took_s for each in answers):.2f} s")
    report.add("lost / doubled, by the ledger", "0 / 0", f"{lost} / {doubled}", not lost and not doubled)
    return report


async def _lists(fleet: Fleet, url: str) -> float:
    return await fleet.figure("homing_instance_calls_total", call="list", instance=url.removeprefix("http://"))
