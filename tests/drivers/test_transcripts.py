"""What real gateways answered and reported, each with its right meaning."""

import json
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest
from replaying import AT, DONE, NOT_ASKED, PLAYERS, S, played
from right_meanings import REFUSED, RIGHT, fault

from homing.decide.reports import meanings
from homing.drivers.webjs.reports import report_in
from homing.model.instances.events import Report
from homing.model.sends.faults import Phase
from homing.model.sends.sending import VerdictKind
from homing.ports.instances.reports import RawReport
from transcripts import FAMILIES, KEPT, Exchange, Transcript, read, transcripts

ALL = transcripts()
NODE_SERVICE = read(KEPT / "webjs-node-service.json")
REPORTED_TO_US = [each for each in ALL if each.families == {"webjs"}]
"""Those whose reports are read, too."""

NOTHING_THERE = {"health: /health/ready", "health: /health/live", "health: /info", "health: /nosuch", "validate"}
"""Calls of the recorder that the driver does not make."""


DEAD_HERE = fault(Phase.SESSION_NOT_READY, VerdictKind.NOT_READY, may_have_left=False)
STARTING = ("session", "pairing", None)
"""The service's `qr_scanning`: only a code that it reports tells whether a person is needed."""
CONNECTED = ("session", "connected", "628000000009")

