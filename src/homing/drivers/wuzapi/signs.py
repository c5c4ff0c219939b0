"""How wuzapi is told that messages were read, and that somebody types (API.md, handlers.go)."""

from typing import assert_never

from homing.drivers.contents import Told
from homing.drivers.wuzapi.messages import PHONES_AT
from homing.model.sends.signs import ChatSign, ReadSign, TypingSign


def told_of(sign: ChatSign) -> Told:
    """In a group the author is named as well; all of one call have the same."""
    chat = sign.chat.jid(PHONES_AT)
    match sign:
        case ReadSign(messages=messages):
            author = messages[0].participant.jid(PHONES_AT) if messages and messages[0].participant else chat
            return Told("/chat/markread", {"Id": [each.id for each in messages], "Chat": chat, "Sender": author})
        case TypingSign():
            return Told("/chat/presence", {"Phone": chat, "State": "composing" if sign.on else "paused", "Media": ""})
        case _:
            assert_never(sign)
