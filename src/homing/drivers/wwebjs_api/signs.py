"""How wwebjs-api is told that messages were read, and that somebody types (src/routes.js, 1.0)."""

from typing import assert_never

from homing.drivers.calling import quoted
from homing.drivers.contents import Told
from homing.drivers.wwebjs_api.messages import PHONES_AT
from homing.model.fleet import SessionId
from homing.model.sends.signs import ChatSign, ReadSign, TypingSign


def told_of(session_id: SessionId, sign: ChatSign) -> Told:
    """Messages are read by the chat: it marks all of it, up to its newest one."""
    about, name = {"chatId": sign.chat.jid(PHONES_AT)}, quoted(session_id)
    match sign:
        case ReadSign():
            return Told(f"/chat/sendSeen/{name}", about)
        case TypingSign():
            return Told(f"/chat/sendStateTyping/{name}" if sign.on else f"/chat/clearState/{name}", about)
        case _:
            assert_never(sign)
