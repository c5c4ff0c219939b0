"""Who there is: people by number and by hidden identity, their phones, and the devices that they linked."""

import hashlib
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, Protocol

from simulated_whatsapp.multidevice.phones.phone import Phone
from simulated_whatsapp.multidevice.signal.bundles import Bundle, Prekey, SignedPrekey
from simulated_whatsapp.multidevice.wire.jids import HIDDEN, NUMBERS, Jid
from simulated_whatsapp.multidevice.wire.nodes import Node

Label = dict[str, str]


class Line(Protocol):
    """A device's connection, as seen from here."""

    name: str
    label: Label

    def send(self, node: Node) -> None: ...

    def end(self, *last: Node) -> None:
        """Say the last, and close."""
        ...


@dataclass(slots=True)
class Waiting:
    """A node on its way to a device, kept until the device took it. ``sent_by`` names the connection it left on."""

    node: Node
    sent_by: str = ""


@dataclass(slots=True)
class LinkedDevice:
    """A device that somebody linked to their number. ``signed_identity`` is signed by both, with the account's key."""

    number: str
    id: int
    noise: bytes
    identity: bytes
    registration: int
    signed: SignedPrekey
    signed_identity: bytes
    prekeys: deque[Prekey] = field(default_factory=deque)
    waiting: list[Waiting] = field(default_factory=list)
    line: Line | None = None
    live: bool = False
    """It asked for its messages on this connection."""
    removed: bool = False
    push_name: str = ""

    @property
    def name(self) -> str:
        return f"{self.number}:{self.id}"

    def bundle(self) -> Bundle:
        """With a one-time prekey, as long as there are any."""
        prekey = self.prekeys.popleft() if self.prekeys else None
        return Bundle(self.registration, self.identity, self.signed, prekey)


@dataclass(slots=True)
class Person:
    """A number with its phone and its linked devices."""

    number: str
    phone: Phone
    devices: dict[int, LinkedDevice] = field(default_factory=dict)
    next_device: int = 1

    @property
    def hidden(self) -> str:
        return hidden_of(self.number)

    def address(self, server: str, device: int = 0) -> Jid:
        return Jid(self.hidden if server == HIDDEN else self.number, server, device)


def hidden_of(number: str) -> str:
    """The hidden identity of a number: fifteen digits, the same each time."""
    drawn = int.from_bytes(hashlib.sha256(number.encode()).digest()[:8], "big")
    return str(10**14 + drawn % (9 * 10**14))


def device_name(number: str, device: int) -> str:
    """``628111`` for the phone, ``628111:3`` for a linked device."""
    return f"{number}:{device}" if device else number


class People:
    """Everybody; a number that nobody spoke of yet gets its phone when it is asked for."""

    def __init__(self) -> None:
        self._by_number: dict[str, Person] = {}
        self._by_hidden: dict[str, Person] = {}

    def person(self, number: str) -> Person:
        found = self._by_number.get(number)
        if found is None:
            found = self._by_number[number] = Person(number, Phone(number))
            self._by_hidden[found.hidden] = found
        return found

    def at(self, jid: Jid) -> Person | None:
        """Who has this address: a hidden identity is known once its number was."""
        if jid.server == HIDDEN:
            return self._by_hidden.get(jid.user)
        return self.person(jid.user) if jid.server == NUMBERS and jid.user.isdigit() else None

    def device(self, name: str) -> LinkedDevice | None:
        """The linked device ``628111:3``, unless it was removed."""
        number, _, device = name.partition(":")
        person = self._by_number.get(number)
        return person.devices.get(int(device)) if person and device.isdigit() else None

    def devices(self) -> Iterator[LinkedDevice]:
        for person in self._by_number.values():
            yield from person.devices.values()

    def as_told(self) -> list[dict[str, Any]]:
        """Every linked device, for a tester."""
        return [self._told(device) for device in self.devices()]

    def _told(self, device: LinkedDevice) -> dict[str, Any]:
        person = self.person(device.number)
        return {
            "device": device.name,
            "jid": str(person.address(NUMBERS, device.id)),
            "lid": str(person.address(HIDDEN, device.id)),
            "connected": device.line is not None,
            "live": device.live,
            "label": device.line.label if device.line else None,
            "waiting": len(device.waiting),
            "prekeys": len(device.prekeys),
        }
