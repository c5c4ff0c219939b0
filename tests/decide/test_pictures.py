"""Reading the QR code in a picture that a gateway drew."""

import base64
import io
import struct
import zlib

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.knowledge import qr_pictures
from homing.decide.knowledge.qr_pictures import NotReadable
from tests.models.node_service import qr

TEXT = "2@" + "Ab3/x+" * 30 + ",abc=,def=,1"


def url(png: bytes) -> str:
    return "data:image/png;base64," + base64.b64encode(png).decode()


def drawn(**how: object) -> bytes:
    made = io.BytesIO()
    segno.make(TEXT, micro=False).save(made, kind="png", **how)
    return made.getvalue()


def png(width: int, height: int, raw: bytes, *, depth: int = 8, colour: int = 0, interlaced: int = 0) -> bytes:
    header = struct.pack(">IIBBBBB", width, height, depth, colour, 0, 0, interlaced)
    parts = ((b"IHDR", header), (b"IDAT", zlib.compress(raw, 9)), (b"IEND", b""))
    chunks = [struct.pack(">I", len(data)) + kind + data + struct.pack(">I", 0) for kind, data in parts]
    return b"\x89PNG\r\n\x1a\n" + b"".join(chunks)


def test_the_picture_of_the_node_service_is_read() -> None:
    assert qr_pictures.text_in(qr.data_url(TEXT)) == TEXT


@pytest.mark.parametrize(
    "how", [{}, {"dark": "#128c7e"}, {"light": None}, {"dark": "darkblue", "data_dark": "black"}], ids=str
)
def test_pictures_drawn_in_other_ways_are_read(how: dict[str, object]) -> None:
    assert qr_pictures.text_in(url(drawn(scale=4, **how))) == TEXT


@given(st.lists(st.integers(0, 4), min_size=6, max_size=6), st.randoms(use_true_random=False))
def test_every_filter_is_put_back(kinds: list[int], random: object) -> None:
    """Filtered by the standard's formulas, the other way round."""
    width, step = 7, 1
    rows = [bytes(random.randrange(256) for _ in range(width)) for _ in kinds]  # type: ignore[attr-defined]
    raw, above = b"", bytes(width)
    for kind, row in zip(kinds, rows, strict=True):
        raw += bytes([kind]) + bytes((row[i] - predicted(kind, row, above, i, step)) & 255 for i in range(width))
        above = row
    assert qr_pictures.pixels_of(png(width, len(rows), raw)) == (width, len(rows), b"".join(rows))


def predicted(kind: int, row: bytes, above: bytes, i: int, step: int) -> int:
    left, corner = (row[i - step], above[i - step]) if i >= step else (0, 0)
    paeth = min((left, above[i], corner), key=lambda each: abs(left + above[i] - corner - each))
    return (0, left, above[i], (left + above[i]) // 2, paeth)[kind]


@pytest.mark.parametrize(
    "made",
    [
        b"",
        b"\x89PNG\r\n\x1a\n",
        png(4, 4, b"\0" * 10),
        png(0, 4, b""),
        png(5000, 5000, b""),
        png(1024, 1024, b"", colour=6),
        png(4, 4, b"\7" * 20),
        png(4, 4, b"\0" * 20, interlaced=1),
        png(4, 4, b"\0" * 40, depth=16),
        drawn()[:100],
    ],
    ids=range(10),
)
def test_what_is_no_small_picture_is_refused_and_nothing_breaks(made: bytes) -> None:
    with pytest.raises(NotReadable):
        qr_pictures.pixels_of(made)
    assert qr_pictures.text_in(url(made)) is None


def test_a_picture_that_unpacks_to_very_much_is_not_unpacked() -> None:
    bomb = png(8, 8, b"\0" * 50_000_000)
    assert qr_pictures.pixels_of(bomb) == (8, 8, b"\0" * 64)
    assert qr_pictures.text_in(url(bomb)) is None


@pytest.mark.parametrize(
    "said", ["", "data:image/png;base64,%%%", "data:image/svg+xml;base64,AAAA", "2@abc", "x" * 9**6]
)
def test_what_is_no_picture_says_nothing(said: str) -> None:
    assert qr_pictures.text_in(said) is None


@given(st.binary(max_size=200))
def test_any_bytes_are_a_picture_or_refused(tail: bytes) -> None:
    for made in (tail, drawn()[:40] + tail):
        try:
            width, height, grey = qr_pictures.pixels_of(made)
        except NotReadable:
            continue
        assert len(grey) == width * height
