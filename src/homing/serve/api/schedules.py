"""`/schedules`: what runs by itself, when it last did, and when it will."""

from typing import Any

from litestar import get

from homing.serve.api.context import OPERATOR, TheGateway
from homing.serve.schedule_view import shown


@get("/schedules", guards=[OPERATOR], tags=["operations"], summary="What runs by itself")
async def schedules(gateway: TheGateway) -> dict[str, Any]:
    now = gateway.clock.now()
    return {"data": [shown(record, now) for record in await gateway.stores.schedules.schedules()], "next": None}
