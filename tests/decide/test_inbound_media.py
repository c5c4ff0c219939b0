"""Which file came with a message, as what may it be given out, and who has its address?"""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.decide.media.inbound import (
    EventLink,
    file_of,
    has_file,
    kept_of,
    link_token,
    linked,
    named,
    reference_of,
    served_as,
)
from homing.model.sends.content import KeptMedia
from homing.model.sends.inbound import InboundFile

SECRET, NOW_S = b"secret", 1_796_000_000
LINK = EventLink("019a2c48-e752-76f8-8529-488653394ff5", NOW_S + 60)
MESSAGE: dict[str, Any] = {"id": "false_62811@c.us_3EB0", "from": "62811@c.us", "has_media": True}


def payload(**more: Any) -> dict[str, Any]:
    return {"session_id": "s", "message": MESSAGE | more}


@pytest.mark.parametrize("odd", ["", "../x", "a/b", "a b", "a?b", "x" * 513, 7, None])
def test_only_a_plain_reference_is_asked_for(odd: object) -> None:
    assert reference_of(payload(media={"reference": odd})) is None
    found = file_of("message_received", payload(media={"reference": "0a-F_9", "mimetype": "image/png"}))
    assert found is not None and found.reference == "0a-F_9"


def test_a_link_leads_to_its_event_until_it_is_over() -> None:
    token = link_token(SECRET, LINK)
    assert linked(SECRET, token, NOW_S) == LINK
    assert linked(SECRET, token, NOW_S + 60) is None
    assert linked(b"another", token, NOW_S) is None


def test_no_character_of_a_link_can_be_another() -> None:
    token = link_token(SECRET, LINK)
    for place in range(len(token) - 1):  # the last one has bits that mean nothing
        other = "A" if token[place] != "A" else "B"
        assert linked(SECRET, token[:place] + other + token[place + 1 :], NOW_S) is None, place


@given(st.text())
def test_whatever_is_no_link_leads_nowhere(text: str) -> None:
    assert linked(SECRET, text, NOW_S) is None


def test_a_link_names_its_event_and_nothing_else() -> None:
    assert len(link_token(SECRET, LINK)) < 110


def test_a_file_is_told_of_by_a_message_alone() -> None:
    assert has_file("message_received", payload()) and has_file("message_sent", payload())
    assert has_file("message_received", payload(has_media=False, media={"mimetype": "image/png"}))
    assert not has_file("message_received", payload(has_media=False))
    assert not has_file("message_received", payload(has_media="true"))
    assert not has_file("message_status_updated", payload())


def test_what_its_gateway_is_asked_for_is_what_it_told() -> None:
    media = {"url": "http://w/api/files/x", "mimetype": "image/png", "filename": "x.png"}
    found = file_of("message_received", payload(media=media))
    assert found == InboundFile(
        "false_62811@c.us_3EB0", "62811@c.us", False, "http://w/api/files/x", "image/png", "x.png"
    )
    ours = file_of("message_sent", payload(from_me=True, to="62812@c.us"))
    assert ours is not None and (ours.chat, ours.from_me) == ("62812@c.us", True)
    assert file_of("message_received", {"message": {"has_media": True}}) is None, "it has no id"
    odd = file_of("message_received", payload(media={"url": 7, "mimetype": [], "filename": None}))
    assert odd is not None and (odd.url, odd.mime_type, odd.file_name) == (None, "", "")


@pytest.mark.parametrize("kept", [None, 7, {}, {"id": "x"}, {"id": 1, "sha256": "", "size": "3", "mime_type": ""}])
def test_what_names_no_kept_file_is_none(kept: object) -> None:
    assert kept_of(payload(media={"kept": kept})) is None


def test_what_was_kept_is_read_as_it_was_written() -> None:
    kept = KeptMedia("2026-12-07/ab", "ab", 3, "image/png")
    written = {"id": "2026-12-07/ab", "sha256": "ab", "size": 3, "mime_type": "image/png"}
    assert kept_of(payload(media={"kept": written})) == kept


@pytest.mark.parametrize(
    ("head", "expected"),
    [
        (b"\xff\xd8\xff\xe0", "image/jpeg"),
        (b"OggS" + bytes(24) + b"OpusHead", "audio/ogg"),
        (b"%PDF-1.4", "application/pdf"),
        (b"<!DOCTYPE html><script>", "text/plain"),
        (b"<?xml version='1.0'?><svg onload=x>", "text/plain"),
        (b"GIF89a<script>", "image/gif"),
        (b"\x00\x01\x02", "application/octet-stream"),
        (b"", "application/octet-stream"),
    ],
)
def test_nothing_is_given_out_that_a_browser_would_run(head: bytes, expected: str) -> None:
    assert served_as(head) == expected


@pytest.mark.parametrize(
    ("written", "expected"),
    [
        ("photo.jpg", "photo.jpg"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\x\\bill.pdf", "bill.pdf"),
        ("a\r\nX-Header: 1", "aX-Header: 1"),
        ("", "file"),
        ("dir/", "file"),
        ("x" * 500, "x" * 120),
    ],
)
def test_a_name_is_a_name_and_no_path(written: str, expected: str) -> None:
    assert named(InboundFile("1", None, file_name=written)) == expected
    assert named(None) == "file"
