"""The instance's HTTP surface, over real TCP against a real simulated WhatsApp."""

import asyncio
import io
import time
from dataclasses import replace
from types import SimpleNamespace

import aiohttp
import pytest
from stores import BRIEF, KEY, QUICK

from homing.drivers.http.wire import Wire
from homing.instance.api.http import BODY_MAX_BYTES
from homing.lab.chaos.stage import Stage, StageOrder
from homing.model.sends.addresses import Address, AddressKind
from homing.model.sends.content import MessageRef, MessageType
from homing.model.sends.signs import ReadSign, TypingSign
from homing.ports import StoreUnavailable

NOT_CONNECTED = "Session not connected. Please check session status."


# Keys, garbage, limits


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("POST", "/api/sessions"),
        ("DELETE", "/api/sessions/s1"),
        ("POST", "/api/sessions/s1/reconnect"),
        ("POST", "/api/sessions/s1/regenerate-qr"),
        ("POST", "/api/sessions/s1/logout"),
        ("POST", "/api/sessions/s1/read"),
        ("POST", "/api/sessions/s1/typing"),
        ("POST", "/api/messages/send"),
        ("POST", "/api/messages/send-media"),
        ("POST", "/api/messages/bulk-send"),
        ("POST", "/faults"),
    ],
)
@pytest.mark.parametrize("key", ["wrong", "", None, 7])
async def test_a_wrong_key_in_the_body_is_refused(fleet, method, path, key):
    one = await fleet.instance()
    assert await one.ask(method, path, {"api_key": key}) == (401, {"error": "Invalid API key"})


@pytest.mark.parametrize("path", ["/api/sessions", "/api/sessions/s1/status", "/api/messages/s1/validate", "/faults"])
async def test_a_wrong_key_in_the_query_is_refused(fleet, path):
    one = await fleet.instance()
    assert await one.get(path, api_key="wrong") == (401, {"error": "Invalid API key"})


@pytest.mark.parametrize("body", [b"{", b"[]", b"7", b"\xff\xfe", b'"text"', b"[" * 4000])
async def test_a_body_that_is_no_json_object_is_refused(fleet, body):
    one = await fleet.instance()
    async with fleet.http.post(one.url + "/api/messages/send", data=body) as reply:
        assert (reply.status, await reply.json()) == (400, {"error": "Invalid JSON"})


async def test_a_body_beyond_the_limit_is_refused(fleet):
    one = await fleet.instance()
    async with fleet.http.post(one.url + "/api/messages/send", data=io.BytesIO(b"x" * (BODY_MAX_BYTES + 1))) as reply:
        assert (reply.status, await reply.json()) == (413, {"error": "Request body too large"})


@pytest.mark.parametrize(
    ("method", "path"), [("GET", "/nope"), ("PUT", "/api/sessions"), ("GET", "/api/messages/send")]
)
async def test_an_unknown_endpoint_is_answered_as_the_node_service_does(fleet, method, path):
    one = await fleet.instance()
    async with fleet.http.request(method, one.url + path + "?api_key=secret") as reply:
        body = await reply.json()
    assert (reply.status, body["error"], body["path"], body["method"]) == (404, "Endpoint not found", path, method)
    assert "secret" not in str(body), "the key in a query is not repeated"


async def test_an_error_inside_says_nothing_about_the_inside(fleet, logged):
    one = await fleet.instance()

    async def fail(*_: object, **__: object) -> None:
        raise RuntimeError("a secret of ours")

    one.instance.host.start = fail
    assert await one.start() == (500, {"error": "Internal server error"})
    [line] = logged
    assert line["event"] == "Request failed"
    assert line["exc_info"]


async def test_a_store_that_is_gone_is_a_503(fleet):
    one = await fleet.instance()

    async def fail(*_: object, **__: object) -> None:
        raise StoreUnavailable("no space left")

    one.instance.host.start = fail
    assert await one.start() == (503, {"error": "Credentials vault unavailable"})


# Sessions


