"""The work table: done in order, held under leases and fences, on every store."""

import pytest
from sqlalchemy import Connection, text
from works import add, claim, claim_one, found, is_accepted, numbers

from clocks import PassTime
from homing.model.work import TAKEN_OVER, Dead, Done, Ending, GivenBack, Job, JobId, JobState, NewJob, Priority, Retry
from homing.ports import CacheCleared, Notice, Page, WorkReady
from homing.store.db.database import Database
from homing.store.notices.notices import LocalNotices
from homing.store.work import jobs as operations
from homing.store.work.queue import SqlWork

ALL = Page(limit=10_000)


# --- enqueue and claim --------------------------------------------------------------------------------------------


async def test_a_job_comes_back_as_it_was_given(work: SqlWork) -> None:
    payload = {"z": 1, "a": [True, None, "ünï \0 \ud800"], "nested": {"b": 2.5}}
    [job_id] = await add(work, NewJob("k", payload, key="key", dedup="dedup", priority=Priority.URGENT))
    job = await claim_one(work)
    assert (job.id, job.kind, job.key, job.dedup, job.priority) == (job_id, "k", "key", "dedup", Priority.URGENT)
    assert job.payload == payload
    assert list(job.payload) == list(payload)
    assert (job.state, job.attempts, job.fence, job.owner) == (JobState.RUNNING, 1, 1, "me")
    assert 29 < (job.due_at - job.created_at).total_seconds() < 40
    assert await found(work, job_id) == job


async def test_a_job_is_claimed_once_and_only_by_its_kind(work: SqlWork) -> None:
    await add(work, NewJob("k"), NewJob("other"))
    assert len(await claim(work)) == 1
    assert await claim(work) == []
    assert len(await claim(work, kind="other")) == 1


async def test_a_claim_takes_no_more_than_its_limit_and_the_oldest_first(work: SqlWork) -> None:
    await add(work, *(NewJob("k", {"n": n}) for n in range(5)))
    assert numbers(await claim(work, 3)) == [0, 1, 2]
    assert numbers(await claim(work, 3)) == [3, 4]


async def test_urgent_work_goes_first(work: SqlWork) -> None:
    order = [Priority.BULK, Priority.NORMAL, Priority.URGENT, Priority.BULK, Priority.URGENT]
    await add(work, *(NewJob("k", {"n": n}, priority=priority) for n, priority in enumerate(order)))
    assert numbers(await claim(work, 3)) == [2, 4, 1]
    assert numbers(await claim(work, 3)) == [0, 3]


async def test_a_job_waits_for_its_time(work: SqlWork, pass_time: PassTime) -> None:
    assert await work.next_due_s("k") is None
    await add(work, NewJob("k", after_s=60), NewJob("k", after_s=90, priority=Priority.URGENT))
    assert await claim(work) == []
    assert await work.next_due_s("k") == pytest.approx(60, abs=5)
    await pass_time(61)
    assert await work.next_due_s("k") == 0
    assert len(await claim(work)) == 1
    assert await work.next_due_s("k") == pytest.approx(29, abs=5), "the other job, and the lease, end about then"


async def test_an_unfinished_job_of_the_same_dedup_is_not_added_again(work: SqlWork) -> None:
    first, again, other_kind, also = await work.enqueue(
        [NewJob("k", dedup="d"), NewJob("k", dedup="d"), NewJob("other", dedup="d"), NewJob("k")]
    )
    assert again is None
    assert None not in (first, other_kind, also)
    assert (await found(work, JobId(first or 0))).kind == "k"
    assert (await found(work, JobId(other_kind or 0))).kind == "other"
    assert (await found(work, JobId(also or 0))).dedup is None
    [job] = await claim(work, 1)
    assert await work.enqueue([NewJob("k", dedup="d")]) == [None]
    await work.settle([(job, Done())])
    assert await work.enqueue([NewJob("k", dedup="d")]) != [None]


async def test_thousands_at_once(work: SqlWork) -> None:
    ids = await add(work, *(NewJob("k", {"n": n}, key=f"key {n}") for n in range(2_500)))
    assert ids == sorted(set(ids))
    jobs = await claim(work, 3_000)
    assert [job.id for job in jobs] == ids
    assert numbers(jobs) == list(range(2_500))
    assert await work.renew(jobs, lease_s=60) == set(ids)
    assert await work.settle([(job, Done("well")) for job in jobs]) == set(ids)
    assert await claim(work) == []


