"""Schedules: one run for each tick among all gateways, never two at a time, on every store."""

import asyncio
import sys
from asyncio.subprocess import Process
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import pytest

from clocks import PassTime
from homing.model.work import NotDue, ScheduleRecord, Tick
from homing.store.db.database import Database
from homing.store.db.opening import open_database
from homing.store.work.schedules import SqlSchedules

EVERY_FIVE = "*/5 * * * *"


@pytest.fixture
def store(database: Database) -> SqlSchedules:
    return SqlSchedules(database)


async def begin(
    store: SqlSchedules, *, owner: str = "me", expression: str = EVERY_FIVE, lease_s: float = 30
) -> Tick | NotDue:
    return await store.begin("sync", expression, owner=owner, lease_s=lease_s)


async def begun(store: SqlSchedules, *, owner: str = "me", lease_s: float = 30) -> Tick:
    tick = await begin(store, owner=owner, lease_s=lease_s)
    assert isinstance(tick, Tick)
    return tick


async def record(store: SqlSchedules) -> ScheduleRecord:
    [only] = await store.schedules()
    return only


async def test_a_new_schedule_waits_for_its_first_tick(store: SqlSchedules, pass_time: PassTime) -> None:
    answer = await begin(store)
    assert isinstance(answer, NotDue)
    assert answer.ask_in_s is not None
    assert 0 < answer.ask_in_s <= 300
    await pass_time(300)
    tick = await begun(store)
    assert (tick.name, tick.fence, tick.taken_over) == ("sync", 1, False)


async def test_a_tick_is_run_once_and_by_one(store: SqlSchedules, pass_time: PassTime) -> None:
    await begin(store)
    await pass_time(300)
    answers = await asyncio.gather(*(begin(store, owner=f"gateway {number}") for number in range(8)))
    [tick] = [answer for answer in answers if isinstance(answer, Tick)]
    others = [answer for answer in answers if isinstance(answer, NotDue)]
    assert all("is running it since" in other.reason for other in others)
    assert await store.finish(tick, result="12 verified")
    assert isinstance(await begin(store), NotDue)
    ended = await record(store)
    assert (ended.result, ended.error, ended.runs, ended.failures, ended.holder) == ("12 verified", "", 1, 0, None)
    assert ended.started_at is not None
    assert ended.finished_at is not None
    assert ended.started_at <= ended.finished_at
    assert ended.last_tick_at == tick.at


async def test_missed_ticks_are_one(store: SqlSchedules, pass_time: PassTime) -> None:
    await begin(store)
    await pass_time(3_600)
    assert await store.finish(await begun(store))
    assert isinstance(await begin(store), NotDue)
    assert (await record(store)).runs == 1


async def test_a_run_that_outlasts_its_ticks_is_not_overlapped(store: SqlSchedules, pass_time: PassTime) -> None:
    await begin(store)
    await pass_time(300)
    tick = await begun(store)
    for _ in range(40):
        await pass_time(20)
        assert await store.renew(tick, lease_s=30)
        assert isinstance(await begin(store, owner="another"), NotDue)
    assert await store.finish(tick)
    late = await begun(store, owner="another")
    assert (late.fence, late.taken_over) == (2, False)
    assert await store.finish(late)
    assert isinstance(await begin(store), NotDue), "the ticks that came meanwhile are one"


async def test_a_run_whose_holder_vanished_is_begun_anew_and_the_old_one_refused(
    store: SqlSchedules, pass_time: PassTime
) -> None:
    await begin(store)
    await pass_time(300)
    vanished = await begun(store, owner="vanished", lease_s=5)
    waiting = await begin(store, owner="heir")
    assert isinstance(waiting, NotDue)
    assert waiting.ask_in_s == pytest.approx(5, abs=1), "asked again when the lease ends"
    await pass_time(6)
    heir = await begun(store, owner="heir")
    assert (heir.fence, heir.taken_over, heir.reason) == (
        vanished.fence + 1,
        True,
        "vanished vanished while running it",
    )
    assert not await store.renew(vanished, lease_s=5)
    assert not await store.finish(vanished, result="late")
    assert await store.renew(heir, lease_s=30)
    assert await store.finish(heir, result="well")
    ended = await record(store)
    assert (ended.result, ended.runs, ended.fence) == ("well", 1, 2)


async def test_a_run_ends_once(store: SqlSchedules, pass_time: PassTime) -> None:
    await begin(store)
    await pass_time(300)
    tick = await begun(store)
    assert await store.finish(tick)
    assert not await store.finish(tick)
    assert not await store.renew(tick, lease_s=30)


