"""Reports of instances, of every family: who signed, then the body. An input is timestamp, signature, event id, and the
body."""

import json
from datetime import UTC, datetime

from fuzz.parsers import lines
from homing.decide.reports import meanings
from homing.drivers.registry import families, reports_of
from homing.drivers.webjs import reports as webjs
from homing.model.instances.events import Report, Signed
from homing.model.instances.report_body import Malformed, cleaned
from homing.ports.instances.reports import RawReport, ReportSecrets

SECRET = b"secret"
NOW = datetime(2026, 1, 31, 12, tzinfo=UTC)
_FRESH = str(int(NOW.timestamp()))
_KEPT_MAX = 70_000
"""Characters of a payload as it is kept: the limit, and a little for what says that something was left out."""

_READY = b'{"event": "session_ready", "data": {"session_id": "s1", "workspace_id": 1, "phone_number": "62811801641"}}'
_ACK = b'{"event":"message.ack","timestamp":1769860800,"data":{"session_id":"s1","message":{"id":{"_serialized":"a"}}}}'
_WAHA = b'{"event":"message.ack","session":"s1","payload":{"id":"true_62@c.us_A","to":"62@c.us","ack":2,"fromMe":true}}'
_EVOLUTION = b'{"event":"connection.update","instance":"s1","data":{"state":"open","wuid":"62@s.whatsapp.net"}}'
_CODE = b'{"event": "qr_code_generated", "session_id": "s1", "qr_code": "2@x", "timestamp": "2026-01-31T12:00:00Z"}'

SEEDS = (
    _FRESH.encode() + b"\n" + webjs.signature(SECRET, _FRESH, _READY).encode() + b"\n\n" + _READY,
    b"\n\nevent-1\n" + _ACK,
    b"0\nx\n\n" + _CODE,
    b"\n\n\n" + _WAHA,
    b"\n\n\n" + _EVOLUTION,
)
WORDS = (b'"event"', b'"data"', b'"message"', b'"_serialized"', b'"timestamp"', b'"event_id"', b"\\ud800", b"1e400")


def check(data: bytes) -> None:
    (timestamp, signature, event_id), raw = lines(data, 3)
    judged = webjs.judge(SECRET, timestamp, signature, raw, NOW)
    if isinstance(judged, Signed):
        assert signature.strip().lower() == webjs.signature(SECRET, timestamp, raw), "a wrong signature was taken"
    genuine = webjs.judge(SECRET, _FRESH, webjs.signature(SECRET, _FRESH, raw), raw, NOW)
    assert isinstance(genuine, Signed), "a right signature was refused"
    headers = {"x-webhook-hmac": signature, "x-api-key": signature, "x-event-id": event_id, "x-timestamp": timestamp}
    report = RawReport(raw, headers, word=event_id or None)
    for family in families():
        _check_family(family, report)


def _check_family(family: str, raw: RawReport) -> None:
    reports = reports_of(family)
    assert reports is not None
    reports.proof(raw, ReportSecrets(own="own-of-one", shared=SECRET.decode(), key="key-of-one", tokens=("t",)), NOW)
    try:
        told = reports.read(raw)
    except Malformed as error:
        assert str(error)
        return
    for report in told:
        _check_read(report)


def _check_read(report: Report) -> None:
    for word in (report.kind, report.session_id, report.sender_id):
        assert word is None or (0 < len(word) <= 200 and cleaned(word) == word), "a word cannot be carried on"
    assert report.occurred_at is None or report.occurred_at.tzinfo is UTC
    assert meanings.meaning(report) == meanings.meaning(report)
    kept = meanings.bounded(report.data)
    text = json.dumps(kept, allow_nan=False)
    assert len(text) <= _KEPT_MAX, "more is kept than may be"
    assert json.loads(text) == kept, "what is kept does not come back"
    assert meanings.bounded(kept) == kept, "what was bounded is bounded again"
