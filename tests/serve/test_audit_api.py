"""Whoever changes anything through the API is in the audit log with it, on any endpoint that there is.

The endpoints are those of the OpenAPI document, so that a new one cannot be forgotten: it must be asked for here, and
leave an entry, or be named among those that change nothing of the fleet, of accounts, keys or settings.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from datetime import timedelta
from typing import Any

import httpx
import pytest

from homing.flows.recycling.recycling import Supervisor
from homing.model.directory.access import Scope
from homing.model.fleet import AccountUuid, SessionId, SessionStatus, WorkspaceId
from homing.model.sends.calls import PairingCode
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.messages import MessageRecord, MessageState
from homing.ports import Page
from homing.store.records.audit import SqlAudit
from tests.flows.worlds import A, B, C
from tests.serve.conftest import Api
from tests.serve.test_fleet_api import Fleet, fleet, number_of, until  # noqa: F401 - a fixture

LEAVES_NONE = {
    "POST /api/v1/accounts/{ref}/check-number": "a question to a gateway, which changes nothing",
    "POST /api/v1/accounts/{ref}/mark-read": "shown to a chat; nothing of ours changes",
    "POST /api/v1/accounts/{ref}/typing": "shown to a chat; nothing of ours changes",
    "POST /api/v1/media": "a file is no change of the fleet, and named by whoever sends it",
    "POST /api/v1/messages/send": "a message is no change of the fleet; what did not simply succeed is in /messages",
    "POST /api/v1/messages": "neither is one that is sent later; it is in /messages",
    "POST /api/v1/endpoints/{endpoint_id}/test": "a trial changes nothing; it is in /deliveries",
    "POST /api/v1/receivers/{ref}/test": "a trial changes nothing",
    "POST /api/v1/deliveries/replay": "what happened is told again; it is in /deliveries",
    "POST /api/v1/deliveries/{number}/replay": "what happened is told again; it is in /deliveries",
}
FOR_INSTANCES = "for instances"
"""What instances report of themselves: facts, and nobody's wish."""

Ask = Callable[[Api], Awaitable[httpx.Response]]
ASKED: dict[str, Ask] = {}


def asks(operation: str) -> Callable[[Ask], Ask]:
    def noted(ask: Ask) -> Ask:
        ASKED[operation] = ask
        return ask

    return noted


def on_an_account(operation: str, body: Any = None) -> None:
    """Of an account that was just made and runs."""
    method, _, path = operation.partition(" /api/v1")

    async def ask(api: Api) -> httpx.Response:
        account = await api.account()
        return await api.call(method, path.replace("{ref}", str(account["id"])), body)

    ASKED[operation] = ask


def on_an_instance(operation: str, body: Any = None) -> None:
    method, _, path = operation.partition(" /api/v1")

    async def ask(api: Api) -> httpx.Response:
        return await api.call(method, path.replace("{number}", str(await number_of(api, C))), body)

    ASKED[operation] = ask


def plainly(operation: str, body: Any = None) -> None:
    method, _, path = operation.partition(" /api/v1")
    ASKED[operation] = lambda api: api.call(method, path, body)


plainly("POST /api/v1/accounts", {"workspace_id": 1, "phone": "0816108641"})
on_an_account("PATCH /api/v1/accounts/{ref}", {"takeover": "never"})
on_an_account("POST /api/v1/accounts/{ref}/start")
on_an_account("POST /api/v1/accounts/{ref}/stop")
on_an_account("POST /api/v1/accounts/{ref}/restart")
on_an_account("POST /api/v1/accounts/{ref}/logout")
on_an_account("POST /api/v1/accounts/{ref}/migrate", {"to": B})
plainly("POST /api/v1/accounts/start")
plainly("POST /api/v1/contacts", {"workspace_id": 1, "phone": "+62811801641"})
on_an_instance("PATCH /api/v1/instances/{number}", {"capacity": 7})
on_an_instance("DELETE /api/v1/instances/{number}")
on_an_instance("POST /api/v1/instances/{number}/drain")
on_an_instance("POST /api/v1/instances/{number}/undrain")
plainly("POST /api/v1/rebalance", {"dry_run": False})
plainly("PUT /api/v1/automation", {"on": True})
plainly("POST /api/v1/plans", {"kind": "rebalance"})
plainly("POST /api/v1/sync", {})
plainly("POST /api/v1/cache/clear")
plainly("POST /api/v1/keys", {"name": "shop", "workspace_id": 1})


