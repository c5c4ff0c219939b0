"""The webjs driver against the Node service, as it is."""

import asyncio
import json
from datetime import UTC, datetime

import pytest
from node_service import KEY, NodeService
from scripted_peers import Peer, Serve, saying, silence

from homing.drivers.http.wire import Wire
from homing.drivers.webjs.driver import WebjsDriver
from homing.model.fleet import (
    NEVER_GRANTED,
    Epoch,
    InstanceUrl,
    ListedSession,
    NoList,
    SessionId,
    SessionList,
    SessionStatus,
    WorkspaceId,
)
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.sending import Receipt
from homing.ports import InstanceHealth, OutgoingText, PairingCode, SessionStart

SESSION = SessionId("webjs_1_1764000000_abc")
ABOUT = SessionStart(SESSION, WorkspaceId(1), 142, NEVER_GRANTED)
HELLO = OutgoingText(SESSION, WorkspaceId(1), "6281654321", "héllo 👋", "3EB0A1B2C3D4", NEVER_GRANTED)


@pytest.fixture
def node() -> NodeService:
    return NodeService()


@pytest.fixture
async def peer(serve: Serve, node: NodeService) -> Peer:
    return await serve(node.talk)


@pytest.fixture
def at(peer: Peer) -> InstanceUrl:
    return InstanceUrl(peer.url)


@pytest.fixture
def driver(wire: Wire, at: InstanceUrl) -> WebjsDriver:
    return WebjsDriver(wire, api_keys={at: KEY}, default_api_key="another")


def phase(ended: object) -> Phase:
    assert isinstance(ended, Fault), ended
    return ended.phase


# --- keys -----------------------------------------------------------------------------------------------------


async def test_the_key_is_in_the_query_of_a_get_and_in_the_body_of_the_rest(driver, node, peer, at) -> None:
    node.hold(SESSION)
    await driver.sessions(at, timeout_s=2)
    await driver.send(at, HELLO, timeout_s=2)
    await driver.stop(at, ABOUT, timeout_s=2)
    for asked in peer.asked:
        in_query, in_body = "api_key=" in asked.target, b"api_key" in asked.body
        assert (in_query, in_body) == (asked.method == "GET", asked.method != "GET")
    assert [asked.method for asked in peer.asked] == ["GET", "POST", "GET", "GET", "DELETE"]


async def test_health_shows_no_key(driver, peer, at) -> None:
    await driver.health(at, timeout_s=2)
    assert "api_key" not in peer.asked[0].target
    assert "x-api-key" not in peer.asked[0].headers


async def test_an_instance_without_a_key_of_its_own_gets_the_default_one(wire, node, at) -> None:
    driver = WebjsDriver(wire, default_api_key=KEY)
    assert isinstance(await driver.sessions(at, timeout_s=2), SessionList)


async def test_a_wrong_key_is_unauthorised_and_is_not_shown(wire, node, at) -> None:
    driver = WebjsDriver(wire, default_api_key="wrong-key")
    ended = await driver.send(at, HELLO, timeout_s=2)
    assert ended == Fault(Phase.UNAUTHORISED, "Invalid API key", 401)
    listed = await driver.sessions(at, timeout_s=2)
    assert isinstance(listed, NoList)
    assert "Invalid API key" in listed.reason
    assert listed.category == "401 unauthorised"


@pytest.mark.parametrize("echo", [KEY, "s%C3%A9cret%20key%2F42%2B%26", "api_key=other-secret&x=1"])
async def test_a_key_that_a_peer_says_back_is_blotted_out(wire, serve: Serve, echo: str) -> None:
    body = json.dumps({"error": f"cannot GET /x?api_key={echo}"}, ensure_ascii=False).encode()
    head = f"HTTP/1.1 500 X\r\nContent-Length: {len(body)}\r\n\r\n".encode()
    at = InstanceUrl((await serve(saying(head + body))).url)
    driver = WebjsDriver(wire, default_api_key=KEY)
    for ended in (await driver.send(at, HELLO, timeout_s=2), await driver.session(at, SESSION, timeout_s=2)):
        assert phase(ended) is Phase.SERVER_ERROR
        assert "***" in ended.detail
        assert "cret" not in ended.detail


# --- sending --------------------------------------------------------------------------------------------------


