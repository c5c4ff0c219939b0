"""Sends whose caller waits, where a pace is set; and nothing of that where none is."""

import asyncio
from typing import Any

from homing.model.sends.faults import Fault, Phase
from tests.flows.worlds import Misfortune
from tests.serve.conftest import Api
from tests.serve.test_outbox_api import placed


async def paced(api: Api, account: dict[str, Any], **limits: Any) -> dict[str, Any]:
    answer = await api.call("PUT", f"/accounts/{account['id']}/pace", limits)
    assert answer.status_code == 200, answer.text
    return dict(answer.json())


async def test_a_send_beyond_its_pace_is_429_and_says_when_to_come_again(api: Api) -> None:
    account = await placed(api)
    await paced(api, account, per_hour=2)
    assert [(await api.send(account, f"{n}")).status_code for n in range(2)] == [200, 200]
    refused = await api.send(account, "too soon", idempotency_key="k")
    assert (refused.status_code, refused.json()["code"]) == (429, "paced")
    assert 1_000 < int(refused.headers["Retry-After"]) <= 1_800
    assert api.world.said("too soon") == 0
    await api.call("DELETE", f"/accounts/{account['id']}/pace")
    again = await api.send(account, "too soon", idempotency_key="k")
    assert again.status_code == 200, "its key is not used up by the refusal"


async def test_a_pace_that_is_set_later_counts_for_routes_that_are_remembered(api: Api) -> None:
    account = await placed(api)
    assert (await api.send(account, "before")).status_code == 200
    await api.call("PUT", "/workspaces/1/pace", {"per_hour": 1})
    assert [(await api.send(account, f"{n}")).status_code for n in range(2)] == [200, 429]
    shown = (await api.call("GET", f"/accounts/{account['id']}/pace")).json()
    assert (shown["left"], shown["of"]) == ({"hour": 0}, {"hour": 1})


async def test_sends_and_the_outbox_share_one_pace(api: Api) -> None:
    account = await placed(api)
    await paced(api, account, per_hour=2)
    first = await api.send(account, "waiting for its caller")
    bodies = [
        {"workspace_id": 1, "account_uuid": account["uuid"], "phone": f"+6281180164{n}", "message": "o"} for n in (1, 2)
    ]
    kept = [(await api.call("POST", "/messages", body)).json()["message_uuid"] for body in bodies]
    for _ in range(200):
        states = [(await api.call("GET", f"/messages/{uuid}")).json()["state"] for uuid in kept]
        if "sent" in states:
            break
        await asyncio.sleep(0.02)
    assert (first.status_code, sorted(states)) == (200, ["accepted", "sent"])
    assert (await api.send(account, "one more")).status_code == 429


async def test_after_a_restriction_no_new_chat_is_begun_by_a_send_either(api: Api) -> None:
    account = await placed(api)
    await paced(api, account, new_chats_per_day=100)
    assert (await api.send(account, "known")).status_code == 200
    restricted = Fault(Phase.RECIPIENT_RESTRICTED, "463")
    api.world.instances[account["instance_url"]].misfortunes.append(Misfortune(restricted))
    assert (await api.send(account, "no", phone="+62811801642")).json()["code"] == "recipient_restricted"
    assert (await api.send(account, "new", phone="+62811801643")).status_code == 429
    assert (await api.send(account, "known still")).status_code == 200
