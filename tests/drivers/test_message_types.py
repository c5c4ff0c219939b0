"""What each family is told for each type of message: over the real wire, by a server that writes down what it hears."""

import base64
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import web

from homing.decide.sending import abilities
from homing.drivers import drivers_over
from homing.drivers.contents import vcard
from homing.drivers.http.streamed import PIECE_BYTES, StreamedBody
from homing.drivers.http.wire import Wire
from homing.model.fleet import Epoch, InstanceUrl, SessionId
from homing.model.sends.addresses import Address, AddressKind
from homing.model.sends.calls import MediaUnavailable, OutgoingText
from homing.model.sends.content import (
    CAPTIONED,
    MEDIA_TYPES,
    ContactContent,
    Content,
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
    words_of,
)
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import FailureCode, Receipt

PNG = b"\x89PNG\r\n\x1a\n" + bytes(range(256)) * 3
AT = "http://homing.example/media/token"
TO = Address(AddressKind.PHONE, "628000000001")
GROUP = Address(AddressKind.GROUP, "120363025246125486")
FAMILIES = ["baileys-api", "evolution", "gowa", "waha", "webjs", "wppconnect", "wuzapi", "wwebjs-api"]
SESSION = {"baileys-api": "+628000000009"}
DATA = base64.b64encode(PNG).decode()
CARD = ContactContent("Budi; S", "62811801641", "Toko")


@dataclass
class File:
    """A file on its way out. `lies`: it ends sooner than was said."""

    url: str = AT
    data: bytes = PNG
    lies: bool = False
    fails: bool = False
    pieces: list[int] = field(default_factory=list)

    async def chunks(self) -> AsyncIterator[bytes]:
        data = self.data[:-1] if self.lies else self.data
        for at in range(0, len(data), 100_000):
            if self.fails:
                raise MediaUnavailable("the disk is gone")
            self.pieces.append(len(data[at : at + 100_000]))
            yield data[at : at + 100_000]


def media(kind: MessageType, mime_type: str = "image/png", size: int = len(PNG)) -> MediaContent:
    caption = "look" if kind in CAPTIONED else ""
    name = "a b.png" if kind is MessageType.DOCUMENT else None
    return MediaContent(kind, KeptMedia("m1", "00" * 32, size, mime_type), caption, name)


CONTENTS: dict[MessageType, Content] = {
    MessageType.TEXT: TextContent("hello"),
    **{each: media(each) for each in MEDIA_TYPES},
    MessageType.VOICE: media(MessageType.VOICE, "audio/ogg"),
    MessageType.LOCATION: LocationContent(-6.2, 106.8, "Monas", "Jl. Medan"),
    MessageType.CONTACT: CARD,
    MessageType.POLL: PollContent("When?", ("now", "later"), 2),
    MessageType.REACTION: ReactionContent(MessageRef("3AFF"), "👍"),
    MessageType.EDIT: EditContent(MessageRef("3EB0AA", from_me=True), "other words"),
    MessageType.REVOKE: RevokeContent(MessageRef("3EB0AA", from_me=True)),
}
C, S = "628000000001@c.us", "628000000001@s.whatsapp.net"
VCARD = vcard(CARD)
OWN_KEY = {"remoteJid": S, "fromMe": True, "id": "3EB0AA"}
THEIR_KEY = {"remoteJid": S, "fromMe": False, "id": "3AFF"}


def url_file(mime_type: str, name: str) -> dict[str, Any]:
    return {"mimetype": mime_type, "filename": name, "url": AT}


