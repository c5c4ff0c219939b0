"""Signing in to the page and out of it: by a key, or by a link that opens once."""

from http.cookies import SimpleCookie
from typing import Any
from urllib.parse import parse_qs

import msgspec
from litestar import Response, get, post

from homing.model.errors import Code, Problem
from homing.serve.api.context import note_by
from homing.serve.callers.signing_in import COOKIE, COOKIE_S, SignIns, check_is_ours, check_origin, csrf_token
from homing.serve.http import problems
from homing.serve.http.subpath import prefix_of
from homing.serve.page.answering import Asked, html_of, led_to

LOGIN_BYTES_MAX = 4096


@get("/login", include_in_schema=False)
async def login_page(request: Asked) -> Response[Any]:
    """A link with a code is used up by the button, not by looking at it: programs look at links too."""
    return html_of(request, "login.html", {"code": request.query_params.get("code", ""), "wrong": ""})


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
        return html_of(request, "login.html", {"code": "", "wrong": problem.detail}, problems.STATUS[problem.code])
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
    answer = led_to(request, "/login")
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
