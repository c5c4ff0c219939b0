"""Instances that answer and do not work, as accounts that are created meet them."""

from typing import Any

import pytest

from homing.model.fleet import AccountUuid, InstanceUrl
from homing.model.sends.faults import Fault, Phase
from tests.flows.worlds import A, B, C
from tests.serve.conftest import Api
from tests.serve.reporting import figures

WRONG_KEY = Fault(Phase.UNAUTHORISED, "Invalid API key", 401)


async def create(api: Api, phone: str = "0816108641") -> Any:
    return await api.call("POST", "/accounts", {"workspace_id": 1, "phone": phone})


async def shown(api: Api, url: InstanceUrl) -> dict[str, Any]:
    rows = (await api.call("GET", "/instances")).json()["data"]
    return next(dict(row) for row in rows if row["url"] == url)


async def accounts(api: Api) -> list[dict[str, Any]]:
    return list((await api.call("GET", "/accounts")).json()["data"])


def starts(api: Api) -> int:
    return sum(instance.starts for instance in api.world.instances.values())


@pytest.mark.parametrize("phase", [Phase.UNAUTHORISED, Phase.REFUSED, Phase.PATH_NOT_FOUND, Phase.UNAVAILABLE])
async def test_a_create_that_fails_because_of_its_instance_goes_on_with_the_next(api: Api, phase: Phase) -> None:
    api.world.instances[A].start_fault = api.world.instances[B].start_fault = Fault(phase)
    made = await create(api)
    assert (made.status_code, made.json()["instance_url"]) == (201, C)
    assert starts(api) == 3


async def test_a_failed_create_leaves_no_account_behind_and_says_what_is_wrong_with_each(api: Api) -> None:
    for url in (A, B, C):
        api.world.instances[url].start_fault = WRONG_KEY
    answer = await create(api)
    told = answer.json()
    assert (answer.status_code, told["code"]) == (503, "no_capacity")
    assert told["detail"].count("does not accept our API key") == 3 and "no account was made" in told["detail"]
    assert await accounts(api) == []


async def test_what_no_instance_would_take_is_refused_once_and_leaves_nothing_behind(api: Api) -> None:
    for url in (A, B, C):
        api.world.instances[url].start_fault = Fault(Phase.REQUEST_REJECTED, "no such workspace", 400)
    assert (await create(api)).status_code == 409
    assert (starts(api), await accounts(api)) == (1, [])


@pytest.mark.parametrize("phase", [Phase.REPLY_TIMED_OUT, Phase.INTERRUPTED, Phase.GATEWAY_TIMED_OUT])
async def test_a_start_without_an_answer_is_not_repeated_elsewhere_and_not_forgotten(api: Api, phase: Phase) -> None:
    for url in (A, B, C):
        api.world.instances[url].start_fault = Fault(phase)
    answer = await create(api)
    assert (answer.status_code, answer.json()["code"]) == (503, "instance_fault")
    assert "not known" in answer.json()["detail"]
    [kept] = await accounts(api)
    assert (kept["instance_url"], starts(api)) == (A, 1)
    account = await api.gateway.stores.directory.account(None, uuid=AccountUuid(kept["uuid"]))
    assert account is not None and account.placement.instance_url == A


@pytest.mark.parametrize("phase", [Phase.REPLY_TIMED_OUT, Phase.SERVER_ERROR])
async def test_a_start_without_an_answer_that_the_list_shows_is_a_start(api: Api, phase: Phase) -> None:
    api.world.instances[A].start_fault, api.world.instances[A].starts_all_the_same = Fault(phase), True
    made = await create(api)
    assert (made.status_code, made.json()["instance_url"], made.json()["status"]) == (201, A, "pairing")
    assert starts(api) == 1


async def test_an_instance_that_said_that_it_could_not_and_does_not_list_it_is_passed_over(api: Api) -> None:
    api.world.instances[A].start_fault = Fault(Phase.SERVER_ERROR, "no browser", 500)
    assert (await create(api)).json()["instance_url"] == B


async def test_a_wrong_key_is_seen_shown_counted_and_no_target_until_it_is_right(api: Api) -> None:
    api.world.instances[A].list_fault = WRONG_KEY
    wrong = await api.gateway.fitness.check(A)
    assert wrong is not None and "WHATSAPP_INSTANCE_n_API_KEY" in wrong
    row = await shown(api, A)
    assert (row["health"], row["reason"], row["healthy"]) == ("misconfigured", wrong, True)
    assert [each["kind"] for each in row["attention"]] == ["instance_misconfigured"]
    states = await figures(api, "homing_instance_state")
    assert states[f'instance="{A.removeprefix("http://")}",state="misconfigured"'] == 1
    assert states[f'instance="{A.removeprefix("http://")}",state="healthy"'] == 0
    assert [(await create(api, f"081610864{n}")).json()["instance_url"] for n in range(2)] == [B, C]
    api.world.instances[A].list_fault = None
    assert await api.gateway.fitness.check(A) is None
    row = await shown(api, A)
    assert (row["health"], row["attention"]) == ("healthy", [])
    assert (await create(api, "0816108649")).json()["instance_url"] == A


async def test_nothing_is_moved_because_of_a_wrong_key(api: Api) -> None:
    account = (await create(api)).json()
    for url in (A, B, C):
        api.world.instances[url].list_fault = WRONG_KEY
        await api.gateway.fitness.check(url)
    assert api.gateway.watching.down() == frozenset()
    assert api.gateway.keeper.braked() is None
    after = (await api.call("GET", f"/accounts/{account['id']}")).json()
    assert (after["instance_url"], after["epoch"]) == (account["instance_url"], account["epoch"])
    assert (await api.call("GET", "/moves?kind=rehome")).json()["data"] == []
