"""What one tenant can learn of another: nothing, on any endpoint, whichever key, however it is asked.

The endpoints are those of the OpenAPI document, so that a new one cannot be forgotten: it is asked with every kind of
key about things of another workspace and about things that do not exist, and must answer both the same.
"""

import asyncio
import itertools
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import httpx
import pytest

from homing.model.deliveries.endpoints import EndpointId, EndpointSettings, SealedSecret
from homing.model.directory.access import Scope
from homing.model.fleet import AccountUuid, InstanceUrl, WorkspaceId
from homing.model.sends.messages import MessageRecord, MessageState
from homing.ports import Page
from homing.ports.deliveries.deliveries import WantedDeliveries
from tests.flows.worlds import A
from tests.serve.conftest import Api
from tests.serve.reporting import report, told

PHONE, CONTACT_PHONE, TEXT = "0816108641", "+62811801641", "the text of a message of workspace 1"
_numbers = itertools.count(1)
UNKNOWN = re.compile(r"01a00000-0000-7000-8000-[0-9a-f]{12}|987654321")
"""What no request ever named before: what was unknown to one request may be a stranger's own after it."""

# By the name of a parameter, in a path, a query or a body: what of workspace 1 it can name, and what of nobody.
NAMES = {
    "account",
    "account_uuid",
    "batch_id",
    "contact_uuid",
    "endpoint_id",
    "id",
    "key_id",
    "number",
    "opted_out",
    "plan_id",
    "ref",
    "session_id",
    "uuid",
    "workspace_id",
}
OF_OPERATORS = re.compile(
    r"^/api/v1/(instances|schedules|sync|rebalance|plans|recycles|automation|cache$|cache/clear|audit|receivers|silences)"
)
OF_EACH_WORKSPACE = {"/api/v1/keys", "/api/v1/now", "/api/v1/workspaces"}
"""Lists that answer each caller its own, without a `workspace_id` to ask for another's."""
NOT_ASKED = {
    # Senders prove themselves by a signature or an instance's key, and not by an API key.
    "for instances",
    # Probes tell nothing of anybody.
    "probes",
    # A file is for whoever has its signed address; what is not signed by us leads nowhere (test_media_api).
    "files",
}


@dataclass(frozen=True, slots=True)
class Operation:
    method: str
    path: str
    parameters: tuple[Mapping[str, Any], ...]
    properties: Mapping[str, Any] = field(default_factory=dict)
    required: tuple[str, ...] = ()
    streams: bool = False
    """It answers with a stream and nothing else: what counts is what it says first."""

    def __str__(self) -> str:
        return f"{self.method} {self.path}"


def operations(document: Mapping[str, Any]) -> Iterator[Operation]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if NOT_ASKED & set(operation.get("tags", [])):
                continue
            schema = _schema(document, operation)
            yield Operation(
                method.upper(),
                path,
                tuple(operation.get("parameters", [])),
                schema.get("properties", {}),
                tuple(schema.get("required", [])),
                set(operation["responses"].get("200", {}).get("content", {})) == {"text/event-stream"},
            )


def _schema(document: Mapping[str, Any], operation: Mapping[str, Any]) -> Mapping[str, Any]:
    content = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    for part in [content, *content.get("oneOf", [])]:
        if "$ref" in part:
            return dict(document["components"]["schemas"][part["$ref"].rpartition("/")[2]])
    return {}


