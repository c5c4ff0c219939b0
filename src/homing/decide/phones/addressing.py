"""Which address did the caller write? Of everything that is no phone the address itself must be written, whole."""

import re

from homing.decide.phones.reading import quoted, read
from homing.decide.phones.writing import plain
from homing.model.directory.phones import Bare, PhoneNumber, UnreadablePhone
from homing.model.errors import Code
from homing.model.sends.addresses import Address, AddressKind, Recipient, is_id, kind_of

_PHONES = ("c.us", "s.whatsapp.net")
_DEVICE = re.compile(r"(?P<name>\d+)(?:[:_]\d{1,5})?")
"""One device of a person, as engines name it: `123:12@lid`. A message goes to the person."""
_SHOWN = "digits, …@c.us, …@s.whatsapp.net, …@g.us, …@lid, …@newsletter or status@broadcast"


def read_recipient(text: str, region: str, bare: Bare = Bare.STRICT) -> Recipient | UnreadablePhone:
    """Whom a text names. Phones are read as `reading.read` reads them; nothing is guessed of the others."""
    seen = plain(text)
    name, at, server = seen.rpartition("@")
    if not at or server.lower() in _PHONES:
        number = read(text, region, bare)
        return Recipient(text, Address(AddressKind.PHONE, number.digits)) if isinstance(number, PhoneNumber) else number
    kind = kind_of(server.lower())
    if kind is None:
        return _unreadable(text, f"nobody is found at @{server[:40]}")
    if kind in (AddressKind.LID, AddressKind.NEWSLETTER) and (device := _DEVICE.fullmatch(name)) is not None:
        name = device["name"]
    if kind is AddressKind.STATUS:
        name = name.lower()
    if not is_id(kind, name):
        return _unreadable(text, f"what stands before @{server} names no {kind.value}")
    return Recipient(text, Address(kind, name))


def _unreadable(text: str, why: str) -> UnreadablePhone:
    return UnreadablePhone(Code.PHONE_INVALID, f"{quoted(text)} is no address: {why}; write {_SHOWN}")
