"""`homing endpoints` and `homing deliveries`: what they ask for, what they show, and how they end."""

from typing import Any

import pytest

from tests.cli.conftest import CommandLine, ScriptedGateway

SECRET = "whsec_c2VjcmV0LXNlY3JldC1zZWNyZXQ="
ENDPOINT: dict[str, Any] = {
    "id": "ep_1",
    "workspace_id": 1,
    "url": "https://crm.example.com/hooks",
    "events": ["message.*"],
    "state": "disabled",
    "state_reason": "it answered 410",
    "pending": 3,
    "dead": 2,
    "failures": 7,
    "last_success_at": "2026-11-30T08:00:00Z",
}
DELIVERY: dict[str, Any] = {
    "id": 812,
    "endpoint_id": "ep_1",
    "type": "message.received",
    "event_id": "01a2",
    "state": "dead",
    "attempts": 2,
    "status": 500,
    "reason": "answered 500",
    "created_at": "2026-11-30T08:00:00Z",
    "due_at": None,
}


def test_endpoints_are_listed_with_what_waits_and_why_they_are_disabled(
    homing: CommandLine, gateway: ScriptedGateway
) -> None:
    gateway.answer("GET", "/endpoints", {"data": [ENDPOINT], "next": None})
    ran = homing("endpoints", "--workspace", "1")
    assert ran.code == 0
    assert "crm.example.com" in ran.out and "disabled: it answered 410" in ran.out
    assert "workspace_id=1" in gateway.last.path


def test_a_new_endpoints_secret_is_the_only_thing_on_stdout(homing: CommandLine, gateway: ScriptedGateway) -> None:
    gateway.answer("POST", "/endpoints", {**ENDPOINT, "secret": SECRET}, 201)
    ran = homing(
        "endpoints", "create", ENDPOINT["url"], "--workspace", "1", "--events", "message.*, session.*", "--ordered"
    )
    assert (ran.code, ran.out.strip()) == (0, SECRET)
    assert SECRET not in ran.err
    body = gateway.last.body
    assert (body["events"], body["ordered"], body["schedule"]) == (["message.*", "session.*"], True, "standard")


def test_a_url_that_leads_inside_is_said_with_its_code(homing: CommandLine, gateway: ScriptedGateway) -> None:
    gateway.refuse("POST", "/endpoints", 422, "url_refused", "http://10.0.0.1 is not public")
    ran = homing("endpoints", "create", "http://10.0.0.1/")
    assert ran.code == 2 and "url_refused: http://10.0.0.1 is not public" in ran.err


def test_a_change_says_only_what_was_given(homing: CommandLine, gateway: ScriptedGateway) -> None:
    gateway.answer("PATCH", "/endpoints/ep_1", ENDPOINT)
    assert homing("endpoints", "set", "ep_1", "--enable", "--unordered").code == 0
    assert gateway.last.body == {"enabled": True, "ordered": False}
    asked = len(gateway.asked)
    assert homing("endpoints", "set", "ep_1").code == 2
    assert len(gateway.asked) == asked, "nothing was asked for"


def test_a_rotation_prints_the_new_secret_and_says_how_long_the_old_one_signs(
    homing: CommandLine, gateway: ScriptedGateway
) -> None:
    gateway.answer("POST", "/endpoints/ep_1/rotate", {**ENDPOINT, "secret": SECRET})
    assert homing("endpoints", "rotate", "ep_1", "--overlap", "30m").out.strip() == SECRET
    assert gateway.last.body == {"overlap_s": 1800}
    assert homing("endpoints", "rotate", "ep_1", "--overlap", "soon").code == 2


@pytest.mark.parametrize(("taken", "code"), [(True, 0), (False, 1)])
def test_a_trial_ends_as_the_endpoint_took_it(
    homing: CommandLine, gateway: ScriptedGateway, taken: bool, code: int
) -> None:
    tried = {"webhook_id": "m", "delivered": taken, "status": 500, "latency_ms": 12, "reason": "answered", "body": ""}
    gateway.answer("POST", "/endpoints/ep_1/test", tried)
    ran = homing("endpoints", "test", "ep_1")
    assert ran.code == code and "12 ms" in ran.err
    assert homing("endpoints", "test", "ep_1", "--json").document["delivered"] is taken


def test_what_is_told_again_is_asked_for_by_time_or_as_all_dead_letters(
    homing: CommandLine, gateway: ScriptedGateway
) -> None:
    gateway.answer("POST", "/deliveries/replay", {"replayed": 5}, 202)
    assert "5 deliveries" in homing("endpoints", "replay", "ep_1", "--dead").err
    assert gateway.last.body == {"endpoint_id": "ep_1", "state": "dead"}
    homing("endpoints", "replay", "ep_1", "--since", "2026-11-30T08:00", "--until", "2026-11-30T09:00")
    assert gateway.last.body["since"] == "2026-11-30T08:00"
    assert homing("endpoints", "replay", "ep_1").code == 2


def test_deliveries_and_their_attempts_are_shown(homing: CommandLine, gateway: ScriptedGateway) -> None:
    gateway.answer("GET", "/deliveries", {"data": [DELIVERY], "next": None})
    listed = homing("deliveries", "--state", "dead")
    assert "812" in listed.out and "answered 500" in listed.out and "state=dead" in gateway.last.path
    log = {"number": 1, "at": "2026-11-30T08:00:00Z", "latency_ms": 31, "status": 500, "reason": "r", "body": "oops"}
    gateway.answer("GET", "/deliveries/812", {**DELIVERY, "log": [log]})
    shown = homing("endpoints", "attempts", "812")
    assert "oops" in shown.out and "31" in shown.out and "is dead" in shown.err
    assert homing("endpoints", "attempts", "812", "--json").document["log"] == [log]


def test_an_endpoint_is_deleted(homing: CommandLine, gateway: ScriptedGateway) -> None:
    gateway.answer("DELETE", "/endpoints/ep_1", {})
    assert homing("endpoints", "delete", "ep_1").code == 0
    assert homing("endpoints", "delete", "ep_2").code == 2


@pytest.mark.parametrize(
    "command", [("endpoints",), ("endpoints", "attempts", "1"), ("deliveries",), ("alerts",), ("alerts", "silences")]
)
def test_a_dead_gateway_is_one_sentence(homing: CommandLine, command: tuple[str, ...]) -> None:
    homing.setting("HOMING_API_URL", "http://127.0.0.1:9")
    homing.setting("HOMING_API_TOKEN", "hk_x")
    ran = homing(*command)
    assert ran.code == 2 and "http://localhost:9 " in ran.err and "Traceback" not in ran.err