@dataclass(slots=True)
class Tenants:
    """Workspace 1 with something of everything, and what each parameter can name of it."""

    api: Api
    ids: dict[str, list[str]]
    secrets: list[str]

    def named(self, parameter: str, path: str, *, unknown: bool) -> list[str]:
        if unknown and parameter == "opted_out":
            return ["+62811801650"]
        if unknown:
            numeric = parameter in ("id", "number", "workspace_id")
            return ["987654321"] if numeric else [f"01a00000-0000-7000-8000-{next(_numbers):012x}"]
        if parameter == "uuid":
            return self.ids["contact_uuid" if "contacts" in path else "message_uuid"]
        if parameter in ("ref", "account"):
            return [*self.ids["id"], *self.ids["account_uuid"]]
        if parameter == "number":
            return self.ids["delivery" if "deliveries" in path else "workspace_id"]
        return self.ids[parameter]

    def requests(self, operation: Operation, *, unknown: bool) -> list[dict[str, Any]]:
        """One request for each way of naming things that the operation has."""
        paths = [operation.path]
        query: dict[str, str] = {}
        for parameter in operation.parameters:
            name, where = parameter["name"], parameter["in"]
            if where == "path":
                assert name in NAMES, f"{operation}: say in NAMES what {name!r} can name"
                values = self.named(name, operation.path, unknown=unknown)
                paths = [path.replace(f"{{{name}}}", value) for path in paths for value in values]
            elif where == "query" and name in NAMES:
                query[name] = self.named(name, operation.path, unknown=unknown)[0]
        body = self._body(operation, unknown=unknown)
        plain = [{"url": path, "json": body} if body is not None else {"url": path} for path in paths]
        asked = [{**plain[0], "params": {name: value}} for name, value in query.items()]
        return [*plain, *asked]

    def _body(self, operation: Operation, *, unknown: bool) -> dict[str, Any] | None:
        if operation.method in ("GET", "DELETE") or not operation.properties:
            return None
        body: dict[str, Any] = {"workspace_id": 2} if "workspace_id" in operation.properties else {}
        fill = {"phone": "+62811000001", "message": "hello", "url": "http://new:3001", "name": "x"}
        for name in operation.properties:
            if name in NAMES and name not in ("workspace_id", "id", "uuid"):
                body[name] = self.named(name, operation.path, unknown=unknown)[0]
            elif name in operation.required and name in fill:
                body[name] = fill[name]
        if "contact_uuid" in body and operation.path.endswith("/send"):
            body["message"] = "hello"
        if {"account_uuid", "session_id"} <= body.keys() and operation.path.endswith("/forget"):
            del body["account_uuid"]
        return body


async def _batch(api: Api, account: str) -> str:
    later = (api.gateway.clock.now() + timedelta(days=1)).isoformat()
    query = {"account_uuid": account, "workspace_id": 1, "send_at": later}
    headers = {"Authorization": f"Bearer {api.keys['operator']}", "Content-Type": "text/csv"}
    body = f"phone,message\n{PHONE},{TEXT}\n"
    answer = await api.client.post("/api/v1/messages/bulk", content=body, params=query, headers=headers)
    return str(answer.json()["batch_id"])


