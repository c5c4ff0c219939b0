"""Phone numbers as people write them. An input is a region, how bare digits are read, and the text."""

import phonenumbers

from fuzz.parsers import lines
from homing.decide.phones.aliases import person
from homing.decide.phones.numbering import DIGITS_MAX
from homing.decide.phones.reading import read
from homing.model.directory.phones import Bare, PhoneNumber, UnreadablePhone
from homing.model.errors import Code

_REGIONS = sorted(phonenumbers.SUPPORTED_REGIONS)
_BARE = tuple(Bare)

SEEDS = (
    b"ID\n\n0816108641",
    b"US\n\n(201) 555-0123",
    b"MX\n1\n55 1234 5678",
    b"GB\n\n+44 (0)20 7946 0018",
    b"BR\n2\nwa.me/5511987654321",
    b"AR\n\n54 9 11 15 2345 6789",
    b"ID\n\n62811801641@c.us",
    "DE\n\n\u202a+49 30\u00a01234567\u202c".encode(),
)
WORDS = (b"wa.me/", b"tel:", b"@c.us", b"@s.whatsapp.net", b"+", b"00", b"(0)", b"ext", "\u0661".encode())


def check(data: bytes) -> None:
    (region, bare), raw = lines(data, 2)
    if region not in phonenumbers.SUPPORTED_REGIONS:
        region = _REGIONS[sum(region.encode("latin-1")) % len(_REGIONS)]
    text = raw.decode("utf-8", "replace")
    found = read(text, region, _BARE[len(bare) % len(_BARE)])
    match found:
        case UnreadablePhone():
            assert found.code in (Code.PHONE_INVALID, Code.PHONE_AMBIGUOUS)
            assert len(found.reason) < 1_000
        case PhoneNumber():
            _check_number(found, text, region)


def _check_number(found: PhoneNumber, text: str, region: str) -> None:
    assert found.written == text
    assert found.digits.isascii()
    assert found.digits.isdecimal()
    assert len(found.digits) <= DIGITS_MAX
    own = [character for character in text if character.isdecimal()]
    assert len(own) >= 2, "a number of digits that nobody wrote"
    for bare in _BARE:
        again = read(f"+{found.digits}", region, bare)
        assert isinstance(again, PhoneNumber), "what was read cannot be read again"
        assert again.digits == found.digits, "read twice it is another number"
    assert person(person(found.digits)) == person(found.digits), "an alias of an alias"
