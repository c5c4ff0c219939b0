"""Signing in to the page."""

import asyncio
import re

import httpx
import pytest

from clocks import SteppedClock
from homing.model.directory.access import Scope
from homing.ports.directory.logins import LoginKind
from homing.serve.callers import signing_in
from homing.serve.callers.signing_in import COOKIE_S, FAILURES_OF_ONE, FAILURES_WITHIN_S, csrf_token
from homing.store.db.database import Database
from homing.store.records.logins import SqlLogins
from tests.serve.conftest import Api


async def sign_in(api: Api, key: str = "operator", **headers: str) -> httpx.Response:
    api.client.cookies.clear()
    return await api.client.post("/login", json={"token": api.keys.get(key, key)}, headers=headers)


def csrf(answer: httpx.Response) -> dict[str, str]:
    return {"X-CSRF-Token": csrf_token(answer.cookies["homing"])}


async def test_a_key_opens_the_page_and_the_api_by_a_cookie(api: Api) -> None:
    answer = await sign_in(api)
    assert answer.status_code == 200
    told = answer.headers["set-cookie"].lower()
    assert "httponly" in told
    assert "samesite=strict" in told
    assert "path=/" in told
    assert f"max-age={int(COOKIE_S)}" in told
    assert "secure" not in told
    assert api.keys["operator"] not in told
    assert (await api.client.get("/api/v1/instances")).status_code == 200


async def test_behind_https_the_cookie_is_secure(api: Api) -> None:
    answer = await api.client.post("https://homing/login", json={"token": api.keys["operator"]})
    assert "secure" in answer.headers["set-cookie"].lower()


async def test_a_wrong_key_opens_nothing(api: Api) -> None:
    answer = await sign_in(api, "hk_no_such")
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
    assert "set-cookie" not in answer.headers
    assert (await api.client.get("/api/v1/instances")).status_code == 401


async def test_a_form_signs_in_too_and_leads_to_the_page(api: Api) -> None:
    api.client.cookies.clear()
    answer = await api.client.post("/login", data={"token": api.keys["operator"]})
    assert (answer.status_code, answer.headers["location"]) == (303, "/now")
    wrong = await api.client.post("/login", data={"token": "hk_no_such"})
    assert wrong.status_code == 401
    assert "not known" in wrong.text


async def test_failed_logins_are_limited_and_say_so(api: Api) -> None:
    for _ in range(FAILURES_OF_ONE):
        assert (await sign_in(api, "hk_no_such")).status_code == 401
    refused = await sign_in(api)
    assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
    assert int(refused.headers["retry-after"]) > 0


async def test_the_limit_is_over_after_a_while() -> None:
    clock = SteppedClock()
    failed = signing_in.FailedLogins(clock)
    for _ in range(FAILURES_OF_ONE):
        failed.failed("here")
    failed.check("elsewhere")
    with pytest.raises(signing_in.Problem):
        failed.check("here")
    clock.advance(FAILURES_WITHIN_S + 1)
    failed.check("here")


async def test_a_change_by_cookie_needs_the_pages_token_and_our_origin(api: Api) -> None:
    answer = await sign_in(api)
    good = csrf(answer)
    for headers, status in [
        ({}, 403),
        ({"X-CSRF-Token": "f" * 64}, 403),
        (good | {"Origin": "http://evil.example"}, 403),
        (good | {"Origin": "null"}, 403),
        (good | {"Sec-Fetch-Site": "cross-site"}, 403),
        (good | {"Sec-Fetch-Site": "same-site"}, 403),
        (good | {"Origin": "http://homing"}, 200),
        (good, 200),
    ]:
        got = await api.client.post("/api/v1/cache/clear", headers=headers)
        assert got.status_code == status, (headers, got.text)


async def test_a_key_in_the_request_needs_no_token(api: Api) -> None:
    await sign_in(api, "reader")
    assert (await api.call("POST", "/cache/clear", key="operator")).status_code == 200


async def test_a_cookie_may_what_its_key_may(api: Api) -> None:
    answer = await sign_in(api, "reader")
    forged = await api.client.post("/api/v1/cache/clear", headers=csrf(answer))
    assert (forged.status_code, forged.json()["code"]) == (403, "forbidden")
    assert (await api.client.get("/api/v1/accounts")).status_code == 200


async def test_signing_out_ends_the_cookie(api: Api) -> None:
    answer = await sign_in(api)
    cookie = answer.cookies["homing"]
    assert (await api.client.post("/logout")).status_code == 403
    out = await api.client.post("/logout", headers=csrf(answer))
    assert out.status_code == 303
    api.client.cookies.set("homing", cookie)
    assert (await api.client.get("/api/v1/accounts")).status_code == 401