@pytest.fixture
async def tenants(api: Api) -> Tenants:
    account = await api.account(phone=PHONE)
    made = await api.call("POST", "/contacts", {"workspace_id": 1, "phone": CONTACT_PHONE, "name": "a secret friend"})
    contact = made.json()
    now = api.gateway.clock.now()
    record = MessageRecord(
        uuid=api.gateway.entropy.uuid(),
        workspace_id=WorkspaceId(1),
        account_uuid=AccountUuid(account["uuid"]),
        message_id="3EB0SECRETOFONE",
        recipient_phone="62811801641",
        text=TEXT,
        state=MessageState.UNKNOWN,
        code="unknown",
        reason="the reply did not come",
        attempts=1,
        instance_url=InstanceUrl(A),
        created_at=now,
        updated_at=now,
    )
    await api.gateway.stores.messages.record(record)
    endpoint = EndpointId("ep_ofone")  # no secret of it opens, and it is at no public address: nobody is called
    to = EndpointSettings("http://127.0.0.1:9999/a-secret-path", name="a secret receiver")
    await api.gateway.stores.endpoints.create(endpoint, WorkspaceId(1), to, SealedSecret("none", b"a secret"))
    await report(api, told("message_received", account["session_id"], text="a secret of workspace 1"), url=A)
    [delivery] = await api.gateway.stores.deliveries.page(WantedDeliveries(), page=Page(0, 10))
    await report(api, told("typing_indicator", account["session_id"], note="a secret of workspace 1"), url=A)
    batch = await _batch(api, account["uuid"])
    await api.call("POST", "/suppressions", {"workspace_id": 1, "phones": ["+62811801649"]})
    await api.account(workspace=2, phone="0816108699")
    await api.key("small", Scope.READ, 1)
    await api.key("revoked", Scope.ADMIN, None)
    await api.call("DELETE", f"/keys/{api.keys['revoked'].split('_')[1]}")
    key_id = api.keys["reader"].split("_")[1]
    ids = {
        "account_uuid": [account["uuid"]],
        "plan_id": ["3f9a1c22d0b84e77"],
        "batch_id": [batch],
        "opted_out": ["+62811801649"],
        "contact_uuid": [contact["uuid"]],
        "endpoint_id": [endpoint],
        "delivery": [str(delivery.id)],
        "id": [str(account["id"])],
        "key_id": [key_id],
        "message_uuid": [record.uuid],
        "session_id": [account["session_id"]],
        "workspace_id": ["1"],
    }
    secrets = [
        account["uuid"],
        account["session_id"],
        contact["uuid"],
        record.uuid,
        record.message_id,
        key_id,
        PHONE,
        PHONE.lstrip("0"),
        CONTACT_PHONE.lstrip("+"),
        TEXT,
        "a secret",
        "a-secret-path",
        endpoint,
    ]
    return Tenants(api, ids, secrets)


async def asked(it: Tenants, operation: Operation, request: Mapping[str, Any], key: str | None) -> httpx.Response:
    headers = {"Authorization": f"Bearer {it.api.keys.get(key, key)}"} if key is not None else {}
    async with asyncio.timeout(20):
        if operation.streams:
            return await beginning(it, request["url"], request.get("params", {}), headers)
        return await it.api.client.request(operation.method, headers=headers, **request)


async def beginning(it: Tenants, path: str, params: Mapping[str, str], headers: Mapping[str, str]) -> httpx.Response:
    """A whole refusal, or the first event of a stream, which is left then."""
    said: list[bytes] = []
    status, enough = 0, asyncio.Event()

    async def receive() -> dict[str, Any]:
        await enough.wait()
        return {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status
        status = message.get("status", status)
        said.append(message.get("body", b""))
        if message["type"] == "http.response.body" and (b"\n\n" in said[-1] or not message.get("more_body")):
            enough.set()

    request = httpx.Request("GET", f"http://homing{path}", params=params, headers=headers)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": request.url.path,
        "raw_path": request.url.raw_path.split(b"?")[0],
        "query_string": request.url.query,
        "root_path": "",
        "headers": [(name.lower(), value) for name, value in request.headers.raw],
        "client": ("127.0.0.1", 1),
        "server": ("homing", 80),
        "state": {},
    }
    await it.api.client._transport.app(scope, receive, send)
    return httpx.Response(status, content=b"".join(said))


async def documented(api: Api) -> list[Operation]:
    found = list(operations((await api.client.get("/docs/openapi.json")).json()))
    assert len(found) >= 35
    return found


def without(text: str, *given: str) -> str:
    """What was answered, without what was asked: an error may name what the caller named."""
    for each in sorted(given, key=len, reverse=True):
        text = text.replace(each, "…")
    return text


async def test_without_a_key_or_with_a_revoked_one_nobody_is_answered(tenants: Tenants) -> None:
    for operation in await documented(tenants.api):
        for key in (None, "revoked", "hk_000000000000_nonsense", "nonsense"):
            answer = await asked(tenants, operation, tenants.requests(operation, unknown=False)[0], key)
            assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated"), f"{operation} {key}"


async def test_a_read_key_changes_nothing(tenants: Tenants) -> None:
    for operation in await documented(tenants.api):
        if operation.method == "GET":
            continue
        answer = await asked(tenants, operation, tenants.requests(operation, unknown=False)[0], "small")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), operation


