"""The pages about customers' endpoints: how telling goes, why not, and that it is tested and told again from there."""

from html import unescape
from typing import Any

import pytest

from tests.serve.conftest import Api
from tests.serve.test_endpoints_api import Receiver, endpoint, happened, receiver, until_state  # noqa: F401 - a fixture
from tests.serve.test_outbox_pages import act, actions_on
from tests.serve.test_pages import HOSTILE, page, settled


async def refused_one(api: Api, receiver: Receiver) -> dict[str, Any]:  # noqa: F811
    """An endpoint whose one delivery it did not want, and which is on again."""
    account, made = await api.account(), await endpoint(api, receiver, schedule="short", name="crm")
    receiver.status = 410
    await happened(api, account, 1)
    await until_state(api, "dead", 1)
    await settled(api, f"/endpoints/{made['id']}", "It is told nothing until it is enabled.")
    return made


async def test_an_endpoint_says_why_it_is_told_nothing_and_is_enabled_from_its_page(
    api: Api,
    receiver: Receiver,  # noqa: F811
) -> None:
    made = await refused_one(api, receiver)
    listed = unescape((await page(api, "/endpoints", "reader")).text)
    assert f'href="/endpoints/{made["id"]}"' in listed
    assert "answered 410: it wants nothing more" in listed.lower()
    assert actions_on(listed) == set()
    assert "crm" not in (await page(api, "/endpoints", "stranger")).text
    assert (await page(api, f"/endpoints/{made['id']}", "stranger")).status_code == 404
    assert actions_on((await page(api, f"/endpoints/{made['id']}")).text) == {"test", "replay", "enable"}
    assert "It is disabled. Enable it first." in (await page(api, f"/endpoints/{made['id']}/replay")).text
    answer = await act(api, f"/endpoints/{made['id']}/enable")
    assert (answer.status_code, answer.json()["state"]) == (200, "enabled"), answer.text


async def test_what_is_dead_is_replayed_from_the_page_with_every_attempt_shown(
    api: Api,
    receiver: Receiver,  # noqa: F811
) -> None:
    made = await refused_one(api, receiver)
    await api.call("PATCH", f"/endpoints/{made['id']}", {"enabled": True})
    [dead] = (await api.call("GET", "/deliveries?state=dead")).json()["data"]
    shown = unescape((await page(api, f"/endpoints/{made['id']}?state=dead", "reader")).text)
    assert f'href="/deliveries/{dead["id"]}"' in shown
    one = unescape((await page(api, f"/deliveries/{dead['id']}", "reader")).text)
    assert "answered 410: it wants nothing more" in one.lower()
    assert '<td class="num">410</td>' in one
    assert (await page(api, f"/deliveries/{dead['id']}", "stranger")).status_code == 404
    receiver.status = 200
    answer = await act(api, f"/endpoints/{made['id']}/replay")
    assert (answer.status_code, answer.json()) == (202, {"replayed": 1})
    await receiver.until(2)
    await until_state(api, "delivered", 1)
    again = await act(api, f"/deliveries/{dead['id']}/replay")
    assert (again.status_code, again.json()) == (202, {"replayed": 1})
    await receiver.until(3)


async def test_a_trial_is_made_from_the_page_and_its_answer_is_told(api: Api, receiver: Receiver) -> None:  # noqa: F811
    made = await endpoint(api, receiver)
    dialog = unescape((await page(api, f"/endpoints/{made['id']}/test")).text)
    assert '["delivered", "Delivered"]' in dialog
    answer = await act(api, f"/endpoints/{made['id']}/test")
    assert (answer.json()["delivered"], answer.json()["status"]) == (True, 200)


async def test_what_customers_call_their_endpoints_is_text(api: Api, receiver: Receiver) -> None:  # noqa: F811
    made = await endpoint(api, receiver, name=HOSTILE[:200])
    for path in ("/endpoints", f"/endpoints/{made['id']}", f"/endpoints/{made['id']}/test"):
        shown = await page(api, path)
        assert shown.status_code == 200
        assert "<script>alert" not in shown.text, path


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("/endpoints?after=%00", 200),
        ("/endpoints/x", 404),
        ("/endpoints/x/test", 404),
        ("/deliveries/1", 404),
        ("/deliveries/99999999999999999999", 404),
        ("/deliveries/1/replay", 404),
    ],
)
async def test_any_address_of_these_gives_a_page(api: Api, path: str, status: int) -> None:
    assert (await page(api, path)).status_code == status


async def test_any_query_of_an_endpoint_gives_a_page(api: Api, receiver: Receiver) -> None:  # noqa: F811
    made = await endpoint(api, receiver)
    for query in ("state=no", "state=dead&before=x", "before=99999999999999999999", "before=-1"):
        assert (await page(api, f"/endpoints/{made['id']}?{query}")).status_code == 200
    assert await settled(api, f"/endpoints/{made['id']}/explode", "Not there")
