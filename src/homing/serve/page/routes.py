"""The pages' addresses. Each needs a cookie, or a key as the API does; without one it leads to the login."""

from typing import Any

from litestar import Response, get
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from homing.serve.page import alerts, downtime, instances, now, pair, sessions, settings, signing
from homing.serve.page.answering import Asked, led_to, page_of
from homing.serve.page.care import deaf, pairing
from homing.serve.page.customers import deliveries, endpoints
from homing.serve.page.customers import dialogs as customers_dialogs
from homing.serve.page.dialogs import fleet as fleet_dialogs
from homing.serve.page.dialogs import instances as instance_dialogs
from homing.serve.page.dialogs import sessions as session_dialogs
from homing.serve.page.files import static_files, static_path
from homing.serve.page.moving import moves, plans
from homing.serve.page.outbox import batches, messages
from homing.serve.page.outbox import dialogs as outbox_dialogs
from homing.serve.page.viewer import Viewer


@get("/", include_in_schema=False)
async def root(request: Asked) -> Response[Any]:
    return led_to(request, "/now")


@get("/now", include_in_schema=False)
async def now_page(request: Asked) -> Response[Any]:
    span = request.query_params.get("span", "")
    return await page_of(request, "now", lambda viewer: now.context(viewer, span))


@get("/instances", include_in_schema=False)
async def instances_page(request: Asked) -> Response[Any]:
    health = request.query_params.get("health", "")
    return await page_of(request, "instances", lambda viewer: instances.context(viewer, health))


@get("/instances/{number:int}", include_in_schema=False)
async def instance_page(request: Asked, number: FromPath[int]) -> Response[Any]:
    return await page_of(request, "instances", lambda viewer: instances.one(viewer, number))


@get("/sessions", include_in_schema=False)
async def sessions_page(request: Asked) -> Response[Any]:
    query = dict(request.query_params)
    return await page_of(request, "sessions", lambda viewer: sessions.context(viewer, query))


@get("/sessions/{ref:str}", include_in_schema=False)
async def session_page(request: Asked, ref: FromPath[str]) -> Response[Any]:
    return await page_of(request, "sessions", lambda viewer: sessions.one(viewer, ref))


@get("/moves", include_in_schema=False)
async def moves_page(request: Asked) -> Response[Any]:
    kind = request.query_params.get("kind", "")
    return await page_of(request, "moves", lambda viewer: moves.context(viewer, kind))


@get("/plans", include_in_schema=False)
async def plans_page(request: Asked) -> Response[Any]:
    return await page_of(request, "moves", plans.context)


@get("/plans/{plan_id:str}", include_in_schema=False)
async def plan_page(request: Asked, plan_id: FromPath[str]) -> Response[Any]:
    return await page_of(request, "moves", lambda viewer: plans.one(viewer, plan_id))


@get("/plans/{plan_id:str}/{action:str}", include_in_schema=False)
async def plan_dialog(request: Asked, plan_id: FromPath[str], action: FromPath[str]) -> Response[Any]:
    return await page_of(request, "moves", lambda viewer: plans.dialog(viewer, plan_id, action))


@get("/messages", include_in_schema=False)
async def messages_page(request: Asked) -> Response[Any]:
    query = dict(request.query_params)
    return await page_of(request, "messages", lambda viewer: messages.context(viewer, query))


@get("/messages/{uuid:str}", include_in_schema=False)
async def message_page(request: Asked, uuid: FromPath[str]) -> Response[Any]:
    return await page_of(request, "messages", lambda viewer: messages.one(viewer, uuid))


@get("/batches", include_in_schema=False)
async def batches_page(request: Asked) -> Response[Any]:
    query = dict(request.query_params)
    return await page_of(request, "batches", lambda viewer: batches.context(viewer, query))


@get("/batches/{ref:str}", include_in_schema=False)
async def batch_page(request: Asked, ref: FromPath[str]) -> Response[Any]:
    query = dict(request.query_params)
    return await page_of(request, "batches", lambda viewer: batches.one(viewer, ref, query))


@get("/more", include_in_schema=False)
async def more_page(request: Asked) -> Response[Any]:
    return await page_of(request, "more", _nothing_more)


@get("/pairing", include_in_schema=False)
async def pairing_page(request: Asked) -> Response[Any]:
    return await page_of(request, "pairing", pairing.context)


@get("/deaf", include_in_schema=False)
async def deaf_page(request: Asked) -> Response[Any]:
    return await page_of(request, "deaf", deaf.context)


@get("/endpoints", include_in_schema=False)
async def endpoints_page(request: Asked) -> Response[Any]:
    query = dict(request.query_params)
    return await page_of(request, "endpoints", lambda viewer: endpoints.context(viewer, query))


