"""How Evolution is told to send, by its source (2.3.7, src/api/dto/sendMessage.dto.ts and chat.dto.ts); of these calls
only the text is recorded."""

from typing import Any, assert_never

from homing.drivers.calling import quoted
from homing.drivers.contents import Told, file_name_of, jids, key_of, mime_of, said, url_of, words_alone
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

SENDS = frozenset(MessageType)
QUOTES = SENDS - {MessageType.REACTION, MessageType.EDIT, MessageType.REVOKE}
MENTIONS = CAPTIONED | {MessageType.TEXT}
REACHES = frozenset({AddressKind.PHONE, AddressKind.LID, AddressKind.GROUP})
PHONES_AT = "s.whatsapp.net"
_MEDIATYPES = {
    MessageType.IMAGE: "image",
    MessageType.VIDEO: "video",
    MessageType.AUDIO: "audio",
    MessageType.DOCUMENT: "document",
}


def told_of(message: OutgoingText) -> Told:
    """Every one of them is answered with the message that it made, a revoke with that which takes the other back."""
    content, recipient = message.said, message.recipient
    chat, name = recipient.jid(PHONES_AT), quoted(message.session_id)
    about: dict[str, Any] = {"number": str(recipient)}
    if (words := words_alone(content)) is not None:
        return Told(f"/message/sendText/{name}", {**about, "text": words})
    match content:
        case TextContent():
            more = said(quoted=_quoted(content.reply_to, chat), mentioned=jids(content.mentions, PHONES_AT))
            return Told(f"/message/sendText/{name}", {**about, "text": content.text, **more})
        case MediaContent():
            return _file(message, content, name, {**about, **said(quoted=_quoted(content.reply_to, chat))})
        case LocationContent():
            place = {"latitude": content.latitude, "longitude": content.longitude}
            shown = {"name": content.name or content.address, "address": content.address or content.name}
            more = said(quoted=_quoted(content.reply_to, chat))
            return Told(f"/message/sendLocation/{name}", {**about, **place, **shown, **more})
        case ContactContent():
            card = {"fullName": content.name, "wuid": content.phone, "phoneNumber": f"+{content.phone}"}
            cards = [card | said(organization=content.organisation)]
            more = said(quoted=_quoted(content.reply_to, chat))
            return Told(f"/message/sendContact/{name}", {**about, "contact": cards, **more})
        case PollContent():
            poll = {"name": content.question, "values": list(content.options), "selectableCount": content.selectable}
            more = said(quoted=_quoted(content.reply_to, chat))
            return Told(f"/message/sendPoll/{name}", {**about, **poll, **more})
        case ReactionContent():
            key = key_of(content.target, chat, PHONES_AT)
            return Told(f"/message/sendReaction/{name}", {"key": key, "reaction": content.emoji})
        case EditContent():
            key = key_of(content.target, chat, PHONES_AT)
            return Told(f"/chat/updateMessage/{name}", {**about, "key": key, "text": content.text})
        case RevokeContent():
            key = key_of(content.target, chat, PHONES_AT)
            return Told(f"/chat/deleteMessageForEveryone/{name}", key, "DELETE")
        case _:
            assert_never(content)


def _file(message: OutgoingText, content: MediaContent, name: str, about: dict[str, Any]) -> Told:
    url = url_of(message)
    match content.type:
        case MessageType.VOICE:
            return Told(f"/message/sendWhatsAppAudio/{name}", {**about, "audio": url})
        case MessageType.STICKER:
            return Told(f"/message/sendSticker/{name}", {**about, "sticker": url})
        case kind:
            file = {
                "mediatype": _MEDIATYPES[kind],
                "mimetype": mime_of(message),
                "media": url,
                "fileName": file_name_of(message),
            }
            more = said(caption=content.caption, mentioned=jids(content.mentions, PHONES_AT))
            return Told(f"/message/sendMedia/{name}", {**about, **file, **more})


def _quoted(ref: MessageRef | None, chat: str) -> dict[str, Any] | None:
    return {"key": key_of(ref, chat, PHONES_AT)} if ref is not None else None


def sign_of(session_id: SessionId, sign: ChatSign) -> Told:
    """The call that shows that messages were read, or that somebody types (chat.router.ts, 2.3)."""
    chat = sign.chat.jid(PHONES_AT)
    match sign:
        case ReadSign(messages=messages):
            keys = [{"remoteJid": chat, "fromMe": False, "id": each.id} for each in messages]
            return Told(f"/chat/markMessageAsRead/{quoted(session_id)}", {"readMessages": keys})
        case TypingSign():
            # It says `paused` by itself after the delay, and answers only then.
            shown = {"number": chat, "presence": "composing" if sign.on else "paused", "delay": int(sign.for_s * 1000)}
            return Told(f"/chat/sendPresence/{quoted(session_id)}", shown)
        case _:
            assert_never(sign)
