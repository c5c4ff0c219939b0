"""`POST /messages/send`, from outside."""

import asyncio
import json
from typing import Any

import pytest

from homing.model.fleet import SessionId
from homing.model.sends.faults import Fault, Phase
from tests.flows.worlds import PLAIN, A, B, Misfortune
from tests.serve.conftest import Api


async def test_a_send_answers_as_the_first_version_did(api: Api) -> None:
    account = await api.account()
    answer = await api.send(account)
    assert answer.status_code == 200
    told = answer.json()
    assert told["success"] is True
    assert set(told["data"]) == {"message_id", "timestamp"}
    assert told["instance_url"] == account["instance_url"]
    assert (told["attempts"], told["failover"]) == (1, False)
    assert set(told) == {
        "success", "data", "message_uuid", "instance_url", "attempts", "failover", "response_time_ms"
    }  # fmt: skip


async def test_a_contact_is_written_to_at_its_number(api: Api) -> None:
    account = await api.account()
    contact = (await api.call("POST", "/contacts", {"workspace_id": 1, "phone": "0811801641"})).json()
    body = {"workspace_id": 1, "account_uuid": account["uuid"], "contact_uuid": contact["uuid"], "message": "hi"}
    assert (await api.call("POST", "/messages/send", body)).status_code == 200
    assert contact["phone"] == "62811801641"


async def test_a_failover_is_told_and_recorded(api: Api) -> None:
    account = await api.account()
    api.world.lose(A)
    api.world.hold(B, SessionId(account["session_id"]), epoch=2)
    told = (await api.send(account)).json()
    assert (told["instance_url"], told["attempts"], told["failover"]) == (B, 2, True)
    record = (await api.call("GET", f"/messages/{told['message_uuid']}", key="reader")).json()
    assert (record["state"], record["attempts"], record["instance_url"]) == ("sent", 2, B)
    shown = (await api.call("GET", f"/accounts/{account['id']}")).json()
    assert (shown["instance_url"], shown["epoch"]) == (B, 2)
    moves = (await api.call("GET", f"/moves?account={account['uuid']}")).json()["data"]
    assert (moves[0]["kind"], moves[0]["from_url"], moves[0]["to_url"]) == ("rediscovery", A, B)


async def test_a_message_that_was_not_sent_answers_503_with_what_was_asked(api: Api) -> None:
    account = await api.account()
    api.world.lose(A)
    answer = await api.send(account)
    assert answer.status_code == 503
    assert int(answer.headers["Retry-After"]) >= 1
    assert answer.headers["Content-Type"] == "application/problem+json"
    told = answer.json()
    assert told["code"] == "session_unreachable"
    assert "asked 3 instances" in told["detail"]
    record = (await api.call("GET", f"/messages/{told['message_uuid']}")).json()
    assert (record["state"], record["code"]) == ("failed", "session_unreachable")


async def test_an_unknown_outcome_answers_202_and_is_recorded(api: Api) -> None:
    account = await api.account()
    api.world.instances[A].can = PLAIN
    api.gateway.fleet.doubt(A)
    api.world.instances[A].misfortunes.append(Misfortune(Fault(Phase.INTERRUPTED), delivered=True))
    answer = await api.send(account)
    told = answer.json()
    assert answer.status_code == 202
    assert (told["success"], told["outcome"]) == (None, "unknown")
    record = (await api.call("GET", f"/messages/{told['message_uuid']}")).json()
    assert record["state"] == "unknown"


async def test_the_same_key_and_body_get_the_stored_answer(api: Api) -> None:
    account = await api.account()
    first = await api.send(account, idempotency_key="k1")
    again = await api.send(account, idempotency_key="k1")
    assert first.content == again.content
    assert api.world.said("hello") == 1


async def test_the_same_key_with_another_body_is_refused(api: Api) -> None:
    account = await api.account()
    await api.send(account, idempotency_key="k1")
    answer = await api.send(account, "something else", idempotency_key="k1")
    assert (answer.status_code, answer.json()["code"]) == (422, "idempotency_key_reused")


async def test_a_key_in_flight_is_refused_and_said_once(api: Api) -> None:
    account = await api.account()
    answers = await asyncio.gather(*(api.send(account, idempotency_key="k1") for _ in range(5)))
    codes = sorted(answer.status_code for answer in answers)
    assert codes[0] == 200
    assert set(codes) <= {200, 409}
    assert api.world.said("hello") == 1


