"""Every type of message over the HTTP surface of an instance, with a real simulated WhatsApp behind it."""

import asyncio
import hashlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web

from homing.model.sends import content_json
from homing.model.sends.addresses import Address, AddressKind
from homing.model.sends.content import (
    ContactContent,
    EditContent,
    KeptMedia,
    LocationContent,
    MediaContent,
    MessageRef,
    MessageType,
    PollContent,
    ReactionContent,
    RevokeContent,
    TextContent,
)

DATA = bytes(range(256)) * 5_000
SHA = hashlib.sha256(DATA).hexdigest()


@asynccontextmanager
async def files(**behaviour) -> AsyncIterator[str]:
    """The gateway's files."""

    async def answer(_: web.Request) -> web.StreamResponse:
        if behaviour.get("status"):
            return web.Response(status=behaviour["status"])
        if behaviour.get("cut"):
            response = web.StreamResponse(headers={"Content-Length": str(len(DATA))})
            await response.prepare(_)
            await response.write(DATA[:1000])
            _.transport.abort()
            return response
        return web.Response(body=DATA)

    app = web.Application()
    app.router.add_get("/media/{token}", answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/media/token"
    finally:
        await runner.cleanup()


def body(content, to="62811", **more):
    return {
        "session_id": "s1",
        "recipient_phone": to,
        "message": "words",
        "content": content_json.written(content),
        "message_id": "3EB0CAFE01",
        **more,
    }


TYPES = [
    TextContent("hi", MessageRef("3EB0QUOTED"), (Address(AddressKind.PHONE, "62899"),)),
    LocationContent(-6.2, 106.8, "Monas"),
    ContactContent("Budi", "62811801641"),
    PollContent("When?", ("now", "later"), 2),
    ReactionContent(MessageRef("3AFF"), "👍"),
    EditContent(MessageRef("3EB0AA", from_me=True), "other words"),
    RevokeContent(MessageRef("3EB0AA", from_me=True)),
]


@pytest.mark.parametrize("content", TYPES, ids=[each.type.value for each in TYPES])
async def test_what_is_said_reaches_the_recipient_whole(fleet, content):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    status, told = await one.post("/api/messages/send", body(content))
    assert (status, told["message_id"]) == (200, "3EB0CAFE01")
    (line,) = fleet.ledger()
    assert content_json.read(line.content) == content
    assert line.media_sha256 is None


@pytest.mark.parametrize("to", ["120363025@g.us", "212@lid", "120363144@newsletter", "status@broadcast"])
async def test_any_kind_of_address_is_reached(fleet, to):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    assert (await one.send("hello", recipient_phone=to))[0] == 200
    assert fleet.ledger()[0].recipient == to


def media(kind=MessageType.IMAGE, sha=SHA) -> MediaContent:
    return MediaContent(kind, KeptMedia("m1", sha, len(DATA), "image/png"), "look", "a.png")


@pytest.mark.parametrize("kind", ["image", "video", "audio", "voice", "document", "sticker"])
async def test_the_ledger_has_the_hash_of_the_bytes_that_were_sent(fleet, kind):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    async with files() as url:
        status, _ = await one.post("/api/messages/send-media", body(media(MessageType(kind)), media_url=url))
    assert status == 200
    (line,) = fleet.ledger()
    assert (line.media_sha256, line.text, line.content["type"]) == (SHA, "look", kind)
    assert line.content["media"] == {"sha256": SHA, "size": len(DATA), "mime_type": "image/png"}


async def test_the_node_services_body_is_taken(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    async with files() as url:
        said = {"session_id": "s1", "recipient_phone": "62811", "media_url": url, "caption": "x", "filename": "a.pdf"}
        status, told = await one.post("/api/messages/send-media", said)
    assert status == 200 and told["message_id"]
    (line,) = fleet.ledger()
    assert (line.content["type"], line.content["file_name"], line.media_sha256) == ("document", "a.pdf", SHA)


@pytest.mark.parametrize("behaviour", [{"status": 404}, {"status": 500}, {"cut": True}], ids=["404", "500", "cut"])
async def test_a_file_that_cannot_be_read_is_not_sent_in_part(fleet, behaviour):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    async with files(**behaviour) as url:
        status, told = await one.post("/api/messages/send-media", body(media(), media_url=url))
    assert (status, "could not be read" in told["error"]) == (503, True)
    assert fleet.ledger() == []


async def test_another_file_than_was_announced_is_not_sent(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    async with files() as url:
        status, told = await one.post("/api/messages/send-media", body(media(sha="00" * 32), media_url=url))
    assert (status, "another file" in told["error"]) == (503, True)
    assert fleet.ledger() == []


async def test_a_repeat_of_a_file_reaches_its_recipient_once(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    async with files() as url:
        for _ in range(2):
            assert (await one.post("/api/messages/send-media", body(media(), media_url=url)))[0] == 200
    assert len(fleet.ledger()) == 1


async def test_a_session_that_is_not_there_reads_no_file(fleet):
    one = await fleet.instance()
    async with files(status=500) as url:
        status, _ = await one.post("/api/messages/send-media", body(media(), media_url=url))
    assert status == 404


@pytest.mark.parametrize(
    "changes",
    [
        {"content": {"type": "fax"}},
        {"content": []},
        {"content": {"type": "text", "text": 5}},
        {"content": {"type": "poll"}},
        {"content": {"type": "text", "text": "x", "more": 1}},
    ],
)
async def test_a_content_that_is_none_is_refused(fleet, changes):
    one = await fleet.instance()
    status, told = await one.post("/api/messages/send", {**body(TYPES[0]), **changes})
    assert (status, told["error"]) == (400, "content is not one of a message")


async def test_what_the_vault_kept_is_said_whole_by_the_next_holder(fleet):
    """Reserved and not acknowledged: the next boot says the same frame, with the file's hash in it."""
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    async with files() as url:
        one.instance.host.find("s1")._sending._transmit = lambda _: None
        sending = asyncio.create_task(one.post("/api/messages/send-media", body(media(), media_url=url)))
        await asyncio.sleep(0.3)
        assert fleet.ledger() == []
    one.instance.host.find("s1")._connection.wire.close()
    for _ in range(200):
        if fleet.ledger():
            break
        await asyncio.sleep(0.05)
    (line,) = fleet.ledger()
    assert (line.media_sha256, line.message_id) == (SHA, "3EB0CAFE01")
    assert (await sending)[0] == 200