@asks("POST /api/v1/plans/{plan_id}/run")
async def _(api: Api) -> httpx.Response:
    return await api.call("POST", f"/plans/{await _a_plan(api)}/run")


@asks("POST /api/v1/plans/{plan_id}/stop")
async def _(api: Api) -> httpx.Response:
    made = await _a_plan(api)
    await api.call("POST", f"/plans/{made}/run")
    return await api.call("POST", f"/plans/{made}/stop")


async def _a_plan(api: Api) -> str:
    """Of an instance with one session, which waits for whatever its turn is."""
    account = await api.account()
    api.gateway.moving.plans._braked = lambda: "held for the test"
    made = await api.call("POST", "/plans", {"kind": "empty", "instance_url": account["instance_url"]})
    assert made.json()["moves"] == 1, made.text
    return str(made.json()["id"])


@asks("POST /api/v1/instances/{number}/recycle")
async def _(api: Api) -> httpx.Response:
    api.gateway.moving.recycling._supervisor = Supervisor("http://supervisor:9000/hook", b"s" * 32)
    return await api.call("POST", f"/instances/{await number_of(api, C)}/recycle")


@asks("DELETE /api/v1/accounts/{ref}")
async def _(api: Api) -> httpx.Response:
    account = await api.account()
    return await api.call("DELETE", f"/accounts/{account['id']}?force=true")


@asks("POST /api/v1/accounts/{ref}/accept-phone")
async def _(api: Api) -> httpx.Response:
    made = await api.account()
    directory = api.gateway.stores.directory
    account = await directory.account(None, id=made["id"])
    assert account is not None
    await directory.set_mismatch(account, "62811000007")
    return await api.call("POST", f"/accounts/{made['id']}/accept-phone")


@asks("POST /api/v1/accounts/{ref}/pairing-link")
async def _pairing_link(api: Api) -> httpx.Response:
    account = await api.account()
    await api.gateway.stores.directory.set_status(SessionId(account["session_id"]), SessionStatus.PAIRING)
    return await api.call("POST", f"/accounts/{account['id']}/pairing-link", {})


@asks("POST /api/v1/accounts/{ref}/qr")
async def _(api: Api) -> httpx.Response:
    account = await api.account()

    async def pairing(*_: object, **__: object) -> PairingCode:
        return PairingCode("2@code", None, 60, connected=False)

    for name in ("pairing", "renew_pairing"):
        setattr(api.world, name, pairing)
    return await api.call("POST", f"/accounts/{account['id']}/qr")


@asks("POST /api/v1/cache/forget")
async def _(api: Api) -> httpx.Response:
    account = await api.account()
    return await api.call("POST", "/cache/forget", {"account_uuid": account["uuid"]})


@asks("DELETE /api/v1/contacts/{uuid}")
async def _(api: Api) -> httpx.Response:
    made = await api.call("POST", "/contacts", {"workspace_id": 1, "phone": "+62811801641"})
    return await api.call("DELETE", f"/contacts/{made.json()['uuid']}")


@asks("POST /api/v1/instances")
async def _(api: Api) -> httpx.Response:
    await api.call("DELETE", f"/instances/{await number_of(api, C)}")
    return await api.call("POST", "/instances", {"url": C})


@asks("POST /api/v1/instances/exited")
async def _(api: Api) -> httpx.Response:
    api.world.lose(B, Fault(Phase.REFUSED))
    return await api.call("POST", "/instances/exited", {"url": B})


@asks("POST /api/v1/instances/{number}/exited")
async def _(api: Api) -> httpx.Response:
    api.world.lose(B, Fault(Phase.REFUSED))
    return await api.call("POST", f"/instances/{await number_of(api, B)}/exited")


async def of_a_key(api: Api, method: str, way: str = "", body: Any = None) -> httpx.Response:
    await api.key("other", Scope.READ, 1)
    return await api.call(method, f"/keys/{api.keys['other'].split('_')[1]}{way}", body)


