"""How GOWA is told to send, by its OpenAPI document and source (v9, src/domains/send), without recorded traffic."""

from typing import Any, assert_never

from homing.drivers.calling import quoted
from homing.drivers.contents import Told, beyond, jids, said, url_of
from homing.model.fleet import SessionId
from homing.model.sends.addresses import AddressKind
from homing.model.sends.calls import OutgoingText
from homing.model.sends.content import (
    MEDIA_TYPES,
    ContactContent,
    EditContent,
    LocationContent,
    MediaContent,
    MessageRef,
    MessageType,
    PollContent,
    ReactionContent,
    RevokeContent,
    TextContent,
)
from homing.model.sends.signs import ChatSign, ReadSign, TypingSign

SENDS = frozenset(MessageType) - {MessageType.DOCUMENT}
"""A document by its link is named after that (usecase/send.go, SendFile), and ours hold no name of a file; under a name
of its own it is taken as a form alone."""
QUOTES = frozenset({MessageType.TEXT}) | (MEDIA_TYPES & SENDS)
MENTIONS = frozenset({MessageType.TEXT})
REACHES = frozenset({AddressKind.PHONE, AddressKind.LID, AddressKind.GROUP})
PHONES_AT = "s.whatsapp.net"


def told_of(message: OutgoingText) -> Told:
    """Raises Unsendable."""
    content = message.said
    about: dict[str, Any] = {"phone": message.recipient.jid(PHONES_AT)}
    match content:
        case TextContent():
            more = said(reply_message_id=_id(content.reply_to), mentions=jids(content.mentions, PHONES_AT))
            return Told("/send/message", {**about, "message": content.text, **more})
        case MediaContent():
            return _file(message, content, {**about, **said(reply_message_id=_id(content.reply_to))})
        case LocationContent():
            place = {"latitude": str(content.latitude), "longitude": str(content.longitude)}
            return Told("/send/location", {**about, **place})
        case ContactContent():
            return Told("/send/contact", {**about, "contact_name": content.name, "contact_phone": content.phone})
        case PollContent():
            poll = {"question": content.question, "options": list(content.options), "max_answer": content.selectable}
            return Told("/send/poll", {**about, **poll})
        case ReactionContent():
            return Told(f"/message/{quoted(content.target.id)}/reaction", {**about, "emoji": content.emoji})
        case EditContent():
            return Told(f"/message/{quoted(content.target.id)}/update", {**about, "message": content.text})
        case RevokeContent():
            return Told(f"/message/{quoted(content.target.id)}/revoke", about)
        case _:
            assert_never(content)


def _file(message: OutgoingText, content: MediaContent, about: dict[str, Any]) -> Told:
    url, more = url_of(message), said(caption=content.caption)
    match content.type:
        case MessageType.IMAGE | MessageType.VIDEO | MessageType.AUDIO | MessageType.STICKER:
            kind = content.type.value
            return Told(f"/send/{kind}", {**about, f"{kind}_url": url, **more})
        case MessageType.VOICE:
            return Told("/send/audio", {**about, "audio_url": url, "ptt": True})
        case _:
            raise beyond(content)


def _id(ref: MessageRef | None) -> str | None:
    return ref.id if ref is not None else None


def sign_of(session_id: SessionId, sign: ChatSign) -> Told:
    """The call that shows that messages were read, or that somebody types (docs/openapi.yaml, v8).

    It takes one message at a time, the newest; WhatsApp's own clients show what was before it as read too.
    """
    device = {"X-Device-Id": quoted(session_id)}
    chat = {"phone": sign.chat.jid(PHONES_AT)}
    match sign:
        case ReadSign(messages=messages):
            return Told(f"/message/{quoted(messages[-1].id)}/read", chat, headers=device)
        case TypingSign():
            return Told("/send/chat-presence", {**chat, "action": "start" if sign.on else "stop"}, headers=device)
        case _:
            assert_never(sign)
