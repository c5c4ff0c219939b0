"""`homing send`: how each outcome is told, and with which exit code."""

from typing import Any

import pytest

from tests.cli.conftest import ACCOUNT, CommandLine, ScriptedGateway

COMMON: dict[str, Any] = {
    "message_uuid": "0190f2b4-0000-7000-8000-00000000abcd",
    "instance_url": "http://localhost:3001",
    "attempts": 2,
    "failover": True,
    "response_time_ms": 27.5,
}
SENT = {"success": True, "data": {"message_id": "3EB0AA", "timestamp": 1}, **COMMON}
UNKNOWN = {"success": None, "outcome": "unknown", "data": {"message_id": "3EB0AA"}, "detail": "It may have left"}
SEND = "/messages/send"


@pytest.fixture(autouse=True)
def _account(gateway: ScriptedGateway) -> None:
    gateway.answer("GET", "/accounts/144", ACCOUNT)


def send(homing: CommandLine, *more: str, to: tuple[str, ...] = ("--phone", "62811801641")):
    return homing("send", "--account", "144", *to, "hello", *more)


def test_a_number_becomes_the_accounts_uuid_and_workspace(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("POST", SEND, SENT)
    assert send(homing, "--idempotency-key", "order-7", to=("--contact", "0190-c")).code == 0
    assert gateway.last.body == {
        "account_uuid": ACCOUNT["uuid"],
        "workspace_id": 1,
        "contact_uuid": "0190-c",
        "message": "hello",
    }
    assert gateway.last.headers["Idempotency-Key"] == "order-7"


def test_a_uuid_with_its_workspace_is_sent_from_without_asking_first(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("POST", SEND, SENT)
    assert homing("send", "hello", "--account", "0190-a", "--workspace", "3", "--phone", "62811801641").code == 0
    assert [(asked.method, asked.body["workspace_id"]) for asked in gateway.asked] == [("POST", 3)]


def test_a_sent_message_tells_where_how_often_and_whether_it_failed_over(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("POST", SEND, SENT)
    ran = send(homing)
    assert (ran.code, ran.err) == (0, "")
    assert [line.split() for line in ran.out.splitlines()] == [
        ["outcome", "sent"],
        ["instance", "http://localhost:3001"],
        ["attempts", "2"],
        ["failover", "yes"],
        ["took", "(ms)", "27.5"],
        ["message", "id", "3EB0AA"],
        ["message", "uuid", COMMON["message_uuid"]],
    ]


def test_a_message_that_was_not_sent_needs_attention(homing: CommandLine, gateway: ScriptedGateway):
    gateway.refuse("POST", SEND, 503, "session_unreachable", "Nobody has it", success=False, **COMMON)
    ran = send(homing)
    assert (ran.code, ran.err) == (1, "session_unreachable: Nobody has it\n")
    assert "not sent" in ran.out


def test_an_outcome_is_never_wrong_use_whatever_its_status(homing: CommandLine, gateway: ScriptedGateway):
    gateway.refuse("POST", SEND, 422, "message_rejected", "The gateway refused it", success=False, **COMMON)
    assert send(homing).code == 1


def test_an_unknown_outcome_needs_attention(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("POST", SEND, UNKNOWN | COMMON, 202)
    ran = send(homing)
    assert (ran.code, ran.err) == (1, "It may have left\n")
    assert "unknown" in ran.out


def test_with_json_every_outcome_is_its_document(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("POST", SEND, UNKNOWN | COMMON, 202)
    assert send(homing, "--json").document == UNKNOWN | COMMON
    gateway.refuse("POST", SEND, 503, "session_unreachable", "Nobody has it", success=False, **COMMON)
    assert send(homing, "--json").document["code"] == "session_unreachable"


def test_a_request_that_was_refused_as_such_is_wrong_use(homing: CommandLine, gateway: ScriptedGateway):
    gateway.refuse("POST", SEND, 422, "invalid_request", "'x' is not a possible phone number")
    ran = send(homing)
    assert (ran.code, ran.out, ran.err) == (2, "", "invalid_request: 'x' is not a possible phone number\n")


def test_a_gateway_that_dies_with_the_message_leaves_it_unknown(homing: CommandLine, gateway: ScriptedGateway):
    gateway.hang_up("POST", SEND)
    ran = send(homing)
    assert ran.code == 1
    assert "whether the message was sent is not known" in ran.err


@pytest.mark.parametrize("to", [(), ("--contact", "0190-c", "--phone", "62811801641")])
def test_a_message_has_exactly_one_recipient(homing: CommandLine, gateway: ScriptedGateway, to: tuple[str, ...]):
    ran = send(homing, to=to)
    assert ran.code == 2
    assert not gateway.asked
