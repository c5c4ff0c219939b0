"""Three scenarios of failover, told on a demo: what was promised, what happened, whether it was kept."""

import asyncio
import json
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from homing.demo.calls import SendAnswer
from homing.demo.opening import Demo
from homing.demo.plan import Unworkable
from homing.demo.population import DemoAccount
from homing.demo.processes import environment
from homing.demo.timeline import Chapter, Timeline
from homing.demo.traffic import Traffic, said

RECOVERS_WITHIN_S = 10.0
BURST = 100
READS_MAX = 3
HIT_RATE_MIN = 0.99
WRONG_RECORDS = 3
SYNC_WITHIN_S = 30.0

_CRASHED = 144


@dataclass(frozen=True, slots=True)
class StoryResult:
    """The story as a whole."""

    chapters: Sequence[Chapter]

    @property
    def passed(self) -> bool:
        return all(chapter.passed for chapter in self.chapters)

    def document(self) -> dict[str, Any]:
        return {"passed": self.passed, "scenarios": [chapter.document() for chapter in self.chapters]}


async def tell_story(demo: Demo, timeline: Timeline) -> StoryResult:
    """All three, one after the other, on the same demo: what the first one kills stays dead."""
    chapters = [
        await _told(Chapter("1. An instance crashes"), _crash, demo, timeline),
        await _told(Chapter("2. Records are wrong"), _wrong_records, demo, timeline),
        await _told(Chapter("3. A hundred messages at once"), _burst, demo, timeline),
    ]
    result = StoryResult(chapters)
    kept = sum(chapter.passed for chapter in chapters)
    timeline.end(f"{kept} of {len(chapters)} scenarios came out as promised.", good=result.passed)
    return result


async def _told(
    chapter: Chapter,
    scenario: Callable[[Demo, Chapter, Timeline], Awaitable[None]],
    demo: Demo,
    timeline: Timeline,
) -> Chapter:
    began_s = time.monotonic()
    await scenario(demo, chapter, timeline)
    chapter.took_s = time.monotonic() - began_s
    return chapter


# --- 1 --------------------------------------------------------------------------------------------------------


async def _crash(demo: Demo, chapter: Chapter, timeline: Timeline) -> None:
    timeline.begin(chapter, "Its sessions were started elsewhere by hand; the gateway must find them by itself.")
    mover = next(one for one in demo.population.residents if one.id == _CRASHED)
    lost = mover.instance_url
    refuge = next(url for url in demo.instances if url != lost)
    residents = demo.population.residents
    moved = [one for one in residents if one.instance_url == lost]
    others = [one for one in residents if one.instance_url != lost]
    timeline.tell(f"Account {mover.id} is on {lost}, as are {len(moved) - 1} others; messages flow on all the rest")
    async with Traffic(demo.gateway, others, _someone(demo), "While an instance crashes") as traffic:
        await asyncio.sleep(0.3)
        timeline.tell(f"An operator starts the sessions of {lost} on {refuge}, without telling the gateway")
        await asyncio.gather(*(demo.operator.start(refuge, one.session_id) for one in moved))
        timeline.tell(f"kill -9 {demo.instances[lost].pid}, which is {lost}")
        _kill(demo, lost)
        first = await demo.gateway.send(mover.uuid, _someone(demo), "The first after the crash")
        timeline.tell(f"First message of {mover.id}: {_shown(first)}")
        later = [await demo.gateway.send(mover.uuid, _someone(demo), f"After the crash {n}") for n in range(1, 6)]
        rest = [await demo.gateway.send(one.uuid, _someone(demo), f"Account {one.id} too") for one in moved]
        timeline.tell(
            f"{len(later)} more of {mover.id} and one of each account that was there: {_summed(later + rest)}"
        )
        await asyncio.sleep(0.3)
    timeline.tell(f"Meanwhile, on the other instances: {_summed(traffic.answers)}")
    every = [first, *later, *rest, *traffic.answers]
    _judge_first(timeline, first, refuge)
    _judge_sent(timeline, "every other message was sent", [*later, *rest, *traffic.answers])
    await _judge_record(demo, timeline, mover, refuge)
    _judge_ledger(demo, timeline, every)


def _kill(demo: Demo, url: str) -> None:
    child = demo.instances[url]
    child.process.send_signal(signal.SIGKILL)
    child.process.wait()


def _judge_first(timeline: Timeline, first: SendAnswer, refuge: str) -> None:
    timeline.judge(
        "the first message after the crash was sent, by failover, through the instance that has the session",
        holds=first.status == 200 and first.failover and first.instance_url == refuge,
        seen=f"{first.status}, failover {str(first.failover).lower()}, {first.instance_url}",
    )
    timeline.judge(
        f"it took less than {RECOVERS_WITHIN_S:.0f} s",
        holds=first.took_s < RECOVERS_WITHIN_S,
        seen=f"{first.took_s * 1000:.0f} ms",
    )


