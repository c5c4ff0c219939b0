"""How wuzapi is told to send, by its source (handlers.go, 79ee4cd and 02a462c), without recorded traffic. Both take
files as data URLs inside the JSON, the newer one links as well."""

from typing import assert_never

from homing.drivers.contents import Told, beyond, file_name_of, in_base64, kept_of, mime_of, said, vcard
from homing.model.sends.addresses import AddressKind
from homing.model.sends.calls import OutgoingText
from homing.model.sends.content import (
    ContactContent,
    EditContent,
    LocationContent,
    MediaContent,
    MessageType,
    PollContent,
    ReactionContent,
    RevokeContent,
    TextContent,
)
from homing.model.sends.signs import ChatSign, ReadSign, TypingSign

SENDS = frozenset({
    MessageType.TEXT, MessageType.IMAGE, MessageType.VIDEO, MessageType.VOICE, MessageType.DOCUMENT,
    MessageType.STICKER, MessageType.LOCATION, MessageType.CONTACT, MessageType.REACTION, MessageType.REVOKE,
})  # fmt: skip
"""Its `audio` is a voice note, and the older version takes Ogg alone. Polls it sends to groups alone, and edits in
newer versions alone."""
QUOTES = frozenset[MessageType]()
MENTIONS = frozenset[MessageType]()
REACHES = frozenset({AddressKind.PHONE, AddressKind.LID, AddressKind.GROUP})
PHONES_AT = "s.whatsapp.net"
_FIELDS = {
    MessageType.IMAGE: "Image",
    MessageType.VIDEO: "Video",
    MessageType.VOICE: "Audio",
    MessageType.DOCUMENT: "Document",
    MessageType.STICKER: "Sticker",
}
_OLDEST_DOCUMENT = "application/octet-stream"
"""Versions of 2025 take no other type of a document's data URL (handlers.go, SendDocument)."""


def told_of(message: OutgoingText) -> Told:
    """Raises Unsendable."""
    content = message.said
    about = {"Phone": str(message.recipient)}
    match content:
        case TextContent():
            return Told("/chat/send/text", {**about, "Body": content.text})
        case MediaContent() if content.type in _FIELDS:
            return _file(message, content, about)
        case LocationContent():
            place = {"Latitude": content.latitude, "Longitude": content.longitude}
            return Told("/chat/send/location", {**about, **place, **said(Name=content.name or content.address)})
        case ContactContent():
            return Told("/chat/send/contact", {**about, "Name": content.name, "Vcard": vcard(content)})
        case ReactionContent(target=target):
            its_id = f"me:{target.id}" if target.from_me else target.id
            return Told("/chat/react", {**about, "Body": content.emoji, "Id": its_id})
        case RevokeContent(target=target):
            return Told("/chat/delete", {**about, "Id": target.id})
        case MediaContent() | PollContent() | EditContent():
            raise beyond(content)
        case _:
            assert_never(content)


def _file(message: OutgoingText, content: MediaContent, about: dict[str, str]) -> Told:
    is_document = content.type is MessageType.DOCUMENT
    mime_type = kept_of(message)[1].mime_type
    its_type = _OLDEST_DOCUMENT if is_document else mime_type
    file = {_FIELDS[content.type]: in_base64(message, f"data:{its_type};base64,")}
    named = {"FileName": file_name_of(message), "MimeType": mime_type} if is_document else {}
    if content.type is MessageType.VOICE:
        named = {"mimetype": mime_of(message)}  # the newer version would say of it what the data URL does: no codec
    return Told(
        f"/chat/send/{_FIELDS[content.type].lower()}", {**about, **file, **named, **said(Caption=content.caption)}
    )


def sign_of(sign: ChatSign) -> Told:
    """The call that shows that messages were read, or that somebody types (API.md, handlers.go).

    In a group the author is named as well; all of one call have the same.
    """
    chat = sign.chat.jid(PHONES_AT)
    match sign:
        case ReadSign(messages=messages):
            author = messages[0].participant.jid(PHONES_AT) if messages and messages[0].participant else chat
            return Told("/chat/markread", {"Id": [each.id for each in messages], "Chat": chat, "Sender": author})
        case TypingSign():
            return Told("/chat/presence", {"Phone": chat, "State": "composing" if sign.on else "paused", "Media": ""})
        case _:
            assert_never(sign)