OF_THE_NODE_SERVICE: dict[str, Any] = {
    "health: /health": ("health", 0, 0),
    **dict.fromkeys(NOTHING_THERE, NOT_ASKED),
    "list: empty": ("lists", {}),
    "list: wrong key": ("no list", "401 unauthorised (Invalid API key)"),
    "list: key in the header only": ("no list", "401 unauthorised (Invalid API key)"),
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


def asked(transcript: Transcript) -> list[Exchange]:
    return [each for each in transcript.exchanges if not each.is_report]


def reported(transcript: Transcript) -> list[Exchange]:
    return [each for each in transcript.exchanges if each.is_report and each.method == "POST"]


def test_the_recordings_are_all_there() -> None:
    assert len([each for each in ALL if each.path.parent == KEPT]) == 7
    assert {each.name for each in asked(NODE_SERVICE)} == set(OF_THE_NODE_SERVICE)
    assert len(asked(NODE_SERVICE)) == len(OF_THE_NODE_SERVICE) == 45
    assert {each.path.stem for each in ALL if each.path.parent == KEPT} == {"webjs-node-service", *RIGHT}


@pytest.mark.parametrize("exchange", asked(NODE_SERVICE), ids=lambda each: f"{each.number} {each.name}")
async def test_each_recorded_answer_has_its_one_right_meaning(exchange: Exchange) -> None:
    assert await played(exchange, "webjs") == OF_THE_NODE_SERVICE[exchange.name]


@pytest.mark.parametrize("file", RIGHT)
async def test_each_recorded_answer_of_a_foreign_gateway_has_its_one_right_meaning(file: str) -> None:
    transcript = read(KEPT / f"{file}.json")
    [family] = transcript.families
    assert family is not None
    assert [(each.case, await played(each, family)) for each in asked(transcript)] == RIGHT[file]


@pytest.mark.parametrize("file", ["webjs-node-service", *RIGHT])
async def test_all_that_was_recorded_of_a_session_is_a_call_of_ours(file: str) -> None:
    """Left out are calls that no driver may make, and those that it has no use for."""
    transcript = read(KEPT / f"{file}.json")
    [family] = transcript.families
    assert family is not None
    sends = [each for each in asked(transcript) if PLAYERS[family].sends.fullmatch(each.path)]
    assert len(sends) >= 10
    assert NOT_ASKED not in [await played(each, family) for each in sends]


EVERY = [
    (each.path.name, family, exchange)
    for each in ALL
    for exchange in asked(each)
    if (family := FAMILIES.get(exchange.gateway)) is not None
]


@pytest.mark.parametrize(
    ("family", "exchange"),
    [(family, exchange) for _, family, exchange in EVERY],
    ids=[f"{file} {each.number} {each.name}" for file, _, each in EVERY],
)
async def test_whatever_was_recorded_is_sent_only_with_an_id_and_repeated_only_if_it_cannot_have_left(
    family: str, exchange: Exchange
) -> None:
    answer = await played(exchange, family)
    if not PLAYERS[family].sends.fullmatch(exchange.path):
        return
    if answer[0] == "sent":
        assert exchange.status is not None
        assert 200 <= exchange.status < 300
        assert answer[1] in ids_in(exchange.answered)
        return
    _, phase, _, may_have_left = answer
    left = "message left" in exchange.note or "sends all the same" in exchange.note
    if left or "sent, then" in exchange.case or "hangs" in exchange.case or exchange.status in (*range(200, 300), 502):
        assert may_have_left
    if exchange.status is None:
        assert may_have_left or phase is Phase.REFUSED


def ids_in(answered: Any) -> Sequence[str]:
    """Every text in the answer that stands where an id may stand."""
    match answered:
        case dict():
            named = [value for name, value in answered.items() if name in ("id", "_serialized", "message_id")]
            return [each for each in named if isinstance(each, str)] + [
                found for value in answered.values() for found in ids_in(value)
            ]
        case list():
            return [found for value in answered for found in ids_in(value)]
        case _:
            return []


IDS = ("message_id", "id", "_serialized", "key", "response", "data")


def without_ids(answered: Any) -> Any:
    """The same answer, as a gateway gives it that has no message to show."""
    match answered:
        case dict():
            return {name: without_ids(value) for name, value in answered.items() if name not in IDS}
        case _:
            return answered


SENT_OK = [each for each in EVERY if each[2].case == "send: ok"]


@pytest.mark.parametrize("status", [200, 201, 202])
@pytest.mark.parametrize(("file", "family", "example"), SENT_OK, ids=[file for file, _, _ in SENT_OK])
async def test_any_success_with_an_id_is_sent_and_without_one_is_open(
    file: str, family: str, example: Exchange, status: int
) -> None:
    assert (await played(replace(example, status=status), family))[0] == "sent"
    for said in (without_ids(example.answered), {}, [], None, "OK", {"success": True}, {"response": []}, {"key": {}}):
        kind, _, _, may_have_left = await played(replace(example, status=status, answered=said), family)
        assert (kind, may_have_left) == ("fault", True), said


@pytest.mark.parametrize(("file", "family", "example"), SENT_OK, ids=[file for file, _, _ in SENT_OK])
async def test_what_a_proxy_says_in_its_place_is_no_word_of_the_gateway(
    file: str, family: str, example: Exchange
) -> None:
    page = "<html><body>nginx</body></html>"
    for status, may_have_left in ((302, False), (407, False), (404, True), (502, True), (504, True), (200, True)):
        kind, _, _, left = await played(replace(example, status=status, answered=page), family)
        assert (kind, left) == ("fault", may_have_left), status


async def test_an_evolution_without_its_licence_is_misconfigured_and_nothing_left() -> None:
    said = {"error": "Service Unavailable", "code": "LICENSE_REQUIRED", "message": "Activate the license"}
    transcript = read(KEPT / "evolution-api.json")
    for case in ("send: ok", "list: connected", "status: connected"):
        example = next(each for each in asked(transcript) if each.case == case)
        answer = await played(replace(example, status=503, answered=said), "evolution")
        if case.startswith("list"):
            assert answer[0] == "no list" and "unlicensed" in answer[1]
        else:
            assert answer == fault(Phase.UNLICENSED, VerdictKind.MISCONFIGURED, may_have_left=False)


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
    return replace(report_in(RawReport(raw.encode())), instance_url=AT)


def test_each_recorded_report_is_an_event_of_its_session_and_a_retry_is_the_same() -> None:
    """Session events are the same for a minute only, or until something else is told of the session."""
    seen: dict[str, int] = {}
    standing: dict[str, str] = {}
    for exchange in reported(NODE_SERVICE):
        report = report_of(exchange)
        assert report.session_id == S
        meaning = meanings.meaning(report)
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
    assert len({meanings.meaning(report_of(each)).key for each in tries}) == 1


@pytest.mark.parametrize("transcript", REPORTED_TO_US, ids=lambda each: each.path.name)
def test_no_recorded_report_is_malformed(transcript: Transcript) -> None:
    for exchange in reported(transcript):
        report = report_of(exchange)
        assert meanings.meaning(report) == meanings.meaning(report_of(exchange))
        assert len(json.dumps(meanings.bounded(report.data))) <= 70_000


@pytest.mark.parametrize("transcript", ALL, ids=lambda each: each.path.name)
def test_a_gateway_without_a_driver_is_named(transcript: Transcript, record_property: Any) -> None:
    """Its traffic waits for its driver; the suite's last lines say so."""
    assert transcript.exchanges
    for gateway in sorted(transcript.gateways - FAMILIES.keys()):
        record_property("no driver for", f"{gateway} ({transcript.path.name}, {len(transcript.exchanges)} exchanges)")
