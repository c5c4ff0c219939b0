"""What a message is over the wire, but for its counter, as it is kept until it is acknowledged."""

import msgspec


class Kept(msgspec.Struct, frozen=True, array_like=True):
    """To whom, and what. Digits only."""

    recipient: str
    text: str


_decoder = msgspec.msgpack.Decoder(Kept)


def frozen(recipient: str, text: str) -> bytes:
    return msgspec.msgpack.encode(Kept(recipient, text))


def thawed(frame: bytes) -> Kept:
    return _decoder.decode(frame)
