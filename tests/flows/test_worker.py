"""Workers and schedulers in virtual time: patience, leases that are kept or let go, and nothing lost."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import AsyncIterator, Callable, Collection, Coroutine, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import pytest
from structlog.testing import capture_logs

from homing.decide.work.attempts import RetryPolicy
from homing.flows.background.schedules import Schedule, Scheduler
from homing.flows.background.worker import Duty, Handler, Worker
from homing.lab.sim.loop import current_loop
from homing.lab.sim.world import SeededEntropy, VirtualClock
from homing.model.work import Dead, Done, Ending, Job, JobId, JobState, NewJob, NotDue, Retry, Tick
from homing.ports import StoreUnavailable
from homing.store.db.database import Database
from homing.store.db.opening import open_database
from homing.store.notices.notices import LocalNotices
from homing.store.work.queue import SqlWork
from homing.store.work.schedules import SqlSchedules

pytestmark = pytest.mark.virtual

LEASE_S = 10.0
POLICY = RetryPolicy(waits_s=(10, 100, 1000), jitter=0.0)


class FlakyWork(SqlWork):
    """The work table as a gateway sees it whose connection is away, or hangs, at times."""

    away = hangs = False

    async def claim(self, kind: str, *, owner: str, limit: int, lease_s: float, fair: bool = False) -> list[Job]:
        await self._weather()
        return await super().claim(kind, owner=owner, limit=limit, lease_s=lease_s, fair=fair)

    async def renew(self, jobs: Collection[Job], *, lease_s: float) -> set[JobId]:
        await self._weather()
        return await super().renew(jobs, lease_s=lease_s)

    async def settle(self, endings: Sequence[tuple[Job, Ending]]) -> set[JobId]:
        await self._weather()
        return await super().settle(endings)

    async def _weather(self) -> None:
        if self.hangs:
            await asyncio.sleep(1_000)
        if self.away:
            raise StoreUnavailable("away")


@dataclass(slots=True)
class Bench:
    """One store in memory and any number of gateways on it."""

    database: Database
    notices: LocalNotices
    clock: VirtualClock
    entropy: SeededEntropy
    work: FlakyWork
    schedules: SqlSchedules
    running: dict[str, "asyncio.Task[None]"] = field(default_factory=dict)

    def start(self, handler: Handler, *, owner: str = "me", work: SqlWork | None = None, **duty: Any) -> None:
        """A worker of the kind `k`."""
        wanted = Duty(handler, **{"policy": POLICY, "lease_s": LEASE_S, **duty})
        worker = Worker(work or self.work, self.clock, self.entropy, "k", wanted, owner=owner)
        self.begin(owner, worker.run())

    def start_scheduler(self, *schedules: Schedule, owner: str = "me") -> None:
        self.begin(owner, Scheduler(self.schedules, self.clock, schedules, owner=owner).run())

    def begin(self, owner: str, run: Coroutine[Any, Any, None]) -> None:
        self.running[owner] = asyncio.create_task(run, name=owner)

    async def stop(self, owner: str = "me") -> None:
        task = self.running.pop(owner)
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task

    async def add(self, *jobs: NewJob) -> list[JobId]:
        ids = await self.work.enqueue(jobs or [NewJob("k")])
        return [made for made in ids if made is not None]

    async def job(self, job_id: JobId) -> Job:
        job = await self.work.job(job_id)
        assert job is not None
        return job

    async def state(self, job_id: JobId) -> JobState:
        return (await self.job(job_id)).state


@pytest.fixture
async def bench() -> AsyncIterator[Bench]:
    async with opened() as it:
        yield it


@asynccontextmanager
async def opened() -> AsyncIterator[Bench]:
    clock, notices = VirtualClock(), LocalNotices()
    database = open_database("sqlite://", now=clock.now)
    work = FlakyWork(database, notices)
    bench = Bench(database, notices, clock, SeededEntropy(1, clock), work, SqlSchedules(database))
    try:
        yield bench
    finally:
        for owner in list(bench.running):
            await bench.stop(owner)
        await database.close()


def now_s() -> float:
    return current_loop().time()


async def well(_: Job) -> str:
    return "well"


# --- doing --------------------------------------------------------------------------------------------------------


async def test_work_is_done_as_soon_as_it_comes(bench: Bench) -> None:
    bench.start(well, poll_s=1_000)
    await asyncio.sleep(50)
    [job_id] = await bench.add()
    await asyncio.sleep(0.001)
    job = await bench.job(job_id)
    assert (job.state, job.reason, job.attempts) == (JobState.DONE, "well", 1)


async def test_a_failure_is_tried_again_with_patience_and_at_its_time(bench: Bench) -> None:
    tried_at: list[float] = []

    async def fail(_: Job) -> str:
        tried_at.append(now_s())
        raise ConnectionError("refused")

    bench.start(fail, poll_s=10_000)
    [job_id] = await bench.add()
    await asyncio.sleep(5_000)
    assert tried_at == pytest.approx([0, 10, 110, 1110], abs=0.5)
    job = await bench.job(job_id)
    assert (job.state, job.reason) == (JobState.DEAD, "given up after 4 attempts: refused")


@pytest.mark.parametrize("ending", [Done("so"), Retry(500, "so"), Dead("so")])
async def test_a_handler_may_say_how_it_ended(bench: Bench, ending: Ending) -> None:
    async def say(_: Job) -> Ending:
        return ending

    bench.start(say)
    [job_id] = await bench.add()
    await asyncio.sleep(1)
    job = await bench.job(job_id)
    states = {Done: JobState.DONE, Retry: JobState.READY, Dead: JobState.DEAD}
    assert (job.state, job.reason) == (states[type(ending)], "so")


async def test_so_many_at_once_and_no_more(bench: Bench) -> None:
    busy, most = 0, 0

    async def count(_: Job) -> str:
        nonlocal busy, most
        busy += 1
        most = max(most, busy)
        await asyncio.sleep(1)
        busy -= 1
        return ""

    bench.start(count, at_once=5)
    await bench.add(*(NewJob("k") for _ in range(50)))
    await asyncio.sleep(10.5)
    assert most == 5
    assert (await bench.work.figures())[0].counts == {JobState.DONE: 50}


async def test_a_handler_cancelled_from_within_has_failed(bench: Bench) -> None:
    async def give_in(_: Job) -> str:
        raise asyncio.CancelledError

    bench.start(give_in)
    [job_id] = await bench.add()
    await asyncio.sleep(1)
    assert (await bench.job(job_id)).reason == "it was cancelled from within"


async def test_a_job_that_takes_every_worker_with_it_dies_untried(bench: Bench) -> None:
    [job_id] = await bench.add()
    for _ in range(POLICY.attempts_max):
        assert await bench.work.claim("k", owner="doomed", limit=1, lease_s=LEASE_S)
        await asyncio.sleep(LEASE_S)
    tried: list[Job] = []

    async def note(job: Job) -> str:
        tried.append(job)
        return ""

    bench.start(note)
    await asyncio.sleep(1)
    assert tried == []
    assert await bench.state(job_id) is JobState.DEAD


# --- leases -------------------------------------------------------------------------------------------------------


async def test_a_long_job_is_held_as_long_as_it_takes(bench: Bench) -> None:
    begun: list[str] = []

    def dawdle(owner: str) -> Handler:
        async def handler(_: Job) -> str:
            begun.append(owner)
            await asyncio.sleep(20 * LEASE_S)
            return owner

        return handler

    bench.start(dawdle("one"), owner="one")
    bench.start(dawdle("two"), owner="two")
    [job_id] = await bench.add()
    await asyncio.sleep(21 * LEASE_S)
    assert len(begun) == 1
    job = await bench.job(job_id)
    assert (job.state, job.fence) == (JobState.DONE, 1)


async def test_the_work_of_one_who_vanished_is_taken_over_when_its_lease_ends(bench: Bench) -> None:
    [job_id] = await bench.add()
    [vanished] = await bench.work.claim("k", owner="vanished", limit=1, lease_s=LEASE_S)
    done_at: list[float] = []

    async def note(job: Job) -> str:
        assert job.fence > vanished.fence
        done_at.append(now_s())
        return "by the heir"

    with capture_logs() as lines:
        bench.start(note, poll_s=1_000)
        await asyncio.sleep(3 * LEASE_S)
    assert done_at == pytest.approx([LEASE_S], abs=0.1)
    told = [(line["event"], line["log_level"]) for line in lines]
    assert told == [("A worker starts", "info"), ("A job is taken over", "info")]
    assert await bench.work.settle([(vanished, Done("late"))]) == set()
    assert (await bench.job(job_id)).reason == "by the heir"


@pytest.mark.parametrize("how", ["away", "hangs"])
async def test_who_cannot_renew_stops_before_another_may_begin(bench: Bench, how: str) -> None:
    stopped_at: list[float] = []

    async def dawdle(_: Job) -> str:
        try:
            await asyncio.sleep(1_000)
        except asyncio.CancelledError:
            stopped_at.append(now_s())
            raise
        return ""

    cut_off = FlakyWork(bench.database, bench.notices)
    bench.start(dawdle, owner="cut off", work=cut_off)
    await bench.add()
    await asyncio.sleep(1)
    setattr(cut_off, how, True)
    begun_elsewhere: list[float] = []

    async def note(_: Job) -> str:
        begun_elsewhere.append(now_s())
        return ""

    bench.start(note, owner="heir")
    await asyncio.sleep(3 * LEASE_S)
    assert len(stopped_at) == len(begun_elsewhere) == 1
    assert 0.7 * LEASE_S < stopped_at[0] < begun_elsewhere[0]


async def test_a_job_that_was_taken_over_is_let_go(bench: Bench) -> None:
    stopped_at: list[float] = []

    async def dawdle(_: Job) -> str:
        try:
            await asyncio.sleep(1_000)
        finally:
            stopped_at.append(now_s())
        return ""

    bench.start(dawdle, poll_s=10_000)
    [job_id] = await bench.add()
    await asyncio.sleep(1)
    await bench.work.settle([(await bench.job(job_id), Done("settled by somebody with our fence"))])
    await asyncio.sleep(LEASE_S)
    assert stopped_at == pytest.approx([LEASE_S / 4], abs=0.5)


async def test_what_was_done_while_the_store_was_away_is_written_down_afterwards(bench: Bench) -> None:
    tried = Counter[JobId]()

    async def note(job: Job) -> str:
        tried[job.id] += 1
        bench.work.away = True
        return "well"

    bench.start(note)
    [job_id] = await bench.add()
    await asyncio.sleep(LEASE_S / 2)
    assert await bench.state(job_id) is JobState.RUNNING
    bench.work.away = False
    await asyncio.sleep(LEASE_S)
    assert await bench.state(job_id) is JobState.DONE
    assert tried[job_id] == 1


async def test_who_leaves_gives_back_what_it_had_begun(bench: Bench) -> None:
    stopped: list[JobId] = []

    async def dawdle(job: Job) -> str:
        try:
            await asyncio.sleep(1_000)
        finally:
            stopped.append(job.id)
        return ""

    bench.start(dawdle, owner="leaving")
    [job_id] = await bench.add()
    await asyncio.sleep(1)
    await bench.stop("leaving")
    assert stopped == [job_id]
    bench.start(well, owner="heir")
    await asyncio.sleep(0.1)
    job = await bench.job(job_id)
    assert (job.state, job.attempts) == (JobState.DONE, 1)


@pytest.mark.virtual(seeds=15)
async def test_whatever_dies_when_all_is_done_in_order_and_never_two_at_a_time(bench: Bench) -> None:
    """Workers come and go, are cut off and come back, and handlers fail; each key keeps its order."""
    done: dict[str, list[int]] = defaultdict(list)
    busy: set[str] = set()
    overlapping: list[Job] = []
    tables: list[FlakyWork] = []

    async def handler(job: Job) -> str | Ending:
        assert job.key is not None
        if job.key in busy:
            overlapping.append(job)
        busy.add(job.key)
        try:
            await asyncio.sleep(bench.entropy.random() * LEASE_S)
            if bench.entropy.random() < 0.1:
                return Retry(1, "refused")
        finally:
            busy.discard(job.key)
        done[job.key].append(job.payload["n"])
        return ""

    def start(number: int) -> None:
        tables.append(FlakyWork(bench.database, bench.notices))
        patient = RetryPolicy(waits_s=(1,) * 100)
        bench.start(handler, owner=f"worker {number}", work=tables[-1], policy=patient, at_once=3, poll_s=100)

    await bench.add(*(NewJob("k", {"n": n}, key=f"key {n % 5}") for n in range(60)))
    for number in range(15):
        start(number)
        await asyncio.sleep(bench.entropy.random() * LEASE_S)
        victim = list(bench.running)[int(bench.entropy.random() * len(bench.running))]
        fate = bench.entropy.random()
        if fate < 0.5:
            await bench.stop(victim)
        elif fate < 0.8:
            tables[number].away = True
    for table in tables:
        table.away = False
    await asyncio.sleep(60 * LEASE_S)
    assert overlapping == []
    assert (await bench.work.figures())[0].counts == {JobState.DONE: 60}
    for key, numbers in done.items():
        # Whoever is cut off between doing a job and saying so has it done again; nothing else is repeated or skipped.
        assert list(dict.fromkeys(numbers)) == sorted(set(numbers)), f"{key} lost its order"
        assert len(set(numbers)) == 12


# --- schedules ----------------------------------------------------------------------------------------------------


def noting(
    ticks: list[tuple[str, Tick]], owner: str, takes_s: float = 0.0
) -> Callable[[Tick], Coroutine[Any, Any, str]]:
    async def handler(tick: Tick) -> str:
        ticks.append((owner, tick))
        await asyncio.sleep(takes_s)
        return f"by {owner}"

    return handler


async def test_an_hour_of_every_five_minutes_is_twelve_runs(bench: Bench) -> None:
    ticks: list[tuple[str, Tick]] = []
    bench.start_scheduler(Schedule("sync", "*/5 * * * *", noting(ticks, "me")))
    await asyncio.sleep(3_600.5)
    assert [tick.at.minute for _, tick in ticks] == [*range(5, 60, 5), 0]
    [kept] = await bench.schedules.schedules()
    assert (kept.runs, kept.failures, kept.result) == (12, 0, "by me")


@pytest.mark.virtual(seeds=5)
async def test_many_gateways_run_each_tick_once_between_them(bench: Bench) -> None:
    ticks: list[tuple[str, Tick]] = []
    for owner in ("one", "two", "three"):
        bench.start_scheduler(Schedule("sync", "*/5 * * * *", noting(ticks, owner, takes_s=20)), owner=owner)
    await asyncio.sleep(3_600 + 60)
    assert len(ticks) == len({tick.at for _, tick in ticks}) == 12


async def test_a_long_run_swallows_the_ticks_that_it_outlasts(bench: Bench) -> None:
    ticks: list[tuple[str, Tick]] = []
    for owner in ("one", "two"):
        bench.start_scheduler(Schedule("sync", "*/5 * * * *", noting(ticks, owner, takes_s=12 * 60)), owner=owner)
    await asyncio.sleep(3_600)
    assert [tick.at.minute for _, tick in ticks] == [5, 15, 25, 40, 50]
    assert not any(tick.taken_over for _, tick in ticks)


async def test_a_failing_run_is_counted_and_the_next_one_comes(bench: Bench) -> None:
    async def fail(_: Tick) -> str:
        raise ConnectionError("the fleet is away")

    bench.start_scheduler(Schedule("sync", "*/5 * * * *", fail))
    await asyncio.sleep(901)
    [kept] = await bench.schedules.schedules()
    assert (kept.runs, kept.failures, kept.error) == (3, 3, "the fleet is away")


async def test_one_schedule_does_not_wait_for_another(bench: Bench) -> None:
    ticks: list[tuple[str, Tick]] = []
    bench.start_scheduler(
        Schedule("slow", "*/5 * * * *", noting([], "slow", takes_s=3_000)),
        Schedule("quick", "*/5 * * * *", noting(ticks, "quick")),
        Schedule("off", "", noting(ticks, "off")),
    )
    await asyncio.sleep(3_601)
    assert [owner for owner, _ in ticks] == ["quick"] * 12


async def test_the_run_of_one_who_vanished_is_begun_anew_when_its_lease_ends(bench: Bench) -> None:
    assert not isinstance(await bench.schedules.begin("sync", "0 * * * *", owner="vanished", lease_s=30), Tick)
    await asyncio.sleep(3_600)
    lost = await bench.schedules.begin("sync", "0 * * * *", owner="vanished", lease_s=30)
    assert isinstance(lost, Tick)
    ticks: list[tuple[str, Tick]] = []
    bench.start_scheduler(Schedule("sync", "0 * * * *", noting(ticks, "heir")))
    await asyncio.sleep(29)
    assert ticks == []
    await asyncio.sleep(2)
    [(_, tick)] = ticks
    assert (tick.at, tick.fence, tick.taken_over) == (lost.at, lost.fence + 1, True)


async def test_who_leaves_hands_its_run_over_at_once(bench: Bench) -> None:
    ticks: list[tuple[str, Tick]] = []
    bench.start_scheduler(Schedule("sync", "0 * * * *", noting(ticks, "leaving", takes_s=100)), owner="leaving")
    await asyncio.sleep(3_601)
    await bench.stop("leaving")
    bench.start_scheduler(Schedule("sync", "0 * * * *", noting(ticks, "heir")), owner="heir")
    await asyncio.sleep(0.1)
    assert [(owner, tick.taken_over) for owner, tick in ticks] == [("leaving", False), ("heir", True)]
    assert ticks[0][1].at == ticks[1][1].at


class FlakySchedules(SqlSchedules):
    """The schedules as a gateway sees them whose connection is away, or hangs, at times."""

    away = hangs = False

    async def begin(self, name: str, expression: str, *, owner: str, lease_s: float) -> Tick | NotDue:
        await self._weather()
        return await super().begin(name, expression, owner=owner, lease_s=lease_s)

    async def renew(self, tick: Tick, *, lease_s: float) -> bool:
        await self._weather()
        return await super().renew(tick, lease_s=lease_s)

    async def finish(self, tick: Tick, *, result: str = "", error: str = "") -> bool:
        await self._weather()
        return await super().finish(tick, result=result, error=error)

    async def _weather(self) -> None:
        if self.hangs:
            await asyncio.sleep(1_000)
        if self.away:
            raise StoreUnavailable("away")


@pytest.mark.parametrize("how", ["away", "hangs"])
async def test_a_run_that_cannot_be_held_stops_before_another_may_begin(bench: Bench, how: str) -> None:
    stopped_at: list[float] = []
    ticks: list[tuple[str, Tick]] = []

    async def dawdle(_: Tick) -> str:
        try:
            await asyncio.sleep(1_000)
        finally:
            stopped_at.append(now_s())
        return ""

    bench.schedules = cut_off = FlakySchedules(bench.database)
    bench.start_scheduler(Schedule("sync", "0 * * * *", dawdle, lease_s=LEASE_S), owner="cut off")
    await asyncio.sleep(3_599)
    bench.schedules = SqlSchedules(bench.database)
    await asyncio.sleep(2)
    setattr(cut_off, how, True)
    bench.start_scheduler(Schedule("sync", "0 * * * *", noting(ticks, "heir"), lease_s=LEASE_S), owner="heir")
    before_s = now_s()
    await asyncio.sleep(3 * LEASE_S)
    [(_, tick)] = ticks
    assert tick.taken_over
    assert len(stopped_at) == 1
    assert before_s < stopped_at[0] < 3_600 + LEASE_S


async def test_a_run_that_was_taken_over_is_stopped(bench: Bench) -> None:
    ticks: list[tuple[str, Tick]] = []
    ended: list[float] = []

    async def dawdle(tick: Tick) -> str:
        ticks.append(("me", tick))
        try:
            await asyncio.sleep(1_000)
        finally:
            ended.append(now_s())
        return ""

    bench.start_scheduler(Schedule("sync", "0 * * * *", dawdle, lease_s=LEASE_S))
    await asyncio.sleep(3_601)
    [(_, tick)] = ticks
    assert await bench.schedules.finish(tick, result="ended by somebody with our fence")
    await asyncio.sleep(LEASE_S)
    assert len(ended) == 1
    [kept] = await bench.schedules.schedules()
    assert kept.result == "ended by somebody with our fence"


async def test_the_end_of_a_run_is_written_down_once_the_store_is_back(bench: Bench) -> None:
    ticks: list[tuple[str, Tick]] = []
    bench.schedules = store = FlakySchedules(bench.database)
    bench.start_scheduler(Schedule("sync", "0 * * * *", noting(ticks, "me", takes_s=1)))
    await asyncio.sleep(3_600.5)
    store.away = True
    await asyncio.sleep(3)
    store.away = False
    await asyncio.sleep(2)
    assert len(ticks) == 1
    [kept] = await store.schedules()
    assert (kept.runs, kept.result, kept.holder) == (1, "by me", None)


async def test_what_is_no_expression_is_refused_at_the_start(bench: Bench) -> None:
    with pytest.raises(ValueError, match="no cron expression"):
        bench.start_scheduler(Schedule("sync", "every now and then", noting([], "me")))
