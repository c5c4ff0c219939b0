"""The pages about messages and batches: what stands there, and what may be done with what waits, and by whom."""

import asyncio
import json
import re
from datetime import timedelta
from html import unescape
from typing import Any

import pytest
from sqlalchemy import update

from homing.model.directory.access import Scope
from homing.model.fleet import AccountUuid, InstanceUrl, WorkspaceId
from homing.model.sends.messages import MessageRecord, MessageState
from homing.store.db.schema.tables import messages
from tests.flows.worlds import A
from tests.serve.conftest import Api
from tests.serve.test_bulk_api import CSV, bulk, lines
from tests.serve.test_outbox_api import accept, placed, reached
from tests.serve.test_pages import HOSTILE, page

UUIDS = {state: f"01a00000-0000-7000-8000-{number:012d}" for number, state in enumerate(MessageState)}


async def kept(api: Api, account: dict[str, Any], state: MessageState, *, text: str = "hi") -> str:
    """A message of the account in that state; returns its uuid."""
    now = api.gateway.clock.now()
    record = MessageRecord(
        UUIDS[state], WorkspaceId(1), AccountUuid(account["uuid"]), f"3EB0{state.value}", "62811801641", text, state,
        "unknown", "the reply did not come", 1, InstanceUrl(A), now, now,
    )  # fmt: skip
    await api.gateway.stores.messages.record(record)
    return record.uuid


async def act(api: Api, dialog: str, key: str = "operator") -> Any:
    """Press the button of a dialog, as the page's script does."""
    shown = (await page(api, dialog, key)).text
    form = re.search(r'data-path="([^"]+)" data-body="([^"]*)" data-method="([A-Z]+)"', shown)
    assert form is not None
    assert 'type="submit"' in shown, unescape(shown)
    path, body = form[1].removeprefix("/api/v1"), json.loads(unescape(form[2]))
    return await api.call(form[3], path, body or None, key=key)


def actions_on(shown: str) -> set[str]:
    """The last parts of the addresses of all dialogs that a page offers, beside those of the bar above all pages."""
    return {href.rsplit("/", 1)[1] for href in re.findall(r'href="([^"]+)" data-dialog', shown.partition("<main")[2])}


@pytest.mark.parametrize(
    ("state", "offered"),
    [
        (MessageState.UNKNOWN, {"resend", "mark_sent", "mark_failed"}),
        (MessageState.ACCEPTED, {"cancel"}),
        (MessageState.HELD, {"go", "cancel"}),
        (MessageState.DISPATCHING, set()),
        (MessageState.SENT, set()),
        (MessageState.FAILED, set()),
    ],
)
async def test_a_message_offers_what_can_be_done_in_its_state_and_nothing_to_readers(
    api: Api, state: MessageState, offered: set[str]
) -> None:
    uuid = await kept(api, await placed(api), state)
    for key, expected in (("operator", offered), ("sender", offered), ("reader", set[str]())):
        answer = await page(api, f"/messages/{uuid}", key)
        assert answer.status_code == 200
        assert actions_on(answer.text) == expected, key
        assert "the reply did not come" in answer.text.lower()
        assert "data-beats" in answer.text
    assert (await page(api, f"/messages/{uuid}", "stranger")).status_code == 404
    assert (await page(api, f"/messages/{uuid}/cancel", "stranger")).status_code == 404


@pytest.mark.parametrize(("action", "ends"), [("mark_sent", "sent"), ("mark_failed", "failed"), ("resend", "sent")])
async def test_an_unknown_message_is_settled_from_its_page(api: Api, action: str, ends: str) -> None:
    uuid = await kept(api, await placed(api), MessageState.UNKNOWN, text="was it said?")
    answer = await act(api, f"/messages/{uuid}/{action}")
    assert answer.status_code == 200, answer.text
    await reached(api, uuid, ends)
    assert api.world.said("was it said?") == (action == "resend")
    shown = (await page(api, f"/messages/{uuid}")).text
    assert actions_on(shown) == set()
    refused = (await page(api, f"/messages/{uuid}/{action}")).text
    assert 'type="submit"' not in refused
    assert f"It is {ends}; only a message whose outcome is unknown can be settled" in refused


async def test_what_waits_is_taken_back_from_its_page(api: Api) -> None:
    account = await placed(api)
    later = api.gateway.clock.now() + timedelta(days=1)
    uuid = (await accept(api, account, "later", send_at=later.isoformat())).json()["message_uuid"]
    shown = await page(api, "/messages?state=accepted")
    assert f'href="/messages/{uuid}"' in shown.text
    assert (await act(api, f"/messages/{uuid}/cancel", "sender")).json()["state"] == "cancelled"
    assert f'href="/messages/{uuid}"' not in (await page(api, "/messages?state=accepted")).text
    assert f'href="/messages/{uuid}"' in (await page(api, "/messages?state=cancelled")).text
    assert "can be taken back" in (await page(api, f"/messages/{uuid}/cancel")).text


