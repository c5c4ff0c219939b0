"""The pages' addresses. Each needs a cookie, or a key as the API does; without one it leads to the login."""

import re
from collections.abc import Awaitable, Callable
from html import escape
from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs

import msgspec
from litestar import Request, Response, get, post
from litestar.exceptions import NotFoundException
from litestar.params import FromPath
from litestar.types import ControllerRouterHandler

from homing.model.errors import Code, Problem
from homing.serve.api.context import caller_of, note_by
from homing.serve.callers.signing_in import COOKIE, COOKIE_S, SignIns, check_is_ours, check_origin, csrf_token
from homing.serve.gateway import Gateway
from homing.serve.http import problems
from homing.serve.http.subpath import prefix_of
from homing.serve.page import alerts, dialogs, downtime, instances, moves, now, pair, sessions, settings
from homing.serve.page.files import static_files, static_path, templates
from homing.serve.page.outbox import batches, messages
from homing.serve.page.outbox import dialogs as outbox_dialogs
from homing.serve.page.viewer import Viewer, frame
from homing.serve.state.feed import StateFeed

Asked = Request[Any, Any, Any]
Context = Callable[[Viewer], Awaitable[dict[str, Any]]]
HTML = "text/html; charset=utf-8"
LOGIN_BYTES_MAX = 4096

_CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_HEADERS = {
    "Content-Security-Policy": _CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send our own forms as from "null"
    "Cache-Control": "no-store",
}


# --- the frame of an answer -----------------------------------------------------------------------------------


_ADDRESS = re.compile(r'(\s(?:href|src|action|data-path)=")(?=/)')


def _html(request: Asked, name: str, context: dict[str, Any], status: int = 200) -> Response[Any]:
    """The page, with its addresses as they are where it was asked for. No quote in it is anybody else's: all text is
    escaped."""
    page = templates().get_template(name).render(context)
    if root := prefix_of(request.scope):
        page = _ADDRESS.sub(lambda found: found[1] + escape(root), page)
    return Response(page, media_type=HTML, status_code=status, headers=_HEADERS)


def _to(request: Asked, path: str) -> Response[Any]:
    headers = {"Location": prefix_of(request.scope) + path, "Cache-Control": "no-store"}
    return Response(b"", status_code=303, headers=headers)


async def _viewer(request: Asked) -> Viewer | None:
    """Who looks; None for somebody whom we do not know. Raises Problem for any other reason to refuse."""
    try:
        caller = await caller_of(request)
    except Problem as problem:
        if problem.code is Code.UNAUTHENTICATED:
            return None
        raise
    gateway: Gateway = request.app.state.gateway
    feed: StateFeed = request.app.state.state_feed
    await feed.known()
    names = {str(url): known.name for url, known in gateway.fleet.roster.instances.items() if known.name}
    token = csrf_token(request.cookies.get(COOKIE, ""))
    return Viewer(gateway, feed, caller, token, gateway.clock.now(), names, prefix_of(request.scope))


async def _page(request: Asked, name: str, context: Context) -> Response[Any]:
    viewer = await _viewer(request)
    if viewer is None:
        return _to(request, "/login")
    try:
        own = await context(viewer)
    except Problem as problem:
        if problems.STATUS[problem.code] != 404:
            raise
        return _html(request, "missing.html", frame(viewer, name) | {"detail": problem.detail}, 404)
    return _html(request, f"{own.get('template', name)}.html", frame(viewer, name) | own)


# --- pages ----------------------------------------------------------------------------------------------------


@get("/", include_in_schema=False)
async def root(request: Asked) -> Response[Any]:
    return _to(request, "/now")


@get("/now", include_in_schema=False)
async def now_page(request: Asked) -> Response[Any]:
    return await _page(request, "now", now.context)


@get("/instances", include_in_schema=False)
async def instances_page(request: Asked) -> Response[Any]:
    health = request.query_params.get("health", "")
    return await _page(request, "instances", lambda viewer: instances.context(viewer, health))