async def test_what_is_for_operators_is_for_no_tenant(tenants: Tenants) -> None:
    of_operators = [each for each in await documented(tenants.api) if OF_OPERATORS.match(each.path)]
    assert len(of_operators) >= 12
    for operation in of_operators:
        answer = await asked(tenants, operation, tenants.requests(operation, unknown=False)[0], "stranger")
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden"), operation


async def test_every_list_says_whose_it_is(api: Api) -> None:
    undecided = [
        each.path
        for each in await documented(api)
        if each.method == "GET" and "{" not in each.path
        if "workspace_id" not in {str(parameter["name"]) for parameter in each.parameters}
        if not OF_OPERATORS.match(each.path) and each.path not in OF_EACH_WORKSPACE
    ]
    assert undecided == [], "a list takes `workspace_id`, or is for operators (OF_OPERATORS), or OF_EACH_WORKSPACE"


async def test_foreign_and_unknown_look_the_same(tenants: Tenants) -> None:
    checked = 0
    for operation in await documented(tenants.api):
        known = tenants.requests(operation, unknown=False)
        nobody = tenants.requests(operation, unknown=True)
        for foreign in known:
            unknown = next(each for each in nobody if each.get("params", {}).keys() == foreign.get("params", {}).keys())
            one = await asked(tenants, operation, foreign, "stranger")
            other = await asked(tenants, operation, unknown, "stranger")
            given = [value for values in tenants.ids.values() for value in values]
            said = [
                without(UNKNOWN.sub("…", re.sub(r'"[a-z_]*_at":"[^"]*"|workspace \d+', "", each.text)), *given)
                for each in (one, other)
            ]
            if "already_exists" in (each.json().get("code") for each in (one, other) if each.status_code == 409):
                continue  # a name that a caller chooses itself may be taken: that is told, and by whom is not
            assert one.status_code == other.status_code, f"{operation} {foreign}: {one.text} / {other.text}"
            if one.status_code >= 400:
                assert said[0] == said[1], f"{operation} {foreign}"
                checked += 1
    assert checked >= 20


async def test_no_answer_to_a_stranger_holds_anything_of_another_tenant(tenants: Tenants) -> None:
    for operation in await documented(tenants.api):
        for request in tenants.requests(operation, unknown=False):
            answer = await asked(tenants, operation, request, "stranger")
            given = json.dumps(request)
            leaked = [secret for secret in tenants.secrets if secret in answer.text and secret not in given]
            assert not leaked, f"{operation} {request} tells {leaked}: {answer.text}"
            assert answer.status_code < 500 or answer.status_code == 503, f"{operation}: {answer.text}"


async def test_a_stranger_who_tried_everything_has_changed_nothing(tenants: Tenants) -> None:
    api = tenants.api

    async def seen() -> list[Any]:
        paths = ("/accounts?workspace_id=1", "/contacts?workspace_id=1", "/messages?workspace_id=1", "/instances")
        answers = [(await api.call("GET", path)).json()["data"] for path in paths]
        return [
            [{name: row.get(name) for name in ("id", "uuid", "status", "state", "url", "phone")} for row in rows]
            for rows in answers
        ]

    before = await seen()
    for operation in await documented(api):
        for request in tenants.requests(operation, unknown=False):
            await asked(tenants, operation, request, "stranger")
    assert await seen() == before


async def test_a_workspace_sees_its_own_sessions_in_the_distribution(tenants: Tenants) -> None:
    rows = (await tenants.api.call("GET", "/distribution", key="stranger")).json()["data"]
    assert sum(row["session_count"] for row in rows) == 1
    assert [phone for row in rows for phone in row["phones"]] == ["0816108699"]
    everybody = (await tenants.api.call("GET", "/distribution")).json()["data"]
    assert sum(row["session_count"] for row in everybody) == 2
