"""A phone's owner links it by a link: no key, one browser, once; what does not open looks like what never was."""

import asyncio
from typing import Any

import httpx
import pytest

from homing.model.fleet import SessionId, SessionStatus
from homing.ports import PairingCode
from tests.flows.worlds import A
from tests.serve.conftest import Api


class Owner:
    """A browser on the other side, with cookies of its own and no key."""

    def __init__(self, api: Api, url: str) -> None:
        self.path = "/pair/" + url.rsplit("/", 1)[1]
        self._client = httpx.AsyncClient(transport=api.client._transport, base_url="http://homing.test")

    async def looks(self) -> httpx.Response:
        return await self._client.get(self.path)

    async def opens(self) -> httpx.Response:
        return await self._client.post(self.path, follow_redirects=True)


@pytest.fixture
async def account(api: Api, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    made = await api.account()
    session = SessionId(made["session_id"])
    api.world.hold(A, session, status=SessionStatus.PAIRING)
    await api.gateway.stores.directory.set_status(session, SessionStatus.PAIRING)

    async def pairing(*_: object, **__: object) -> PairingCode:
        return PairingCode("2@secret,code", None, 60)

    monkeypatch.setattr(api.world, "pairing", pairing)
    return made


async def link(api: Api, account: dict[str, Any], **body: Any) -> str:
    answer = await api.call("POST", f"/accounts/{account['id']}/pairing-link", body)
    assert answer.status_code == 201, answer.text
    return str(answer.json()["url"])


async def test_an_owner_opens_the_link_sees_the_code_and_is_told_when_the_phone_is_linked(
    api: Api, account: dict[str, Any]
) -> None:
    owner = Owner(api, await link(api, account))
    first = await owner.looks()
    assert first.status_code == 200
    assert "Show the code" in first.text
    assert "<svg" not in first.text, "looking at a link uses nothing up and shows nothing"
    shown = await owner.opens()
    assert shown.status_code == 200
    assert "<svg" in shown.text
    assert 'http-equiv="refresh"' in shown.text, "the code renews itself"
    assert account["phone"] not in shown.text
    await api.gateway.stores.directory.set_status(SessionId(account["session_id"]), SessionStatus.CONNECTED)
    assert "Your phone is linked" in (await owner.looks()).text
    assert (await owner.looks()).status_code == 404, "and then it has ended"


async def test_used_twice_ended_expired_and_guessed_look_alike(api: Api, account: dict[str, Any]) -> None:
    url = await link(api, account)
    assert (await Owner(api, url).opens()).status_code == 200
    used = Owner(api, url)
    ended = Owner(api, await link(api, account))
    expired = Owner(api, await link(api, account, expires_in_s=60))
    ends = api.gateway.stores.pairing_links
    from homing.flows.operations.pairing_links import _hash

    await ends.end(_hash(expired.path.rsplit("/", 1)[1]))
    refused = [used, ended, expired, Owner(api, "http://x/" + "g" * 32)]
    answers = [await (each.opens() if again else each.looks()) for each in refused for again in (False, True)]
    assert {each.status_code for each in answers} == {404}
    assert len({each.text for each in answers}) == 1


async def test_of_two_that_open_it_at_once_one_has_it(api: Api, account: dict[str, Any]) -> None:
    url = await link(api, account)
    answers = await asyncio.gather(*(Owner(api, url).opens() for _ in range(5)))
    assert sorted(each.status_code for each in answers) == [200, 404, 404, 404, 404]


async def test_a_connected_account_is_given_no_link(api: Api, account: dict[str, Any]) -> None:
    await api.gateway.stores.directory.set_status(SessionId(account["session_id"]), SessionStatus.CONNECTED)
    answer = await api.call("POST", f"/accounts/{account['id']}/pairing-link", {})
    assert (answer.status_code, answer.json()["code"]) == (409, "nothing_to_pair")


@pytest.mark.parametrize("seconds", [0, 59, 86_401])
async def test_a_link_lives_a_minute_at_least_and_a_day_at_most(
    api: Api, account: dict[str, Any], seconds: int
) -> None:
    answer = await api.call("POST", f"/accounts/{account['id']}/pairing-link", {"expires_in_s": seconds})
    assert answer.status_code == 422


async def test_the_page_may_load_nothing_from_elsewhere_and_is_not_kept(api: Api, account: dict[str, Any]) -> None:
    answer = await Owner(api, await link(api, account)).looks()
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert "script-src" not in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["referrer-policy"] == "no-referrer"


async def test_phones_that_have_to_be_linked_are_listed_with_what_waits(api: Api, account: dict[str, Any]) -> None:
    answer = await api.call("GET", "/pairing")
    [row] = answer.json()["data"]
    assert (row["account_id"], row["status"], row["waiting"]) == (account["id"], "pairing", 0)
    assert row["since_at"] is not None
    await api.gateway.stores.directory.set_status(SessionId(account["session_id"]), SessionStatus.CONNECTED)
    assert (await api.call("GET", "/pairing")).json()["data"] == []