async def _judge_record(demo: Demo, timeline: Timeline, mover: DemoAccount, refuge: str) -> None:
    account = await demo.gateway.get(f"/accounts/{mover.id}")
    timeline.judge(
        "the directory was corrected",
        holds=account["instance_url"] == refuge,
        seen=f"{account['instance_url']}, epoch {account['epoch']}",
    )
    moves = (await demo.gateway.get("/moves", account=str(mover.id), kind="rediscovery"))["data"]
    timeline.judge(
        "the log of moves says why",
        holds=len(moves) == 1 and moves[0]["to_url"] == refuge and bool(moves[0]["reason"]),
        seen=moves[0]["reason"] if moves else "no move",
    )


# --- 2 --------------------------------------------------------------------------------------------------------


async def _wrong_records(demo: Demo, chapter: Chapter, timeline: Timeline) -> None:
    timeline.begin(
        chapter, "Sessions were moved by hand while every instance is up; the check must find and mend that."
    )
    alive = [url for url, child in demo.instances.items() if child.ended is None]
    movers = await _on_living(demo, alive)
    timeline.tell(f"An operator starts {len(movers)} sessions on other instances, without telling the gateway")
    for one in movers:
        recorded = await _recorded(demo, one)
        elsewhere = alive[(alive.index(recorded) + 1) % len(alive)]
        await demo.operator.start(elsewhere, one.session_id)
    before = await _standing(demo, movers, alive)
    timeline.table("Before", before)
    timeline.judge(
        "every record was wrong", holds=_wrong(before) == len(movers), seen=f"{_wrong(before)} of {len(movers)}"
    )
    await _judge_dry_run(demo, timeline, movers, alive)
    await _judge_sync(demo, timeline, movers)
    after = await _standing(demo, movers, alive)
    timeline.table("After", after)
    right = len(after) - _wrong(after)
    timeline.judge("every record is right afterwards", holds=right == len(movers), seen=f"{right} of {len(movers)}")
    sent = [await demo.gateway.send(one.uuid, _someone(demo), f"{one.id} is found at once") for one in movers]
    at_once = sum(answer.status == 200 and not answer.failover for answer in sent)
    timeline.judge(
        "messages find them at the first attempt", holds=at_once == len(movers), seen=f"{at_once} of {len(movers)}"
    )
    _judge_ledger(demo, timeline, sent)


async def _judge_dry_run(demo: Demo, timeline: Timeline, movers: Sequence[DemoAccount], alive: Sequence[str]) -> None:
    code, report = await run_sync(demo, "--dry-run")
    timeline.tell(f"homing sync-instance-urls --dry-run: {_counted(report)}")
    unchanged = _wrong(await _standing(demo, movers, alive))
    timeline.judge(
        "the dry run names exactly these, and changes nothing",
        holds=code == 0 and _named(report) == {one.id for one in movers} and unchanged == len(movers),
        seen=f"{sorted(_named(report))}, {unchanged} records still wrong",
    )


async def _judge_sync(demo: Demo, timeline: Timeline, movers: Sequence[DemoAccount]) -> None:
    code, report = await run_sync(demo)
    timeline.tell(f"homing sync-instance-urls: {_counted(report)}")
    timeline.judge(
        "the sync updates exactly these, and nothing is left to look after",
        holds=code == 0 and _named(report) == {one.id for one in movers},
        seen=f"{_counted(report)}, exit code {code}",
    )


async def run_sync(demo: Demo, *options: str) -> tuple[int, dict[str, Any]]:
    """The command, as an operator runs it: its exit code and its report."""
    settings = {"HOMING_API_URL": demo.gateway.url, "HOMING_API_TOKEN": demo.population.token}
    command = [sys.executable, "-P", "-m", "homing.cli", "sync-instance-urls", "--json", *options]
    ran = await asyncio.to_thread(
        subprocess.run,
        command,
        capture_output=True,
        cwd=demo.folder.path,
        env=environment(settings),
        timeout=SYNC_WITHIN_S,
        check=False,
    )
    if not ran.stdout:
        raise Unworkable(f"homing sync-instance-urls ended with {ran.returncode}: {ran.stderr.decode().strip()}")
    report: dict[str, Any] = json.loads(ran.stdout)
    return ran.returncode, report


def _named(report: dict[str, Any]) -> set[int]:
    return {update["account"] for update in report["updates"]}


def _counted(report: dict[str, Any]) -> str:
    counts = ("verified", "updated", "failed", "unreachable", "skipped", "duplicates")
    told = ", ".join(f"{report[name]} {name}" for name in counts if report[name])
    return f"{told}, in {report['execution_s']:.2f} s and {report['instance_calls']} calls"