async def test_a_key_whose_send_failed_may_be_tried_again(api: Api) -> None:
    account = await api.account()
    session = SessionId(account["session_id"])
    api.world.lose(A)
    assert (await api.send(account, idempotency_key="k1")).status_code == 503
    api.world.hold(B, session, epoch=2)
    assert (await api.send(account, idempotency_key="k1")).status_code == 200
    assert api.world.said("hello") == 1


async def test_a_keyed_send_has_the_same_message_id_in_every_try(api: Api) -> None:
    account = await api.account()
    api.world.instances[A].misfortunes.append(Misfortune(Fault(Phase.INTERRUPTED), delivered=True))
    told = (await api.send(account, idempotency_key="k1")).json()
    assert api.world.ledger == [(told["data"]["message_id"], "hello")]
    assert told["attempts"] == 2


POLL = {"question": "?", "options": ["a", "b"]}


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"message": ""}, "message"),
        ({"message": "x" * 65_537}, "message"),
        ({"message": 7}, "message"),
        ({"message": None}, "message"),
        ({"account_uuid": 5}, "account_uuid"),
        ({"phone": ""}, "phone"),
        ({"workspace_id": "one"}, "workspace_id"),
        ({"workspace_id": 0}, "workspace_id"),
        ({"surprise": 1}, "surprise"),
        ({"contact_uuid": "also-this"}, "contact_uuid"),
    ],
)
async def test_bad_input_names_its_field(api: Api, change: dict[str, Any], field: str) -> None:
    account = await api.account()
    answer = await api.send(account, **change)
    assert answer.status_code == 422
    told = answer.json()
    assert (told["code"], told["field"]) == ("invalid_request", field)


@pytest.mark.parametrize("missing", ["account_uuid", "message"])
async def test_a_missing_field_is_named(api: Api, missing: str) -> None:
    account = await api.account()
    body = {"workspace_id": 1, "account_uuid": account["uuid"], "phone": "+62811801641", "message": "hi"}
    del body[missing]
    answer = await api.call("POST", "/messages/send", body)
    assert (answer.status_code, answer.json()["field"]) == (422, missing)


