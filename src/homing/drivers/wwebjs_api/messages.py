"""How wwebjs-api is told to send, by its source (1252893, clientController.js, messageController.js); of these
calls only the text is recorded."""

from typing import Any, assert_never

from homing.drivers.calling import quoted
from homing.drivers.contents import Told, beyond, file_name_of, jids, said, serialised, url_of, words_alone
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
    MessageType.TEXT, MessageType.IMAGE, MessageType.VIDEO, MessageType.AUDIO, MessageType.VOICE,
    MessageType.DOCUMENT, MessageType.STICKER, MessageType.LOCATION, MessageType.POLL, MessageType.EDIT,
})  # fmt: skip
"""Its card is of somebody whom WhatsApp knows, and of nobody else. Reactions and revokes are answered without an id."""
QUOTES = SENDS - {MessageType.EDIT}
MENTIONS = CAPTIONED | {MessageType.TEXT, MessageType.EDIT}
REACHES = frozenset({AddressKind.PHONE, AddressKind.LID, AddressKind.GROUP, AddressKind.NEWSLETTER})
PHONES_AT = "c.us"
_AS = {
    MessageType.DOCUMENT: {"sendMediaAsDocument": True},
    MessageType.VOICE: {"sendAudioAsVoice": True},
    MessageType.STICKER: {"sendMediaAsSticker": True},
}


def told_of(message: OutgoingText) -> Told:
    """Raises Unsendable."""
    content, chat = message.said, message.recipient.jid(PHONES_AT)
    path = f"/client/sendMessage/{quoted(message.session_id)}"
    if (words := words_alone(content)) is not None:
        return Told(path, {"chatId": chat, "contentType": "string", "content": words})

    def told(kind: str, what: Any, options: dict[str, Any], reply_to: MessageRef | None) -> Told:
        body = {"chatId": chat, "contentType": kind, "content": what}
        if reply_to is not None:
            options = {**options, "quotedMessageId": serialised(reply_to, chat, PHONES_AT)}
        return Told(path, {**body, "options": options} if options else body)

    match content:
        case TextContent():
            return told("string", content.text, said(mentions=jids(content.mentions, PHONES_AT)), content.reply_to)
        case MediaContent():
            options = _AS.get(content.type, {}) | said(
                caption=content.caption, mentions=jids(content.mentions, PHONES_AT)
            )
            whole = told("MessageMediaFromURL", url_of(message), options, content.reply_to)
            named = {"mediaFromURLOptions": {"filename": file_name_of(message)}}
            return Told(path, {**whole.body, **named})
        case LocationContent():
            place = {"latitude": content.latitude, "longitude": content.longitude}
            return told("Location", place | said(description=content.name or content.address), {}, content.reply_to)
        case PollContent():
            poll = {
                "pollName": content.question,
                "pollOptions": list(content.options),
                "options": {"allowMultipleAnswers": content.selectable > 1},
            }
            return told("Poll", poll, {}, content.reply_to)
        case EditContent():
            edited = {"chatId": chat, "messageId": content.target.id, "content": content.text}
            options = said(mentions=jids(content.mentions, PHONES_AT))
            return Told(f"/message/edit/{quoted(message.session_id)}", edited | said(options=options or None))
        case ContactContent() | ReactionContent() | RevokeContent():
            raise beyond(content)
        case _:
            assert_never(content)


def sign_of(session_id: SessionId, sign: ChatSign) -> Told:
    """The call that shows that messages were read, or that somebody types (src/routes.js, 1.0).

    Messages are read by the chat: it marks all of it, up to its newest one.
    """
    about, name = {"chatId": sign.chat.jid(PHONES_AT)}, quoted(session_id)
    match sign:
        case ReadSign():
            return Told(f"/chat/sendSeen/{name}", about)
        case TypingSign():
            return Told(f"/chat/sendStateTyping/{name}" if sign.on else f"/chat/clearState/{name}", about)
        case _:
            assert_never(sign)
