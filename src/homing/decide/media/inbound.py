"""Which file came with a message, where is it, and as what may it be given out?"""

import hashlib
import hmac
import re
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from homing.decide.media.sniffing import TEXT, UNKNOWN, sniffed
from homing.decide.reports.meanings import message_id_of, message_of
from homing.model.sends.content import KeptMedia
from homing.model.sends.inbound import InboundFile

KINDS = frozenset({"message_received", "message_sent"})
"""Events that tell of a message with its file."""
ABOUT = ("mimetype", "filename")
"""What is told of a file, whoever asks."""
_LINK_MAX = 300
_MAC_BYTES = 20
_NOT_GIVEN = "its bytes did not come with the report, and {family} cannot be asked for them by the message"
_NAME_MAX = 120
_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,512}")
_INLINE = re.compile(r"image/(jpeg|png|gif|webp)|video/.+|audio/.+|application/(pdf|zip)")
"""What is given out as what it is. All else is bytes, or plain text: nothing that a browser would run."""


@dataclass(frozen=True, slots=True)
class EventLink:
    """A way to the file of one stored event, until when (Unix seconds)."""

    event_id: str
    until_s: int


class _LinkSaid(msgspec.Struct, array_like=True, frozen=True):
    event_id: str
    until_s: int


_decoder = msgspec.msgpack.Decoder(_LinkSaid)


def has_file(kind: str, payload: Mapping[str, Any]) -> bool:
    """Whether an event tells of a message with a file."""
    if kind not in KINDS:
        return False
    message = message_of(payload)
    return message.get("has_media") is True or isinstance(message.get("media"), dict)


def file_of(kind: str, payload: Mapping[str, Any]) -> InboundFile | None:
    """The file as its gateway is asked for it; None where none is told of."""
    message, message_id = message_of(payload), message_id_of(payload)
    if message_id is None or not has_file(kind, payload):
        return None
    from_me = message.get("from_me") is True
    media = message.get("media")
    told: Mapping[str, Any] = media if isinstance(media, dict) else {}
    chat = message.get("to") if from_me else message.get("from")
    return InboundFile(
        message_id,
        chat if isinstance(chat, str) else None,
        from_me,
        _text(told, "url"),
        _text(told, "mimetype") or "",
        _text(told, "filename") or "",
        reference_of(payload),
    )


def reference_of(payload: Mapping[str, Any]) -> str | None:
    """By what an instance of ours finds the file, where it told so."""
    media = message_of(payload).get("media")
    found = _text(media, "reference") if isinstance(media, dict) else None
    return found if found is not None and _REFERENCE.fullmatch(found) else None


def unavailable(family: str | None) -> dict[str, Any]:
    """What a customer is told of a file that nobody can give out; `family` is its gateway's, as people call it."""
    whose = "the gateway that told of it is not known any more" if family is None else _NOT_GIVEN.format(family=family)
    return {"available": False, "why": whose}


def kept_of(payload: Mapping[str, Any]) -> KeptMedia | None:
    """The file, where its bytes came with the report and were kept."""
    media = message_of(payload).get("media")
    kept = media.get("kept") if isinstance(media, dict) else None
    try:
        return msgspec.convert(kept, KeptMedia) if kept is not None else None
    except msgspec.ValidationError:
        return None


def with_file(payload: Mapping[str, Any], link: Mapping[str, Any] | None) -> dict[str, Any]:
    """The payload with what its file is, and `link` to it, in the place of what its gateway told of where it is."""
    message = message_of(payload)
    media = message.get("media")
    said = {name: media[name] for name in ABOUT if name in media} if isinstance(media, dict) else {}
    changed = {**message, "media": {**said, **(link or {})}}
    return {**payload, "message": changed} if message is not payload else changed


def served_as(head: bytes) -> str:
    """The content type under which a stranger's file is given out, by its bytes alone."""
    found = sniffed(head)
    return found if found == TEXT or _INLINE.fullmatch(found) else UNKNOWN


def named(file: InboundFile | None) -> str:
    """The name under which it is given out: what somebody wrote, without what is no part of a name."""
    name = (file.file_name if file is not None else "").replace("\\", "/").rpartition("/")[2]
    return "".join(each for each in name if each.isprintable())[:_NAME_MAX] or "file"


def link_token(secret: bytes, link: EventLink) -> str:
    packed = msgspec.msgpack.encode(_LinkSaid(link.event_id, link.until_s))
    return urlsafe_b64encode(_mac(secret, packed) + packed).rstrip(b"=").decode()


def linked(secret: bytes, given: str, now_s: float) -> EventLink | None:
    """What a token leads to; None for one that is not ours, or is over."""
    if not given.isascii() or len(given) > _LINK_MAX:
        return None
    try:
        raw = urlsafe_b64decode(given + "=" * (-len(given) % 4))
        mac, packed = raw[:_MAC_BYTES], raw[_MAC_BYTES:]
        if not hmac.compare_digest(mac, _mac(secret, packed)):
            return None
        said = _decoder.decode(packed)
    except (ValueError, msgspec.DecodeError):
        return None
    return EventLink(said.event_id, said.until_s) if said.until_s > now_s else None


def _mac(secret: bytes, packed: bytes) -> bytes:
    key = hmac.new(secret, b"homing inbound file", hashlib.sha256).digest()
    return hmac.new(key, packed, hashlib.sha256).digest()[:_MAC_BYTES]


def _text(told: Mapping[str, Any], name: str) -> str | None:
    value = told.get(name)
    return value if isinstance(value, str) and value else None