@get("/instances/{number:int}", include_in_schema=False)
async def instance_page(request: Asked, number: FromPath[int]) -> Response[Any]:
    return await _page(request, "instances", lambda viewer: instances.one(viewer, number))


@get("/sessions", include_in_schema=False)
async def sessions_page(request: Asked) -> Response[Any]:
    query = dict(request.query_params)
    return await _page(request, "sessions", lambda viewer: sessions.context(viewer, query))


@get("/sessions/{ref:str}", include_in_schema=False)
async def session_page(request: Asked, ref: FromPath[str]) -> Response[Any]:
    return await _page(request, "sessions", lambda viewer: sessions.one(viewer, ref))


@get("/moves", include_in_schema=False)
async def moves_page(request: Asked) -> Response[Any]:
    kind = request.query_params.get("kind", "")
    return await _page(request, "moves", lambda viewer: moves.context(viewer, kind))


@get("/messages", include_in_schema=False)
async def messages_page(request: Asked) -> Response[Any]:
    query = dict(request.query_params)
    return await _page(request, "messages", lambda viewer: messages.context(viewer, query))


@get("/messages/{uuid:str}", include_in_schema=False)
async def message_page(request: Asked, uuid: FromPath[str]) -> Response[Any]:
    return await _page(request, "messages", lambda viewer: messages.one(viewer, uuid))


@get("/batches", include_in_schema=False)
async def batches_page(request: Asked) -> Response[Any]:
    query = dict(request.query_params)
    return await _page(request, "batches", lambda viewer: batches.context(viewer, query))


@get("/batches/{ref:str}", include_in_schema=False)
async def batch_page(request: Asked, ref: FromPath[str]) -> Response[Any]:
    query = dict(request.query_params)
    return await _page(request, "batches", lambda viewer: batches.one(viewer, ref, query))


@get("/downtime", include_in_schema=False)
async def downtime_page(request: Asked) -> Response[Any]:
    query = dict(request.query_params)
    return await _page(request, "downtime", lambda viewer: downtime.context(viewer, query))


@get("/alerts", include_in_schema=False)
async def alerts_page(request: Asked) -> Response[Any]:
    kind = request.query_params.get("kind", "")
    return await _page(request, "alerts", lambda viewer: alerts.context(viewer, kind))


@get("/settings", include_in_schema=False)
async def settings_page(request: Asked) -> Response[Any]:
    return await _page(request, "settings", settings.context)


@get("/instances/{number:int}/{action:str}", include_in_schema=False)
async def instance_dialog(request: Asked, number: FromPath[int], action: FromPath[str]) -> Response[Any]:
    return await _page(request, "instances", lambda viewer: dialogs.of_instance(viewer, number, action))


@get("/sessions/{ref:str}/{action:str}", include_in_schema=False)
async def session_dialog(request: Asked, ref: FromPath[str], action: FromPath[str]) -> Response[Any]:
    return await _page(request, "sessions", lambda viewer: dialogs.of_session(viewer, ref, action))


@get("/sessions/{ref:str}/outbox/go", include_in_schema=False)
async def held_dialog(request: Asked, ref: FromPath[str]) -> Response[Any]:
    return await _page(request, "sessions", lambda viewer: outbox_dialogs.of_held(viewer, ref))


@get("/messages/{uuid:str}/{action:str}", include_in_schema=False)
async def message_dialog(request: Asked, uuid: FromPath[str], action: FromPath[str]) -> Response[Any]:
    return await _page(request, "messages", lambda viewer: outbox_dialogs.of_message(viewer, uuid, action))


@get("/batches/{ref:str}/{action:str}", include_in_schema=False)
async def batch_dialog(request: Asked, ref: FromPath[str], action: FromPath[str]) -> Response[Any]:
    return await _page(request, "batches", lambda viewer: outbox_dialogs.of_batch(viewer, ref, action))


@get("/fleet/{action:str}", include_in_schema=False)
async def fleet_dialog(request: Asked, action: FromPath[str]) -> Response[Any]:
    return await _page(request, "instances", lambda viewer: dialogs.of_fleet(viewer, action))


