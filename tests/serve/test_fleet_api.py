"""Bringing sessions elsewhere, from outside: a whole gateway, with its keeper and its jobs, over a model world."""

import asyncio
import base64
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from homing.decide.fleet.brake import Engaged
from homing.model.directory.access import Scope
from homing.model.fleet import InstanceUrl, SessionId, SessionStatus
from homing.model.instances.vault import Grant, Holder
from homing.model.sends.faults import Fault, Phase
from homing.store.vault.sealing import KeyRing
from homing.store.vault.vault import SqlVault
from tests.flows.worlds import PLAIN, A, B, C
from tests.serve.conftest import Api

KEY = "k1:" + base64.b64encode(bytes(32)).decode()
LEASE_S = 30.0


@dataclass(slots=True)
class Fleet:
    """Three instances of our own, whose boots hold leases, and the vault that they share."""

    api: Api
    vault: SqlVault
    boots: dict[InstanceUrl, Holder]

    async def account(self, phone: str, **more: Any) -> dict[str, Any]:
        """An account that is linked, on the least used instance."""
        made = await self.api.call("POST", "/accounts", {"workspace_id": 1, "phone": phone, **more})
        assert made.status_code == 201, made.text
        account: dict[str, Any] = made.json()
        holder = self.boots[InstanceUrl(account["instance_url"])]
        grant = await self.vault.open(account["session_id"], epoch=account["epoch"], holder=holder)
        assert isinstance(grant, Grant)
        await self.vault.save(grant, {"linked": True})
        return account

    async def shown(self, account: dict[str, Any]) -> dict[str, Any]:
        return dict((await self.api.call("GET", f"/accounts/{account['id']}")).json())

    async def is_settled(self, account: dict[str, Any]) -> bool:
        return (await self.shown(account))["move"] is None

    async def number(self, url: InstanceUrl) -> int:
        return await number_of(self.api, url)

    async def instance(self, url: InstanceUrl) -> dict[str, Any]:
        return dict((await self.api.call("GET", f"/instances/{await self.number(url)}")).json())

    async def is_well(self, url: InstanceUrl) -> bool:
        """Whether nobody doubts it: the boots beat in this very loop, and are all late once it stood for a while."""
        return bool((await self.instance(url))["health"] == "healthy")

    async def moves(self, **filters: Any) -> list[dict[str, Any]]:
        query = "&".join(f"{name}={value}" for name, value in filters.items())
        return list((await self.api.call("GET", f"/moves?{query}")).json()["data"])

    async def unfit(self, path: str, to: InstanceUrl) -> tuple[int, str, str]:
        """The refusal of a place of which nothing but its limits can be wrong."""
        await until(lambda: self.is_well(to))
        return await self.refused(path, {"to": to})

    async def refused(self, path: str, body: Any, *, key: str = "operator") -> tuple[int, str, str]:
        answer = await self.api.call("POST", path, body, key=key)
        return answer.status_code, answer.json()["code"], answer.json()["detail"]


async def number_of(api: Api, url: InstanceUrl) -> int:
    rows = (await api.call("GET", "/instances")).json()["data"]
    return next(int(row["id"]) for row in rows if row["url"] == url)


@pytest.fixture
async def fleet(api: Api) -> AsyncIterator[Fleet]:
    boots = {url: Holder(url, f"boot-{name}") for name, url in zip("abc", (A, B, C), strict=True)}
    leases = api.gateway.stores.leases

    async def beat() -> None:
        while True:
            for boot in boots.values():
                await leases.renew(boot, expiry_s=LEASE_S)
            await asyncio.sleep(0.05)

    for boot in boots.values():
        await leases.begin(boot, expiry_s=LEASE_S)
    vault = await SqlVault.of(api.gateway.stores.database, KeyRing.read(KEY))
    beating = asyncio.create_task(beat())
    await until(lambda: _is_none(api.gateway.watching.may_grant()))
    made = Fleet(api, vault, boots)
    for url in boots:
        await until(lambda url=url: made.is_well(url))  # type: ignore[misc]
    yield made
    beating.cancel()
    with suppress(asyncio.CancelledError):
        await beating
    await vault.close()


