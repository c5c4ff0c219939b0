"""Answers of instances to our calls. An input is a status, a content type, `Retry-After`, and the body."""

from msgspec import structs

from fuzz.parsers import lines
from homing.drivers.http.connection import Reply
from homing.drivers.reading import ODDITIES_SHOWN
from homing.drivers.recognition import fingerprints
from homing.drivers.redact import SHOWN_CHARACTERS
from homing.drivers.webjs import answers, sessions
from homing.model.fleet import Capabilities, InstanceUrl, ListedSession, SessionId, SessionList
from homing.model.sends.faults import Fault
from homing.model.sends.sending import Receipt
from homing.ports import InstanceHealth, PairingCode

SECRETS = ("a-key-of-ours",)
_URL, _SESSION = InstanceUrl("http://a:3001"), SessionId("s1")
_BASE = Capabilities(stop_keeps_login=True)

_ANSWER = b"200\napplication/json\n\n"
SEEDS = (
    _ANSWER
    + b'{"success": true, "sessions": [{"session_id": "s1", "status": "connected", "epoch": 2,'
    + b' "phone_number": "62811801641", "last_activity": "2026-01-31T12:00:00+00:00"}]}',
    _ANSWER + b'{"success": true, "message_id": "3EB0", "timestamp": 1769860800}',
    _ANSWER
    + b'{"status": "healthy", "sessions": {"total": 3, "connected": 2}, "memory": {"used": 5.5},'
    + b' "uptime": 9, "capabilities": {"stop_keeps_login": false}, "lease": {"state": "paused"}}',
    b'409\napplication/json\n\n{"success": false, "error": "stale", "epoch": 7}',
    b"503\ntext/html\n120\n<html>api_key=a-key-of-ours</html>",
    _ANSWER + b'{"success": true, "qr_code": "data:image/png;base64,AA", "expires_in": 60}',
)
WORDS = (b'"session_id"', b'"status"', b'"epoch"', b'"sessions"', b'"success"', b"9223372036854775808", b"1e308")


def check(data: bytes) -> None:
    (status, kind, retry_after), body = lines(data, 3)
    answered = int(status) if status.isascii() and status.isdecimal() and 200 <= int(status[:4]) <= 599 else 200
    reply = Reply(answered, {"content-type": kind, "retry-after": retry_after, "location": kind}, body)
    _check_fault(answers.fault_of(structs.replace(reply, status=max(201, answered)), SECRETS))
    _check_sent(answers.receipt_of(reply, SECRETS))
    _check_pairing(answers.pairing_of(reply, SECRETS))
    _check_health(answers.health_of(reply, _BASE))
    _check_list(sessions.sessions_of(_URL, reply))
    _check_session(sessions.one_session_of(reply, _SESSION, SECRETS))
    started = sessions.started_of(reply, [_SESSION], SECRETS)
    for each in [started] if isinstance(started, Fault) else started.values():
        _check_session(each)
    for path in fingerprints.PATHS:
        fingerprints.recognise([fingerprints.ProbeAnswer(path, answered, reply.headers, body)])


def _check_fault(fault: Fault) -> None:
    _check_words(fault.detail)
    assert fault.retry_after_s is None or 0 <= fault.retry_after_s <= 86_400, "an unbounded wait"
    assert fault.epoch is None or type(fault.epoch) is int


def _check_words(words: str | None) -> None:
    if words is not None:
        assert len(words) <= SHOWN_CHARACTERS, "what a peer said is shown at any length"
        assert words.isprintable() or not any(ord(character) < 32 for character in words), "a control is shown"
        assert not any(secret in words for secret in SECRETS), "a secret is shown"


def _check_sent(receipt: Receipt | Fault) -> None:
    if isinstance(receipt, Fault):
        _check_fault(receipt)
    else:
        assert receipt.message_id.strip()
        assert 0 <= receipt.timestamp < 100_000_000_000


def _check_pairing(code: PairingCode | Fault) -> None:
    if isinstance(code, Fault):
        _check_fault(code)
    else:
        assert 0 < code.expires_in_s < 2**53


def _check_health(health: InstanceHealth | Fault) -> None:
    if isinstance(health, Fault):
        return _check_fault(health)
    for text in (health.incarnation, health.engine, health.version):
        _check_words(text)
    for count in (health.sessions_total, health.sessions_connected):
        assert count is None or 0 <= count < 2**53
    return None


def _check_list(listed: SessionList | Fault) -> None:
    if isinstance(listed, Fault):
        return _check_fault(listed)
    assert len(listed.oddities) <= ODDITIES_SHOWN + 1
    for session in listed.sessions.values():
        _check_session(session)
    return None


def _check_session(session: ListedSession | Fault) -> None:
    if isinstance(session, Fault):
        return _check_fault(session)
    _check_words(session.error)
    assert session.epoch is None or (type(session.epoch) is int and session.epoch >= 0)
    assert session.idle_s is None or session.idle_s >= 0
    return None
