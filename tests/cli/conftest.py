"""Command lines run in this process, and a gateway that answers what a test tells it to."""

import json
import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from homing.cli.root import run
from homing.serve import logs

ACCOUNT = {
    "id": 144,
    "uuid": "0190f2b4-0000-7000-8000-000000000144",
    "workspace_id": 1,
    "session_id": "webjs_1_144",
    "phone": "62811801641",
    "name": "Shop",
    "instance_url": "http://a-gateway-with-a-long-name.internal.example:3002/behind/a/path/that/goes/on/and/on",
    "epoch": 7,
    "state": "held",
    "status": "connected",
    "takeover": "auto",
    "requires": {},
    "reason": None,
    "move": None,
    "last_verified_at": "2026-01-31T09:30:00.250Z",
    "created_at": "2026-01-30T08:00:00Z",
}


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command line came to."""

    code: int
    out: str
    err: str

    @property
    def document(self) -> Any:
        """Standard output, which must be one JSON document and nothing else."""
        return json.loads(self.out)


class CommandLine:
    """`homing …` in this process, in an empty folder, with no settings but those given."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def setting(self, name: str, value: str) -> None:
        self._monkeypatch.setenv(name, value)

    def __call__(self, *arguments: str) -> Ran:
        self._capsys.readouterr()
        code = run(arguments)
        said = self._capsys.readouterr()
        return Ran(code, said.out, said.err)


@pytest.fixture
def homing(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path) -> CommandLine:
    for name in tuple(os.environ):
        if name.upper().startswith(("HOMING_", "WHATSAPP_", "LARAVEL_")):
            monkeypatch.delenv(name)
    monkeypatch.chdir(tmp_path)
    # It would tell the log of this whole test run to write to this test's captured stderr.
    monkeypatch.setattr(logs, "configure", lambda *_: None)
    return CommandLine(monkeypatch, capsys)


@dataclass(frozen=True, slots=True)
class Asked:
    """One request as the gateway saw it."""

    method: str
    path: str
    headers: dict[str, str]
    body: Any


Answer = tuple[int, Any]


@dataclass(slots=True)
class ScriptedGateway:
    """Answers by method and path; bytes in place of a document are sent as they are, None closes without an answer."""

    url: str = ""
    answers: dict[tuple[str, str], Answer | None] = field(default_factory=dict)
    in_turn: dict[tuple[str, str], list[Answer | None]] = field(default_factory=dict)
    asked: list[Asked] = field(default_factory=list)

    def answer(self, method: str, path: str, document: Any, status: int = 200) -> None:
        self.answers[method, f"/api/v1{path}"] = (status, document)

    def answer_in_turn(self, method: str, path: str, *documents: Any) -> None:
        """One after the other, the last one for good; None closes without an answer."""
        self.in_turn[method, f"/api/v1{path}"] = [None if each is None else (200, each) for each in documents]

    def refuse(self, method: str, path: str, status: int, code: str, detail: str, **more: Any) -> None:
        self.answer(method, path, {"status": status, "code": code, "detail": detail, **more}, status)

    def hang_up(self, method: str, path: str) -> None:
        self.answers[method, f"/api/v1{path}"] = None

    @property
    def last(self) -> Asked:
        return self.asked[-1]


@pytest.fixture
def gateway(homing: CommandLine) -> Iterator[ScriptedGateway]:
    """A gateway that the settings name."""
    scripted = ScriptedGateway()
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(scripted))
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    scripted.url = f"http://127.0.0.1:{server.server_port}"
    homing.setting("HOMING_API_URL", scripted.url)
    homing.setting("HOMING_API_TOKEN", "hk_the_key")
    yield scripted
    server.shutdown()
    thread.join()
    server.server_close()


def _handler(scripted: ScriptedGateway) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        def respond(self) -> None:
            chunked = self.headers.get("Transfer-Encoding") == "chunked"
            raw = self.chunks() if chunked else self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = raw if chunked else json.loads(raw) if raw else None
            scripted.asked.append(Asked(self.command, self.path, dict(self.headers.items()), body))
            missing = (404, {"code": "not_found", "detail": "There is nothing at this address"})
            place = (self.command, self.path.partition("?")[0])
            turns = scripted.in_turn.get(place)
            in_turn = None if not turns else turns.pop(0) if len(turns) > 1 else turns[0]
            answer = in_turn if turns else scripted.answers.get(place, missing)
            if answer is None:
                return
            status, document = answer
            sent = document if isinstance(document, bytes) else json.dumps(document).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(sent)))
            self.end_headers()
            self.wfile.write(sent)

        def chunks(self) -> bytes:
            """A body in pieces, each behind its length."""
            parts = []
            while size := int(self.rfile.readline(), 16):
                parts.append(self.rfile.read(size))
                self.rfile.readline()
            self.rfile.readline()
            return b"".join(parts)

        do_GET = do_POST = do_PATCH = do_DELETE = respond  # noqa: N815 - the names that the base class looks for

        def log_message(self, *_: Any) -> None:
            pass

    return Handler
