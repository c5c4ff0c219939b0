"""Instances on other hosts, all of which call themselves localhost, as they are met from outside."""

import asyncio
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import InstanceUrl, SessionId, SessionStatus
from homing.model.sends.faults import Fault, Phase
from homing.serve.callers.instance_keys import InstanceKeys
from tests.flows.worlds import A, B, C, ModelInstance
from tests.serve.conftest import Api
from tests.serve.reporting import WEBHOOK, figures, report, told

LOCALHOST = "http://localhost:3001"
X = SessionId("webjs_1_x")


async def place_of(api: Api, answer: httpx.Response) -> str | None:
    """Where the event that was just stored is said to come from."""
    assert answer.status_code == 200, answer.text
    events = (await api.call("GET", "/events?limit=500")).json()["data"]
    return next(event["instance_url"] for event in events if event["id"] == answer.json()["event_id"])


async def senders(api: Api) -> list[dict[str, Any]]:
    return list((await api.call("GET", "/instances")).json()["unknown_senders"])


async def test_three_hosts_that_call_themselves_localhost_are_told_apart_by_the_session(api: Api) -> None:
    for n, url in enumerate((A, B, C)):
        session = SessionId(f"webjs_1_{n}")
        api.world.hold(url, session, status=SessionStatus.PAIRING)
        answer = await report(api, told("qr_code_generated", session, qr_code=f"code-{n}"), url=LOCALHOST)
        assert await place_of(api, answer) == url
    assert await senders(api) == []


async def test_a_session_that_several_list_speaks_from_where_it_is_placed(api: Api) -> None:
    account = await api.account()
    session, home = SessionId(account["session_id"]), InstanceUrl(account["instance_url"])
    for url in (A, B, C):
        api.world.hold(url, session)
    assert await place_of(api, await report(api, told("message_sent", session), url=LOCALHOST)) == home


async def test_what_no_list_settles_is_refused_with_the_line_to_set(api: Api) -> None:
    api.world.hold(A, X)
    api.world.hold(B, X)
    answer = await report(api, told("session_ready", X), url=LOCALHOST)
    assert (answer.status_code, answer.json()["code"]) == (422, "instance_unknown")
    assert "LARAVEL_URL=http://localhost:8000/in/N" in answer.json()["detail"]


async def test_while_a_list_that_could_tell_is_away_the_sender_is_asked_to_come_again(api: Api) -> None:
    api.world.hold(A, X)
    api.world.instances[B].down = Fault(Phase.REPLY_TIMED_OUT)
    answer = await report(api, told("session_ready", X), url=LOCALHOST)
    assert (answer.status_code, answer.json()["code"]) == (429, "intake_busy")
    assert await senders(api) == []


async def test_lists_are_read_once_for_many_reports(api: Api) -> None:
    for n in range(20):
        api.world.hold(A, SessionId(f"webjs_1_{n}"))
    before = api.world.instances[C].lists
    reports = (report(api, told("message_sent", f"webjs_1_{n}"), url=LOCALHOST) for n in range(20))
    assert {answer.status_code for answer in await asyncio.gather(*reports)} == {200}
    assert api.world.instances[C].lists - before <= 2


async def test_a_key_of_its_own_tells_who_reports(api: Api) -> None:
    api.gateway.intake._keys = InstanceKeys("shared", lambda: {A: "key-of-a", B: "key-of-b"})
    answer = await report(api, told("session_ready", X), url=LOCALHOST, X_API_Key="key-of-b")
    assert await place_of(api, answer) == B


async def test_an_unknown_host_is_logged_once_counted_shown_and_resolved_when_it_joined(api: Api) -> None:
    named = "http://wa9:3001"
    with capture_logs() as lines:
        for n in range(5):
            answer = await report(api, told("message_sent", f"s{n}"), url=named)
            assert (answer.status_code, answer.json()["code"]) == (422, "instance_unknown")
    [line] = [line for line in lines if line.get("kind") == "unknown_sender"]
    assert f"homing instances add {named}" in line["set"] and "LARAVEL_URL=" in line["set"]
    assert (await figures(api, "homing_unknown_senders_total"))['cause="unknown_host"'] == 5
    [shown] = await senders(api)
    assert (shown["named"], shown["reports"], shown["cause"]) == (named, 5, "unknown_host")
    assert f"homing instances add {named}" in shown["do"]
    assert api.gateway.alerts.counts()[AlertKind.UNKNOWN_SENDER] == 1
    api.world.instances[InstanceUrl(named)] = ModelInstance(InstanceUrl(named))
    await api.gateway.stores.directory.create_instance(InstanceUrl(named))
    await api.gateway.fleet.refresh()
    api.gateway.unknown_senders.look()
    assert await senders(api) == []
    assert api.gateway.alerts.of(Subject.sender(named)) == []


async def test_an_alert_of_an_earlier_boot_is_resolved_when_nobody_calls_himself_so(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    subject = Subject.sender("http://wa9:3001")
    api.gateway.alerts.raised(AlertKind.UNKNOWN_SENDER, subject, "before")
    api.gateway.unknown_senders.look()
    assert api.gateway.alerts.of(subject)
    monkeypatch.setattr(api.gateway.unknown_senders, "_began_s", api.gateway.clock.monotonic() - 3601)
    api.gateway.unknown_senders.look()
    assert api.gateway.alerts.of(subject) == []


async def test_who_asks_for_sessions_and_cannot_be_told_from_others_is_logged_once_a_minute(api: Api) -> None:
    await api.account()
    api.gateway.intake._keys = InstanceKeys("shared", dict)
    with capture_logs() as lines:
        for headers in ({}, {}, {"X-Instance-Url": LOCALHOST}, {"X-Instance-Url": LOCALHOST}):
            sent = {"X-API-Key": "shared", **headers}
            answer = await api.client.get("/api/whatsapp/accounts/active", headers=sent)
            assert (answer.status_code, answer.json()) == (200, {"sessions": []})
    told_of = [line for line in lines if "asked for its sessions" in line["event"] and "do" in line and "count" in line]
    assert len(told_of) == 2, "one line for each sender"
    assert all("/in/N" in line["do"] for line in told_of)
    assert {each["cause"] for each in await senders(api)} == {"unnamed", "loopback"}


async def test_a_thousand_rejected_reports_are_one_line_a_minute_with_their_count(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    rejections, clock = api.gateway.intake._rejections, api.gateway.clock
    began_s = clock.monotonic()
    with capture_logs() as lines:
        for _ in range(50):
            await report(api, told("x", "s"), secret=b"guess")
        monkeypatch.setattr(rejections, "_clock", _At(began_s + 61))
        rejections.look()
        rejections.look()
    refused = [line for line in lines if line["event"] == "Reports are refused"]
    assert [(line["code"], line["count"]) for line in refused] == [("signature_invalid", 1), ("signature_invalid", 49)]


async def test_without_the_secret_nobody_becomes_a_sender(api: Api) -> None:
    await report(api, told("x", "s"), url="http://wa9:3001", secret=b"guess")
    await api.client.post(f"/in/9{WEBHOOK}", json={})
    assert await senders(api) == []


class _At:
    def __init__(self, at_s: float) -> None:
        self._at_s = at_s

    def monotonic(self) -> float:
        return self._at_s
