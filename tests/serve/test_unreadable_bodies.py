"""A body that cannot be read is the client's fault on every path, and never ours."""

import pytest

from tests.serve.conftest import Api
from tests.serve.reporting import report

UNREADABLE = {
    "no UTF-8": b'{"name": "\xff\xfe"}',
    "nested lists": b"[" * 100_000,
    "nested objects": b'{"a":' * 100_000,
    "closed nested lists": b"[" * 100_000 + b"]" * 100_000,
    "half a body": b'{"name": ',
    "no JSON": b"hello",
    "a number beyond all": b'{"name": 1e400}',
    "NUL": b"\x00",
    "half a character": b'{"name": "\\ud800"}',
    "said twice": b'{"name": "one", "name": "two"}',
}


async def operations(api: Api) -> list[tuple[str, str]]:
    """Every operation that takes a customer's JSON body, by the document, on paths that name something."""
    document = (await api.client.get("/docs/openapi.json")).json()
    found = []
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            if "requestBody" in operation and "for instances" not in operation["tags"]:
                named = path
                for parameter in operation.get("parameters", []):
                    if parameter["in"] == "path":
                        named = named.replace(f"{{{parameter['name']}}}", "1")
                found.append((method.upper(), named))
    assert len(found) >= 8
    return found


@pytest.mark.parametrize("what", UNREADABLE)
async def test_what_cannot_be_read_is_a_400_on_every_path(api: Api, what: str) -> None:
    for method, path in await operations(api):
        headers = {"Authorization": f"Bearer {api.keys['operator']}", "Content-Type": "application/json"}
        answer = await api.client.request(method, path, content=UNREADABLE[what], headers=headers)
        assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body"), f"{method} {path}"


@pytest.mark.parametrize("what", sorted(UNREADABLE.keys() - {"said twice", "half a character", "a number beyond all"}))
async def test_a_report_that_cannot_be_read_is_a_400(api: Api, what: str) -> None:
    answer = await report(api, UNREADABLE[what])
    assert (answer.status_code, answer.json()["code"]) == (400, "malformed_body")


async def test_a_body_that_may_be_absent_may_be_empty(api: Api) -> None:
    [instance, *_] = (await api.call("GET", "/instances")).json()["data"]
    headers = {"Authorization": f"Bearer {api.keys['operator']}", "Content-Type": "application/json"}
    api.world.lose(instance["url"])
    path = f"/api/v1/instances/{instance['id']}/exited"
    assert (await api.client.post(path, content=b"", headers=headers)).status_code == 202


async def test_what_can_be_read_and_is_not_what_was_asked_for_is_a_422(api: Api) -> None:
    for body in ({}, [], "text", 7, None, {"name": 5}, {"phone": "x" * 500}):
        answer = await api.call("POST", "/contacts", body)
        assert answer.status_code == 422, body