async def test_a_text_is_sent_with_what_the_service_wants_and_its_own_id_comes_back(driver, node, at) -> None:
    node.hold(SESSION)
    ended = await driver.send(at, HELLO, timeout_s=2)
    assert ended == Receipt("true_6281654321@c.us_3EB00000000000000001", 1764000000)
    (sent,) = node.sent
    assert sent == {
        "session_id": SESSION,
        "workspace_id": 1,
        "recipient_phone": "6281654321",
        "message": "héllo 👋",
        "type": "text",
        "message_id": "3EB0A1B2C3D4",
        "api_key": KEY,
    }


async def test_an_epoch_is_named_once_one_was_granted(driver, node, peer, at) -> None:
    node.hold(SESSION)
    granted = OutgoingText(SESSION, WorkspaceId(1), "62816", "hi", "3EB0A1B2C3D4", Epoch(7))
    await driver.send(at, granted, timeout_s=2)
    await driver.send(at, HELLO, timeout_s=2)
    assert [asked.headers.get("x-homing-epoch") for asked in peer.asked] == ["7", None]


async def test_a_session_held_elsewhere_is_not_found(driver, at) -> None:
    assert await driver.send(at, HELLO, timeout_s=2) == Fault(Phase.SESSION_NOT_FOUND, "Session not found", 404)


@pytest.mark.parametrize("status", ["qr_scanning", "authenticated", "disconnected", None])
async def test_a_session_not_connected_is_not_ready(driver, node, at, status: str | None) -> None:
    node.hold(SESSION, status)
    assert phase(await driver.send(at, HELLO, timeout_s=2)) is Phase.SESSION_NOT_READY


async def test_what_the_service_cannot_take_is_rejected(driver, node, at) -> None:
    node.hold(SESSION)
    for number, text in (("62816", ""), ("not a number", "hi")):
        message = OutgoingText(SESSION, WorkspaceId(1), number, text, "3EB0A1B2C3D4", NEVER_GRANTED)
        assert phase(await driver.send(at, message, timeout_s=2)) is Phase.REQUEST_REJECTED
    assert node.sent == []


async def test_half_a_character_is_rejected_before_anything_leaves(driver, peer, at) -> None:
    message = OutgoingText(SESSION, WorkspaceId(1), "62816", "\ud83d", "3EB0A1B2C3D4", NEVER_GRANTED)
    assert phase(await driver.send(at, message, timeout_s=2)) is Phase.REQUEST_REJECTED
    assert peer.connections == 0


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        ("Protocol error (Runtime.callFunctionOn): Session closed. Most likely the page has been closed.", "not_ready"),
        ("Attempted to use detached Frame 'F0'.", "not_ready"),
        ("Evaluation failed: Error: wid error: invalid wid", "rejected"),
        ("Protocol error (Runtime.callFunctionOn): Target closed.", "server_error"),
        ("Execution context was destroyed, most likely because of a navigation.", "server_error"),
        ("Evaluation failed: t", "server_error"),
    ],
)
async def test_a_500_is_certain_only_where_its_words_are(driver, node, at, words: str, expected: str) -> None:
    node.hold(SESSION)
    node.send_fails_with = words
    assert phase(await driver.send(at, HELLO, timeout_s=2)).value.endswith(expected)


async def test_a_success_without_an_id_leaves_open_whether_it_was_sent(driver, node, at) -> None:
    node.hold(SESSION)
    node.loses_message_ids = True
    assert phase(await driver.send(at, HELLO, timeout_s=2)) is Phase.REPLY_MALFORMED


# --- looking --------------------------------------------------------------------------------------------------


async def test_the_list_has_every_session_in_our_words(driver, node, at) -> None:
    node.hold("a", "connected", phoneNumber="62816")
    node.hold("b", "qr_scanning")
    node.hold("c", "authenticated")
    node.hold("d", "disconnected")
    node.hold("e", None)
    node.hold("f", "error")
    listed = await driver.sessions(at, timeout_s=2)
    assert isinstance(listed, SessionList)
    assert {row.session_id: row.status.value for row in listed.sessions.values()} == {
        "a": "connected",
        "b": "pairing",
        "c": "starting",
        "d": "disconnected",
        "e": "starting",
        "f": "failed",
    }
    assert listed.sessions[SessionId("a")].phone == "62816"
    assert listed.sessions[SessionId("a")].epoch is None
    assert listed.oddities == ()


