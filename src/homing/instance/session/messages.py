"""A session's messages, and how sending one may end."""

import asyncio
from dataclasses import dataclass

from homing.instance.engine import Frame, FrameRefused
from homing.instance.engine import Message as Message
from homing.instance.notify.events import Status
from homing.model.instances.vault import StaleEpoch


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
    """A message that is not finished. Once ``asked``, the vault may have it; with a ``counter``, it has.

    ``sealed`` is what goes over the wire, from when it was encrypted.
    """

    message: Message
    since_s: float
    sealed: bytes | None = None
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
        assert self.sealed is not None, "what has a counter was sealed before"
        return Frame(self.counter, self.message.message_id, self.sealed)