async def _is_none(value: Any) -> bool:
    return value is None


async def until(over: Callable[[], Awaitable[bool]], within_s: float = 10.0) -> None:
    async with asyncio.timeout(within_s):
        while not await over():  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.02)


# --- draining -------------------------------------------------------------------------------------------------


async def test_draining_brings_every_session_elsewhere_and_tells_how_far_it_is(fleet: Fleet) -> None:
    accounts = [await fleet.account(f"081610864{number}") for number in range(6)]
    on_a = [account for account in accounts if account["instance_url"] == A]
    number = await fleet.number(A)
    begun = await fleet.api.call("POST", f"/instances/{number}/drain")
    assert (begun.status_code, begun.json()["state"], begun.json()["remaining"]) == (202, "draining", len(on_a))

    async def empty() -> bool:
        return bool((await fleet.instance(A))["draining"]["remaining"] == 0)

    await until(empty)
    for account in on_a:
        await until(lambda account=account: fleet.is_settled(account))  # type: ignore[misc]
        now = await fleet.shown(account)
        assert now["instance_url"] in (B, C)
        assert (now["epoch"], now["state"], now["status"]) == (2, "held", "connected")
    rows = await fleet.moves(kind="migration")
    assert {(row["from_url"], row["fence"], row["epoch"]) for row in rows} == {(A, "stopped", 2)}
    assert all(row["duration_ms"] is not None and {"stop", "grant", "start"} <= row["steps"].keys() for row in rows)
    assert await fleet.account("0816108649")
    assert (await fleet.instance(A))["sessions"] == 0
    assert (await fleet.api.call("POST", f"/instances/{number}/undrain")).json()["state"] == "active"
    assert (await fleet.instance(A))["draining"] is None


async def test_a_drain_with_nowhere_to_go_says_what_is_full(fleet: Fleet) -> None:
    account = await fleet.account("0816108641")
    for url in (B, C):
        await fleet.api.call("PATCH", f"/instances/{await fleet.number(url)}", {"labels": {"region": "us"}})
    await fleet.api.call("PATCH", f"/accounts/{account['id']}", {"requires": {"region": "sg"}})
    await fleet.api.call("POST", f"/instances/{await fleet.number(A)}/drain")

    async def explained() -> bool:
        return bool((await fleet.instance(A))["draining"]["delayed"])

    await until(explained)
    [reason] = (await fleet.instance(A))["draining"]["delayed"]
    assert "no instance has room" in reason
    assert B in reason
    assert (await fleet.shown(account))["move"]["reason"] == reason


async def test_a_foreign_gateway_drains_of_nothing_and_says_what_it_would_need(fleet: Fleet) -> None:
    account = await fleet.account("0816108641")
    fleet.api.world.instances[A].can = PLAIN
    fleet.api.gateway.fleet.doubt(A)
    drain = (await fleet.api.call("POST", f"/instances/{await fleet.number(A)}/drain")).json()
    assert (drain["remaining"], drain["stuck"]) == (1, 1)
    [stuck] = drain["stuck_sessions"]
    assert (stuck["account_id"], "share_credentials" in stuck["reason"]) == (account["id"], True)


# --- single accounts ------------------------------------------------------------------------------------------


async def test_an_account_migrates_to_the_place_that_was_named(fleet: Fleet) -> None:
    account = await fleet.account("0816108641")
    answer = await fleet.api.call("POST", f"/accounts/{account['id']}/migrate", {"to": C})
    assert (answer.status_code, answer.json()["from_url"], answer.json()["to_url"]) == (202, A, C)
    assert answer.json()["new"] is True

    async def there() -> bool:
        now = await fleet.shown(account)
        return (now["instance_url"], now["state"]) == (C, "held")

    await until(there)
    assert (await fleet.api.send(await fleet.shown(account))).status_code == 200
    status, code, _ = await fleet.refused(f"/accounts/{account['id']}/migrate", {"to": await fleet.number(C)})
    assert (status, code) == (409, "already_there")


