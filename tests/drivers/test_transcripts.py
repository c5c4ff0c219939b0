"""What real gateways answered and reported, each with its right meaning."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import pytest

from homing.decide import events, failures
from homing.drivers import KNOWN_FAMILIES
from homing.drivers.connection import Reply
from homing.drivers.webjs import WebjsDriver
from homing.drivers.wire import MIB
from homing.model.events import Report
from homing.model.faults import Fault, Phase
from homing.model.fleet import Epoch, InstanceUrl, ListedSession, NoList, SessionId, SessionList
from homing.model.sending import Receipt, VerdictKind
from homing.ports import InstanceHealth, OutgoingText, PairingCode, SessionStart
from transcripts import FAMILIES, KEPT, Exchange, Transcript, read, transcripts

AT = InstanceUrl("http://localhost:3001")
S = "webjs_1_1763800000_k3j9x2"
ABOUT = SessionStart(SessionId(S), 1, 142, Epoch(0))
ALL = transcripts()
OURS = [each for each in ALL if each.families & KNOWN_FAMILIES]
FOREIGN = [each for each in ALL if not each.families & KNOWN_FAMILIES]
NODE_SERVICE = read(KEPT / "webjs-node-service.json")

NOT_ASKED = "not asked by us"
DONE = "done"
NOTHING_THERE = {"health: /health/ready", "health: /health/live", "health: /info", "health: /nosuch", "validate"}
"""Calls of the recorder that the driver does not make."""


def fault(phase: Phase, kind: VerdictKind, *, may_have_left: bool) -> tuple[str, Phase, VerdictKind, bool]:
    return "fault", phase, kind, may_have_left


DEAD_HERE = fault(Phase.SESSION_NOT_READY, VerdictKind.NOT_READY, may_have_left=False)
REFUSED = fault(Phase.REFUSED, VerdictKind.DOWN, may_have_left=False)
STARTING = ("session", "pairing", None)
"""The service's `qr_scanning`: only a code that it reports tells whether a person is needed."""
CONNECTED = ("session", "connected", "628000000009")

RIGHT: dict[str, Any] = {
    "health: /health": ("health", 0, 0),
    **dict.fromkeys(NOTHING_THERE, NOT_ASKED),
    "list: empty": ("lists", {}),
    "list: wrong key": ("no list", "401 unauthorised"),
    "list: key in the header only": ("no list", "401 unauthorised"),
    "status: unknown session": fault(Phase.SESSION_NOT_FOUND, VerdictKind.MOVED, may_have_left=False),
    "send: unknown session": fault(Phase.SESSION_NOT_FOUND, VerdictKind.MOVED, may_have_left=False),
    "send: wrong key": fault(Phase.UNAUTHORISED, VerdictKind.MISCONFIGURED, may_have_left=False),
    "create session": STARTING,
    "status: qr": STARTING,
    "list: qr": ("lists", {S: "pairing"}),
    "send: qr (not connected)": DEAD_HERE,
    "regenerate qr": ("code", None, None, 300),
    "status: authenticated": ("session", "starting", None),
    "status: connected": CONNECTED,
    "list: connected": ("lists", {S: "connected"}),
    "send: ok": ("sent", "true_628000000001@c.us_3EB010DBAF29B007FAD1"),
    "send: with a message id of ours": ("sent", "true_628000000001@c.us_3EB01C6988F3B81180DE"),
    "send: no phone": fault(Phase.REQUEST_REJECTED, VerdictKind.REJECTED, may_have_left=False),
    "send: phone not valid": fault(Phase.REQUEST_REJECTED, VerdictKind.REJECTED, may_have_left=False),
    "send: body that is not JSON": fault(Phase.MISDIRECTED, VerdictKind.MISCONFIGURED, may_have_left=False),
    "send: engine throws": fault(Phase.SERVER_ERROR, VerdictKind.NOT_READY, may_have_left=True),
    "send: engine sent, then throws": fault(Phase.SERVER_ERROR, VerdictKind.NOT_READY, may_have_left=True),
    "send: engine dead": DEAD_HERE,
    "status: engine dead": CONNECTED,
    "send: engine hangs": fault(Phase.INTERRUPTED, VerdictKind.DOWN, may_have_left=True),
    "after the hang: the process": REFUSED,
    "create: login on disk, after the crash": STARTING,
    "status: disconnected (NAVIGATION)": ("session", "disconnected", "628000000009"),
    "send: disconnected": DEAD_HERE,
    "status: 9 s later": CONNECTED,
    "reconnect": STARTING,
    "process killed": REFUSED,
    "list: after kill -9 and start": ("lists", {}),
    "create: login on disk": STARTING,
    "list: after create": ("lists", {S: "connected"}),
    # Nothing is sent to a service that lists the session: a second create makes a second client on the same login.
    "create: again while connected": CONNECTED,
    "status: logged out": ("session", "disconnected", "628000000009"),
    "logout: no such path": fault(Phase.REQUEST_REJECTED, VerdictKind.REJECTED, may_have_left=False),
    "stop": DONE,
    # Nothing is sent to a service that does not list it: it would delete the login's folder.
    "stop: again": fault(Phase.SESSION_NOT_FOUND, VerdictKind.MOVED, may_have_left=False),
}


