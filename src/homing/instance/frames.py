"""What a message is over the wire, but for its counter, as it is kept until it is acknowledged.

Whatever engine sealed it, a frame is a msgpack array that begins with the recipient; the rest only that engine reads.
"""

from collections.abc import Mapping
from typing import Any

import msgspec


class FrameBody(msgspec.Struct, frozen=True, array_like=True):
    """Of the simulated engine: to whom, and what. What early releases kept has the first two alone."""

    recipient: str
    text: str
    content: dict[str, Any] | None = None
    media_sha256: str | None = None


class StanzaBody(msgspec.Struct, frozen=True, array_like=True):
    """Of an engine that encrypts: to whom, and the bytes of the stanza."""

    recipient: str
    stanza: bytes


class _Addressed(msgspec.Struct, frozen=True, array_like=True):
    recipient: str


_decoder = msgspec.msgpack.Decoder(FrameBody)
_stanzas = msgspec.msgpack.Decoder(StanzaBody)
_addresses = msgspec.msgpack.Decoder(_Addressed)


def frozen(recipient: str, text: str, content: Mapping[str, Any] | None, media_sha256: str | None) -> bytes:
    """A plain text is in the bytes that every release reads and repeats."""
    if content is None:
        return msgspec.msgpack.encode((recipient, text))
    return msgspec.msgpack.encode(FrameBody(recipient, text, dict(content), media_sha256))


def thawed(frame: bytes) -> FrameBody:
    return _decoder.decode(frame)


def framed(recipient: str, stanza: bytes) -> bytes:
    return msgspec.msgpack.encode(StanzaBody(recipient, stanza))


def stanza_of(frame: bytes) -> bytes:
    return _stanzas.decode(frame).stanza


def recipient_of(frame: bytes) -> str:
    """To whom it goes, whoever sealed it."""
    return _addresses.decode(frame).recipient
