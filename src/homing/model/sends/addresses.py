"""To whom or where: a person's phone, a hidden id, a group, a channel, everybody's status."""

from dataclasses import dataclass
from enum import StrEnum
from typing import assert_never


class AddressKind(StrEnum):
    """What an address names. The words are those that callers and stored messages use."""

    PHONE = "phone"
    LID = "lid"
    """WhatsApp's own number of a person whose phone is hidden."""
    GROUP = "group"
    NEWSLETTER = "newsletter"
    STATUS = "status"
    """What everybody who has the sender's number sees: `status@broadcast`."""


_SERVERS = {
    AddressKind.LID: "lid",
    AddressKind.GROUP: "g.us",
    AddressKind.NEWSLETTER: "newsletter",
    AddressKind.STATUS: "broadcast",
}
_KINDS = {server: kind for kind, server in _SERVERS.items()}
STATUS_ID = "status"


@dataclass(frozen=True, slots=True)
class Address:
    """Where a message goes. `id` is E.164 digits of a phone, digits of a hidden id or a channel, `digits` or
    `digits-digits` of a group, and `status` of the status."""

    kind: AddressKind
    id: str

    def __str__(self) -> str:
        """The one text that stands for it: bare digits of a phone, `id@server` of all others."""
        return self.id if self.kind is AddressKind.PHONE else f"{self.id}@{_SERVERS[self.kind]}"

    @classmethod
    def of(cls, text: str) -> "Address":
        """The address that `str` wrote. Raises ValueError for any other text."""
        name, at, server = text.partition("@")
        kind = _KINDS.get(server) if at else AddressKind.PHONE
        if kind is None or not is_id(kind, name):
            raise ValueError(f"{text!r} is no address")
        return cls(kind, name)

    def jid(self, phones_at: str) -> str:
        """As engines write it. `phones_at` is the server that a family knows phones under: `c.us` or
        `s.whatsapp.net`."""
        return f"{self.id}@{_SERVERS.get(self.kind, phones_at)}"


def kind_of(server: str) -> AddressKind | None:
    """What stands behind the `@` of an address that names no phone."""
    return _KINDS.get(server)


def is_id(kind: AddressKind, name: str) -> bool:
    """Whether an address of this kind can have this id."""
    match kind:
        case AddressKind.PHONE | AddressKind.LID | AddressKind.NEWSLETTER:
            return _are_digits(name, longest=15 if kind is AddressKind.PHONE else 24)
        case AddressKind.GROUP:
            first, dash, second = name.partition("-")
            return _are_digits(first, longest=24) and (not dash or _are_digits(second, longest=24))
        case AddressKind.STATUS:
            return name == STATUS_ID
        case _:
            assert_never(kind)


def _are_digits(text: str, *, longest: int) -> bool:
    return text.isascii() and text.isdecimal() and len(text) <= longest


@dataclass(frozen=True, slots=True)
class Recipient:
    """An address that was read. `written` is what the caller gave."""

    written: str
    address: Address