async def _on_living(demo: Demo, alive: Sequence[str]) -> list[DemoAccount]:
    """Some accounts, from different instances if possible, that are where the directory says."""
    found: list[DemoAccount] = []
    seen: set[str] = set()
    for one in sorted(demo.population.residents, key=lambda one: one.id == _CRASHED):
        url = await _recorded(demo, one)
        if url in alive and url not in seen:
            seen.add(url)
            found.append(one)
    spare = [one for one in demo.population.residents if one not in found and one.id != _CRASHED]
    return (found + spare)[:WRONG_RECORDS]


async def _recorded(demo: Demo, resident: DemoAccount) -> str:
    account = await demo.gateway.get(f"/accounts/{resident.id}")
    return str(account["instance_url"])


async def _standing(demo: Demo, movers: Sequence[DemoAccount], alive: Sequence[str]) -> list[dict[str, str]]:
    """Where the directory says each session is, and where it is."""
    held = {url: await demo.operator.sessions(url) for url in alive}
    return [
        {
            "account": str(one.id),
            "phone": one.phone,
            "recorded": await _recorded(demo, one),
            "in fact": ", ".join(url for url in alive if one.session_id in held[url]) or "nowhere",
        }
        for one in movers
    ]


def _wrong(rows: Sequence[dict[str, str]]) -> int:
    return sum(row["recorded"] != row["in fact"] for row in rows)


# --- 3 --------------------------------------------------------------------------------------------------------


async def _burst(demo: Demo, chapter: Chapter, timeline: Timeline) -> None:
    timeline.begin(chapter, f"{BURST} messages of one account, on an empty cache, ask the directory about once.")
    sender = demo.population.residents[0]
    await demo.gateway.post("/cache/clear")
    before = await _figures(demo)
    timeline.tell("The cache is cleared")
    began_s = time.monotonic()
    answers = await asyncio.gather(
        *(demo.gateway.send(sender.uuid, _someone(demo), f"One of a hundred: {n}") for n in range(1, BURST + 1))
    )
    took_s = time.monotonic() - began_s
    timeline.tell(f"{BURST} messages of {sender.id} at once, in {took_s:.2f} s: {_summed(answers)}")
    grown = {name: value - before[name] for name, value in (await _figures(demo)).items()}
    asked = grown["hits"] + grown["misses"]
    rate = grown["hits"] / asked if asked else 0.0
    _judge_sent(timeline, f"all {BURST} were sent", answers)
    timeline.judge(
        f"the directory was read at most {READS_MAX} times",
        holds=1 <= grown["reads"] <= READS_MAX,
        seen=f"{grown['reads']:.0f} SELECT",
    )
    timeline.judge(
        f"the cache answered at least {HIT_RATE_MIN:.0%}",
        holds=rate >= HIT_RATE_MIN,
        seen=f"{grown['hits']:.0f} of {asked:.0f}, {rate:.1%}",
    )
    _judge_ledger(demo, timeline, answers)


async def _figures(demo: Demo) -> dict[str, float]:
    names = {
        "reads": "homing_directory_reads_total",
        "hits": "homing_route_cache_hits_total",
        "misses": "homing_route_cache_misses_total",
    }
    return {short: await demo.gateway.metric(name) for short, name in names.items()}


# --- common ---------------------------------------------------------------------------------------------------


def _judge_sent(timeline: Timeline, claim: str, answers: Sequence[SendAnswer]) -> None:
    failed = [answer for answer in answers if answer.status != 200]
    seen = _summed(answers) if not failed else f"{_summed(answers)}; {_shown(failed[0])}"
    timeline.judge(claim, holds=bool(answers) and not failed, seen=seen)


def _judge_ledger(demo: Demo, timeline: Timeline, answers: Sequence[SendAnswer]) -> None:
    times = said(demo.folder.ledger, answers)
    once = sum(number == 1 for number in times.values())
    lost, twice = sum(not number for number in times.values()), sum(number > 1 for number in times.values())
    timeline.judge(
        "each message reached its recipient exactly once, by WhatsApp's own ledger",
        holds=once == len(answers),
        seen=f"{once} once, {lost} lost, {twice} more than once",
    )


def _someone(demo: Demo) -> str:
    return demo.population.contacts[0].uuid


def _shown(answer: SendAnswer) -> str:
    if answer.status != 200:
        return f"{answer.status} {answer.document.get('detail', '')}"
    how = "by failover to" if answer.failover else "through"
    attempts = answer.document["attempts"]
    return f"sent {how} {answer.instance_url} in {answer.took_s * 1000:.0f} ms, {attempts} attempts"


def _summed(answers: Sequence[SendAnswer]) -> str:
    sent = sum(answer.status == 200 for answer in answers)
    return f"{sent} of {len(answers)} sent"