WANTED: dict[str, dict[MessageType, tuple[str, dict[str, Any]]]] = {
    "waha": {
        MessageType.TEXT: ("/api/sendText", {"chatId": C, "text": "hello"}),
        MessageType.IMAGE: (
            "/api/sendImage",
            {"chatId": C, "caption": "look", "file": url_file("image/png", "image.png")},
        ),
        MessageType.VIDEO: ("/api/sendVideo", {"chatId": C, "caption": "look"}),
        MessageType.VOICE: ("/api/sendVoice", {"file": url_file("audio/ogg; codecs=opus", "voice.ogg")}),
        MessageType.DOCUMENT: ("/api/sendFile", {"file": url_file("image/png", "a b.png"), "caption": "look"}),
        MessageType.LOCATION: ("/api/sendLocation", {"latitude": -6.2, "longitude": 106.8, "title": "Monas"}),
        MessageType.CONTACT: ("/api/sendContactVcard", {"contacts": [{"vcard": VCARD}]}),
        MessageType.POLL: (
            "/api/sendPoll",
            {"poll": {"name": "When?", "options": ["now", "later"], "multipleAnswers": True}},
        ),
    },
    "evolution": {
        MessageType.TEXT: ("/message/sendText/alpha", {"number": TO.id, "text": "hello"}),
        MessageType.IMAGE: (
            "/message/sendMedia/alpha",
            {
                "number": TO.id,
                "mediatype": "image",
                "mimetype": "image/png",
                "media": AT,
                "fileName": "image.png",
                "caption": "look",
            },
        ),
        MessageType.VIDEO: ("/message/sendMedia/alpha", {"mediatype": "video"}),
        MessageType.AUDIO: ("/message/sendMedia/alpha", {"mediatype": "audio"}),
        MessageType.VOICE: ("/message/sendWhatsAppAudio/alpha", {"number": TO.id, "audio": AT}),
        MessageType.DOCUMENT: ("/message/sendMedia/alpha", {"mediatype": "document", "fileName": "a b.png"}),
        MessageType.STICKER: ("/message/sendSticker/alpha", {"sticker": AT}),
        MessageType.LOCATION: (
            "/message/sendLocation/alpha",
            {"latitude": -6.2, "longitude": 106.8, "name": "Monas", "address": "Jl. Medan"},
        ),
        MessageType.CONTACT: (
            "/message/sendContact/alpha",
            {
                "contact": [
                    {
                        "fullName": "Budi; S",
                        "wuid": "62811801641",
                        "phoneNumber": "+62811801641",
                        "organization": "Toko",
                    }
                ]
            },
        ),
        MessageType.POLL: (
            "/message/sendPoll/alpha",
            {"name": "When?", "values": ["now", "later"], "selectableCount": 2},
        ),
        MessageType.REACTION: ("/message/sendReaction/alpha", {"key": THEIR_KEY, "reaction": "👍"}),
        MessageType.EDIT: ("/chat/updateMessage/alpha", {"number": TO.id, "key": OWN_KEY, "text": "other words"}),
        MessageType.REVOKE: ("/chat/deleteMessageForEveryone/alpha", OWN_KEY),
    },
    "wwebjs-api": {
        MessageType.TEXT: ("/client/sendMessage/alpha", {"chatId": C, "contentType": "string", "content": "hello"}),
        MessageType.IMAGE: (
            "/client/sendMessage/alpha",
            {"contentType": "MessageMediaFromURL", "content": AT, "options": {"caption": "look"}},
        ),
        MessageType.VIDEO: ("/client/sendMessage/alpha", {"content": AT}),
        MessageType.AUDIO: ("/client/sendMessage/alpha", {"content": AT}),
        MessageType.VOICE: ("/client/sendMessage/alpha", {"content": AT, "options": {"sendAudioAsVoice": True}}),
        MessageType.DOCUMENT: (
            "/client/sendMessage/alpha",
            {
                "options": {"sendMediaAsDocument": True, "caption": "look"},
                "mediaFromURLOptions": {"filename": "a b.png"},
            },
        ),
        MessageType.STICKER: ("/client/sendMessage/alpha", {"options": {"sendMediaAsSticker": True}}),
        MessageType.LOCATION: (
            "/client/sendMessage/alpha",
            {"contentType": "Location", "content": {"latitude": -6.2, "longitude": 106.8, "description": "Monas"}},
        ),
        MessageType.POLL: (
            "/client/sendMessage/alpha",
            {
                "contentType": "Poll",
                "content": {
                    "pollName": "When?",
                    "pollOptions": ["now", "later"],
                    "options": {"allowMultipleAnswers": True},
                },
            },
        ),
        MessageType.EDIT: ("/message/edit/alpha", {"chatId": C, "messageId": "3EB0AA", "content": "other words"}),
    },
    "wppconnect": {
        MessageType.TEXT: ("/api/alpha/send-message", {"phone": TO.id, "isGroup": False, "message": "hello"}),
        MessageType.IMAGE: (
            "/api/alpha/send-image",
            {"phone": TO.id, "path": AT, "filename": "image.png", "caption": "look"},
        ),
        MessageType.VIDEO: ("/api/alpha/send-file", {"path": AT}),
        MessageType.AUDIO: ("/api/alpha/send-file", {"path": AT}),
        MessageType.VOICE: ("/api/alpha/send-voice", {"path": AT}),
        MessageType.DOCUMENT: ("/api/alpha/send-file", {"path": AT, "filename": "a b.png", "caption": "look"}),
        MessageType.STICKER: ("/api/alpha/send-sticker", {"path": AT}),
        MessageType.LOCATION: (
            "/api/alpha/send-location",
            {"lat": -6.2, "lng": 106.8, "title": "Monas", "address": "Jl. Medan"},
        ),
        MessageType.POLL: (
            "/api/alpha/send-poll-message",
            {"name": "When?", "choices": ["now", "later"], "options": {"selectableCount": 2}},
        ),
    },
    "baileys-api": {
        MessageType.TEXT: ("/connections/+628000000009/send-message", {"jid": S, "messageContent": {"text": "hello"}}),
        MessageType.IMAGE: (
            "/connections/+628000000009/send-message",
            {"messageContent": {"image": DATA, "mimetype": "image/png", "caption": "look"}},
        ),
        MessageType.VIDEO: (
            "/connections/+628000000009/send-message",
            {"messageContent": {"video": DATA, "mimetype": "image/png", "caption": "look"}},
        ),
        MessageType.AUDIO: (
            "/connections/+628000000009/send-message",
            {"messageContent": {"audio": DATA, "ptt": False, "mimetype": "image/png"}},
        ),
        MessageType.VOICE: (
            "/connections/+628000000009/send-message",
            {"messageContent": {"audio": DATA, "ptt": True, "mimetype": "audio/ogg; codecs=opus"}},
        ),
        MessageType.DOCUMENT: (
            "/connections/+628000000009/send-message",
            {
                "messageContent": {
                    "document": DATA,
                    "fileName": "a b.png",
                    "mimetype": "image/png",
                    "caption": "look",
                }
            },
        ),
        MessageType.REACTION: (
            "/connections/+628000000009/send-message",
            {"messageContent": {"react": {"key": THEIR_KEY, "text": "👍"}}},
        ),
    },
    "wuzapi": {
        MessageType.TEXT: ("/chat/send/text", {"Phone": TO.id, "Body": "hello"}),
        MessageType.IMAGE: (
            "/chat/send/image",
            {"Phone": TO.id, "Image": f"data:image/png;base64,{DATA}", "Caption": "look"},
        ),
        MessageType.VIDEO: ("/chat/send/video", {"Video": f"data:image/png;base64,{DATA}"}),
        MessageType.VOICE: (
            "/chat/send/audio",
            {"Audio": f"data:audio/ogg;base64,{DATA}", "mimetype": "audio/ogg; codecs=opus"},
        ),
        MessageType.DOCUMENT: (
            "/chat/send/document",
            {
                "Document": f"data:application/octet-stream;base64,{DATA}",
                "FileName": "a b.png",
                "MimeType": "image/png",
            },
        ),
        MessageType.STICKER: ("/chat/send/sticker", {"Sticker": f"data:image/png;base64,{DATA}"}),
        MessageType.LOCATION: ("/chat/send/location", {"Latitude": -6.2, "Longitude": 106.8, "Name": "Monas"}),
        MessageType.CONTACT: ("/chat/send/contact", {"Name": "Budi; S", "Vcard": VCARD}),
        MessageType.REACTION: ("/chat/react", {"Body": "👍", "Id": "3AFF"}),
        MessageType.REVOKE: ("/chat/delete", {"Phone": TO.id, "Id": "3EB0AA"}),
    },
    "gowa": {
        MessageType.TEXT: ("/send/message", {"phone": S, "message": "hello"}),
        MessageType.IMAGE: ("/send/image", {"phone": S, "image_url": AT, "caption": "look"}),
        MessageType.VIDEO: ("/send/video", {"video_url": AT}),
        MessageType.AUDIO: ("/send/audio", {"audio_url": AT}),
        MessageType.VOICE: ("/send/audio", {"audio_url": AT, "ptt": True}),
        MessageType.STICKER: ("/send/sticker", {"sticker_url": AT}),
        MessageType.LOCATION: ("/send/location", {"latitude": "-6.2", "longitude": "106.8"}),
        MessageType.CONTACT: ("/send/contact", {"contact_name": "Budi; S", "contact_phone": "62811801641"}),
        MessageType.POLL: ("/send/poll", {"question": "When?", "options": ["now", "later"], "max_answer": 2}),
        MessageType.REACTION: ("/message/3AFF/reaction", {"phone": S, "emoji": "👍"}),
        MessageType.EDIT: ("/message/3EB0AA/update", {"phone": S, "message": "other words"}),
        MessageType.REVOKE: ("/message/3EB0AA/revoke", {"phone": S}),
    },
    "webjs": {
        MessageType.TEXT: (
            "/api/messages/send",
            {"recipient_phone": TO.id, "message": "hello", "type": "text", "message_id": "3EB0CAFE"},
        ),
        **{
            kind: (
                "/api/messages/send-media",
                {"recipient_phone": TO.id, "media_url": AT, "filename": name, "type": kind.value},
            )
            for kind, name in (
                (MessageType.IMAGE, "image.png"),
                (MessageType.VIDEO, "video.png"),
                (MessageType.AUDIO, "audio.png"),
                (MessageType.DOCUMENT, "a b.png"),
            )
        },
    },
}
CASES = [(family, kind) for family in FAMILIES for kind in sorted(MessageType)]