@get("/static/{version:str}/{name:str}", include_in_schema=False)
async def static(version: FromPath[str], name: FromPath[str]) -> Response[Any]:
    file = static_files().get(name)
    if file is None or f"/static/{version}" != static_path():
        raise NotFoundException
    headers = {"Cache-Control": "public, max-age=31536000, immutable", "X-Content-Type-Options": "nosniff"}
    return Response(file.body, media_type=file.media_type, headers=headers)


# --- signing in and out ---------------------------------------------------------------------------------------


@get("/login", include_in_schema=False)
async def login_page(request: Asked) -> Response[Any]:
    """A link with a code is used up by the button, not by looking at it: programs look at links too."""
    return _html(request, "login.html", {"code": request.query_params.get("code", ""), "wrong": ""})


@post("/login", include_in_schema=False)
async def login(request: Asked) -> Response[Any]:
    """A key as JSON, or a key or a code from the form."""
    check_origin(request)
    given, by_form = await _given(request)
    address = request.client.host if request.client is not None else ""
    logins: SignIns = request.app.state.logins
    try:
        if given.get("code"):
            cookie, key = await logins.redeem(given["code"], address)
        else:
            cookie, key = await logins.sign_in(given.get("token", ""), address)
        await note_by(request, key, "page.signed_in", f"key {key.id}")
    except Problem as problem:
        if not by_form:
            raise
        return _html(request, "login.html", {"code": "", "wrong": problem.detail}, problems.STATUS[problem.code])
    headers = {"Set-Cookie": _cookie(request, cookie, int(COOKIE_S)), "Cache-Control": "no-store"}
    if by_form:
        return Response(b"", status_code=303, headers=headers | {"Location": f"{prefix_of(request.scope)}/now"})
    return Response({"success": True, "csrf_token": csrf_token(cookie)}, status_code=200, headers=headers)


@post("/logout", include_in_schema=False)
async def logout(request: Asked) -> Response[Any]:
    given, _ = await _given(request)
    cookie = request.cookies.get(COOKIE, "")
    check_is_ours(request, cookie, given.get("csrf") or request.headers.get("x-csrf-token"))
    logins: SignIns = request.app.state.logins
    key = await logins.sign_out(cookie)
    if key is not None:
        await note_by(request, key, "page.signed_out", f"key {key.id}")
    answer = _to(request, "/login")
    answer.headers["Set-Cookie"] = _cookie(request, "", 0)
    return answer


async def _given(request: Asked) -> tuple[dict[str, str], bool]:
    """What was sent, by name, and whether it was sent by a form."""
    raw = await request.body()
    if len(raw) > LOGIN_BYTES_MAX:
        raise Problem(Code.BODY_TOO_LARGE, f"The body is larger than {LOGIN_BYTES_MAX} bytes")
    if "json" in request.headers.get("content-type", ""):
        try:
            return msgspec.json.decode(raw, type=dict[str, str]), False
        except (msgspec.DecodeError, msgspec.ValidationError) as error:
            raise problems.invalid(error) from error
    return {name: values[0] for name, values in parse_qs(raw.decode("utf-8", "replace")).items()}, True


def _cookie(request: Asked, value: str, for_s: int) -> str:
    morsel: SimpleCookie = SimpleCookie()
    morsel[COOKIE] = value
    told = morsel[COOKIE]
    told["httponly"], told["samesite"], told["max-age"] = True, "Strict", for_s
    told["path"] = prefix_of(request.scope) or "/"
    if request.url.scheme == "https":
        told["secure"] = True
    return told.OutputString()


PAGES: list[ControllerRouterHandler] = [
    root,
    now_page,
    instances_page,
    instance_page,
    sessions_page,
    session_page,
    moves_page,
    messages_page,
    message_page,
    batches_page,
    batch_page,
    downtime_page,
    alerts_page,
    settings_page,
    instance_dialog,
    session_dialog,
    held_dialog,
    message_dialog,
    batch_dialog,
    fleet_dialog,
    static,
    pair.pair_page,
    pair.open_pair,
    login_page,
    login,
    logout,
]
