"""What a webjs service reports, the Node service's or our own instance: who signed it, and what it says.

`X-HMAC-Signature` is the hexadecimal HMAC-SHA256 of `X-Timestamp` (unix seconds, as text) followed by the raw body.
Freshness is judged after the signature, so that a skew named in an answer is that of a clock we trust. The body is
`{event, data: {…}}`, or flat. Its words are those in which the reports of all families are kept.
"""

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from homing.model.instances.events import IntakeResult, Report, Signed
from homing.model.instances.report_body import ID_MAX, Malformed, cleaned, json_object, moment_of, session_of
from homing.ports.instances.reports import Proof, Proven, RawReport, ReportRefused, ReportSecrets

WINDOW_S = 300
"""How far a sender's clock may be off, either way."""
REMEMBER_S = 2 * WINDOW_S
"""A signature from the future can be sent again for this long."""
TIMESTAMP, SIGNATURE, EVENT_ID = "x-timestamp", "x-hmac-signature", "x-homing-event-id"
_DIGITS_MAX = 15
_WORD_MAX = 100


class WebjsReports:
    """`ports.FamilyReports`. The Node service sends again after 429 and broken connections alone."""

    retries = True
    tells_status = True

    def proof(self, raw: RawReport, secrets: ReportSecrets, now: datetime) -> Proof:
        if not secrets.shared:
            reason = "WHATSAPP_HMAC_SECRET is not set here, so no report can be believed"
            return ReportRefused(IntakeResult.REFUSED, reason)
        headers = raw.headers
        judged = judge(secrets.shared.encode(), headers.get(TIMESTAMP), headers.get(SIGNATURE), raw.body, now)
        return Proven(judged) if isinstance(judged, Signed) else judged

    def read(self, raw: RawReport) -> Sequence[Report]:
        return [report_in(raw)]


# --- who signed it ------------------------------------------------------------------------------------------------


def signature(secret: bytes, timestamp: str, body: bytes) -> str:
    """The signature of a body at a time."""
    return hmac.new(secret, timestamp.encode() + body, hashlib.sha256).hexdigest()


def judge(
    secret: bytes, timestamp: str | None, given: str | None, body: bytes, now: datetime
) -> Signed | ReportRefused:
    """The signature, if it is genuine and fresh."""
    if not timestamp or not given:
        return ReportRefused(IntakeResult.BAD_SIGNATURE, "X-Timestamp and X-HMAC-Signature are both needed")
    if not (timestamp.isascii() and timestamp.isdecimal() and len(timestamp) <= _DIGITS_MAX):
        return ReportRefused(IntakeResult.BAD_SIGNATURE, "X-Timestamp is not a time in unix seconds")
    expected = signature(secret, timestamp, body)
    if not hmac.compare_digest(expected.encode(), given.strip().lower().encode()):
        return ReportRefused(IntakeResult.BAD_SIGNATURE, "X-HMAC-Signature does not fit this timestamp and body")
    skew_s = now.timestamp() - int(timestamp)
    if abs(skew_s) > WINDOW_S:
        return ReportRefused(IntakeResult.EXPIRED, _skewed(skew_s))
    return Signed(expected, now + timedelta(seconds=REMEMBER_S))


def _skewed(skew_s: float) -> str:
    where = "behind" if skew_s > 0 else "ahead of"
    return f"X-Timestamp is {abs(skew_s):.0f} s {where} our clock; at most {WINDOW_S} s are accepted"


# --- what it says -------------------------------------------------------------------------------------------------


def report_in(raw: RawReport) -> Report:
    """The report in a request's body. Raises Malformed."""
    body = json_object(raw.body)
    kind = body.get("event")
    if not isinstance(kind, str) or not 0 < len(kind) <= _WORD_MAX:
        raise Malformed(f"`event` must be a word of 1 to {_WORD_MAX} characters")
    data = body.get("data", {name: value for name, value in body.items() if name != "event"})
    if not isinstance(data, dict):
        raise Malformed("`data` must be an object")
    return Report(
        kind=cleaned(kind),
        data=data,
        session_id=session_of(data.get("session_id") or body.get("session_id")),
        sender_id=_sender_id(raw.headers.get(EVENT_ID), body),
        occurred_at=_occurred_at(body, data),
        size=len(raw.body),
    )


def _sender_id(header_id: str | None, body: Mapping[str, Any]) -> str | None:
    """A flat body's `id` is more likely that of what the event is about."""
    named = (header_id, body.get("event_id"), body.get("id") if "data" in body else None)
    return next((cleaned(given) for given in named if isinstance(given, str) and 0 < len(given) <= ID_MAX), None)


def _occurred_at(body: Mapping[str, Any], data: Mapping[str, Any]) -> datetime | None:
    message = data.get("message")
    inner = message.get("timestamp") if isinstance(message, dict) else None
    given = (body.get("timestamp"), data.get("timestamp"), inner)
    return next((moment for each in given if (moment := moment_of(each)) is not None), None)
