"""Phone numbers: what was written, and the digits that a message is sent to."""

from dataclasses import dataclass
from enum import StrEnum

from homing.model.errors import Code


class Bare(StrEnum):
    """What digits mean that say by nothing whether a country code leads them."""

    STRICT = "strict"
    """Whichever reading is the only valid one; where there are two, nobody may choose."""
    NATIONAL = "national"
    INTERNATIONAL = "international"


@dataclass(frozen=True, slots=True)
class PhoneNumber:
    """A number that was read. `digits` are E.164 without the plus; `written` is what the caller gave."""

    written: str
    digits: str


@dataclass(frozen=True, slots=True)
class UnreadablePhone:
    """Why a text is no number, or more than one: `phone_invalid` or `phone_ambiguous`, and a sentence that says which
    numbers it could have been and what to write instead."""

    code: Code
    reason: str
