"""What instances send unasked, from outside."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from homing.compose import open_gateway
from homing.config import Settings
from homing.drivers import Drivers
from homing.model.fleet import SessionId, SessionStatus
from homing.model.sends.faults import Fault, Phase
from homing.ports import StoreUnavailable
from homing.serve.app import Application
from homing.serve.callers.instance_keys import InstanceKeys
from tests.drivers.test_signing import BODY, TIMESTAMP, VECTOR
from tests.flows.worlds import PLAIN, A, B, Misfortune
from tests.serve.conftest import Api
from tests.serve.reporting import WEBHOOK, figures, moved, report, told, until

READY = told("session_ready", "webjs_1_x", phone_number="62811")


@pytest.fixture
def keyed(api: Api) -> Api:
    api.gateway.intake._keys = InstanceKeys("shared", lambda: {A: "key-of-a", B: "key-of-b"})
    return api


async def stored(api: Api, **query: Any) -> list[dict[str, Any]]:
    asked = "&".join(f"{name}={value}" for name, value in query.items())
    answer = await api.call("GET", f"/events?{asked}")
    assert answer.status_code == 200, answer.text
    return list(answer.json()["data"])


# --- who is believed ---


async def test_a_report_signed_by_the_documented_rule_is_taken_byte_for_byte(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    class ThatDay:
        def now(self) -> datetime:
            return datetime(2026, 1, 1, 12, tzinfo=UTC)

    monkeypatch.setattr(api.gateway.intake, "_clock", ThatDay())
    headers = {"X-Timestamp": TIMESTAMP, "X-HMAC-Signature": VECTOR, "X-Instance-Url": "http://a:3001"}
    answer = await api.client.post(WEBHOOK, content=BODY, headers=headers)
    assert answer.status_code == 200, answer.text
    [event] = await stored(api)
    assert answer.json() == {"success": True, "event_id": event["id"], "duplicate": False}
    assert (event["kind"], event["session_id"], event["instance_url"]) == ("session_ready", "webjs_1_a", A)
    assert event["payload"] == {"workspace_id": 1, "session_id": "webjs_1_a", "phone_number": "62811801641"}


async def test_one_flipped_bit_is_refused(api: Api) -> None:
    answer = await report(api, b'{"event":"session_ready"}', tampered=b'{"event":"session_readx"}')
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_invalid")
    assert await stored(api) == []


@pytest.mark.parametrize(("skew_s", "where"), [(-320, "behind"), (320, "ahead of")])
async def test_a_clock_that_is_off_is_told_by_how_much(api: Api, skew_s: int, where: str) -> None:
    answer = await report(api, READY, skew_s=skew_s)
    assert (answer.status_code, answer.json()["code"]) == (401, "signature_expired")
    assert f"s {where} our clock" in answer.json()["detail"]
    assert abs(int(answer.headers["X-Timestamp"]) - api.gateway.clock.now().timestamp()) < 10
    assert await stored(api) == []


async def test_without_a_signature_or_with_anothers_secret_nothing_is_taken(api: Api) -> None:
    assert (await api.client.post(WEBHOOK, json=READY)).json()["code"] == "signature_invalid"
    assert (await report(api, READY, secret=b"guess")).json()["code"] == "signature_invalid"
    assert await stored(api) == []


async def test_a_replay_is_answered_as_before_and_stored_once(api: Api) -> None:
    first = await report(api, READY)
    request = first.request
    again = await api.client.post(WEBHOOK, content=request.content, headers=dict(request.headers))
    assert (again.status_code, again.json()) == (200, first.json() | {"duplicate": True})
    assert len(await stored(api)) == 1
    assert (await figures(api, "homing_webhooks_total"))['result="replay"'] == 1


async def test_a_retry_signed_anew_is_the_same_event(api: Api) -> None:
    first, again = await report(api, READY), await report(api, READY, skew_s=-10)
    assert again.json() == first.json() | {"duplicate": True}
    assert len(await stored(api)) == 1


async def test_a_senders_own_id_is_enough(api: Api) -> None:
    for n in range(2):
        await report(api, told("x", "s", n=n), X_Homing_Event_Id="evt-1")
    assert len(await stored(api)) == 1


async def test_without_a_secret_no_report_is_believed(tmp_path: Path, api: Api) -> None:
    url = f"sqlite:///{tmp_path}/other.db"
    settings = Settings(_env_file=None, homing_database_url=url, instances=(A,))  # type: ignore[call-arg]
    with capture_logs() as lines:
        async with open_gateway(settings, Drivers({"webjs": api.world})) as gateway:
            transport = httpx.ASGITransport(app=Application(gateway))  # type: ignore[arg-type]
            async with httpx.AsyncClient(transport=transport, base_url="http://homing") as client:
                for _ in range(3):
                    answer = await client.post(WEBHOOK, json=READY)
    assert (answer.status_code, answer.json()["code"]) == (503, "intake_not_configured")
    assert sum("WHATSAPP_HMAC_SECRET" in line["event"] for line in lines) == 1


# --- from where ---


@pytest.mark.parametrize("url", ["http://a:3001", "http://A:3001/"])
async def test_a_known_address_is_taken_however_it_is_spelt(api: Api, url: str) -> None:
    assert (await report(api, READY, url=url)).status_code == 200
    assert (await stored(api))[0]["instance_url"] == A


@pytest.mark.parametrize("url", ["http://evil.example", "http://a:3002", "nonsense", "file:///etc/passwd"])
async def test_a_strangers_address_is_refused_and_never_called(api: Api, url: str) -> None:
    answer = await report(api, READY, url=url)
    assert (answer.status_code, answer.json()["code"]) == (422, "instance_unknown")
    assert await stored(api) == []


async def test_without_an_address_the_event_has_no_place(api: Api) -> None:
    assert (await report(api, READY)).status_code == 200
    assert (await stored(api))[0]["instance_url"] is None


@pytest.mark.parametrize("path", [f"/in/{{}}{WEBHOOK}", "/in/{}/webhooks"])
@pytest.mark.parametrize("ref", ["2", "b:3001"])
async def test_the_path_names_an_instance_that_cannot_name_itself(api: Api, path: str, ref: str) -> None:
    answer = await report(api, READY, path=path.format(ref), url="http://localhost:3001")
    assert answer.status_code == 200, answer.text
    assert (await stored(api))[0]["instance_url"] == B


async def test_a_path_that_names_nobody_is_refused(api: Api) -> None:
    assert (await report(api, READY, path="/in/99/webhooks")).json()["code"] == "instance_unknown"


async def test_the_query_names_no_instance(api: Api) -> None:
    assert (await report(api, READY, path=f"{WEBHOOK}?instance=2")).status_code == 200
    assert (await stored(api))[0]["instance_url"] is None


# --- what ---


@pytest.mark.parametrize("raw", [b"[]", b'"x"', b'{"data":{}}', b'{"event":"x","data":7}'])
async def test_garbage_that_is_signed_is_still_garbage(api: Api, raw: bytes) -> None:
    answer = await report(api, raw)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_words_nobody_knows_are_stored(api: Api) -> None:
    assert (await report(api, {"event": "moon_phase", "phase": "new"})).status_code == 200
    assert (await stored(api))[0]["payload"] == {"phase": "new"}


async def test_media_is_taken_and_what_is_kept_of_it_is_small(api: Api) -> None:
    data = "A" * 2_000_000
    assert (
        await report(api, told("message_received", "s", message={"id": "1", "media": {"data": data}}))
    ).status_code == 200
    [event] = await stored(api)
    assert len(str(event["payload"])) < 1_000


async def test_a_report_over_the_limit_is_413(api: Api) -> None:
    assert (await report(api, b'{"event":"' + b"x" * 9_000_000 + b'"}')).status_code == 413


async def test_half_a_character_is_no_reason_to_fail(api: Api) -> None:
    assert (
        await report(api, b'{"event":"x","data":{"text":"\\ud83d","n":1e999,"big":' + b"9" * 40 + b"}}")
    ).status_code == 200
    kept = (await stored(api))[0]["payload"]
    assert (kept["text"], kept["n"]) == ("?", None)


async def test_every_result_is_counted_from_zero(api: Api) -> None:
    names = ("accepted", "duplicate", "replay", "bad_signature", "expired", "unknown_instance", "malformed", "refused")
    assert await figures(api, "homing_webhooks_total") == {f'result="{name}"': 0 for name in names}
    await report(api, READY)
    await report(api, READY, skew_s=-10)
    await report(api, READY, secret=b"guess")
    await report(api, READY, skew_s=999)
    await report(api, READY, url="http://evil")
    await report(api, b"{")
    await report(api, b"x" * 9_000_000)
    counted = await figures(api, "homing_webhooks_total")
    assert counted == {f'result="{name}"': 0 if name == "replay" else 1 for name in names}


async def test_every_event_belongs_to_the_workspace_of_its_session(api: Api) -> None:
    account = await api.account()
    await report(api, {"event": "x", "data": {"workspace_id": 2, "session_id": account["session_id"]}})
    await report(api, told("y", "nobody's"))
    assert [event["workspace_id"] for event in await stored(api)] == [1, None]
    seen = {
        key: [event["kind"] for event in (await api.call("GET", "/events", key=key)).json()["data"]]
        for key in ("operator", "reader", "stranger")
    }
    assert seen == {"operator": ["x", "y"], "reader": ["x"], "stranger": []}


# --- never lost ---


async def test_while_the_store_is_away_the_sender_is_asked_to_come_again(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def away(*_: object, **__: object) -> None:
        raise StoreUnavailable("away")

    with monkeypatch.context() as patched:
        patched.setattr(api.gateway.stores.events, "store", away)
        answer = await report(api, READY)
        assert (answer.status_code, answer.json()["code"]) == (429, "intake_busy")
        assert int(answer.headers["Retry-After"]) >= 1
    request = answer.request
    again = await api.client.post(WEBHOOK, content=request.content, headers=dict(request.headers))
    assert (again.status_code, again.json()["duplicate"]) == (200, False)


async def test_too_many_at_once_are_asked_to_come_again(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    real, may_go_on, begun = api.gateway.stores.events.store, asyncio.Event(), asyncio.Event()

    async def slow(*args: Any, **more: Any) -> Any:
        begun.set()
        await may_go_on.wait()
        return await real(*args, **more)

    monkeypatch.setattr(api.gateway.stores.events, "store", slow)
    monkeypatch.setattr(api.gateway.intake, "_waiting_max", 1)
    first = asyncio.create_task(report(api, READY))
    await begun.wait()
    assert (await report(api, told("other", "s"))).status_code == 429
    may_go_on.set()
    assert (await first).status_code == 200


async def test_a_store_that_is_slow_is_carried_through_behind_the_429(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await api.account()
    api.world.instances[A].sessions.clear()
    api.world.hold(B, SessionId(account["session_id"]), epoch=2)
    real, may_go_on = api.gateway.stores.events.store, asyncio.Event()

    async def slow(*args: Any, **more: Any) -> Any:
        await may_go_on.wait()
        return await real(*args, **more)

    monkeypatch.setattr(api.gateway.stores.events, "store", slow)
    monkeypatch.setattr("homing.serve.intake.ANSWER_WITHIN_S", 0.01)
    async with until(api, moved(account["session_id"])):
        ready = told("session_ready", account["session_id"])
        assert (await report(api, ready, url=B)).status_code == 429
        may_go_on.set()
    monkeypatch.setattr("homing.serve.intake.ANSWER_WITHIN_S", 5.0)
    assert (await report(api, ready, url=B)).json()["duplicate"] is True


# --- hints ---


async def test_a_session_that_is_ready_elsewhere_is_found_before_anybody_sends(api: Api) -> None:
    account = await api.account()
    api.world.instances[A].sessions.clear()
    api.world.hold(B, SessionId(account["session_id"]), epoch=2)
    async with until(api, moved(account["session_id"])):
        await report(api, told("session_ready", account["session_id"]), url=B)
    shown = (await api.call("GET", f"/accounts/{account['id']}")).json()
    assert (shown["instance_url"], shown["epoch"]) == (B, 2)
    [move, *_] = (await api.call("GET", "/moves")).json()["data"]
    assert move["reason"].startswith(f"session_ready from {B}: found on {B}")
    sent = (await api.send(account)).json()
    assert (sent["attempts"], sent["failover"]) == (1, False)


async def test_an_answer_does_not_wait_for_the_look_and_a_duplicate_does_not_look_again(api: Api) -> None:
    account = await api.account()
    offered: list[str] = []
    api.gateway.intake._intake._hints.offer = lambda hint: offered.append(hint.kind)  # type: ignore[method-assign, assignment]
    for skew_s in (0, -10, -20):
        await report(api, told("session_disconnected", account["session_id"]), url=A, skew_s=skew_s)
    await report(api, told("typing_indicator", account["session_id"]), url=A)
    await report(api, told("session_ready", "nobody's"), url=A)
    assert offered == ["session_disconnected"]


@pytest.mark.parametrize("skew_s", [0, -1])
async def test_a_report_that_is_repeated_under_its_own_id_is_followed_again(api: Api, skew_s: int) -> None:
    """Its sender did not hear that it was stored, and perhaps whoever stored it did not live to follow it."""
    account = await api.account()
    offered: list[str] = []
    api.gateway.intake._intake._hints.offer = lambda hint: offered.append(hint.kind)  # type: ignore[method-assign, assignment]
    for skew in (0, skew_s):
        body = told("session_ready", account["session_id"])
        await report(api, body, url=A, skew_s=skew, x_homing_event_id="its-own")
    assert offered == ["session_ready", "session_ready"]


@pytest.mark.parametrize("auth", ["key", "signature"])
async def test_an_instance_that_gave_a_session_up_says_so(keyed: Api, auth: str) -> None:
    account = await keyed.account()
    session = SessionId(account["session_id"])
    keyed.world.instances[A].sessions.clear()
    keyed.world.hold(B, session, epoch=2)
    path, body = f"/api/whatsapp/sessions/{session}/mark-disconnected", {"workspace_id": 1, "reason": "LOGOUT"}
    if auth == "key":
        answer = await keyed.client.post(path, json=body, headers={"X-API-Key": "key-of-a"})
    else:
        answer = await report(keyed, body, path=path, url=A)
    assert answer.status_code == 200, answer.text
    [event] = await stored(keyed)
    assert (event["kind"], event["instance_url"], event["workspace_id"]) == ("session_marked_disconnected", A, 1)
    assert event["payload"] == {"reason": "LOGOUT"}


async def test_giving_a_session_up_needs_proof(keyed: Api) -> None:
    path = "/api/whatsapp/sessions/s/mark-disconnected"
    assert (await keyed.client.post(path, json={}, headers={"X-API-Key": "guess"})).status_code == 401
    assert (await keyed.client.post(path, json={})).status_code == 401
    assert await stored(keyed) == []


async def test_a_sync_of_chats_is_one_small_event(api: Api) -> None:
    account = await api.account()
    chats = [{"id": {"_serialized": f"{n}@c.us"}, "messages": ["x" * 1_000]} for n in range(1_500)]
    body = {"whatsapp_account_id": account["id"], "workspace_id": 2, "chats": chats}
    answer = await report(api, body, path="/api/whatsapp/chats/sync", url=A)
    assert (answer.status_code, answer.json()) == (200, {"success": True, "received": 1_500})
    [event] = await stored(api)
    assert (event["kind"], event["workspace_id"], event["account_uuid"]) == ("chats_sync", 1, account["uuid"])
    assert event["payload"]["count"] == 1_500
    assert event["payload"]["chat_ids"][:2] == ["0@c.us", "1@c.us"]
    assert len(event["payload"]["chat_ids"]) == 200


@pytest.mark.parametrize("chats", [None, 7, {}])
async def test_a_sync_of_no_chats_is_malformed(api: Api, chats: object) -> None:
    answer = await report(api, {"chats": chats}, path="/api/whatsapp/chats/sync")
    assert answer.status_code == 422


# --- which sessions to run ---


@pytest.fixture
async def fleet(keyed: Api) -> AsyncIterator[tuple[Api, list[dict[str, Any]]]]:
    accounts = [await keyed.account(phone=f"081610864{n}") for n in range(6)]
    for instance in keyed.world.instances.values():
        instance.sessions.clear()  # its process began anew, and asks what to run
    yield keyed, accounts


async def test_what_the_asking_process_has_open_already_is_not_handed_to_it(
    fleet: tuple[Api, list[dict[str, Any]]],
) -> None:
    api, accounts = fleet
    started, other = [account for account in accounts if account["instance_url"] == B]
    api.world.instances[B].sessions[SessionId(started["session_id"])] = (SessionStatus.STARTING, 1)
    given = (await active(api, key="key-of-b")).json()["sessions"]
    assert [each["session_id"] for each in given] == [other["session_id"]]


async def active(api: Api, path: str = "", *, key: str | None = "shared", **headers: str) -> httpx.Response:
    sent = {name.replace("_", "-"): value for name, value in headers.items()} | ({"X-API-Key": key} if key else {})
    return await api.client.get(f"{path}/api/whatsapp/accounts/active", headers=sent)


@pytest.mark.parametrize(
    ("path", "key", "headers"),
    [
        ("", "key-of-b", {}),
        ("", "key-of-b", {"X_Instance_Url": "http://localhost:3001"}),
        ("", "key-of-b", {"X_Instance_Url": A}),
        ("", "key-of-b", {"X_Instance_Url": B}),
        ("/in/2", "key-of-b", {}),
        ("/in/b:3001", "key-of-b", {}),
    ],
)
async def test_an_instance_is_given_its_own_sessions_and_no_others(
    fleet: tuple[Api, list[dict[str, Any]]], path: str, key: str, headers: dict[str, str]
) -> None:
    api, accounts = fleet
    answer = await active(api, path, key=key, **headers)
    assert answer.status_code == 200, answer.text
    own = [account for account in accounts if account["instance_url"] == B]
    assert answer.json() == {
        "success": True,
        "sessions": [
            {
                "id": account["id"],
                "session_id": account["session_id"],
                "workspace_id": 1,
                "phone_number": account["phone"],
            }
            for account in own
        ],
    }
    assert len(own) == 2


@pytest.mark.parametrize("headers", [{}, {"X_Instance_Url": "http://evil.example"}])
async def test_who_cannot_be_told_from_others_is_given_nothing(
    fleet: tuple[Api, list[dict[str, Any]]], headers: dict[str, str]
) -> None:
    answer = await active(fleet[0], **headers)
    assert (answer.status_code, answer.json()) == (200, {"sessions": []})


async def test_the_key_may_come_in_the_query(fleet: tuple[Api, list[dict[str, Any]]]) -> None:
    answer = await fleet[0].client.get("/api/whatsapp/accounts/active?api_key=key-of-b")
    assert len(answer.json()["sessions"]) == 2


@pytest.mark.parametrize(("path", "key"), [("", None), ("", "guess"), ("", ""), ("/in/1", "key-of-b"), ("/in/2", "ÿ")])
async def test_a_wrong_key_is_401(fleet: tuple[Api, list[dict[str, Any]]], path: str, key: str | None) -> None:
    sent = {"X-API-Key": key.encode("latin-1")} if key is not None else {}
    answer = await fleet[0].client.get(f"{path}/api/whatsapp/accounts/active", headers=sent)  # type: ignore[arg-type]
    assert answer.status_code == 401


async def test_without_any_key_set_nobody_is_let_in(api: Api) -> None:
    for key in ("", "x"):
        assert (await active(api, key=key, X_Instance_Url=A)).status_code == 401


async def test_what_was_stopped_or_logged_out_is_not_to_run(fleet: tuple[Api, list[dict[str, Any]]]) -> None:
    api, accounts = fleet
    own = [account for account in accounts if account["instance_url"] == B]
    await api.call("POST", f"/accounts/{own[0]['id']}/stop")
    await api.gateway.stores.directory.set_status(SessionId(own[1]["session_id"]), SessionStatus.LOGGED_OUT)
    assert (await active(api, key="key-of-b")).json()["sessions"] == []


# --- pairing ---


async def test_a_code_that_the_instance_tells_comes_first(api: Api) -> None:
    account = await api.account()
    await report(api, told("qr_code_generated", account["session_id"], qr_code="REPORTED"), url=A)
    assert (await api.call("GET", f"/accounts/{account['id']}/qr")).json()["qr"] == "qr"


async def test_codes_are_shown_to_admin_keys_alone(api: Api) -> None:
    account = await api.account()
    await report(api, told("qr_code_generated", account["session_id"], qr_code="CODE", pairing_code="CODE"), url=A)
    seen = {
        key: [event["payload"]["qr_code"] for event in (await api.call("GET", "/events", key=key)).json()["data"]]
        for key in ("operator", "reader", "stranger")
    }
    assert seen == {"operator": ["CODE"], "reader": ["shown to admin keys"], "stranger": []}
    assert "CODE" not in (await api.call("GET", "/events", key="reader")).text


# --- unknown sends ---


async def unknown_send(api: Api, **more: Any) -> tuple[dict[str, Any], dict[str, Any]]:
    account = await api.account()
    api.world.instances[A].can = PLAIN
    api.gateway.fleet.doubt(A)
    api.world.instances[A].misfortunes.append(Misfortune(Fault(Phase.INTERRUPTED), delivered=True))
    answer = await api.send(account, **more)
    assert answer.status_code == 202, answer.text
    return account, dict(answer.json())


async def message(api: Api, sent: dict[str, Any]) -> dict[str, Any]:
    return dict((await api.call("GET", f"/messages/{sent['message_uuid']}")).json())


async def test_an_ack_settles_an_unknown_send_and_what_its_key_is_answered(api: Api) -> None:
    account, sent = await unknown_send(api, idempotency_key="k1")
    wrapped = f"true_62811801641@c.us_{sent['data']['message_id']}"
    status = told("message_status_updated", account["session_id"], message_id=wrapped, status="delivered", ack_level=3)
    event_id = (await report(api, status, url=A)).json()["event_id"]
    settled = await message(api, sent)
    assert (settled["state"], settled["code"], settled["message_id"]) == ("sent", None, wrapped)
    assert event_id in settled["reason"]
    retried = await api.send(account, idempotency_key="k1")
    assert (retried.status_code, retried.json()["success"], retried.json()["data"]["message_id"]) == (
        200,
        True,
        wrapped,
    )
    assert retried.json()["message_uuid"] == sent["message_uuid"]
    assert api.world.said("hello") == 1


async def test_the_message_that_the_session_saw_go_out_settles_it_where_the_id_is_the_gateways(api: Api) -> None:
    account, sent = await unknown_send(api)
    went = {"id": "true_62811801641@c.us_3EB0FF", "to": "62811801641@c.us", "body": "hello", "from_me": True}
    await report(api, told("message_received", account["session_id"], message=went | {"body": "other"}), url=A)
    assert (await message(api, sent))["state"] == "unknown"
    await report(api, told("message_sent", account["session_id"], message=went), url=A)
    assert (await message(api, sent))["state"] == "sent"


async def test_the_next_send_of_the_same_words_does_not_settle_the_first(api: Api) -> None:
    account, sent = await unknown_send(api)
    second = (await api.send(account)).json()
    went = {"id": second["data"]["message_id"], "to": "62811801641@c.us", "body": "hello"}
    await report(api, told("message_sent", account["session_id"], message=went), url=A)
    assert (await message(api, sent))["state"] == "unknown"


async def test_a_send_to_a_hidden_number_is_settled_by_its_words(api: Api) -> None:
    account, sent = await unknown_send(api)
    second = (await api.send(account, phone="+62811801642")).json()
    went = {"id": second["data"]["message_id"], "to": "998877@lid", "body": "hello"}
    await report(api, told("message_sent", account["session_id"], message=went), url=A)
    assert (await message(api, sent))["state"] == "unknown", "that was the second's"
    went |= {"id": "true_998876@lid_3EB0FF"}
    await report(api, told("message_sent", account["session_id"], message=went), url=A)
    assert (await message(api, sent))["state"] == "sent"


async def test_everything_for_instances_is_in_the_document(api: Api) -> None:
    paths = (await api.client.get("/docs/openapi.json")).json()["paths"]
    assert set(paths) >= {
        WEBHOOK,
        "/in/{instance}/webhooks",
        "/api/whatsapp/accounts/active",
        "/in/{instance}/api/whatsapp/accounts/active",
        "/api/whatsapp/sessions/{session_id}/mark-disconnected",
        "/api/whatsapp/chats/sync",
        "/api/v1/events",
    }