@dataclass
class Gateway:
    """Whoever answers every call with success, in the words of all families."""

    heard: list[tuple[str, str, Any]] = field(default_factory=list)
    with_id: bool = True
    url: str = ""

    async def answer(self, request: web.Request) -> web.Response:
        raw = await request.read()
        if request.path == "/admin/users":
            return web.json_response([{"name": "alpha", "token": "user-token"}])
        if request.path.endswith("/generate-token"):
            return web.json_response({"token": "session-token"}, status=201)
        self.heard.append((request.method, request.path, json.loads(raw) if raw else None))
        said = {"id": "true_x_3EB0", "key": {"id": "3EB0"}, "message_id": "3EB0"} if self.with_id else {}
        message = {"id": {"_serialized": "true_x_3EB0"}} if self.with_id else None
        body = {
            "success": True,
            **said,
            "message": message,
            "response": [{"id": said["id"]}] if said else [],
            "data": {"Id": "3EB0", "key": {"id": "3EB0"}} if said else {},
            "results": said,
        }
        return web.json_response(body)


@pytest.fixture
async def gateway() -> AsyncIterator[Gateway]:
    there = Gateway()
    app = web.Application(client_max_size=2**30)
    app.router.add_route("*", "/{any:.*}", there.answer)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    there.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield there
    await runner.cleanup()


