"""The other resources, from outside."""

import asyncio
from typing import Any

import pytest
from structlog.testing import capture_logs

from homing.model.fleet import SessionId
from homing.model.sends.faults import Fault, Phase
from tests.flows.worlds import A, B, C
from tests.serve.conftest import Api


async def test_an_account_is_placed_on_the_least_loaded_healthy_instance(api: Api) -> None:
    first = await api.account(phone="0816108641")
    second = await api.account(phone="0816108642")
    api.world.instances[C].down = Fault(Phase.REFUSED)
    third = await api.account(phone="0816108643")
    assert [account["instance_url"] for account in (first, second, third)] == [A, B, A]
    assert (first["epoch"], first["status"]) == (1, "connected")


async def test_no_healthy_instance_is_told_with_what_is_wrong_with_each(api: Api) -> None:
    for url in (A, B, C):
        api.world.instances[url].down = Fault(Phase.REFUSED)
    answer = await api.call("POST", "/accounts", {"workspace_id": 1, "phone": "0816108641"})
    assert (answer.status_code, answer.json()["code"]) == (503, "no_capacity")
    assert "http://b:3001 " in answer.json()["detail"]


async def test_a_phone_belongs_to_one_account_of_a_workspace(api: Api) -> None:
    await api.account()
    answer = await api.call("POST", "/accounts", {"workspace_id": 1, "phone": "0816108641"})
    assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")
    assert (await api.call("POST", "/accounts", {"workspace_id": 2, "phone": "0816108641"})).status_code == 201


async def test_the_life_of_a_session(api: Api) -> None:
    account = await api.account()
    path = f"/accounts/{account['uuid']}"
    stopped = (await api.call("POST", f"{path}/stop")).json()
    assert (stopped["status"], stopped["instance_url"]) == ("stopped", A)
    started = (await api.call("POST", f"{path}/start")).json()
    assert (started["status"], started["epoch"]) == ("connected", 2)
    restarted = (await api.call("POST", f"{path}/restart")).json()
    assert restarted["epoch"] == 3
    code = (await api.call("GET", f"{path}/qr")).json()
    assert (code["qr"], code["code"], code["expires_in"], code["expired"]) == ("qr", "ABCD-1234", 300, False)
    assert (await api.call("POST", f"{path}/logout")).json()["status"] == "logged_out"
    assert (await api.call("DELETE", path)).status_code == 204
    assert (await api.call("GET", path)).status_code == 404


async def test_a_running_account_is_not_deleted(api: Api) -> None:
    account = await api.account()
    assert (await api.call("DELETE", f"/accounts/{account['id']}")).status_code == 409


@pytest.mark.parametrize("path", ["/accounts/999", "/accounts/none", "/contacts/none", "/messages/none"])
async def test_what_is_not_there_is_404_with_its_code(api: Api, path: str) -> None:
    answer = await api.call("GET", path)
    assert answer.status_code == 404
    assert answer.json()["code"].endswith("_not_found")


async def test_every_resource_of_another_workspace_is_not_there(api: Api) -> None:
    account = await api.account()
    contact = (await api.call("POST", "/contacts", {"workspace_id": 1, "phone": "0811801641"})).json()
    await api.call("POST", f"/accounts/{account['id']}/stop")
    reached = [
        await api.call("GET", f"/accounts/{account['uuid']}", key="stranger"),
        await api.call("GET", f"/accounts/{account['id']}", key="stranger"),
        await api.call("POST", f"/accounts/{account['id']}/start", key="stranger"),
        await api.call("DELETE", f"/accounts/{account['id']}", key="stranger"),
        await api.call("GET", f"/contacts/{contact['uuid']}", key="stranger"),
        await api.call("DELETE", f"/contacts/{contact['uuid']}", key="stranger"),
    ]
    assert {answer.status_code for answer in reached} == {404}
    for listing in ("/accounts", "/contacts", "/moves", "/messages"):
        assert (await api.call("GET", listing, key="stranger")).json()["data"] == []


async def test_pages_go_on_where_the_last_one_ended(api: Api) -> None:
    for number in range(5):
        await api.call("POST", "/contacts", {"workspace_id": 1, "phone": f"081180164{number}"})
    first = (await api.call("GET", "/contacts?limit=3")).json()
    second = (await api.call("GET", f"/contacts?limit=3&after={first['next']}")).json()
    assert (len(first["data"]), len(second["data"]), second["next"]) == (3, 2, None)


