"""What people want of the fleet as a whole: plans of moves, and whether it looks after itself."""

import asyncio
from typing import Any

import pytest

from homing.decide.fleet.brake import Engaged
from homing.flows.failover.automation import Automation
from homing.model.directory.access import Scope
from tests.flows.worlds import A, B, C
from tests.serve.conftest import Api
from tests.serve.test_fleet_api import Fleet, fleet, until  # noqa: F401 - a fixture


async def crowded(fleet: Fleet, number: int = 6) -> list[dict[str, Any]]:  # noqa: F811
    """So many accounts on A, and then all instances open."""
    for url in (B, C):
        await fleet.api.call("POST", f"/instances/{await fleet.number(url)}/drain")
    accounts = [await fleet.account(f"081610864{each}") for each in range(number)]
    assert {account["instance_url"] for account in accounts} == {A}
    for url in (B, C):
        await fleet.api.call("POST", f"/instances/{await fleet.number(url)}/undrain")
    return accounts


async def plan(fleet: Fleet, body: dict[str, Any]) -> dict[str, Any]:  # noqa: F811
    made = await fleet.api.call("POST", "/plans", body)
    assert made.status_code == 201, made.text
    return dict(made.json())


async def now(fleet: Fleet, made: dict[str, Any]) -> dict[str, Any]:  # noqa: F811
    return dict((await fleet.api.call("GET", f"/plans/{made['id']}")).json())


async def test_a_plan_is_a_dry_run_until_it_is_run(fleet: Fleet) -> None:  # noqa: F811
    accounts = await crowded(fleet)
    never = await fleet.api.call("PATCH", f"/accounts/{accounts[0]['id']}", {"takeover": "never"})
    assert never.status_code == 200
    made = await plan(fleet, {"kind": "empty", "instance_url": A, "budget": 1})
    assert (made["state"], made["moves"], made["waiting"], made["staying"]) == ("draft", 5, 5, 1)
    assert [step["order"] for step in made["steps"]] == [1, 2, 3, 4, 5]
    assert {step["to_url"] for step in made["steps"]} == {B, C}
    assert all(step["expected_gap_ms"] > 0 for step in made["steps"])
    assert made["stays"][0]["account_id"] == accounts[0]["id"]
    assert "never" in made["stays"][0]["reason"]
    assert await fleet.moves(kind="migration") == []
    assert [each["id"] for each in (await fleet.api.call("GET", "/plans")).json()["data"]] == [made["id"]]


