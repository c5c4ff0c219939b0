"""Recipes of the docs, run as they stand there."""

import base64
import hashlib
import hmac
import http.client
import json
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import pytest
from standardwebhooks import Webhook

DOCS = Path(__file__).parents[1] / "docs" / "webhooks.md"
SECRET = "whsec_" + base64.b64encode(b"a secret of the recipe's test.....").decode()
EVENT = {"type": "message.received", "data": {"event_id": "01a2", "message": {"body": "héllo “you”"}}}
NODE = shutil.which("node")
pytestmark = pytest.mark.skipif(NODE is None, reason="NOT RUN: no node here")

_AROUND = """
const given = JSON.parse(require('fs').readFileSync(0, 'utf8'));
const $env = { HOMING_SECRET: given.secret };
const $input = { first: () => ({ json: { headers: given.headers } }) };
const helpers = { getBinaryDataBuffer: async () => Buffer.from(given.raw, 'base64') };
(async function () { RECIPE }).call({ helpers }).then(
  (items) => console.log(JSON.stringify({ items })),
  (error) => console.log(JSON.stringify({ error: error.message })),
);
"""


def ran(headers: dict[str, str], raw: bytes) -> dict[str, Any]:
    """What n8n's Code node comes to with this request: as its Webhook node hands it on, with Raw Body on."""
    found = re.search(r"^## n8n$.*?```javascript\n(.*?)```", DOCS.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None and NODE is not None
    script = _AROUND.replace("RECIPE", found[1])
    given = {"secret": SECRET, "headers": headers, "raw": base64.b64encode(raw).decode()}
    done = subprocess.run(
        [NODE, "-e", script], input=json.dumps(given), capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    came: dict[str, Any] = json.loads(done.stdout)
    return came


def signed(raw: bytes, *, age_s: float = 0.0, secret: str = SECRET) -> dict[str, str]:
    at = datetime.fromtimestamp(time.time() - age_s, UTC)
    signature = Webhook(secret).sign("01a2", at, raw.decode())
    return {"webhook-id": "01a2", "webhook-timestamp": str(int(at.timestamp())), "webhook-signature": signature}


RAW = json.dumps(EVENT, ensure_ascii=False).encode()


def test_n8n_takes_what_we_signed() -> None:
    assert ran(signed(RAW), RAW) == {"items": [{"json": EVENT}]}


def test_n8n_takes_either_of_two_signatures_after_a_rotation() -> None:
    other = signed(RAW, secret="whsec_" + base64.b64encode(b"another secret, the one before....").decode())
    both = signed(RAW) | {"webhook-signature": f"{other['webhook-signature']} {signed(RAW)['webhook-signature']}"}
    assert "items" in ran(both, RAW)


def test_n8n_refuses_what_was_changed_or_is_old() -> None:
    assert ran(signed(RAW), RAW.replace(b"you", b"me")) == {"error": "not signed by Homing"}
    assert ran(signed(RAW, age_s=900), RAW) == {"error": "too old"}


# --- Chatwoot ---------------------------------------------------------------------------------------------------------

NUMBER = "62811801641"
RECEIVED = {
    "type": "message.received",
    "timestamp": "2026-11-30T08:15:30.123456+00:00",
    "data": {"event_id": "01a2", "chat": NUMBER, "message": {"id": "3EB0", "from": f"{NUMBER}@c.us", "body": "héllo"}},
}
ANSWERED: dict[str, Any] = {
    "account": {"id": 1, "name": "Acme"},
    "additional_attributes": {},
    "content": "Good morning",
    "content_attributes": {},
    "content_type": "text",
    "conversation": {
        "channel": "Channel::Api",
        "contact_inbox": {"id": 7, "contact_id": 5, "inbox_id": 3, "source_id": NUMBER, "hmac_verified": False},
        "id": 12,
        "inbox_id": 3,
        "meta": {"sender": {"id": 5, "name": NUMBER}, "assignee": None},
        "status": "open",
    },
    "created_at": "2026-11-30T08:16:00.000Z",
    "event": "message_created",
    "id": 4711,
    "inbox": {"id": 3, "name": "WhatsApp"},
    "message_type": "outgoing",
    "private": False,
    "sender": {"id": 1, "name": "Agent", "type": "user"},
    "source_id": None,
}
"""As Chatwoot's webhook for an API inbox has it, by its source."""


@dataclass
class Bridge:
    """The program of the docs, between a Chatwoot and a Homing that note what they are asked."""

    port: int = 0
    asked: list[tuple[str, str, Any, dict[str, str]]] = field(default_factory=list)
    people: set[str] = field(default_factory=set)
    conversations: list[dict[str, Any]] = field(default_factory=list)
    homing_status: int = 202

    def answer(self, method: str, path: str, body: Any) -> tuple[int, Any]:
        if path == "/api/v1/messages":
            return self.homing_status, {"message_uuid": "u", "state": "accepted"}
        assert path.startswith("/public/api/v1/inboxes/box/contacts"), path
        rest = path.removeprefix("/public/api/v1/inboxes/box/contacts").strip("/").split("/")
        match method, rest:
            case "POST", [""]:
                self.people.add(body["source_id"])
                return 200, {"source_id": body["source_id"], "id": 5}
            case "GET", [number]:
                return (200, {"source_id": number}) if number in self.people else (404, {})
            case "GET", [_, "conversations"]:
                return 200, self.conversations
            case "POST", [_, "conversations"]:
                self.conversations.append({"id": 12, "status": "open"})
                return 200, self.conversations[-1]
            case "POST", [_, "conversations", "12", "messages"]:
                return 200, {"id": 1, "content": body["content"]}
            case _:
                return 404, {}

    def tell(self, path: str, body: Any, headers: dict[str, str] | None = None) -> int:
        raw = json.dumps(body, ensure_ascii=False).encode()
        if headers is None and path == "/homing":
            headers = signed(raw)
        elif headers is None:
            told = hmac.new(b"box secret", b"1764490560." + raw, hashlib.sha256).hexdigest()
            headers = {"X-Chatwoot-Timestamp": "1764490560", "X-Chatwoot-Signature": f"sha256={told}"}
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=30)
        connection.request("POST", path, raw, {"Content-Type": "application/json", **headers})
        status = connection.getresponse().status
        connection.close()
        return status

    def posted(self, end: str) -> list[Any]:
        return [body for method, path, body, _ in self.asked if method == "POST" and path.endswith(end)]


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    found = re.search(r"^## Chatwoot$.*?```javascript\n(.*?)```", DOCS.read_text(), re.DOTALL | re.MULTILINE)
    assert found is not None and NODE is not None
    (tmp_path / "bridge.mjs").write_text(found[1])
    it = Bridge()

    class Peers(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            body = json.loads(raw) if raw else None
            it.asked.append((self.command, self.path, body, {k.lower(): v for k, v in self.headers.items()}))
            status, told = it.answer(self.command, self.path, body)
            self.send_response(status)
            self.end_headers()
            self.wfile.write(json.dumps(told).encode())

        do_POST = do_GET  # noqa: N815 - so it is called

        def log_message(self, *_: Any) -> None: ...

    peers = ThreadingHTTPServer(("127.0.0.1", 0), Peers)
    Thread(target=peers.serve_forever, daemon=True).start()
    spare = ThreadingHTTPServer(("127.0.0.1", 0), Peers)
    it.port = spare.server_address[1]
    spare.server_close()
    url = f"http://127.0.0.1:{peers.server_address[1]}"
    told = {
        "HOMING_URL": url,
        "HOMING_KEY": "hk",
        "HOMING_SECRET": SECRET,
        "HOMING_ACCOUNT": "acc",
        "PORT": str(it.port),
    }
    told |= {"CHATWOOT_URL": url, "CHATWOOT_INBOX": "box", "CHATWOOT_SECRET": "box secret"}
    node = subprocess.Popen([NODE, "bridge.mjs"], cwd=tmp_path, env=told, stdout=subprocess.PIPE, text=True)
    try:
        assert node.stdout is not None and node.stdout.readline() == "listening\n"
        yield it
    finally:
        node.kill()
        node.communicate()
        peers.shutdown()
        peers.server_close()


def test_who_writes_in_is_a_contact_of_chatwoot_with_one_conversation(bridge: Bridge) -> None:
    assert bridge.tell("/homing", RECEIVED) == 200
    other = {**RECEIVED, "data": {**RECEIVED["data"], "event_id": "01a3"}}  # type: ignore[dict-item]
    assert bridge.tell("/homing", other) == 200
    assert bridge.posted("/contacts") == [{"source_id": NUMBER, "name": NUMBER}]
    assert len(bridge.conversations) == 1
    assert bridge.posted("/messages") == [{"content": "héllo"}] * 2


def test_an_event_that_is_tried_again_is_in_chatwoot_once(bridge: Bridge) -> None:
    assert [bridge.tell("/homing", RECEIVED) for _ in range(2)] == [200, 200]
    assert bridge.posted("/messages") == [{"content": "héllo"}]


def test_what_an_agent_answers_is_sent_under_one_key(bridge: Bridge) -> None:
    assert bridge.tell("/chatwoot", ANSWERED) == 200
    [(_, path, body, headers)] = bridge.asked
    assert (path, body) == ("/api/v1/messages", {"account_uuid": "acc", "phone": NUMBER, "message": "Good morning"})
    assert (headers["idempotency-key"], headers["authorization"]) == ("chatwoot-4711", "Bearer hk")


@pytest.mark.parametrize(
    "change",
    [{"private": True}, {"message_type": "incoming"}, {"event": "message_updated"}, {"content": None}],
    ids=["note", "incoming", "updated", "without-words"],
)
def test_notes_and_what_came_from_us_are_not_sent(bridge: Bridge, change: dict[str, Any]) -> None:
    assert bridge.tell("/chatwoot", ANSWERED | change) == 200
    assert bridge.asked == []


def test_what_nobody_signed_is_refused(bridge: Bridge) -> None:
    assert bridge.tell("/homing", RECEIVED, {}) == 401
    assert bridge.tell("/chatwoot", ANSWERED, {"X-Chatwoot-Signature": "sha256=00"}) == 401
    assert bridge.asked == []


def test_what_homing_did_not_take_is_shown_as_failed_by_chatwoot(bridge: Bridge) -> None:
    bridge.homing_status = 503
    assert bridge.tell("/chatwoot", ANSWERED) == 502
