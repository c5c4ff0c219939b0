"""What telling operators of alerts needs of a store, and of whoever carries mail."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Protocol

from homing.model.deliveries.endpoints import SealedSecret
from homing.model.deliveries.receivers import AlertSilence, Receiver, ReceiverId, ToldAlert
from homing.ports.deliveries.egress import Egress


@dataclass(frozen=True, slots=True)
class MailServer:
    """Where mail is handed in. `tls`: `starttls`, `implicit`, or `none`; without a user nobody signs in."""

    host: str
    port: int
    tls: str = "starttls"
    user: str = ""
    password: str = ""


@dataclass(frozen=True, slots=True)
class Mail:
    """One message. `id` is its Message-ID without brackets, the same in each repeat."""

    id: str
    sender: str
    to: tuple[str, ...]
    subject: str
    text: str


class MailCarrier(Protocol):
    """Hands in mail."""

    async def send(self, server: MailServer, mail: Mail, *, timeout_s: float) -> str | None:
        """Why it was not taken, in one sentence; None if it was."""
        ...


class Receivers(Protocol):
    """Who is told of alerts, what each was told, and what is silenced. Raises StoreUnavailable from every method."""

    async def create(self, receiver: Receiver, secret: SealedSecret | None) -> None:
        """Raises NameTaken."""
        ...

    async def remove(self, id: ReceiverId) -> bool: ...

    async def all(self) -> list[Receiver]: ...

    async def find(self, id: ReceiverId) -> tuple[Receiver, SealedSecret | None] | None: ...

    async def told(self, id: ReceiverId) -> Mapping[str, ToldAlert]:
        """Which alerts it believes to stand, by their ids."""
        ...

    async def note(
        self, id: ReceiverId, *, firing: Collection[ToldAlert], resolved: Collection[ToldAlert], error: str = ""
    ) -> None:
        """What it was told, or why it could not be, as of now."""
        ...

    async def now(self) -> datetime:
        """The store's time."""
        ...

    async def silence(self, silence: AlertSilence) -> None: ...

    async def unsilence(self, id: str) -> bool: ...

    async def silences(self) -> Sequence[AlertSilence]:
        """Those that last."""
        ...


@dataclass(frozen=True, slots=True)
class WaysOut:
    """How a gateway reaches others than instances: what customers named, and what operators did, who may name more."""

    customers: Egress
    operators: Egress
    mail: MailCarrier