@pytest.mark.parametrize(
    ("raw", "refused"),
    [
        (b"", (400, "malformed_body")),
        (b"{", (400, "malformed_body")),
        (b"\xff\xfe", (400, "malformed_body")),
        (b'{"message": "\xff"}', (400, "malformed_body")),
        (b"[]", (422, "invalid_request")),
        (b"null", (422, "invalid_request")),
        (b"1" * 100, (422, "invalid_request")),
    ],
)
async def test_what_is_no_request_at_all_is_refused(api: Api, raw: bytes, refused: tuple[int, str]) -> None:
    headers = {"Authorization": f"Bearer {api.keys['operator']}"}
    answer = await api.client.post("/api/v1/messages/send", content=raw, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == refused


@pytest.mark.parametrize("more", [{"type": "fax"}, {"type": "poll", "message": None, "poll": POLL}], ids=["no", "poll"])
async def test_a_type_that_the_instance_does_not_send_is_refused_before_anything_leaves(api: Api, more: Any) -> None:
    account = await api.account()
    answer = await api.send(account, **more)
    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported_type")
    assert "text" in answer.json()["detail"]
    assert api.world.ledger == []


@pytest.mark.parametrize("to", ["120363025@g.us", "212@lid", "120363144@newsletter", "status@broadcast"])
async def test_an_address_that_the_driver_does_not_reach_is_refused_naming_it(api: Api, to: str) -> None:
    account = await api.account()
    answer = await api.send(account, phone=to)
    assert (answer.status_code, answer.json()["code"]) == (422, "unsupported_recipient")
    assert "`webjs`" in answer.json()["detail"]
    assert api.world.ledger == []


async def test_a_contact_may_be_a_group(api: Api) -> None:
    made = await api.call("POST", "/contacts", {"workspace_id": 1, "phone": "120363025@g.us", "name": "us"})
    assert (made.status_code, made.json()["phone"]) == (201, "120363025@g.us")


async def test_a_body_over_the_limit_is_413(api: Api) -> None:
    headers = {"Authorization": f"Bearer {api.keys['operator']}"}
    body = json.dumps({"message": "x" * 2_000_000}).encode()
    answer = await api.client.post("/api/v1/messages/send", content=body, headers=headers)
    assert (answer.status_code, answer.json()["code"]) == (413, "body_too_large")


@pytest.mark.parametrize("key", [None, "hk_nope_nope", "nonsense", ""])
async def test_without_a_known_key_nothing_is_told(api: Api, key: str | None) -> None:
    account = await api.account()
    answer = await api.call("POST", "/messages/send", {"account_uuid": account["uuid"], "message": "x"}, key=key)
    assert (answer.status_code, answer.json()["code"]) == (401, "unauthenticated")


async def test_a_reading_key_may_not_send(api: Api) -> None:
    account = await api.account()
    answer = await api.send(account, key="reader")
    assert (answer.status_code, answer.json()["code"]) == (403, "forbidden")


async def test_another_workspaces_account_is_as_unknown_as_none(api: Api) -> None:
    account = await api.account()
    foreign = await api.send(account, key="stranger", workspace_id=2)
    borrowed = await api.send(account, key="stranger", workspace_id=1)
    nothing = await api.send({"uuid": "01a20c81-8096-724b-832a-000000000000"}, key="stranger", workspace_id=2)
    assert {answer.status_code for answer in (foreign, borrowed, nothing)} == {404}
    assert {answer.json()["code"] for answer in (foreign, borrowed, nothing)} == {"account_not_found"}
    assert foreign.json()["detail"].replace(account["uuid"], "") == nothing.json()["detail"].replace(
        "01a20c81-8096-724b-832a-000000000000", ""
    )


async def test_an_unknown_contact_is_404(api: Api) -> None:
    account = await api.account()
    answer = await api.send(account, phone=None, contact_uuid="01a20c81-8096-724b-832a-000000000000")
    assert (answer.status_code, answer.json()["code"]) == (404, "contact_not_found")


async def test_a_logged_out_account_needs_pairing(api: Api) -> None:
    account = await api.account()
    await api.call("POST", f"/accounts/{account['id']}/logout")
    answer = await api.send(account)
    assert (answer.status_code, answer.json()["code"]) == (409, "session_logged_out")


async def test_an_account_that_was_never_placed_is_409_and_nobody_is_called(api: Api) -> None:
    made = await api.call("POST", "/accounts", {"workspace_id": 1, "phone": "0816108641", "start": False})
    account = made.json()
    answer = await api.send(account)
    told = answer.json()
    assert (answer.status_code, told["code"], told["attempts"]) == (409, "account_not_placed", 0)
    assert f"homing accounts start {account['id']}" in told["detail"]
    assert "Retry-After" not in answer.headers
    assert sum(instance.sends for instance in api.world.instances.values()) == 0


async def test_nothing_is_sent_through_an_instance_that_is_only_observed(api: Api) -> None:
    account = await api.account()
    instances = (await api.call("GET", "/instances")).json()["data"]
    number = next(each["id"] for each in instances if each["url"] == account["instance_url"])
    await api.call("PATCH", f"/instances/{number}", {"mode": "observe"})
    await api.gateway.fleet.refresh()
    answer = await api.send(account)
    assert (answer.status_code, answer.json()["code"]) == (409, "instance_observed")
    assert f"homing instances set {account['instance_url']} --mode route" in answer.json()["detail"]
    assert api.world.ledger == []


async def test_a_hundred_sends_at_once_on_a_cold_cache_read_the_directory_once(api: Api) -> None:
    account = await api.account()
    contact = (await api.call("POST", "/contacts", {"workspace_id": 1, "phone": "0811801641"})).json()
    await api.call("POST", "/cache/clear")
    before = _figure(api, "homing_directory_reads_total")
    answers = await asyncio.gather(
        *(api.send(account, f"n{n}", phone=None, contact_uuid=contact["uuid"]) for n in range(100))
    )
    assert {answer.status_code for answer in answers} == {200}
    assert _figure(api, "homing_directory_reads_total") - before == 1
    assert len(api.world.ledger) == 100


def _figure(api: Api, name: str) -> float:
    lines = api.gateway.metrics.exposition().decode().splitlines()
    return next(float(line.split()[-1]) for line in lines if line.startswith(name))


async def test_a_send_for_a_stopped_account_is_refused_at_once_with_what_to_do(api: Api) -> None:
    account = await api.account()
    assert (await api.send(account, "before")).status_code == 200
    await api.call("POST", f"/accounts/{account['id']}/stop")
    lists = sum(instance.lists for instance in api.world.instances.values())
    answer = await api.send(account, "meanwhile")
    assert (answer.status_code, answer.json()["code"], answer.json()["attempts"]) == (409, "session_stopped", 0)
    assert "start it first" in answer.json()["detail"]
    assert "Retry-After" not in answer.headers
    assert sum(instance.lists for instance in api.world.instances.values()) == lists
    await api.call("POST", f"/accounts/{account['id']}/start")
    assert (await api.send(account, "afterwards")).status_code == 200
