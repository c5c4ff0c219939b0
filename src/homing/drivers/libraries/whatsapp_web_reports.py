"""Messages as whatsapp-web.js describes them, in reports and chats of the gateways that are built around it."""

from collections.abc import Mapping
from typing import Any

from homing.drivers import reading
from homing.drivers.histories import reached_by, sha256_in
from homing.drivers.libraries.baileys_reports import file_sha256
from homing.drivers.reporting import chat_in_id, level_of_webjs
from homing.model.sends.history import SeenMessage


def message_of(said: Mapping[str, Any]) -> dict[str, Any] | None:
    """The message in our words; None if it has no id.

    Of one that went out some name the recipient as `from` alone (WAHA with NOWEB, 2024.10.8): the chat in its id tells.
    """
    message_id = reading.id_of(said.get("id"))
    if message_id is None:
        return None
    from_me = said.get("fromMe") is True or reading.part(said, "id", "fromMe") is True
    chat = chat_in_id(message_id)
    to = said.get("to") or (chat if from_me else None)
    return {
        "id": message_id,
        "from": reading.name_in(said.get("from")),
        "to": reading.name_in(to),
        "body": said.get("body") if isinstance(said.get("body"), str) else None,
        "from_me": from_me,
        "type": reading.name_in(said.get("type")) or "chat",
        "timestamp": reading.unix_s(said.get("timestamp") or said.get("t")) or None,
        "has_media": said.get("hasMedia") is True,
        "participant": reading.name_in(said.get("participant") or said.get("author")),
        "media": media_of(said.get("media")),
    }


def media_of(said: object) -> dict[str, Any] | None:
    """Where its file is, and what it is; never the file itself."""
    if not isinstance(said, dict):
        return None
    found = {name: reading.name_in(said.get(name)) for name in ("mimetype", "filename")}
    url = said.get("url")
    found["url"] = url if isinstance(url, str) and len(url) <= 2_000 else None
    kept = {name: value for name, value in found.items() if value is not None}
    return kept or None


def seen_of(said: Mapping[str, Any]) -> SeenMessage | None:
    """A message as a chat shows it. What stands beside a file is `caption` where the page's own messages are passed on
    (WPPConnect, whose `body` is then a small picture), and `body` in whatsapp-web.js (src/structures/Message.js)."""
    told = message_of(said)
    if told is None:
        return None
    within = said.get("_data")
    digest = sha256_in(said.get("filehash") or reading.part(within, "filehash") or file_sha256(within))
    text, caption = told["body"], said.get("caption")
    if isinstance(caption, str):
        text = caption
    if told["has_media"] is not (digest is not None) and not isinstance(caption, str):
        text = None  # a file of which nothing is told, or words that are a picture
    return SeenMessage(
        told["id"], told["from_me"], told["timestamp"], text, digest, reached_by(level_of_webjs(said.get("ack")))
    )
