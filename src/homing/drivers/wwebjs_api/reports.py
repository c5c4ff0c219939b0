"""What wwebjs-api reports: `{dataType, data, sessionId}`, as recorded from 1.0.0.

Every report shows the gateway's own key in `x-api-key`. None is sent again, and they come in no order; after a
reconnect some come twice (wwebjs-api#68).
"""

from collections.abc import Mapping, Sequence
from typing import Any

from homing.drivers import reading, reporting
from homing.drivers.libraries import whatsapp_web_reports
from homing.drivers.reporting import GatewayReports
from homing.model.instances.events import EventKind, Report
from homing.ports.instances.reports import Proof, Proven, RawReport, ReportSecrets

_KEY = "x-api-key"


class WwebjsApiReports(GatewayReports):
    """The events of whatsapp-web.js by their own names."""

    def shown(self, raw: RawReport, secrets: ReportSecrets) -> Proof | None:
        given = raw.headers.get(_KEY)
        if given is None:
            return None
        return Proven() if reporting.same(given, secrets.key) else reporting.refused("x-api-key is not its key")

    def told(self, raw: RawReport, body: Mapping[str, Any]) -> Sequence[Report]:
        word, session = reporting.word_in(body.get("dataType")), body.get("sessionId")
        data, told = body.get("data"), dict[str, Any]()
        said = reading.part(data, "message")
        message = whatsapp_web_reports.message_of(said) if isinstance(said, dict) else None
        match word:
            case "qr":
                return [reporting.code(session, raw, reading.part(data, "qr"))]
            case "code":
                return [reporting.report(EventKind.SESSION_PAIRING, session, raw)]
            case "authenticated":
                return [reporting.report(EventKind.SESSION_AUTHENTICATED, session, raw)]
            case "ready":
                return [reporting.ready(session, raw)]
            case "disconnected":
                reason = reading.name_in(reading.part(data, "reason")) or "UNKNOWN"
                return [reporting.disconnected(session, raw, reason)]
            case "auth_failure":
                told = {"error": reading.name_in(reading.part(data, "msg")) or word}
                return [reporting.report(EventKind.SESSION_ERROR, session, raw, told)]
            case "message" | "message_create" if message is not None:
                return [reporting.message(session, raw, message)]
            case "message_ack" if message is not None:
                return self._acked(raw, session, data, message)
            case "message_reaction":
                told = {"message_id": reading.id_of(reading.part(data, "reaction", "msgId"))}
                return [reporting.report(EventKind.MESSAGE_REACTION, session, raw, told)]
            case "message_revoke_everyone" | "message_revoke_me":
                told = {"message_id": message["id"] if message is not None else None}
                return [reporting.report(EventKind.MESSAGE_REVOKED, session, raw, told)]
            case "message_edit":
                told = {"message_id": message["id"] if message is not None else None}
                return [reporting.report(EventKind.MESSAGE_EDITED, session, raw, told)]
            case "call":
                told = {"from": reading.name_in(reading.part(data, "call", "from"))}
                return [reporting.report(EventKind.CALL_RECEIVED, session, raw, told)]
            case _:
                return [reporting.unknown(word, session, raw, data)]

    def _acked(self, raw: RawReport, session: object, data: object, message: Mapping[str, Any]) -> Sequence[Report]:
        level = reporting.level_of_webjs(reading.part(data, "ack"))
        if level is None:
            return [reporting.unknown("message_ack", session, raw, data)]
        to, from_me = message["to"], message["from_me"]
        return [reporting.acknowledged(session, raw, message["id"], level, to, from_me=from_me)]
