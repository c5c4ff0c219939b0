"""What each family reports, as it was recorded from the original: who it is from, and what it means in our words."""

import hashlib
import hmac
import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from homing.drivers.registry import families, reports_of
from homing.model.instances.events import EventKind, Report
from homing.model.instances.report_body import Malformed
from homing.ports.instances.reports import (
    FamilyReports,
    Proof,
    Proven,
    RawReport,
    ReportRefused,
    ReportSecrets,
    TokenNeeded,
)
from transcripts import KEPT, Exchange, read

NOW = datetime(2026, 11, 30, tzinfo=UTC)
RECORDED = {
    "waha-noweb": "waha",
    "waha-webjs": "waha",
    "evolution-api": "evolution",
    "wwebjs-api": "wwebjs-api",
    "wppconnect-server": "wppconnect",
    "baileys-api": "baileys-api",
}
FOREIGN = sorted({*RECORDED.values(), "wuzapi", "gowa"})
OWN, SHARED, KEY = "own-secret-of-the-instance", "secret-of-the-fleet", "key-of-the-gateway"
KNOWN = ReportSecrets(OWN, SHARED, KEY)


def of(family: str) -> FamilyReports:
    found = reports_of(family)
    assert found is not None
    return found


def raw(body: Any, word: str | None = None, **headers: str) -> RawReport:
    told = body if isinstance(body, bytes) else json.dumps(body).encode()
    return RawReport(told, {name.replace("_", "-"): value for name, value in headers.items()}, word)


def recorded(name: str) -> list[Exchange]:
    return [each for each in read(KEPT / f"{name}.json").exchanges if each.is_report and each.method == "POST"]


def all_told(name: str) -> list[Report]:
    family = of(RECORDED[name])
    word = "+628000000009" if name == "baileys-api" else "alpha"
    return [report for each in recorded(name) for report in family.read(raw(each.told, word))]


@pytest.mark.parametrize("name", RECORDED)
def test_each_recorded_report_has_a_kind_of_ours_and_its_session(name: str) -> None:
    kinds, reports = {kind.value for kind in EventKind}, all_told(name)
    assert len(reports) >= len(recorded(name)) > 10
    sessions = {"waha": {"default"}, "baileys-api": {"+628000000009"}}.get(RECORDED[name], {"alpha"})
    assert {report.session_id for report in reports} <= {*sessions, "beta"}
    for report in reports:
        assert report.kind in kinds, report
        assert report.kind != EventKind.GATEWAY_EVENT or "receivedPendingNotifications" in json.dumps(report.data)


@pytest.mark.parametrize("name", RECORDED)
def test_the_incoming_text_that_was_recorded_says_the_same_in_every_family(name: str) -> None:
    found = [each for each in all_told(name) if each.kind == EventKind.MESSAGE_RECEIVED]
    messages = [each.data["message"] for each in found if each.data["message"]["body"] == "an incoming text"]
    assert messages, name
    for message in messages:
        assert (message["from_me"], message["has_media"], message["chat_type"]) == (False, False, "private")
        assert message["id"].rpartition("_")[2].startswith("3EB0") and message["from"].partition("@")[0].isdecimal()
        assert message["timestamp"] > 1_796_000_000
    assert all(each.occurred_at is not None and each.occurred_at.year == 2026 for each in found)


@pytest.mark.parametrize("name", [each for each in RECORDED if each != "wppconnect-server"])
def test_the_text_that_went_out_is_told_with_its_recipient(name: str) -> None:
    sent = [each.data["message"] for each in all_told(name) if each.kind == EventKind.MESSAGE_SENT]
    assert {message["to"].partition("@")[0] for message in sent} == {"628000000001"}
    assert any(message["body"] in ("hello", "with token") for message in sent)
    assert all(message["from_me"] is True for message in sent)


@pytest.mark.parametrize("name", RECORDED)
def test_acknowledgements_are_levels_of_ours(name: str) -> None:
    acks = [each.data for each in all_told(name) if each.kind == EventKind.MESSAGE_STATUS]
    assert {each["status"] for each in acks} >= ({"sent"} if name == "waha-webjs" else {"sent", "delivered"})
    words = {"sent": 2, "delivered": 3, "read": 4, "pending": 1}
    assert all(each["ack_level"] == words[each["status"]] and "3EB0" in each["message_id"] for each in acks)