async def test_a_failed_run_is_counted_and_the_next_tick_comes(store: SqlSchedules, pass_time: PassTime) -> None:
    await begin(store)
    for _ in range(2):
        await pass_time(300)
        await store.finish(await begun(store), error="the directory was away")
    failed = await record(store)
    assert (failed.error, failed.runs, failed.failures) == ("the directory was away", 2, 2)
    await pass_time(300)
    await begun(store)
    assert (await record(store)).error == ""


async def test_an_empty_expression_is_off_and_shown_so(store: SqlSchedules, pass_time: PassTime) -> None:
    assert await begin(store, expression="") == NotDue(None, "it is switched off")
    await pass_time(10**6)
    assert isinstance(await begin(store, expression=""), NotDue)
    assert (await record(store)).expression == ""


async def test_another_expression_takes_effect_at_once(store: SqlSchedules, pass_time: PassTime) -> None:
    await begin(store, expression="")
    await begin(store)
    await pass_time(300)
    await begun(store)
    assert (await record(store)).expression == EVERY_FIVE


async def test_schedules_do_not_hinder_each_other(store: SqlSchedules, pass_time: PassTime) -> None:
    for name in ("b", "a"):
        await store.begin(name, EVERY_FIVE, owner="me", lease_s=30)
    await pass_time(300)
    for name in ("b", "a"):
        assert isinstance(await store.begin(name, EVERY_FIVE, owner="me", lease_s=30), Tick)
    assert [each.name for each in await store.schedules()] == ["a", "b"]


# --- real gateways, and their death -------------------------------------------------------------------------------


@dataclass(slots=True)
class Run:
    """One run, as the gateways wrote it down. `ended_s` is None if it was cut short."""

    tick: int
    fence: int
    owner: str
    began_s: float
    ended_s: float | None = None


def runs_in(path: Path) -> list[Run]:
    runs: dict[int, Run] = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        what, tick, fence, owner, at_s = line.rsplit(" ", 4)
        if what == "begin":
            assert int(fence) not in runs, "two runs under one fence"
            runs[int(fence)] = Run(int(tick), int(fence), owner, float(at_s))
        else:
            runs[int(fence)].ended_s = float(at_s)
    return sorted(runs.values(), key=lambda run: run.fence)


async def start(url: str, owner: str, path: Path) -> Process:
    program = Path(__file__).with_name("scheduled_gateway.py")
    return await asyncio.create_subprocess_exec(sys.executable, program, url, owner, path)


async def until_running(path: Path, *, runs: int, limit_s: float) -> Run:
    """The run that is under way once so many were begun."""
    async with asyncio.timeout(limit_s):
        while True:
            begun = runs_in(path)
            if len(begun) >= runs and begun[-1].ended_s is None:
                return begun[-1]
            await asyncio.sleep(0.01)


@pytest.mark.e2e
async def test_gateways_share_every_tick_and_survive_the_death_of_the_one_that_runs(
    postgres_url: str, tmp_path: Path
) -> None:
    ticks = 20
    path = tmp_path / "runs"
    processes = {owner: await start(postgres_url, owner, path) for owner in ("one", "two")}
    try:
        cut_short = await until_running(path, runs=ticks // 2, limit_s=2 * ticks + 10)
        processes[cut_short.owner].kill()
        await until_running(path, runs=ticks, limit_s=2 * ticks + 10)
    finally:
        for process in processes.values():
            if process.returncode is None:
                process.kill()
            await process.wait()
    runs = runs_in(path)
    assert [run for run in runs[:-1] if run.ended_s is None] == [cut_short]
    assert len({run.tick for run in runs}) == len(runs), "a tick was run twice"
    assert [run.tick for run in runs] == sorted(run.tick for run in runs)
    assert [run.fence for run in runs] == list(range(1, len(runs) + 1))
    for earlier, later in pairwise(runs):
        assert earlier.ended_s is None or earlier.ended_s <= later.began_s, "two runs at a time"
        if earlier.fence == cut_short.fence:
            assert later.owner != cut_short.owner
            assert later.began_s - earlier.began_s > 1.9, "taken over before the lease had ended"
    gaps = [later.tick - earlier.tick for earlier, later in pairwise(runs) if earlier.fence != cut_short.fence]
    assert sum(gap > 1 for gap in gaps) <= len(gaps) // 10, "ticks were missed"
    database = open_database(postgres_url)
    [kept] = await SqlSchedules(database).schedules()
    assert kept.failures == 0
    assert kept.runs >= sum(run.ended_s is not None for run in runs) - 1
    await database.close()
