"""What a session that hangs costs its neighbours, and what is still done when five times too much is asked."""

import asyncio
import time
from collections.abc import Sequence
from statistics import median

from bench.report import Report, Spread
from bench.sending_fleet import Answer, SendingFleet, open_sending_fleet

HANGING = 0
HANGS_PER_S = 3.0
NEIGHBOURS_PER_S = 120.0
HANGS_FOR_S = 25.0
MEASURED_S = 8.0
RATIO, ADDED_S = 1.2, 0.005

WAITING = 2_100

PEAK_PER_S = 400.0
TIMES = 5
MODEST_PER_S = 5.0
DEADLINE_S = 10.0
GOODPUT = 0.9
WORKSPACES = 5


async def run_hanging(url: str, *, rounds: int) -> Report:
    """Rounds in pairs: the neighbours alone, and beside a session that takes every message and answers none."""
    report = Report(
        f"One of an instance's ten sessions hangs, at {HANGS_PER_S:g} messages/s: the others, {rounds} pairs of rounds"
    )
    ratios, added = [], []
    quiet_times: list[float] = []
    hung_times: list[float] = []
    async with open_sending_fleet(url, instances=1, sessions=10, workspaces=1, sends_per_s=1_000) as fleet:
        for _ in range(rounds):
            quiet = await _neighbours(fleet)
            hung = await _beside_a_hanging_one(fleet)
            ratios.append(hung.at(0.99) / quiet.at(0.99))
            added.append(hung.at(0.99) - quiet.at(0.99))
            quiet_times += quiet.times
            hung_times += hung.times
        failed = [each for each in fleet.answers if each.session != HANGING and each.status != 200]
    report.add("neighbours alone", "", Spread(quiet_times))
    report.add("beside it", "", Spread(hung_times))
    kept = median(ratios) <= RATIO or median(added) <= ADDED_S
    report.add(
        "their p99, median of the pairs",
        f"≤ {RATIO:g}×, or ≤ {ADDED_S * 1000:g} ms more",
        f"{median(ratios):.2f}×, {median(added) * 1000:+.1f} ms",
        kept,
    )
    report.add("their requests that failed", "0", str(len(failed)), not failed)
    return report


async def _neighbours(fleet: SendingFleet) -> Spread:
    before = len(fleet.answers)
    await fleet.offer(NEIGHBOURS_PER_S, MEASURED_S, lambda number: 1 + number % 9)
    await asyncio.sleep(0.5)
    return Spread([each.took_s for each in fleet.answers[before:] if each.session != HANGING])


async def _beside_a_hanging_one(fleet: SendingFleet) -> Spread:
    await fleet.ail(hanging=[HANGING])
    hanging = asyncio.create_task(fleet.offer(HANGS_PER_S, HANGS_FOR_S + MEASURED_S, lambda _: HANGING))
    await asyncio.sleep(HANGS_FOR_S)
    spread = await _neighbours(fleet)
    await hanging
    await fleet.ail()
    await fleet.answered()
    return spread


async def run_waiting(url: str, *, rounds: int) -> Report:
    """Rounds in pairs: other workspaces alone, and beside very many sends that wait for a session of one."""
    report = Report(
        f"{WAITING:,} sends at once wait for one account that is not up: the other workspaces, {rounds} pairs"
    )
    ratios, added, refused = [], [], 0
    async with open_sending_fleet(url, instances=4, sessions=20, workspaces=4, sends_per_s=4_000) as fleet:
        others = [number for number in range(20) if number % 4]
        before = len(fleet.answers)
        for _ in range(rounds):
            alone = await _others(fleet, others)
            await fleet.ail(starting=[HANGING])
            waiting = [asyncio.create_task(fleet.send(HANGING)) for _ in range(WAITING)]
            await asyncio.sleep(1.0)
            beside = await _others(fleet, others)
            await asyncio.gather(*waiting)
            await fleet.ail()
            ratios.append(beside.at(0.99) / alone.at(0.99))
            added.append(beside.at(0.99) - alone.at(0.99))
        failed = [each for each in fleet.answers[before:] if each.session != HANGING and each.status != 200]
        refused = sum(each.session == HANGING and not each.was_let_in for each in fleet.answers[before:])
    report.add("their requests that failed", "0", str(len(failed)), not failed)
    told = f"{median(ratios):.2f}×, {median(added) * 1000:+.1f} ms"
    report.add("their p99, median of the pairs", "", told)
    report.add("sends of that account refused at once, each time", "", f"{refused / rounds:,.0f}")
    return report


