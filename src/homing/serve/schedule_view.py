"""A schedule as the API and `homing schedule list` show it."""

from datetime import datetime

import msgspec

from homing.decide.work import cron
from homing.model.work import ScheduleRecord


class ScheduleView(msgspec.Struct):
    """Expression, last run, its result, and how long until the next."""

    name: str
    expression: str
    last_run_at: datetime | None
    finished_at: datetime | None
    running: bool
    result: str
    error: str
    runs: int
    failures: int
    next_at: datetime | None
    next_in_s: int | None


def shown(record: ScheduleRecord, now: datetime) -> ScheduleView:
    next_at = cron.next_at(record.expression, now)
    return ScheduleView(
        name=record.name,
        expression=record.expression,
        last_run_at=record.started_at,
        finished_at=record.finished_at,
        running=record.holder is not None,
        result=record.result,
        error=record.error,
        runs=record.runs,
        failures=record.failures,
        next_at=next_at,
        next_in_s=None if next_at is None else max(0, round((next_at - now).total_seconds())),
    )
