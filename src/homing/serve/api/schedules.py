"""`/schedules`: what runs by itself, when it last did, and when it will."""

from typing import Any

from litestar import get

from homing.serve.api.context import ADMIN, TheGateway
from homing.serve.schedule_view import shown


@get("/schedules", guards=[ADMIN], tags=["operations"], summary="What runs by itself")
async def schedules(gateway: TheGateway) -> dict[str, Any]:
    now = gateway.clock.now()
    return {"data": [shown(record, now) for record in await gateway.stores.schedules.schedules()], "next": None}
