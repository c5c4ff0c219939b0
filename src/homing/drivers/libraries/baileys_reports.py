"""Messages as Baileys describes them, in reports and chats of the gateways that are built around it."""

from collections.abc import Mapping
from typing import Any

from homing.drivers import reading
from homing.drivers.histories import reached_by, sha256_in
from homing.model.sends.history import SeenMessage

_TEXTS = (("conversation",), ("extendedTextMessage", "text"))
_FILES = {
    "imageMessage": "image",
    "videoMessage": "video",
    "audioMessage": "audio",
    "documentMessage": "document",
    "stickerMessage": "sticker",
}
_OTHERS = {
    "locationMessage": "location",
    "contactMessage": "contacts",
    "contactsArrayMessage": "contacts",
    "pollCreationMessage": "poll",
    "reactionMessage": "reaction",
}
_WRAPPERS = ("ephemeralMessage", "viewOnceMessage", "viewOnceMessageV2", "documentWithCaptionMessage")
STATUS_WORDS = {"ERROR": 0, "PENDING": 1, "SERVER_ACK": 2, "DELIVERY_ACK": 3, "READ": 4, "PLAYED": 5}
"""WebMessageInfo.Status, by its names; its numbers are the levels."""


def message_of(said: Mapping[str, Any]) -> dict[str, Any] | None:
    """The message in our words; None if it has no id."""
    key = said.get("key")
    message_id = reading.id_of(key)
    if message_id is None or not isinstance(key, dict):
        return None
    from_me = key.get("fromMe") is True
    chat = reading.name_in(key.get("remoteJid"))
    content = _unwrapped(said.get("message"))
    kind, text, media = _content(content)
    return {
        "id": message_id,
        "from": None if from_me else chat,
        "to": chat if from_me else None,
        "body": text,
        "from_me": from_me,
        "type": kind,
        "timestamp": reading.unix_s(said.get("messageTimestamp")) or None,
        "has_media": media is not None,
        "participant": reading.name_in(key.get("participant")),
        "media": media or None,
        "push_name": reading.name_in(said.get("pushName")),
    }


def level_of(status: object) -> int | None:
    """A status, as a name or a number, as a level of ours."""
    if isinstance(status, str):
        return STATUS_WORDS.get(status.upper())
    is_level = isinstance(status, int) and not isinstance(status, bool) and 0 <= status <= 5
    return status if is_level and isinstance(status, int) else None


def _unwrapped(content: object) -> Mapping[str, Any]:
    """The content without what it is wrapped in."""
    for _ in _WRAPPERS:
        inner = next((inner for name in _WRAPPERS if (inner := reading.part(content, name, "message"))), None)
        if inner is None:
            break
        content = inner
    return content if isinstance(content, dict) else {}


def _content(content: Mapping[str, Any]) -> tuple[str, str | None, dict[str, Any] | None]:
    """Its type, its text or caption, and what its file is; an empty object for a file of which nothing is told."""
    for path in _TEXTS:
        if isinstance(text := reading.part(content, *path), str):
            return "chat", text, None
    for name, kind in _FILES.items():
        said = content.get(name)
        if isinstance(said, dict):
            caption = said.get("caption")
            told = {"mimetype": said.get("mimetype"), "filename": said.get("fileName")}
            media = {part: found for part, value in told.items() if (found := reading.name_in(value)) is not None}
            return kind, caption if isinstance(caption, str) else None, media
    kind = next((kind for name, kind in _OTHERS.items() if name in content), "unknown")
    emoji = reading.part(content, "reactionMessage", "text")
    return kind, emoji if isinstance(emoji, str) else None, None


def file_sha256(said: object) -> object:
    """The hash of a message's file, as Baileys writes it; None where it has no file."""
    content = _unwrapped(reading.part(said, "message"))
    return next((found for name in _FILES if (found := reading.part(content, name, "fileSha256"))), None)


def seen_of(said: Mapping[str, Any]) -> SeenMessage | None:
    """A message as a chat shows it, with whatever its `status` says."""
    told = message_of(said)
    if told is None:
        return None
    digest, reached = sha256_in(file_sha256(said)), reached_by(level_of(said.get("status")))
    text = None if told["has_media"] and digest is None else told["body"]
    return SeenMessage(told["id"], told["from_me"], told["timestamp"], text, digest, reached)
