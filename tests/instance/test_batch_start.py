"""Many sessions started with one call, over HTTP."""

import asyncio
from dataclasses import replace

import pytest
from stores import QUICK, VAULT_KEY

from homing.store.vault.sealing import KeyRing, fresh_key
from homing.store.vault.vault import SqlVault
from simulated_whatsapp.client import Device
from simulated_whatsapp.core import DeviceCredentials
from simulated_whatsapp.wire import tcp


def wanted(*names: str, epoch: int | None = 1) -> dict:
    rows = [{"session_id": name, "workspace_id": 1, "account_id": 7, "epoch": epoch} for name in names]
    return {"sessions": [{key: value for key, value in row.items() if value is not None} for row in rows]}


async def start(caller, *names: str, epoch: int | None = 1, **more: object) -> tuple[int, dict]:
    return await caller.post("/api/sessions/batch", {**wanted(*names, epoch=epoch), **more})


async def test_all_are_up_when_it_answers(fleet):
    names = [f"s{n}" for n in range(30)]
    await fleet.link(*names)
    one = await fleet.instance()
    before = fleet.database.writes
    status, body = await start(one, *names)
    assert (status, body["success"]) == (200, True)
    assert [row["session_id"] for row in body["sessions"]] == names
    assert {(row["success"], row["status"], row["epoch"], row["workspace_id"]) for row in body["sessions"]} == {
        (True, "connected", 1, 1)
    }
    assert fleet.database.writes - before < 30, "they are opened with one word to the vault"
    assert (await one.send(epoch=1))[0] == 200


async def test_asked_again_those_that_are_held_at_that_epoch_stay_as_they_are(fleet):
    await fleet.link("s1", "s2")
    one = await fleet.instance()
    await start(one, "s1")
    status, body = await start(one, "s1", "s2")
    assert (status, body["success"]) == (200, True)
    assert (await fleet.whatsapp.stats())["logins"] == 2
    _, body = await start(one, "s1", "s2", epoch=3)
    assert {row["epoch"] for row in body["sessions"]} == {3}
    assert (await fleet.whatsapp.stats())["logins"] == 4


async def test_each_has_its_own_answer(fleet):
    await fleet.link("here", "new", "elsewhere", "gone")
    one, two = await fleet.instance(), await fleet.instance()
    await start(one, "here", epoch=5)
    await start(two, "elsewhere", epoch=9)
    await fleet.whatsapp.remove_device("gone")
    status, body = await start(one, "here", "new", "elsewhere", "gone", "never-linked", epoch=2)
    assert (status, body["success"]) == (200, False)
    rows = {row["session_id"]: row for row in body["sessions"]}
    assert rows["here"] == {"session_id": "here", "success": False, "error": "stale epoch", "epoch": 5}
    assert (rows["new"]["success"], rows["new"]["status"], rows["new"]["epoch"]) == (True, "connected", 2)
    assert rows["elsewhere"] == {"session_id": "elsewhere", "success": False, "error": "stale epoch", "epoch": 9}
    assert (rows["gone"]["success"], rows["gone"]["status"]) == (False, "logged_out")
    assert rows["gone"]["error"] == "WhatsApp refused the login: logged_out"
    assert (rows["never-linked"]["success"], rows["never-linked"]["status"]) == (True, "qr_scanning")
    assert (await two.get("/api/sessions"))[1]["total"] == 1
    assert (await one.get("/api/sessions/here/status"))[1]["epoch"] == 5


async def test_one_named_twice_is_started_once_and_without_an_epoch_the_next_is_taken(fleet):
    await fleet.link("s1")
    one = await fleet.instance()
    _, body = await start(one, "s1", "s1", epoch=None)
    assert [row["epoch"] for row in body["sessions"]] == [1, 1]
    assert (await fleet.whatsapp.stats())["logins"] == 1


async def test_no_more_are_taken_than_there_is_room_for(fleet):
    await fleet.link("a", "b", "c")
    one = await fleet.instance(policy=replace(QUICK, sessions_max=2))
    _, body = await start(one, "a", "b", "c")
    assert [row["success"] for row in body["sessions"]] == [True, True, False]
    assert body["sessions"][2]["error"] == "This instance holds as many sessions as it may"
    assert (await fleet.stored("c")).epoch == 0, "no epoch is taken for a session that is not held"


async def test_whoever_does_not_want_to_wait_so_long_is_answered_how_far_they_are(fleet):
    await fleet.link("s1", "s2")
    await fleet.whatsapp.configure(login_delay_s=0.5)
    one = await fleet.instance()
    _, body = await start(one, "s1", "s2", wait_s=0.05)
    assert [row["status"] for row in body["sessions"]] == ["authenticated"] * 2
    assert [row["success"] for row in body["sessions"]] == [True] * 2


