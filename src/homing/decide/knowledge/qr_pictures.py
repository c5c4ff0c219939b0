"""What does the QR code in a picture say? The pictures come from gateways, and are read as untrusted bytes.

A gateway that reports a QR code as a picture draws it for a web page. A terminal needs the text in it. Only what such
pictures are is read: a PNG (ISO/IEC 15948) of at most 8 bits a channel that is not interlaced, and not a large one.
"""

import base64
import binascii
import struct
import zlib
from collections.abc import Iterator
from functools import lru_cache

SIDE_MAX = 1024
"""In pixels. The Node service draws 256 x 256, others a little more."""
BYTES_MAX = 256 * 1024
UNPACKED_MAX = 2 * 1024 * 1024
TEXT_MAX = 4096
_PREFIX = "data:image/png;base64,"
_SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 3: 1, 4: 2, 6: 4}
_OPAQUE_FROM = 128


class NotReadable(ValueError):
    """It is no picture of the kind that is read here. The message says why."""


@lru_cache(256)
def text_in(data_url: str) -> str | None:
    """The text of the QR code in a picture; None if it is no PNG that is read here, or holds no QR code."""
    try:
        width, height, grey = pixels_of(_png_in(data_url))
    except NotReadable:
        return None
    import zxingcpp  # loaded with the first picture: most gateways never show one

    view = memoryview(grey).cast("B", (height, width))
    read = zxingcpp.read_barcode(
        view, formats=zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode), try_rotate=False, try_downscale=False
    )
    return read.text if read is not None and 0 < len(read.text) <= TEXT_MAX else None


def _png_in(data_url: str) -> bytes:
    if not data_url.startswith(_PREFIX) or len(data_url) > BYTES_MAX:
        raise NotReadable("it is no PNG, or a very large one")
    try:
        return base64.b64decode(data_url[len(_PREFIX) :], validate=True)
    except (binascii.Error, ValueError) as error:
        raise NotReadable("it is not base64") from error


def pixels_of(png: bytes) -> tuple[int, int, bytes]:
    """Width, height, and a grey byte for each pixel, row by row. Raises NotReadable."""
    chunks = list(_chunks(png))
    if not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13:
        raise NotReadable("it does not begin with its header")
    width, height, depth, colour, packing, filtering, interlaced = struct.unpack(">IIBBBBB", chunks[0][1])
    if not (0 < width <= SIDE_MAX and 0 < height <= SIDE_MAX):
        raise NotReadable(f"it is {width} x {height}")
    if colour not in _CHANNELS or depth not in (1, 2, 4, 8) or packing or filtering or interlaced:
        raise NotReadable("it is of a kind that is not read")
    if depth < 8 and colour not in (0, 3):
        raise NotReadable("it has channels of less than a byte")
    channels = _CHANNELS[colour]
    stride = (width * channels * depth + 7) // 8
    raw = _unpacked(b"".join(data for kind, data in chunks if kind == b"IDAT"), (stride + 1) * height)
    palette = next((data for kind, data in chunks if kind == b"PLTE"), b"")
    tones = _tones(colour, depth, palette)
    rows = _unfiltered(raw, stride, height, max(1, channels * depth // 8))
    return width, height, b"".join(_grey(row, width, colour, depth, channels, tones) for row in rows)


def _chunks(png: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Kind and data of each part, up to the end."""
    if not png.startswith(_SIGNATURE):
        raise NotReadable("it is no PNG")
    at = len(_SIGNATURE)
    while at + 12 <= len(png):
        length, kind = struct.unpack_from(">I4s", png, at)
        if at + 12 + length > len(png):
            raise NotReadable("it is cut off")
        if kind == b"IEND":
            return
        yield kind, png[at + 8 : at + 8 + length]
        at += 12 + length
    raise NotReadable("it has no end")


def _unpacked(data: bytes, size: int) -> bytes:
    """Exactly so many bytes, however much is packed in there."""
    if size > UNPACKED_MAX:
        raise NotReadable(f"it unpacks to {size} bytes")
    try:
        raw = zlib.decompressobj().decompress(data, size)
    except zlib.error as error:
        raise NotReadable("it cannot be unpacked") from error
    if len(raw) < size:
        raise NotReadable("it is shorter than it says")
    return raw


def _unfiltered(raw: bytes, stride: int, height: int, step: int) -> Iterator[bytes]:
    """The rows, with what each takes from its neighbours put back. `step` is the bytes of one pixel."""
    above = bytearray(stride)
    for at in range(0, height * (stride + 1), stride + 1):
        row = bytearray(raw[at + 1 : at + 1 + stride])
        _put_back(raw[at], row, above, step)
        yield bytes(row)
        above = row


def _put_back(kind: int, row: bytearray, above: bytearray, step: int) -> None:
    match kind:
        case 0:
            pass
        case 1:
            for i in range(step, len(row)):
                row[i] = (row[i] + row[i - step]) & 255
        case 2:
            row[:] = bytes((here + up) & 255 for here, up in zip(row, above, strict=True))
        case 3:
            for i in range(len(row)):
                left = row[i - step] if i >= step else 0
                row[i] = (row[i] + (left + above[i]) // 2) & 255
        case 4:
            for i in range(len(row)):
                left, corner = (row[i - step], above[i - step]) if i >= step else (0, 0)
                row[i] = (row[i] + _nearest(left, above[i], corner)) & 255
        case _:
            raise NotReadable(f"a row is filtered by {kind}")


def _nearest(left: int, up: int, corner: int) -> int:
    """Paeth's predictor."""
    guess = left + up - corner
    by_left, by_up, by_corner = abs(guess - left), abs(guess - up), abs(guess - corner)
    if by_left <= by_up and by_left <= by_corner:
        return left
    return up if by_up <= by_corner else corner


def _tones(colour: int, depth: int, palette: bytes) -> bytes:
    """The grey of each value that a pixel of one channel can have."""
    if colour == 3:
        reds = [palette[i : i + 3] for i in range(0, len(palette) - 2, 3)]
        return bytes(sum(rgb) // 3 for rgb in reds).ljust(256, b"\xff")
    top = (1 << depth) - 1
    return bytes(min(255, value * 255 // top) for value in range(256))


def _grey(row: bytes, width: int, colour: int, depth: int, channels: int, tones: bytes) -> bytes:
    if depth < 8:
        per_byte, top = 8 // depth, (1 << depth) - 1
        values = bytes((byte >> (8 - depth * (n + 1))) & top for byte in row for n in range(per_byte))
        return values[:width].translate(tones)
    if channels == 1:
        return row.translate(tones)
    # Dark is dark in each of its colours: one of them tells, and what is seen through is light.
    first = row[0::channels]
    if colour not in (4, 6):
        return first
    return bytes(
        tone if seen >= _OPAQUE_FROM else 255 for tone, seen in zip(first, row[channels - 1 :: channels], strict=True)
    )
