"""Batches over HTTP: streamed in, bad lines named, paused, cancelled, and never to those who opted out."""

import asyncio
import json
import tracemalloc
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest

from homing.model.fleet import WorkspaceId
from homing.model.sends.outbox import InvalidLine
from homing.serve.bulk_lines import LINE_BYTES_MAX, Bulkhead, ndjson
from tests.serve.conftest import Api
from tests.serve.test_outbox_api import placed

NDJSON, CSV = "application/x-ndjson", "text/csv; charset=utf-8"


async def bulk(
    api: Api, account: dict[str, Any], body: Any, kind: str = NDJSON, *, key: str = "operator", **query: Any
) -> Any:
    headers = {"Authorization": f"Bearer {api.keys[key]}", "Content-Type": kind}
    if "idempotency_key" in query:
        headers["Idempotency-Key"] = query.pop("idempotency_key")
    asked = {"account_uuid": account["uuid"], "workspace_id": 1} | query
    return await api.client.post("/api/v1/messages/bulk", content=body, params=asked, headers=headers)


def lines(*rows: dict[str, Any]) -> str:
    return "\n".join(json.dumps(row) for row in rows)


async def ended(api: Api, batch: str, state: str = "done") -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for _ in range(500):
        shown = (await api.call("GET", f"/batches/{batch}")).json()
        if shown["state"] == state and not (state == "cancelled" and shown["waiting"]):
            return shown
        await asyncio.sleep(0.02)
    raise AssertionError(shown)


async def test_a_list_is_sent_and_its_bad_lines_are_named(api: Api) -> None:
    account = await placed(api)
    body = lines({"phone": "+62811801641", "message": "one"}, {"phone": "nobody", "message": "x"}) + "\n{broken\n"
    body += lines({"phone": "+62811801642", "message": "two"}, {"phone": "+62811801643", "message": "m", "colour": 1})
    answer = await bulk(api, account, body)
    assert answer.status_code == 202, answer.text
    shown = answer.json()
    assert (shown["state"], shown["messages"], shown["invalid"]) == ("running", 2, 3)
    done = await ended(api, shown["batch_id"])
    assert (done["states"], done["waiting"]) == ({"sent": 2}, 0)
    assert sorted(text for _, text in api.world.ledger) == ["one", "two"]
    told = (await api.call("GET", f"/batches/{shown['batch_id']}/errors")).json()["data"]
    assert [(each["line"], each["code"]) for each in told] == [
        (2, "phone_invalid"), (3, "malformed_body"), (5, "invalid_request"),
    ]  # fmt: skip


async def test_a_csv_fills_a_template_and_lines_without_a_variable_are_named(api: Api) -> None:
    account = await placed(api)
    body = '\ufeffphone,name,sum\r\n+62811801641,"Budi, jr",5\r\n+62811801642,,6\r\n+62811801643,"Li\nMei",{{sum}}\r\n'
    answer = await bulk(api, account, body.encode(), CSV, template="Dear {{name}}, you owe {{ sum }}")
    assert answer.status_code == 202, answer.text
    batch = answer.json()["batch_id"]
    await ended(api, batch)
    said = sorted(text for _, text in api.world.ledger)
    assert said == ["Dear Budi, jr, you owe 5", "Dear Li\nMei, you owe {{sum}}"]
    [lacking] = (await api.call("GET", f"/batches/{batch}/errors")).json()["data"]
    assert (lacking["line"], lacking["code"]) == (3, "variable_missing")
    assert "name" in lacking["detail"]


async def test_all_or_nothing_sends_nothing_if_one_line_is_bad(api: Api) -> None:
    account = await placed(api)
    body = lines({"phone": "+62811801641", "message": "one"}, {"phone": "", "message": "two"})
    answer = await bulk(api, account, body, all_or_nothing="true")
    assert (answer.json()["state"], answer.json()["invalid"]) == ("rejected", 1)
    for _ in range(200):
        if not (await api.call("GET", f"/messages?batch_id={answer.json()['batch_id']}")).json()["data"]:
            break
        await asyncio.sleep(0.05)
    assert api.world.ledger == []


async def test_a_batch_may_name_several_accounts(api: Api) -> None:
    one = await placed(api)
    other = await api.account(phone="0816108642")
    rows = [{"phone": f"+6281180164{n}", "message": f"{n}"} for n in range(4)]
    rows[1]["account_uuid"] = rows[3]["account_uuid"] = other["uuid"]
    rows.append({"phone": "+62811801641", "message": "x", "account_uuid": "nobody"})
    answer = await bulk(api, one, lines(*rows))
    done = await ended(api, answer.json()["batch_id"])
    assert (done["states"], done["invalid"]) == ({"sent": 4}, 1)
    for account, number in ((one, 2), (other, 2)):
        assert len((await api.call("GET", f"/messages?account={account['uuid']}")).json()["data"]) == number


async def test_the_same_key_is_the_same_batch(api: Api) -> None:
    account = await placed(api)
    body = lines({"phone": "+62811801641", "message": "one"})
    first = await bulk(api, account, body, idempotency_key="campaign-1")
    await ended(api, first.json()["batch_id"])
    again = await bulk(api, account, body, idempotency_key="campaign-1")
    assert again.json()["batch_id"] == first.json()["batch_id"]
    assert api.world.said("one") == 1