async def test_a_session_is_started_listed_shown_and_stopped(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    status, body = await one.start()
    assert (status, body["success"], body["status"], body["epoch"]) == (200, True, "connected", 1)
    _, listed = await one.get("/api/sessions")
    assert listed["total"] == 1
    (row,) = listed["sessions"]
    names = ["session_id", "workspace_id", "status", "phone_number", "connected_at", "last_activity", "epoch"]
    assert list(row) == names
    assert (row["session_id"], row["workspace_id"], row["status"], row["phone_number"]) == (
        "s1",
        1,
        "connected",
        "62810",
    )
    _, shown = await one.get("/api/sessions/s1/status")
    assert shown == row
    assert row["last_activity"] == row["connected_at"] <= listed["timestamp"]
    assert await one.stop() == (200, {"success": True, "message": "Session disconnected successfully"})
    assert (await one.stop())[1]["alreadyDisconnected"] is True
    assert await one.get("/api/sessions/s1/status") == (404, {"error": "Session not found"})
    assert (await one.start())[1]["status"] == "connected", "the login was kept"


async def test_stopping_a_session_that_another_instance_holds_touches_nothing(fleet):
    await fleet.link("s1")
    one, two = await fleet.instance(), await fleet.instance()
    await one.start()
    assert (await two.stop())[1]["alreadyDisconnected"] is True
    assert (await one.send())[0] == 200


async def test_pairing_shows_a_code_until_a_phone_accepts_it(fleet, eventually):
    one = await fleet.instance()
    _, body = await one.start()
    assert body["status"] == "qr_scanning"
    assert body["qr_code"] == body["pairing_code"]
    _, renewed = await one.post("/api/sessions/s1/regenerate-qr", {})
    assert 0 < renewed["expires_in"] <= 300
    assert renewed["qr_code"] != body["qr_code"]
    _, shown = await one.get("/api/sessions/s1/status")
    assert (shown["qr_code"], 0 < shown["expires_in"] <= 300) == (renewed["qr_code"], True)
    assert await one.send() == (400, {"error": NOT_CONNECTED, "status": "qr_scanning"})
    await fleet.whatsapp.link(renewed["qr_code"], phone="62877")

    async def connected() -> bool:
        _, shown = await one.get("/api/sessions/s1/status")
        return shown["status"] == "connected" and shown["phone_number"] == "62877" and "qr_code" not in shown

    await eventually(connected)
    assert (await one.post("/api/sessions/s1/regenerate-qr", {}))[0] == 400
    assert (await one.post("/api/sessions/s9/regenerate-qr", {}))[0] == 404


async def test_a_code_to_type_is_made_for_the_phone_that_is_named(fleet):
    one = await fleet.instance()
    await one.start()
    _, typed = await one.post("/api/sessions/s1/regenerate-qr", {"phone_number": "+62 877-1".replace(" ", "")})
    assert (typed["qr_code"], bool(typed["pairing_code"])) == (None, True)
    _, shown = await one.get("/api/sessions/s1/status")
    assert (shown["qr_code"], shown["pairing_code"]) == (None, typed["pairing_code"])
    assert (await one.post("/api/sessions/s1/regenerate-qr", {"phone_number": "none"}))[0] == 400
    assert (await one.post("/api/sessions/s1/regenerate-qr", {"phone_number": 62877}))[0] == 400


async def test_a_restart_takes_the_epoch_that_the_caller_names(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    _, body = await one.post("/api/sessions/s1/reconnect", {"workspace_id": 1}, epoch=6)
    assert (body["status"], body["epoch"]) == ("connected", 6)
    _, body = await one.post("/api/sessions/s1/reconnect", {"workspace_id": 1})
    assert body["epoch"] == 7
    assert await one.post("/api/sessions/s1/reconnect", {}, epoch=7) == (409, {"error": "stale epoch", "epoch": 7})


@pytest.mark.parametrize(("method", "path"), [("DELETE", "/api/sessions/s1"), ("POST", "/api/sessions/s1/logout")])
async def test_an_end_that_means_an_earlier_epoch_is_refused_and_ends_nothing(fleet, method, path):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start(epoch=5)
    assert await one.ask(method, path, {}, epoch=4) == (409, {"error": "stale epoch", "epoch": 5})
    assert (await one.send())[0] == 200
    assert (await one.ask(method, path, {}, epoch=5))[0] == 200
    assert (await one.send())[0] in (400, 404)


async def test_logout_ends_the_link(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    assert (await one.post("/api/sessions/s1/logout", {}))[1]["status"] == "logged_out"
    assert await one.send() == (400, {"error": NOT_CONNECTED, "status": "logged_out"})
    assert (await one.post("/api/sessions/s1/logout", {}))[0] == 200, "asked again, it is so already"
    assert (await one.start())[1]["status"] == "qr_scanning"
    assert await one.post("/api/sessions/s1/logout", {}) == (400, {"error": NOT_CONNECTED, "status": "qr_scanning"})


async def test_a_removed_device_answers_logged_out(fleet, eventually):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    await fleet.whatsapp.remove_device("s1")

    async def logged_out() -> bool:
        return await one.send() == (400, {"error": NOT_CONNECTED, "status": "logged_out"})

    await eventually(logged_out)


@pytest.mark.parametrize("body", [{}, {"session_id": ""}, {"session_id": 7}, {"session_id": "x" * 201}])
async def test_a_session_needs_a_name(fleet, body):
    one = await fleet.instance()
    assert (await one.post("/api/sessions", body))[0] == 400


# Sends


async def test_a_send_reaches_the_ledger_under_the_callers_id(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    status, body = await one.send("hello", message_id="3EB0C0FFEE")
    assert (status, body["success"], body["message_id"]) == (200, True, "3EB0C0FFEE")
    assert abs(body["timestamp"] - time.time()) < 5
    (delivery,) = fleet.ledger()
    assert (delivery.recipient, delivery.message_id, delivery.text) == ("62811", "3EB0C0FFEE", "hello")
    assert delivery.label == {"instance_url": one.url, "epoch": 1}


async def test_a_send_without_an_id_gets_one(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    ids = {(await one.send())[1]["message_id"] for _ in range(2)}
    assert len(ids) == 2
    assert all(name.startswith("3EB0") and len(name) >= 20 for name in ids)


async def test_a_repeated_id_is_delivered_once(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    answers = [await one.send("once", message_id="3EB0C0FFEE") for _ in range(2)]
    assert [status for status, _ in answers] == [200, 200]
    assert len(fleet.ledger()) == 1


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"session_id": None}, "Missing required fields"),
        ({"recipient_phone": ""}, "Missing required fields"),
        ({"message": ""}, "Missing required fields"),
        ({"recipient_phone": "not a phone"}, "Invalid phone number format"),
        ({"recipient_phone": "+()"}, "Invalid phone number format"),
        ({"recipient_phone": 62811}, "Invalid phone number format"),
        ({"message": 7}, "Message must be string or object"),
        ({"message": {"body": 1}}, "Message must be string or object"),
        ({"message": "x" * 65_537}, "Message is longer than 65536 characters"),
        ({"type": "media"}, "Message type media is not supported by the simulated engine"),
        ({"message_id": "short"}, "Invalid message_id: 8 to 64 characters 0-9 and A-Z"),
        ({"message_id": "3eb0c0ffee"}, "Invalid message_id: 8 to 64 characters 0-9 and A-Z"),
        ({"message_id": "A" * 65}, "Invalid message_id: 8 to 64 characters 0-9 and A-Z"),
    ],
)
async def test_a_send_that_makes_no_sense_is_refused(fleet, changes, error):
    one = await fleet.instance()
    status, body = await one.post(
        "/api/messages/send", {"session_id": "s1", "recipient_phone": "62811", "message": "hi", **changes}
    )
    assert (status, body["error"]) == (400, error)
    if error == "Missing required fields":
        assert body["required"] == ["session_id", "recipient_phone", "message"]


@pytest.mark.parametrize("phone", ["62811", "+62 811", "(62) 8-11"])
async def test_phone_numbers_are_taken_as_people_write_them(fleet, phone):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    assert (await one.send(recipient_phone=phone))[0] == 200
    assert [delivery.recipient for delivery in fleet.ledger()] == ["62811"]


async def test_a_session_that_is_not_held_is_not_found(fleet):
    one = await fleet.instance()
    assert await one.send() == (404, {"error": "Session not found"})


async def test_a_send_under_another_epoch_is_refused_with_ours(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start(epoch=3)
    assert await one.send(epoch=2) == (409, {"error": "stale epoch", "epoch": 3})
    assert (await one.send(epoch=3))[0] == 200
    assert len(fleet.ledger()) == 1


@pytest.mark.parametrize("header", ["x", "0", "-1", "1.5", "9" * 40])
async def test_an_epoch_that_is_none_is_refused(fleet, header):
    one = await fleet.instance()
    body = {"api_key": "secret", "session_id": "s1", "recipient_phone": "1", "message": "hi"}
    url = one.url + "/api/messages/send"
    async with fleet.http.post(url, json=body, headers={"X-Homing-Epoch": header}) as reply:
        assert (reply.status, await reply.json()) == (400, {"error": "Invalid X-Homing-Epoch"})


async def test_a_restricted_recipient_is_told_as_463(fleet):
    await fleet.link("s1")
    await fleet.whatsapp.configure(restricted=["62811"])
    one = await fleet.instance()
    await one.start()
    assert await one.send() == (400, {"error": "recipient restricted", "code": 463})


async def test_an_unknown_outcome_is_a_504(fleet):
    await fleet.link("s1")
    one = await fleet.instance(policy=replace(QUICK, acknowledge_within_s=0.2))
    await one.start()
    await one.send()
    session = one.instance.host.find("s1")
    real, session._sending._transmit = session._sending._transmit, lambda frame: None
    status, body = await one.send()
    session._sending._transmit = real
    assert status == 504
    assert body["error"].endswith("outcome unknown")


async def test_media_without_its_fields_is_refused(fleet):
    one = await fleet.instance()
    assert (await one.post("/api/messages/send-media", {}))[1]["required"] == [
        "session_id",
        "recipient_phone",
        "media_url",
    ]


async def test_a_bulk_send_answers_for_each_recipient_in_order(fleet):
    await fleet.link("s1")
    await fleet.whatsapp.configure(restricted=["622"])
    one = await fleet.instance()
    await one.start()
    body = {"session_id": "s1", "recipients": ["+62 1", "622", "623"], "message": "all"}
    status, answer = await one.post("/api/messages/bulk-send", body)
    assert (status, answer["success"]) == (200, True)
    assert (answer["total"], answer["successful"], answer["failed"]) == (3, 2, 1)
    assert [result["recipient"] for result in answer["results"]] == ["+62 1", "622", "623"]
    assert answer["errors"] == [{"recipient": "622", "success": False, "error": "recipient restricted"}]
    assert [delivery.recipient for delivery in fleet.ledger()] == ["621", "623"]


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"recipients": []}, "Missing required fields"),
        ({"recipients": "62811"}, "Missing required fields"),
        ({"message": ""}, "Message content is required"),
        ({"recipients": ["62811", "x"]}, "Invalid phone number format for some recipients"),
        ({"recipients": ["62811"] * 1001}, "Too many recipients: at most 1000 at once"),
    ],
)
async def test_a_bulk_send_that_makes_no_sense_is_refused(fleet, changes, error):
    one = await fleet.instance()
    body = {"session_id": "s1", "recipients": ["62811"], "message": "all", **changes}
    status, answer = await one.post("/api/messages/bulk-send", body)
    assert (status, answer["error"]) == (400, error)


