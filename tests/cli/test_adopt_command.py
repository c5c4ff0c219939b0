"""`homing adopt`: what is asked of the gateway, and what a person reads of its answer."""

import io
from typing import Any

import pytest

from tests.cli.conftest import CommandLine, ScriptedGateway

WAHA = "http://waha-1:3000"


def session(name: str, result: str = "adopted", **changed: Any) -> dict[str, Any]:
    known = {
        "session_id": name,
        "native_id": name,
        "phone": "62811001",
        "status": "connected",
        "result": result,
        "reason": "an account is made for it",
        "account_id": 5,
        "workspace_id": 1,
    }
    return known | changed


def adopted(*sessions: dict[str, Any], **changed: Any) -> dict[str, Any]:
    here = sum(each["result"] == "adopted" for each in sessions)
    row = {
        "url": WAHA,
        "driver": "waha",
        "version": "2026.7.1",
        "mode": "observe",
        "sessions": len(sessions),
        "gateway": "WAHA 2026.7.1",
        "certainty": "sure",
        "why": "it answers as only WAHA does, and its list was read",
        "new": True,
        "adopted": here,
        "known": 0,
        "not_adopted": len(sessions) - here,
        "warning": None,
        "oddities": [],
        "found": list(sessions),
    }
    instances = [row | changed]
    return {"instances": instances, "refused": [], "adopted": here, "not_adopted": 0, "dry_run": False}


def test_what_was_adopted_is_shown_with_what_was_not_and_what_comes_next(
    homing: CommandLine, gateway: ScriptedGateway
) -> None:
    left = session("new", "no_phone", phone=None, status="pairing", reason="its status is pairing")
    renamed = session("default", session_id="waha-1:3000/default")
    answer = adopted(session("shop"), renamed, left, oddities=["row 7 names no session"], warning="WAHA is new")
    gateway.answer("POST", "/instances/adopt", answer)
    ran = homing("adopt", WAHA)
    assert ran.code == 0
    assert "WAHA 2026.7.1" in ran.out
    assert "no_phone" in ran.out
    assert "calls it default; its id is waha-1:3000/default" in ran.err
    assert "row 7 names no session" in ran.err
    assert "WAHA is new" in ran.err
    assert "homing adopt --status" in ran.err
    assert gateway.last.body == {"urls": [WAHA], "labels": {}, "dry_run": False}


def test_everything_that_is_said_of_the_gateways_is_passed_on(homing: CommandLine, gateway: ScriptedGateway) -> None:
    gateway.answer("POST", "/instances/adopt", adopted() | {"dry_run": True})
    options = ["--key", "k1", "--driver", "waha", "--label", "rack=b", "--workspace", "3", "--mode", "route"]
    ran = homing("adopt", WAHA, "http://waha-2:3000", *options, "--session", "+628", "--dry-run", "--json")
    assert ran.code == 0
    [row] = ran.document["instances"]
    assert {"url", "driver", "version", "mode", "sessions"} <= row.keys()
    assert gateway.last.body == {
        "urls": [WAHA, "http://waha-2:3000"],
        "key": "k1",
        "driver": "waha",
        "labels": {"rack": "b"},
        "workspace_id": 3,
        "mode": "route",
        "sessions": ["+628"],
        "dry_run": True,
    }


def test_an_address_where_nothing_can_be_adopted_ends_with_one(homing: CommandLine, gateway: ScriptedGateway) -> None:
    refused = [{"url": WAHA, "code": "no_gateway", "detail": "it is no gateway that Homing knows: nginx"}]
    empty = {"instances": [], "refused": refused, "adopted": 0, "not_adopted": 0, "dry_run": False}
    gateway.answer("POST", "/instances/adopt", empty)
    ran = homing("adopt", WAHA)
    assert (ran.code, ran.out) == (1, "")
    assert ran.err == f"{WAHA}: it is no gateway that Homing knows: nginx\n"
    assert homing("adopt", WAHA, "--json").document["refused"] == refused


def test_a_key_is_read_from_a_pipe(
    homing: CommandLine, gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    gateway.answer("POST", "/instances/adopt", adopted())
    monkeypatch.setattr("sys.stdin", io.StringIO("a secret key\n"))
    ran = homing("adopt", WAHA, "--key", "-", "--json")
    assert gateway.last.body["key"] == "a secret key"
    assert "a secret key" not in ran.out + ran.err


def test_a_key_is_asked_for_on_a_terminal_without_being_shown(
    homing: CommandLine, gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    gateway.answer("POST", "/instances/adopt", adopted())
    monkeypatch.setattr("sys.stdin", Terminal("not read from here\n"))
    monkeypatch.setattr("getpass.getpass", lambda _: "typed")
    homing("adopt", WAHA, "--key", "-", "--json")
    assert gateway.last.body["key"] == "typed"


@pytest.mark.parametrize("words", [(), ("--key", "--json")], ids=["no-address", "no-key"])
def test_wrong_use_is_said(homing: CommandLine, gateway: ScriptedGateway, words: tuple[str, ...]) -> None:
    ran = homing("adopt", *words, *([WAHA] if words else []))
    assert ran.code == 2
    assert ran.err


def observation(url: str, **changed: Any) -> dict[str, Any]:
    known = {
        "url": url,
        "driver": "waha",
        "mode": "observe",
        "since": "2026-01-31T09:30:00Z",
        "sessions": 50,
        "lists": 12,
        "lists_failed": 1,
        "recorded": 600,
        "seen": 597,
        "agreement": 0.995,
        "strays": 2,
        "would_have": {"alert": 2},
        "last_at": "2026-01-31T10:30:00Z",
        "ready": False,
        "reason": "sessions were missing 3 times in 12 lists; see what it would do",
    }
    return known | changed


def test_the_status_shows_agreement_and_what_would_have_been_done(
    homing: CommandLine, gateway: ScriptedGateway
) -> None:
    never = observation("http://own:3001", mode="route", lists=0, recorded=0, seen=0, agreement=None, would_have={})
    would = {
        "url": WAHA,
        "kind": "move",
        "session_id": "shop",
        "reason": "it is down",
        "first_at": "2026-01-31T09:40:00Z",
        "last_at": "2026-01-31T09:50:00Z",
        "times": 3,
    }
    gateway.answer("GET", "/instances/adoption", {"data": [observation(WAHA), never], "would_haves": [would]})
    ran = homing("adopt", "--status")
    assert ran.code == 0
    assert "99.50% (597 of 600)" in ran.out
    assert "it is down" in ran.out
    assert "http://own:3001" not in ran.out
    document = homing("adopt", "--status", "--json").document
    assert [row["url"] for row in document["instances"]] == [WAHA, "http://own:3001"]
    assert document["would_haves"] == [would]
