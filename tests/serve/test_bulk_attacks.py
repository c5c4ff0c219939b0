"""Batches as a stranger with a key would have them: bombs, other spellings, keys of others, accounts of nobody."""

import time
from collections.abc import AsyncIterator

import pytest

from homing.serve.bulk_lines import LINE_BYTES_MAX, _records
from tests.serve.conftest import Api
from tests.serve.test_bulk_api import CSV, bulk, ended, lines
from tests.serve.test_outbox_api import placed

MEXICAN = ("+52 1 55 1234 5678", "+525512345678", "5215512345678@c.us", "525512345678@s.whatsapp.net", "00525512345678")


@pytest.mark.parametrize("opted_out", MEXICAN)
async def test_who_opted_out_is_not_reached_by_another_spelling(api: Api, opted_out: str) -> None:
    account = await placed(api)
    told = await api.call("POST", "/suppressions", {"workspace_id": 1, "phones": [opted_out]})
    assert told.status_code == 200, told.text
    rows = [{"phone": phone, "message": f"to {number}"} for number, phone in enumerate(MEXICAN)]
    answer = await bulk(api, account, lines(*rows, {"phone": "+62811801641", "message": "to another"}))
    done = await ended(api, answer.json()["batch_id"])
    assert [text for _, text in api.world.ledger] == ["to another"]
    assert done["states"] == {"failed": len(MEXICAN), "sent": 1}, done


async def test_a_key_of_another_batch_is_refused_and_says_so(api: Api) -> None:
    account = await placed(api)
    row = {"phone": "+62811801641", "message": "one"}
    first = await bulk(api, account, lines(row), idempotency_key="spring")
    again = await bulk(api, account, lines(row), idempotency_key="spring")
    assert again.json()["batch_id"] == first.json()["batch_id"]
    for other in (lines(row, row), lines({**row, "message": "two"}), lines({**row, "phone": "+62811801642"})):
        answer = await bulk(api, account, other, idempotency_key="spring")
        assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused"), answer.text
    named = await bulk(api, account, lines(row), idempotency_key="spring", name="another")
    assert named.json()["code"] == "idempotency_key_reused"
    await ended(api, first.json()["batch_id"])
    assert [text for _, text in api.world.ledger] == ["one"]


async def test_a_key_of_a_message_and_of_a_batch_are_two(api: Api) -> None:
    account = await placed(api)
    body = {"account_uuid": account["uuid"], "workspace_id": 1, "phone": "+62811801641", "message": "alone"}
    assert (await api.call("POST", "/messages", body, Idempotency_Key="spring")).status_code == 202
    row = {"phone": "+62811801642", "message": "one"}
    answer = await bulk(api, account, lines(row), idempotency_key="spring")
    await ended(api, answer.json()["batch_id"])
    assert {text for _, text in api.world.ledger} >= {"one"}


async def test_a_variable_that_stands_in_many_places_makes_no_text_of_any_length(api: Api) -> None:
    account = await placed(api)
    template, value = "{{a}}" * 2_000, "x" * 100_000  # 200 MB, if it were filled
    began_s = time.process_time()
    row = {"phone": "+62811801641", "variables": {"a": value}}
    answer = await bulk(api, account, lines(row), template=template)
    assert time.process_time() - began_s < 2.0
    shown = answer.json()
    assert (shown["state"], shown["invalid"]) == ("rejected", 1)
    [line] = (await api.call("GET", f"/batches/{shown['batch_id']}/errors")).json()["data"]
    assert line["code"] == "invalid_request"
    assert "200000000 characters" in line["detail"]


async def test_accounts_of_nobody_cost_no_memory_and_name_their_lines(api: Api) -> None:
    account = await placed(api)
    rows = [
        {"phone": "+62811801641", "message": "x", "account_uuid": f"00000000-0000-7000-8000-{number:012d}"}
        for number in range(1_500)
    ]
    answer = await bulk(api, account, lines(*rows, {"phone": "+62811801641", "message": "good"}))
    assert (answer.json()["messages"], answer.json()["invalid"]) == (1, 1_500)


async def test_a_quoted_cell_of_many_short_lines_is_looked_at_once() -> None:
    """Looked at anew with each of its lines, a quarter of a megabyte would take the event loop for many seconds."""

    async def flood() -> AsyncIterator[bytes]:
        yield b'phone,x\n"' + b"\n" * (LINE_BYTES_MAX - 10)

    began_s = time.process_time()
    found = [raw async for _, raw in _records(flood())]
    assert time.process_time() - began_s < 5.0
    assert len(found) <= 2


async def test_a_quote_that_never_ends_is_a_line_that_is_too_long(api: Api) -> None:
    account = await placed(api)
    body = b'phone,message\n+62811801641,"' + b"x\n" * LINE_BYTES_MAX
    answer = await bulk(api, account, body, CSV)
    assert answer.status_code == 202, answer.text
    assert answer.json()["messages"] == 0
