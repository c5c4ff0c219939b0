"""A restart of everything: all instances are killed together, and their sessions come back shuffled among them."""

import asyncio
import random
import time
from dataclasses import dataclass, field

import aiohttp

from bench.fleet import Answered, Fleet
from bench.load import Load
from bench.records import Read, open_records
from bench.report import Report, Spread

SENT_P99_S = 1.0
RIGHT_WITHIN_S = 5.0
LOOK_EVERY_S = 0.02
UP_WITHIN_S = 30.0
SETTLE_S = 1.0


@dataclass(slots=True)
class Times:
    """What was measured of each session, in seconds, over all restarts."""

    away: list[float] = field(default_factory=list)
    sent: list[float] = field(default_factory=list)
    right_sending: list[float] = field(default_factory=list)
    right_silent: list[float] = field(default_factory=list)
    moved: int = 0


async def run(fleet: Fleet, *, repeats: int, rate: float = 50.0, seed: int = 3) -> Report:
    """Half of the accounts send throughout, and once each when all instances die; of the rest only instances speak."""
    title = f"All instances restart, their sessions shuffled: {repeats} times under load"
    report = Report(f"{title}, {len(fleet.residents)} accounts")
    chance, times = random.Random(seed), Times()
    async with open_records(fleet.demo.database_url) as recorded, Load(fleet, rate, fleet.residents[::2]):
        for _ in range(repeats):
            await _restart(fleet, recorded, chance, times)
            await asyncio.sleep(SETTLE_S)
    fleet.judge(report)
    _conclude(report, times)
    return report


def _conclude(report: Report, times: Times) -> None:
    report.add("sessions that came back on another instance", "", f"{times.moved:,} of {len(times.away):,}")
    report.add("a session is away, from the kill to its login", "", Spread(times.away))
    sent = Spread(times.sent)
    report.add("from its login to its first message", "p99 ≤ 1 s", sent, sent.at(0.99) <= SENT_P99_S)
    for who, measured in (("sends", times.right_sending), ("is silent", times.right_silent)):
        right = Spread(measured)
        kept = right.at(1.0) <= RIGHT_WITHIN_S
        report.add(f"from its login to the right record, of one that {who}", "max ≤ 5 s", right, kept)


async def _restart(fleet: Fleet, recorded: Read, chance: random.Random, times: Times) -> None:
    urls = list(fleet.demo.instances)
    for url in urls:
        fleet.kill_instance(url)
    killed_s = time.monotonic()
    sending = fleet.residents[::2]
    sends = [asyncio.create_task(fleet.send(each, gateway=n)) for n, each in enumerate(sending)]
    heirs = {each.session_id: chance.choice(urls) for each in fleet.residents}
    before = await recorded()
    await fleet.hand_over(heirs)
    began = asyncio.gather(*(fleet.demo.start_instance_again(url) for url in urls))
    up, right = await asyncio.gather(_when_up(fleet, heirs), _when_right(recorded, heirs))
    await asyncio.gather(began, *sends)
    times.moved += sum(before[session] != url for session, url in heirs.items())
    times.away += [up_s - killed_s for up_s in up.values()]
    for number, resident in enumerate(fleet.residents):
        session = resident.session_id
        late_s = max(0.0, right[session] - up[session])
        (times.right_silent if number % 2 else times.right_sending).append(late_s)
    times.sent += [
        max(0.0, _first_sent(fleet, each.session_id, killed_s).at_s - up[each.session_id]) for each in sending
    ]


async def _when_up(fleet: Fleet, heirs: dict[str, str]) -> dict[str, float]:
    """When each session was first seen connected on its heir."""
    seen: dict[str, float] = {}
    until_s = time.monotonic() + UP_WITHIN_S
    while len(seen) < len(heirs):
        assert time.monotonic() < until_s, "some sessions did not come back"
        for url, sessions in zip(
            fleet.demo.instances,
            await asyncio.gather(*(_connected(fleet, url) for url in fleet.demo.instances)),
            strict=True,
        ):
            for session in sessions:
                if heirs[session] == url:
                    seen.setdefault(session, time.monotonic())
        await asyncio.sleep(LOOK_EVERY_S)
    return seen


async def _connected(fleet: Fleet, url: str) -> set[str]:
    try:
        return await fleet.demo.operator.sessions(url)
    except (aiohttp.ClientError, OSError):
        return set()


async def _when_right(recorded: Read, heirs: dict[str, str]) -> dict[str, float]:
    """When the directory first named each session's heir."""
    seen: dict[str, float] = {}
    until_s = time.monotonic() + UP_WITHIN_S + RIGHT_WITHIN_S
    while len(seen) < len(heirs):
        assert time.monotonic() < until_s, "some records were not corrected"
        for session, url in (await recorded()).items():
            if heirs[session] == url:
                seen.setdefault(session, time.monotonic())
        await asyncio.sleep(LOOK_EVERY_S)
    return seen


def _first_sent(fleet: Fleet, session: str, since_s: float) -> Answered:
    answers = [each for each in fleet.answered if each.session_id == session and each.at_s > since_s]
    sent = [each for each in answers if each.status == 200]
    assert sent, f"nothing of {session} was sent: {[(each.status, each.document.get('detail')) for each in answers]}"
    return min(sent, key=lambda each: each.at_s)
