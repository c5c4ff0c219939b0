"""Signs: what a chat sees of an account beside messages."""

from dataclasses import dataclass

from homing.model.sends.addresses import Address
from homing.model.sends.content import MessageRef


@dataclass(frozen=True, slots=True)
class ReadSign:
    """These messages were read. All are of the chat, and were written by others."""

    chat: Address
    messages: tuple[MessageRef, ...]


@dataclass(frozen=True, slots=True)
class TypingSign:
    """Somebody types, for so many seconds at the most; 0: has stopped."""

    chat: Address
    for_s: float

    @property
    def on(self) -> bool:
        return self.for_s > 0


ChatSign = ReadSign | TypingSign
