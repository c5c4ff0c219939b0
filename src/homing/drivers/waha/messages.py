"""How WAHA is told to send. Its paths and fields are those of its OpenAPI document (2026.7.1) and of its source
(src/structures/chatting.dto.ts and files.dto.ts: a file by its address is `{mimetype, filename, url}`); of 2024.10 Core
only the text is recorded, and files are refused there by itself (`available only in Plus version`)."""

from typing import assert_never

from homing.drivers.contents import (
    Told,
    beyond,
    file_name_of,
    jids,
    mime_of,
    said,
    serialised,
    url_of,
    vcard,
    words_alone,
)
from homing.model.fleet import SessionId
from homing.model.sends.addresses import AddressKind
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
    MessageType.TEXT, MessageType.IMAGE, MessageType.VIDEO, MessageType.VOICE, MessageType.DOCUMENT,
    MessageType.LOCATION, MessageType.CONTACT, MessageType.POLL,
})  # fmt: skip
"""Reactions, edits and revokes are answered without the id of a message, so that nothing would prove them."""
QUOTES = SENDS
MENTIONS = SENDS & (CAPTIONED | {MessageType.TEXT})
REACHES = frozenset({AddressKind.PHONE, AddressKind.LID, AddressKind.GROUP, AddressKind.NEWSLETTER})
PHONES_AT = "c.us"
_FILES = {
    MessageType.IMAGE: "/api/sendImage",
    MessageType.VIDEO: "/api/sendVideo",
    MessageType.VOICE: "/api/sendVoice",
    MessageType.DOCUMENT: "/api/sendFile",
}


def told_of(message: OutgoingText) -> Told:
    """Raises Unsendable."""
    content, chat = message.said, message.recipient.jid(PHONES_AT)
    about = {"session": message.session_id, "chatId": chat}
    if (words := words_alone(content)) is not None:
        return Told("/api/sendText", {**about, "text": words})

    def answering(ref: MessageRef | None) -> str | None:
        return serialised(ref, chat, PHONES_AT) if ref is not None else None

    match content:
        case TextContent():
            more = said(reply_to=answering(content.reply_to), mentions=jids(content.mentions, PHONES_AT))
            return Told("/api/sendText", {**about, "text": content.text, **more})
        case MediaContent() if content.type in _FILES:
            file = {"mimetype": mime_of(message), "filename": file_name_of(message), "url": url_of(message)}
            more = said(
                caption=content.caption,
                reply_to=answering(content.reply_to),
                mentions=jids(content.mentions, PHONES_AT),
            )
            return Told(_FILES[content.type], {**about, "file": file, **more})
        case LocationContent():
            title = content.name or content.address
            place = {"latitude": content.latitude, "longitude": content.longitude, "title": title}
            return Told("/api/sendLocation", {**about, **place, **said(reply_to=answering(content.reply_to))})
        case ContactContent():
            cards = [{"vcard": vcard(content)}]
            return Told(
                "/api/sendContactVcard", {**about, "contacts": cards, **said(reply_to=answering(content.reply_to))}
            )
        case PollContent():
            poll = {
                "name": content.question,
                "options": list(content.options),
                "multipleAnswers": content.selectable > 1,
            }
            return Told("/api/sendPoll", {**about, "poll": poll, **said(reply_to=answering(content.reply_to))})
        case MediaContent() | ReactionContent() | EditContent() | RevokeContent():
            raise beyond(content)
        case _:
            assert_never(content)


def sign_of(session_id: SessionId, sign: ChatSign) -> Told:
    """The call that shows that messages were read, or that somebody types (its OpenAPI document, 2026.7.1)."""
    chat = sign.chat.jid(PHONES_AT)
    about = {"session": session_id, "chatId": chat}
    match sign:
        case ReadSign(messages=messages):
            return Told(
                "/api/sendSeen", {**about, "messageIds": [serialised(each, chat, PHONES_AT) for each in messages]}
            )
        case TypingSign():
            return Told("/api/startTyping" if sign.on else "/api/stopTyping", about)
        case _:
            assert_never(sign)