@get("/endpoints/{ref:str}", include_in_schema=False)
async def endpoint_page(request: Asked, ref: FromPath[str]) -> Response[Any]:
    query = dict(request.query_params)
    return await page_of(request, "endpoints", lambda viewer: endpoints.one(viewer, ref, query))


@get("/deliveries/{number:int}", include_in_schema=False)
async def delivery_page(request: Asked, number: FromPath[int]) -> Response[Any]:
    return await page_of(request, "endpoints", lambda viewer: deliveries.one(viewer, number))


@get("/downtime", include_in_schema=False)
async def downtime_page(request: Asked) -> Response[Any]:
    query = dict(request.query_params)
    return await page_of(request, "downtime", lambda viewer: downtime.context(viewer, query))


@get("/alerts", include_in_schema=False)
async def alerts_page(request: Asked) -> Response[Any]:
    kind, by = request.query_params.get("kind", ""), request.query_params.get("by", "")
    return await page_of(request, "alerts", lambda viewer: alerts.context(viewer, kind, by))


@get("/settings", include_in_schema=False)
async def settings_page(request: Asked) -> Response[Any]:
    return await page_of(request, "settings", settings.context)


@get("/instances/{number:int}/{action:str}", include_in_schema=False)
async def instance_dialog(request: Asked, number: FromPath[int], action: FromPath[str]) -> Response[Any]:
    return await page_of(request, "instances", lambda viewer: instance_dialogs.of_instance(viewer, number, action))


@get("/sessions/{ref:str}/{action:str}", include_in_schema=False)
async def session_dialog(request: Asked, ref: FromPath[str], action: FromPath[str]) -> Response[Any]:
    """Or the page of a session with a slash in its name, as people type it."""
    if action not in session_dialogs.ACTIONS:
        return await page_of(request, "sessions", lambda viewer: sessions.one(viewer, f"{ref}/{action}"))
    return await page_of(request, "sessions", lambda viewer: session_dialogs.of_session(viewer, ref, action))


@get("/sessions/{ref:str}/outbox/go", include_in_schema=False)
async def held_dialog(request: Asked, ref: FromPath[str]) -> Response[Any]:
    return await page_of(request, "sessions", lambda viewer: outbox_dialogs.of_held(viewer, ref))


@get("/messages/{uuid:str}/{action:str}", include_in_schema=False)
async def message_dialog(request: Asked, uuid: FromPath[str], action: FromPath[str]) -> Response[Any]:
    return await page_of(request, "messages", lambda viewer: outbox_dialogs.of_message(viewer, uuid, action))


@get("/batches/{ref:str}/{action:str}", include_in_schema=False)
async def batch_dialog(request: Asked, ref: FromPath[str], action: FromPath[str]) -> Response[Any]:
    return await page_of(request, "batches", lambda viewer: outbox_dialogs.of_batch(viewer, ref, action))


@get("/endpoints/{ref:str}/{action:str}", include_in_schema=False)
async def endpoint_dialog(request: Asked, ref: FromPath[str], action: FromPath[str]) -> Response[Any]:
    return await page_of(request, "endpoints", lambda viewer: customers_dialogs.of_endpoint(viewer, ref, action))


@get("/deliveries/{number:int}/{action:str}", include_in_schema=False)
async def delivery_dialog(request: Asked, number: FromPath[int], action: FromPath[str]) -> Response[Any]:
    return await page_of(request, "endpoints", lambda viewer: customers_dialogs.of_delivery(viewer, number, action))


@get("/fleet/{action:str}", include_in_schema=False)
async def fleet_dialog(request: Asked, action: FromPath[str]) -> Response[Any]:
    return await page_of(request, "instances", lambda viewer: fleet_dialogs.of_fleet(viewer, action))


async def _nothing_more(_: Viewer) -> dict[str, Any]:
    return {}


@get("/static/{version:str}/{name:str}", include_in_schema=False)
async def static(version: FromPath[str], name: FromPath[str]) -> Response[Any]:
    file = static_files().get(name)
    if file is None or f"/static/{version}" != static_path():
        raise NotFoundException
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(file.body, media_type=file.media_type, headers=headers)


PAGES: list[ControllerRouterHandler] = [
    root,
    now_page,
    instances_page,
    instance_page,
    sessions_page,
    session_page,
    moves_page,
    plans_page,
    plan_page,
    plan_dialog,
    messages_page,
    message_page,
    batches_page,
    batch_page,
    more_page,
    pairing_page,
    deaf_page,
    endpoints_page,
    endpoint_page,
    delivery_page,
    downtime_page,
    alerts_page,
    settings_page,
    instance_dialog,
    session_dialog,
    held_dialog,
    message_dialog,
    batch_dialog,
    endpoint_dialog,
    delivery_dialog,
    fleet_dialog,
    static,
    pair.pair_page,
    pair.open_pair,
    signing.login_page,
    signing.login,
    signing.logout,
]
