"""What baileys-api reports, as recorded from 1.0.0 of 2026-07-05.

Every body holds the word that the session was started with, as `webhookVerifyToken`; it is compared and left out. No
body names its session, so the address does: each session is told one of its own.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from homing.drivers import reading, reporting
from homing.drivers.libraries import baileys_reports
from homing.drivers.reporting import GatewayReports
from homing.model.instances.events import EventKind, Report
from homing.model.instances.report_body import Malformed, json_object
from homing.ports.instances.reports import Proof, Proven, RawReport, ReportSecrets

_DEVICE_REMOVED = 401


class BaileysApiReports(GatewayReports):
    """It sends again whatever is not answered 2xx, three times."""

    retries = True

    def shown(self, raw: RawReport, secrets: ReportSecrets) -> Proof | None:
        """The token is ours where we started the session; else it is somebody's, and says nothing to us."""
        try:
            token = json_object(raw.body).get("webhookVerifyToken")
        except Malformed:
            return None
        if not isinstance(token, str):
            return None
        if reporting.same(token, secrets.own, secrets.shared):
            return Proven()
        return None if secrets.in_path else reporting.refused("its webhookVerifyToken is not our secret")

    def told(self, raw: RawReport, body: Mapping[str, Any]) -> Sequence[Report]:
        word, session, data = reporting.word_in(body.get("event")), raw.word, body.get("data")
        match word:
            case "connection.update" if isinstance(data, dict):
                return [_connection(raw, session, data)]
            case "messages.upsert":
                rows = reading.part(data, "messages")
                found = [
                    reporting.message(session, raw, message)
                    for row in (rows if isinstance(rows, list) else [])
                    if isinstance(row, dict) and (message := baileys_reports.message_of(row)) is not None
                ]
                return found or [reporting.unknown(word, session, raw, data)]
            case "messages.update" | "message-receipt.update":
                rows = data if isinstance(data, list) else [data]
                return [_progress(raw, session, row) for row in rows]
            case _:
                return [reporting.unknown(word, session, raw, data)]


def _connection(raw: RawReport, session: object, said: Mapping[str, Any]) -> Report:
    if said.get("qr") is not None:
        return reporting.code(session, raw, said.get("qr"))
    match said.get("connection"):
        case "open":
            return reporting.ready(session, raw, session)
        case "connecting" | "reconnecting":
            return reporting.report(EventKind.SESSION_STARTING, session, raw)
        case "close":
            status = reading.part(said, "lastDisconnect", "error", "output", "statusCode")
            ended = status == _DEVICE_REMOVED
            return reporting.disconnected(session, raw, reporting.LOGGED_OUT if ended else f"CLOSED {status}"[:50])
        case _:
            return reporting.unknown("connection.update", session, raw, said)


def _progress(raw: RawReport, session: object, row: object) -> Report:
    level = baileys_reports.level_of(reading.part(row, "update", "status"))
    message_id = reading.id_of(reading.part(row, "key"))
    if level is None or message_id is None:
        return reporting.unknown("messages.update", session, raw, row)
    to, from_me = reading.part(row, "key", "remoteJid"), reading.part(row, "key", "fromMe")
    return reporting.acknowledged(session, raw, message_id, level, to, from_me=from_me)
