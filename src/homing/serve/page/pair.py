"""`/pair/{secret}`: where a phone's owner links it, without a key. Works without scripts; the code renews itself."""

from http.cookies import SimpleCookie
from typing import Any, assert_never

import segno
from litestar import Request, Response, get, post
from litestar.params import FromPath
from markupsafe import Markup

from homing.flows.operations.pairing_links import CodeToScan, LinkRefused, LinkState, PhoneLinked, Unopened
from homing.serve.gateway import Gateway
from homing.serve.http.subpath import prefix_of
from homing.serve.page.files import static_path, templates

COOKIE = "homing_pair"
_HEADERS = {
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self'; form-action 'self';"
    " base-uri 'none'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}

Visit = Request[Any, Any, Any]


@get("/pair/{secret:str}", include_in_schema=False)
async def pair_page(request: Visit, secret: FromPath[str]) -> Response[Any]:
    """Looking uses nothing up: programs look at links too."""
    gateway: Gateway = request.app.state.gateway
    state = await gateway.care.pairing_links.state(secret, request.cookies.get(COOKIE, ""))
    return _drawn(request, state)


@post("/pair/{secret:str}", include_in_schema=False)
async def open_pair(request: Visit, secret: FromPath[str]) -> Response[Any]:
    """The button: from here on the link is this browser's."""
    gateway: Gateway = request.app.state.gateway
    proof = await gateway.care.pairing_links.open(secret)
    if proof is None:
        return _drawn(request, await gateway.care.pairing_links.state(secret, request.cookies.get(COOKIE, "")))
    path = f"{prefix_of(request.scope)}/pair/{secret}"
    given: SimpleCookie = SimpleCookie()
    given[COOKIE] = proof
    told: dict[str, Any] = {"path": path, "httponly": True, "samesite": "Strict", "max-age": 86_400}
    told |= {"secure": True} if request.url.scheme == "https" else {}
    for name, value in told.items():
        given[COOKIE][name] = value
    headers = {"Location": path, "Set-Cookie": given[COOKIE].OutputString(), "Cache-Control": "no-store"}
    return Response(b"", status_code=303, headers=headers)


def _drawn(request: Visit, state: LinkState) -> Response[Any]:
    root = prefix_of(request.scope)
    told = {"static": root + static_path(), **_told(state)}
    page = templates().get_template("pair.html").render(told)
    status = 404 if isinstance(state, LinkRefused) else 200
    return Response(page, media_type="text/html; charset=utf-8", status_code=status, headers=_HEADERS)


def _told(state: LinkState) -> dict[str, Any]:
    match state:
        case LinkRefused():
            return {"what": "refused"}
        case Unopened():
            return {"what": "unopened"}
        case PhoneLinked():
            return {"what": "linked"}
        case CodeToScan():
            return {"what": "code", **_code(state)}
        case _:
            assert_never(state)


def _code(state: CodeToScan) -> dict[str, Any]:
    shown = state.shown
    if shown is None:
        return {"svg": None, "code": None, "why": state.why}
    svg = None
    if shown.qr and not shown.expired:
        drawn = segno.make(shown.qr, error="l").svg_inline(border=2, omitsize=True, svgclass=None, lineclass=None)
        svg = Markup(drawn)  # noqa: S704 - ours
    return {"svg": svg, "code": shown.code, "why": "" if svg or shown.code else "The next code is on its way"}