async def test_nothing_is_asked_for_nothing(work: SqlWork, statements: list[str]) -> None:
    assert (await work.enqueue([]), await work.renew([], lease_s=1), await work.settle([])) == ([], set(), set())
    assert statements == []


# --- the order within a key ---------------------------------------------------------------------------------------


async def test_jobs_of_a_key_go_one_at_a_time_in_order_and_keys_are_independent(work: SqlWork) -> None:
    await add(work, *(NewJob("k", {"n": n}, key=f"key {n % 2}") for n in range(6)))
    done: list[int] = []
    for _ in range(3):
        jobs = await claim(work)
        assert len(jobs) == 2
        assert await claim(work) == []
        done += numbers(jobs)
        await work.settle([(job, Done()) for job in jobs])
    assert done == list(range(6))
    assert await claim(work) == []


async def test_a_key_is_shared_by_all_kinds(work: SqlWork) -> None:
    await add(work, NewJob("k", key="session"), NewJob("other", key="session"))
    assert await claim(work, kind="other") == []
    await work.settle([(await claim_one(work), Done())])
    assert len(await claim(work, kind="other")) == 1


async def test_urgency_does_not_overtake_within_a_key(work: SqlWork) -> None:
    await add(work, NewJob("k", {"n": 0}, key="one"), NewJob("k", {"n": 1}, key="one", priority=Priority.URGENT))
    assert numbers(await claim(work)) == [0]


async def test_a_job_to_be_tried_again_holds_up_those_behind_it(work: SqlWork, pass_time: PassTime) -> None:
    await add(work, *(NewJob("k", {"n": n}, key="one") for n in range(2)))
    await work.settle([(await claim_one(work), Retry(60, "not now"))])
    assert await claim(work) == []
    await pass_time(61)
    assert numbers(await claim(work)) == [0]


@pytest.mark.parametrize("end", [Done(), Dead("hopeless")])
async def test_an_ended_job_lets_the_next_go(work: SqlWork, end: Ending) -> None:
    await add(work, *(NewJob("k", {"n": n}, key="one") for n in range(2)))
    await work.settle([(await claim_one(work), end)])
    assert numbers(await claim(work)) == [1]


async def test_a_skipped_double_leaves_nothing_stuck(work: SqlWork) -> None:
    await add(work, NewJob("k", {"n": 0}, dedup="d"))
    assert (await work.enqueue([NewJob("k", key="one", dedup="d"), NewJob("k", {"n": 1}, key="one")]))[0] is None
    assert numbers(await claim(work)) == [0, 1]


# --- leases and fences --------------------------------------------------------------------------------------------


async def test_a_lease_that_ran_out_is_taken_over_and_the_old_fence_refused(work: SqlWork, pass_time: PassTime) -> None:
    [job_id] = await add(work, NewJob("k", key="one"))
    vanished = await claim_one(work, owner="vanished")
    await pass_time(29)
    assert await claim(work, owner="heir") == []
    await pass_time(2)
    heir = await claim_one(work, owner="heir")
    assert (heir.id, heir.fence, heir.attempts, heir.owner) == (job_id, vanished.fence + 1, 2, "heir")
    assert (vanished.reason, heir.reason) == ("", TAKEN_OVER)
    assert await work.renew([vanished], lease_s=30) == set()
    assert await work.renew([vanished, heir], lease_s=30) == {job_id}
    heir = await found(work, job_id)
    for ending in (Done("late"), Retry(0, "late"), Dead("late"), GivenBack("late")):
        assert not await is_accepted(work, vanished, ending)
    assert await found(work, job_id) == heir
    assert await is_accepted(work, heir, Done("well"))
    assert (await found(work, job_id)).reason == "well"


async def test_a_slow_holder_that_nobody_replaced_may_still_finish(work: SqlWork, pass_time: PassTime) -> None:
    await add(work, NewJob("k"))
    job = await claim_one(work)
    await pass_time(60)
    assert await is_accepted(work, job)


async def test_renewing_keeps_the_job(work: SqlWork, pass_time: PassTime) -> None:
    await add(work, NewJob("k"), NewJob("k"))
    kept, left = await claim(work)
    for _ in range(3):
        await pass_time(20)
        assert await work.renew([kept], lease_s=30) == {kept.id}
    assert [job.id for job in await claim(work)] == [left.id]


