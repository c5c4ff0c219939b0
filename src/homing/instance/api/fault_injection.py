"""Carrying faults out: what a connection, an answer or the whole process does when it is told to go wrong."""

import asyncio
import os
from collections.abc import Callable
from typing import assert_never

import msgspec
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from homing.instance.api.faults import Effect, Faults, RequestKind, Treatment

HUGE_BYTES = 10 * 1024 * 1024
KILLED = 137
"""The exit code of a process ended by SIGKILL, as a shell shows it."""


def kind_of(method: str, path: str) -> RequestKind:
    """What a request is about, for the scope of faults."""
    if method == "POST" and path.startswith("/api/messages/"):
        return RequestKind.SEND
    if method == "GET" and path == "/api/sessions":
        return RequestKind.LIST
    return RequestKind.OTHER


def misbehaving(faults: Faults, clock: Callable[[], float]) -> Middleware:
    """The middleware that applies the faults in force to every request but those about faults."""

    @web.middleware
    async def respond(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.path == "/faults":
            return await handler(request)
        treatment = faults.treat(kind_of(request.method, request.path), clock())
        if treatment.latency_s:
            await asyncio.sleep(treatment.latency_s)
        if treatment.effect is None:
            return await handler(request)
        return await _suffer(treatment, treatment.effect, request, handler)

    return respond


async def _suffer(treatment: Treatment, effect: Effect, request: web.Request, handler: Handler) -> web.StreamResponse:
    match effect:
        case Effect.HANG:
            return await _hang(request)
        case Effect.DROP_BEFORE:
            return _drop(request)
        case Effect.ANSWER:
            return _answer(treatment.status or 500)
        case Effect.CRASH_BEFORE:
            os._exit(KILLED)
        case Effect.DROP_AFTER | Effect.GARBAGE | Effect.HALF | Effect.HUGE | Effect.CRASH_AFTER:
            return await _spoil(effect, request, await handler(request))
        case _:
            assert_never(effect)


async def _spoil(effect: Effect, request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    """What becomes of an answer after the work was done."""
    if effect is Effect.CRASH_AFTER:
        os._exit(KILLED)
    if effect is Effect.DROP_AFTER:
        return _drop(request)
    if effect is Effect.HALF:
        return await _half(request, answer)
    body = b"<html>\x00\xff{not json" if effect is Effect.GARBAGE else _huge()
    return web.Response(body=body, content_type="application/json")


async def _hang(request: web.Request) -> web.Response:
    while request.transport is not None and not request.transport.is_closing():  # noqa: ASYNC110 - nobody tells
        await asyncio.sleep(0.05)
    return web.Response()


def _drop(request: web.Request) -> web.Response:
    if request.transport is not None:
        request.transport.close()
    return web.Response()


async def _half(request: web.Request, answer: web.StreamResponse) -> web.StreamResponse:
    body = answer.body if isinstance(answer, web.Response) else b""
    whole = bytes(body) if isinstance(body, bytes | bytearray) else b"{}"
    cut = web.StreamResponse(status=answer.status)
    cut.content_type, cut.content_length = "application/json", len(whole)
    await cut.prepare(request)
    await cut.write(whole[: len(whole) // 2])
    _drop(request)
    return cut


def _answer(status: int) -> web.Response:
    body = msgspec.json.encode({"error": f"Fault on demand: {status}"})
    return web.Response(body=body, status=status, content_type="application/json")


def _huge() -> bytes:
    return b'{"padding":"' + b"x" * HUGE_BYTES + b'"}'
