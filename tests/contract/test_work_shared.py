"""The work table among many: gateways that hear of work, claimers that get in each other's way, one that is killed."""

import asyncio
import random
import subprocess
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from typing import TypeVar

import pytest
from sqlalchemy import Connection, text
from works import add, claim, claim_one, found, is_accepted, numbers

from clocks import PassTime
from homing.model.work import Done, Ending, Job, JobState, NewJob, Retry
from homing.store.db.database import Database
from homing.store.db.opening import open_database
from homing.store.notices.notices import StagedNotices
from homing.store.notices.opening import open_notices
from homing.store.work import jobs as operations
from homing.store.work.queue import SqlWork

T = TypeVar("T")


@pytest.fixture
async def gateways(postgres_url: str) -> AsyncIterator[list[SqlWork]]:
    """Three gateways on one PostgreSQL, with the notices they really use."""
    opened: list[tuple[Database, StagedNotices]] = []
    for _ in range(3):
        database = open_database(postgres_url, pool_size=4)
        opened.append((database, await open_notices(database, postgres_url)))
    yield [SqlWork(database, notices) for database, notices in opened]
    for database, notices in opened:
        await notices.close()
        await database.close()


async def test_the_bell_rings_in_every_gateway(gateways: list[SqlWork]) -> None:
    here, there, _ = gateways
    bell = there.bell("k")
    await add(here, NewJob("k"))
    async with asyncio.timeout(5):
        await bell.wait()
    assert len(await claim(there)) == 1


# --- many claimers ------------------------------------------------------------------------------------------------


class Watch:
    """Sees to it that no job is done twice at a time and that each key keeps its order."""

    def __init__(self) -> None:
        self.done: dict[str, list[int]] = defaultdict(list)
        self.busy: set[str] = set()

    def begin(self, job: Job) -> None:
        assert job.key is not None
        assert job.key not in self.busy, "two jobs of a key at a time"
        self.busy.add(job.key)

    def end(self, job: Job) -> None:
        assert job.key is not None
        self.busy.discard(job.key)
        self.done[job.key].append(job.payload["n"])


async def clear_all(works: list[SqlWork], watch: Watch, *, claimers: int, total: int, seed: int) -> None:
    """Many claimers, on several gateways, until all is done."""
    chance = random.Random(seed)

    async def claimer(number: int) -> None:
        work = works[number % len(works)]
        while sum(map(len, watch.done.values())) < total:
            jobs = await claim(work, chance.randrange(1, 6), owner=f"claimer {number}")
            for job in jobs:
                watch.begin(job)
            await asyncio.sleep(chance.random() * 0.002)
            endings: list[tuple[Job, Ending]] = []
            for job in jobs:
                if chance.random() < 0.2:
                    watch.busy.discard(job.key or "")
                    endings.append((job, Retry(0, "again")))
                else:
                    watch.end(job)
                    endings.append((job, Done()))
            assert await work.settle(endings) == {job.id for job in jobs}

    async with asyncio.timeout(60):
        await asyncio.gather(*(claimer(number) for number in range(claimers)))


async def test_many_claimers_keep_the_order_of_every_key_and_do_nothing_twice(work: SqlWork) -> None:
    await add(work, *(NewJob("k", {"n": n}, key=f"key {n % 7}") for n in range(210)))
    watch = Watch()
    await clear_all([work], watch, claimers=8, total=210, seed=1)
    assert watch.done == {f"key {key}": list(range(key, 210, 7)) for key in range(7)}


async def test_gateways_that_add_and_finish_at_once_leave_no_job_behind(gateways: list[SqlWork]) -> None:
    """Adding behind a head while it is being finished is where a job would be forgotten."""
    watch, total = Watch(), 300

    async def add_on() -> None:
        for number in range(total):
            await add(gateways[number % 3], NewJob("k", {"n": number}, key=f"key {number % 3}"))

    await asyncio.gather(add_on(), clear_all(gateways, watch, claimers=6, total=total, seed=2))
    assert watch.done == {f"key {key}": list(range(key, total, 3)) for key in range(3)}
    assert (await gateways[0].figures())[0].counts == {JobState.DONE: total}


