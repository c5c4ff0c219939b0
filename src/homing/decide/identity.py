"""Is the phone that an instance reports for a session the account's own?"""

from enum import StrEnum

from homing.model.fleet import Account
from homing.model.phones import e164_digits


class Likeness(StrEnum):
    """How a reported phone compares with an account's."""

    SAME = "same"
    OTHER = "other"
    UNCLEAR = "unclear"
    """One of the two is no number that can be read."""


def same_person(account: Account, reported: str, region: str) -> Likeness:
    """Compares by whose phone it is and not by how it is written."""
    if digits(account.phone) == digits(reported):
        return Likeness.SAME
    own, told = person(account.phone, region), person(f"+{digits(reported)}", region)
    if own is None or told is None:
        return Likeness.UNCLEAR
    return Likeness.SAME if own == told else Likeness.OTHER


def person(phone: str, region: str) -> str | None:
    """What all spellings of one person's number have in common; None if it is no number."""
    try:
        return e164_digits(phone, region)
    except ValueError:
        return None


def digits(phone: str) -> str:
    """A reported number without what gateways put around it: `62811:12@s.whatsapp.net` is `62811`."""
    bare = phone.partition("@")[0].partition(":")[0]
    return "".join(each for each in bare if each.isascii() and each.isdecimal())


def mismatch(account: Account, reported: str | None, region: str) -> str | None:
    """The stranger's phone that stands after this report; None if none does. No report changes nothing."""
    if not reported:
        return account.mismatched_phone
    match same_person(account, reported, region):
        case Likeness.OTHER:
            return digits(reported)
        case Likeness.SAME | Likeness.UNCLEAR:
            return None