async def test_the_fence_rises_with_every_claim_and_never_falls(work: SqlWork) -> None:
    await add(work, NewJob("k"))
    fences = []
    for ending in (Retry(0, "again"), GivenBack("leaving"), Dead("enough")):
        job = await claim_one(work)
        fences.append(job.fence)
        await work.settle([(job, ending)])
    await work.replay([job.id])
    fences.append((await claim_one(work)).fence)
    assert fences == [1, 2, 3, 4]


async def test_an_ending_counts_once(work: SqlWork) -> None:
    [job_id] = await add(work, NewJob("k"))
    job = await claim_one(work)
    assert await is_accepted(work, job, Retry(60, "not now"))
    assert not await is_accepted(work, job, Done())
    assert (await found(work, job_id)).state is JobState.READY


async def test_what_is_given_back_is_free_at_once_and_was_no_attempt(work: SqlWork) -> None:
    await add(work, NewJob("k"))
    await work.settle([(await claim_one(work), GivenBack("leaving"))])
    assert (await claim_one(work)).attempts == 1


async def test_a_batch_of_endings_is_judged_one_by_one(work: SqlWork, pass_time: PassTime) -> None:
    await add(work, *(NewJob("k", {"n": n}) for n in range(4)))
    [lost] = await claim(work, 1, lease_s=1)
    await pass_time(2)
    [regained, *others] = await claim(work)
    assert regained.id == lost.id
    endings: list[tuple[Job, Ending]] = [(lost, Done()), *zip(others, (Done(), Retry(5, ""), Dead("x")), strict=True)]
    assert await work.settle(endings) == {job.id for job in others}
    states = [(await found(work, job.id)).state for job in (lost, *others)]
    assert states == [JobState.RUNNING, JobState.DONE, JobState.READY, JobState.DEAD]


# --- dead letters, cancelling, keeping house ----------------------------------------------------------------------


async def test_dead_jobs_are_kept_with_their_reason_and_can_live_again(work: SqlWork) -> None:
    first, second = await add(work, NewJob("k", {"n": 0}, key="one"), NewJob("k", {"n": 1}, key="one"))
    await work.settle([(await claim_one(work), Dead("no such number"))])
    [dead] = await work.jobs(ALL, kind="k", state=JobState.DEAD)
    assert (dead.id, dead.reason, dead.owner) == (first, "no such number", None)
    assert dead.finished_at is not None
    running = await claim_one(work)
    assert running.id == second
    assert await work.replay([first, second, JobId(10**6)]) == {first}
    assert await claim(work) == [], "the key is busy"
    await work.settle([(running, Done())])
    again = await claim_one(work)
    assert (again.id, again.attempts, again.finished_at) == (first, 1, None)


async def test_a_dead_job_does_not_live_beside_its_double(work: SqlWork) -> None:
    [dead] = await add(work, NewJob("k", dedup="d"))
    await work.settle([(await claim_one(work), Dead("x"))])
    await add(work, NewJob("k", dedup="d"))
    assert await work.replay([dead]) == set()
    assert (await found(work, dead)).state is JobState.DEAD


async def test_only_what_nobody_has_claimed_can_be_cancelled(work: SqlWork) -> None:
    head, behind, last = await add(work, *(NewJob("k", {"n": n}, key="one") for n in range(3)))
    assert await work.cancel(behind)
    assert not await work.cancel(behind)
    job = await claim_one(work)
    assert not await work.cancel(head)
    await work.settle([(job, Done())])
    assert (await claim_one(work)).id == last
    assert (await found(work, behind)).state is JobState.CANCELLED
    assert not await work.cancel(JobId(10**6))


async def test_a_cancelled_head_lets_the_next_go(work: SqlWork) -> None:
    head, behind = await add(work, NewJob("k", key="one"), NewJob("k", key="one"))
    assert await work.cancel(head)
    assert (await claim_one(work)).id == behind


async def test_figures_count_by_kind_and_state_and_know_the_oldest(work: SqlWork, pass_time: PassTime) -> None:
    await add(work, NewJob("a"), NewJob("a"), NewJob("b", key="x"), NewJob("b", key="x"), NewJob("b", after_s=1_000))
    await pass_time(100)
    await work.settle([((await claim(work, 1, kind="a"))[0], Done())])
    a, b = await work.figures()
    assert (a.kind, b.kind) == ("a", "b")
    assert a.counts == {JobState.READY: 1, JobState.DONE: 1}
    assert b.counts == {JobState.READY: 2, JobState.QUEUED: 1}
    assert a.oldest_due_s == pytest.approx(100, abs=5)
    await claim(work, kind="a")
    assert (await work.figures())[0].oldest_due_s == 0


