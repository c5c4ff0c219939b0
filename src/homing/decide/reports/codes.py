"""Codes that link a phone, wherever in a report they stand.

Whoever reads one can link a device of their own. Gateways put them under names of their own making, so they are known
by what they look like: what a QR code says, a picture that may be one, or eight characters to type.
"""

import re
from typing import Any

HIDDEN = "shown to admin keys"

_QR_TEXT = re.compile(r"\b\d{1,2}@[A-Za-z0-9+/=_-]{16,}(?:,[A-Za-z0-9+/=_-]+){2,}")
_QR_LINK = re.compile(r"https://wa\.me/settings/linked_devices#[A-Za-z0-9+/=_@,%-]+")
"""The same as Baileys 7 makes it."""
_PICTURE = re.compile(r"data:image/(?:png|svg\+xml|webp|gif)[^\s\"']*", re.IGNORECASE)
_BARE_PNG = re.compile(r"\biVBORw0KGgo[A-Za-z0-9+/=]*")
_TYPED = "[1-9A-HJ-NP-Z]"
"""What WhatsApp makes codes to type of: nothing that looks like something else."""
_TYPED_ALONE = re.compile(rf"\s*{_TYPED}{{4}}[- ]?{_TYPED}{{4}}\s*")
_DASHED = re.compile(rf"\b{_TYPED}{{4}}-{_TYPED}{{4}}\b")
_MIXED = re.compile(rf"\b(?=[A-Z]{{0,7}}\d)(?=\d{{0,7}}[A-Z]){_TYPED}{{8}}\b")
"""Inside a sentence a word in capitals is none, and no number is."""
_FIELDS = frozenset({"qr", "qr_code", "qrcode", "pairing_code", "pairingcode"})


def without_codes(value: Any, *, typed: bool) -> Any:
    """The same with every code replaced. `typed`: those to type, too; what people write to each other may look so."""
    match value:
        case str():
            return _hidden(value, typed)
        case dict():
            return {
                name: HIDDEN if typed and _is_named_so(name, each) else without_codes(each, typed=typed)
                for name, each in value.items()
            }
        case list():
            return [without_codes(each, typed=typed) for each in value]
        case _:
            return value


def _is_named_so(name: str, value: Any) -> bool:
    return isinstance(value, str) and name.lower() in _FIELDS


def _hidden(text: str, typed: bool) -> str:
    if typed and _TYPED_ALONE.fullmatch(text):
        return HIDDEN
    shapes = (_QR_TEXT, _QR_LINK, _PICTURE, _BARE_PNG, *((_DASHED, _MIXED) if typed else ()))
    for shape in shapes:
        text = shape.sub(HIDDEN, text)
    return text
