"""`/automation`: whether sessions are moved without anybody asking."""

from datetime import datetime

import msgspec
from litestar import Router, get, put
from litestar.params import JSONBody

from homing.serve.api.context import OPERATOR, Asking, TheGateway, operator
from homing.serve.gateway import Gateway
from homing.serve.http.described import also


class AutomationBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Whether Homing may move sessions by itself."""

    on: bool


class AutomationView(msgspec.Struct):
    """Not `allowed`: this gateway's settings keep it off. `by` and `since` say who turned the switch last, and when."""

    on: bool
    allowed: bool
    by: str
    since: datetime | None


def automation_view(gateway: Gateway) -> AutomationView:
    automation = gateway.moving.automation
    return AutomationView(automation.is_on(), automation.allowed, automation.set.by, automation.set.since)


@get("/automation", guards=[OPERATOR], summary="Whether sessions are moved without anybody asking")
async def automation(gateway: TheGateway) -> AutomationView:
    return automation_view(gateway)


@put("/automation", guards=[OPERATOR], opt=also(409), summary="Turn automation on or off, for all gateways")
async def turn_automation(data: JSONBody[AutomationBody], gateway: TheGateway, caller: Asking) -> AutomationView:
    """Off: what was begun arrives, and people may move what they like; sessions of an instance that is lost stay where
    they are until it is on again. The other gateways follow within a second."""
    operator(caller)
    word = "on" if data.on else "off"
    await gateway.stores.audit.note(f"automation.{word}", "fleet")
    await gateway.moving.automation.turn(on=data.on, by=caller.key.name or f"key {caller.key.id}")
    return automation_view(gateway)


router = Router("/", route_handlers=[automation, turn_automation], tags=["fleet"])