ASKED["PATCH /api/v1/keys/{key_id}"] = lambda api: of_a_key(api, "PATCH", body={"name": "x"})
ASKED["DELETE /api/v1/keys/{key_id}"] = lambda api: of_a_key(api, "DELETE")
ASKED["POST /api/v1/keys/{key_id}/rotate"] = lambda api: of_a_key(api, "POST", "/rotate")


on_an_account("POST /api/v1/accounts/{ref}/outbox/go")


@asks("POST /api/v1/messages/{uuid}/cancel")
async def _(api: Api) -> httpx.Response:
    account = await api.account()
    later = (api.gateway.clock.now() + timedelta(days=1)).isoformat()
    body = {"workspace_id": 1, "account_uuid": account["uuid"], "phone": "+62811801641", "message": "m"}
    accepted = await api.call("POST", "/messages", {**body, "send_at": later})
    return await api.call("POST", f"/messages/{accepted.json()['message_uuid']}/cancel")


async def of_a_batch(api: Api, *actions: str) -> httpx.Response:
    account = await api.account()
    later = (api.gateway.clock.now() + timedelta(days=1)).isoformat()
    query = {"account_uuid": account["uuid"], "workspace_id": 1, "send_at": later}
    headers = {"Authorization": f"Bearer {api.keys['operator']}", "Content-Type": "text/csv"}
    body = "phone,message\n+62811801641,m\n"
    answer = await api.client.post("/api/v1/messages/bulk", content=body, params=query, headers=headers)
    batch = answer.json()["batch_id"]
    for action in actions:
        answer = await api.call("POST", f"/batches/{batch}/{action}")
    return answer


ASKED["POST /api/v1/messages/bulk"] = lambda api: of_a_batch(api)
ASKED["POST /api/v1/batches/{batch_id}/pause"] = lambda api: of_a_batch(api, "pause")
ASKED["POST /api/v1/batches/{batch_id}/resume"] = lambda api: of_a_batch(api, "pause", "resume")
ASKED["POST /api/v1/batches/{batch_id}/cancel"] = lambda api: of_a_batch(api, "cancel")
on_an_account("PUT /api/v1/accounts/{ref}/pace", {"preset": "careful"})
on_an_account("DELETE /api/v1/accounts/{ref}/pace")
ASKED["PUT /api/v1/workspaces/{number}/pace"] = lambda api: api.call("PUT", "/workspaces/1/pace", {"per_day": 9})
ASKED["DELETE /api/v1/workspaces/{number}/pace"] = lambda api: api.call("DELETE", "/workspaces/1/pace")
plainly("POST /api/v1/suppressions", {"workspace_id": 1, "phones": ["+62811801641"]})


@asks("DELETE /api/v1/suppressions/{opted_out}")
async def _(api: Api) -> httpx.Response:
    await api.call("POST", "/suppressions", {"workspace_id": 1, "phones": ["+62811801641"]})
    return await api.call("DELETE", "/suppressions/+62811801641?workspace_id=1")


@asks("POST /api/v1/messages/{uuid}/settle")
async def _(api: Api) -> httpx.Response:
    now = api.gateway.clock.now()
    record = MessageRecord(
        "m-1", WorkspaceId(1), AccountUuid("a"), "3EB0", "628", "hi", MessageState.UNKNOWN, "unknown", "cut", 1, None,
        now, now,
    )  # fmt: skip
    await api.gateway.stores.messages.record(record)
    return await api.call("POST", "/messages/m-1/settle", {"action": "mark_sent"})


@asks("PATCH /api/v1/workspaces/{number}")
async def _(api: Api) -> httpx.Response:
    await api.key("other", Scope.READ, 1)
    return await api.call("PATCH", "/workspaces/1", {"region": "BR"})


async def of_an_endpoint(api: Api, method: str, way: str = "", body: Any = None) -> httpx.Response:
    made = await api.call("POST", "/endpoints", {"workspace_id": 1, "url": "http://127.0.0.1:8009/hook"})
    return await api.call(method, f"/endpoints/{made.json()['id']}{way}", body)


