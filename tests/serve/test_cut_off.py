"""A gateway that is ended for good: what it cuts off is recorded, answered, and never repeated by itself."""

import asyncio

import pytest

from homing.model.fleet import SessionId
from homing.model.sends.faults import Fault, Phase
from tests.flows.worlds import PLAIN, Misfortune
from tests.serve.conftest import Api


async def hanging(api: Api) -> dict[str, object]:
    """An account whose instance takes a message and does not answer."""
    account = await api.account()
    instance = next(each for each in api.world.instances.values() if SessionId(account["session_id"]) in each.sessions)
    instance.can = PLAIN
    instance.misfortunes.append(Misfortune(Fault(Phase.REPLY_TIMED_OUT), delivered=True, after_s=60.0))
    return account


async def until_handed_over(api: Api) -> None:
    async with asyncio.timeout(5):
        while not any(instance.sends for instance in api.world.instances.values()):  # noqa: ASYNC110
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("keyed", [False, True])
async def test_a_send_that_is_cut_off_is_answered_and_recorded_as_unknown(api: Api, keyed: bool) -> None:
    account = await hanging(api)
    more = {"idempotency_key": "once"} if keyed else {}
    sending = asyncio.create_task(api.send(account, **more))
    await until_handed_over(api)
    api.gateway.sends.cut_off()
    answer = await asyncio.wait_for(sending, 5)
    assert (answer.status_code, answer.json()["success"], answer.json()["outcome"]) == (202, None, "unknown")
    record = (await api.call("GET", f"/messages/{answer.json()['message_uuid']}")).json()
    assert record["state"] == "unknown"
    assert "ended before the send was" in record["reason"]
    assert api.world.said("hello") <= 1
    if keyed:
        again = await api.send(account, **more)
        assert (again.status_code, again.json()["message_uuid"]) == (202, answer.json()["message_uuid"])


async def test_a_client_that_goes_away_is_no_end_of_the_gateway(api: Api) -> None:
    account = await hanging(api)
    sending = asyncio.create_task(api.send(account))
    await until_handed_over(api)
    sending.cancel()
    with pytest.raises(asyncio.CancelledError):
        await sending
