"""Which numbers are on WhatsApp: asked of the account's own gateway, through the API."""

from dataclasses import replace

import pytest

from homing.model.sends.addresses import Address, AddressKind
from homing.model.sends.faults import Fault, Phase
from homing.ports import NumberChecked
from tests.flows.worlds import PLAIN
from tests.serve.conftest import Api

WRITTEN, KNOWN = "+55 11 98765-4321", "551187654321"


@pytest.fixture
def checking(api: Api) -> Api:
    for model in api.world.instances.values():
        model.can = replace(PLAIN, check_numbers=True)
        model.known_as["5511987654321"] = NumberChecked(True, Address(AddressKind.PHONE, KNOWN))
        model.known_as["62811801642"] = Fault(Phase.SERVER_ERROR, "it broke")
    return api


async def test_each_number_has_its_own_answer(checking: Api) -> None:
    account = await checking.account()
    phones = [WRITTEN, "+62811801641", "+62811801642", "nobody"]
    answer = await checking.call("POST", f"/accounts/{account['id']}/check-number", {"phones": phones}, key="sender")
    assert answer.status_code == 200, answer.text
    known, nobody, broken, unread = answer.json()["data"]
    assert known == {"written": WRITTEN, "phone": "5511987654321", "exists": True, "address": KNOWN, "error": None}
    assert (nobody["exists"], nobody["address"], nobody["error"]) == (False, None, None)
    assert broken["exists"] is None and broken["error"]
    assert unread["exists"] is None and unread["phone"] is None and unread["error"]
    assert checking.world.ledger == []


async def test_a_gateway_that_has_no_such_call_is_422(api: Api) -> None:
    account = await api.account()
    answer = await api.call("POST", f"/accounts/{account['id']}/check-number", {"phones": [WRITTEN]})
    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported_check")


@pytest.mark.parametrize("phones", [[], ["+62811801641"] * 101, "x"], ids=["none", "101", "text"])
async def test_a_batch_has_1_to_100_numbers(checking: Api, phones: object) -> None:
    account = await checking.account()
    answer = await checking.call("POST", f"/accounts/{account['id']}/check-number", {"phones": phones})
    assert 400 <= answer.status_code < 500 and answer.json()["code"]


@pytest.mark.parametrize(("key", "status"), [("reader", 403), ("stranger", 404)])
async def test_who_may_not_send_through_an_account_may_not_ask_with_it(checking: Api, key: str, status: int) -> None:
    account = await checking.account()
    body = {"phones": [WRITTEN]}
    answer = await checking.call("POST", f"/accounts/{account['id']}/check-number", body, key=key)
    assert answer.status_code == status


async def test_a_send_says_to_which_spelling_it_went(checking: Api) -> None:
    account = await checking.account()
    answer = await checking.send(account, phone=WRITTEN)
    assert (answer.status_code, answer.json()["sent_to"]) == (200, KNOWN)
    kept = (await checking.call("GET", f"/messages/{answer.json()['message_uuid']}")).json()
    assert (kept["phone"], kept["phone_as_written"], kept["state"]) == (KNOWN, WRITTEN, "sent")
    plain = await checking.send(account)
    assert "sent_to" not in plain.json()
