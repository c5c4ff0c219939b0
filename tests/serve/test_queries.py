"""Query parameters that an endpoint does not take are refused, by every endpoint."""

from typing import Any

import pytest
from litestar.routes import HTTPRoute

from homing.serve.app import framework
from tests.serve.conftest import Api


def endpoints(app: Any) -> list[tuple[str, str]]:
    """Method and path of all that is under /api/v1."""
    return [
        (method, route.path)
        for route in app.routes
        if isinstance(route, HTTPRoute) and route.path.startswith("/api/v1")
        for method in route.route_handler_map
        if method != "OPTIONS"
    ]


async def test_every_endpoint_refuses_a_query_parameter_that_it_does_not_take(api: Api) -> None:
    asked = endpoints(framework(api.gateway))
    assert len(asked) >= 40
    for method, path in asked:
        filled = path.removeprefix("/api/v1").replace("{number:int}", "1")
        while "{" in filled:
            filled = filled[: filled.index("{")] + "none" + filled[filled.index("}") + 1 :]
        answer = await api.call(method, f"{filled}?workspace=2", {} if method in ("POST", "PATCH") else None)
        told = (answer.status_code, answer.json()["code"], answer.json().get("field"))
        assert told == (422, "invalid_request", "workspace"), (method, path, answer.text)


async def test_the_refusal_names_what_the_endpoint_takes(api: Api) -> None:
    answer = await api.call("GET", "/accounts?workspace=2&limit=3")
    assert answer.json()["detail"] == (
        "There is no query parameter 'workspace' here; it takes after, instance_url, limit, status, workspace_id"
    )
    assert (await api.call("GET", "/accounts?workspace_id=2&limit=3")).status_code == 200


async def test_a_stream_and_a_send_refuse_them_too(api: Api) -> None:
    stream = await api.call("GET", "/events?since=1", accept="text/event-stream")
    assert (stream.status_code, stream.json()["field"]) == (422, "since")
    account = await api.account()
    body = {"workspace_id": 1, "account_uuid": account["uuid"], "phone": "+62811801641", "message": "once"}
    sent = await api.call("POST", "/messages/send?dry_run=1", body)
    assert (sent.status_code, sent.json()["field"]) == (422, "dry_run")
    assert api.world.said("once") == 0


@pytest.mark.parametrize("path", ["/accounts?none=1", "/events?none=1"])
async def test_who_is_not_known_is_told_that_and_no_parameter_names(api: Api, path: str) -> None:
    assert (await api.call("GET", path, key=None)).status_code == 401


async def test_instances_and_probes_may_be_asked_with_anything(api: Api) -> None:
    assert (await api.client.get("/health?probe=1")).status_code == 200
    assert (await api.client.get("/docs?theme=dark")).status_code == 200
