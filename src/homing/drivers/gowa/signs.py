"""How GOWA is told that a message was read, and that somebody types (docs/openapi.yaml, v8)."""

from typing import assert_never

from homing.drivers.calling import quoted
from homing.drivers.contents import Told
from homing.drivers.gowa.messages import PHONES_AT
from homing.model.fleet import SessionId
from homing.model.sends.signs import ChatSign, ReadSign, TypingSign


def told_of(session_id: SessionId, sign: ChatSign) -> Told:
    """It takes one message at a time, the newest; WhatsApp's own clients show what was before it as read too."""
    device = {"X-Device-Id": quoted(session_id)}
    chat = {"phone": sign.chat.jid(PHONES_AT)}
    match sign:
        case ReadSign(messages=messages):
            return Told(f"/message/{quoted(messages[-1].id)}/read", chat, headers=device)
        case TypingSign():
            return Told("/send/chat-presence", {**chat, "action": "start" if sign.on else "stop"}, headers=device)
        case _:
            assert_never(sign)
