"""Which mobile numbers are written in two ways, and to which of the two does a message go?

WhatsApp knows a person under the form that the person registered with, and nothing in the number says which that was:
eight or nine digits in Brazil, with or without the 1 in Mexico and the 9 in Argentina. It is asked, and never guessed.
"""

import re
from collections.abc import Set as AbstractSet

from homing.decide.phones.aliases import person
from homing.model.sends.addresses import AddressKind
from homing.model.sends.calls import NumberChecked

COUNTRIES = ("55", "52", "54")
"""Their codes: of all other countries no number has two."""
_WAYS = (
    (re.compile(r"(55[1-9]\d)9?([6-9]\d{7})"), "9"),
    (re.compile(r"(52)1?([2-9]\d{9})"), "1"),
    (re.compile(r"(54)9?([1-8]\d{9})"), "9"),
)
"""The digits around the place where the second one may stand: of a country's mobile numbers, in E.164."""


def spellings(digits: str) -> tuple[str, ...]:
    """The number as it is written, and then the other way to write it, if there is one."""
    if not digits.startswith(COUNTRIES):
        return (digits,)
    for way, extra in _WAYS:
        if (found := way.fullmatch(digits)) is not None:
            short, long = found[1] + found[2], found[1] + extra + found[2]
            return (digits, short if digits == long else long)
    return (digits,)


def has_two(digits: str) -> bool:
    """Whether a number has two spellings. Of most countries its first digits say that it has not."""
    return digits.startswith(COUNTRIES) and len(spellings(digits)) > 1


def one_line(digits: str) -> str:
    """The form in which two numbers are equal if a message to either reaches the same phone: what `person` says, and of
    two spellings the longer.

    For comparison alone, of what went out with what gateways report of it: they report the spelling that WhatsApp has.
    """
    if not digits.startswith(COUNTRIES):
        return digits
    return max(spellings(person(digits)), key=len)


def goes_to(written: str, asked: str, checked: NumberChecked, reaches: AbstractSet[AddressKind]) -> str:
    """The address, as one text, of a message to the number that was `written`, after one of its spellings was `asked`.

    A gateway's answer that is somebody else's number does not lead a message astray: then it goes to what was written.
    """
    if not checked.exists:
        return written
    address = checked.address
    if address is None:
        return asked
    if address.kind is AddressKind.PHONE:
        return address.id if address.id in spellings(written) else written
    return str(address) if address.kind in reaches else asked
