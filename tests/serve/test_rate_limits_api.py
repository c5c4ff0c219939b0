"""Limits of rate, from outside: unset by default, told with every answer, 429 beyond."""

import re
from typing import Any

import httpx
import pytest

from tests.serve.conftest import Api

POLICY = re.compile(r'"(key|workspace)";q=\d+;w=\d+(, "(key|workspace)";q=\d+;w=\d+)*')
LEVEL = re.compile(r'"(key|workspace)";r=\d+;t=\d+(, "(key|workspace)";r=\d+;t=\d+)*')


async def limited(api: Api, key: str, requests: int, per_s: int = 3_600) -> None:
    answer = await api.call(
        "PATCH", f"/keys/{api.keys[key].split('_')[1]}", {"rate_limit": {"requests": requests, "per_s": per_s}}
    )
    assert answer.status_code == 200, answer.text


async def of_workspace(api: Api, limit: Any, *, key: str = "operator", number: int = 1) -> httpx.Response:
    return await api.call("PATCH", f"/workspaces/{number}", {"rate_limit": limit}, key=key)


async def test_nothing_is_limited_until_somebody_says_so(api: Api) -> None:
    account = await api.account()
    for answer in (await api.call("GET", "/accounts"), await api.send(account)):
        assert answer.status_code == 200
        assert "ratelimit" not in answer.headers


async def test_a_key_beyond_its_limit_is_429_with_a_code_and_when_to_come_back(api: Api) -> None:
    await limited(api, "reader", 2)
    for left in (1, 0):
        answer = await api.call("GET", "/accounts", key="reader")
        assert answer.status_code == 200
        assert answer.headers["ratelimit-policy"] == '"key";q=2;w=3600'
        assert answer.headers["ratelimit"].startswith(f'"key";r={left};t=')
    answer = await api.call("GET", "/accounts", key="reader")
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert 1700 <= int(answer.headers["retry-after"]) <= 1800
    assert answer.headers["ratelimit"].startswith('"key";r=0;t=')
    assert answer.headers["content-type"] == "application/problem+json"
    assert (await api.call("GET", "/accounts", key="stranger")).status_code == 200, "others are not meant"


async def test_sends_fall_under_the_same_limit_as_everything_else(api: Api) -> None:
    account = await api.account()
    await limited(api, "sender", 2)
    assert (await api.send(account, key="sender")).status_code == 200
    assert (await api.call("GET", "/accounts", key="sender")).headers["ratelimit"].startswith('"key";r=0;')
    answer = await api.send(account, "not this one", key="sender")
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert POLICY.fullmatch(answer.headers["ratelimit-policy"])
    assert LEVEL.fullmatch(answer.headers["ratelimit"])
    assert answer.headers["retry-after"]
    assert api.world.said("not this one") == 0


async def test_all_keys_of_a_workspace_share_its_limit(api: Api) -> None:
    await of_workspace(api, {"requests": 2, "per_s": 3_600})
    assert (await api.call("GET", "/accounts", key="reader")).status_code == 200
    assert (await api.call("GET", "/accounts", key="sender")).status_code == 200
    answer = await api.call("GET", "/accounts", key="reader")
    assert (answer.status_code, answer.json()["code"]) == (429, "rate_limited")
    assert "workspace" in answer.json()["detail"]
    assert (await api.call("GET", "/accounts", key="stranger")).status_code == 200
    assert (await api.call("GET", "/accounts?workspace_id=1")).status_code == 200, "operators are nobody's tenants"


async def test_both_limits_are_told_and_the_smaller_one_holds(api: Api) -> None:
    await of_workspace(api, {"requests": 5, "per_s": 3_600})
    await limited(api, "reader", 1)
    answer = await api.call("GET", "/accounts", key="reader")
    assert answer.headers["ratelimit-policy"] == '"key";q=1;w=3600, "workspace";q=5;w=3600'
    assert re.fullmatch(r'"key";r=0;t=\d+, "workspace";r=4;t=\d+', answer.headers["ratelimit"])
    for _ in range(3):
        assert (await api.call("GET", "/accounts", key="reader")).status_code == 429
    sender = await api.call("GET", "/accounts", key="sender")
    assert sender.headers["ratelimit"].startswith('"workspace";r=3;'), "what its own limit refused cost the others none"


async def test_refusals_count_too_but_one_request_once(api: Api) -> None:
    """Guards that stand behind each other charge once; too small a scope is no way around."""
    await limited(api, "stranger", 3)
    answer = await api.call("POST", "/cache/clear", key="stranger")
    assert (answer.status_code, answer.headers["ratelimit"].split(";t=")[0]) == (403, '"key";r=2')
    assert (await api.call("GET", "/nothing", key="stranger")).status_code == 404


async def test_a_limit_is_taken_away_with_null(api: Api) -> None:
    await limited(api, "reader", 1)
    await api.call("GET", "/accounts", key="reader")
    path = f"/keys/{api.keys['reader'].split('_')[1]}"
    assert (await api.call("PATCH", path, {"rate_limit": None})).json().get("rate_limit") is None
    assert "ratelimit" not in (await api.call("GET", "/accounts", key="reader")).headers


async def test_a_workspace_does_not_set_its_own_limit(api: Api) -> None:
    await of_workspace(api, {"requests": 5, "per_s": 60}, number=2)
    for limit in ({"requests": 1_000_000, "per_s": 1}, None):
        answer = await of_workspace(api, limit, key="stranger", number=2)
        assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")
    shown = (await api.call("GET", "/workspaces/2")).json()
    assert shown["rate_limit"] == {"requests": 5, "per_s": 60}
    named = await api.call("PATCH", "/workspaces/2", {"name": "two"}, key="stranger")
    assert (named.status_code, named.json()["rate_limit"]) == (200, {"requests": 5, "per_s": 60})


@pytest.mark.parametrize("limit", [{"requests": 0}, {"requests": 1.5}, {"per_s": 60}, {"requests": 1, "per_s": 0}, 7])
async def test_a_limit_that_is_none_is_refused(api: Api, limit: Any) -> None:
    assert (await of_workspace(api, limit)).status_code == 422