async def sent(
    gateway: Gateway, family: str, content: Content, *, file: File | None = None, to: Address = TO
) -> Receipt | Fault:
    wire = Wire()
    driver = drivers_over(wire, default_api_key="some-key").of(family)
    message = OutgoingText(
        SessionId(SESSION.get(family, "alpha")),
        1,  # type: ignore[arg-type]
        str(to),
        words_of(content),
        "3EB0CAFE",
        Epoch(0),
        content,
        file or File(),
    )
    try:
        return await driver.send(InstanceUrl(gateway.url), message, timeout_s=10)
    finally:
        await wire.close()


def base(family: str) -> Any:
    return drivers_over(Wire()).of(family).base


@pytest.mark.parametrize("family", FAMILIES)
def test_every_type_that_a_family_sends_is_tried_here(family: str) -> None:
    assert set(WANTED[family]) == base(family).sends


@pytest.mark.parametrize(("family", "kind"), CASES)
async def test_each_type_goes_out_as_the_family_takes_it_or_not_at_all(
    gateway: Gateway, family: str, kind: MessageType
) -> None:
    answer = await sent(gateway, family, CONTENTS[kind])
    if kind not in base(family).sends:
        if family != "webjs":  # ours reads what the Node service does not
            assert isinstance(answer, Fault) and answer.phase is Phase.REQUEST_REJECTED
            assert gateway.heard == []
        return
    assert isinstance(answer, Receipt), answer
    assert answer.message_id.endswith("3EB0")
    [(method, path, body)] = gateway.heard
    wanted_path, wanted = WANTED[family][kind]
    assert path == wanted_path
    assert {name: body.get(name) for name in wanted} == wanted
    assert method == ("DELETE" if path.startswith("/chat/deleteMessageForEveryone") else "POST")


