"""Commands that bring sessions elsewhere: what they ask for, how they wait, and how they end."""

from typing import Any

import pytest

from homing.cli.terminal import waiting
from tests.cli.conftest import ACCOUNT, CommandLine, ScriptedGateway

A, B = "http://localhost:3001", "http://localhost:3002"


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(waiting, "ASK_EVERY_S", 0.01)


def draining(remaining: int, *, moving: int = 0, stuck: int = 0, unwished: int = 0, **more: Any) -> dict[str, Any]:
    reasons = [
        {"account_id": 144 + number, "phone": "62811", "session_id": f"s{number}", "reason": f"reason {number}"}
        for number in range(stuck)
    ]
    return {
        "instance_url": A,
        "state": "draining",
        "remaining": remaining,
        "moving": moving,
        "stuck": stuck,
        "unwished": unwished,
        "delayed": {},
        "stuck_sessions": reasons,
    } | more


def instance(**changes: Any) -> dict[str, Any]:
    return {
        "id": 1,
        "url": A,
        "driver": "webjs",
        "state": "active",
        "capacity": 200,
        "memory_limit_mb": None,
        "sends_limit_per_s": 40.0,
        "sessions": 12,
        "connected": 11,
        "healthy": True,
        "detail": "answers",
        "health": "healthy",
        "reason": "it answered 0.4 s ago",
        "lease": {"held": True, "left_s": 5.25, "renewed_ago_s": 0.75, "incarnation": "i1", "ended": None},
        "memory_used_mb": 512.2,
        "sends_per_s": 3.25,
        "forecast_sends_per_s": 4.0,
        "draining": None,
    } | changes


@pytest.fixture
def fleet(gateway: ScriptedGateway) -> ScriptedGateway:
    gateway.answer("GET", "/instances", {"data": [instance()], "next": None, "brake": {"engaged": False, "reason": ""}})
    return gateway


# --- draining -------------------------------------------------------------------------------------------------


def test_draining_waits_until_the_instance_is_empty(homing: CommandLine, fleet: ScriptedGateway):
    fleet.answer("POST", "/instances/1/drain", draining(3, moving=3), 202)
    progress = [draining(2, moving=2), draining(1, moving=1), draining(0)]
    fleet.answer_in_turn("GET", "/instances/1", *(instance(draining=each) for each in progress))
    ran = homing("drain", "http://127.0.0.1:3001/")
    assert (ran.code, ran.out, ran.err) == (0, f"{A} is empty.\n", "")


def test_stuck_sessions_are_named_with_their_reasons(homing: CommandLine, fleet: ScriptedGateway):
    fleet.answer("POST", "/instances/1/drain", draining(5, moving=5), 202)
    fleet.answer("GET", "/instances/1", instance(draining=draining(2, stuck=2)))
    ran = homing("drain", A)
    assert ran.code == 1
    assert ran.err == f"2 sessions are stuck on {A}; 0 more on the way\n"
    assert [line.split()[0] for line in ran.out.splitlines()] == ["account", "144", "145"]
    assert "reason 1" in ran.out
    ran = homing("drain", A, "--json")
    assert (ran.code, ran.document["stuck"]) == (1, 2)


def test_a_drain_that_takes_too_long_says_what_it_waits_for_and_goes_on(homing: CommandLine, fleet: ScriptedGateway):
    full = draining(7, moving=7, delayed={"no instance has room: B is full": 7})
    fleet.answer("POST", "/instances/1/drain", full, 202)
    fleet.answer("GET", "/instances/1", instance(draining=full))
    ran = homing("drain", A, "--timeout", "0.1")
    assert ran.code == 1
    assert ran.err == (
        f"{A} still has 7 sessions; 7 wait because no instance has room: B is full; its emptying goes on\n"
    )


def test_a_drain_that_somebody_takes_back_ends(homing: CommandLine, fleet: ScriptedGateway):
    fleet.answer("POST", "/instances/1/drain", draining(2, moving=2), 202)
    fleet.answer("GET", "/instances/1", instance(draining=None))
    ran = homing("drain", A)
    assert (ran.code, "Somebody let" in ran.err) == (1, True)