async def test_a_cookie_is_over_with_its_key(api: Api) -> None:
    await api.key("short", Scope.ADMIN, None)
    await sign_in(api, "short")
    assert (await api.client.get("/api/v1/instances")).status_code == 200
    assert (await api.call("DELETE", f"/keys/{api.keys['short'].split('_')[1]}")).status_code == 204
    assert (await api.client.get("/api/v1/instances")).status_code == 401


async def test_nothing_of_the_cookie_or_the_code_is_in_the_database_in_clear(api: Api) -> None:
    cookie = (await sign_in(api)).cookies["homing"]
    code = await signing_in.code_for(api.keys["operator"].split("_")[1], api.gateway.stores.logins, api.gateway.entropy)
    from homing.store.db.schema.tables import logins

    rows = await api.gateway.stores.database.read(lambda c: [tuple(row) for row in c.execute(logins.select())])
    assert len(rows) == 2
    assert cookie not in str(rows)
    assert code not in str(rows)


async def test_a_code_signs_in_once(api: Api) -> None:
    key_id = api.keys["operator"].split("_")[1]
    code = await signing_in.code_for(key_id, api.gateway.stores.logins, api.gateway.entropy)
    api.client.cookies.clear()
    page = await api.client.get(f"/login?code={code}")
    assert page.status_code == 200
    assert "set-cookie" not in page.headers, "looking at a link uses nothing up"
    both = await asyncio.gather(*(api.client.post("/login", data={"code": code}) for _ in range(2)))
    assert sorted(answer.status_code for answer in both) == [303, 401]


async def test_pages_lead_to_the_login_without_a_cookie(api: Api) -> None:
    for path in ("/now", "/instances", "/sessions", "/sessions/1", "/moves", "/instances/1/drain"):
        answer = await api.client.get(path)
        assert (answer.status_code, answer.headers["location"]) == (303, "/login"), path


async def test_the_token_is_on_the_page_and_the_key_is_not(api: Api) -> None:
    answer = await sign_in(api)
    page = (await api.client.get("/now")).text
    [token] = re.findall(r'name="csrf-token" content="(\w+)"', page)
    assert token == csrf_token(answer.cookies["homing"])
    assert api.keys["operator"] not in page


# --- the store ------------------------------------------------------------------------------------------------


@pytest.fixture
async def logins(database: Database) -> SqlLogins:
    from homing.store.db.schema.tables import api_keys

    row = {"id": "k", "scope": "admin", "name": "k", "secret_hash": "h", "created_at": SteppedClock().now()}
    await database.write(lambda c: c.execute(api_keys.insert().values(**row)))
    return SqlLogins(database)


async def test_a_secret_stands_for_its_key_and_for_one_purpose(logins: SqlLogins) -> None:
    await logins.add("a", LoginKind.COOKIE, "k", for_s=60)
    found = await logins.find("a", LoginKind.COOKIE)
    assert found is not None
    assert found[0] == "k"
    assert 50 < found[1] <= 60
    assert await logins.find("a", LoginKind.CODE) is None
    assert await logins.find("b", LoginKind.COOKIE) is None


async def test_a_secret_whose_time_is_over_stands_for_nothing(logins: SqlLogins) -> None:
    await logins.add("old", LoginKind.COOKIE, "k", for_s=0)
    await logins.add("code", LoginKind.CODE, "k", for_s=0)
    assert await logins.find("old", LoginKind.COOKIE) is None
    assert await logins.take("code", LoginKind.CODE) is None


async def test_of_several_who_take_a_secret_one_gets_it(logins: SqlLogins) -> None:
    await logins.add("code", LoginKind.CODE, "k", for_s=60)
    taken = await asyncio.gather(*(logins.take("code", LoginKind.CODE) for _ in range(5)))
    assert sorted(taken, key=str) == [None] * 4 + ["k"]


async def entries(api: Api) -> list[tuple[str, str, str]]:
    rows = (await api.call("GET", "/audit?limit=100")).json()["data"]
    return [(row["action"], row["actor"], row["subject"]) for row in reversed(rows)]


async def test_signing_in_and_out_is_in_the_audit_log(api: Api) -> None:
    await sign_in(api, "hk_no_such")
    answer = await sign_in(api)
    await api.client.post("/logout", headers=csrf(answer))
    key_id = api.keys["operator"].split("_")[1]
    told = [entry for entry in await entries(api) if entry[0].startswith("page.")]
    assert told == [("page.signed_in", "operator", f"key {key_id}"), ("page.signed_out", "operator", f"key {key_id}")]


async def test_what_a_key_may_not_do_is_refused_and_noted_once_a_minute(api: Api) -> None:
    answer = await sign_in(api, "reader")
    for _ in range(3):
        forged = await api.client.post("/api/v1/instances/1/drain", headers=csrf(answer))
        assert (forged.status_code, forged.json()["code"]) == (403, "forbidden")
    key_id = api.keys["reader"].split("_")[1]
    refused = [entry for entry in await entries(api) if entry[0] == "request.refused"]
    assert refused == [("request.refused", "reader", f"key {key_id}")]