@pytest.mark.parametrize(
    ("to", "status", "code", "field"),
    [
        ("http://nowhere:3001", 404, "instance_not_found", None),
        (99, 404, "instance_not_found", None),
        ("ftp:x", 422, "invalid_request", "to"),
        (0, 422, "invalid_request", "to"),
        (True, 422, "invalid_request", "to"),
        ({}, 422, "invalid_request", "to"),
    ],
)
async def test_a_place_that_is_none_is_refused(api: Api, to: Any, status: int, code: str, field: str | None) -> None:
    account = await api.account()
    answer = await api.call("POST", f"/accounts/{account['id']}/migrate", {"to": to})
    assert (answer.status_code, answer.json()["code"], answer.json().get("field")) == (status, code, field)


async def test_a_place_that_is_not_fit_is_refused_by_name(fleet: Fleet) -> None:
    account = await fleet.account("0816108641")
    other = await fleet.account("0816108642")
    assert other["instance_url"] == B
    path = f"/accounts/{account['id']}/migrate"
    await fleet.api.call("PATCH", f"/instances/{await fleet.number(B)}", {"capacity": 1})
    status, code, detail = await fleet.unfit(path, B)
    assert (status, code, f"{B} is full (1 of 1)" in detail) == (503, "no_capacity", True)
    await fleet.api.call("POST", f"/instances/{await fleet.number(C)}/drain")
    status, code, detail = await fleet.unfit(path, C)
    assert (status, code, f"{C} is draining" in detail) == (409, "instance_unfit", True)
    await fleet.api.call("PATCH", f"/accounts/{account['id']}", {"requires": {"proxy": "p1"}})
    await fleet.api.call("PATCH", f"/instances/{await fleet.number(B)}", {"capacity": None})
    status, code, detail = await fleet.unfit(path, B)
    assert (status, code, "proxy=p1" in detail) == (409, "instance_unfit", True)
    assert (await fleet.refused(path, {"to": None}))[:2] == (503, "no_capacity")
    assert (await fleet.shown(account))["move"] is None


async def test_what_is_fenced_by_nothing_is_refused_with_the_way_out(fleet: Fleet) -> None:
    made = await fleet.api.call("POST", "/accounts", {"workspace_id": 1, "phone": "0816108641"})
    foreign = made.json()
    fleet.api.world.lose(A, Fault(Phase.REFUSED))
    fleet.api.gateway.fleet.doubt(A)

    async def noticed() -> bool:
        return A in fleet.api.gateway.watching.unfit()

    await until(noticed)
    status, code, detail = await fleet.refused(f"/accounts/{foreign['id']}/rehome", None)
    assert (status, code, f"homing exited {A}" in detail) == (409, "not_fenced", True)


async def test_an_operator_brings_back_what_is_to_be_asked_for(fleet: Fleet) -> None:
    account = await fleet.account("0816108641", takeover="manual")
    fleet.api.world.lose(A, Fault(Phase.REPLY_TIMED_OUT))
    fleet.api.gateway.fleet.doubt(A)

    async def noticed() -> bool:
        return A in fleet.api.gateway.watching.unfit()

    await until(noticed)
    assert (await fleet.shown(account))["instance_url"] == A
    answer = await fleet.api.call("POST", f"/accounts/{account['id']}/rehome", {"force": False})
    assert answer.status_code == 202, answer.text

    async def back() -> bool:
        now = await fleet.shown(account)
        return now["instance_url"] != A and now["state"] == "held"

    await until(back)
    [move] = await fleet.moves(kind="rehome", account=account["id"])
    assert (move["from_url"], move["fence"]) == (A, "revoked")


async def test_what_nobody_is_to_move_is_moved_by_force_alone(fleet: Fleet) -> None:
    account = await fleet.account("0816108641", takeover="never")
    path = f"/accounts/{account['id']}/migrate"
    status, code, detail = await fleet.refused(path, {"to": B})
    assert (status, code, "never" in detail) == (409, "not_movable", True)
    assert (await fleet.api.call("POST", path, {"to": B, "force": True})).status_code == 202

    async def there() -> bool:
        return bool((await fleet.shown(account))["instance_url"] == B)

    await until(there)