@pytest.mark.parametrize(
    "query", ["limit=0", "limit=501", "after=-1", "limit=x", "status=nonsense", "instance_url=ftp:x"]
)
async def test_bad_queries_are_422(api: Api, query: str) -> None:
    answer = await api.call("GET", f"/accounts?{query}")
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


@pytest.mark.parametrize("body", [{"phone": "x"}, {"phone": 5}, {}, {"phone": "0816108641", "more": 1}, []])
async def test_bad_bodies_are_422(api: Api, body: Any) -> None:
    answer = await api.call("POST", "/accounts", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_instances_join_and_leave_the_fleet(api: Api) -> None:
    from homing.model.fleet import InstanceUrl
    from tests.flows.worlds import ModelInstance

    api.world.instances[InstanceUrl("http://d:3001")] = ModelInstance(InstanceUrl("http://d:3001"))
    added = (await api.call("POST", "/instances", {"url": "http://D:3001/", "capacity": 5})).json()
    assert (added["url"], added["capacity"], added["healthy"]) == ("http://d:3001", 5, True)
    assert (await api.call("POST", "/instances", {"url": "http://d:3001"})).status_code == 409
    assert (await api.call("POST", "/instances", {"url": "nonsense"})).json()["field"] == "url"
    assert (await api.call("POST", "/instances", {"url": "http://e:1", "driver": "fax"})).json()["field"] == "driver"
    listed = (await api.call("GET", "/instances")).json()["data"]
    assert [row["url"] for row in listed] == [A, B, C, "http://d:3001"]
    assert (await api.call("DELETE", f"/instances/{added['id']}")).status_code == 204
    assert (await api.call("DELETE", f"/instances/{added['id']}")).status_code == 404


async def test_an_instance_with_sessions_does_not_leave(api: Api) -> None:
    await api.account()
    [first, *_] = (await api.call("GET", "/instances")).json()["data"]
    answer = await api.call("DELETE", f"/instances/{first['id']}")
    assert (answer.status_code, answer.json()["code"]) == (409, "instance_in_use")


async def test_a_workspaces_admin_does_not_change_the_fleet(api: Api) -> None:
    answer = await api.call("POST", "/instances", {"url": "http://d:1"}, key="stranger")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_the_distribution_names_phones_by_instance(api: Api) -> None:
    await api.account(phone="0816108641")
    await api.account(phone="62811801641")
    rows = (await api.call("GET", "/distribution")).json()["data"]
    assert rows[0] == {"instance_url": A, "session_count": 1, "phones": ["0816108641"]}
    assert rows[2] == {"instance_url": C, "session_count": 0, "phones": []}


async def test_keys_are_made_shown_once_and_revoked_at_once(api: Api) -> None:
    made = (await api.call("POST", "/keys", {"name": "shop", "scope": "read", "workspace_id": 1})).json()
    api.keys["shop"] = made["key"]
    assert (await api.call("GET", "/accounts", key="shop")).status_code == 200
    listed = (await api.call("GET", "/keys")).json()["data"]
    assert all("key" not in row for row in listed)
    assert (await api.call("DELETE", f"/keys/{made['id']}")).status_code == 204
    assert (await api.call("GET", "/accounts", key="shop")).status_code == 401


async def test_the_cache_is_seen_and_emptied(api: Api) -> None:
    account = await api.account()
    await api.send(account)
    await api.send(account)
    stats = (await api.call("GET", "/cache")).json()
    assert (stats["entries"], stats["hits"] >= 1, stats["enabled"]) == (1, True, True)
    forgotten = await api.call("POST", "/cache/forget", {"session_id": account["session_id"]})
    assert forgotten.json()["forgotten"] == account["uuid"]
    assert (await api.call("GET", "/cache")).json()["entries"] == 0
    await api.send(account)
    assert (await api.call("POST", "/cache/clear")).json() == {"success": True, "cleared": 1}
    assert (await api.call("GET", "/cache")).json()["entries"] == 0


async def test_a_status_about_to_change_is_asked_for_when_shown(api: Api) -> None:
    from homing.model.fleet import SessionStatus

    account = await api.account()
    session = SessionId(account["session_id"])
    await api.gateway.stores.directory.set_status(session, SessionStatus.PAIRING)
    assert (await api.call("GET", f"/accounts/{account['id']}")).json()["status"] == "connected"


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics", "/docs", "/docs/openapi.json"])
async def test_probes_and_documentation_need_no_key(api: Api, path: str) -> None:
    assert (await api.client.get(path)).status_code == 200


async def test_figures_are_there_from_the_start(api: Api) -> None:
    text = (await api.client.get("/metrics")).text
    for line in (
        'homing_sends_total{outcome="sent"} 0.0',
        "homing_directory_reads_total 0.0",
        "homing_route_cache_hits_total 0.0",
        "homing_route_cache_misses_total 0.0",
        "homing_send_seconds_count 0.0",
        'homing_instance_calls_total{call="list",instance="a:3001"} 0.0',
        'homing_moves_total{kind="rediscovery"} 0.0',
    ):
        assert line in text


async def test_what_is_nowhere_is_a_problem_document(api: Api) -> None:
    answer = await api.client.get("/api/v1/nothing")
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")
    answer = await api.client.put("/api/v1/accounts")
    assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed")


async def test_a_sync_answers_with_the_counts_and_the_changes(api: Api) -> None:
    account = await api.account()
    session = SessionId(account["session_id"])
    api.world.instances[A].sessions.pop(session)
    api.world.hold(B, session, epoch=2)
    plan = (await api.call("POST", "/sync", {"dry_run": True})).json()
    assert (plan["updated"], plan["dry_run"]) == (1, True)
    assert (await api.call("GET", f"/accounts/{account['id']}")).json()["instance_url"] == A
    report = (await api.call("POST", "/sync", {"checks": True})).json()
    [update] = report["updates"]
    assert (update["account"], update["phone"], update["old"], update["new"]) == (account["id"], "0816108641", A, B)
    assert report["instance_calls"] == 3
    assert [check["result"] for check in report["checks"]] == ["updated"]
    assert (await api.call("GET", f"/accounts/{account['id']}")).json()["instance_url"] == B


async def test_a_workspaces_admin_does_not_sync_the_fleet(api: Api) -> None:
    assert (await api.call("POST", "/sync", {}, key="stranger")).status_code == 403


async def test_what_is_on_an_instance_that_cannot_be_reached_is_not_called_connected(api: Api) -> None:
    account = await api.account()
    shown = (await api.call("GET", f"/accounts/{account['id']}")).json()
    assert (shown["status"], shown["status_age_s"] < 5) == ("connected", True)
    assert [row["connected"] for row in (await api.call("GET", "/instances")).json()["data"]] == [1, 0, 0]
    api.world.instances[A].down = Fault(Phase.REFUSED)
    assert [row["connected"] for row in (await api.call("GET", "/instances")).json()["data"]] == [0, 0, 0]
    async with asyncio.timeout(10):
        while A not in api.gateway.watching.down():  # noqa: ASYNC110 - the watch tells nobody
            await asyncio.sleep(0.05)
    shown = (await api.call("GET", f"/accounts/{account['id']}")).json()
    assert (shown["status"], f"{A} cannot be reached now" in shown["reason"]) == ("unknown", True)
    assert (await api.call("GET", "/accounts?status=connected")).json()["data"] == []
    assert len((await api.call("GET", "/accounts?status=unknown")).json()["data"]) == 1
    [row, *_] = (await api.call("GET", "/distribution")).json()["data"]
    assert (row["session_count"], row["phones"]) == (0, [])


async def test_stopping_what_is_stopped_changes_nothing(api: Api) -> None:
    account = await api.account()
    for _ in range(2):
        stopped = await api.call("POST", f"/accounts/{account['uuid']}/stop")
        assert (stopped.status_code, stopped.json()["status"]) == (200, "stopped")


async def test_a_stopped_account_has_no_code_and_nothing_to_log_out(api: Api) -> None:
    account = await api.account()
    assert (await api.call("POST", f"/accounts/{account['id']}/stop")).status_code == 200
    for method, what in (("GET", "qr"), ("POST", "qr"), ("POST", "logout")):
        answer = await api.call(method, f"/accounts/{account['id']}/{what}")
        assert (answer.status_code, answer.json()["code"]) == (409, "session_stopped")


async def test_requests_without_a_valid_key_leave_one_line_for_each_address(api: Api) -> None:
    with capture_logs() as lines:
        for _ in range(5):
            wrong = {"Authorization": "Bearer hk_wrong"}
            assert (await api.client.get("/api/v1/accounts", headers=wrong)).status_code == 401
            assert (await api.client.post("/api/v1/messages/send", json={}, headers=wrong)).status_code == 401
            assert (await api.client.post("/login", json={"token": "hk_wrong"})).status_code in (401, 404)
    [line] = [line for line in lines if "valid key" in line["event"]]
    assert line["address"] == "127.0.0.1"
    assert "hk_wrong" not in str(line)