async def test_one_that_cannot_be_unsealed_harms_no_other(fleet):
    await fleet.link("s1")
    other = await SqlVault.of(fleet.database, KeyRing(fresh_key("other"), [VAULT_KEY]))
    await other.adopt({"s2": {"sealed": "elsewhere"}})
    await other.close()
    one = await fleet.instance()
    status, body = await start(one, "s1", "s2")
    assert (status, [row["success"] for row in body["sessions"]]) == (200, [True, False])
    assert "vault key 'other'" in body["sessions"][1]["error"]
    assert await one.start("s2") == (503, {"error": body["sessions"][1]["error"]})


@pytest.mark.parametrize(
    ("body", "error"),
    [
        ({}, "Missing required fields"),
        ({"sessions": []}, "Missing required fields"),
        ({"sessions": {"session_id": "s1"}}, "Missing required fields"),
        ({"sessions": ["s1"]}, "Each of the sessions must be an object"),
        ({"sessions": [{"workspace_id": 1}]}, "Missing required fields"),
        ({"sessions": [{"session_id": "s1", "epoch": "1"}]}, "Invalid epoch"),
        ({"sessions": [{"session_id": "s1", "epoch": 0}]}, "Invalid epoch"),
        ({"sessions": [{"session_id": "s1", "epoch": True}]}, "Invalid epoch"),
        ({"sessions": [{"session_id": f"s{n}"} for n in range(1001)]}, "Too many sessions: at most 1000 at once"),
        ({"sessions": [{"session_id": "s1"}], "wait_s": -1}, "Invalid wait_s: seconds"),
        ({"sessions": [{"session_id": "s1"}], "wait_s": "1"}, "Invalid wait_s: seconds"),
    ],
)
async def test_a_batch_that_makes_no_sense_is_refused_whole(fleet, body, error):
    one = await fleet.instance()
    status, answer = await one.post("/api/sessions/batch", body)
    assert (status, answer["error"]) == (400, error)
    assert (await one.get("/api/sessions"))[1]["total"] == 0


async def test_a_wrong_key_starts_nothing(fleet):
    one = await fleet.instance()
    assert (await start(one, "s1", api_key="wrong"))[0] == 401


async def test_batches_that_meet_start_each_session_once(fleet):
    names = [f"s{n}" for n in range(12)]
    await fleet.link(*names)
    one = await fleet.instance()
    answers = await asyncio.gather(*(start(one, *(names if n % 2 else names[::-1])) for n in range(4)))
    assert all(body["success"] for _, body in answers)
    assert (await fleet.whatsapp.stats())["logins"] == len(names)
    assert (await fleet.whatsapp.stats())["evictions"] == 0


# While this boot may not act


async def test_while_it_is_paused_an_instance_does_nothing_and_says_so(fleet, eventually):
    await fleet.link("s1", "s2")
    one = await fleet.instance()
    await one.start("s1")
    fleet.database.away = True
    await eventually(lambda: not one.instance.host.lease.may_act())
    refused = (503, {"error": "This instance is paused: it does not hold its lease at the moment. Nothing was done."})
    assert await start(one, "s2") == refused
    assert await one.start("s2") == refused
    assert await one.stop("s1") == refused
    assert await one.send() == refused
    for path in ("reconnect", "logout", "regenerate-qr"):
        assert await one.post(f"/api/sessions/s1/{path}", {}) == refused
    async with fleet.http.post(one.url + "/api/messages/send", json=send_body()) as reply:
        assert reply.headers["Retry-After"] == "1"
    _, health = await one.get("/health")
    assert (health["lease"], health["sessions"]["connected"]) == ({"state": "paused", "left_s": 0.0}, 1)
    assert (await one.get("/api/sessions"))[1]["total"] == 1
    fleet.database.away = False
    await one.instance.host.lease.trusted()
    assert (await one.send())[0] == 200


async def test_a_session_that_a_stranger_replaced_says_so_in_the_list(fleet, eventually):
    await fleet.link("s1")
    one = await fleet.instance()
    await one.start()
    session = one.instance.host.find("s1")
    stranger = await Device(lambda _: None).connect(tcp(fleet.server.address))
    await stranger.login(DeviceCredentials(**session.grant.login), next_counter=1000)
    await eventually(lambda: replaced(one))
    stranger.close()


async def replaced(caller) -> bool:
    (row,) = (await caller.get("/api/sessions"))[1]["sessions"]
    return (row["status"], row.get("error")) == ("error", "replaced")


def send_body() -> dict:
    return {"api_key": "secret", "session_id": "s1", "recipient_phone": "62811", "message": "hi"}
