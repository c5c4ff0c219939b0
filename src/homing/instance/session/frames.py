"""What a message is over the wire, but for its counter, as it is kept until it is acknowledged."""

from collections.abc import Mapping
from typing import Any

import msgspec


class FrameBody(msgspec.Struct, frozen=True, array_like=True):
    """To whom, and what. What releases before this one kept has the first two alone."""

    recipient: str
    text: str
    content: dict[str, Any] | None = None
    media_sha256: str | None = None


_decoder = msgspec.msgpack.Decoder(FrameBody)


def frozen(recipient: str, text: str, content: Mapping[str, Any] | None, media_sha256: str | None) -> bytes:
    """A plain text is in the bytes that every release reads and repeats."""
    if content is None:
        return msgspec.msgpack.encode((recipient, text))
    return msgspec.msgpack.encode(FrameBody(recipient, text, dict(content), media_sha256))


def thawed(frame: bytes) -> FrameBody:
    return _decoder.decode(frame)
