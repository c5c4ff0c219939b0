"""A send's body, with the file in it if it has one: JSON, JSON that holds a file, or a form with a part `file`.

Of a file nothing is held but the piece that is passing. Whoever sends more than an ordinary body has shown a key that
may send before the rest is read.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import msgspec
from litestar.types import Receive
from multipart import MultipartError, MultipartSegment, PushMultipartParser, parse_options_header

from homing.flows.media.intake import ArrivingFile
from homing.model.errors import Code, Problem
from homing.serve.media.base64_in_json import FIELD, Base64InJson

FILE_PART = "file"
_FIELDS_MAX = 64
_JSON_FIELDS = frozenset({"location", "contact", "poll", "mentions"})
"""Parts of a form that are objects and lists, written as JSON."""
_NUMBERS = frozenset({"workspace_id"})
Begin = Callable[[], Awaitable[ArrivingFile]]
"""Begins to take a file in, for a caller who may send. Raises Problem."""


class SentBody:
    """`raw` is JSON without a file; `file` is what came with it. `raw` is None when the client left."""

    def __init__(self, raw: bytes | None, file: ArrivingFile | None = None) -> None:
        self.raw, self.file = raw, file


async def read(receive: Receive, content_type: str, limit: int, begin: Begin) -> SentBody:
    """The body. Raises Problem."""
    if content_type.partition(";")[0].strip().lower() == "multipart/form-data":
        return await _form(chunks_of(receive), content_type, limit, begin)
    first: list[bytes] = []
    size = 0
    chunks = chunks_of(receive)
    async for chunk in chunks:
        if chunk is None:
            return SentBody(None)
        first.append(chunk)
        size += len(chunk)
        if size > limit:
            return await _large(b"".join(first), chunks, limit, begin)
    raw = b"".join(first)
    return SentBody(raw) if FIELD not in raw else await _large(raw, _nothing(), limit, begin)


async def _large(first: bytes, chunks: AsyncIterator[bytes | None], limit: int, begin: Begin) -> SentBody:
    """JSON that holds a file, or is too large."""
    reader = Base64InJson(limit)
    piece = reader.feed(first)
    file: ArrivingFile | None = None
    while True:
        if piece:
            file = file or await begin()
            await file.write(piece)
        chunk = await anext(chunks, b"")
        if chunk is None:
            return SentBody(None, file)
        if not chunk:
            return SentBody(bytes(reader.rest), file or (await begin() if reader.found else None))
        piece = reader.feed(chunk)


async def _form(chunks: AsyncIterator[bytes | None], content_type: str, limit: int, begin: Begin) -> SentBody:
    boundary = parse_options_header(content_type)[1].get("boundary", "")
    if not boundary:
        raise Problem(Code.MALFORMED_BODY, "The form names no boundary")
    fields: dict[str, bytearray] = {}
    file: ArrivingFile | None = None
    name: str | None = None
    try:
        with PushMultipartParser(boundary, max_header_count=8, max_segment_count=_FIELDS_MAX) as parser:
            async for chunk in chunks:
                if chunk is None:
                    return SentBody(None, file)
                for found in parser.parse(chunk):
                    if isinstance(found, MultipartSegment):
                        name = found.name
                        if (name == FILE_PART and file is not None) or name in fields:
                            raise Problem(Code.MALFORMED_BODY, f"The form has more than one part `{name}`")
                        if name == FILE_PART:
                            file = await begin()
                            _named(fields, found.filename)
                        else:
                            fields[str(name)] = bytearray()
                    elif found and name == FILE_PART and file is not None:
                        await file.write(bytes(found))
                    elif found:
                        fields[str(name)] += found
                        if sum(map(len, fields.values())) > limit:
                            raise Problem(
                                Code.BODY_TOO_LARGE, f"The form without its file is larger than {limit} bytes"
                            )
            parser.close()
    except MultipartError as error:
        raise Problem(Code.MALFORMED_BODY, f"The body cannot be read as a form: {error}") from error
    return SentBody(_as_json(fields), file)


def _named(fields: dict[str, bytearray], file_name: str | None) -> None:
    """A part brings its file's name along, unless there is a field for it."""
    base = (file_name or "").replace("\\", "/").rpartition("/")[2]
    if base and "file_name" not in fields:
        fields["file_name"] = bytearray(base.encode())


def _as_json(fields: dict[str, bytearray]) -> bytes:
    """The form as the JSON body that it stands for. Raises Problem."""
    said: dict[str, Any] = {}
    for name, raw in fields.items():
        try:
            text = raw.decode()
            said[name] = msgspec.json.decode(raw) if name in _JSON_FIELDS or name in _NUMBERS else text
        except RecursionError as error:
            raise Problem(Code.MALFORMED_BODY, f"The part `{name}` is nested too deeply", field=name) from error
        except (UnicodeDecodeError, msgspec.DecodeError) as error:
            raise Problem(Code.MALFORMED_BODY, f"The part `{name[:60]}` cannot be read: {error}", field=name) from error
    return msgspec.json.encode(said)


async def chunks_of(receive: Receive) -> AsyncIterator[bytes | None]:
    """The body as it comes; None at last if the client left."""
    while True:
        event: Any = await receive()
        if event["type"] == "http.disconnect":
            yield None
            return
        if chunk := event.get("body", b""):
            yield chunk
        if not event.get("more_body", False):
            return


async def _nothing() -> AsyncIterator[bytes | None]:
    nothing: tuple[bytes, ...] = ()
    for each in nothing:
        yield each
