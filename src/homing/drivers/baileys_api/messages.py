"""How baileys-api is told to send, by its source (src/controllers/connections, types.ts and helpers.ts, 2026-07); of
these calls only the text is recorded. It takes files in base64, inside the JSON, and none by its address."""

from typing import Any, assert_never

from homing.drivers.contents import Told, beyond, file_name_of, in_base64, key_of, mime_of, said
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
    MessageType.TEXT, MessageType.IMAGE, MessageType.VIDEO, MessageType.AUDIO, MessageType.VOICE,
    MessageType.DOCUMENT, MessageType.REACTION,
})  # fmt: skip
QUOTES = frozenset[MessageType]()
MENTIONS = frozenset[MessageType]()
REACHES = frozenset({AddressKind.PHONE, AddressKind.LID, AddressKind.GROUP})
PHONES_AT = "s.whatsapp.net"


def content_of(message: OutgoingText) -> dict[str, Any]:
    """Its `messageContent`. Raises Unsendable."""
    content = message.said
    match content:
        case TextContent():
            return {"text": content.text}
        case MediaContent(type=MessageType.IMAGE | MessageType.VIDEO):
            file = {content.type.value: in_base64(message), "mimetype": mime_of(message)}
            return file | said(caption=content.caption)
        case MediaContent(type=MessageType.AUDIO | MessageType.VOICE):
            is_voice = content.type is MessageType.VOICE
            return {"audio": in_base64(message), "ptt": is_voice, "mimetype": mime_of(message)}
        case MediaContent(type=MessageType.DOCUMENT):
            file = {"document": in_base64(message), "fileName": file_name_of(message), "mimetype": mime_of(message)}
            return file | said(caption=content.caption)
        case ReactionContent():
            key = key_of(content.target, message.recipient.jid(PHONES_AT), PHONES_AT)
            return {"react": {"key": key, "text": content.emoji}}
        case MediaContent() | LocationContent() | ContactContent() | PollContent() | EditContent() | RevokeContent():
            raise beyond(content)
        case _:
            assert_never(content)


def sign_of(connection: str, sign: ChatSign) -> Told:
    """The call that shows that messages were read, or that somebody types (src/controllers/connections, 2026-07).

    `connection`: the path of the session's own.
    """
    chat = sign.chat.jid(PHONES_AT)
    match sign:
        case ReadSign(messages=messages):
            keys = [key_of(each, chat, PHONES_AT) for each in messages]
            return Told(f"{connection}/read-messages", {"keys": keys})
        case TypingSign():
            shown = {"type": "composing" if sign.on else "paused", "toJid": chat}
            return Told(f"{connection}/presence", shown, method="PATCH")
        case _:
            assert_never(sign)
