"""The API's description: a page that stands by itself, and a document that the API keeps to."""

import re

import httpx
import msgspec
import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from homing.model.errors import Code, Problem
from tests.serve.conftest import Api


async def test_the_page_needs_nobody_elses_server(api: Api) -> None:
    page = (await api.client.get("/docs")).text
    assert "POST" in page
    assert "/api/v1/messages/send" in page
    assert not re.search(r"""(src|href)=["']https?://""", page)


async def test_the_document_shows_every_resource(api: Api) -> None:
    document = (await api.client.get("/docs/openapi.json")).json()
    paths = {path.removeprefix("/api/v1").split("/")[1] for path in document["paths"] if path.startswith("/api/v1")}
    assert paths >= {"messages", "accounts", "contacts", "instances", "moves", "cache", "keys", "sync", "distribution"}


@pytest.mark.parametrize("operator", [True, False])
async def test_no_request_that_the_document_allows_breaks_the_gateway(api: Api, operator: bool) -> None:
    """Generated requests: whatever comes, the answer is one that the API means, and never a 500."""
    document = (await api.client.get("/docs/openapi.json")).json()
    schema = schemathesis.openapi.from_dict(document)
    key = api.keys["operator" if operator else "reader"]
    for result in schema.get_all_operations():
        operation = result.ok()
        if "/events" in operation.path:
            continue
        for case in _examples(operation, 6):
            request = case.as_transport_kwargs(base_url="http://homing")
            request["headers"] = {**dict(request.get("headers") or {}), "Authorization": f"Bearer {key}"}
            request.pop("cookies", None)
            if "data" in request:
                request["content"] = request.pop("data")
            try:
                answer = await api.client.request(**request)
            except (httpx.InvalidURL, UnicodeEncodeError):
                continue
            assert answer.status_code != 500, f"{operation.method} {operation.path}: {answer.text}"


def _examples(operation, count):  # type: ignore[no-untyped-def]
    found = []

    @settings(max_examples=count, database=None, deadline=None, suppress_health_check=list(HealthCheck))
    @given(case=operation.as_strategy())
    def gather(case):  # type: ignore[no-untyped-def]
        found.append(case)

    gather()
    return found


@settings(max_examples=200, database=None, deadline=None, suppress_health_check=list(HealthCheck))
@given(raw=st.binary(max_size=300))
def test_any_bytes_at_all_are_answered_as_bad_input(raw: bytes) -> None:
    from homing.serve import problems, readable
    from homing.serve.sends import _decode

    try:
        readable.check(raw)
        _decode(raw)
    except Problem as problem:
        assert problem.code is Code.MALFORMED_BODY
    except msgspec.ValidationError as error:
        told = problems.document(problems.invalid(error))
        assert (told["status"], told["code"]) == (422, "invalid_request")
