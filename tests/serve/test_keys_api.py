"""The life of an API key: until when it opens, when it was last used, and how its secret is replaced without a gap."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.serve.conftest import Api


def id_of(api: Api, key: str) -> str:
    return api.keys[key].split("_")[1]


def soon(seconds: float) -> str:
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat()


async def made(api: Api, **more: Any) -> dict[str, Any]:
    answer = await api.call("POST", "/keys", {"name": "shop", "scope": "read", "workspace_id": 1, **more})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def opens(api: Api, token: str) -> bool:
    return (await api.call("GET", "/accounts", key=token)).status_code == 200


# --- expiry -----------------------------------------------------------------------------------------------------


async def test_a_key_that_has_expired_is_told_so(api: Api) -> None:
    key = await made(api, expires_at=soon(0.4))
    assert await opens(api, key["key"])
    account = await api.account()
    await asyncio.sleep(0.5)
    for answer in (
        await api.call("GET", "/accounts", key=key["key"]),
        await api.send(account, key=key["key"]),
    ):
        assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")
        assert "expired" in answer.json()["detail"]
    rows = (await api.call("GET", "/keys")).json()["data"]
    [shown] = [row for row in rows if row["id"] == key["id"]]
    assert shown["expired"] is True


async def test_an_expired_key_tells_nothing_to_whoever_has_not_its_secret(api: Api) -> None:
    key = await made(api, expires_at=soon(0.2))
    await asyncio.sleep(0.3)
    answer = await api.call("GET", "/accounts", key=f"hk_{key['id']}_nonsense")
    assert "expired" not in answer.json()["detail"]


async def test_an_end_is_put_off_or_taken_away(api: Api) -> None:
    key = await made(api, expires_at=soon(0.3))
    later = soon(3_600)
    changed = (await api.call("PATCH", f"/keys/{key['id']}", {"expires_at": later})).json()
    assert datetime.fromisoformat(changed["expires_at"]) == datetime.fromisoformat(later)
    await asyncio.sleep(0.4)
    assert await opens(api, key["key"])
    assert "expires_at" not in (await api.call("PATCH", f"/keys/{key['id']}", {"expires_at": None})).json()


@pytest.mark.parametrize("end", ["2026-01-31T12:00:00+00:00", "2027-01-31T12:00:00", "tomorrow", 7])
async def test_an_end_in_the_past_or_without_a_zone_is_refused(api: Api, end: Any) -> None:
    assert (await api.call("POST", "/keys", {"expires_at": end})).status_code == 422
    assert (await api.call("PATCH", f"/keys/{id_of(api, 'reader')}", {"expires_at": end})).status_code == 422


# --- rotation ---------------------------------------------------------------------------------------------------


async def test_after_a_rotation_both_secrets_open_until_the_overlap_is_over(api: Api) -> None:
    key = await made(api)
    rotated = (await api.call("POST", f"/keys/{key['id']}/rotate", {"overlap_s": 1})).json()
    assert (rotated["id"], rotated["scope"], rotated["workspace_id"]) == (key["id"], "read", 1)
    assert rotated["key"] != key["key"]
    assert await opens(api, rotated["key"])
    assert await opens(api, key["key"])
    await asyncio.sleep(1.1)
    assert await opens(api, rotated["key"])
    assert not await opens(api, key["key"])
    rows = (await api.call("GET", "/keys")).json()["data"]
    assert "previous_until" not in next(row for row in rows if row["id"] == key["id"])


async def test_without_an_overlap_the_old_secret_is_refused_at_once(api: Api) -> None:
    key = await made(api)
    rotated = (await api.call("POST", f"/keys/{key['id']}/rotate", {"overlap_s": 0})).json()
    assert not await opens(api, key["key"])
    assert await opens(api, rotated["key"])


async def test_rotating_again_ends_the_secret_before_the_last(api: Api) -> None:
    key = await made(api)
    second = (await api.call("POST", f"/keys/{key['id']}/rotate")).json()
    third = (await api.call("POST", f"/keys/{key['id']}/rotate")).json()
    assert [await opens(api, each["key"]) for each in (key, second, third)] == [False, True, True]


async def test_revoking_ends_both_secrets(api: Api) -> None:
    key = await made(api)
    rotated = (await api.call("POST", f"/keys/{key['id']}/rotate")).json()
    await api.call("DELETE", f"/keys/{key['id']}")
    assert [await opens(api, each["key"]) for each in (key, rotated)] == [False, False]
    again = await api.call("POST", f"/keys/{key['id']}/rotate")
    assert (again.status_code, again.json()["code"]) == (404, "key_not_found")


# --- use --------------------------------------------------------------------------------------------------------


async def test_the_last_use_is_written_down_and_not_with_every_request(api: Api) -> None:
    key = await made(api)
    before = datetime.now(UTC)
    for _ in range(3):
        assert await opens(api, key["key"])
    async with asyncio.timeout(5):
        await api.gateway.keyring.write_uses()
    rows = (await api.call("GET", "/keys")).json()["data"]
    shown = {row["id"]: row for row in rows}
    assert before <= datetime.fromisoformat(shown[key["id"]]["last_used_at"]) <= datetime.now(UTC)
    assert "last_used_at" not in shown[id_of(api, "sender")]


async def test_using_a_key_writes_nothing(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    def written(*_: object, **__: object) -> None:
        raise AssertionError("a request waits for this")

    key = await made(api)
    directory = api.gateway.stores.directory
    monkeypatch.setattr(directory, "note_key_uses", written)
    for _ in range(20):
        assert await opens(api, key["key"])


async def test_a_use_that_could_not_be_written_is_not_forgotten(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    from homing.ports import StoreUnavailable

    key = await made(api)
    assert await opens(api, key["key"])

    async def away(*_: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as without:
        without.setattr(api.gateway.stores.directory, "note_key_uses", away)
        with pytest.raises(StoreUnavailable):
            await api.gateway.keyring.write_uses()
    await api.gateway.keyring.write_uses()
    rows = (await api.call("GET", "/keys")).json()["data"]
    assert next(row for row in rows if row["id"] == key["id"])["last_used_at"]
