"""`/schedules`: what runs by itself, when it last did, and when it will."""

from datetime import datetime

import msgspec
from litestar import get

from homing.decide.work import cron
from homing.model.work import ScheduleRecord
from homing.serve.api.context import OPERATOR, TheGateway
from homing.serve.api.listing import Listing


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


def schedule_view(record: ScheduleRecord, now: datetime) -> ScheduleView:
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


@get("/schedules", guards=[OPERATOR], tags=["operations"], summary="What runs by itself")
async def schedules(gateway: TheGateway) -> Listing[ScheduleView]:
    now = gateway.clock.now()
    return Listing([schedule_view(record, now) for record in await gateway.stores.schedules.schedules()])