@pytest.mark.parametrize(("family", "kind"), CASES)
async def test_without_an_id_nothing_counts_as_sent(gateway: Gateway, family: str, kind: MessageType) -> None:
    gateway.with_id = False
    if kind in base(family).sends:
        answer = await sent(gateway, family, CONTENTS[kind])
        assert isinstance(answer, Fault) and answer.phase is Phase.REPLY_MALFORMED


@pytest.mark.parametrize("family", ["baileys-api", "wuzapi"])
async def test_a_file_in_base64_is_read_while_it_goes_out(gateway: Gateway, family: str) -> None:
    data = bytes(range(256)) * 9_000 + b"odd"
    file = File(data=data)
    answer = await sent(gateway, family, media(MessageType.IMAGE, size=len(data)), file=file)
    assert isinstance(answer, Receipt), answer
    said = json.dumps(gateway.heard[0][2])
    assert base64.b64encode(data).decode() in said
    assert max(file.pieces) <= 100_000


@pytest.mark.parametrize("family", ["baileys-api", "wuzapi"])
@pytest.mark.parametrize("file", [File(lies=True), File(fails=True)], ids=["too short", "unreadable"])
async def test_a_file_that_ends_too_early_is_surely_not_sent(gateway: Gateway, family: str, file: File) -> None:
    answer = await sent(gateway, family, CONTENTS[MessageType.IMAGE], file=file)
    assert isinstance(answer, Fault)
    assert answer.phase is Phase.CUT_SHORT
    assert gateway.heard == []


@pytest.mark.parametrize("size", [0, 1, 2, 3, PIECE_BYTES - 1, PIECE_BYTES, PIECE_BYTES + 1, 3 * PIECE_BYTES + 2])
@pytest.mark.parametrize("as_base64", [True, False], ids=["base64", "raw"])
async def test_a_streamed_body_is_as_long_as_it_says(size: int, as_base64: bool) -> None:
    data = bytes(at % 251 for at in range(size))
    body = StreamedBody(b"<", File(data=data).chunks, size, b">", as_base64)
    pieces = [each async for each in body.pieces()]
    assert len(b"".join(pieces)) == len(body)
    assert b"".join(pieces) == b"<" + (base64.b64encode(data) if as_base64 else data) + b">"
    assert max(map(len, pieces)) <= PIECE_BYTES * 4 // 3