async def test_an_account_says_what_it_requires_and_what_to_do_in_quarantine(fleet: Fleet) -> None:
    await fleet.api.call("PATCH", f"/instances/{await fleet.number(B)}", {"labels": {"region": "sg"}})
    account = await fleet.account("0816108641", requires={"region": "sg"}, takeover="manual")
    assert (account["instance_url"], account["requires"], account["reason"]) == (B, {"region": "sg"}, None)
    changed = await fleet.api.call("PATCH", f"/accounts/{account['id']}", {"requires": {}, "takeover": "auto"})
    assert (changed.json()["requires"], changed.json()["takeover"]) == ({}, "auto")
    session = SessionId(account["session_id"])
    await fleet.api.gateway.stores.directory.set_status(session, SessionStatus.QUARANTINED)
    shown = await fleet.shown(account)
    assert (shown["status"], "start the account" in shown["reason"]) == ("quarantined", True)
    assert (await fleet.refused(f"/accounts/{account['id']}/migrate", {}))[:2] == (409, "not_movable")


# --- instances ------------------------------------------------------------------------------------------------


async def test_the_word_that_an_instance_exited_brings_its_sessions_back_at_once(fleet: Fleet) -> None:
    accounts = [await fleet.account(f"081610864{number}") for number in range(3)]
    on_a = next(account for account in accounts if account["instance_url"] == A)
    fleet.api.world.lose(A, Fault(Phase.REFUSED))
    answer = await fleet.api.call("POST", "/instances/exited", {"url": "http://A:3001/", "incarnation": "boot-a"})
    assert answer.status_code == 202, answer.text
    assert (answer.json()["boots"], answer.json()["sessions"], answer.json()["staying"]) == (1, 1, {})

    async def back() -> bool:
        now = await fleet.shown(on_a)
        return now["instance_url"] != A and now["state"] == "held"

    await until(back)
    [move] = await fleet.moves(kind="rehome", account=on_a["id"])
    assert (move["fence"], move["epoch"]) == ("exited", 2)
    shown = await fleet.instance(A)
    assert (shown["lease"]["ended"], shown["lease"]["held"]) == ("exited", False)

    async def judged() -> bool:
        return bool((await fleet.instance(A))["health"] == "down")

    await until(judged)


async def test_an_instance_may_be_named_by_number_with_or_without_a_body(api: Api) -> None:
    number = await number_of(api, B)
    alive = await api.call("POST", f"/instances/{number}/exited")
    assert (alive.status_code, alive.json()["code"]) == (409, "still_answers"), "it holds no lease, and answers"
    api.world.lose(B)
    for body in (None, {}, {"incarnation": None}):
        answer = await api.call("POST", f"/instances/{number}/exited", body)
        assert (answer.status_code, answer.json()["instance_url"]) == (202, B)


async def test_instances_tell_health_lease_load_and_limits(fleet: Fleet) -> None:
    number = await fleet.number(A)
    limits = {"capacity": 5, "memory_limit_mb": 512.5, "sends_limit_per_s": 20, "name": "wa1", "labels": {"rack": "b"}}
    changed = (await fleet.api.call("PATCH", f"/instances/{number}", limits)).json()
    assert {name: changed[name] for name in limits} == limits
    await until(lambda: fleet.is_well(A))
    assert (await fleet.instance(A))["healthy"] is True
    assert changed["reason"]
    assert (changed["lease"]["held"], changed["lease"]["incarnation"]) == (True, "boot-a")
    assert changed["lease"]["left_s"] > LEASE_S / 2
    taken_away = (await fleet.api.call("PATCH", f"/instances/{number}", {"capacity": None})).json()
    assert (taken_away["capacity"], taken_away["memory_limit_mb"], taken_away["name"]) == (None, 512.5, "wa1")
    listed = (await fleet.api.call("GET", "/instances")).json()
    assert listed["brake"]["engaged"] is False
    assert listed["data"][0] | {"lease": None} == taken_away | {"lease": None, "reason": listed["data"][0]["reason"]}


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"capacity": 0}, "capacity"),
        ({"capacity": "many"}, "capacity"),
        ({"memory_limit_mb": -1}, "memory_limit_mb"),
        ({"sends_limit_per_s": 0}, "sends_limit_per_s"),
        ({"labels": {"": "x"}}, None),
        ({"labels": None}, "labels"),
        ({"url": "http://x:1"}, None),
    ],
)
async def test_limits_that_are_none_are_422(api: Api, changes: dict[str, Any], field: str | None) -> None:
    answer = await api.call("PATCH", f"/instances/{await number_of(api, A)}", changes)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    if field is not None:
        assert answer.json()["field"] == field


