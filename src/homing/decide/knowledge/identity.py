"""Is the phone that an instance reports for a session the account's own?"""

from homing.decide.phones.aliases import person
from homing.model.fleet import Account

SHORTEST = 6
"""Digits. What is shorter is no phone."""


def phone_of(reported: str) -> str | None:
    """The digits of a reported phone, without what gateways put around it: `62811:12@s.whatsapp.net` is 62811.

    None for what is no phone, such as an address that hides it (`…@lid`).
    """
    name, _, domain = reported.partition("@")
    digits = "".join(each for each in name.partition(":")[0] if each.isascii() and each.isdecimal())
    return digits if len(digits) >= SHORTEST and domain != "lid" else None


def mismatch(account: Account, reported: str | None) -> str | None:
    """The stranger's phone that stands after this report; None if none does.

    Persons are compared, and not how their numbers are written. A report without a phone changes nothing, and nothing
    can be said of an account of whose phone it is not known whose it is.
    """
    phone = phone_of(reported) if reported else None
    if phone is None or account.person is None:
        return account.mismatched_phone
    return None if person(phone) == account.person else phone


def differs(written: str, reported: str) -> bool:
    """Whether a report is worth a closer look: it does not name the very digits that are written."""
    return phone_of(reported) != "".join(each for each in written if each.isdecimal())
