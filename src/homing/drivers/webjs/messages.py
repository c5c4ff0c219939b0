"""How a webjs service is told to send: the Node service, and our own instance, which takes more.

The Node service sends texts and, by URL, files (src/controllers/MessageController.js, sendMessage and sendMedia), to
phones. Our instance says in its `/health` what else it takes; it reads `content`, which the Node service passes over.
"""

from typing import Any, assert_never

from homing.drivers.contents import Told, file_name_of, url_of
from homing.model.sends import content_json
from homing.model.sends.addresses import AddressKind
from homing.model.sends.calls import OutgoingText
from homing.model.sends.content import MediaContent, MessageType, TextContent
from homing.model.sends.signs import ChatSign, ReadSign, TypingSign

SENDS = frozenset({
    MessageType.TEXT, MessageType.IMAGE, MessageType.VIDEO, MessageType.AUDIO, MessageType.DOCUMENT,
})  # fmt: skip
REACHES = frozenset({AddressKind.PHONE})


def told_of(message: OutgoingText) -> Told:
    """Raises Unsendable."""
    content = message.said
    about: dict[str, Any] = {
        "session_id": message.session_id,
        "workspace_id": message.workspace_id,
        "recipient_phone": message.recipient_phone,
        "type": content.type.value,
        "message_id": message.message_id,
    }
    match content:
        case TextContent(reply_to=None, mentions=()):
            return Told("/api/messages/send", {**about, "message": content.text})
        case MediaContent():
            file = {"media_url": url_of(message), "caption": content.caption, "filename": file_name_of(message)}
            return Told("/api/messages/send-media", {**about, **file, "content": content_json.written(content)})
        case _:
            body = {**about, "message": message.text, "content": content_json.written(content)}
            return Told("/api/messages/send", body)


def sign_of(sign: ChatSign) -> tuple[str, dict[str, Any]]:
    """The last part of the path that shows it, and what is told there; our own instance knows them."""
    chat = {"chat": str(sign.chat)}
    match sign:
        case ReadSign(messages=messages):
            by = [{"participant": str(each.participant)} if each.participant is not None else {} for each in messages]
            return "read", chat | {"messages": [{"id": of.id, **who} for of, who in zip(messages, by, strict=True)]}
        case TypingSign(for_s=for_s):
            return "typing", chat | {"seconds": for_s}
        case _:
            assert_never(sign)
