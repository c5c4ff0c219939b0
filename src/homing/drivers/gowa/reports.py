"""What GOWA reports: `{event, device_id, session_id, payload}`. By its source (v9: infrastructure/whatsapp/webhook.go,
webhook_forward.go, event_message.go, event_receipt.go), without recorded traffic.

`device_id` is the device's address at WhatsApp, not what it is called: `session_id` is, which older versions leave out.

`X-Hub-Signature-256` is `sha256=` and the hexadecimal HMAC-SHA256 of the raw body. Its secret is "secret" where nobody
set one, which proves nothing and is not taken. It reports messages, and never how a session stands.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from homing.drivers import reading, reporting
from homing.drivers.reporting import GatewayReports
from homing.model.instances.events import EventKind, Report
from homing.ports.instances.reports import Proof, Proven, RawReport, ReportSecrets

_HMAC = "x-hub-signature-256"
_FILES = {
    "image": "image",
    "video": "video",
    "video_note": "video",
    "audio": "audio",
    "document": "document",
    "sticker": "sticker",
}
_LEVELS = {"delivered": 3, "read": 4, "read-self": 4, "played": 5, "sender": 2}


class GowaReports(GatewayReports):
    """It sends again what is not answered 2xx, five times within 15 s."""

    retries = True
    tells_status = False

    def shown(self, raw: RawReport, secrets: ReportSecrets) -> Proof | None:
        given = raw.headers.get(_HMAC)
        if given is None:
            return None
        signed = reporting.signed_with(raw.body, "sha256", given.removeprefix("sha256="), secrets.own, secrets.shared)
        return Proven() if signed else reporting.refused("X-Hub-Signature-256 does not fit this body")

    def told(self, raw: RawReport, body: Mapping[str, Any]) -> Sequence[Report]:
        word = reporting.word_in(body.get("event"))
        session = raw.word or body.get("session_id") or body.get("device_id")
        payload = body.get("payload")
        match word:
            case "message":
                message = _message(payload)
                if message is not None:
                    return [reporting.message(session, raw, message)]
            case "message.ack":
                if found := _acks(raw, session, payload):
                    return found
            case "message.reaction":
                told = {"message_id": reading.name_in(reading.part(payload, "reacted_message_id"))}
                return [reporting.report(EventKind.MESSAGE_REACTION, session, raw, told)]
            case "message.revoked":
                told = {"message_id": reading.name_in(reading.part(payload, "revoked_message_id"))}
                return [reporting.report(EventKind.MESSAGE_REVOKED, session, raw, told)]
            case "message.edited":
                told = {"message_id": reading.name_in(reading.part(payload, "original_message_id"))}
                return [reporting.report(EventKind.MESSAGE_EDITED, session, raw, told)]
            case _:
                pass
        return [reporting.unknown(word, session, raw, payload)]


def _message(payload: object) -> dict[str, Any] | None:
    message_id = reading.name_in(reading.part(payload, "id"))
    if message_id is None:
        return None
    from_me = reading.part(payload, "is_from_me") is True
    chat = reading.name_in(reading.part(payload, "chat_id"))
    sender = reading.name_in(reading.part(payload, "from"))
    text = reading.part(payload, "body")
    kind = next((kind for kind in _FILES if reading.part(payload, kind)), None)
    return {
        "id": message_id,
        "from": sender if from_me else chat or sender,
        "to": chat if from_me else None,
        "body": text if isinstance(text, str) else None,
        "from_me": from_me,
        "type": "chat" if kind is None else _FILES[kind],
        "timestamp": reading.name_in(reading.part(payload, "timestamp")),
        "has_media": kind is not None,
        "media": None if kind is None else _media(reading.part(payload, kind)),
    }


def _media(said: object) -> dict[str, Any]:
    """A path, or an object: `mime_type` where it has downloaded the file already, `filename` of documents."""
    told = {
        "mimetype": reading.name_in(reading.part(said, "mime_type")),
        "filename": reading.name_in(reading.part(said, "filename")),
    }
    return {name: value for name, value in told.items() if value is not None}


def _acks(raw: RawReport, session: object, payload: object) -> list[Report]:
    kind = str(reading.part(payload, "receipt_type") or "delivered")
    level = _LEVELS.get(kind)
    ids = reading.part(payload, "ids")
    if level is None or not isinstance(ids, list):
        return []
    to = reading.part(payload, "chat_id")
    mine = kind != "read-self"  # what arrived, and was read on the phone
    known = [each for each in ids if reading.name_in(each)]
    return [reporting.acknowledged(session, raw, each, level, to, from_me=mine) for each in known]
