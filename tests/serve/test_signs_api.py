"""Signs to chats through the API: that messages were read, that somebody types; and typing before a paced message."""

from dataclasses import replace
from typing import Any

import pytest

from homing.model.sends.addresses import Address
from homing.model.sends.content import MessageRef
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.signs import ReadSign, TypingSign
from tests.flows.worlds import PLAIN
from tests.serve.conftest import Api
from tests.serve.test_outbox_api import accept, placed, reached

PHONE, CHAT = "+62811801641", Address.of("62811801641")


@pytest.fixture
def showing(api: Api) -> Api:
    for model in api.world.instances.values():
        model.can = replace(PLAIN, mark_read=True, show_typing=True)
    return api


def shown(api: Api) -> list[Any]:
    return [sign for model in api.world.instances.values() for sign in model.shown]


async def test_what_was_read_and_who_types_is_shown_to_the_chat(showing: Api) -> None:
    account = await placed(showing)
    body = {"phone": PHONE, "message_ids": ["3EB0A", "false_62811801641@c.us_3EB0B"]}
    read = await showing.call("POST", f"/accounts/{account['id']}/mark-read", body, key="sender")
    assert (read.status_code, read.json()["chat"]) == (200, "62811801641"), read.text
    typing = await showing.call("POST", f"/accounts/{account['id']}/typing", {"phone": PHONE, "seconds": 2})
    assert typing.status_code == 200, typing.text
    assert shown(showing) == [ReadSign(CHAT, (MessageRef("3EB0A"), MessageRef("3EB0B"))), TypingSign(CHAT, 2.0)]
    assert showing.world.ledger == []


@pytest.mark.parametrize("what", ["mark-read", "typing"])
async def test_a_gateway_without_such_a_call_is_422_that_names_it_and_what_it_can(api: Api, what: str) -> None:
    account = await placed(api)
    for model in api.world.instances.values():
        model.can = replace(PLAIN, mark_read=what == "typing", show_typing=what == "mark-read")
    body = {"phone": PHONE} | ({"message_ids": ["3EB0A"]} if what == "mark-read" else {})
    answer = await api.call("POST", f"/accounts/{account['id']}/{what}", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported_type")
    other = "typing" if what == "mark-read" else "mark-read"
    assert "webjs" in answer.json()["detail"] and other in answer.json()["detail"]
    assert shown(api) == []


async def test_a_gateway_that_did_not_show_it_says_why(showing: Api) -> None:
    account = await placed(showing)
    for model in showing.world.instances.values():
        model.sign_fault = Fault(Phase.SERVER_ERROR, "it broke")
    answer = await showing.call("POST", f"/accounts/{account['id']}/typing", {"phone": PHONE})
    assert answer.json()["code"] == "instance_fault" and "it broke" in answer.json()["detail"]


@pytest.mark.parametrize(
    ("what", "body"),
    [
        ("mark-read", {"phone": PHONE, "message_ids": []}),
        ("mark-read", {"phone": PHONE, "message_ids": ["3EB0"] * 101}),
        ("mark-read", {"phone": PHONE, "message_ids": ["true_62811801641@c.us_3EB0"]}),
        ("mark-read", {"phone": PHONE, "message_ids": ["no id"]}),
        ("mark-read", {"phone": "nobody", "message_ids": ["3EB0"]}),
        ("typing", {"phone": PHONE, "seconds": 26}),
        ("typing", {"phone": PHONE, "seconds": -1}),
    ],
    ids=["none", "101", "ones-own", "no-id", "nobody", "too-long", "before"],
)
async def test_what_cannot_be_shown_is_refused_before_anybody_is_told(
    showing: Api, what: str, body: dict[str, Any]
) -> None:
    account = await placed(showing)
    answer = await showing.call("POST", f"/accounts/{account['id']}/{what}", body)
    assert 400 <= answer.status_code < 500 and answer.json()["code"]
    assert shown(showing) == []


@pytest.mark.parametrize(("key", "status"), [("reader", 403), ("stranger", 404)])
async def test_who_may_not_send_through_an_account_shows_nothing(showing: Api, key: str, status: int) -> None:
    account = await placed(showing)
    answer = await showing.call("POST", f"/accounts/{account['id']}/typing", {"phone": PHONE}, key=key)
    assert answer.status_code == status


async def test_before_a_paced_message_somebody_types(showing: Api) -> None:
    account = await placed(showing)
    await showing.call("PUT", f"/accounts/{account['id']}/pace", {"per_day": 100, "typing_ms_per_char": 10})
    assert (await showing.send(account, "waited for")).status_code == 200
    kept = await accept(showing, account, "kept")
    await reached(showing, kept.json()["message_uuid"], "sent")
    assert shown(showing) == [TypingSign(CHAT, 0.1), TypingSign(CHAT, 0.04)]


async def test_where_typing_cannot_be_shown_the_message_goes_at_once(api: Api) -> None:
    account = await placed(api)
    await api.call("PUT", f"/accounts/{account['id']}/pace", {"per_day": 100, "typing_ms_per_char": 1000})
    answer = await api.send(account, "a message that would take ten seconds")
    assert answer.status_code == 200 and answer.json()["response_time_ms"] < 5_000
    assert shown(api) == []
