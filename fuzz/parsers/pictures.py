"""Pictures of QR codes, as instances draw them. An input is the PNG's bytes."""

import struct
import zlib

from homing.decide.knowledge import qr_pictures
from homing.decide.knowledge.qr_pictures import SIDE_MAX, NotReadable


def _png(width: int, height: int, depth: int, colour: int, rows: bytes) -> bytes:
    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, 0)
    palette = chunk(b"PLTE", b"\x00\x00\x00\xff\xff\xff") if colour == 3 else b""
    body = chunk(b"IHDR", header) + palette + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return b"\x89PNG\r\n\x1a\n" + body


SEEDS = (
    _png(2, 2, 1, 0, b"\x00\x80\x00\x40"),
    _png(2, 2, 8, 2, b"\x01abcdef\x02abcdef"),
    _png(2, 2, 8, 6, b"\x03abcdefgh\x04abcdefgh"),
    _png(3, 1, 2, 3, b"\x00\x18"),
    _png(2, 1, 8, 4, b"\x00abcd"),
)
WORDS = (b"IHDR", b"PLTE", b"IDAT", b"IEND", b"\x89PNG\r\n\x1a\n")


def check(data: bytes) -> None:
    try:
        width, height, grey = qr_pictures.pixels_of(data)
    except NotReadable as error:
        assert str(error)
        return
    assert 0 < width <= SIDE_MAX
    assert 0 < height <= SIDE_MAX
    assert len(grey) == width * height, "a picture of other than its own size"