@pytest.mark.parametrize(
    ("name", "kinds"),
    [
        ("waha-webjs", ["session_starting", "session_pairing", "session_ready", "session_disconnected"]),
        ("evolution-api", ["qr_code_generated", "session_ready", "session_starting", "session_disconnected"]),
        ("wwebjs-api", ["qr_code_generated", "session_authenticated", "session_ready", "session_disconnected"]),
        ("wppconnect-server", ["session_pairing", "qr_code_generated", "session_ready", "session_disconnected"]),
        ("baileys-api", ["session_starting", "qr_code_generated", "session_ready", "session_disconnected"]),
    ],
)
def test_how_a_session_came_and_went_is_told(name: str, kinds: list[str]) -> None:
    told = {report.kind for report in all_told(name)}
    assert set(kinds) <= told


@pytest.mark.parametrize("name", ["evolution-api", "wwebjs-api", "wppconnect-server", "baileys-api"])
def test_the_end_of_the_link_is_told_as_such(name: str) -> None:
    left = [each.data["reason"] for each in all_told(name) if each.kind == EventKind.SESSION_DISCONNECTED]
    assert "LOGOUT" in left


@pytest.mark.parametrize("name", RECORDED)
def test_no_secret_and_no_token_is_in_what_is_kept(name: str) -> None:
    kept = json.dumps([report.data for report in all_told(name)])
    for word in ("apikey", "INSTANCE-TOKEN", "webhookVerifyToken", "verify-token", "x-api-key", "wkey"):
        assert word not in kept


def test_the_secrets_in_what_nobody_knows_are_left_out() -> None:
    told = {
        "event": "new.thing",
        "instance": "alpha",
        "data": {"a": [{"apikey": "K-1"}], "instanceToken": "K-2", "n": 3},
    }
    [report] = of("evolution").read(raw(told))
    kept = json.dumps(report.data)
    assert "K-1" not in kept and "K-2" not in kept and '"n": 3' in kept


# --- who it is from ---


def waha(body: bytes, key: str = OWN, **more: str) -> RawReport:
    signature = hmac.new(key.encode(), body, hashlib.sha512).hexdigest()
    return raw(body, x_webhook_hmac=signature, x_webhook_hmac_algorithm="sha512", **more)


def judged(family: str, told: RawReport, known: ReportSecrets = KNOWN) -> Proof:
    return of(family).proof(told, known, NOW)


BODY = b'{"event":"message","session":"default","engine":"WEBJS"}'


def test_wahas_documented_vector_is_taken() -> None:
    """waha-docs 1a6f1c4, content/docs/how-to/events: key `my-secret-key`."""
    made = hmac.new(b"my-secret-key", BODY, hashlib.sha512).hexdigest()
    assert made.startswith("208f8a55dde9")
    assert judged("waha", waha(BODY, "my-secret-key"), ReportSecrets("my-secret-key")) == Proven()


def test_waha_is_believed_by_its_signature_of_the_raw_body() -> None:
    assert judged("waha", waha(BODY)) == Proven()
    assert judged("waha", waha(BODY, SHARED)) == Proven()
    for wrong in (waha(BODY, "guess"), waha(BODY, ""), raw(BODY, x_webhook_hmac="")):
        assert isinstance(judged("waha", wrong), ReportRefused)
    flipped = RawReport(BODY.replace(b"WEBJS", b"NOWEB"), waha(BODY).headers)
    assert isinstance(judged("waha", flipped), ReportRefused)
    other = raw(
        BODY, x_webhook_hmac=hmac.new(OWN.encode(), BODY, "sha256").hexdigest(), x_webhook_hmac_algorithm="sha256"
    )
    assert isinstance(judged("waha", other), ReportRefused)


def test_a_wrong_signature_is_refused_on_the_right_path_too() -> None:
    assert isinstance(judged("waha", waha(BODY, "guess"), ReportSecrets(OWN, in_path=True)), ReportRefused)


@pytest.mark.parametrize("family", FOREIGN)
def test_without_a_proof_nothing_is_believed_and_the_instances_own_path_is_one(family: str) -> None:
    body = raw({"event": "message", "type": "Message", "dataType": "ready", "session": "s"})
    assert isinstance(judged(family, body), ReportRefused)
    assert isinstance(judged(family, body, ReportSecrets()), ReportRefused), "no secret is set, so none fits"
    assert judged(family, body, ReportSecrets(OWN, SHARED, KEY, in_path=True)) == Proven()


def test_evolution_is_believed_by_the_token_of_the_session_that_it_speaks_of() -> None:
    body = raw({"event": "messages.upsert", "instance": "alpha", "apikey": "TOKEN-A", "data": {}})
    assert judged("evolution", body) == TokenNeeded("alpha")
    assert judged("evolution", body, ReportSecrets(OWN, tokens=("TOKEN-A",))) == Proven()
    assert isinstance(judged("evolution", body, ReportSecrets(OWN, tokens=("TOKEN-B",))), ReportRefused)
    assert isinstance(judged("evolution", body, ReportSecrets(OWN, tokens=())), ReportRefused)
    of_all = raw({"event": "messages.upsert", "instance": "alpha", "apikey": KEY})
    assert judged("evolution", of_all) == Proven()


