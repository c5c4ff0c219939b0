"""What wuzapi reports. By its source (helpers.go of 6046c69), without recorded traffic.

With a key of its own it signs the body: `x-hmac-signature`, hexadecimal HMAC-SHA256. In JSON (WEBHOOK_FORMAT=json) it
is an object; else a form, whose `jsonData` is that object, and whose signature is of the form as it came.
"""

from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import parse_qs

from homing.drivers import reading, reporting
from homing.drivers.reporting import GatewayReports
from homing.model.instances.events import Report
from homing.model.instances.report_body import Malformed, UnreadableBody, json_object
from homing.ports.instances.reports import Proof, Proven, RawReport, ReportSecrets

_HMAC = "x-hmac-signature"
_CAPTIONED = ("imageMessage", "videoMessage", "documentMessage")
_LEVELS = {"Delivered": 3, "Read": 4, "ReadSelf": 4, "Played": 5}


class WuzapiReports(GatewayReports):
    """Messages and receipts; how its sessions stand is told by none of them."""

    retries = True
    tells_status = False

    def shown(self, raw: RawReport, secrets: ReportSecrets) -> Proof | None:
        given = raw.headers.get(_HMAC)
        if given is None:
            return None
        signed = reporting.signed_with(raw.body, "sha256", given, secrets.own, secrets.shared)
        return Proven() if signed else reporting.refused("x-hmac-signature does not fit this body")

    def read(self, raw: RawReport) -> Sequence[Report]:
        return self.told(raw, _body(raw))

    def told(self, raw: RawReport, body: Mapping[str, Any]) -> Sequence[Report]:
        word = reporting.word_in(body.get("type"))
        session = raw.word or body.get("instanceName") or body.get("userID")
        event = body.get("event")
        match word:
            case "Message":
                message = _message(event, body)
                return [_unknown(word, session, raw) if message is None else reporting.message(session, raw, message)]
            case "ReadReceipt" | "Receipt":
                return _receipts(raw, session, body, event) or [_unknown(word, session, raw)]
            case "Connected":
                return [reporting.ready(session, raw)]
            case "LoggedOut":
                return [reporting.disconnected(session, raw, reporting.LOGGED_OUT)]
            case "Disconnected" | "StreamReplaced":
                return [reporting.disconnected(session, raw, word.upper())]
            case "QR":
                return [reporting.code(session, raw, body.get("qrCodeBase64"))]
            case _:
                return [_unknown(word, session, raw)]


def _body(raw: RawReport) -> Mapping[str, Any]:
    """The object in a JSON body, or in the form that it is told in."""
    if not raw.headers.get("content-type", "").startswith("application/x-www-form-urlencoded"):
        return json_object(raw.body)
    try:
        fields = parse_qs(raw.body.decode(), max_num_fields=50)
    except ValueError as error:
        raise UnreadableBody("The body is no form") from error
    given = fields.get("jsonData")
    if not given:
        raise Malformed("The form has no `jsonData`")
    return json_object(given[0].encode())


def _unknown(word: str, session: object, raw: RawReport) -> Report:
    return reporting.unknown(word, session, raw)


def _message(event: object, body: Mapping[str, Any]) -> dict[str, Any] | None:
    """Its file stands beside the message, in base64, unless it is told to put files into S3 (media.go)."""
    info = reading.part(event, "Info")
    message_id = reading.name_in(reading.part(info, "ID"))
    if message_id is None:
        return None
    from_me = reading.part(info, "IsFromMe") is True
    chat = reading.name_in(reading.part(info, "Chat"))
    text = reading.part(event, "Message", "conversation")
    if not isinstance(text, str):
        text = reading.part(event, "Message", "extendedTextMessage", "text")
    captions = (reading.part(event, "Message", name, "caption") for name in _CAPTIONED)
    if not isinstance(text, str):
        text = next((each for each in captions if isinstance(each, str) and each), None)
    has_media = reading.part(info, "Type") == "media"
    return {
        "id": message_id,
        "from": None if from_me else chat,
        "to": chat if from_me else None,
        "body": text if isinstance(text, str) else None,
        "from_me": from_me,
        "type": reading.name_in(reading.part(info, "Type")) or "chat",
        "timestamp": reading.name_in(reading.part(info, "Timestamp")),
        "has_media": has_media,
        "media": _media(body) if has_media else None,
        "participant": reading.name_in(reading.part(info, "Sender")) if reading.part(info, "IsGroup") is True else None,
    }


def _media(body: Mapping[str, Any]) -> dict[str, Any]:
    told = {"mimetype": body.get("mimeType"), "filename": body.get("fileName"), "data": body.get("base64")}
    return {name: value for name, value in told.items() if isinstance(value, str) and value}


def _receipts(raw: RawReport, session: object, body: Mapping[str, Any], event: object) -> list[Report]:
    level = _LEVELS.get(str(body.get("state") or reading.part(event, "Type")))
    ids = reading.part(event, "MessageIDs")
    if level is None or not isinstance(ids, list):
        return []
    chat, at = reading.part(event, "Chat"), reading.part(event, "Timestamp")
    return [reporting.acknowledged(session, raw, each, level, chat, at) for each in ids if reading.name_in(each)]