async def test_validation_says_whether_a_session_can_send(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    status, body = await one.get("/api/messages/s1/validate")
    assert (status, body) == (404, {"success": False, "error": "Session not found", "can_send": False})
    await one.start()
    _, body = await one.get("/api/messages/s1/validate")
    assert (body["can_send"], body["is_healthy"], body["status"]) == (True, True, "connected")
    assert body["recommendations"] == ["Session is ready to send messages"]


# Signs


async def test_signs_reach_the_engine_that_can_show_them_and_no_other(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    read = "/api/sessions/s1/read", {"chat": "62811", "messages": [{"id": "3A01"}]}
    types = "/api/sessions/s1/typing", {"chat": "120363041234567890@g.us", "seconds": 2}
    for path, body in (read, types):
        status, said = await one.post(path, body)
        assert (status, "engine" in said["error"]) == (400, True)
    host, shown = one.instance.host, []

    async def show(sign: object) -> None:
        shown.append(sign)

    host.engine.capabilities = replace(host.engine.capabilities, mark_read=True, show_typing=True)
    host.find("s1")._connection.wire.show = show
    assert await one.post(*read) == await one.post(*types) == (200, {"success": True})
    group = Address.of("120363041234567890@g.us")
    assert shown == [ReadSign(Address.of("62811"), (MessageRef("3A01"),)), TypingSign(group, 2.0)]
    assert (await one.post("/api/sessions/s2/typing", types[1]))[0] == 404
    await one.stop()
    assert (await one.post(*types))[0] == 404


@pytest.mark.parametrize(
    ("path", "body", "error"),
    [
        ("read", {"messages": [{"id": "3A"}]}, "Invalid chat"),
        ("read", {"chat": "nobody", "messages": [{"id": "3A"}]}, "Invalid chat"),
        ("read", {"chat": "62811"}, "messages must be"),
        ("read", {"chat": "62811", "messages": []}, "messages must be"),
        ("read", {"chat": "62811", "messages": ["3A"]}, "object with its id"),
        ("read", {"chat": "62811", "messages": [{"id": "3A 4"}]}, "object with its id"),
        ("read", {"chat": "62811", "messages": [{"id": "3A", "participant": "?"}]}, "object with its id"),
        ("typing", {"chat": "62811"}, "seconds must be"),
        ("typing", {"chat": "62811", "seconds": True}, "seconds must be"),
        ("typing", {"chat": "62811", "seconds": -1}, "seconds must be"),
        ("typing", {"chat": 62811, "seconds": 1}, "Invalid chat"),
    ],
)
async def test_a_sign_that_is_none_is_refused(fleet, path, body, error):
    one = await fleet.instance()
    status, said = await one.post(f"/api/sessions/s1/{path}", body)
    assert (status, error in said["error"]) == (400, True), said


# Probes


async def test_health_needs_no_key_and_names_what_the_instance_can_do(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    async with fleet.http.get(one.url + "/health") as reply:
        body = await reply.json()
    assert body["status"] == "healthy"
    assert body["sessions"] == {"total": 1, "connected": 1, "disconnected": 0}
    assert body["memory"].keys() == {"used", "total", "unit"}
    assert body["uptime"] < 60
    assert (body["engine"], body["incarnation"]) == ("simulated", one.instance.host.holder.incarnation)
    assert body["capabilities"] == {
        "choose_message_id": True,
        "stop_keeps_login": True,
        "share_credentials": True,
        "report_location": True,
        "honour_epoch": True,
        "hold_lease": True,
        "sends": sorted(MessageType),
        "reaches": sorted(AddressKind),
        "quotes": sorted(set(MessageType) - {"reaction", "edit", "revoke"}),
        "mentions": ["document", "edit", "image", "text", "video"],
        "check_numbers": False,
        "mark_read": False,
        "show_typing": False,
        "read_history": False,
        "fetch_files": True,
        "takes_proxy": True,
        "typed_codes": True,
    }
    assert body["lease"]["state"] == "held"
    assert 0 < body["lease"]["left_s"] <= BRIEF.self_fence_s
    assert body["sends_per_s"] == 0
    await one.send()
    assert (await one.get("/health"))[1]["sends_per_s"] > 0


async def test_the_probes_of_an_orchestrator_answer(fleet, eventually):
    one = await fleet.instance()
    assert (await one.get("/health/live"))[1]["alive"] is True

    async def ready() -> bool:
        return (await one.get("/health/ready"))[0] == 200

    await eventually(ready)


# Faults, over the wire


async def test_without_fault_injection_no_key_makes_an_instance_misbehave(fleet):
    one = await fleet.instance(fault_injection=False)
    for status, answer in (await one.post("/faults", {"hang": True}), await one.get("/faults")):
        assert status == 404
        assert answer["error"] == "Endpoint not found"
    assert (await one.get("/api/sessions"))[0] == 200


async def test_faults_are_shown_and_cleared(fleet):
    one = await fleet.instance()
    _, shown = await one.post("/faults", {"answer": {"status": 503, "count": 1, "scope": "lists"}})
    assert shown["faults"] == [{"effect": "answer", "scope": "lists", "count": 1, "status": 503}]
    assert await one.get("/faults") == (200, shown)
    assert (await one.get("/api/sessions"))[0] == 503
    assert (await one.get("/api/sessions"))[0] == 200
    assert (await one.post("/faults", {"explode": True}))[0] == 400
    await one.post("/faults", {"hang": True})
    assert (await one.post("/faults", {"clear": True}))[1]["faults"] == []
    assert (await one.get("/api/sessions"))[0] == 200


async def test_drop_before_does_not_do_the_work_and_drop_after_does(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    for fault, delivered in (("drop_before", 0), ("drop_after", 1)):
        await one.post("/faults", {fault: {"count": 1, "scope": "sends"}})
        with pytest.raises(aiohttp.ServerDisconnectedError):
            await one.send()
        assert len(fleet.ledger()) == delivered


async def test_bodies_are_spoiled_after_the_work_was_done(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    body = {"api_key": "secret", "session_id": "s1", "recipient_phone": "62811", "message": "hi"}
    await one.post("/faults", {"garbage": {"count": 1}})
    async with fleet.http.post(one.url + "/api/messages/send", json=body) as reply:
        with pytest.raises(ValueError):
            await reply.json()
    await one.post("/faults", {"half": {"count": 1}})
    async with fleet.http.post(one.url + "/api/messages/send", json=body) as reply:
        with pytest.raises(aiohttp.ClientPayloadError):
            await reply.read()
    await one.post("/faults", {"huge": {"count": 1}})
    async with fleet.http.post(one.url + "/api/messages/send", json=body) as reply:
        assert len(await reply.read()) > 10_000_000
    assert len(fleet.ledger()) == 3


async def test_a_hang_never_answers_and_ends_with_its_caller(fleet):
    one = await fleet.instance()
    await one.post("/faults", {"hang": {"count": 1}})
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.1):
            await one.get("/api/sessions")
    assert (await one.get("/api/sessions"))[0] == 200


async def test_latency_is_added(fleet):
    one = await fleet.instance()
    await one.post("/faults", {"latency_ms": 50})
    begun = time.monotonic()
    await one.get("/api/sessions")
    assert time.monotonic() - begun >= 0.049


# Who reaches it


async def test_only_answers_to_gateways_say_that_gateways_reach_it(fleet):
    one, beside, gateway = await fleet.instance(), Wire(agent="kube-probe/1.31"), Wire()
    try:
        for reply in [await beside.call("GET", one.url, "/health/live", timeout_s=5) for _ in range(2)]:
            assert (reply.status, one.instance.host.lease.answered_ago_s()) == (200, None)
        assert (await gateway.call("GET", one.url, "/health", timeout_s=5)).status == 200
        assert one.instance.host.lease.answered_ago_s() < 5
    finally:
        await beside.close()
        await gateway.close()


async def test_who_looks_on_in_a_trial_of_faults_is_no_gateway(fleet):
    """Else an instance that nothing reaches is taken for one that others reach, as often as its list is looked at."""
    one, demo = await fleet.instance(), SimpleNamespace(secrets=SimpleNamespace(instance_api_key=KEY))
    stage = Stage(StageOrder(), demo, None, None, None, {}, {one.url: one.url}, [], {})
    try:
        assert await stage.listed(one.url) == {}
        assert one.instance.host.lease.answered_ago_s() is None
    finally:
        await stage.wire.close()