def test_a_gateway_that_is_away_for_a_while_is_waited_for(homing: CommandLine, fleet: ScriptedGateway):
    fleet.answer("POST", "/instances/1/drain", draining(2, moving=2), 202)
    fleet.answer_in_turn("GET", "/instances/1", None, None, instance(draining=draining(0)))
    assert homing("drain", "1").code == 0


def test_without_waiting_a_drain_is_begun_and_that_is_said(homing: CommandLine, fleet: ScriptedGateway):
    fleet.answer("POST", "/instances/1/drain", draining(3, moving=3), 202)
    ran = homing("drain", "1", "--no-wait")
    assert (ran.code, ran.out) == (0, f"3 sessions are leaving {A}.\n")
    assert len(fleet.asked) == 1


@pytest.mark.parametrize("verb", ["drain", "undrain"])
def test_an_instance_that_is_not_there_is_wrong_use(homing: CommandLine, fleet: ScriptedGateway, verb: str):
    assert (
        homing(verb, "http://localhost:3009").err == "instance_not_found: There is no instance http://localhost:3009\n"
    )
    fleet.refuse("POST", f"/instances/9/{verb}", 404, "instance_not_found", "There is no instance 9")
    assert homing(verb, "9").code == 2
    assert homing(verb, "nonsense").code == 2


def test_undraining_says_what_stayed(homing: CommandLine, fleet: ScriptedGateway):
    fleet.answer("POST", "/instances/1/undrain", draining(1, state="active"))
    assert homing("undrain", A).out == f"{A} takes sessions again; 1 session is on it.\n"


# --- exited ---------------------------------------------------------------------------------------------------


def test_the_word_that_an_instance_exited_needs_only_its_address(homing: CommandLine, gateway: ScriptedGateway):
    staying = {"no phone is linked to it": 1}
    said = {"instance_url": A, "boots": 1, "sessions": 5, "wanted": 4, "staying": staying}
    gateway.answer("POST", "/instances/exited", said, 202)
    ran = homing("exited", A, "--incarnation", "i1")
    assert gateway.last.body == {"url": A, "incarnation": "i1"}
    assert (ran.code, ran.out) == (0, f"{A} has exited; 4 of its 5 sessions are on their way elsewhere.\n")
    assert ran.err == "Staying: 1, because no phone is linked to it.\n"
    assert homing("exited", A, "--json").document == said


def test_the_help_shows_where_a_supervisor_says_it(homing: CommandLine):
    assert "ExecStopPost=" in homing("exited", "--help").out


# --- accounts -------------------------------------------------------------------------------------------------

WANTED = {
    "account_id": 144,
    "account_uuid": ACCOUNT["uuid"],
    "session_id": "s",
    "from_url": A,
    "from_epoch": 7,
    "to_url": B,
    "new": True,
}


def account(**changes: Any) -> dict[str, Any]:
    return ACCOUNT | {"instance_url": A, "epoch": 7} | changes


def move(state: str, reason: str = "") -> dict[str, Any]:
    return {"state": state, "reason": reason, "wanted_because": "an operator moves it", "to_url": B, "attempts": 1}


