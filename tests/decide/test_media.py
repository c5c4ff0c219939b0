"""Judgments on files: what they are, whether they may be sent so, and who may read them."""

import os

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.media.limits import Unfit, judged, limits_of
from homing.decide.media.sniffing import HEAD_BYTES, sniffed
from homing.decide.media.tokens import FileGrant, TokenUse, granted, token
from homing.model.sends.content import KeptMedia, MessageType

MEDIA = KeptMedia("2026-12-07/x", "ab" * 32, 12, "image/png")
SECRET = b"a secret"


@given(st.binary(max_size=64), st.sampled_from(TokenUse), st.integers(1, 2**40))
def test_a_token_opens_what_it_was_made_for_and_nothing_else(secret: bytes, use: TokenUse, until_s: int) -> None:
    grant = FileGrant(MEDIA, until_s, "a.png", 7)
    made = token(secret, use, grant)
    assert granted(secret, use, made, until_s - 1) == grant
    assert granted(secret, use, made, until_s) is None
    assert granted(secret + b"x", use, made, until_s - 1) is None
    other = TokenUse.NAME if use is TokenUse.READ else TokenUse.READ
    assert granted(secret, other, made, until_s - 1) is None


@given(st.text(max_size=300))
def test_what_nobody_signed_opens_nothing(text: str) -> None:
    assert granted(SECRET, TokenUse.READ, text, 0) is None


@given(st.integers(0, 10**6), st.integers(0, 255))
def test_a_token_that_was_changed_opens_nothing(at: int, to: int) -> None:
    made = token(SECRET, TokenUse.READ, FileGrant(MEDIA, 10))
    changed = made[: at % len(made)] + chr(to) + made[at % len(made) + 1 :]
    if changed != made:
        found = granted(SECRET, TokenUse.READ, changed, 0)
        assert found is None or found == FileGrant(MEDIA, 10)  # the last character has bits that say nothing


@given(st.binary(max_size=HEAD_BYTES), st.sampled_from([None, "a.png", "x.exe", "y.docx", "z.csv"]))
def test_a_name_never_makes_a_picture_of_what_is_none(head: bytes, name: str | None) -> None:
    found = sniffed(head, name)
    if found.startswith(("image/", "video/", "audio/")):
        assert found == sniffed(head)


@pytest.mark.parametrize(
    ("head", "name", "found"),
    [
        (b"PK\x03\x04rest", "a.docx", "application/vnd.openxmlformats-officedocument.wordprocessingml.document"),
        (b"PK\x03\x04rest", "a.png", "application/zip"),
        (b"a,b\n1,2\n", "a.csv", "text/csv"),
        (b"\x00\x00\x00\x18ftypmp42", None, "video/mp4"),
        (b"\x00\x00\x00\x18ftypM4A ", None, "audio/mp4"),
        (b"\x00\x00\x00\x18ftyp3gp5", None, "video/3gpp"),
        (b"RIFF\x00\x00\x00\x00WEBPVP8 ", None, "image/webp"),
        (b"RIFF\x00\x00\x00\x00WAVEfmt ", None, "audio/wav"),
        (b"", None, "application/octet-stream"),
        ("naïve".encode(), None, "text/plain"),
        (os.urandom(16) + b"\x00", "a.jpg", "application/octet-stream"),
    ],
    ids=["docx", "zip", "csv", "mp4", "m4a", "3gp", "webp", "wav", "empty", "text", "noise"],
)
def test_what_a_file_is_is_read_from_its_bytes(head: bytes, name: str | None, found: str) -> None:
    assert sniffed(head, name) == found


@pytest.mark.parametrize("text", ["image", "image=", "image=0", "fax=1", "image=x", "image=-1", "text=1"])
def test_a_limit_that_is_none_says_how_they_are_written(text: str) -> None:
    with pytest.raises(ValueError, match="no limit"):
        limits_of(text)


def test_a_file_at_its_limit_may_be_sent_and_one_byte_more_may_not() -> None:
    limits = limits_of("image=2, document=7")
    assert judged(MessageType.IMAGE, b"\x89PNG\r\n\x1a\n", 2 * 2**20, None, limits) == "image/png"
    assert isinstance(judged(MessageType.IMAGE, b"\x89PNG\r\n\x1a\n", 2 * 2**20 + 1, None, limits), Unfit)
    assert limits.largest == 64 * 2**20
