"""What WAHA reports. Recorded from 2024.10.8 Core; signatures by its documentation (waha-docs 1a6f1c4, webhooks).

`X-Webhook-Hmac` is the hexadecimal HMAC-SHA512 of the raw body. Core before 2026.6 takes a key and does not sign: then
only the address tells, which holds a secret of the instance.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from homing.drivers import reading, reporting
from homing.drivers.libraries import whatsapp_web_reports
from homing.drivers.reporting import GatewayReports
from homing.model.instances.events import EventKind, Report
from homing.ports.instances.reports import Proof, Proven, RawReport, ReportSecrets

EVENTS = ("session.status", "message", "message.any", "message.ack", "message.reaction", "message.revoked")
"""What a session is told to report. `message` is those that arrive, `message.any` those that go out too."""
_HMAC, _ALGORITHM = "x-webhook-hmac", "x-webhook-hmac-algorithm"


class WahaReports(GatewayReports):
    """A message that arrives is reported twice, as `message` and `message.any`: one event."""

    retries = True

    def shown(self, raw: RawReport, secrets: ReportSecrets) -> Proof | None:
        given = raw.headers.get(_HMAC)
        if given is None:
            return None
        if raw.headers.get(_ALGORITHM, "sha512").strip().lower() != "sha512":
            return reporting.refused("X-Webhook-Hmac-Algorithm is not sha512")
        if not reporting.signed_with(raw.body, "sha512", given, secrets.own, secrets.shared):
            return reporting.refused("X-Webhook-Hmac does not fit this body")
        return Proven()

    def told(self, raw: RawReport, body: Mapping[str, Any]) -> Sequence[Report]:
        word, session = reporting.word_in(body.get("event")), body.get("session")
        payload = body.get("payload")
        said: Mapping[str, Any] = payload if isinstance(payload, dict) else {}
        match word:
            case "session.status" | "state.change":
                return [_status(raw, body, session, said)]
            case "message" | "message.any" if (message := whatsapp_web_reports.message_of(said)) is not None:
                return [reporting.message(session, raw, message)]
            case "message.ack" | "message.ack.group" if (
                level := reporting.level_of_webjs(said.get("ack"))
            ) is not None:
                chat = said.get("to") or reporting.chat_in_id(said.get("id"))
                from_me = said.get("fromMe")
                return [reporting.acknowledged(session, raw, said.get("id"), level, chat, from_me=from_me)]
            case "message.reaction":
                return [_reaction(raw, session, said)]
            case "message.revoked":
                gone = reading.id_of(reading.part(said, "before", "id")) or reading.id_of(said.get("revokedMessageId"))
                return [reporting.report(EventKind.MESSAGE_REVOKED, session, raw, {"message_id": gone})]
            case "call.received":
                told = {"from": reading.name_in(said.get("from")), "id": reading.id_of(said.get("id"))}
                return [reporting.report(EventKind.CALL_RECEIVED, session, raw, told, said.get("timestamp"))]
            case _:
                return [reporting.unknown(word, session, raw, payload)]


def _status(raw: RawReport, body: Mapping[str, Any], session: object, said: Mapping[str, Any]) -> Report:
    """`WORKING` comes twice with WEBJS, the second time with the phone."""
    word = said.get("status")
    match word:
        case "WORKING":
            return reporting.ready(session, raw, reading.part(body, "me", "id"))
        case "STARTING":
            return reporting.report(EventKind.SESSION_STARTING, session, raw)
        case "SCAN_QR_CODE" | "PASSKEY_REQUIRED" | "PASSKEY_CONFIRMATION_REQUIRED":
            return reporting.report(EventKind.SESSION_PAIRING, session, raw, {"status": word})
        case "STOPPED" | "FAILED":
            return reporting.disconnected(session, raw, word)
        case _:
            return reporting.unknown("session.status", session, raw, said)


def _reaction(raw: RawReport, session: object, said: Mapping[str, Any]) -> Report:
    told = {
        "message_id": reading.id_of(reading.part(said, "reaction", "messageId")),
        "text": reading.part(said, "reaction", "text"),
        "from": reading.name_in(said.get("participant") or said.get("from")),
    }
    return reporting.report(EventKind.MESSAGE_REACTION, session, raw, told, said.get("timestamp"))