def test_migrating_waits_until_the_session_is_there(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("POST", "/accounts/144/migrate", WANTED, 202)
    gateway.answer_in_turn(
        "GET",
        f"/accounts/{ACCOUNT['uuid']}",
        account(move=move("running")),
        account(instance_url=B, epoch=8, state="moving", move=move("running")),
        account(instance_url=B, epoch=8),
    )
    ran = homing("accounts", "migrate", "144", "--to", B, "--json")
    assert gateway.asked[0].body == {"to": B, "force": False}
    assert (ran.code, ran.document["instance_url"]) == (0, B)
    assert len(gateway.asked) == 4


@pytest.mark.parametrize(("to", "asked"), [((), None), (("--to", "3"), 3)])
def test_the_place_may_be_left_open_or_named_by_number(
    homing: CommandLine, gateway: ScriptedGateway, to: tuple[str, ...], asked: int | None
):
    gateway.answer("POST", "/accounts/144/migrate", WANTED, 202)
    assert homing("accounts", "migrate", "144", *to, "--no-wait").code == 0
    assert gateway.last.body == {"to": asked, "force": False}


def test_a_session_that_does_not_move_is_attention_with_the_reason(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("POST", "/accounts/144/rehome", WANTED, 202)
    gateway.answer("GET", f"/accounts/{ACCOUNT['uuid']}", account(move=move("dead", "it needs pairing")))
    ran = homing("accounts", "rehome", "144")
    assert (ran.code, ran.err) == (1, "Account 144 did not move: it needs pairing\n")
    gateway.answer("GET", f"/accounts/{ACCOUNT['uuid']}", account(move=move("ready", "no instance has room")))
    ran = homing("accounts", "rehome", "144", "--timeout", "0.1")
    assert (ran.code, ran.err) == (1, "Account 144 is still on its way after 0.1 s: no instance has room\n")


def test_a_refusal_to_move_is_the_gateways_sentence(homing: CommandLine, gateway: ScriptedGateway):
    gateway.refuse("POST", "/accounts/144/rehome", 409, "not_fenced", "Say so: homing exited http://a:1")
    ran = homing("accounts", "rehome", "144", "--force")
    assert (ran.code, ran.err) == (1, "not_fenced: Say so: homing exited http://a:1\n")
    assert gateway.last.body == {"force": True}


def test_takeover_and_labels_of_an_account_are_set(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("PATCH", "/accounts/144", account(takeover="manual", requires={"region": "sg"}))
    ran = homing("accounts", "set", "144", "--takeover", "manual", "--require", "region=sg")
    assert (ran.code, "region=sg" in ran.out) == (0, True)
    assert gateway.last.body == {"takeover": "manual", "requires": {"region": "sg"}}
    assert homing("accounts", "set", "144", "--require-nothing").code == 0
    assert gateway.last.body == {"requires": {}}
    assert homing("accounts", "set", "144").code == 2


def test_a_quarantined_account_says_what_to_do(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("GET", "/accounts/144", account(status="quarantined", reason="find out who, then start it"))
    assert "what to do     find out who, then start it" in homing("accounts", "show", "144").out


# --- rebalancing ----------------------------------------------------------------------------------------------


def planned(order: int, account: int) -> dict[str, Any]:
    return {
        "order": order,
        "account_id": account,
        "phone": "62811",
        "session_id": f"s{account}",
        "from_url": A,
        "to_url": B,
        "why": "it has more than its share",
        "expected_gap_ms": 500,
    }


def plan(*moves: dict[str, Any], dry_run: bool = False, **more: Any) -> dict[str, Any]:
    begun = None if dry_run else len(moves)
    return {"dry_run": dry_run, "reason": "2 moves", "begun": begun, "moves": list(moves), "skipped": []} | more


def test_a_dry_run_shows_the_plan_and_waits_for_nothing(homing: CommandLine, gateway: ScriptedGateway):
    skipped = [{"account_id": 9, "phone": "62819", "session_id": "s9", "reason": "its takeover is set to never"}]
    gateway.answer("POST", "/rebalance", plan(planned(1, 142), planned(2, 144), dry_run=True, skipped=skipped), 202)
    ran = homing("rebalance", "--dry-run")
    assert gateway.last.body == {"dry_run": True}
    heading, first, _, summary = ran.out.splitlines()
    assert heading.split() == ["#", "account", "phone", "from", "to", "gap", "why"]
    assert first.split()[:6] == ["1", "142", "62811", A, B, "500"]
    assert summary == "2 moves."
    assert ran.err == "Account 9 (62819) stays: its takeover is set to never.\n"
    assert len(gateway.asked) == 1


def test_a_plan_is_followed_until_each_move_came_about(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("POST", "/rebalance", plan(planned(1, 142), planned(2, 144)), 202)
    gateway.answer_in_turn("GET", "/accounts/142", account(move=move("running")), account(instance_url=B))
    gateway.answer("GET", "/accounts/144", account(instance_url=B))
    ran = homing("rebalance")
    assert (ran.code, ran.out.splitlines()[-1]) == (0, "All 2 moves are done.")


def test_moves_that_did_not_come_about_are_named(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("POST", "/rebalance", plan(planned(1, 142), planned(2, 144), planned(3, 145)), 202)
    gateway.answer("GET", "/accounts/142", account(move=move("dead", "it is logged out")))
    gateway.answer("GET", "/accounts/144", account(instance_url=B))
    gateway.answer("GET", "/accounts/145", account(move=move("ready")))
    ran = homing("rebalance", "--timeout", "0.1", "--json")
    assert ran.code == 1
    assert {each["account_id"]: each["reason"] for each in ran.document["stuck"]} == {
        142: "it is logged out",
        145: "it was still on its way when the time was over",
    }
    assert ran.err == "2 of 3 moves did not come about\n"


def test_nothing_to_move_is_a_sentence(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("POST", "/rebalance", plan(reason="nothing to move: each instance has its share"), 202)
    assert homing("rebalance").out == "Nothing to move: each instance has its share.\n"


# --- looking --------------------------------------------------------------------------------------------------


def test_instances_show_lease_load_and_why(homing: CommandLine, gateway: ScriptedGateway):
    rows = [
        instance(),
        instance(id=2, url=B, health="down", reason="it refuses", lease=None, capacity=None, sends_per_s=None),
        instance(id=3, lease={"held": False, "left_s": -1.0, "ended": None}, draining=draining(5, stuck=2)),
        instance(id=4, lease={"held": False, "left_s": 3.0, "ended": "exited"}),
    ]
    brake = {"engaged": True, "reason": "3 of 4 fell ill at once"}
    gateway.answer("GET", "/instances", {"data": rows, "next": None, "brake": brake})
    ran = homing("instances")
    heading, *lines = ran.out.splitlines()
    assert heading.split()[:8] == ["id", "url", "driver", "mode", "state", "health", "lease", "sessions"]
    shown = [
        ("held 5.2 s", "12 of 200", "3.2 → 4.0 of 40.0", "512", "it answered"),
        ("down", "- → 4.0 of 40.0", "it refuses"),
        ("lapsed", "5 to leave, 2 of them stuck"),
        ("exited",),
    ]
    for line, words in zip(lines, shown, strict=True):
        for word in words:
            assert word in line
    assert ran.err == "The brake is on, nothing is moved: 3 of 4 fell ill at once\n"


def test_the_limits_of_an_instance_are_set_and_taken_away(homing: CommandLine, fleet: ScriptedGateway):
    fleet.answer("PATCH", "/instances/1", instance())
    limits = ("--capacity", "0", "--memory-mb", "16000", "--sends", "40", "--label", "region=sg")
    assert homing("instances", "set", A, *limits).code == 0
    assert fleet.last.body == {
        "capacity": None,
        "memory_limit_mb": 16000.0,
        "sends_limit_per_s": 40.0,
        "labels": {"region": "sg"},
    }
    assert homing("instances", "set", A).code == 2


def test_moves_tell_fence_duration_and_steps(homing: CommandLine, gateway: ScriptedGateway):
    row = {
        "id": 7,
        "at": "2026-01-31T09:30:00Z",
        "kind": "rehome",
        "account_id": 144,
        "from_url": A,
        "to_url": B,
        "epoch": 8,
        "fence": "revoked",
        "duration_ms": 812,
        "steps": {"waited": 100, "start": 700},
        "reason": "it is down",
    }
    gateway.answer(
        "GET", "/moves", {"data": [row, row | {"fence": None, "duration_ms": None, "steps": {}}], "next": None}
    )
    _, first, second = homing("moves").out.splitlines()
    assert "revoked  0.81 s  waited 100, start 700  it is down" in first
    assert second.split()[-6:] == ["-", "-", "-", "it", "is", "down"]


def test_without_waiting_a_drain_says_what_cannot_leave_and_why(homing: CommandLine, fleet: ScriptedGateway):
    staying = [{"account_id": 142, "phone": "62811", "session_id": "s1", "reason": "its takeover is set to never"}]
    begun = draining(3, moving=3, leaving=2, staying=1, staying_sessions=staying)
    fleet.answer("POST", "/instances/1/drain", begun, 202)
    ran = homing("drain", "1", "--no-wait")
    assert ran.code == 1
    assert ran.err == f"1 session cannot leave {A} as things stand; 2 sessions are leaving\n"
    assert "its takeover is set to never" in ran.out