async def of_a_receiver(api: Api, method: str, way: str = "") -> httpx.Response:
    body = {"name": "on call", "kind": "webhook", "target": "http://127.0.0.1:8009/alerts"}
    made = await api.call("POST", "/receivers", body)
    return await api.call(method, f"/receivers/{made.json()['id']}{way}")


plainly("POST /api/v1/endpoints", {"workspace_id": 1, "url": "http://127.0.0.1:8009/hook"})
ASKED["PATCH /api/v1/endpoints/{endpoint_id}"] = lambda api: of_an_endpoint(api, "PATCH", body={"name": "shop"})
ASKED["DELETE /api/v1/endpoints/{endpoint_id}"] = lambda api: of_an_endpoint(api, "DELETE")
ASKED["POST /api/v1/endpoints/{endpoint_id}/rotate"] = lambda api: of_an_endpoint(api, "POST", "/rotate")
plainly("POST /api/v1/receivers", {"name": "on call", "kind": "webhook", "target": "http://127.0.0.1:8009/alerts"})
ASKED["DELETE /api/v1/receivers/{ref}"] = lambda api: of_a_receiver(api, "DELETE")
plainly("POST /api/v1/silences", {"kind": "instance_gone"})


@asks("DELETE /api/v1/silences/{ref}")
async def _(api: Api) -> httpx.Response:
    made = await api.call("POST", "/silences", {"kind": "instance_gone"})
    return await api.call("DELETE", f"/silences/{made.json()['id']}")


BY_ITSELF = {
    "POST /api/v1/accounts/{ref}/rehome",
    "POST /api/v1/instances/adopt",
    "POST /api/v1/instances/{number}/connect-webhooks",
}
"""Asked for in tests of their own."""


async def test_every_endpoint_that_changes_something_is_asked_for_here(api: Api) -> None:
    document = (await api.client.get("/docs/openapi.json")).json()
    changing = {
        f"{method.upper()} {path}"
        for path, methods in document["paths"].items()
        for method, operation in methods.items()
        if method not in ("get", "head") and FOR_INSTANCES not in operation.get("tags", [])
    }
    assert changing == ASKED.keys() | BY_ITSELF | LEAVES_NONE.keys()


@pytest.mark.parametrize("operation", ASKED)
async def test_a_change_leaves_an_entry_with_who_made_it(api: Api, operation: str) -> None:
    answer = await ASKED[operation](api)
    assert answer.status_code < 300, answer.text
    await _is_told(api, operation)


async def test_a_rehome_leaves_an_entry_too(fleet: Fleet) -> None:  # noqa: F811 - a fixture
    account = await fleet.account("0816108641", takeover="manual")
    fleet.api.world.lose(A, Fault(Phase.REPLY_TIMED_OUT))
    fleet.api.gateway.fleet.doubt(A)

    async def noticed() -> bool:
        return A in fleet.api.gateway.watching.unfit()

    await until(noticed)
    answer = await fleet.api.call("POST", f"/accounts/{account['id']}/rehome", {"force": False})
    assert answer.status_code == 202, answer.text
    await _is_told(fleet.api, "POST /api/v1/accounts/{ref}/rehome")


async def _is_told(api: Api, operation: str) -> None:
    rows = (await api.call("GET", "/audit?limit=500")).json()["data"]
    told = [row for row in rows if row["request"] == operation]
    assert told, f"{operation} left no entry; there are {[(row['request'], row['action']) for row in rows]}"
    key_id = api.keys["operator"].split("_")[1]
    assert {(row["key_id"], row["actor"], row["via"]) for row in told} == {(key_id, "operator", "api")}
    assert len({row["act"] for row in told}) == 1


# --- what is not in it ------------------------------------------------------------------------------------------


async def test_looking_leaves_no_entry(api: Api) -> None:
    account = await api.account()
    before = (await api.call("GET", "/audit")).json()["data"]
    for path in ("/accounts", f"/accounts/{account['id']}", "/keys", "/instances", "/audit/verify", "/moves"):
        assert (await api.call("GET", path)).status_code == 200
    await api.send(account)
    assert (await api.call("GET", "/audit")).json()["data"] == before


