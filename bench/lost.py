"""An instance is lost with all its sessions: killed, or frozen. They are opened again elsewhere, by themselves."""

import asyncio
import os
import signal
import time
from collections import defaultdict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

import aiohttp

from bench.fleet import Answered, Fleet
from bench.load import Load
from bench.report import Report, Spread
from homing.demo.population import Resident
from simulated_whatsapp import ledger

LOOK_EVERY_S = 0.02
BACK_WITHIN_S = 30.0
SETTLE_S = 1.5
WARM_UP_S = 7.0
"""A gateway that has just begun lets live holders renew first, for the time of one lease."""
ANSWER_WITHIN_S = 4.0

Loses = Callable[[Fleet, str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Claims:
    """What is claimed of the time until a lost session can send again, in seconds."""

    p50_s: float | None
    p99_s: float
    max_s: float
    answers_within_s: float | None = None


KILLED = Claims(p50_s=1.5, p99_s=3.0, max_s=6.0, answers_within_s=ANSWER_WITHIN_S)
FROZEN = Claims(p50_s=None, p99_s=9.0, max_s=12.0)


@dataclass(slots=True)
class Seen:
    """What was seen over all repeats."""

    back: list[float] = field(default_factory=list)
    answered: list[Answered] = field(default_factory=list)
    unanswered: int = 0


async def killed(fleet: Fleet, *, repeats: int, rate: float = 100.0) -> Report:
    """kill -9, and the instance is started again, empty, once all is well."""
    report = Report(f"An instance is killed: {repeats} times under load, {len(fleet.residents)} accounts")

    async def kill(fleet: Fleet, url: str) -> None:
        fleet.kill_instance(url)

    async def again(fleet: Fleet, url: str) -> None:
        await fleet.demo.start_instance_again(url)

    await _repeated(fleet, report, kill, again, KILLED, repeats, rate)
    return report


async def frozen(fleet: Fleet, *, repeats: int, rate: float = 50.0) -> Report:
    """SIGSTOP; the instance is woken once its sessions live elsewhere, with what waits in its sockets."""
    report = Report(f"An instance is frozen and woken: {repeats} times under load, {len(fleet.residents)} accounts")

    async def freeze(fleet: Fleet, url: str) -> None:
        os.kill(fleet.demo.instances[url].pid, signal.SIGSTOP)

    async def wake(fleet: Fleet, url: str) -> None:
        os.kill(fleet.demo.instances[url].pid, signal.SIGCONT)

    await _repeated(fleet, report, freeze, wake, FROZEN, repeats, rate)
    return report


async def _repeated(
    fleet: Fleet, report: Report, lose: Loses, restore: Loses, claims: Claims, repeats: int, rate: float
) -> None:
    seen = Seen()
    await asyncio.sleep(WARM_UP_S)
    async with Load(fleet, rate):
        for _ in range(repeats):
            victim, lost = await _fullest(fleet)
            await _lose(fleet, victim, lost, lose, seen)
            await restore(fleet, victim)
            await asyncio.sleep(SETTLE_S)
    _conclude(report, fleet, seen, claims)


async def _fullest(fleet: Fleet) -> tuple[str, list[Resident]]:
    """The instance with the most sessions, and who they are."""
    rows = (await fleet.api("/accounts?limit=500"))["data"]
    placed: dict[str, set[str]] = defaultdict(set)
    for row in rows:
        placed[row["instance_url"]].add(row["uuid"])
    victim = max(placed, key=lambda url: len(placed[url]))
    return victim, [resident for resident in fleet.residents if resident.uuid in placed[victim]]


async def _lose(fleet: Fleet, victim: str, lost: list[Resident], lose: Loses, seen: Seen) -> None:
    known = len(fleet.answered)
    await lose(fleet, victim)
    lost_s = time.monotonic()
    sends = [asyncio.create_task(fleet.send(each, key=fleet.text("key"), gateway=n)) for n, each in enumerate(lost)]
    up = await _back(fleet, {each.session_id for each in lost}, victim)
    await asyncio.gather(*sends)
    seen.back += [at_s - lost_s for at_s in up.values()]
    sessions = {each.session_id for each in lost}
    seen.answered += [
        each for each in fleet.answered[known:] if each.session_id in sessions and each.at_s - each.took_s >= lost_s
    ]


async def _back(fleet: Fleet, sessions: set[str], victim: str) -> dict[str, float]:
    """When each session was first seen connected on another instance."""
    seen: dict[str, float] = {}
    until_s = time.monotonic() + BACK_WITHIN_S
    others = [url for url in fleet.demo.instances if url != victim]
    while len(seen) < len(sessions):
        assert time.monotonic() < until_s, f"{len(sessions) - len(seen)} sessions did not come back"
        for connected in await asyncio.gather(*(_connected(fleet, url) for url in others)):
            for session in connected & sessions:
                seen.setdefault(session, time.monotonic())
        await asyncio.sleep(LOOK_EVERY_S)
    return seen


async def _connected(fleet: Fleet, url: str) -> set[str]:
    try:
        return await fleet.demo.operator.sessions(url)
    except (aiohttp.ClientError, OSError):
        return set()


def _conclude(report: Report, fleet: Fleet, seen: Seen, claims: Claims) -> None:
    back = Spread(seen.back)
    wanted = f"p99 ≤ {claims.p99_s:g} s, max {claims.max_s:g} s"
    kept = back.at(0.99) <= claims.p99_s and max(back.times, default=0.0) <= claims.max_s
    if claims.p50_s is not None:
        wanted, kept = f"p50 ≤ {claims.p50_s:g} s, {wanted}", kept and back.at(0.5) <= claims.p50_s
    report.add("a lost session can send again", wanted, back, kept)
    answered = Spread([each.took_s for each in seen.answered if each.status == 200])
    if claims.answers_within_s is None:
        report.add("sends for lost sessions, answered 200", "", answered)
        lost, doubled = fleet.lost_and_doubled()
        report.add("lost / doubled, by the ledger", "0 / 0", f"{lost} / {doubled}", not lost and not doubled)
    else:
        within = max(answered.times, default=0.0) <= claims.answers_within_s
        report.add("sends for lost sessions, answered 200", f"within {claims.answers_within_s:g} s", answered, within)
        fleet.judge(report)
    old = _under_old_epochs(fleet)
    report.add("messages under an old epoch after a newer one", "0", str(old), not old)


def _under_old_epochs(fleet: Fleet) -> int:
    """How many deliveries carry an epoch below one that the session had shown before."""
    newest: dict[str, int] = defaultdict(int)
    stale = 0
    for delivery in ledger.read(fleet.demo.folder.ledger):
        epoch = int(delivery.label["epoch"])
        stale += epoch < newest[delivery.session_id]
        newest[delivery.session_id] = max(newest[delivery.session_id], epoch)
    return stale