class Recorded:
    """A wire on which the recorded answer comes to the recorded call; what a driver asks before is answered as told."""

    def __init__(self, exchange: Exchange, held: bool, status: str = "connected") -> None:
        self._exchange, self._held, self._status = exchange, held, status
        self.asked: list[tuple[str, str]] = []

    async def call(
        self,
        method: str,
        base_url: str,
        path: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeout_s: float,
        body_limit_bytes: int = MIB,
    ) -> Reply | Fault:
        bare = path.partition("?")[0]
        self.asked.append((method, bare))
        if (method, bare) == (self._exchange.method, self._exchange.path):
            return self._exchange.reply()
        row = {"session_id": S, "status": self._status, "phone_number": "628000000009"}
        if bare == "/api/sessions":
            return Reply(200, {}, json.dumps({"success": True, "sessions": [row] if self._held else []}).encode())
        if bare.endswith("/status") and self._held:
            return Reply(200, {}, json.dumps(row).encode())
        return Reply(404, {}, b'{"error": "Session not found"}')


async def played(exchange: Exchange) -> Any:
    """What our driver makes of the exchange, in short."""
    is_held = ("again" in exchange.case and exchange.method == "POST") or exchange.case in ("reconnect", "stop")
    renews = exchange.path.endswith("/regenerate-qr")
    wire = Recorded(exchange, is_held or renews, "qr_scanning" if renews else "connected")
    driver = WebjsDriver(wire, default_api_key="fleetkey")
    match exchange.method, exchange.path.rpartition("/")[2]:
        case "GET", "health":
            return told(await driver.health(AT, timeout_s=1))
        case "GET", "sessions":
            return told(await driver.sessions(AT, timeout_s=1))
        case "GET", "status":
            return told(await driver.session(AT, SessionId(S), timeout_s=1))
        case "POST", "send":
            return told(await driver.send(AT, outgoing(exchange), timeout_s=1))
        case "POST", "sessions":
            return told(await driver.start(AT, ABOUT, timeout_s=1))
        case "POST", "reconnect":
            return told(await driver.restart(AT, ABOUT, timeout_s=1))
        case "POST", "regenerate-qr":
            return told(await driver.pairing(AT, ABOUT, timeout_s=1))
        case "POST", "logout":
            return told(await driver.logout(AT, ABOUT, timeout_s=1))
        case "DELETE", _:
            return told(await driver.stop(AT, ABOUT, timeout_s=1))
        case _:
            return NOT_ASKED


def outgoing(exchange: Exchange) -> OutgoingText:
    said = exchange.told if isinstance(exchange.told, dict) else {}
    phone, text = said.get("recipient_phone", ""), said.get("message", "")
    return OutgoingText(SessionId(said.get("session_id", S)), 1, phone, text, "3EB0AAAABBBBCCCCDDDD", Epoch(0))


def told(answer: object) -> Any:
    match answer:
        case None:
            return DONE
        case Fault():
            verdict = failures.classify(answer)
            return "fault", answer.phase, verdict.kind, verdict.may_have_left
        case Receipt(message_id=message_id):
            return "sent", message_id
        case SessionList(sessions=sessions):
            return "lists", {name: row.status.value for name, row in sessions.items()}
        case NoList(reason=reason):
            return "no list", reason
        case ListedSession(status=status, phone=phone):
            return "session", status.value, phone
        case InstanceHealth(sessions_total=total, sessions_connected=connected):
            return "health", total, connected
        case PairingCode(qr=qr, code=code, expires_in_s=expires_s):
            return "code", qr, code, expires_s
        case _:
            raise AssertionError(answer)


def asked(transcript: Transcript) -> list[Exchange]:
    return [each for each in transcript.exchanges if not each.is_report]


def reported(transcript: Transcript) -> list[Exchange]:
    return [each for each in transcript.exchanges if each.is_report and each.method == "POST"]


