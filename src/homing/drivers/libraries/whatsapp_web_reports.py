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
    bare = isinstance(said.get("mimetype"), str)  # of the page's own messages (WPPConnect) the body is a small picture
    body = said.get("caption") if bare else said.get("body")
    has_media = bare or said.get("hasMedia") is True
    page = said if bare else said.get("_data")  # whatsapp-web.js passes the page's own message on beside its own
    told = media_of(page, with_url=False) if has_media else None
    media = media_of(said.get("media")) or told
    return {
        "id": message_id,
        "from": reading.name_in(said.get("from")),
        "to": reading.name_in(to),
        "body": body if isinstance(body, str) else None,
        "from_me": from_me,
        "type": reading.name_in(said.get("type")) or "chat",
        "timestamp": reading.unix_s(said.get("timestamp") or said.get("t")) or None,
        "has_media": has_media,
        "participant": reading.name_in(said.get("participant") or said.get("author")),
        "media": media,
    }


def media_of(said: object, *, with_url: bool = True) -> dict[str, Any] | None:
    """Where its file is, and what it is; never the file itself. `with_url`: its address is one of the gateway's."""
    if not isinstance(said, dict):
        return None
    found = {name: reading.name_in(said.get(name)) for name in ("mimetype", "filename")}
    url = said.get("url")
    found["url"] = url if with_url and isinstance(url, str) and len(url) <= 2_000 else None
    kept = {name: value for name, value in found.items() if value is not None}
    return kept or None


def seen_of(said: Mapping[str, Any]) -> SeenMessage | None:
    """A message as a chat shows it. A file of which nothing is told has no words either: it is not them."""
    told = message_of(said)
    if told is None:
        return None
    within = said.get("_data")
    digest = sha256_in(said.get("filehash") or reading.part(within, "filehash") or file_sha256(within))
    text = told["body"] if told["has_media"] is (digest is not None) else None
    return SeenMessage(
        told["id"], told["from_me"], told["timestamp"], text, digest, reached_by(level_of_webjs(said.get("ack")))
    )
