"""The model of the Node service answers and reports as the service itself was recorded to."""

import asyncio
import json
import re
import socket
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest
from aiohttp import web

from tests.models.node_service.judge import Judge
from tests.models.node_service.logins import Logins
from tests.models.node_service.process import NodeProcess

pytestmark = pytest.mark.e2e

TRANSCRIPT = Path(__file__).parents[1] / "fixtures" / "transcripts" / "webjs-node-service.json"
RECORDED = json.loads(TRANSCRIPT.read_text())
CALLS = [each for each in RECORDED if each["case"] != "webhook"]
REPORTS = [each for each in RECORDED if each["case"] == "webhook"]
SESSION = "webjs_1_1763800000_k3j9x2"
PHONE = "628000000009"
SECRET = "the secret"

SAID_AS = (
    (re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z"), "<moment>"),
    (re.compile(r"(true|false)_\d+@c\.us_3EB0[0-9A-F]{16}"), "<message id>"),
    (re.compile(r"data:image/png;base64,iVBORw0KGgoAAAANSUhEUgAAAQAAAAEACAYAAABccqhmAAA.*", re.DOTALL), "<picture>"),
)


def shape(value: Any, name: str = "") -> Any:
    """A document with its fields in order, and what differs from run to run replaced by what it is."""
    match value:
        case dict():
            return [(key, shape(each, key)) for key, each in value.items()]
        case list():
            return [shape(each) for each in value]
        case str():
            return next((word for pattern, word in SAID_AS if pattern.fullmatch(value)), value)
        case float() if name == "uptime":
            return "<seconds>"
        case int() if name == "timestamp":
            return "<unix seconds>"
        case _:
            return value


class Backend:
    """The service's backend: it answers as it is told, and remembers what it was asked."""

    def __init__(self) -> None:
        self.reports: list[tuple[float, dict[str, str], bytes]] = []
        self.asked: list[tuple[float, dict[str, str]]] = []
        self.status = 200
        self.active: list[dict[str, Any]] = []
        self.url = ""

    def app(self) -> web.Application:
        app = web.Application()
        app.router.add_post("/seed/api/whatsapp/webhooks/webjs", self._report)
        app.router.add_get("/seed/api/whatsapp/accounts/active", self._active)
        return app

    async def _report(self, request: web.Request) -> web.Response:
        self.reports.append((time.monotonic(), dict(request.headers), await request.read()))
        return web.json_response({"success": self.status == 200}, status=self.status)

    async def _active(self, request: web.Request) -> web.Response:
        self.asked.append((time.monotonic(), dict(request.headers)))
        return web.json_response({"success": True, "sessions": self.active}, status=self.status)

    def said(self, *events: str) -> list[dict[str, Any]]:
        documents = [json.loads(raw) for _, _, raw in self.reports]
        return [each for each in documents if not events or each["event"] in events]

    async def hears(self, event: str, count: int = 1) -> dict[str, Any]:
        for _ in range(500):
            if len(self.said(event)) >= count:
                return self.said(event)[count - 1]
            await asyncio.sleep(0.02)
        raise AssertionError(f"{event} was not reported {count} times: {[each['event'] for each in self.said()]}")


@pytest.fixture
async def backend() -> AsyncIterator[Backend]:
    backend = Backend()
    runner = web.AppRunner(backend.app())
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    backend.url = f"http://127.0.0.1:{runner.addresses[0][1]}/seed"
    yield backend
    await runner.cleanup()


@pytest.fixture
def node(backend: Backend, tmp_path: Path) -> Iterator[NodeProcess]:
    """A process of the model that was not started yet."""
    with socket.create_server(("127.0.0.2", 0)) as probe:
        port = probe.getsockname()[1]
    folders = {"storage": tmp_path / "sessions", "judge": tmp_path / "judge.jsonl", "log": tmp_path / "node.log"}
    quick = (
        "--browser-takes",
        "0.05",
        "--ready-takes",
        "0.3",
        "--reconnects-after",
        "0.3",
        "--hang-kills-after",
        "0.3",
    )
    node = NodeProcess("127.0.0.2", port, backend.url, "fleetkey", SECRET, **folders, options=quick)
    yield node
    node.kill()


@pytest.fixture
async def http() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as http:
        yield http


async def ask(http: aiohttp.ClientSession, node: NodeProcess, method: str, path: str, body: Any = None) -> Any:
    """(status, headers, body) of one call; no status if no answer came."""
    raw = None if body is None else body.encode() if isinstance(body, str) else json.dumps(body).encode()
    headers = {"Content-Type": "application/json"} if raw is not None else {}
    try:
        async with http.request(method, node.url + path, data=raw, headers=headers) as answer:
            told = await answer.text()
            kind = answer.headers.get("Content-Type", "")
            return answer.status, answer.headers, json.loads(told) if "json" in kind else told
    except aiohttp.ClientError:
        return None, {}, None


async def until_status(http: aiohttp.ClientSession, node: NodeProcess, wanted: str) -> None:
    for _ in range(300):
        _, _, said = await ask(http, node, "GET", f"/api/sessions/{SESSION}/status?api_key=fleetkey")
        if said and said.get("status") == wanted:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(f"the session never became {wanted}: {said}")


async def before(case: str, node: NodeProcess, http: aiohttp.ClientSession) -> None:
    """What happened between two recorded calls and is not in the recording."""
    match case:
        case "status: authenticated":
            node.scan(SESSION, PHONE)
            await until_status(http, node, "authenticated")
        case "status: connected" | "status: 9 s later":
            await until_status(http, node, "connected")
        case "after the hang: the process":
            assert node.ended(within_s=3)
        case "create: login on disk, after the crash":
            node.start()
        case "status: disconnected (NAVIGATION)":
            await until_status(http, node, "connected")
            node.navigate(SESSION)
        case "process killed":
            node.kill()
        case "list: after kill -9 and start":
            node.start()
        case "list: after create":
            await until_status(http, node, "connected")
        case "status: logged out":
            await until_status(http, node, "connected")
            node.log_out(SESSION)
        case _:
            pass


async def test_every_recorded_call_is_answered_as_it_was_recorded(
    node: NodeProcess, http: aiohttp.ClientSession
) -> None:
    node.start()
    for recorded in CALLS:
        await before(recorded["case"], node, http)
        asked, wanted = recorded["request"], recorded["response"]
        status, headers, said = await ask(http, node, asked["method"], asked["path"], asked["body"])
        assert status == wanted["status"], recorded["case"]
        if status is not None:
            assert shape(said) == shape(wanted["body"]), recorded["case"]
            for name in ("X-Powered-By", "Content-Type", "Connection"):
                assert headers[name] == wanted["headers"][name], (recorded["case"], name)
            # The recording's own paths were shortened after it was made, and an uptime has as many digits as it has.
            if asked["path"] not in ("/info", "/health", "/health/live"):
                assert headers["Content-Length"] == wanted["headers"]["Content-Length"], recorded["case"]
            assert set(wanted["headers"]) <= {*headers}
            assert "Server" not in headers


async def test_every_report_is_as_it_was_recorded(
    node: NodeProcess, backend: Backend, http: aiohttp.ClientSession
) -> None:
    node.start()
    about = {"workspace_id": 1, "account_id": 142, "session_id": SESSION, "api_key": "fleetkey"}
    await ask(http, node, "POST", "/api/sessions", about)
    await backend.hears("qr_code_generated")
    node.scan(SESSION, PHONE)
    await backend.hears("session_ready")
    text = {"session_id": SESSION, "recipient_phone": "628000000001", "message": "hello", "api_key": "fleetkey"}
    await ask(http, node, "POST", "/api/messages/send", text)
    await backend.hears("message_delivered")
    node.receive(SESSION, "6281100000", "an incoming text")
    node.navigate(SESSION)
    await backend.hears("session_ready", 2)
    node.log_out(SESSION)
    await backend.hears("session_disconnected", 2)
    backend.status = 500
    await ask(http, node, "DELETE", f"/api/sessions/{SESSION}", {"api_key": "fleetkey"})
    node.put_login(SESSION, PHONE)
    await ask(http, node, "POST", "/api/sessions", about)
    await backend.hears("session_error")
    recorded = {json.dumps(shape(each["request"]["body"])) for each in REPORTS if each["request"]["method"] == "POST"}
    recorded = {each for each in recorded if "while the sink" not in each}
    assert {json.dumps(shape(each)) for each in backend.said()} == recorded
    named = next(each for each in REPORTS if each["request"]["method"] == "POST")["request"]["headers"]
    for _, headers, raw in backend.reports:
        assert headers.pop("Host")
        assert set(headers) == set(named)
        assert headers["X-Instance-Url"] == f"http://localhost:{node.port}"
        assert {name: headers[name] for name in ("User-Agent", "Accept", "Content-Type", "Connection")} == {
            name: named[name] for name in ("User-Agent", "Accept", "Content-Type", "Connection")
        }
        assert raw == json.dumps(json.loads(raw), separators=(",", ":")).encode()


async def test_a_report_is_repeated_after_429_and_dropped_after_any_other_answer(
    node: NodeProcess, backend: Backend, http: aiohttp.ClientSession
) -> None:
    node.put_login(SESSION, PHONE)
    node.start()
    await ask(http, node, "POST", "/api/sessions", {"session_id": SESSION, "workspace_id": 1, "api_key": "fleetkey"})
    await backend.hears("session_ready")
    for status, times in ((429, 2), (500, 1), (401, 1)):
        backend.reports.clear()
        backend.status = status
        node.receive(SESSION, "6281100000", f"answered with {status}")
        await backend.hears("message_received")
        await asyncio.sleep(1.3)
        heard = [each["data"]["message"]["body"] for each in backend.said("message_received")]
        assert heard.count(f"answered with {status}") == times


async def test_it_asks_three_times_what_to_restore_and_then_restores_nothing(
    node: NodeProcess, backend: Backend, http: aiohttp.ClientSession
) -> None:
    backend.status, backend.active = 503, [{"session_id": SESSION, "workspace_id": 1}]
    node.put_login(SESSION, PHONE)
    node.start()
    await asyncio.sleep(3.5)
    first, second, third = (at for at, _ in backend.asked)
    assert [round(second - first), round(third - second)] == [1, 2]
    assert {headers["X-API-Key"] for _, headers in backend.asked} == {"fleetkey"}
    backend.status = 200
    await asyncio.sleep(1)
    assert len(backend.asked) == 3
    assert node.judged() == []


async def test_it_restores_in_sequence_and_lists_only_what_had_its_turn(
    node: NodeProcess, backend: Backend, http: aiohttp.ClientSession
) -> None:
    sessions = [f"webjs_1_{number}_x" for number in range(3)]
    for number, session in enumerate(sessions):
        node.put_login(session, f"62811000000{number}")
    backend.active = [{"session_id": session, "workspace_id": 1} for session in sessions]
    node.start("--login-takes", "0.6")
    await asyncio.sleep(0.4)
    _, _, said = await ask(http, node, "GET", "/api/sessions?api_key=fleetkey")
    assert [(row["session_id"], row["status"]) for row in said["sessions"]] == [(sessions[0], "qr_scanning")]
    await backend.hears("session_ready", 3)
    assert [line["session_id"] for line in node.judged("connected")] == sessions
    assert backend.said("qr_code_generated") == []


async def test_the_judge_sees_a_second_client_a_second_process_and_a_disturbed_pairing(
    node: NodeProcess, backend: Backend, http: aiohttp.ClientSession, tmp_path: Path
) -> None:
    about = {"session_id": SESSION, "workspace_id": 1, "api_key": "fleetkey"}
    node.start()
    await ask(http, node, "POST", "/api/sessions", about)
    await backend.hears("qr_code_generated")
    await ask(http, node, "POST", f"/api/sessions/{SESSION}/regenerate-qr", about)
    assert [line["by"] for line in node.judged("pairing_disturbed")] == ["regenerate-qr"]
    await backend.hears("qr_code_generated", 2)
    node.scan(SESSION, PHONE)
    await backend.hears("session_ready")
    assert node.judged("second_client", "two_processes") == []
    await ask(http, node, "POST", "/api/sessions", about)
    Logins(node.storage, Judge(node.judge, "another")).open(SESSION, paired=True).end()
    assert len(node.judged("second_client")) == 1
    assert {line["other_pid"] for line in node.judged("two_processes")} == {node.pid}
    node.kill()
    Logins(node.storage, Judge(node.judge, "another")).open(SESSION, paired=True).end()
    assert len(node.judged("second_client")) == 1


async def test_a_stop_of_what_is_not_in_memory_deletes_the_login(
    node: NodeProcess, http: aiohttp.ClientSession
) -> None:
    node.put_login(SESSION, PHONE)
    node.start()
    _, _, said = await ask(http, node, "DELETE", f"/api/sessions/{SESSION}", {"api_key": "fleetkey"})
    assert said["alreadyDisconnected"] is True
    assert not node.has_login(SESSION)
    assert [line["what"] for line in node.judged()] == ["login_deleted"]


async def test_a_create_that_never_answers_was_carried_out(
    node: NodeProcess, backend: Backend, http: aiohttp.ClientSession
) -> None:
    node.put_login(SESSION, PHONE)
    node.start()
    node.faults(mute=("create",))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await ask(http, node, "POST", "/api/sessions", {"session_id": SESSION, "api_key": "fleetkey"})
    await backend.hears("session_ready")
    assert len(node.judged("client_opened")) == 1
