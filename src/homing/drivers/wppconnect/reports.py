"""What WPPConnect Server reports: `{event, session, …}`, flat, as recorded from 2.10.4.

Nothing is signed and nothing is sent again: only the address tells whose it is, which holds a secret of the instance.
After a restart some come without their session; then the address tells that, too.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from homing.drivers import reading, reporting
from homing.drivers.libraries import whatsapp_web_reports
from homing.drivers.reporting import GatewayReports
from homing.model.instances.events import EventKind, Report
from homing.ports.instances.reports import Proof, RawReport, ReportSecrets

_LOGGED_IN = ("inChat", "isLogged", "qrReadSuccess", "chatsAvailable")
_WAITING = ("notLogged", "waitForLogin", "qrReadError", "qrReadFail")
_ENDED = ("desconnectedMobile", "deviceNotConnected", "disconnectedMobile", "logout")
_GONE = ("browserClose", "serverClose", "autocloseCalled", "serverWssNotConnected", "phoneNotConnected")


class WppconnectReports(GatewayReports):
    """What goes out it reports only as it is acknowledged."""

    def shown(self, raw: RawReport, secrets: ReportSecrets) -> Proof | None:  # noqa: ARG002
        return None

    def told(self, raw: RawReport, body: Mapping[str, Any]) -> Sequence[Report]:
        word, session = reporting.word_in(body.get("event")), body.get("session") or raw.word
        match word:
            case "status-find":
                return [_status(raw, session, body.get("status"))]
            case "qrcode":
                return [reporting.code(session, raw, body.get("urlcode") or body.get("qrcode"))]
            case "phoneCode":
                return [reporting.report(EventKind.SESSION_PAIRING, session, raw)]
            case "closesession":
                return [reporting.disconnected(session, raw, "CLOSED")]
            case "logoutsession":
                return [reporting.disconnected(session, raw, reporting.LOGGED_OUT)]
            case "onmessage" | "onselfmessage" | "unreadmessages" if (
                message := whatsapp_web_reports.message_of(body)
            ) is not None:
                return [reporting.message(session, raw, message)]
            case "onack" if (level := reporting.level_of_webjs(body.get("ack"))) is not None:
                to, at, mine = body.get("to"), body.get("t"), body.get("fromMe")
                return [reporting.acknowledged(session, raw, body.get("id"), level, to, at, from_me=mine)]
            case "onreactionmessage":
                told = {"message_id": reading.id_of(body.get("msgId")), "text": body.get("reactionText")}
                return [reporting.report(EventKind.MESSAGE_REACTION, session, raw, told)]
            case "onrevokedmessage":
                gone = reading.id_of(body.get("refId")) or reading.id_of(body.get("id"))
                return [reporting.report(EventKind.MESSAGE_REVOKED, session, raw, {"message_id": gone})]
            case "onpresencechanged":
                return [reporting.report(EventKind.PRESENCE_CHANGED, session, raw)]
            case "incomingcall":
                told = {"from": reading.name_in(body.get("peerJid"))}
                return [reporting.report(EventKind.CALL_RECEIVED, session, raw, told)]
            case _:
                said = {name: each for name, each in body.items() if name not in ("event", "session")}
                return [reporting.unknown(word, session, raw, said)]


def _status(raw: RawReport, session: object, word: object) -> Report:
    """`isLogged` and `qrReadSuccess` come on the way up, `inChat` when it can send."""
    match word:
        case "inChat":
            return reporting.ready(session, raw)
        case str() if word in _LOGGED_IN:
            return reporting.report(EventKind.SESSION_AUTHENTICATED, session, raw)
        case str() if word in _WAITING:
            return reporting.report(EventKind.SESSION_PAIRING, session, raw, {"status": word})
        case str() if word in _ENDED:
            return reporting.disconnected(session, raw, reporting.LOGGED_OUT)
        case str() if word in _GONE:
            return reporting.disconnected(session, raw, word)
        case _:
            return reporting.unknown("status-find", session, raw, {"status": word})
