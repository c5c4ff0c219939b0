"""What the reports of most gateway families have in common: how they are proven, and the words they are told in.

A family's reports are a subclass of `GatewayReports` that says how a report shows whose it is, and what it means.
"""

import hashlib
import hmac
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, ClassVar

from homing.drivers import reading
from homing.drivers.redact import shown
from homing.model.instances.events import ACK_WORDS, EventKind, IntakeResult, Report
from homing.model.instances.report_body import ID_MAX, Malformed, cleaned, json_object, moment_of, session_of
from homing.ports.instances.reports import Proof, Proven, RawReport, ReportRefused, ReportSecrets

REPORTS_IN_ONE_MAX = 1_000
WORD_MAX = 100
LOGGED_OUT = "LOGOUT"
"""The reason of a session whose link WhatsApp has ended."""


class GatewayReports(ABC):
    """`ports.FamilyReports` for one family."""

    retries: ClassVar[bool] = False
    tells_status: ClassVar[bool] = True

    @abstractmethod
    def shown(self, raw: RawReport, secrets: ReportSecrets) -> Proof | None:
        """What the report itself shows of whose it is, judged; None where it shows nothing."""

    @abstractmethod
    def told(self, raw: RawReport, body: Mapping[str, Any]) -> Sequence[Report]:
        """What the body tells. Raises Malformed."""

    def proof(self, raw: RawReport, secrets: ReportSecrets, now: datetime) -> Proof:  # noqa: ARG002
        """By what it shows; else by the address that it came to. A proof that is shown and wrong refuses it."""
        judged = self.shown(raw, secrets)
        if judged is not None:
            return judged
        return Proven() if secrets.in_path else refused("nothing shows that it is from this instance")

    def read(self, raw: RawReport) -> Sequence[Report]:
        told = self.told(raw, json_object(raw.body))
        if len(told) > REPORTS_IN_ONE_MAX:
            raise Malformed(f"The body tells of {len(told)} things, and at most {REPORTS_IN_ONE_MAX} are read")
        return told


def refused(reason: str) -> ReportRefused:
    return ReportRefused(IntakeResult.BAD_SIGNATURE, reason)


def same(given: str | None, *known: str) -> bool:
    """Whether this is one of the secrets, in a time that tells nothing of them."""
    sent = (given or "").encode("utf-8", "replace")
    found = [hmac.compare_digest(sent, each.encode()) for each in known if each]
    return any(found)


def signed_with(body: bytes, algorithm: str, given: str, *secrets: str) -> bool:
    """Whether this is the hexadecimal HMAC of the body under one of the secrets."""
    made = [hmac.new(secret.encode(), body, getattr(hashlib, algorithm)).hexdigest() for secret in secrets if secret]
    return same(given.strip().lower(), *made)


# --- the words in which all families are told ---------------------------------------------------------------------


def report(
    kind: EventKind, session: object, raw: RawReport, data: Mapping[str, Any] | None = None, at: object = None
) -> Report:
    """One event of a session. `at`: when, as the gateway writes times."""
    session_id = session_of(session)
    told = {} if session_id is None else {"session_id": session_id}
    return Report(kind.value, {**told, **(data or {})}, session_id, occurred_at=moment_of(at), size=len(raw.body))


def word_in(given: object) -> str:
    """The gateway's own name of an event. Raises Malformed."""
    if not isinstance(given, str) or not 0 < len(given) <= WORD_MAX:
        raise Malformed(f"The event must be named by a word of 1 to {WORD_MAX} characters")
    return cleaned(given)


def unknown(word: str, session: object, raw: RawReport, data: object = None) -> Report:
    """An event that none of our words means."""
    told = {"event": shown(word)} | ({"data": without_secrets(data)} if data is not None else {})
    return report(EventKind.GATEWAY_EVENT, session, raw, told)


_SECRETS = ("apikey", "api_key", "token", "secret", "password", "authorization", "hash")
_KEPT_DEPTH = 12


def without_secrets(value: Any, depth: int = _KEPT_DEPTH) -> Any:
    """The same without what stands under the name of a secret, and without what lies deeper than is kept."""
    match value:
        case dict() | list() if depth == 0:
            return "…"
        case dict():
            return {
                name: "left out" if str(name).lower().endswith(_SECRETS) else without_secrets(each, depth - 1)
                for name, each in value.items()
            }
        case list():
            return [without_secrets(each, depth - 1) for each in value]
        case _:
            return value


def ready(session: object, raw: RawReport, address: object = None) -> Report:
    phone = reading.phone_of(address)
    return report(EventKind.SESSION_READY, session, raw, {"phone_number": phone} if phone else {})


def disconnected(session: object, raw: RawReport, reason: str) -> Report:
    return report(EventKind.SESSION_DISCONNECTED, session, raw, {"reason": reason})


def code(session: object, raw: RawReport, qr: object) -> Report:
    """A code to scan; without one, only that it waits for a person."""
    text = reading.code_in(qr)
    if text is None:
        return report(EventKind.SESSION_PAIRING, session, raw)
    return report(EventKind.QR_CODE, session, raw, {"qr_code": text})


def acknowledged(
    session: object,
    raw: RawReport,
    message_id: object,
    level: int,
    recipient: object = None,
    at: object = None,
    *,
    from_me: object = True,
) -> Report:
    """How far a message got: a level of `ACK_WORDS`. `from_me` is False of one that arrived, and was read here."""
    data: dict[str, Any] = {"message_id": reading.id_of(message_id), "status": ACK_WORDS[level], "ack_level": level}
    data["from_me"] = from_me is not False
    if isinstance(recipient, str):
        data["recipient"] = cleaned(recipient)[:ID_MAX]
    return report(EventKind.MESSAGE_STATUS, session, raw, data, at)


def message(session: object, raw: RawReport, said: Mapping[str, Any]) -> Report:
    """A message that arrived, or went out from this session. `said` as in `EventKind`."""
    kind = EventKind.MESSAGE_SENT if said.get("from_me") is True else EventKind.MESSAGE_RECEIVED
    told = {name: value for name, value in said.items() if value is not None}
    chat = told["to"] if kind is EventKind.MESSAGE_SENT and "to" in told else told.get("from")
    is_group = isinstance(chat, str) and chat.endswith("@g.us")
    told["chat_type"] = "group" if is_group else "private"
    return report(kind, session, raw, {"message": told}, told.get("timestamp"))


def level_of_webjs(ack: object) -> int | None:
    """WhatsApp Web's ack (-1 error, 0 pending, 1 server, 2 device, 3 read, 4 played) as a level of ours."""
    if isinstance(ack, bool) or not isinstance(ack, int) or not -1 <= ack <= 4:
        return None
    return ack + 1


def chat_in_id(message_id: object) -> str | None:
    """The chat that whatsapp-web.js writes into a message's id: `true_<chat>_<id>`."""
    parts = message_id.split("_") if isinstance(message_id, str) else []
    return parts[1] if len(parts) >= 3 and parts[0] in ("true", "false") else None