async def test_what_is_held_goes_once_somebody_says_so(api: Api) -> None:
    account = await placed(api)
    later = api.gateway.clock.now() + timedelta(days=1)
    uuid = (await accept(api, account, "held", send_at=later.isoformat())).json()["message_uuid"]
    dialog = f"/sessions/{account['id']}/outbox/go"
    assert "Nothing is held for it" in (await page(api, dialog)).text
    assert "outbox/go" not in (await page(api, f"/sessions/{account['id']}")).text
    await hold(api, uuid)
    assert "1 message is held" in (await page(api, f"/sessions/{account['id']}", "reader")).text
    assert "outbox/go" not in (await page(api, f"/sessions/{account['id']}", "reader")).text
    assert "Send 1 held message" in (await page(api, dialog)).text
    answer = await act(api, dialog)
    assert (answer.status_code, answer.json()["messages"]) == (200, 1), answer.text
    assert (await api.call("GET", f"/messages/{uuid}")).json()["state"] == "accepted"


async def hold(api: Api, uuid: str) -> None:
    """As if its account had been paired anew since."""
    held = update(messages).where(messages.c.uuid == uuid).values(state=MessageState.HELD)
    await api.gateway.stores.database.write(lambda c: c.execute(held).rowcount)


async def test_who_may_only_look_is_told_why_in_the_dialogs(api: Api) -> None:
    account = await placed(api)
    uuid = await kept(api, account, MessageState.UNKNOWN)
    batch = await waiting_batch(api, account)
    for path in (f"/messages/{uuid}/resend", f"/batches/{batch}/pause", f"/sessions/{account['id']}/outbox/go"):
        shown = (await page(api, path, "reader")).text
        assert 'type="submit"' not in shown
        assert "may look, and not act; this needs a key with scope send" in shown, path


async def test_what_a_message_says_and_a_batch_is_called_is_text(api: Api) -> None:
    account = await placed(api)
    uuid = await kept(api, account, MessageState.UNKNOWN, text=HOSTILE)
    batch = await waiting_batch(api, account, name=HOSTILE[:100])
    paths = (f"/messages/{uuid}", "/messages", "/batches", f"/batches/{batch}", f"/batches/{batch}/pause")
    for path in paths:
        shown = await page(api, path)
        assert shown.status_code == 200
        assert "<script>alert" not in shown.text, path


# --- batches ------------------------------------------------------------------------------------------------------


async def waiting_batch(api: Api, account: dict[str, Any], *, name: str = "spring") -> str:
    """Two messages of tomorrow, and one invalid line."""
    later = (api.gateway.clock.now() + timedelta(days=1)).isoformat()
    body = "phone,message\n+62811801641,one\nnobody,x\n+62811801642,two\n"
    answer = await bulk(api, account, body, CSV, send_at=later, name=name)
    assert answer.status_code == 202, answer.text
    return str(answer.json()["batch_id"])


async def test_a_batch_shows_its_progress_and_its_invalid_lines(api: Api) -> None:
    account = await placed(api)
    batch = await waiting_batch(api, account)
    listed = unescape((await page(api, "/batches", "reader")).text)
    assert f'href="/batches/{batch}"' in listed
    assert "spring" in listed
    assert actions_on(listed) == set()
    shown = unescape((await page(api, f"/batches/{batch}", "reader")).text)
    assert "0 of 2 are over: 0 sent, 0 failed, 0 unknown, 0 cancelled. 2 wait." in shown
    assert re.search(r'<td class="num">3</td><td class="mono c1">phone_invalid</td>', shown)
    assert (await page(api, f"/batches/{batch}", "stranger")).status_code == 404
    assert batch not in (await page(api, "/batches", "stranger")).text
    of_it = (await page(api, f"/messages?batch={batch}")).text
    assert len(re.findall(r'<tr id="m-', of_it)) == 2


async def test_a_batch_is_paused_resumed_and_cancelled_from_its_page(api: Api) -> None:
    batch = await waiting_batch(api, await placed(api))
    for action, state, next_ones in (
        ("pause", "paused", {"resume", "cancel"}),
        ("resume", "running", {"pause", "cancel"}),
        ("cancel", "cancelled", set[str]()),
    ):
        answer = await act(api, f"/batches/{batch}/{action}", "sender")
        assert (answer.status_code, answer.json()["state"]) == (200, state), answer.text
        for path in ("/batches", f"/batches/{batch}"):
            assert actions_on((await page(api, path)).text) == next_ones
    refused = (await page(api, f"/batches/{batch}/pause")).text
    assert 'type="submit"' not in refused
    assert "It is cancelled already" in refused
    assert (await page(api, f"/batches/{batch}/explode")).status_code == 404


async def test_what_a_batch_became_is_counted_on_its_page(api: Api) -> None:
    account = await placed(api)
    rows = [{"phone": f"+6281180164{n}", "message": f"{n}"} for n in range(3)]
    batch = (await bulk(api, account, lines(*rows))).json()["batch_id"]
    shown = ""
    async with asyncio.timeout(10):
        while "3 of 3 are over: 3 sent" not in shown:
            shown = (await page(api, f"/batches/{batch}")).text
            await asyncio.sleep(0.02)
    assert 'class="f-ok" x="0.0" width="1000.0"' in shown
    assert f'href="/messages?batch={batch}&amp;state=sent"' in shown


@pytest.mark.parametrize(
    "path",
    ["/messages?state=no", "/messages?before=%00", "/messages?batch=x", "/batches?before=x", "/downtime?month=2026-13"],
)
async def test_any_query_of_these_gives_a_page(api: Api, path: str) -> None:
    await api.key("looker", Scope.READ, None)
    assert (await page(api, path, "looker")).status_code == 200
