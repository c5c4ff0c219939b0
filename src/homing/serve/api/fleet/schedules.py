"""`/schedules`: what runs by itself, when it last did, and when it will."""

from litestar import get

from homing.serve.api.context import OPERATOR, TheGateway
from homing.serve.schedule_view import ScheduleView, shown
from homing.serve.views import Listing


@get("/schedules", guards=[OPERATOR], tags=["operations"], summary="What runs by itself")
async def schedules(gateway: TheGateway) -> Listing[ScheduleView]:
    now = gateway.clock.now()
    return Listing([shown(record, now) for record in await gateway.stores.schedules.schedules()])
