"""How is a number written? Only its form is looked at here, not whether there is such a number.

What is not understood to the last character is refused: a reading that passes over a part of the text is a reading of
another text.
"""

import re
from dataclasses import dataclass

LONGEST = 80
"""Characters. No way of writing fifteen digits takes more."""
_INVISIBLE = dict.fromkeys(map(ord, "\u00ad\u200b\u200c\u200d\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2060\ufeff"))
"""What address books and word processors put around numbers; nobody wrote it."""
_INVISIBLE |= dict.fromkeys(range(0x2066, 0x206A))
_SPACES = dict.fromkeys(map(ord, "\u00a0\u2007\u2008\u2009\u200a\u202f\u3000"), " ")
_HYPHENS = dict.fromkeys([*range(0x2010, 0x2016), 0x2212], "-")
_SEEN = _INVISIBLE | _SPACES | _HYPHENS

_COMMON = re.compile(r"(\+?)([0-9]+)")
"""As programs write it: nothing but digits, perhaps behind a plus."""
_LINK = re.compile(r"(?:(?:https?://)?(?:www\.)?wa\.me/|tel:|whatsapp:)(.*)", re.IGNORECASE)
_ADDRESS = re.compile(r"(\d+)(?::\d+)?@(?:c\.us|s\.whatsapp\.net)", re.IGNORECASE)
_PLUS = re.compile(r"(\(?) ?\+(.*)")
_PUNCTUATED = re.compile(r"(?P<lead>[\d .-]*)(?:\((?P<bracketed>[\d -]+)\))?(?P<rest>[\d .-]*)")
_DOTTED = re.compile(r"\d+(?:\.\d{2,})+")


@dataclass(frozen=True, slots=True)
class Written:
    """A number's digits, and what its writer said with them.

    `explicit`: a country code leads them. `groups` are the digits as they stand apart. `lead` stands before the
    brackets and `bracketed` in them; both are empty where there are none.
    """

    digits: str
    groups: tuple[str, ...]
    explicit: bool = False
    lead: str = ""
    bracketed: str = ""

    @property
    def without_optional_zero(self) -> str | None:
        """`+44 (0)20…` without what is left out by those who dial from abroad; None where nothing is."""
        if not self.explicit or self.bracketed != "0" or not self.lead:
            return None
        return self.lead + self.digits[len(self.lead) + 1 :]


def plain(text: str) -> str:
    """What was written, without what cannot be seen."""
    return text.translate(_SEEN).strip()


def look(text: str) -> Written | str:
    """How the number is written, or in words why the text is none."""
    if len(text) > LONGEST:
        return f"it has {len(text)} characters"
    if (common := _COMMON.fullmatch(text)) is not None:
        return Written(common[2], (common[2],), explicit=bool(common[1]))
    text = plain(text)
    if (link := _LINK.fullmatch(text)) is not None:
        return _explicit(link[1].strip().removesuffix("/"))
    if "@" in text:
        address = _ADDRESS.fullmatch(text)
        return _explicit(address[1]) if address is not None else "it is no person's address (…@c.us)"
    if "+" in text:
        return _explicit(text)
    return _punctuated(text)


def _explicit(text: str) -> Written | str:
    """The country code leads, with its plus, 00 or neither."""
    if (plus := _PLUS.fullmatch(text)) is not None:
        text = plus[1] + plus[2]
    elif text.startswith("00"):
        text = text[2:]
    seen = _punctuated(text.strip())
    return seen if isinstance(seen, str) else Written(seen.digits, seen.groups, True, seen.lead, seen.bracketed)


def _punctuated(text: str) -> Written | str:
    shape = _PUNCTUATED.fullmatch(text)
    if not text.isascii() or shape is None or not any(map(str.isdecimal, text)) or text[0] in "-.":
        return _why(text)
    if "." in text and not _dots_separate(text):
        return "it has a decimal point"
    lead, bracketed = (_digits(shape[part] or "") for part in ("lead", "bracketed"))
    digits = _digits(text)
    groups = tuple(re.findall(r"\d+", text))
    return Written(digits, groups, lead=lead if bracketed else "", bracketed=bracketed)


def _dots_separate(text: str) -> bool:
    """Two dots at least, as in 01.42.68.53.00; a single one makes a fraction of it, which a spreadsheet wrote."""
    return text.count(".") >= 2 and _DOTTED.search(text) is not None and not re.search(r"\.(?:\D|\d(?:\D|$)|$)", text)


def _why(text: str) -> str:
    if not text:
        return "it is empty"
    if any(character.isdecimal() and not character.isascii() for character in text):
        return "its digits are not 0 to 9"
    if any(map(str.isalpha, text)):
        return "it has letters (an extension cannot be reached)"
    return "it has other signs than digits, spaces, hyphens, brackets and a leading +"


def _digits(text: str) -> str:
    return re.sub(r"\D", "", text)
