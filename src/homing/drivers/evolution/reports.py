"""What Evolution reports. Recorded from 2.3.6.

Nothing is signed. Every body holds the session's own token as `apikey`, unless its server hides those (null, as
recorded). It is compared and left out: what is kept of a report is made here, part by part.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from homing.drivers import reading, reporting
from homing.drivers.libraries import baileys_reports
from homing.drivers.reporting import GatewayReports
from homing.model.instances.events import EventKind, Report
from homing.model.instances.report_body import Malformed, json_object
from homing.ports.instances.reports import Proof, Proven, RawReport, ReportSecrets, TokenNeeded

EVENTS = (
    "QRCODE_UPDATED",
    "CONNECTION_UPDATE",
    "MESSAGES_UPSERT",
    "MESSAGES_UPDATE",
    "MESSAGES_DELETE",
    "SEND_MESSAGE",
    "LOGOUT_INSTANCE",
    "REMOVE_INSTANCE",
    "CALL",
)
REPORT_HEADER = "x-homing-report"
"""The header that `connect-webhooks` has it send, with the secret of the instance."""
_DEVICE_REMOVED = 401
"""WhatsApp's reason for a closed connection (Baileys, DisconnectReason.loggedOut)."""


class EvolutionReports(GatewayReports):
    """It sends again what is answered 5xx or 429, in no order, and never what is answered 400, 401, 403, 404 or 422."""

    retries = True

    def shown(self, raw: RawReport, secrets: ReportSecrets) -> Proof | None:
        """By our header, by its address, or by the token in its body."""
        given = raw.headers.get(REPORT_HEADER)
        if given is not None:
            return Proven() if reporting.same(given, secrets.own) else reporting.refused("its header is not our secret")
        if secrets.in_path:
            return Proven()
        return _by_token(raw, secrets)

    def told(self, raw: RawReport, body: Mapping[str, Any]) -> Sequence[Report]:
        word = reporting.word_in(body.get("event") or raw.word).lower().replace("-", ".").replace("_", ".")
        session, at = body.get("instance"), body.get("date_time")
        data = body.get("data")
        said: Mapping[str, Any] = data if isinstance(data, dict) else {}
        match word:
            case "connection.update":
                return [_connection(raw, session, said)]
            case "qrcode.updated":
                return [reporting.code(session, raw, reading.part(said, "qrcode", "code"))]
            case "status.instance" if said.get("status") == "closed":
                return [_closed(raw, session, said.get("disconnectionReasonCode"))]
            case "logout.instance":
                return [reporting.disconnected(session, raw, reporting.LOGGED_OUT)]
            case "remove.instance":
                return [reporting.disconnected(session, raw, "REMOVED")]
            case "messages.upsert" | "send.message" if (message := baileys_reports.message_of(said)) is not None:
                return [_message(raw, session, message)]
            case "messages.update":
                return _progress(raw, session, data, at) or [reporting.unknown(word, session, raw, data)]
            case "messages.delete":
                gone = reading.id_of(said.get("key")) or reading.id_of(said.get("id"))
                return [reporting.report(EventKind.MESSAGE_REVOKED, session, raw, {"message_id": gone})]
            case "call":
                told = {"from": reading.name_in(said.get("from")), "id": reading.id_of(said.get("id"))}
                return [reporting.report(EventKind.CALL_RECEIVED, session, raw, told, at)]
            case _:
                return [reporting.unknown(word, session, raw, data)]


def _by_token(raw: RawReport, secrets: ReportSecrets) -> Proof | None:
    try:
        body = json_object(raw.body)
    except Malformed:
        return None
    token, session = body.get("apikey"), reading.name_in(body.get("instance"))
    if not isinstance(token, str) or not token:
        return None
    if reporting.same(token, secrets.key, *(secrets.tokens or ())):
        return Proven()
    if secrets.tokens is None and session is not None:
        return TokenNeeded(session)
    return reporting.refused("the apikey in its body is not the token of that session")


def _connection(raw: RawReport, session: object, said: Mapping[str, Any]) -> Report:
    match said.get("state"):
        case "open":
            return reporting.ready(session, raw, said.get("wuid"))
        case "connecting":
            return reporting.report(EventKind.SESSION_STARTING, session, raw)
        case "close" | "refused":
            return _closed(raw, session, said.get("statusReason"))
        case _:
            return reporting.unknown("connection.update", session, raw, said)


def _closed(raw: RawReport, session: object, code: object) -> Report:
    reason = reporting.LOGGED_OUT if code == _DEVICE_REMOVED else f"CLOSED {code}"[:50]
    return reporting.disconnected(session, raw, reason)


def _message(raw: RawReport, session: object, message: dict[str, Any]) -> Report:
    if message["type"] == "reaction":
        told = {"text": message["body"], "from": message["from"], "id": message["id"]}
        return reporting.report(EventKind.MESSAGE_REACTION, session, raw, told, message["timestamp"])
    return reporting.message(session, raw, message)


def _progress(raw: RawReport, session: object, data: object, at: object) -> list[Report]:
    """One update, or a list of them."""
    rows = data if isinstance(data, list) else [data]
    found = []
    for row in rows:
        level = baileys_reports.level_of(reading.part(row, "status"))
        message_id = reading.name_in(reading.part(row, "keyId")) or reading.id_of(reading.part(row, "key"))
        if level is not None and message_id is not None:
            to, from_me = reading.part(row, "remoteJid"), reading.part(row, "fromMe")
            found.append(reporting.acknowledged(session, raw, message_id, level, to, at, from_me=from_me))
    return found