_FLEET_CALLS = [
    ("PATCH", "/instances/{}", {}),
    ("POST", "/instances/{}/drain", None),
    ("POST", "/instances/{}/undrain", None),
    ("POST", "/instances/{}/exited", {}),
    ("DELETE", "/instances/{}", None),
]


@pytest.mark.parametrize(("method", "path", "body"), _FLEET_CALLS)
async def test_an_instance_that_is_not_there_is_404(api: Api, method: str, path: str, body: Any) -> None:
    answer = await api.call(method, path.format(99), body)
    assert (answer.status_code, answer.json()["code"]) == (404, "instance_not_found")


@pytest.mark.parametrize(
    ("method", "path", "body"),
    [
        *_FLEET_CALLS,
        ("POST", "/instances/exited", {"url": A}),
        ("POST", "/rebalance", {"dry_run": True}),
    ],
)
async def test_the_fleet_is_an_operator_s(api: Api, method: str, path: str, body: Any) -> None:
    path = path.format(await number_of(api, A))
    await api.key("local", Scope.ADMIN, 1)
    for key in ("local", "sender", "reader"):
        answer = await api.call(method, path, body, key=key)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_a_workspace_moves_its_own_accounts_and_names_no_place(fleet: Fleet) -> None:
    account = await fleet.account("0816108641")
    await fleet.api.key("local", Scope.ADMIN, 1)
    path = f"/accounts/{account['id']}/migrate"
    assert (await fleet.refused(path, {"to": B}, key="local"))[:2] == (403, "forbidden")
    assert (await fleet.refused(path, {}, key="sender"))[:2] == (403, "forbidden")
    assert (await fleet.refused(path, {}, key="stranger"))[:2] == (404, "account_not_found")
    assert (await fleet.api.call("POST", path, {}, key="local")).status_code == 202


@pytest.mark.parametrize("url", ["", "nonsense", "ftp://a:1", 5])
async def test_an_address_that_is_none_has_not_exited(api: Api, url: Any) -> None:
    answer = await api.call("POST", "/instances/exited", {"url": url})
    assert (answer.status_code, answer.json()["field"]) == (422, "url")
    answer = await api.call("POST", "/instances/exited", {"url": "http://nowhere:1"})
    assert (answer.status_code, answer.json()["code"]) == (404, "instance_not_found")


# --- balance, brake, figures ----------------------------------------------------------------------------------


async def test_a_plan_is_shown_then_carried_out_and_leaves_nothing_to_plan(fleet: Fleet) -> None:
    for url in (B, C):
        await fleet.api.call("POST", f"/instances/{await fleet.number(url)}/drain")
    accounts = {account["id"]: account for account in [await fleet.account(f"081610864{n}") for n in range(6)]}
    for url in (B, C):
        await fleet.api.call("POST", f"/instances/{await fleet.number(url)}/undrain")
    plan = (await fleet.api.call("POST", "/rebalance", {"dry_run": True})).json()
    assert (plan["dry_run"], plan["begun"]) == (True, None)
    assert [move["order"] for move in plan["moves"]] == [1, 2, 3, 4]
    first = plan["moves"][0]
    assert (first["from_url"], first["phone"]) == (A, accounts[first["account_id"]]["phone"])
    assert A in first["why"]
    assert first["expected_gap_ms"] > 0
    assert await fleet.moves(kind="migration") == []
    begun = (await fleet.api.call("POST", "/rebalance", {})).json()
    assert (begun["dry_run"], begun["begun"]) == (False, 4)

    async def even() -> bool:
        rows = (await fleet.api.call("GET", "/instances")).json()["data"]
        return [row["sessions"] for row in rows] == [2, 2, 2] and len(await fleet.moves(kind="migration")) == 4

    await until(even)
    again = (await fleet.api.call("POST", "/rebalance", {"dry_run": True})).json()
    assert (again["moves"], "nothing to move" in again["reason"]) == ([], True)


