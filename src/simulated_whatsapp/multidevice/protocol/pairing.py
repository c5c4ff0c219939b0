"""Linking a device: codes to scan, the phone that does, and what both sign (stanzas as in Baileys 7.0.0-rc14)."""

import asyncio
import json
import secrets
from dataclasses import dataclass, field
from typing import Any

from simulated_whatsapp.multidevice.phones.link_code import TypedCode
from simulated_whatsapp.multidevice.phones.linking import BadCode, is_accepted, read_code, vouched, with_account_key
from simulated_whatsapp.multidevice.protocol.contacts import Contacts
from simulated_whatsapp.multidevice.signal.bundles import SignedPrekey
from simulated_whatsapp.multidevice.wire import protobuf
from simulated_whatsapp.multidevice.wire.jids import HIDDEN, NUMBERS
from simulated_whatsapp.multidevice.wire.nodes import Node, leaf, node
from simulated_whatsapp.multidevice.wire.protobuf import Fields
from simulated_whatsapp.multidevice.world.people import Line, LinkedDevice, Person
from simulated_whatsapp.multidevice.world.world import World

CODES = 6
PASSKEY_TIMEOUT_MS = 600_000
RESTART = node("stream:error", code="515")


@dataclass(slots=True)
class Registration:
    """A connection that wants to become a device. ``keys`` are ``DevicePairingRegistrationData`` {1 registration, 3
    identity, 4 to 6 signed prekey}."""

    line: Line
    noise: bytes
    keys: Fields
    refs: list[str]
    linked: LinkedDevice | None = None
    number: str = ""
    """Whose code it shows, where it shows one to be typed; ``wrapped`` is its key under that code."""
    wrapped: bytes = b""
    typed: TypedCode | None = None
    done: asyncio.Future[LinkedDevice] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    @property
    def identity(self) -> bytes:
        return protobuf.part(self.keys, 3) or b""


class Pairing:
    """Every connection that shows a code."""

    def __init__(self, world: World, contacts: Contacts) -> None:
        self._world, self._contacts = world, contacts
        self._open: dict[str, Registration] = {}

    def opened(self, line: Line, noise: bytes, keys: Fields) -> None:
        """A new client: it gets the references of its codes."""
        refs = [secrets.token_urlsafe(24) for _ in range(CODES)]
        self._open[line.name] = Registration(line, noise, keys, refs)
        shown = [leaf("ref", ref.encode()) for ref in refs]
        line.send(node("iq", node("pair-device", *shown), from_=NUMBERS, type="set", id=secrets.token_hex(8)))

    def waiting(self) -> list[Registration]:
        """Those that are not linked yet, the newest first."""
        return [each for each in reversed(self._open.values()) if each.linked is None]

    def of(self, line: Line) -> Registration | None:
        return self._open.get(line.name)

    def closed(self, line: Line) -> None:
        gone = self._open.pop(line.name, None)
        if gone is not None and not gone.done.done():
            gone.done.set_exception(BadCode("the client closed its connection before it was linked"))
            gone.done.exception()  # whoever waited has it; nobody has to

    def scan(self, shown: str, number: str) -> Registration:
        """A phone scans a code. Raises ``BadCode`` for a code that nobody shows."""
        code = read_code(shown)
        found = next((each for each in self._open.values() if code.ref in each.refs), None)
        if found is None or (code.noise, code.identity) != (found.noise, found.identity):
            raise BadCode("nobody shows this code now")
        self.link(found, number, code.secret)
        return found

    def link(self, registration: Registration, number: str, secret: bytes) -> None:
        """The phone signs, and the client is told; it signs in turn. Raises ``BadCode`` when that was begun already."""
        if registration.linked is not None:
            raise BadCode("this code was scanned before")
        person = self._world.people.person(number)
        if person.phone.passkey:
            self._want_passkey(registration, number)
            return
        device, person.next_device = person.next_device, person.next_device + 1
        registration.linked = _device(registration, person, device)
        sealed = vouched(person.phone.identity.pair, registration.identity, secret, device, self._world.clock())
        told = node(
            "pair-success",
            leaf("device-identity", sealed),
            node("device", jid=str(person.address(NUMBERS, device)), lid=str(person.address(HIDDEN, device))),
            node("platform", name="android"),
        )
        line = registration.line
        line.send(node("iq", told, from_=NUMBERS, type="set", id=secrets.token_hex(8), t=self._world.seconds))

    def _want_passkey(self, registration: Registration, number: str) -> None:
        """The client is asked for a passkey, as whatsmeow (2026-06-30) reads it; no answer is known here."""
        options: dict[str, Any] = {"challenge": secrets.token_urlsafe(32), "rpId": "whatsapp.com"}
        options |= {"timeout": PASSKEY_TIMEOUT_MS, "userVerification": "required", "allowCredentials": []}
        asked = leaf("passkey_request_options", json.dumps(options).encode())
        told = node("notification", asked, from_=NUMBERS, type="passkey_prologue_request", t=self._world.seconds)
        registration.line.send(told.with_attrs(id=secrets.token_hex(8)))
        self._world.events.write("passkey_wanted", phone=number, label=registration.line.label)
        if not registration.done.done():
            registration.done.set_exception(
                BadCode(f"{number} links devices by its passkey, and the client was told so")
            )

    def signed(self, registration: Registration, answer: Node) -> LinkedDevice | None:
        """The client's answer to that: where its signature is right, the device is linked and has to log in."""
        sign = answer.child("pair-device-sign")
        device = registration.linked
        if sign is None or device is None:
            return None
        person = self._world.people.person(device.number)
        account = person.phone.identity.pair.public
        signed = sign.bytes_of("device-identity")
        if not is_accepted(signed, account, registration.identity):
            registration.line.end(node("stream:error", code="500"))
            return None
        device.signed_identity = with_account_key(signed, account)
        person.devices[device.id] = device
        self._contacts.changed(person, "add", device.id)
        self._world.events.write("linked", device=device.name, label=registration.line.label)
        registration.done.set_result(device)
        registration.line.end(RESTART)
        return device


def _device(registration: Registration, person: Person, id: int) -> LinkedDevice:
    keys = registration.keys
    number = int.from_bytes(protobuf.part(keys, 1) or b"", "big")
    signed = SignedPrekey(
        int.from_bytes(protobuf.part(keys, 4) or b"", "big"),
        protobuf.part(keys, 5) or b"",
        protobuf.part(keys, 6) or b"",
    )
    return LinkedDevice(person.number, id, registration.noise, registration.identity, number, signed, b"")
