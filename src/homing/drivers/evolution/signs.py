"""How Evolution is told that messages were read, and that somebody types (chat.router.ts, 2.3)."""

from typing import assert_never

from homing.drivers.calling import quoted
from homing.drivers.contents import Told
from homing.drivers.evolution.messages import PHONES_AT
from homing.model.fleet import SessionId
from homing.model.sends.signs import ChatSign, ReadSign, TypingSign


def told_of(session_id: SessionId, sign: ChatSign) -> Told:
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