async def test_a_list_beyond_the_limit_is_no_list(wire, node, at) -> None:
    for number in range(100):
        node.hold(f"session{number}")
    driver = WebjsDriver(wire, default_api_key=KEY, list_limit_bytes=1_000)
    listed = await driver.sessions(at, timeout_s=2)
    assert isinstance(listed, NoList)
    assert "1000 bytes" in listed.reason


async def test_one_session_is_asked_for_by_its_quoted_id(driver, node, peer, at) -> None:
    node.hold("odd/id ?&ü")
    found = await driver.session(at, SessionId("odd/id ?&ü"), timeout_s=2)
    assert isinstance(found, ListedSession)
    assert found.can_send
    assert peer.asked[0].target.startswith("/api/sessions/odd%2Fid%20%3F%26%C3%BC/status?")
    assert phase(await driver.session(at, SESSION, timeout_s=2)) is Phase.SESSION_NOT_FOUND


async def test_health_of_a_plain_service_grants_what_the_family_can_do_and_no_more(driver, node, at) -> None:
    node.hold("a")
    node.hold("b", "qr_scanning")
    assert await driver.health(at, timeout_s=2) == InstanceHealth(
        WebjsDriver.base,
        sessions_total=2,
        sessions_connected=1,
        memory_used_mb=41.0,
        uptime_s=1.5,
        says_at=datetime(2026, 11, 24, 7, tzinfo=UTC),
    )


# --- opening and closing --------------------------------------------------------------------------------------


async def test_a_start_opens_the_session(driver, node, peer, at) -> None:
    started = await driver.start(at, ABOUT, timeout_s=2)
    assert started == ListedSession(SESSION, SessionStatus.PAIRING)
    told = json.loads(peer.asked[-1].body)
    assert (told["session_id"], told["workspace_id"], told["account_id"]) == (SESSION, 1, 142)


async def test_a_start_of_a_session_that_is_open_starts_no_second_browser(driver, node, at) -> None:
    node.hold(SESSION)
    started = await driver.start(at, ABOUT, timeout_s=2)
    assert isinstance(started, ListedSession)
    assert started.can_send
    assert node.browsers_started == []


async def test_a_session_that_is_listed_and_has_no_note_yet_is_not_started_a_second_time(driver, node, at) -> None:
    node.hold(SESSION, "connected")
    node.statuses.pop(SESSION)
    assert isinstance(await driver.start(at, ABOUT, timeout_s=2), ListedSession)
    assert node.browsers_started == []


async def test_two_starts_at_once_start_one_browser(driver, node, at) -> None:
    told = await asyncio.gather(*(driver.start(at, ABOUT, timeout_s=2) for _ in range(3)))
    assert all(isinstance(each, ListedSession) for each in told)
    assert node.browsers_started == [SESSION]


async def test_a_start_is_not_held_back_by_a_note_of_a_session_that_is_gone(driver, node, at) -> None:
    node.statuses[SESSION] = {"status": "authenticated"}
    await driver.start(at, ABOUT, timeout_s=2)
    assert node.browsers_started == [SESSION]


async def test_a_browser_that_does_not_start_is_a_server_error(driver, node, at) -> None:
    node.start_fails_with = "Failed to launch the browser process!"
    assert phase(await driver.start(at, ABOUT, timeout_s=2)) is Phase.SERVER_ERROR


async def test_a_service_that_cannot_start_many_is_asked_for_each(driver, node, peer, at) -> None:
    node.hold("held")
    wanted = [SessionStart(SessionId(name), WorkspaceId(1), 142, Epoch(0)) for name in ("held", "new")]
    told = await driver.start_many(at, wanted, timeout_s=5)
    assert {session: row.status for session, row in told.items()} == {
        "held": SessionStatus.CONNECTED,
        "new": SessionStatus.PAIRING,
    }
    assert node.browsers_started == ["new"]
    assert [asked.target for asked in peer.asked].count("/api/sessions/batch") == 1


async def test_many_that_nobody_answers_for_are_one_fault(wire, serve: Serve) -> None:
    peer = await serve(silence)
    wanted = [SessionStart(SessionId(name), WorkspaceId(1), 142, Epoch(0)) for name in "ab"]
    ended = await WebjsDriver(wire).start_many(InstanceUrl(peer.url), wanted, timeout_s=0.2)
    assert isinstance(ended, Fault)
    assert ended.phase is Phase.REPLY_TIMED_OUT