async def test_the_brake_is_seen_and_nothing_is_balanced_meanwhile(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(fleet.api.gateway.keeper, "_brake", Engaged("3 of 3 fell ill at once", 0.0, 0.0))
    monkeypatch.setattr(fleet.api.gateway.keeper, "_hold_brake", lambda: None)
    brake = (await fleet.api.call("GET", "/instances")).json()["brake"]
    assert brake == {"engaged": True, "reason": "3 of 3 fell ill at once"}
    answer = await fleet.api.call("POST", "/rebalance", {})
    assert (answer.status_code, answer.json()["code"]) == (503, "brake_engaged")
    assert answer.headers["Retry-After"]
    assert (await fleet.api.call("POST", "/rebalance", {"dry_run": True})).status_code == 202
    assert "homing_brake_engaged 1.0" in (await fleet.api.client.get("/metrics")).text


async def test_figures_of_the_fleet_are_there_from_the_start_and_follow_it(fleet: Fleet) -> None:
    text = (await fleet.api.client.get("/metrics")).text
    for line in (
        'homing_instance_state{instance="a:3001",state="healthy"} 1.0',
        'homing_instance_state{instance="a:3001",state="down"} 0.0',
        "homing_brake_engaged 0.0",
        "homing_waiting_sends 0.0",
        'homing_rehome_seconds_count{kind="rehome"} 0.0',
        'homing_moves_total{kind="migration"} 0.0',
    ):
        assert line in text
    account = await fleet.account("0816108641")
    await fleet.api.call("POST", f"/accounts/{account['id']}/migrate", {"to": B})

    async def counted() -> bool:
        return 'homing_rehome_seconds_count{kind="migration"} 1.0' in (await fleet.api.client.get("/metrics")).text

    await until(counted)
    assert 'homing_moves_total{kind="migration"} 1.0' in (await fleet.api.client.get("/metrics")).text


async def test_a_drain_says_at_once_what_can_leave_and_what_cannot(fleet: Fleet) -> None:
    never = await fleet.account("0816108641", takeover="never")
    await fleet.account("0816108642")
    await fleet.account("0816108643")
    goes = await fleet.account("0816108644")
    assert never["instance_url"] == goes["instance_url"] == A
    begun = (await fleet.api.call("POST", f"/instances/{await fleet.number(A)}/drain")).json()
    assert (begun["leaving"], begun["staying"]) == (1, 1)
    [stays] = begun["staying_sessions"]
    assert (stays["account_id"], stays["reason"]) == (never["id"], "its takeover is set to never")


async def test_a_move_that_is_done_later_keeps_the_trace_of_whoever_asked_for_it(fleet: Fleet) -> None:
    account = await fleet.account("0816108641")
    trace = "4bf92f3577b34da6a3ce929d0e0e4736"
    headers = {
        "Authorization": f"Bearer {fleet.api.keys['operator']}",
        "traceparent": f"00-{trace}-00f067aa0ba902b7-01",
    }
    answer = await fleet.api.client.post(f"/api/v1/accounts/{account['id']}/migrate", json={}, headers=headers)
    assert answer.status_code == 202

    async def moved() -> bool:
        return bool(await fleet.moves(kind="migration"))

    await until(moved)
    [move] = await fleet.moves(kind="migration")
    assert move["trace_id"] == trace
