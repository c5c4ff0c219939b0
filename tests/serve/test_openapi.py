"""The API's description: a page that stands by itself, and a document that says what really comes."""

import re
from collections.abc import Iterator
from typing import Any

import httpx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homing.model.errors import Code, Problem
from tests.serve.conftest import Api

METHODS = ("GET", "PUT", "POST", "DELETE", "OPTIONS", "PATCH", "TRACE")
BOOLEANS = ("yes", "true", 1, 0, "1", "", [], 1.0)
"""What is nearly a boolean, and none."""


async def described(api: Api) -> dict[str, Any]:
    return dict((await api.client.get("/docs/openapi.json")).json())


def operations(document: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            yield method.upper(), path, operation


def named(path: str) -> str:
    """The path with its parameters filled in."""
    return re.sub(r"\{[^}]*\}", "1", path)


def body_of(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any] | None:
    """The schema of the object that an operation takes."""
    schema = operation.get("requestBody", {}).get("content", {}).get("application/json", {}).get("schema", {})
    for each in (schema, *schema.get("anyOf", ())):
        if "$ref" in each:
            return dict(document["components"]["schemas"][each["$ref"].rpartition("/")[2]])
    return None


def of_customers(document: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """Operations that take a body from customers, who are told what they misspelt; instances may say more."""
    found = [
        (method, path, body)
        for method, path, operation in operations(document)
        if "security" in operation and (body := body_of(document, operation)) is not None
    ]
    assert len(found) >= 15
    return found


async def asked(api: Api, method: str, path: str, body: Any = None) -> httpx.Response:
    return await api.call(method, named(path).removeprefix("/api/v1"), body)


# --- the page -----------------------------------------------------------------------------------------------------


async def test_the_page_needs_nobody_elses_server(api: Api) -> None:
    page = (await api.client.get("/docs")).text
    assert "POST" in page
    assert "/api/v1/messages/send" in page
    assert not re.search(r"""(src|href)=["']https?://""", page)


async def test_the_document_shows_every_resource(api: Api) -> None:
    document = await described(api)
    paths = {path.removeprefix("/api/v1").split("/")[1] for path in document["paths"] if path.startswith("/api/v1")}
    assert paths >= {"messages", "accounts", "contacts", "instances", "moves", "cache", "keys", "sync", "distribution"}


# --- what is refused, and how -------------------------------------------------------------------------------------


async def test_every_operation_names_what_may_come_of_it(api: Api) -> None:
    for method, path, operation in operations(await described(api)):
        known = {"400", "405", "408", "422", "431", "503"}
        if "security" in operation:
            known |= {"401", "403", "429"}
        if "requestBody" in operation:
            known |= {"413"}
        if "{" in path:
            known |= {"404"}
        assert operation["responses"].keys() >= known, f"{method} {path}"
        assert "Allow" in operation["responses"]["405"]["headers"]
        assert "Retry-After" in operation["responses"]["503"]["headers"]
        for status in known:
            assert "application/problem+json" in operation["responses"][status]["content"], f"{method} {path} {status}"


async def test_every_code_is_described_with_its_status(api: Api) -> None:
    schemas = (await described(api))["components"]["schemas"]
    told = {
        code
        for name, schema in schemas.items()
        if name[:7] == "Problem"
        for code in schema["properties"]["code"]["enum"]
    }
    assert told == {code.value for code in Code} - {Code.INTERNAL_ERROR.value}


async def test_a_method_that_is_not_taken_is_answered_with_those_that_are(api: Api) -> None:
    document = await described(api)
    for path, taken in document["paths"].items():
        allowed = {method.upper() for method in taken} | {"OPTIONS"}
        for method in METHODS:
            answer = await api.client.request(method, named(path))
            if method not in allowed:
                assert (answer.status_code, answer.json()["code"]) == (405, "method_not_allowed"), f"{method} {path}"
                assert answer.headers["content-type"] == "application/problem+json"
            if answer.status_code == 405 or method == "OPTIONS":
                assert {each.strip() for each in answer.headers["allow"].split(",")} == allowed, f"{method} {path}"


@pytest.mark.parametrize(
    "path", ["/nothing", "/api", "/api/v1", "/api/v1/nothing", "/api/v1/accounts/1/2/3", "/in/1", "/docs/nothing"]
)
async def test_what_is_not_there_is_a_problem_document(api: Api, path: str) -> None:
    answer = await api.client.get(path)
    assert answer.headers["content-type"] == "application/problem+json"
    assert (answer.status_code, answer.json()["code"]) == (404, "not_found")


async def test_an_unknown_field_is_refused_by_its_name(api: Api) -> None:
    for method, path, body in of_customers(await described(api)):
        assert body["additionalProperties"] is False, path
        fill = {
            "phone": "+62811801641",
            "account_uuid": "a",
            "message": "m",
            "url": "http://new:1",
            "action": "resend",
            "phones": ["+62811801641"],
            "message_ids": ["3EB0A"],
            "urls": ["http://new:1"],
            "name": "ops",
            "kind": "slack",
            "target": "http://new:1",
            "on": True,
        }
        given_fields = {name: fill[name] for name in body.get("required", ())}
        answer = await asked(api, method, path, {**given_fields, "unheard_of": 1})
        told = (answer.status_code, answer.json()["code"], answer.json().get("field"))
        assert told == (422, "invalid_request", "unheard_of"), f"{method} {path}: {answer.text}"


async def test_only_true_and_false_are_booleans_in_a_body(api: Api) -> None:
    checked = set()
    for method, path, body in of_customers(await described(api)):
        flags = [name for name, field in body["properties"].items() if field.get("type") == "boolean"]
        fill = {
            "phone": "+62811801641",
            "account_uuid": "a",
            "message": "m",
            "url": "http://new:1",
            "action": "resend",
            "phones": ["+62811801641"],
            "message_ids": ["3EB0A"],
            "urls": ["http://new:1"],
            "name": "ops",
            "kind": "slack",
            "target": "http://new:1",
            "on": True,
        }
        for name in flags:
            for value in BOOLEANS:
                given_fields = {field: fill[field] for field in body.get("required", ())}
                answer = await asked(api, method, path, {**given_fields, name: value})
                assert (answer.status_code, answer.json()["field"]) == (422, name), f"{method} {path} {name}={value!r}"
            checked.add((path, name))
    assert len(checked) >= 7


async def test_a_text_is_no_number_and_a_number_no_text_in_a_body(api: Api) -> None:
    for body, field in (
        ({"phone": "+62811801641", "workspace_id": "1"}, "workspace_id"),
        ({"phone": 62811801641, "workspace_id": 1}, "phone"),
        ({"phone": "+62811801641", "workspace_id": True}, "workspace_id"),
    ):
        answer = await api.call("POST", "/contacts", body)
        assert (answer.status_code, answer.json()["field"]) == (422, field), answer.text


@pytest.mark.parametrize("value", ["yes", "1", "0", "True", "FALSE", "", "null"])
async def test_only_true_and_false_are_booleans_in_a_query(api: Api, value: str) -> None:
    answer = await api.call("DELETE", f"/accounts/1?force={value}")
    assert (answer.status_code, answer.json()["field"]) == (422, "force")
    for meant in ("true", "false"):
        assert (await api.call("DELETE", f"/accounts/987654?force={meant}")).status_code == 404


@pytest.mark.parametrize(
    "query",
    [
        "limit=5.0",
        "limit=1e1",
        "limit=%2B5",
        "limit=",
        "workspace_id=null",
        "status=null",
        "limit=1&limit=2",
        "after=-0.0",
    ],
)
async def test_a_query_is_read_in_one_way_or_refused(api: Api, query: str) -> None:
    answer = await api.call("GET", f"/accounts?{query}")
    assert (answer.status_code, answer.json()["field"]) == (422, query.partition("=")[0]), answer.text


async def test_the_first_versions_body_still_sends(api: Api) -> None:
    account = await api.account()
    made = await api.call("POST", "/contacts", {"workspace_id": 1, "phone": "+62811801641"})
    body = {"workspace_id": 1, "account_uuid": account["uuid"], "contact_uuid": made.json()["uuid"], "message": "hello"}
    assert (await api.call("POST", "/messages/send", body)).status_code == 200


async def test_what_is_only_for_the_moment_says_when_to_ask_again(api: Api) -> None:
    for url in api.world.instances:
        api.world.lose(url)
    answer = await api.call("POST", "/accounts", {"workspace_id": 1, "phone": "0816108641"})
    assert (answer.status_code, int(answer.headers["retry-after"]) >= 1) == (503, True)


@settings(max_examples=200, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(raw=st.binary(max_size=300))
def test_any_bytes_at_all_are_answered_as_bad_input(raw: bytes) -> None:
    from homing.serve.http import readable
    from homing.serve.sends import _decode

    try:
        readable.read(raw, _decode)
    except Problem as problem:
        assert problem.code in (Code.MALFORMED_BODY, Code.INVALID_REQUEST)