async def test_what_is_open_of_some_is_the_newest_that_is_unfinished_or_dead(work: SqlWork) -> None:
    first = [NewJob("k", {"n": n}, dedup=dedup) for n, dedup in enumerate(("dead", "again", "done", "waiting"))]
    await add(work, *first)
    for job in (await claim(work))[:3]:
        assert await is_accepted(work, job, Done() if job.dedup == "done" else Dead("it cannot be"))
    await add(work, NewJob("k", {"n": 9}, dedup="again"), NewJob("other", {"n": 8}, dedup="waiting"), NewJob("k"))
    opened = await work.open_of("k", ["dead", "again", "done", "waiting", "never"])
    assert {dedup: (job.payload["n"], job.state) for dedup, job in opened.items()} == {
        "dead": (0, JobState.DEAD),
        "again": (9, JobState.READY),
        "waiting": (3, JobState.RUNNING),
    }
    assert opened["dead"].reason == "it cannot be"
    assert await work.open_of("k", []) == {}


async def test_jobs_are_listed_newest_first_in_pages(work: SqlWork) -> None:
    ids = await add(work, *(NewJob("k") for _ in range(5)), NewJob("other"))
    page = await work.jobs(Page(limit=2), kind="k")
    assert [job.id for job in page] == [ids[4], ids[3]]
    assert [job.id for job in await work.jobs(Page(after=ids[3], limit=9), kind="k")] == ids[2::-1]
    assert len(await work.jobs(ALL)) == 6


async def test_old_finished_jobs_are_forgotten_and_dead_ones_kept_longer(work: SqlWork, pass_time: PassTime) -> None:
    await add(work, *(NewJob("k") for _ in range(6)))
    one, two, three, dead, running = await claim(work, 5)
    await work.settle([(one, Done()), (two, Done()), (three, Done()), (dead, Dead("x"))])
    assert await work.prune(done_keep_s=60, dead_keep_s=600, limit=100) == 0
    await pass_time(61)
    assert await work.prune(done_keep_s=60, dead_keep_s=600, limit=2) == 2
    assert await work.prune(done_keep_s=60, dead_keep_s=600, limit=100) == 1
    assert [job.id for job in await work.jobs(ALL, state=JobState.DEAD)] == [dead.id]
    await pass_time(600)
    assert await work.prune(done_keep_s=60, dead_keep_s=600, limit=100) == 1
    assert {job.state for job in await work.jobs(ALL)} == {JobState.READY, JobState.RUNNING}
    assert await is_accepted(work, running)


# --- with other operations, and the bell --------------------------------------------------------------------------


async def test_jobs_are_added_with_the_transaction_that_wants_them_or_not_at_all(
    work: SqlWork, database: Database
) -> None:
    def two_things(connection: Connection, *, fails: bool) -> list[Notice]:
        connection.execute(text("INSERT INTO workspaces (id, created_at) VALUES (7, '2026-01-01T00:00:00Z')"))
        enqueued = operations.enqueue(connection, database, [NewJob("k", key="one")])
        if fails:
            raise ValueError("as told")
        return enqueued.notices

    with pytest.raises(ValueError, match="as told"):
        await database.write(lambda c: two_things(c, fails=True))
    assert await claim(work) == []
    assert await database.write(lambda c: two_things(c, fails=False)) == [WorkReady("k")]
    assert len(await claim(work)) == 1


async def test_the_bell_rings_for_what_is_new_and_for_what_is_next(work: SqlWork, local_notices: LocalNotices) -> None:
    bell, other = work.bell("k"), work.bell("other")
    await add(work, NewJob("k", key="one"), NewJob("k", key="one"))
    assert (bell.is_set(), other.is_set()) == (True, False)
    job = await claim_one(work)
    bell.clear()
    await work.settle([(job, Retry(5, "not now"))])
    assert not bell.is_set()
    job = await claim_after(work)
    await work.settle([(job, Done())])
    assert bell.is_set()
    bell.clear()
    await work.settle([(await claim_one(work), GivenBack("leaving"))])
    assert bell.is_set()
    await local_notices.publish([CacheCleared("notices may have been missed")])
    assert other.is_set()


async def claim_after(work: SqlWork) -> Job:
    """Claim a job whose time has not come, by making it so."""
    await work._database.write(lambda c: c.execute(text("UPDATE jobs SET due_at = '2020-01-01T00:00:00.000000Z'")))
    return await claim_one(work)
