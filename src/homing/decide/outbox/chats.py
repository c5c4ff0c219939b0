"""Which messages go one after the other: those to the same person, however the number is written, or to one group."""

from homing.decide.phones.aliases import person
from homing.model.sends.addresses import Address, AddressKind


def chat_of(address: Address) -> str:
    """The chat of an address: the person's newest number in E.164 digits, or the address itself."""
    return person(address.id) if address.kind is AddressKind.PHONE else str(address)
