"""What is inside a decrypted message: protobuf ``Message``, by the field numbers of Baileys 7.0.0-rc14's WAProto.

A plain text has 1 to 16 bytes behind it, each of which says how many.
"""

import secrets
from dataclasses import dataclass

from simulated_whatsapp.multidevice.phones.files import NamedFile, named_file
from simulated_whatsapp.multidevice.wire import protobuf
from simulated_whatsapp.multidevice.wire.protobuf import Fields

_WRAPPERS = (37, 40, 53, 55, 58, 59)
"""Once to be viewed, ephemeral, with a caption, edited: {1 message} around another."""
_SENDER_KEY, _DEVICE_SENT, _PROTOCOL, _REACTION = 2, 31, 12, 46
_CAPTIONED = {3: ("image", 3), 9: ("video", 7), 7: ("document", 20), 8: ("audio", None), 26: ("sticker", None)}
_NAMED = {4: ("contact", 1), 5: ("location", 3), 49: ("poll", 2), 60: ("poll", 2), 64: ("poll", 2), 6: ("text", 1)}
_REVOKE, _EDIT = 0, 14
_DEEPEST = 8


@dataclass(frozen=True, slots=True)
class SenderKey:
    """A group's key, brought along: the bytes are ``sender_keys``'."""

    group: str
    distribution: bytes


@dataclass(frozen=True, slots=True)
class Content:
    """What a message says. ``kind`` is ``text``, ``image``, …, or ``nothing`` where a phone shows nothing for it;
    ``about`` is the id of the message that it changes. ``sent_to`` is set in a copy for the sender's own devices."""

    kind: str
    text: str = ""
    about: str | None = None
    sent_to: str | None = None
    sender_key: SenderKey | None = None
    file: NamedFile | None = None


def padded(message: bytes) -> bytes:
    count = secrets.randbelow(16) + 1
    return message + bytes([count]) * count


def unpadded(plain: bytes) -> bytes:
    """Raises ``protobuf.Malformed``."""
    count = plain[-1] if plain else 0
    if not 0 < count <= 16 or count > len(plain):
        raise protobuf.Malformed("a plain text without its padding")
    return plain[:-count]


def text_message(text: str) -> bytes:
    return protobuf.message((1, text))


def own_copy(sent_to: str, message: bytes) -> bytes:
    """The same message, for the sender's other devices."""
    return protobuf.message((_DEVICE_SENT, protobuf.message((1, sent_to), (2, message))))


def with_sender_key(group: str, distribution: bytes, message: bytes = b"") -> bytes:
    """The group's key, and perhaps a message with it."""
    return protobuf.message((_SENDER_KEY, protobuf.message((1, group), (2, distribution)))) + message


def read_content(message: bytes) -> Content:
    """What is in a message without its padding. Raises ``protobuf.Malformed``."""
    given = protobuf.fields(message)
    copy = protobuf.part(given, _DEVICE_SENT)
    if copy is None:
        return _content(given, None)
    inside = protobuf.fields(copy)
    return _content(protobuf.fields(protobuf.part(inside, 2) or b""), protobuf.text(inside, 1) or "")


def _content(given: Fields, sent_to: str | None) -> Content:
    key = _sender_key(protobuf.part(given, _SENDER_KEY))
    for _ in range(_DEEPEST):
        inside = next((inner for number in _WRAPPERS if (inner := protobuf.part(given, number))), None)
        if inside is None:
            break
        given = protobuf.fields(protobuf.part(protobuf.fields(inside), 1) or b"")
    kind, text, about = _said(given)
    return Content(kind, text, about, sent_to, key, _file(kind, given))


def _file(kind: str, given: Fields) -> NamedFile | None:
    number = next((number for number, (of, _) in _CAPTIONED.items() if of == kind), None)
    inner = protobuf.part(given, number) if number is not None else None
    return named_file(kind, protobuf.fields(inner)) if inner is not None else None


def _said(given: Fields) -> tuple[str, str, str | None]:
    if (text := protobuf.text(given, 1)) is not None:
        return "text", text, None
    for number, (kind, field) in (_CAPTIONED | _NAMED).items():
        if (inner := protobuf.part(given, number)) is not None:
            return kind, (protobuf.text(protobuf.fields(inner), field) or "") if field else "", None
    if (reaction := protobuf.part(given, _REACTION)) is not None:
        told = protobuf.fields(reaction)
        return "reaction", protobuf.text(told, 2) or "", _about(told)
    if (protocol := protobuf.part(given, _PROTOCOL)) is not None:
        return _changed(protobuf.fields(protocol))
    others = [number for number in given if number not in (_SENDER_KEY, 35)]
    return ("other", f"field {others[0]}", None) if others else ("nothing", "", None)


def _changed(protocol: Fields) -> tuple[str, str, str | None]:
    kind = protobuf.number(protocol, 2)
    if kind == _REVOKE:
        return "revoke", "", _about(protocol)
    if kind == _EDIT:
        _, text, _ = _said(protobuf.fields(protobuf.part(protocol, 14) or b""))
        return "edit", text, _about(protocol)
    return "nothing", "", None


def _about(told: Fields) -> str | None:
    return protobuf.text(protobuf.fields(protobuf.part(told, 1) or b""), 3)


def _sender_key(data: bytes | None) -> SenderKey | None:
    if data is None:
        return None
    given = protobuf.fields(data)
    return SenderKey(protobuf.text(given, 1) or "", protobuf.part(given, 2) or b"")