@pytest.mark.parametrize(
    ("method", "path", "body", "status"),
    [
        ("POST", "/accounts", {"phone": "nonsense", "workspace_id": 1}, 422),
        ("POST", "/keys", {"scope": "everything"}, 422),
        ("DELETE", "/accounts/987654", None, 404),
        ("POST", "/sync", {"dry_run": True}, 200),
        ("POST", "/rebalance", {"dry_run": True}, 202),
    ],
)
async def test_what_changes_nothing_leaves_no_entry(api: Api, method: str, path: str, body: Any, status: int) -> None:
    before = (await api.call("GET", "/audit")).json()["data"]
    assert (await api.call(method, path, body)).status_code == status
    assert (await api.call("GET", "/audit")).json()["data"] == before


async def test_what_the_gateway_does_by_itself_is_nobodys_act(api: Api) -> None:
    account = await api.account()
    api.world.hold(B, SessionId(account["session_id"]), epoch=2)
    api.world.instances[A].sessions.clear()
    before = (await api.call("GET", "/audit")).json()["data"]
    assert (await api.gateway.sync.run()).counts
    assert (await api.call("GET", f"/accounts/{account['id']}")).json()["instance_url"] == B
    assert (await api.call("GET", "/audit")).json()["data"] == before


async def test_the_settings_instances_join_by_the_settings_act(api: Api) -> None:
    rows = (await api.call("GET", "/audit?action=instance.added")).json()["data"]
    assert {row["subject"] for row in rows} == {f"instance {url}" for url in (A, B, C)}
    assert {(row["via"], row["actor"]) for row in rows} == {("start", "settings")}


async def test_no_phone_is_shown_whole(api: Api) -> None:
    await api.account(phone="0816108641")
    text = (await api.call("GET", "/audit?action=account.created")).text
    assert "641" in text
    assert "0816108641" not in text


# --- reading it -------------------------------------------------------------------------------------------------


async def test_entries_are_found_by_what_and_of_what_and_by_whom(api: Api) -> None:
    account = await api.account()
    await api.call("PATCH", f"/accounts/{account['id']}", {"takeover": "never"})
    key_id = api.keys["operator"].split("_")[1]
    for query, actions in {
        "action=account.changed": ["account.changed"],
        f"subject=account {account['id']}": ["account.changed", "account.created"],
        "key_id=nobody": [],
        f"key_id={key_id}&limit=1": ["account.changed"],
    }.items():
        rows = (await api.call("GET", f"/audit?{query}")).json()["data"]
        assert [row["action"] for row in rows] == actions, query


async def test_pages_go_on_below_the_last_id(api: Api) -> None:
    await api.account()
    first = (await api.call("GET", "/audit?limit=2")).json()
    second = (await api.call("GET", f"/audit?limit=500&after={first['next']}")).json()
    ids = [row["id"] for row in [*first["data"], *second["data"]]]
    assert ids == sorted(ids, reverse=True)
    assert len(ids) == len(set(ids)) == len((await api.call("GET", "/audit?limit=500")).json()["data"])
    assert second["next"] is None


async def test_it_is_for_operators(api: Api) -> None:
    for key in ("stranger", "sender", "reader"):
        for path in ("/audit", "/audit/verify"):
            assert (await api.call("GET", path, key=key)).status_code == 403


async def test_the_api_says_whether_it_is_what_was_written(api: Api) -> None:
    await api.account()
    audit = api.gateway.stores.audit
    assert isinstance(audit, SqlAudit)
    await audit.chain(500)
    verdict = (await api.call("GET", "/audit/verify")).json()
    assert (verdict["holds"], verdict["waiting"], verdict["broken"]) == (True, 0, None)
    [newest, *_] = await audit.page(Page(limit=1))
    assert verdict["head"] == {"id": newest.id, "chain": newest.chain}


async def test_the_chain_is_a_scheduled_job(api: Api) -> None:
    async def known() -> bool:
        rows = (await api.call("GET", "/schedules")).json()["data"]
        return "audit-log" in {row["name"] for row in rows}

    await until(known)


@pytest.fixture(autouse=True)
async def _nothing_outlives_its_request() -> AsyncIterator[None]:
    from homing.model.directory.audit import acting

    yield
    assert acting.get() is None
