"""How WPPConnect Server is told to send, by its source (2.10.4, src/controller/messageController.ts); of these calls
only the text is recorded. A recipient is a bare id, and flags say of which kind. A `path` may be an address: its
library fetches what is no `data:` URL before it looks on its disk (sender.layer.ts, downloadFileToBase64)."""

from typing import Any, assert_never

from homing.drivers.contents import Told, beyond, file_name_of, jids, said, serialised, url_of, words_alone
from homing.model.sends.addresses import Address, AddressKind
from homing.model.sends.calls import OutgoingText
from homing.model.sends.content import (
    CAPTIONED,
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

SENDS = frozenset({
    MessageType.TEXT, MessageType.IMAGE, MessageType.VIDEO, MessageType.AUDIO, MessageType.VOICE,
    MessageType.DOCUMENT, MessageType.STICKER, MessageType.LOCATION, MessageType.POLL,
})  # fmt: skip
"""Reactions, edits, revokes and cards are answered without the id of a message."""
QUOTES = SENDS - {MessageType.STICKER, MessageType.LOCATION, MessageType.POLL}
MENTIONS = CAPTIONED | {MessageType.TEXT}
REACHES = frozenset({AddressKind.PHONE, AddressKind.LID, AddressKind.GROUP, AddressKind.NEWSLETTER})
PHONES_AT = "c.us"
_NO_FLAG = {"isGroup": False}
_FLAGS = {
    AddressKind.GROUP: {"isGroup": True},
    AddressKind.LID: {"isGroup": False, "isLid": True},
    AddressKind.NEWSLETTER: {"isGroup": False, "isNewsletter": True},
}


def told_of(message: OutgoingText) -> Told:
    """The path is what stands behind the session. Raises Unsendable."""
    content, recipient = message.said, message.recipient
    chat, about = recipient.jid(PHONES_AT), chat_of(recipient)
    if (words := words_alone(content)) is not None:
        return Told("send-message", {**about, "message": words})

    def answering(ref: MessageRef | None) -> str | None:
        return serialised(ref, chat, PHONES_AT) if ref is not None else None

    match content:
        case TextContent():
            options = said(quotedMsg=answering(content.reply_to), mentionedList=jids(content.mentions, PHONES_AT))
            return Told("send-message", {**about, "message": content.text, **said(options=options or None)})
        case MediaContent(type=MessageType.VOICE):
            quoting = said(quotedMessageId=answering(content.reply_to))
            return Told("send-voice", {**about, "path": url_of(message), **quoting})
        case MediaContent(type=MessageType.STICKER):
            return Told("send-sticker", {**about, "path": url_of(message)})
        case MediaContent():
            path = "send-image" if content.type is MessageType.IMAGE else "send-file"
            file = {"path": url_of(message), "filename": file_name_of(message)}
            options = said(mentionedList=jids(content.mentions, PHONES_AT))
            more = said(
                caption=content.caption,
                quotedMessageId=answering(content.reply_to),
                options=options or None,
            )
            return Told(path, {**about, **file, **more})
        case LocationContent():
            place: dict[str, Any] = {"lat": content.latitude, "lng": content.longitude}
            return Told("send-location", {**about, **place, **said(title=content.name, address=content.address)})
        case PollContent():
            options = {"selectableCount": content.selectable}
            poll = {"name": content.question, "choices": list(content.options), "options": options}
            return Told("send-poll-message", {**about, **poll})
        case ContactContent() | ReactionContent() | EditContent() | RevokeContent():
            raise beyond(content)
        case _:
            assert_never(content)


def chat_of(address: Address) -> dict[str, Any]:
    """Whom to send to. The server adds to the id what its flags say; without any, it is a phone."""
    return {"phone": address.id, **_FLAGS.get(address.kind, _NO_FLAG)}


def sign_of(sign: ChatSign) -> Told:
    """The call that shows that messages were read, or that somebody types (src/routes/index.ts, 2.10).

    Messages are read by the chat: it marks all of it, up to its newest one.
    """
    about = {"phone": sign.chat.id, "isGroup": sign.chat.kind is AddressKind.GROUP}
    match sign:
        case ReadSign():
            return Told("send-seen", about)
        case TypingSign():
            return Told("typing", {**about, "value": sign.on})
        case _:
            assert_never(sign)