def test_evolution_shows_our_own_word_where_we_told_it_one() -> None:
    hidden = {"event": "messages.upsert", "instance": "alpha", "apikey": None}
    assert judged("evolution", raw(hidden, x_homing_report=OWN)) == Proven()
    assert isinstance(judged("evolution", raw(hidden, x_homing_report="guess")), ReportRefused)
    assert isinstance(judged("evolution", raw(hidden)), ReportRefused)


def test_wwebjs_api_shows_its_own_key() -> None:
    body = {"dataType": "ready", "sessionId": "alpha"}
    assert judged("wwebjs-api", raw(body, x_api_key=KEY)) == Proven()
    assert isinstance(judged("wwebjs-api", raw(body, x_api_key="guess")), ReportRefused)
    assert isinstance(judged("wwebjs-api", raw(body, x_api_key=""), ReportSecrets(OWN)), ReportRefused)


def test_wuzapi_and_gowa_sign_with_sha256() -> None:
    body = b'{"type":"Message","event":"message"}'
    made = hmac.new(OWN.encode(), body, "sha256").hexdigest()
    assert judged("wuzapi", raw(body, x_hmac_signature=made)) == Proven()
    assert judged("gowa", raw(body, x_hub_signature_256=f"sha256={made}")) == Proven()
    for family, header in (("wuzapi", "x-hmac-signature"), ("gowa", "x-hub-signature-256")):
        assert isinstance(judged(family, RawReport(body, {header: "0" * 64})), ReportRefused)


def test_a_form_of_wuzapi_is_read_as_its_json() -> None:
    event = {
        "Info": {"ID": "3EB0AA", "Chat": "628@s.whatsapp.net", "IsFromMe": False, "Timestamp": "2026-11-30T01:02:03Z"}
    }
    told = {"type": "Message", "event": event | {"Message": {"conversation": "hello"}}}
    body = "jsonData=" + json.dumps(told).replace("+", "%2B") + "&token=USER-TOKEN"
    headers = {"content-type": "application/x-www-form-urlencoded"}
    [report] = of("wuzapi").read(RawReport(body.encode(), headers, "ann"))
    assert (report.kind, report.session_id) == ("message_received", "ann")
    assert report.data["message"]["body"] == "hello" and "USER-TOKEN" not in json.dumps(report.data)


# --- poison ---

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False) | st.text(max_size=20),
    lambda inside: st.lists(inside, max_size=4) | st.dictionaries(st.text(max_size=8), inside, max_size=4),
    max_leaves=20,
)
_NAMES = """
    event data payload session instance type dataType message key id status ack state messages update qrcode apikey
    sessionId Info connection lastDisconnect reason
"""
_WORDS = """
    message message.any message.ack session.status connection.update messages.upsert messages.update qrcode.updated
    ready qr message_ack onack onmessage status-find Message ReadReceipt call send.message message.reaction disconnected
    status.instance
"""
NAMES, WORDS = st.sampled_from(_NAMES.split()), st.sampled_from(_WORDS.split())


@pytest.mark.parametrize("family", FOREIGN)
@given(
    body=st.dictionaries(NAMES, st.dictionaries(NAMES, JSON, max_size=5) | WORDS | JSON, max_size=8) | JSON,
    cut=st.integers(0, 3),
)
def test_whatever_comes_is_read_or_malformed(family: str, body: Any, cut: int) -> None:
    told = raw(json.dumps(body).encode()[: -cut or None], "word")
    proof = judged(family, told)
    assert isinstance(proof, Proven | ReportRefused | TokenNeeded)
    try:
        reports = of(family).read(told)
    except Malformed as error:
        assert str(error)
    else:
        assert all(report.kind in {kind.value for kind in EventKind} for report in reports)


@pytest.mark.parametrize("family", FOREIGN)
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"null",
        b"[]",
        b"[" * 100_000,
        b'{"event":' + b'{"a":' * 200 + b"1" + b"}" * 200 + b"}",
        b"\xff\xfe",
        b'{"event":1e400}',
    ],
    ids=["nothing", "null", "a list", "brackets", "deep", "no text", "infinite"],
)
def test_what_is_no_report_is_malformed(family: str, body: bytes) -> None:
    with pytest.raises(Malformed):
        of(family).read(raw(body))


def test_every_family_of_ours_reports() -> None:
    assert [family for family in families() if reports_of(family) is None] == []
