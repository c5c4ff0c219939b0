"""Instances, as flows speak with them: a driver for each, and who there is."""

from collections.abc import Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Protocol

from homing.model.fleet import Capabilities, Instance, InstanceState, InstanceUrl, ListedSession, Listing, SessionId
from homing.model.instances.gateways import Traits
from homing.model.sends.addresses import Address
from homing.model.sends.calls import InstanceHealth, NumberChecked, OutgoingText, PairingCode, SessionStart
from homing.model.sends.faults import Fault
from homing.model.sends.history import ChatHistory
from homing.model.sends.inbound import FileStream, InboundFile
from homing.model.sends.sending import Receipt
from homing.model.sends.signs import ChatSign


class Driver(Protocol):
    """Speaks one gateway family's protocol. Each call answers a value or a Fault; it raises only on our own bugs.

    Every call ends within its `timeout_s`, whatever the peer does.
    """

    family: str
    base: Capabilities
    """What the family can do at the least, before an instance has declared more."""

    async def health(self, instance: InstanceUrl, *, timeout_s: float) -> InstanceHealth | Fault: ...

    async def sessions(self, instance: InstanceUrl, *, timeout_s: float) -> Listing: ...

    async def start_many(
        self, instance: InstanceUrl, sessions: Sequence[SessionStart], *, timeout_s: float
    ) -> Mapping[SessionId, ListedSession | Fault] | Fault:
        """Open many sessions with one call where the gateway can, else one by one; each one's own result.

        A Fault instead of the results: the call itself failed, and nothing is known of any of them.
        """
        ...

    async def session(
        self, instance: InstanceUrl, session_id: SessionId, *, timeout_s: float
    ) -> ListedSession | Fault: ...

    async def send(self, instance: InstanceUrl, message: OutgoingText, *, timeout_s: float) -> Receipt | Fault: ...

    async def start(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> ListedSession | Fault:
        """Open the session there. Fault EPOCH_STALE carries the epoch that the credentials are at."""
        ...

    async def stop(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        """Close the session, keeping its login. To be sent to the holder only."""
        ...

    async def restart(
        self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float
    ) -> ListedSession | Fault: ...

    async def logout(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> Fault | None:
        """End the link with WhatsApp. Afterwards only pairing anew helps."""
        ...

    async def pairing(self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float) -> PairingCode | Fault:
        """The code in use, as far as the instance tells it without being disturbed; none where it only reports them."""
        ...

    async def renew_pairing(
        self, instance: InstanceUrl, session: SessionStart, *, timeout_s: float
    ) -> PairingCode | Fault:
        """A new code; whoever scans the old one scans in vain. An answer without a code: it will be reported."""
        ...

    async def check_number(
        self, instance: InstanceUrl, session_id: SessionId, digits: str, *, timeout_s: float
    ) -> NumberChecked | Fault:
        """Whether the number is on WhatsApp, as the session sees it. Nobody hears of it.

        Only where the instance has the capability `check_numbers`; elsewhere a Fault, with nothing sent.
        """
        ...

    async def show(
        self, instance: InstanceUrl, session_id: SessionId, sign: ChatSign, *, timeout_s: float
    ) -> Fault | None:
        """Show a sign to a chat; shown twice it is the same.

        Only where the instance has the capability `mark_read`, or `show_typing`; elsewhere a Fault, with nothing sent.
        """
        ...

    async def history(
        self, instance: InstanceUrl, session_id: SessionId, chat: Address, *, timeout_s: float
    ) -> ChatHistory | Fault:
        """The newest messages of a chat, `HISTORY_MAX` at the most, as the session has them. Nobody hears of it.

        Only where the instance has the capability `read_history`; elsewhere a Fault, with nothing sent.
        """
        ...

    def file(
        self, instance: InstanceUrl, session_id: SessionId, file: InboundFile, *, most_bytes: int, timeout_s: float
    ) -> AbstractAsyncContextManager[FileStream | Fault]:
        """The file of a message that the session has, given out while it comes, as long as the block.

        Only where the instance has the capability `fetch_files`; elsewhere a Fault, with nothing sent.
        """
        ...


@dataclass(frozen=True, slots=True)
class Roster:
    """The instances as last read from the directory."""

    instances: Mapping[InstanceUrl, Instance] = field(default_factory=dict)

    def active(self) -> list[Instance]:
        return [instance for instance in self.instances.values() if instance.state is InstanceState.ACTIVE]


@dataclass(frozen=True, slots=True)
class WayThere:
    """How to send to one instance, as far as nothing has to be asked or judged: its driver, and what it can.

    It counts until `until_s`, by the clock's monotonic seconds.
    """

    driver: Driver
    can: Capabilities
    until_s: float


class Fleet(Protocol):
    """The instances we know, and how to speak to each. Reads nothing from the directory while a message waits."""

    default_url: InstanceUrl | None
    """Where an account without a placement goes."""

    @property
    def roster(self) -> Roster: ...

    def driver(self, url: InstanceUrl) -> Driver:
        """The driver for an address; of one that is not listed any more, the default family's."""
        ...

    def way(self, url: InstanceUrl) -> WayThere | None:
        """How to send there at once; None where the instance has to be asked first, or is not sent through."""
        ...

    def traits(self, url: InstanceUrl) -> Traits:
        """What is true of the family of the instance there, whatever it declares."""
        ...

    async def capabilities(self, url: InstanceUrl, *, timeout_s: float, fresh: bool = False) -> Capabilities | Fault:
        """What the instance declared of itself, asked once and remembered; `fresh`: asked now."""
        ...

    def doubt(self, url: InstanceUrl) -> None:
        """Another incarnation may answer there now: ask again before the next send."""
        ...

    def withdraw_message_id(self, url: InstanceUrl) -> None:
        """The instance was seen not to take our message ids, whatever it declares."""
        ...