TO_GROUP = {
    "waha": ("chatId", "120363025246125486@g.us"),
    "evolution": ("number", "120363025246125486@g.us"),
    "wwebjs-api": ("chatId", "120363025246125486@g.us"),
    "wppconnect": ("phone", "120363025246125486"),
    "baileys-api": ("jid", "120363025246125486@g.us"),
    "wuzapi": ("Phone", "120363025246125486@g.us"),
    "gowa": ("phone", "120363025246125486@g.us"),
}


@pytest.mark.parametrize("family", sorted(TO_GROUP))
async def test_a_group_is_named_as_the_family_names_it(gateway: Gateway, family: str) -> None:
    assert isinstance(await sent(gateway, family, TextContent("hi"), to=GROUP), Receipt)
    field_, wanted = TO_GROUP[family]
    body = gateway.heard[0][2]
    assert body[field_] == wanted
    if family == "wppconnect":
        assert body["isGroup"] is True


@pytest.mark.parametrize("family", FAMILIES)
@pytest.mark.parametrize("kind", sorted(AddressKind))
def test_what_a_family_does_not_reach_is_refused_naming_it(family: str, kind: AddressKind) -> None:
    can = base(family)
    names = {AddressKind.STATUS: "status"}
    found = abilities.beyond(TextContent("hi"), Address(kind, names.get(kind, "123")), can, family)
    if kind in can.reaches:
        assert found is None
    else:
        assert found is not None and found[0] is FailureCode.UNSUPPORTED_RECIPIENT
        assert family in found[1] and all(each.value in found[1] for each in can.reaches)


@pytest.mark.parametrize(("family", "kind"), CASES)
def test_what_a_family_does_not_send_is_refused_naming_it(family: str, kind: MessageType) -> None:
    can = base(family)
    found = abilities.beyond(CONTENTS[kind], TO, can, family)
    if kind in can.sends:
        assert found is None
    else:
        assert found is not None and found[0] is FailureCode.UNSUPPORTED_TYPE
        assert family in found[1] and all(each.value in found[1] for each in can.sends)


@pytest.mark.parametrize("family", FAMILIES)
async def test_an_answer_to_an_earlier_message_is_never_silently_no_answer(gateway: Gateway, family: str) -> None:
    """Whatever is not refused before is in the body that leaves."""
    for kind, content in CONTENTS.items():
        if kind not in base(family).sends or not hasattr(content, "reply_to"):
            continue
        asked: Any = replace(content, reply_to=MessageRef("3EB0QUOTED"))  # type: ignore[call-arg]
        if abilities.beyond(asked, TO, base(family), family) is None:
            gateway.heard.clear()
            assert isinstance(await sent(gateway, family, asked), Receipt)
            assert "3EB0QUOTED" in json.dumps(gateway.heard[0][2])


@pytest.mark.parametrize("family", FAMILIES)
async def test_people_who_are_mentioned_are_named_in_what_leaves(gateway: Gateway, family: str) -> None:
    for kind, content in CONTENTS.items():
        if kind not in base(family).sends or not hasattr(content, "mentions"):
            continue
        asked: Any = replace(content, mentions=(Address(AddressKind.PHONE, "62899999"),))  # type: ignore[call-arg]
        if abilities.beyond(asked, TO, base(family), family) is None:
            gateway.heard.clear()
            assert isinstance(await sent(gateway, family, asked), Receipt)
            assert "62899999" in json.dumps(gateway.heard[0][2])


async def test_half_a_character_in_a_caption_is_refused_before_anything_leaves(gateway: Gateway) -> None:
    content = replace(media(MessageType.IMAGE), caption="\ud800")
    answer = await sent(gateway, "wuzapi", content)
    assert isinstance(answer, Fault) and answer.phase is Phase.REQUEST_REJECTED
    assert gateway.heard == []


def test_a_card_says_what_it_says_whatever_is_in_the_name() -> None:
    card = vcard(ContactContent("a;b,c\nEND:VCARD\\", "62811801641"))
    assert card.count("\n") == 5
    assert "waid=62811801641:+62811801641" in card
