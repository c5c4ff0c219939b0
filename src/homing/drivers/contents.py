"""What drivers share in writing contents down: a request, a file inside of it, a card, the id of an earlier message."""

from collections.abc import Mapping
from typing import Any

import msgspec

from homing.drivers.http.streamed import StreamedBody
from homing.model.sends.addresses import Address
from homing.model.sends.calls import MediaSource, OutgoingText
from homing.model.sends.content import (
    ContactContent,
    Content,
    KeptMedia,
    MediaContent,
    MessageRef,
    MessageType,
    TextContent,
)

_encode = msgspec.json.Encoder().encode
_NOTHING: tuple[object, ...] = (None, "", [], ())
_MARK = b"\x00"
"""No JSON holds this byte: what stands for a file is found by it, whatever texts are around."""
_EXTENSIONS = {
    "image/jpeg": "jpg", "image/png": "png", "image/gif": "gif", "image/webp": "webp", "video/mp4": "mp4",
    "video/3gpp": "3gp", "audio/ogg": "ogg", "audio/mpeg": "mp3", "audio/mp4": "m4a", "audio/amr": "amr",
    "audio/aac": "aac", "application/pdf": "pdf", "text/plain": "txt", "application/zip": "zip",
}  # fmt: skip


class Told(msgspec.Struct, frozen=True):
    """One call that sends something."""

    path: str
    body: Mapping[str, Any]
    method: str = "POST"
    headers: Mapping[str, str] = {}


class InBase64:
    """A file in the place of a text, in base64, behind `prefix`. It is read while it goes out.

    No dataclass: the encoder would write one down as the object of its fields.
    """

    __slots__ = ("prefix", "size", "source")

    def __init__(self, source: MediaSource, size: int, prefix: str = "") -> None:
        self.source, self.size, self.prefix = source, size, prefix


class Unsendable(Exception):
    """A driver was given a content that it does not take. Nothing was sent; the message says what."""


def body_of(told: Mapping[str, Any]) -> bytes | StreamedBody:
    """The JSON body, of which a file is not read yet. Raises UnicodeEncodeError for half a character."""
    try:
        return _encode(told)
    except TypeError:
        return _around_a_file(told)


def _around_a_file(told: Mapping[str, Any]) -> bytes | StreamedBody:
    files: list[InBase64] = []

    def insert(value: Any) -> Any:
        if not isinstance(value, InBase64):
            raise TypeError(f"{type(value)} is no JSON")
        files.append(value)
        return msgspec.Raw(b'"' + value.prefix.encode() + _MARK + b'"')

    whole = msgspec.json.encode(told, enc_hook=insert)
    if not files:
        return whole
    before, _, after = whole.partition(_MARK)
    return StreamedBody(before, files[0].source.chunks, files[0].size, after, as_base64=True)


def kept_of(message: OutgoingText) -> tuple[MediaSource, KeptMedia]:
    """The file that goes with a message. Raises Unsendable where there is none at hand."""
    content = message.said
    if isinstance(content, MediaContent) and isinstance(content.media, KeptMedia) and message.file is not None:
        return message.file, content.media
    raise Unsendable("its file is not at hand")


def url_of(message: OutgoingText) -> str:
    return kept_of(message)[0].url


def in_base64(message: OutgoingText, prefix: str = "") -> InBase64:
    source, kept = kept_of(message)
    return InBase64(source, kept.size, prefix)


def mime_of(message: OutgoingText) -> str:
    """Of the file, as engines write it: a voice note says its codec."""
    mime_type = kept_of(message)[1].mime_type
    voice = message.said.type is MessageType.VOICE and mime_type == "audio/ogg"
    return "audio/ogg; codecs=opus" if voice else mime_type


def file_name_of(message: OutgoingText) -> str:
    """As the caller named it, else by its type."""
    content = message.said
    if isinstance(content, MediaContent) and content.file_name:
        return content.file_name
    extension = _EXTENSIONS.get(kept_of(message)[1].mime_type, "bin")
    return f"{content.type.value}.{extension}"


def beyond(content: Content) -> Unsendable:
    return Unsendable(f"it sends no {content.type.value}")


def jids(addresses: tuple[Address, ...], phones_at: str) -> list[str]:
    return [each.jid(phones_at) for each in addresses]


def serialised(ref: MessageRef, chat: str, phones_at: str) -> str:
    """An earlier message of a chat, as whatsapp-web.js names it."""
    whole = f"{'true' if ref.from_me else 'false'}_{chat}_{ref.id}"
    return f"{whole}_{ref.participant.jid(phones_at)}" if ref.participant else whole


def key_of(ref: MessageRef, chat: str, phones_at: str) -> dict[str, Any]:
    """An earlier message of a chat, as Baileys names it."""
    key: dict[str, Any] = {"remoteJid": chat, "fromMe": ref.from_me, "id": ref.id}
    return key | ({"participant": ref.participant.jid(phones_at)} if ref.participant else {})


def words_alone(content: Content) -> str | None:
    """The words of a plain text, which is nearly all that is ever sent; None if anything else is to be said."""
    if type(content) is not TextContent or content.reply_to is not None or content.mentions:
        return None
    return content.text


def said(**fields: Any) -> dict[str, Any]:
    """Those fields that say something."""
    return {name: value for name, value in fields.items() if value not in _NOTHING}


def vcard(card: ContactContent) -> str:
    """RFC 2426, with the `waid` by which WhatsApp offers to write to the person."""
    lines = ["BEGIN:VCARD", "VERSION:3.0", f"N:;{_escaped(card.name)};;;", f"FN:{_escaped(card.name)}"]
    if card.organisation:
        lines.append(f"ORG:{_escaped(card.organisation)};")
    lines += [f"TEL;type=CELL;type=VOICE;waid={card.phone}:+{card.phone}", "END:VCARD"]
    return "\n".join(lines)


def _escaped(text: str) -> str:
    text = text.replace("\\", "\\\\").replace(";", "\\;").replace(",", "\\,")
    return text.replace("\r\n", "\\n").replace("\n", "\\n").replace("\r", "\\n")
