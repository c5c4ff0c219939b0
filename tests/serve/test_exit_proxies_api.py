"""An account's exit proxy over the API: masked wherever it is shown, opened only for a start."""

import json

from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import SessionId, SessionStatus
from homing.model.work import Tick
from tests.serve.conftest import Api

URL = "http://user:pass-word@proxy.example:8080"
SHOWN = "http://***@proxy.example:8080"


async def test_it_is_shown_masked_in_every_view_and_in_the_audit_log(api: Api) -> None:
    made = await api.account()
    assert made["exit_proxy"] is None
    changed = await api.call("PATCH", f"/accounts/{made['id']}", {"exit_proxy": URL})
    assert changed.status_code == 200, changed.text
    assert changed.json()["exit_proxy"] == SHOWN
    seen = [changed.text, (await api.call("GET", "/accounts")).text, (await api.call("GET", "/audit")).text]
    assert all(SHOWN in each for each in seen)
    assert not any("pass-word" in each or "sealed" in each for each in seen)
    known = await api.gateway.care.exit_proxies.of([SessionId(made["session_id"])])
    [proxy] = known.values()
    assert not isinstance(proxy, str)
    assert proxy.url == URL
    taken = await api.call("PATCH", f"/accounts/{made['id']}", {"exit_proxy": None})
    assert taken.json()["exit_proxy"] is None
    assert await api.gateway.care.exit_proxies.of([SessionId(made["session_id"])]) == {}


async def test_an_account_can_be_made_with_one(api: Api) -> None:
    body = {"workspace_id": 1, "phone": "+62811801641", "exit_proxy": URL, "start": False}
    made = await api.call("POST", "/accounts", body)
    assert made.status_code == 201, made.text
    assert made.json()["exit_proxy"] == SHOWN


async def test_what_is_no_proxy_is_refused_without_being_shown_and_makes_no_account(api: Api) -> None:
    body = {"workspace_id": 1, "phone": "+62811801641", "exit_proxy": "ftp://user:pass-word@p:1", "start": False}
    refused = await api.call("POST", "/accounts", body)
    assert refused.status_code == 422
    assert json.loads(refused.text)["field"] == "exit_proxy"
    assert "pass-word" not in refused.text
    assert (await api.call("GET", "/accounts")).json()["data"] == []


async def test_only_operators_say_by_which_proxy_a_session_goes_out(api: Api) -> None:
    made = await api.account(workspace=2, phone="+62811801641")
    refused = await api.call("PATCH", f"/accounts/{made['id']}", {"exit_proxy": URL}, key="stranger")
    assert refused.status_code == 403
    assert (await api.call("GET", f"/accounts/{made['id']}")).json()["exit_proxy"] is None


async def test_an_exit_that_is_shared_badly_is_an_alert_for_as_long_as_it_is(api: Api) -> None:
    accounts = [await api.account(phone=f"+6281180164{number}") for number in range(2)]
    for each in accounts:
        await api.call("PATCH", f"/accounts/{each['id']}", {"exit_proxy": URL})
        await api.gateway.stores.directory.set_status(SessionId(each["session_id"]), SessionStatus.CONNECTED)
    proxies, tick = api.gateway.care.exit_proxies, Tick("exit-proxies", api.gateway.clock.now(), 1, False, "due")
    await proxies.tick(tick)
    subject = Subject.session(SessionId(accounts[0]["session_id"]))
    told = [each for each in api.gateway.alerts.of(subject) if each.kind is AlertKind.EXIT_MISUSED]
    assert len(told) == 1
    assert SHOWN in told[0].reason
    await api.call("PATCH", f"/accounts/{accounts[1]['id']}", {"exit_proxy": None})
    await proxies.tick(tick)
    assert not [each for each in api.gateway.alerts.of(subject) if each.kind is AlertKind.EXIT_MISUSED]