async def test_adding_behind_a_head_that_is_just_being_finished_forgets_nobody(gateways: list[SqlWork]) -> None:
    """Two open transactions do not see each other, whichever began first."""
    here, there, _ = gateways
    await add(here, NewJob("k", {"n": 0}, key="one"))
    job = await claim_one(here)
    adding = asyncio.create_task(
        dawdle(here, lambda c, d: operations.enqueue(c, d, [NewJob("k", {"n": 1}, key="one")]))
    )
    await dawdling(there)
    await there.settle([(job, Done())])
    await adding
    second = await claim_one(there)
    assert second.payload == {"n": 1}
    finishing = asyncio.create_task(dawdle(here, lambda c, d: operations.settle(c, d, [(second, Done())])))
    await dawdling(there)
    await add(there, NewJob("k", {"n": 2}, key="one"))
    await finishing
    assert (await claim_one(there)).payload == {"n": 2}


async def test_claimers_do_not_wait_for_each_other(gateways: list[SqlWork]) -> None:
    """A job whose claim is not committed yet is passed over."""
    here, there, _ = gateways
    await add(here, NewJob("k", {"n": 0}), NewJob("k", {"n": 1}))
    slow = asyncio.create_task(
        dawdle(here, lambda c, d: operations.claim(c, d, "k", owner="slow", limit=1, lease_s=30))
    )
    await dawdling(there)
    quick = await claim(there, 1)
    assert not slow.done()
    assert sorted(numbers(quick) + numbers(await slow)) == [0, 1]


async def dawdle(work: SqlWork, operation: Callable[[Connection, Database], T]) -> T:
    """Do it, and be slow to commit."""

    def slowly(connection: Connection) -> T:
        value = operation(connection, work._database)
        connection.execute(text("SELECT pg_sleep(0.3)"))
        return value

    return await work._database.write(slowly)


async def dawdling(work: SqlWork) -> None:
    """Until somebody on this database is being slow to commit."""
    sleeping = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'PgSleep' AND datname = current_database()"
    async with asyncio.timeout(5):
        while not await work._database.read(lambda c: c.scalar(text(sleeping))):  # noqa: ASYNC110 - it sends no word
            await asyncio.sleep(0.005)


# --- death --------------------------------------------------------------------------------------------------------

CLAIM_AND_HANG = """
import asyncio, sys
from homing.store.notices.notices import LocalNotices
from homing.store.db.opening import open_database
from homing.store.work.queue import SqlWork

async def main() -> None:
    work = SqlWork(open_database(sys.argv[1]), LocalNotices())
    [job] = await work.claim("k", owner="doomed", limit=1, lease_s=30)
    print(job.fence, flush=True)
    await asyncio.sleep(3600)

asyncio.run(main())
"""


@pytest.mark.e2e
@pytest.mark.parametrize("database", ["sqlite", "postgres"], indirect=True)
async def test_the_work_of_a_killed_process_is_taken_over(
    work: SqlWork, database: Database, pass_time: PassTime, request: pytest.FixtureRequest
) -> None:
    url = request.getfixturevalue("postgres_url" if database.dialect == "postgresql" else "sqlite_url")
    [job_id, _] = await add(work, NewJob("k", key="one"), NewJob("k", key="one"))
    process = await asyncio.create_subprocess_exec(sys.executable, "-c", CLAIM_AND_HANG, url, stdout=subprocess.PIPE)
    assert process.stdout is not None
    fence = int(await process.stdout.readline())
    doomed = await found(work, job_id)
    assert (doomed.owner, doomed.fence) == ("doomed", fence)
    process.kill()
    await process.wait()
    assert await claim(work) == [], "its lease still runs"
    if database.dialect == "sqlite":  # the process there went by the time of day
        await database.write(lambda c: c.execute(text("UPDATE jobs SET due_at = '2020-01-01T00:00:00.000000Z'")))
    await pass_time(31)
    heir = await claim_one(work, owner="heir")
    assert (heir.id, heir.fence) == (job_id, fence + 1)
    assert not await is_accepted(work, doomed)
    assert await is_accepted(work, heir)