async def test_a_request_that_breaks_off_sends_nothing_and_may_come_again(api: Api) -> None:
    account = await placed(api)

    async def broken() -> AsyncIterator[bytes]:
        yield lines(*({"phone": "+62811801641", "message": f"{n}"} for n in range(700))).encode() + b"\n"
        raise ConnectionResetError

    broke = await bulk(api, account, broken(), idempotency_key="k")
    assert broke.status_code == 500
    await asyncio.sleep(0.2)
    assert api.world.ledger == []
    answer = await bulk(api, account, lines({"phone": "+62811801641", "message": "once"}), idempotency_key="k")
    await ended(api, answer.json()["batch_id"])
    assert [text for _, text in api.world.ledger] == ["once"]


async def test_a_batch_is_paused_resumed_and_cancelled(api: Api) -> None:
    account = await placed(api)
    later = (api.gateway.clock.now()).isoformat()
    rows = [{"phone": f"+62811801{n:03d}", "message": f"{n}"} for n in range(300)]
    answer = await bulk(api, account, lines(*rows), send_at=later)
    batch = answer.json()["batch_id"]
    paused = await api.call("POST", f"/batches/{batch}/pause")
    if paused.status_code == 409:
        pytest.skip("it was faster")
    await asyncio.sleep(0.3)
    sent = len(api.world.ledger)
    await asyncio.sleep(0.3)
    assert len(api.world.ledger) == sent
    assert (await api.call("POST", f"/batches/{batch}/pause")).json()["code"] == "batch_not_so"
    assert (await api.call("POST", f"/batches/{batch}/resume")).json()["state"] == "running"
    await api.call("POST", f"/batches/{batch}/pause")
    await api.call("POST", f"/batches/{batch}/cancel")
    done = await ended(api, batch, "cancelled")
    assert done["states"].get("sent", 0) + done["states"].get("cancelled", 0) == 300
    assert len(api.world.ledger) == done["states"].get("sent", 0)


async def test_who_opted_out_is_not_written_to(api: Api) -> None:
    account = await placed(api)
    told = await api.call("POST", "/suppressions", {"workspace_id": 1, "phones": ["0811801641"], "reason": "stop"})
    assert (told.status_code, told.json()) == (200, {"added": 1})
    answer = await bulk(
        api, account, lines({"phone": "+62811801641", "message": "a"}, {"phone": "+62811801642", "message": "b"})
    )
    done = await ended(api, answer.json()["batch_id"])
    assert done["states"] == {"failed": 1, "sent": 1}
    [failed] = (await api.call("GET", "/messages?state=failed")).json()["data"]
    assert failed["code"] == "recipient_opted_out"
    assert len((await api.call("GET", "/suppressions?workspace_id=1")).json()["data"]) == 1
    assert (await api.call("DELETE", "/suppressions/+62811801641?workspace_id=1")).status_code == 204
    assert (await api.call("DELETE", "/suppressions/+62811801641?workspace_id=1")).status_code == 404


@pytest.mark.parametrize(
    ("kind", "query", "field"),
    [
        ("application/json", {}, "Content-Type"),
        (NDJSON, {"template": "Dear {{name"}, "template"),
        (NDJSON, {"template": " ".join(f"{{{{v{n}}}}}" for n in range(101))}, "template"),
        (CSV, {}, "body"),
    ],
    ids=["json", "broken-template", "too-many-variables", "csv-without-phones"],
)
async def test_what_cannot_be_read_at_all_is_refused(api: Api, kind: str, query: dict[str, str], field: str) -> None:
    account = await placed(api)
    answer = await bulk(api, account, "name\nBudi\n", kind, **query)
    assert (answer.status_code, answer.json().get("field")) == (422, field), answer.text


async def test_nobody_sees_or_touches_another_ones_batch(api: Api) -> None:
    account = await placed(api)
    answer = await bulk(api, account, lines({"phone": "+62811801641", "message": "one"}))
    batch = answer.json()["batch_id"]
    for method, path in (("GET", ""), ("GET", "/errors"), ("POST", "/cancel")):
        refused = await api.call(method, f"/batches/{batch}{path}", key="stranger")
        assert (refused.status_code, refused.json()["code"]) == (404, "batch_not_found")
    assert (await api.call("GET", "/batches", key="stranger")).json()["data"] == []
    assert (await bulk(api, account, "", key="stranger")).status_code == 404


async def test_a_line_with_ten_thousand_variables_is_named_and_the_others_go(api: Api) -> None:
    account = await placed(api)
    many = {f"v{n}": "x" for n in range(10_000)}
    body = lines({"phone": "+62811801641", "variables": many}, {"phone": "+62811801642", "variables": {"name": "Budi"}})
    answer = await bulk(api, account, body, template="Dear {{name}}")
    assert (answer.json()["messages"], answer.json()["invalid"]) == (1, 1), answer.text
    columns = ",".join(["phone", *many])
    row = ",".join(["+62811801641", *many.values()])
    wide = await bulk(api, account, f"{columns}\n{row}\n", CSV, template="Dear {{v1}}")
    assert (wide.json()["messages"], wide.json()["invalid"], wide.json()["state"]) == (0, 1, "rejected")


async def test_a_list_of_any_length_is_read_in_the_memory_of_a_few_lines() -> None:
    piece, pieces = b"x" * 65_536, 800
    head = Bulkhead(WorkspaceId(1), None, None, (), cast("Any", None), cast("Any", None))

    async def body() -> AsyncIterator[bytes]:
        for _ in range(pieces):
            yield piece
        yield b"\n{}\n"

    tracemalloc.start()
    try:
        found = [each async for each in ndjson(body(), head)]
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert [(each.line, each.code) for each in found if isinstance(each, InvalidLine)] == [
        (1, "body_too_large"), (2, "invalid_request"),
    ]  # fmt: skip
    assert most < 4 * LINE_BYTES_MAX < len(piece) * pieces, "fifty megabytes without an end of a line"
