"""How WAHA is told that messages were read, and that somebody types (its OpenAPI document, 2026.7.1)."""

from typing import assert_never

from homing.drivers.contents import Told, serialised
from homing.drivers.waha.messages import PHONES_AT
from homing.model.fleet import SessionId
from homing.model.sends.signs import ChatSign, ReadSign, TypingSign


def told_of(session_id: SessionId, sign: ChatSign) -> Told:
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
