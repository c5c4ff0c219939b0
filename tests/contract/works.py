"""What the suites of the work table share: short ways to ask it."""

from homing.model.work import Done, Ending, Job, JobId, NewJob
from homing.store.work.queue import SqlWork


async def add(work: SqlWork, *jobs: NewJob) -> list[JobId]:
    ids = await work.enqueue(jobs)
    assert None not in ids
    return [made for made in ids if made is not None]


async def claim(
    work: SqlWork, limit: int = 100, *, kind: str = "k", owner: str = "me", lease_s: float = 30
) -> list[Job]:
    return await work.claim(kind, owner=owner, limit=limit, lease_s=lease_s)


async def claim_one(work: SqlWork, *, owner: str = "me", lease_s: float = 30) -> Job:
    [job] = await claim(work, 1, owner=owner, lease_s=lease_s)
    return job


async def is_accepted(work: SqlWork, job: Job, ending: Ending | None = None) -> bool:
    return await work.settle([(job, ending or Done())]) == {job.id}


async def found(work: SqlWork, job_id: JobId) -> Job:
    job = await work.job(job_id)
    assert job is not None
    return job


def numbers(jobs: list[Job]) -> list[int]:
    return [job.payload["n"] for job in jobs]
