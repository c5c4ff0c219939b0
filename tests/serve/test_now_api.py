"""The first page and its twin say the same, made from one look."""

import html
import re
from typing import Any

import pytest

from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import InstanceUrl, SessionId
from homing.model.sends.messages import MessageRecord, MessageState
from tests.flows.worlds import A, B
from tests.serve.conftest import Api
from tests.serve.test_pages import page, settled


async def of_everything(api: Api) -> dict[str, Any]:
    """An account that moved, one of another workspace, what is wrong, and a message that nobody can settle."""
    made = await api.account(phone="0816108641")
    await api.account(workspace=2, phone="0816108699")
    api.gateway.alerts.raised(AlertKind.QUARANTINED, Subject.session(SessionId(made["session_id"])), "taken twice")
    api.gateway.alerts.raised(AlertKind.INSTANCE_GONE, Subject.instance(InstanceUrl(B)), "it is gone")
    at = api.gateway.clock.now()
    await api.gateway.stores.messages.record(
        MessageRecord(
            uuid=api.gateway.entropy.uuid(),
            workspace_id=made["workspace_id"],
            account_uuid=made["uuid"],
            message_id="3EB0",
            recipient_phone="62811801641",
            text="hello",
            state=MessageState.UNKNOWN,
            code="unknown",
            reason="the reply did not come",
            attempts=1,
            instance_url=InstanceUrl(A),
            created_at=at,
            updated_at=at,
        )
    )
    await settled(api, "/now", "Session in quarantine")
    return made


def read(text: str) -> str:
    """What a person reads of a page."""
    return re.sub(r"\s+", " ", html.unescape(re.sub(r"<[^>]*>", " ", text)))


@pytest.mark.parametrize("key", ["operator", "reader", "stranger"])
async def test_the_page_says_what_its_twin_tells(api: Api, key: str) -> None:
    await of_everything(api)
    told = (await api.call("GET", "/now", key=key)).json()
    drawn = (await page(api, "/now", key=key)).text
    shown = read(drawn)
    assert told["verdict"]["says"] in shown
    for column, title in (("wrong", "Wrong"), ("doing", "Being done"), ("yours", "Yours to do")):
        assert f"{title} {len(told[column])} " in shown
        for line in told[column]:
            assert line["says"] in shown
            assert line["path"] in drawn
    counts, hour = told["session_counts"], told["last_hour"]
    assert f"Can send {counts['can_send']} of {counts['total']}" in shown
    assert f"Moves, last hour {hour['moves']} " in shown
    assert f"Unknown outcomes {hour['unknown']} " in shown
    waiting = "–" if hour["sends_waiting"] is None else hour["sends_waiting"]
    assert f"Sends waiting {waiting} " in shown
    assert [plot["title"] for plot in told["plots"] if plot["title"] not in shown] == []
    assert all(move["reason"] in shown for move in told["moves"])


async def test_each_key_is_told_of_what_it_sees(api: Api) -> None:
    await of_everything(api)
    told = {key: (await api.call("GET", "/now", key=key)).json() for key in ("operator", "reader", "stranger")}
    assert {key: each["session_counts"]["total"] for key, each in told.items()} == {
        "operator": 2, "reader": 1, "stranger": 1,
    }  # fmt: skip
    assert {key: each["last_hour"]["unknown"] for key, each in told.items()} == {
        "operator": 1, "reader": 1, "stranger": 0,
    }  # fmt: skip
    assert any("quarantine" in line["says"] for line in told["reader"]["wrong"])
    assert not any("quarantine" in line["says"] for line in told["stranger"]["wrong"])
    assert told["operator"]["last_hour"]["sends_waiting"] == 0


async def test_the_page_is_told_as_json_where_that_is_accepted(api: Api) -> None:
    await of_everything(api)
    headers = {"Authorization": f"Bearer {api.keys['reader']}", "Accept": "application/json"}
    told = (await api.client.get("/now", headers=headers)).json()
    same = (await api.call("GET", "/now", key="reader")).json()
    moment = ("at", "version")
    assert {**told, **dict.fromkeys(moment)} == {**same, **dict.fromkeys(moment)}
    day = (await api.client.get("/now?span=24h", headers=headers)).json()
    assert [plot["title"] for plot in day["plots"]] == ["Moves per 10 min"]
    assert (await api.client.get("/now", headers={"Accept": "application/json"})).status_code == 401
    table = await api.client.get("/now", headers={**headers, "Accept": "text/csv"})
    assert table.headers["content-type"].startswith("text/html"), "it is no list"


async def test_a_page_of_one_thing_is_told_as_that_resource(api: Api) -> None:
    made = await of_everything(api)
    headers = {"Authorization": f"Bearer {api.keys['operator']}", "Accept": "application/json"}
    session = (await api.client.get(f"/sessions/{made['id']}", headers=headers)).json()
    assert (session["uuid"], session["phone"]) == (made["uuid"], made["phone"])
    assert (await api.client.get("/instances/1", headers=headers)).json()["url"] == A
    [message] = (await api.call("GET", "/messages")).json()["data"]
    assert (await api.client.get(f"/messages/{message['uuid']}", headers=headers)).json()["state"] == "unknown"
    dialog = await api.client.get("/instances/1/drain", headers=headers)
    assert dialog.headers["content-type"].startswith("text/html")
    nobody = await api.client.get("/sessions/9999", headers=headers)
    assert (nobody.status_code, nobody.json()["code"]) == (404, "account_not_found")
