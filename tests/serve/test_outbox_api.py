"""The outbox over HTTP: accepted at once, sent in turn, and what people do with what waits."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from homing.model.fleet import SessionId
from homing.model.sends.faults import Fault, Phase
from tests.flows.worlds import A, Misfortune
from tests.serve.conftest import Api

PHONE = "+62811801641"


async def placed(api: Api) -> dict[str, Any]:
    """An account whose session is on A."""
    account = await api.account()
    for _ in range(200):
        shown = (await api.call("GET", f"/accounts/{account['id']}")).json()
        if shown["instance_url"] is not None and shown["status"] == "connected":
            break
        await asyncio.sleep(0.02)
    return dict(shown)


async def accept(api: Api, account: dict[str, Any], text: str = "hi", **more: Any) -> Any:
    headers = {"Idempotency_Key": more.pop("idempotency_key")} if "idempotency_key" in more else {}
    body = {"workspace_id": 1, "account_uuid": account["uuid"], "phone": PHONE, "message": text} | more
    return await api.call("POST", "/messages", body, **headers)


async def reached(api: Api, uuid: str, *states: str) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for _ in range(500):
        shown = (await api.call("GET", f"/messages/{uuid}")).json()
        if shown.get("state") in states:
            return shown
        await asyncio.sleep(0.02)
    raise AssertionError(shown)


async def test_an_accepted_message_is_sent(api: Api) -> None:
    account = await placed(api)
    answer = await accept(api, account)
    assert answer.status_code == 202, answer.text
    assert answer.json()["state"] == "accepted"
    shown = await reached(api, answer.json()["message_uuid"], "sent")
    assert (shown["attempts"], shown["message"], shown["content"]["text"]) == (1, "hi", "hi")
    assert api.world.said("hi") == 1


async def test_messages_to_one_person_go_in_the_order_in_which_they_were_accepted(api: Api) -> None:
    account = await placed(api)
    answers = [await accept(api, account, f"message {n}") for n in range(12)]
    for answer in answers:
        await reached(api, answer.json()["message_uuid"], "sent")
    assert [text for _, text in api.world.ledger] == [f"message {n}" for n in range(12)]


async def test_the_same_key_is_one_message(api: Api) -> None:
    account = await placed(api)
    first = await accept(api, account, idempotency_key="k")
    again = await accept(api, account, idempotency_key="k")
    assert (first.status_code, again.status_code) == (202, 202)
    assert first.json() == again.json()
    other = await accept(api, account, "something else", idempotency_key="k")
    assert (other.status_code, other.json()["code"]) == (422, "idempotency_key_reused")
    await reached(api, first.json()["message_uuid"], "sent")
    assert api.world.said("hi") == 1
    waited = await api.send(account, "hi", phone=PHONE, idempotency_key="k")
    assert (waited.status_code, waited.json()["message_uuid"]) == (200, first.json()["message_uuid"])
    assert api.world.said("hi") == 1


@pytest.mark.parametrize("how", ["wait", "prefer"])
async def test_a_send_that_nobody_waits_for_is_accepted(api: Api, how: str) -> None:
    account = await placed(api)
    body = {"workspace_id": 1, "account_uuid": account["uuid"], "phone": PHONE, "message": "later"}
    headers = {"Prefer": "respond-async"} if how == "prefer" else {}
    answer = await api.call("POST", "/messages/send", body | ({"wait": False} if how == "wait" else {}), **headers)
    assert (answer.status_code, answer.json()["state"]) == (202, "accepted")
    await reached(api, answer.json()["message_uuid"], "sent")


async def test_what_is_scheduled_waits_and_can_be_taken_back(api: Api) -> None:
    account = await placed(api)
    later = await accept(api, account, "tomorrow", send_at="2096-01-01T00:00:00Z")
    assert (later.status_code, later.json()["code"]) == (422, "invalid_request")
    soon = api.gateway.clock.now() + timedelta(days=30)
    later = await accept(api, account, "later", send_at=soon.isoformat())
    assert later.status_code == 202, later.text
    now = await accept(api, account, "now")
    await reached(api, now.json()["message_uuid"], "sent")
    uuid = later.json()["message_uuid"]
    assert (await api.call("GET", f"/messages/{uuid}")).json()["state"] == "accepted"
    cancelled = await api.call("POST", f"/messages/{uuid}/cancel")
    assert (cancelled.status_code, cancelled.json()["state"]) == (200, "cancelled")
    again = await api.call("POST", f"/messages/{uuid}/cancel")
    assert (again.status_code, again.json()["code"]) == (409, "already_left")
    assert api.world.said("later") == 0


async def test_a_rejected_message_fails_alone(api: Api) -> None:
    account = await placed(api)
    api.world.instances[A].misfortunes.append(Misfortune(Fault(Phase.REQUEST_REJECTED, "invalid message")))
    for url in api.world.instances:
        if url != A and SessionId(account["session_id"]) in api.world.instances[url].sessions:
            api.world.instances[url].misfortunes.append(Misfortune(Fault(Phase.REQUEST_REJECTED, "invalid message")))
    bad, good = await accept(api, account, "bad"), await accept(api, account, "good")
    shown = await reached(api, bad.json()["message_uuid"], "failed")
    assert shown["code"] == "message_rejected"
    await reached(api, good.json()["message_uuid"], "sent")
    assert (api.world.said("bad"), api.world.said("good")) == (0, 1)


async def test_only_what_is_unknown_can_be_settled(api: Api) -> None:
    account = await placed(api)
    sent = await accept(api, account)
    uuid = sent.json()["message_uuid"]
    await reached(api, uuid, "sent")
    refused = await api.call("POST", f"/messages/{uuid}/settle", {"action": "resend"})
    assert (refused.status_code, refused.json()["code"]) == (409, "not_unknown")
    nobody = await api.call("POST", "/messages/nobody/settle", {"action": "resend"})
    assert (nobody.status_code, nobody.json()["code"]) == (404, "message_not_found")
    foreign = await api.call("POST", f"/messages/{uuid}/cancel", key="stranger")
    assert (foreign.status_code, foreign.json()["code"]) == (404, "message_not_found")


async def test_messages_are_listed_by_account_and_state(api: Api) -> None:
    account = await placed(api)
    sent = await accept(api, account)
    await reached(api, sent.json()["message_uuid"], "sent")
    soon = api.gateway.clock.now() + timedelta(days=1)
    await accept(api, account, "later", send_at=soon.isoformat())
    for query, number in (("", 2), ("&state=accepted", 1), ("&state=failed", 0), ("&until=2020-01-01T00:00:00Z", 0)):
        listed = await api.call("GET", f"/messages?account={account['id']}{query}")
        assert len(listed.json()["data"]) == number, listed.text
    assert (await api.call("GET", "/messages?account=4711")).status_code == 404