async def test_a_plan_that_runs_moves_what_it_said_and_never_more_at_a_time_than_its_budget(
    fleet: Fleet,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await crowded(fleet)
    made = await plan(fleet, {"kind": "rebalance", "budget": 2})
    assert made["moves"] == 4
    rehoming = fleet.api.gateway.moving.plans
    asked: list[int] = []
    want = rehoming._wishes.want

    async def counted(wishes: Any) -> int:
        asked.append(len(wishes))
        return await want(wishes)

    monkeypatch.setattr(rehoming._wishes, "want", counted)
    ran = await fleet.api.call("POST", f"/plans/{made['id']}/run", {})
    assert (ran.status_code, ran.json()["state"]) == (202, "running")

    async def done() -> bool:
        return (await now(fleet, made))["state"] == "done"

    await until(done, within_s=30)
    over = await now(fleet, made)
    assert (over["moved"], over["moves"], over["stuck"], over["left"]) == (4, 4, 0, 0)
    assert len(await fleet.moves(kind="migration")) == 4
    assert max(asked) <= 2
    again = await fleet.api.call("POST", f"/plans/{made['id']}/run", {})
    assert again.status_code == 422


async def test_a_plan_that_is_stopped_begins_nothing_more_and_can_go_on(
    fleet: Fleet,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    await crowded(fleet)
    made = await plan(fleet, {"kind": "empty", "instance_url": A, "budget": 2})
    plans = fleet.api.gateway.moving.plans
    monkeypatch.setattr(plans, "_braked", lambda: "held for the test")
    await fleet.api.call("POST", f"/plans/{made['id']}/run", {"budget": 3})
    assert (await now(fleet, made))["waiting"] == 6, "the brake holds it"
    stopped = (await fleet.api.call("POST", f"/plans/{made['id']}/stop")).json()
    assert (stopped["state"], stopped["left"], stopped["budget"]) == ("stopped", 6, 3)
    monkeypatch.setattr(plans, "_braked", lambda: None)
    await asyncio.sleep(1.2)
    assert await fleet.moves(kind="migration") == []
    assert (await fleet.api.call("POST", f"/plans/{made['id']}/run", {})).json()["under_way"] == 3

    async def empty() -> bool:
        return int((await fleet.instance(A))["sessions"]) == 0

    await until(empty, within_s=30)


@pytest.mark.parametrize(
    ("body", "status"),
    [
        ({"kind": "empty"}, 422),
        ({"kind": "empty", "instance_url": "http://nowhere:1"}, 404),
        ({"kind": "rebalance", "budget": 0}, 422),
        ({"kind": "rebalance", "budget": 1_000}, 422),
        ({"kind": "sideways"}, 422),
    ],
)
async def test_what_cannot_be_planned_is_refused(api: Api, body: Any, status: int) -> None:
    assert (await api.call("POST", "/plans", body)).status_code == status


@pytest.mark.parametrize("path", ["/plans/0123", "/plans/0123/run", "/plans/0123/stop"])
async def test_a_plan_that_is_not_there_is_not_found(api: Api, path: str) -> None:
    method = "GET" if path.count("/") == 2 else "POST"
    assert (await api.call(method, path)).status_code == 404


async def test_steering_is_an_operators(api: Api) -> None:
    await api.key("local", Scope.ADMIN, 1)
    for key in ("local", "sender", "reader"):
        for method, path, body in (
            ("GET", "/plans", None),
            ("POST", "/plans", {"kind": "rebalance"}),
            ("GET", "/automation", None),
            ("PUT", "/automation", {"on": False}),
        ):
            assert (await api.call(method, path, body, key=key)).status_code == 403


# --- whether it looks after itself ----------------------------------------------------------------------------


async def test_while_automation_is_off_a_lost_instance_keeps_its_sessions(
    fleet: Fleet,  # noqa: F811
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    keeper = fleet.api.gateway.keeper
    turned = await fleet.api.call("PUT", "/automation", {"on": False})
    assert (turned.status_code, turned.json()["on"], turned.json()["by"]) == (200, False, "operator")
    looked: list[str] = []
    monkeypatch.setattr(keeper, "_gone", lambda judged: {A: judged[A]})

    async def wished(*_: Any) -> int:
        looked.append("wished")
        return 1

    monkeypatch.setattr(keeper, "_wish", wished)
    assert await keeper.look() == 0
    assert looked == []
    assert (await fleet.api.call("PUT", "/automation", {"on": True})).json()["on"] is True
    await until(lambda: _is(keeper.look))
    assert looked


async def _is(look: Any) -> bool:
    return bool(await look())


async def test_other_gateways_follow_and_a_new_one_begins_as_it_was_left(api: Api) -> None:
    await api.call("PUT", "/automation", {"on": False})
    other = Automation(api.gateway.stores.steering, api.gateway.clock, allowed=True)
    assert other.is_on()
    following = asyncio.create_task(other.run())
    await until(lambda: _not(other.is_on()))
    following.cancel()
    assert other.set.by == "operator"


async def _not(value: bool) -> bool:
    return not value


async def test_the_switch_turns_on_nothing_that_the_settings_keep_off(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(api.gateway.moving.automation, "allowed", False)
    refused = await api.call("PUT", "/automation", {"on": True})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_supported")
    assert "HOMING_AUTO_REHOME" in refused.json()["detail"]
    assert (await api.call("GET", "/automation")).json() == {"on": False, "allowed": False, "by": "", "since": None}


async def test_a_plan_waits_for_the_brake(fleet: Fleet, monkeypatch: pytest.MonkeyPatch) -> None:  # noqa: F811
    await crowded(fleet, 4)
    made = await plan(fleet, {"kind": "rebalance"})
    monkeypatch.setattr(fleet.api.gateway.keeper, "_brake", Engaged("3 of 3 fell ill at once", 0.0, 0.0))
    monkeypatch.setattr(fleet.api.gateway.keeper, "_hold_brake", lambda _: None)
    assert (await fleet.api.call("POST", f"/plans/{made['id']}/run", {})).json()["under_way"] == 0
