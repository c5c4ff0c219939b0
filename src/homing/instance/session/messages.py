"""A session's messages, and how sending one may end."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from homing.instance.engine import Frame, FrameRefused
from homing.instance.notify.events import Status
from homing.model.instances.vault import StaleEpoch


@dataclass(frozen=True, slots=True)
class Message:
    """What someone wants said. ``recipient`` is an address as one text; the id is WhatsApp's id of the message.

    ``content`` and ``media_sha256`` are as in a frame.
    """

    message_id: str
    recipient: str
    text: str
    content: Mapping[str, Any] | None = None
    media_sha256: str | None = None


@dataclass(frozen=True, slots=True)
class EngineSent:
    """WhatsApp acknowledged the message."""

    message_id: str


@dataclass(frozen=True, slots=True)
class NotConnected:
    """Nothing left, nor will: the session cannot send at the moment."""

    status: Status | None


@dataclass(frozen=True, slots=True)
class Paused:
    """Nothing left, nor will: this boot may not act at the moment."""


@dataclass(frozen=True, slots=True)
class Overloaded:
    """Nothing left, nor will: too many messages of this session wait for their acknowledgement."""


@dataclass(frozen=True, slots=True)
class VaultAway:
    """Nothing left, nor will: the vault does not answer, and was not given the message."""

    reason: str


@dataclass(frozen=True, slots=True)
class EngineUnknown:
    """The message may have arrived, or may do so later."""

    reason: str


SendOutcome = EngineSent | FrameRefused | NotConnected | Paused | StaleEpoch | Overloaded | VaultAway | EngineUnknown


@dataclass(slots=True, eq=False)
class UnderWay:
    """A message that is not finished. Once ``asked``, the vault may have it; with a ``counter``, it has."""

    message: Message
    since_s: float
    asked: bool = False
    counter: int = 0
    _outcome: "asyncio.Future[SendOutcome] | None" = None

    def outcome(self) -> "asyncio.Future[SendOutcome]":
        """What is heard next of it; what others heard before is not news."""
        if self._outcome is None or self._outcome.done():
            self._outcome = asyncio.get_running_loop().create_future()
        return self._outcome

    def settle(self, outcome: SendOutcome) -> None:
        if self._outcome is not None and not self._outcome.done():
            self._outcome.set_result(outcome)

    def frame(self) -> Frame:
        message = self.message
        return Frame(
            self.counter,
            message.message_id,
            message.recipient,
            message.text,
            message.content,
            message.media_sha256,
        )
