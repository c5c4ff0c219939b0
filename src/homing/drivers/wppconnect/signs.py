"""How WPPConnect is told that messages were read, and that somebody types (routes/index.ts, 2.10)."""

from typing import assert_never

from homing.drivers.contents import Told
from homing.model.sends.addresses import AddressKind
from homing.model.sends.signs import ChatSign, ReadSign, TypingSign


def told_of(sign: ChatSign) -> Told:
    """Messages are read by the chat: it marks all of it, up to its newest one."""
    about = {"phone": sign.chat.id, "isGroup": sign.chat.kind is AddressKind.GROUP}
    match sign:
        case ReadSign():
            return Told("send-seen", about)
        case TypingSign():
            return Told("typing", {**about, "value": sign.on})
        case _:
            assert_never(sign)