def test_the_recordings_are_all_there() -> None:
    assert len([each for each in ALL if each.path.parent == KEPT]) == 7
    assert {each.name for each in asked(NODE_SERVICE)} == set(RIGHT)
    assert len(asked(NODE_SERVICE)) == len(RIGHT) == 45


@pytest.mark.parametrize("exchange", asked(NODE_SERVICE), ids=lambda each: f"{each.number} {each.name}")
async def test_each_recorded_answer_has_its_one_right_meaning(exchange: Exchange) -> None:
    assert await played(exchange) == RIGHT[exchange.name]


EVERY_OURS = [(each.path.name, exchange) for each in OURS for exchange in asked(each)]


@pytest.mark.parametrize(
    ("file", "exchange"), EVERY_OURS, ids=[f"{file} {each.number} {each.name}" for file, each in EVERY_OURS]
)
async def test_whatever_was_recorded_is_sent_only_with_an_id_and_repeated_only_if_it_cannot_have_left(
    file: str, exchange: Exchange
) -> None:
    answer = await played(exchange)
    if exchange.path != "/api/messages/send":
        return
    if answer[0] == "sent":
        assert exchange.status is not None
        assert 200 <= exchange.status < 300
        assert answer[1]
        assert answer[1] == exchange.answered["message_id"]
        return
    _, phase, _, may_have_left = answer
    if "sent, then" in exchange.case or "hangs" in exchange.case or exchange.status in (200, 502, 504):
        assert may_have_left
    if exchange.status is None:
        assert may_have_left or phase is Phase.REFUSED


@pytest.mark.parametrize("status", ["201 Created", "202 Accepted"])
async def test_any_success_with_an_id_is_sent_and_without_one_is_open(status: str) -> None:
    for said, expected in (({"success": True, "message_id": "true_1@c.us_A"}, "sent"), ({"success": True}, "fault")):
        example = next(each for each in NODE_SERVICE.exchanges if each.case == "send: ok")
        changed = replace(example, status=int(status[:3]), answered=said)
        answer = await played(changed)
        assert answer[0] == expected
        assert expected == "sent" or answer[3], "it may have left"


# --- what they reported ---


EVENTS = {
    "qr_code_generated": 2,
    "session_authenticated": 6,
    "session_ready": 6,
    "message_sent": 2,
    "message_status_updated": 6,
    "message_delivered": 2,
    "message_received": 3,
    "session_disconnected": 2,
    "session_reconnected": 1,
    "session_error": 1,
}


def report_of(exchange: Exchange) -> Report:
    raw = exchange.told if isinstance(exchange.told, str) else json.dumps(exchange.told)
    return events.read(raw.encode(), header_id=None, instance_url=AT)


def test_each_recorded_report_is_an_event_of_its_session_and_a_retry_is_the_same() -> None:
    """Session events are the same for a minute only, or until something else is told of the session."""
    seen: dict[str, int] = {}
    standing: dict[str, str] = {}
    for exchange in reported(NODE_SERVICE):
        report = report_of(exchange)
        assert report.session_id == S
        meaning = events.meaning(report)
        if meaning.key in standing:
            continue
        standing = {key: kind for key, kind in standing.items() if not meaning.ends or not key.startswith(meaning.ends)}
        standing[meaning.key] = report.kind
        seen[report.kind] = seen.get(report.kind, 0) + 1
    assert seen == EVENTS


def test_a_message_that_was_refused_with_429_and_came_again_anew_signed_is_one() -> None:
    tries = [each for each in reported(NODE_SERVICE) if "says 429" in json.dumps(each.told)]
    assert len(tries) == 3
    assert len({each.headers["X-HMAC-Signature"] for each in tries}) == 3
    assert len({events.meaning(report_of(each)).key for each in tries}) == 1


@pytest.mark.parametrize("transcript", OURS, ids=lambda each: each.path.name)
def test_no_recorded_report_is_malformed(transcript: Transcript) -> None:
    for exchange in reported(transcript):
        report = report_of(exchange)
        assert events.meaning(report) == events.meaning(report_of(exchange))
        assert len(json.dumps(events.bounded(report.data))) <= 70_000


@pytest.mark.parametrize("transcript", FOREIGN, ids=lambda each: each.path.name)
def test_a_gateway_without_a_driver_is_named(transcript: Transcript, record_property: Any) -> None:
    """Its traffic waits for its driver; the suite's last lines say so."""
    assert transcript.exchanges
    assert transcript.gateways.isdisjoint(FAMILIES)
    for gateway in sorted(transcript.gateways):
        record_property("no driver for", f"{gateway} ({transcript.path.name}, {len(transcript.exchanges)} exchanges)")
