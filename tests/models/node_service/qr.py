"""QR codes as the npm package `qrcode` draws them for `toDataURL`: 256 × 256 pixels, RGBA, four modules of margin.

One size only (version 11, level M, byte mode, up to 251 bytes), which is what a pairing code of WhatsApp takes.
"""

import base64
import struct
import zlib
from collections.abc import Iterator

VERSION = 11
SIZE = 17 + 4 * VERSION
PIXELS = 256
MARGIN = 4
CAPACITY = 251
_ALIGNED_AT = (6, 30, 54)
_BLOCKS = (50, 51, 51, 51, 51)
_CORRECTION = 30
_DATA_CODEWORDS = sum(_BLOCKS)

Grid = list[list[bool]]


def data_url(text: str) -> str:
    """The picture as a data URL."""
    return f"data:image/png;base64,{base64.b64encode(png(modules(text))).decode()}"


def modules(text: str) -> Grid:
    """The code's modules, true where dark, without a margin."""
    grid, fixed = _patterns()
    bits = (codeword >> shift & 1 for codeword in _codewords(text.encode()) for shift in range(7, -1, -1))
    for row, column in _path(fixed):
        grid[row][column] = bool(next(bits, 0)) ^ ((row + column) % 2 == 0)
    return grid


def png(grid: Grid) -> bytes:
    """The picture. A module is rarely a whole number of pixels wide: the package scales by division."""
    scale = PIXELS / (len(grid) + 2 * MARGIN)
    first = MARGIN * scale
    inside = [int((at - first) / scale) if first <= at < PIXELS - first else None for at in range(PIXELS)]
    rows = []
    for source in inside:
        dark = [source is not None and column is not None and grid[source][column] for column in inside]
        rows.append(b"\0" + b"".join(b"\0\0\0\xff" if each else b"\xff\xff\xff\xff" for each in dark))
    header = struct.pack(">IIBBBBB", PIXELS, PIXELS, 8, 6, 0, 0, 0)
    chunks = ((b"IHDR", header), (b"IDAT", zlib.compress(b"".join(rows), 9)), (b"IEND", b""))
    return b"\x89PNG\r\n\x1a\n" + b"".join(_chunk(name, data) for name, data in chunks)


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


# --- codewords ------------------------------------------------------------------------------------------------


def _codewords(data: bytes) -> list[int]:
    """Data and correction, block by block, interleaved."""
    if len(data) > CAPACITY:
        raise ValueError(f"{len(data)} bytes do not fit into a code of {CAPACITY}")
    bits = f"0100{len(data):016b}" + "".join(f"{byte:08b}" for byte in data) + "0000"
    bits += "0" * (-len(bits) % 8)
    words = [int(bits[at : at + 8], 2) for at in range(0, len(bits), 8)][:_DATA_CODEWORDS]
    words += [(0xEC, 0x11)[number % 2] for number in range(_DATA_CODEWORDS - len(words))]
    blocks, at = [], 0
    for size in _BLOCKS:
        blocks.append(words[at : at + size])
        at += size
    corrections = [_correction(block) for block in blocks]
    interleaved = [block[at] for at in range(max(_BLOCKS)) for block in blocks if at < len(block)]
    return interleaved + [block[at] for at in range(_CORRECTION) for block in corrections]


def _field() -> tuple[list[int], list[int]]:
    powers, logs, value = [0] * 512, [0] * 256, 1
    for exponent in range(255):
        powers[exponent] = powers[exponent + 255] = value
        logs[value] = exponent
        value = value << 1 ^ (0x11D if value & 0x80 else 0)
    return powers, logs


_POWERS, _LOGS = _field()


def _times(one: int, other: int) -> int:
    return _POWERS[_LOGS[one] + _LOGS[other]] if one and other else 0


def _generator() -> list[int]:
    polynomial = [1]
    for degree in range(_CORRECTION):
        shifted = [*polynomial, 0]
        for at, coefficient in enumerate(polynomial, start=1):
            shifted[at] ^= _times(coefficient, _POWERS[degree])
        polynomial = shifted
    return polynomial


_GENERATOR = _generator()


def _correction(block: list[int]) -> list[int]:
    rest = block + [0] * _CORRECTION
    for at in range(len(block)):
        factor = rest[at]
        for offset, coefficient in enumerate(_GENERATOR):
            rest[at + offset] ^= _times(coefficient, factor)
    return rest[-_CORRECTION:]


# --- modules --------------------------------------------------------------------------------------------------


def _patterns() -> tuple[Grid, Grid]:
    """The modules that are the same in each code (for mask 0), and which these are."""
    grid = [[False] * SIZE for _ in range(SIZE)]
    fixed = [[False] * SIZE for _ in range(SIZE)]

    def put(row: int, column: int, dark: bool) -> None:
        if 0 <= row < SIZE and 0 <= column < SIZE:
            grid[row][column], fixed[row][column] = dark, True

    for top, left in ((0, 0), (0, SIZE - 7), (SIZE - 7, 0)):
        for row in range(-1, 8):
            for column in range(-1, 8):
                ring = max(abs(row - 3), abs(column - 3))
                put(top + row, left + column, ring in (0, 1, 3))
    for row in _ALIGNED_AT:
        for column in _ALIGNED_AT:
            if not fixed[row][column]:
                for down in range(-2, 3):
                    for right in range(-2, 3):
                        put(row + down, column + right, max(abs(down), abs(right)) != 1)
    for at in range(8, SIZE - 8):
        put(6, at, at % 2 == 0)
        put(at, 6, at % 2 == 0)
    for row, column, dark in (*_format(), *_version()):
        put(row, column, dark)
    return grid, fixed


def _format() -> Iterator[tuple[int, int, bool]]:
    """Level M and mask 0, twice, and the module that is always dark."""
    bits = _checked(0b00_000, 10, 0x537) ^ 0x5412
    for number in range(15):
        dark = bool(bits >> number & 1)
        row = number if number < 6 else number + 1 if number < 8 else SIZE - 15 + number
        yield row, 8, dark
        column = SIZE - 1 - number if number < 8 else 7 if number == 8 else 14 - number
        yield 8, column, dark
    yield SIZE - 8, 8, True


def _version() -> Iterator[tuple[int, int, bool]]:
    bits = _checked(VERSION, 12, 0x1F25)
    for number in range(18):
        near, far, dark = number // 3, SIZE - 11 + number % 3, bool(bits >> number & 1)
        yield near, far, dark
        yield far, near, dark


def _checked(value: int, places: int, polynomial: int) -> int:
    """A value with its BCH check bits."""
    rest = value << places
    while rest.bit_length() > places:
        rest ^= polynomial << (rest.bit_length() - places - 1)
    return value << places | rest


def _path(fixed: Grid) -> Iterator[tuple[int, int]]:
    """The free modules in the order in which they carry bits: two columns at a time, up and down."""
    upwards = True
    for right in (*range(SIZE - 1, 6, -2), 5, 3, 1):
        rows = range(SIZE - 1, -1, -1) if upwards else range(SIZE)
        yield from ((row, column) for row in rows for column in (right, right - 1) if not fixed[row][column])
        upwards = not upwards
