"""`/media`: files that messages are to name, and the way to the bytes of those that are here."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from typing import Annotated, Any
from urllib.parse import quote

import msgspec
from litestar import Request, Router, get, post
from litestar.params import QueryParameter
from litestar.response import Stream

from homing.decide.media.tokens import FileGrant
from homing.flows.media.intake import ArrivingFile
from homing.model.errors import Code, Problem
from homing.model.sends.calls import MediaUnavailable
from homing.model.sends.content import MEDIA_TYPES
from homing.serve.api.context import SEND, Asking, Ref, TheGateway, WorkspaceFilter
from homing.serve.content import checked_file_name
from homing.serve.gateway import Gateway
from homing.serve.http.described import also
from homing.serve.media.bodies import chunks_of

_SAFE = {
    "X-Content-Type-Options": "nosniff",
    "Content-Security-Policy": "default-src 'none'; sandbox",
    "Cache-Control": "private, no-store",
    "Referrer-Policy": "no-referrer",
}
"""Whoever wrote the file is a stranger, and it is read from our own site."""


class MediaView(msgspec.Struct):
    """A file that is here. Messages name it by `media_id` until `expires_at`; `mime_type` is what its bytes say."""

    media_id: str
    sha256: str
    size: int
    mime_type: str
    expires_in_s: int


@post(
    "/media",
    guards=[SEND],
    tags=["messages"],
    status_code=201,
    summary="Bring a file that messages are to name, as the body of the request",
    opt=also(413, 503),
    request_max_body_size=None,
)
async def upload(
    request: Request[Any, Any, Any],
    gateway: TheGateway,
    caller: Asking,
    type: Annotated[str, QueryParameter(description="What it is to be sent as", max_length=32)] = "document",
    file_name: Annotated[str | None, QueryParameter(description="Its name", min_length=1, max_length=200)] = None,
    workspace_id: WorkspaceFilter = None,
) -> MediaView:
    """Streamed to disk, looked at, and kept. One upload may be named by any number of messages of the workspace."""
    kind = next((each for each in MEDIA_TYPES if each.value == type), None)
    if kind is None:
        known = ", ".join(sorted(each.value for each in MEDIA_TYPES))
        raise Problem(Code.UNSUPPORTED_TYPE, f"Files are sent as one of {known}", field="type")
    if caller.names_another(workspace_id):
        raise Problem(Code.NOT_FOUND, f"There is no workspace {workspace_id} for this key")
    workspace = caller.acting_for(workspace_id)
    checked_file_name(file_name)
    async with gateway.media.arriving() as file:
        await _written(request, file)
        kept = await file.kept(kind, file_name, "file")
    for_s = gateway.media.policy.keep.total_seconds()
    media_id = gateway.media.links.name(workspace, kept, for_s=for_s)
    return MediaView(media_id, kept.sha256, kept.size, kept.mime_type, int(for_s))


async def _written(request: Request[Any, Any, Any], file: ArrivingFile) -> None:
    async for chunk in chunks_of(request.receive):
        if chunk is None:
            raise Problem(Code.MALFORMED_BODY, "The body ended before it was whole")
        await file.write(chunk)


@get(
    "/media/{token:str}",
    tags=["files"],
    summary="A file, for whoever has its address",
    security=[{}],
    opt=also(404, 503),
)
async def download(token: Ref, gateway: TheGateway) -> Stream:
    """The address is signed, and good for a while. Gateways follow it to send the file; customers, to read one."""
    grant = gateway.media.links.opened(token)
    first, rest = await _begun(gateway, grant)

    async def whole() -> AsyncIterator[bytes]:
        yield first
        async for piece in rest:
            yield piece

    headers = {**_SAFE, "Content-Length": str(grant.media.size), **_named(grant.file_name or "file")}
    return Stream(whole, headers=headers, media_type=grant.media.mime_type)


@get(
    "/media/in/{token:str}",
    tags=["files"],
    summary="A file that came with a message, for whoever has its address",
    security=[{}],
    opt=also(404, 503),
)
async def received(token: Ref, gateway: TheGateway) -> Stream:
    """The address is that of a customer's webhook: signed, and good for a while. The bytes come from the instance that
    holds the session today; what they are is judged by them alone."""
    stack = AsyncExitStack()
    try:
        file = await stack.enter_async_context(gateway.inbound.opened(token))
    except BaseException:
        await stack.aclose()
        raise
    # Whoever leaves before the first byte leaves nobody to close it.
    loop, late_s = asyncio.get_running_loop(), gateway.inbound.policy.fetch_s + 5
    closing = loop.call_later(late_s, lambda: loop.create_task(stack.aclose()))

    async def whole() -> AsyncIterator[bytes]:
        try:
            async for piece in file.chunks():
                yield piece
        finally:
            closing.cancel()
            await stack.aclose()

    length = {} if file.size is None else {"Content-Length": str(file.size)}
    return Stream(whole, headers={**_SAFE, **length, **_named(file.name)}, media_type=file.content_type)


def _named(name: str) -> dict[str, str]:
    """It is saved, and never shown in place."""
    return {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name, safe='')}"}


async def _begun(gateway: Gateway, grant: FileGrant) -> tuple[bytes, AsyncIterator[bytes]]:
    """Its first piece is read before the answer begins, so that a file that is gone is no half answer."""
    pieces = gateway.media.links.store.chunks(grant.media.id)
    try:
        return await anext(pieces, b""), pieces
    except MediaUnavailable as error:
        raise Problem(Code.MEDIA_UNAVAILABLE, f"The file cannot be read: {error}", retry_after_s=5) from error


router = Router("/", route_handlers=[upload])
FILES = (download, received)
"""Outside of the API: their addresses are handed out."""