async def _others(fleet: SendingFleet, sessions: Sequence[int]) -> Spread:
    before = len(fleet.answers)
    await fleet.offer(NEIGHBOURS_PER_S, MEASURED_S / 2, lambda number: sessions[number % len(sessions)])
    await asyncio.sleep(0.5)
    return Spread([each.took_s for each in fleet.answers[before:] if each.session != HANGING])


async def run_overload(url: str, *, for_s: float) -> Report:
    """One workspace asks for five times what the instances can send; the others ask for little."""
    report = Report(
        f"{TIMES} times the load that the instances can take, most of it by one of {WORKSPACES} workspaces, open loop"
    )
    sessions = 20 * WORKSPACES
    size = {"instances": 4, "sessions": sessions, "workspaces": WORKSPACES}
    async with open_sending_fleet(url, **size, sends_per_s=PEAK_PER_S) as fleet:
        peak = await _peak(fleet)
        began_s, before = time.monotonic(), len(fleet.answers)
        modest = [number for number in range(sessions) if number % WORKSPACES]
        await asyncio.gather(
            fleet.offer(TIMES * PEAK_PER_S, for_s, lambda number: number * WORKSPACES % sessions),
            fleet.offer(MODEST_PER_S * (WORKSPACES - 1), for_s, lambda number: modest[number * 7 % len(modest)]),
        )
        ended_s = time.monotonic()
        await fleet.answered()
    answers = fleet.answers[before:]
    _tell(report, answers, peak, began_s, ended_s)
    return report


async def _peak(fleet: SendingFleet) -> float:
    """Messages a second with as many clients as keep every instance busy."""
    ends_s = time.monotonic() + 8.0
    before = len(fleet.answers)

    async def client(number: int) -> None:
        while time.monotonic() < ends_s:
            await fleet.send(number)

    began_s = time.monotonic()
    await asyncio.gather(*(client(number) for number in range(fleet.layout.sessions)))
    return (len(fleet.answers) - before) / (time.monotonic() - began_s)


def _tell(report: Report, answers: Sequence[Answer], peak: float, began_s: float, ended_s: float) -> None:
    sent = [each for each in answers if each.status == 200]
    # What was begun before the end and is answered after it would count on neither side: the middle is measured.
    good = sum(began_s + 2.0 <= each.at_s <= ended_s for each in sent) / (ended_s - began_s - 2.0)
    let_in = Spread([each.took_s for each in answers if each.was_let_in])
    others = [each for each in answers if each.session % WORKSPACES]
    refused = [each for each in answers if not each.was_let_in]
    report.add("peak, with a hundred clients that wait for answers", "", f"{peak:.0f}/s")
    report.add("offered", "", f"{len(answers) / (ended_s - began_s):.0f}/s")
    claimed = f"≥ {GOODPUT:.0%} of the peak"
    report.add("sent", claimed, f"{good:.0f}/s, {good / peak:.0%}", good >= GOODPUT * peak)
    report.add("those let in", f"p99 ≤ {DEADLINE_S:g} s", let_in, let_in.at(0.99) <= DEADLINE_S)
    failed = [each for each in others if each.status != 200]
    seen = f"{len(failed)} of {len(others):,}"
    report.add("requests of the other workspaces that failed", "0", seen, not failed)
    report.add("their time to an answer", "", Spread([each.took_s for each in others]))
    seen = ", ".join(sorted({each.code for each in refused}))
    kept = seen in ("", "overloaded")
    report.add("refused at once", "overloaded", f"{len(refused):,}: {seen}", kept)
    report.add("time to be refused", "", Spread([each.took_s for each in refused]))
