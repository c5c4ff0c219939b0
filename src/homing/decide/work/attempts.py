"""What becomes of a job whose attempt failed: tried again later, or given up with a reason."""

from dataclasses import dataclass
from datetime import datetime

from homing.model.work import Dead, Job, Retry


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """How patient we are with a job: a wait after each failed attempt, and then it is dead.

    Waits vary by `jitter` (a part of them) to either side, so that what failed together is not tried again together.
    A job older than `give_up_after_s` is not tried again, however few its attempts.
    """

    waits_s: tuple[float, ...] = (1, 5, 30, 120, 600, 1800)
    jitter: float = 0.2
    give_up_after_s: float | None = None

    @property
    def attempts_max(self) -> int:
        return len(self.waits_s) + 1


def after_failure(job: Job, failure: str, *, now: datetime, policy: RetryPolicy, chance: float) -> Retry | Dead:
    """When to try again, or why not. `chance` is from [0, 1); `now` may be any clock that is right to the second."""
    if job.attempts >= policy.attempts_max:
        return Dead(f"given up after {job.attempts} attempts: {failure}")
    wait_s = policy.waits_s[max(0, job.attempts - 1)] * (1 + policy.jitter * (2 * chance - 1))
    age_s = (now - job.created_at).total_seconds()
    if policy.give_up_after_s is not None and age_s + wait_s > policy.give_up_after_s:
        return Dead(f"given up at the age of {age_s:.0f} s, after {job.attempts} attempts: {failure}")
    return Retry(wait_s, failure)


def before_attempt(job: Job, policy: RetryPolicy) -> Dead | None:
    """Whether to give up before even trying: a job that took every worker with it would go on doing so."""
    if job.attempts <= policy.attempts_max:
        return None
    return Dead(f"{job.attempts - 1} attempts were begun and never came to an end; the last word was: {job.reason}")
