"""What a message is over the wire, but for its counter, as it is kept until it is acknowledged."""

import msgspec


class FrameBody(msgspec.Struct, frozen=True, array_like=True):
    """To whom, and what. Digits only."""

    recipient: str
    text: str


_decoder = msgspec.msgpack.Decoder(FrameBody)


def frozen(recipient: str, text: str) -> bytes:
    return msgspec.msgpack.encode(FrameBody(recipient, text))


def thawed(frame: bytes) -> FrameBody:
    return _decoder.decode(frame)