async def test_a_stop_closes_the_session_and_keeps_its_login(driver, node, at) -> None:
    node.hold(SESSION)
    assert await driver.stop(at, ABOUT, timeout_s=2) is None
    assert node.open_sessions == set()
    assert node.logins == {SESSION}


@pytest.mark.parametrize("noted", [False, True], ids=["unknown to it", "noted and gone"])
async def test_a_stop_never_reaches_an_instance_that_does_not_hold_the_session(
    driver, node, peer, at, noted: bool
) -> None:
    node.logins.add(SESSION)
    if noted:
        node.statuses[SESSION] = {"status": "connected"}
    for ended in (
        await driver.stop(at, ABOUT, timeout_s=2),
        await driver.restart(at, ABOUT, timeout_s=2),
        await driver.renew_pairing(at, ABOUT, timeout_s=2),
    ):
        assert phase(ended) is Phase.SESSION_NOT_FOUND
    assert {asked.method for asked in peer.asked} == {"GET"}
    assert node.logins == {SESSION}


async def test_a_stop_that_cannot_be_confirmed_is_not_sent(driver, node, peer, at, serve: Serve) -> None:
    broken = await serve(saying(b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n"))
    assert phase(await driver.stop(InstanceUrl(broken.url), ABOUT, timeout_s=2)) is Phase.BAD_GATEWAY
    assert {asked.method for asked in broken.asked} == {"GET"}


async def test_a_restart_keeps_the_login(driver, node, at) -> None:
    node.hold(SESSION, "disconnected")
    started = await driver.restart(at, ABOUT, timeout_s=2)
    assert started == ListedSession(SESSION, SessionStatus.PAIRING)
    assert (node.logins, node.browsers_started) == ({SESSION}, [SESSION])


async def test_a_service_that_cannot_log_out_says_so(driver, node, at) -> None:
    node.hold(SESSION)
    ended = await driver.logout(at, ABOUT, timeout_s=2)
    assert phase(ended) is Phase.REQUEST_REJECTED
    assert "on the phone" in ended.detail
    assert node.open_sessions == {SESSION}


async def test_to_look_for_a_pairing_code_disturbs_nothing(driver, node, peer, at) -> None:
    node.hold(SESSION, "qr_scanning")
    for _ in range(30):
        assert await driver.pairing(at, ABOUT, timeout_s=2) == PairingCode(None, None, 300)
    assert node.browsers_started == []
    assert {asked.method for asked in peer.asked} == {"GET"}


async def test_a_renewed_pairing_code_comes_by_webhook(driver, node, at) -> None:
    node.hold(SESSION, "qr_scanning")
    assert await driver.renew_pairing(at, ABOUT, timeout_s=2) == PairingCode(None, None, 300)
    assert node.browsers_started == [SESSION]


async def test_a_connected_session_is_not_closed_for_a_pairing_code(driver, node, at) -> None:
    node.hold(SESSION)
    assert (await driver.pairing(at, ABOUT, timeout_s=2)).connected
    assert phase(await driver.renew_pairing(at, ABOUT, timeout_s=2)) is Phase.REQUEST_REJECTED
    assert node.browsers_started == []


@pytest.mark.parametrize("timeout_s", [0.1, 0.25, 0.4], ids=["in the first call", "the second", "the third"])
async def test_a_story_of_several_calls_ends_within_its_time(wire, serve: Serve, timeout_s: float) -> None:
    slow = NodeService()
    slow.hold(SESSION)

    async def talk(peer, reader, writer) -> None:
        while (asked := await peer.read(reader)) is not None:
            await asyncio.sleep(0.15)
            status, said = slow.respond(asked)
            body = json.dumps(said).encode()
            writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)

    at = InstanceUrl((await serve(talk)).url)
    driver = WebjsDriver(wire, default_api_key=KEY)
    started = asyncio.get_running_loop().time()
    assert phase(await driver.stop(at, ABOUT, timeout_s=timeout_s)) is Phase.REPLY_TIMED_OUT
    assert asyncio.get_running_loop().time() - started < timeout_s + 0.1
