"""Pictures that people send to a session of ours: told of as they come, given out by whoever holds the session."""

import asyncio
from collections.abc import AsyncIterator

import aiohttp
import pytest
from gateway_sink import Sink
from stores import KEY
from test_telling_the_gateway import telling

from homing.instance.api import downloads
from homing.instance.engine import FileGone

PICTURE = b"\xff\xd8\xff\xe0" + bytes(range(256)) * 4_000


@pytest.fixture
async def sink() -> AsyncIterator[Sink]:
    async with Sink() as sink:
        yield sink


@pytest.fixture
async def one(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    return one


async def sent(fleet, mime_type: str = "image/jpeg") -> str:
    """A picture that somebody sent; its reference."""
    file = await fleet.whatsapp.keep(PICTURE, mime_type, "photo.jpg")
    await fleet.whatsapp.deliver("s1", "62899", "look", file)
    return file["sha256"]


async def fetched(fleet, one, reference: str, key: str = KEY) -> tuple[int, bytes]:
    url = f"{one.url}/api/sessions/s1/files/{reference}"
    async with fleet.http.get(url, headers={"X-API-Key": key}) as reply:
        return reply.status, await reply.read()


@pytest.mark.parametrize(
    ("mime_type", "kind"), [("image/jpeg", "image"), ("audio/ogg", "audio"), ("application/pdf", "document")]
)
async def test_a_message_with_a_file_is_told_with_what_it_is_and_without_its_bytes(
    fleet, sink, eventually, mime_type, kind
):
    await fleet.link("s1")
    one = await fleet.instance(gateway=telling(sink))
    await one.start()
    reference = await sent(fleet, mime_type)
    await eventually(lambda: "message_received" in sink.words())
    message = sink.accepted[-1].told["data"]["message"]
    assert (message["has_media"], message["type"], message["body"]) == (True, kind, "look")
    assert message["media"] == {"mimetype": mime_type, "filename": "photo.jpg", "reference": reference}
    assert await fetched(fleet, one, reference) == (200, PICTURE)


async def test_a_message_that_waited_in_the_vault_still_has_its_file(fleet, sink, eventually):
    await fleet.link("s1")
    sink.answer = lambda _: 500
    first = await fleet.instance(gateway=telling(sink))
    await first.start()
    reference = await sent(fleet)
    await eventually(lambda: not fleet.server.judge.devices["s1"].waiting)
    await first.stop()
    sink.answer = lambda _: 200
    second = await fleet.instance(gateway=telling(sink))
    await second.start()
    await eventually(lambda: "message_received" in sink.words())
    told = [each.told for each in sink.accepted if each.told["event"] == "message_received"]
    assert {each["data"]["message"]["media"]["reference"] for each in told} == {reference}  # it may be told twice


async def test_another_instance_gives_it_out_once_it_holds_the_session(fleet, one):
    reference = await sent(fleet)
    another = await fleet.instance()
    status, body = await fetched(fleet, another, reference)
    assert (status, body) == (404, b'{"error":"Session not found"}')
    await one.stop()
    await another.start()
    assert await fetched(fleet, another, reference) == (200, PICTURE)


async def test_a_file_that_whatsapp_does_not_have_is_not_found(fleet, one):
    status, body = await fetched(fleet, one, "0" * 64)
    assert status == 404
    assert b"File not found" in body


async def test_a_session_without_a_connection_says_so(fleet, one):
    reference = await sent(fleet)
    await fleet.whatsapp.remove_device("s1")
    await asyncio.sleep(0.05)
    status, body = await fetched(fleet, one, reference)
    assert status == 400
    assert b"Session not connected" in body


async def test_a_file_without_the_key_is_refused(fleet, one):
    assert await fetched(fleet, one, await sent(fleet), key="wrong") == (401, b'{"error":"Invalid API key"}')


async def test_a_file_that_breaks_off_never_looks_whole(fleet, one, monkeypatch):
    async def half(*_: object) -> AsyncIterator[bytes]:
        yield PICTURE[:1_000]
        raise FileGone("in the middle")

    monkeypatch.setattr(one.instance.host, "download", half)
    with pytest.raises(aiohttp.ClientPayloadError):
        await fetched(fleet, one, await sent(fleet))


async def test_so_many_files_are_given_out_at_a_time_and_no_more(fleet, one, monkeypatch):
    reference = await sent(fleet)
    monkeypatch.setattr(downloads, "AT_ONCE", 0)
    status, body = await fetched(fleet, one, reference)
    assert (status, b"files out already" in body) == (503, True)
    monkeypatch.setattr(downloads, "AT_ONCE", 1)
    for _ in range(3):
        assert (await fetched(fleet, one, reference))[0] == 200
