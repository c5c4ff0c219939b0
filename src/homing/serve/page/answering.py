"""How a page is answered: to whom it is drawn, with which headers, and where those are led whom nobody knows."""

import re
from collections.abc import Awaitable, Callable
from html import escape
from typing import Any

from litestar import Request, Response

from homing.model.errors import Code, Problem
from homing.ports import StoreUnavailable
from homing.serve.api.context import caller_of
from homing.serve.callers.signing_in import COOKIE, csrf_token
from homing.serve.gateway import Gateway
from homing.serve.http import problems
from homing.serve.http.subpath import prefix_of
from homing.serve.page.files import templates
from homing.serve.page.viewer import Viewer, frame, names_in
from homing.serve.state.feed import StateFeed

Asked = Request[Any, Any, Any]
Context = Callable[[Viewer], Awaitable[dict[str, Any]]]
HTML = "text/html; charset=utf-8"

CSP = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self';"
    " form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
HEADERS = {
    "Content-Security-Policy": CSP,
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # with no-referrer, browsers send our own forms as from "null"
    "Cache-Control": "no-store",
}


_ADDRESS = re.compile(r'(\s(?:href|src|action|data-path)=")(?=/)')


def html_of(request: Asked, name: str, context: dict[str, Any], status: int = 200) -> Response[Any]:
    """The page, with its addresses as they are where it was asked for. No quote in it is anybody else's: all text is
    escaped."""
    page = templates().get_template(name).render(context)
    if root := prefix_of(request.scope):
        page = _ADDRESS.sub(lambda found: found[1] + escape(root), page)
    return Response(page, media_type=HTML, status_code=status, headers=HEADERS)


def led_to(request: Asked, path: str) -> Response[Any]:
    headers = {"Location": prefix_of(request.scope) + path, "Cache-Control": "no-store"}
    return Response(b"", status_code=303, headers=headers)


async def viewer_of(request: Asked) -> Viewer | None:
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
    token = csrf_token(request.cookies.get(COOKIE, ""))
    return Viewer(gateway, feed, caller, token, gateway.clock.now(), names_in(gateway), prefix_of(request.scope))


async def page_of(request: Asked, name: str, context: Context) -> Response[Any]:
    viewer = await viewer_of(request)
    if viewer is None:
        return led_to(request, "/login")
    try:
        own = await context(viewer)
    except Problem as problem:
        if problems.STATUS[problem.code] != 404:
            raise
        return html_of(request, "missing.html", frame(viewer, name) | {"detail": problem.detail}, 404)
    except StoreUnavailable as error:
        said = f"The database does not answer: {error}"
        return html_of(request, "away.html", frame(viewer, name) | {"detail": said}, 503)
    return html_of(request, f"{own.get('template', name)}.html", _within(frame(viewer, name), own))


def _within(around: dict[str, Any], own: dict[str, Any]) -> dict[str, Any]:
    """What a page says, in its frame. It says under which page it stands, and nothing else in the frame's words."""
    both = (around.keys() & own.keys()) - {"page"}
    assert not both, f"said by the page and by its frame: {sorted(both)}"
    return around | own
