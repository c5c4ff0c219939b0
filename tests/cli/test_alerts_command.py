"""`homing alerts`: what stands, who is told, what is silenced, and how that ends."""

from pathlib import Path
from typing import Any

import pytest

from tests.cli.conftest import CommandLine, ScriptedGateway

ALERT: dict[str, Any] = {
    "kind": "endpoint_disabled",
    "about": "an endpoint",
    "subject": "ep_1",
    "since": "2026-11-30T08:00:00Z",
    "reason": "it failed for five days",
    "do": "look at its server",
}


def test_alerts_that_stand_need_attention_and_none_does_not(homing: CommandLine, gateway: ScriptedGateway) -> None:
    gateway.answer("GET", "/alerts", {"data": [ALERT]})
    ran = homing("alerts")
    assert ran.code == 1 and "look at its server" in ran.out
    assert homing("alerts", "--json").document["data"] == [ALERT]
    gateway.answer("GET", "/alerts", {"data": []})
    ran = homing("alerts")
    assert ran.code == 0 and "No alert stands" in ran.out + ran.err


def test_a_silence_is_made_listed_and_ended(homing: CommandLine, gateway: ScriptedGateway) -> None:
    gateway.answer("POST", "/silences", {"id": "si_1", "until": "2026-11-30T10:00:00Z"}, 201)
    made = homing("alerts", "silence", "--kind", "endpoint_disabled", "--for", "2h", "--reason", "upgrade")
    assert made.code == 0 and "unsilence si_1" in made.err
    assert gateway.last.body == {"kind": "endpoint_disabled", "subject": "", "for_s": 7200, "reason": "upgrade"}
    row = {"id": "si_1", "kind": None, "subject": "", "until": "2026-11-30T10:00:00Z", "reason": "upgrade"}
    gateway.answer("GET", "/silences", {"data": [row]})
    assert "upgrade" in homing("alerts", "silences").out
    gateway.answer("DELETE", "/silences/si_1", {})
    assert homing("alerts", "unsilence", "si_1").code == 0
    assert homing("alerts", "silence", "--for", "a while").code == 2


def test_a_receiver_by_mail_has_its_server_and_its_password_from_a_file(
    homing: CommandLine, gateway: ScriptedGateway, tmp_path: Path
) -> None:
    gateway.answer("POST", "/receivers", {"id": "rc_1"}, 201)
    secret = tmp_path / "password"
    secret.write_text("hunter2\n")
    added = homing(
        "alerts", "receivers", "add", "us", "email", "a@example.com",
        "--server", "mail:25", "--from", "h@example.com", "--password-file", str(secret),
    )  # fmt: skip
    assert added.code == 0, added.err
    assert gateway.last.body["options"] == {"server": "mail", "port": 25, "from": "h@example.com", "tls": "starttls"}
    assert gateway.last.body["secret"] == "hunter2" and "hunter2" not in added.out + added.err


@pytest.mark.parametrize(
    "wrong", [("--server", "mail:smtp"), ("--server", "mail:25", "--password-file", "/nowhere/at/all")]
)
def test_what_cannot_be_read_of_a_receiver_is_one_sentence(
    homing: CommandLine, gateway: ScriptedGateway, wrong: tuple[str, ...]
) -> None:
    ran = homing("alerts", "receivers", "add", "us", "email", "a@example.com", *wrong)
    assert ran.code == 2 and "Traceback" not in ran.err
    assert gateway.asked == []


@pytest.mark.parametrize(("taken", "code"), [(True, 0), (False, 1)])
def test_a_trial_of_a_receiver_ends_as_it_was_taken(
    homing: CommandLine, gateway: ScriptedGateway, taken: bool, code: int
) -> None:
    gateway.answer("POST", "/receivers/rc_1/test", {"taken": taken, "reason": "answered 404"})
    ran = homing("alerts", "receivers", "test", "rc_1")
    assert ran.code == code and "answered 404" in ran.err
