"""How baileys-api is told that messages were read, and that somebody types (src/controllers/connections, 1.0)."""

from typing import assert_never

from homing.drivers.baileys_api.messages import PHONES_AT
from homing.drivers.contents import Told, key_of
from homing.model.sends.signs import ChatSign, ReadSign, TypingSign


def told_of(connection: str, sign: ChatSign) -> Told:
    """`connection`: the path of the session's own."""
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
