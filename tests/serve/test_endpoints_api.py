"""Endpoints over the API, and a customer's receiver that is written with the standard's own library."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import pytest
from standardwebhooks import Webhook, WebhookVerificationError

from tests.serve.conftest import Api
from tests.serve.reporting import report, told

SEEN_WITHIN_S = 10.0


@dataclass
class Receiver:
    """A customer's server: checks each call as the standard says, and answers with `status`."""

    secret: str = ""
    status: int = 200
    got: list[Any] = field(default_factory=list)
    refused: int = 0
    url: str = ""
    heard: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := (await reader.readuntil(b"\r\n\r\n")).decode():
                lines = (line.split(": ", 1) for line in head.strip().split("\r\n")[1:])
                headers = {name.lower(): value for name, value in lines}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                status = self._take(body, headers)
                writer.write(f"HTTP/1.1 {status} X\r\nContent-Length: 5\r\n\r\nthere".encode())
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    def _take(self, body: bytes, headers: dict[str, str]) -> int:
        try:
            document = Webhook(self.secret).verify(body, headers)
        except WebhookVerificationError:
            self.refused += 1
            return 401
        self.got.append({"id": headers["webhook-id"], **document})
        self.heard.set()
        return self.status

    async def until(self, number: int) -> None:
        async with asyncio.timeout(SEEN_WITHIN_S):
            while len(self.got) < number:
                self.heard.clear()
                await self.heard.wait()


@pytest.fixture
async def receiver() -> AsyncIterator[Receiver]:
    made = Receiver()
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
    yield made
    server.close()


async def endpoint(api: Api, receiver: Receiver, **settings: Any) -> dict[str, Any]:
    made = await api.call("POST", "/endpoints", {"workspace_id": 1, "url": receiver.url, **settings})
    assert made.status_code == 201, made.text
    receiver.secret = made.json()["secret"]
    return dict(made.json())


async def happened(api: Api, account: dict[str, Any], number: int) -> None:
    message = {"id": f"M{number}", "from": "62811801641@c.us", "body": f"text {number}", "from_me": False}
    answer = await report(api, told("message_received", account["session_id"], message=message), url="http://a:3001")
    assert answer.status_code == 200, answer.text


async def until_state(api: Api, state: str, number: int) -> list[dict[str, Any]]:
    async with asyncio.timeout(SEEN_WITHIN_S):
        while True:
            found = (await api.call("GET", f"/deliveries?state={state}")).json()["data"]
            if len(found) >= number:
                return list(found)
            await asyncio.sleep(0.05)


async def test_a_receiver_of_the_standards_own_library_takes_what_is_reported(api: Api, receiver: Receiver) -> None:
    account = await api.account()
    made = await endpoint(api, receiver, events=["message.*"])
    assert made["secret"].startswith("whsec_")
    await happened(api, account, 1)
    await receiver.until(1)
    [got] = receiver.got
    assert (got["type"], got["data"]["message"]["body"]) == ("message.received", "text 1")
    assert (got["data"]["account_uuid"], got["data"]["chat"]) == (account["uuid"], "62811801641")
    [delivered] = await until_state(api, "delivered", 1)
    assert (delivered["event_id"], delivered["status"], delivered["attempts"]) == (got["id"], 200, 1)
    shown = (await api.call("GET", f"/deliveries/{delivered['id']}")).json()
    [attempt] = shown["log"]
    assert (attempt["status"], attempt["body"], attempt["number"]) == (200, "there", 1)
    [event] = (await api.call("GET", "/events?kind=message_received")).json()["data"]
    assert event["id"] == got["id"]


async def test_the_secret_is_shown_once_and_is_nowhere_in_the_database(api: Api, receiver: Receiver) -> None:
    made = await endpoint(api, receiver)
    ref = f"/endpoints/{made['id']}"
    for path in (ref, "/endpoints", "/audit"):
        assert made["secret"] not in (await api.call("GET", path)).text
        assert made["secret"].removeprefix("whsec_") not in (await api.call("GET", path)).text
    kept = await api.gateway.stores.endpoints.secrets(made["id"])
    assert kept is not None
    assert made["secret"].removeprefix("whsec_").encode() not in kept.newest.text


async def test_a_trial_says_how_the_endpoint_took_it(api: Api, receiver: Receiver) -> None:
    made = await endpoint(api, receiver, events=["batch.done"])
    tried = (await api.call("POST", f"/endpoints/{made['id']}/test")).json()
    assert (tried["delivered"], tried["status"], tried["body"]) == (True, 200, "there")
    assert [got["type"] for got in receiver.got] == ["endpoint.test"]
    receiver.secret = "whsec_" + "A" * 32
    tried = (await api.call("POST", f"/endpoints/{made['id']}/test")).json()
    assert (tried["delivered"], tried["status"], tried["reason"]) == (False, 401, "answered 401")


async def test_after_a_rotation_both_secrets_are_taken(api: Api, receiver: Receiver) -> None:
    account, made = await api.account(), await endpoint(api, receiver)
    before = receiver.secret
    rotated = (await api.call("POST", f"/endpoints/{made['id']}/rotate", {"overlap_s": 60})).json()
    assert rotated["secret"] != before
    for number, secret in enumerate((before, rotated["secret"]), 1):
        receiver.secret = secret
        await happened(api, account, number)
        await receiver.until(number)
    assert receiver.refused == 0


async def test_a_failed_delivery_is_shown_with_its_reason_and_replayed(api: Api, receiver: Receiver) -> None:
    account, made = await api.account(), await endpoint(api, receiver, schedule="short")
    receiver.status = 410
    await happened(api, account, 1)
    [dead] = await until_state(api, "dead", 1)
    assert dead["reason"] == "answered 410: it wants nothing more"
    shown = (await api.call("GET", f"/endpoints/{made['id']}")).json()
    for _ in range(200):
        if shown["state"] == "disabled":
            break
        await asyncio.sleep(0.05)
        shown = (await api.call("GET", f"/endpoints/{made['id']}")).json()
    assert (shown["state"], shown["dead"]) == ("disabled", 1)
    refused = await api.call("POST", "/deliveries/replay", {"endpoint_id": made["id"], "state": "dead"})
    assert (refused.status_code, refused.json()["code"]) == (409, "endpoint_disabled")
    receiver.status = 200
    await api.call("PATCH", f"/endpoints/{made['id']}", {"enabled": True})
    replayed = await api.call("POST", "/deliveries/replay", {"endpoint_id": made["id"], "state": "dead"})
    assert (replayed.status_code, replayed.json()) == (202, {"replayed": 1})
    await receiver.until(2)
    assert receiver.got[0]["id"] == receiver.got[1]["id"]
    [again] = await until_state(api, "delivered", 1)
    one = await api.call("POST", f"/deliveries/{again['id']}/replay")
    assert (one.status_code, one.json()) == (202, {"replayed": 1})
    await receiver.until(3)


@pytest.mark.parametrize(
    "url",
    [
        "http://10.0.0.1/hook",
        "http://169.254.169.254/latest/meta-data/",
        "http://[::1]:9000/",
        "http://localhost:8000/api/v1/endpoints",
        "http://127.0.0.1:8000/api/v1/endpoints",
        "http://2130706433/",
        "http://user:password@127.0.0.1:9000/",
        "ftp://127.0.0.1/",
        "not a url",
    ],
)
async def test_a_url_that_leads_inside_is_422(api: Api, url: str) -> None:
    answer = await api.call("POST", "/endpoints", {"workspace_id": 1, "url": url})
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "url_refused", "url")
    assert (await api.call("GET", "/endpoints")).json()["data"] == []


@pytest.mark.parametrize("path", ["", "/", "/api/whatsapp/webhooks/webjs", "/api/v1/endpoints?x=1"])
@pytest.mark.parametrize("host", ["127.0.0.1:8000", "127.0.0.1.:8000", "LOCALHOST:8000"])
async def test_a_url_of_this_gateway_itself_is_a_loop(api: Api, receiver: Receiver, host: str, path: str) -> None:
    assert api.gateway.settings.our_url == "http://localhost:8000"
    answer = await api.call("POST", "/endpoints", {"workspace_id": 1, "url": f"http://{host}{path}"})
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, "url_refused", "url")
    made = await endpoint(api, receiver)
    changed = await api.call("PATCH", f"/endpoints/{made['id']}", {"url": f"http://127.0.0.1:8000{path}"})
    assert (changed.status_code, "itself" in changed.json()["detail"]) == (422, True)


@pytest.mark.parametrize(
    ("settings", "field"),
    [
        ({"events": ["message.recieved"]}, "events"),
        ({"secret": "whsec_short"}, "secret"),
        ({"secret": "hunter2"}, "secret"),
        ({"concurrency": 0}, None),
        ({"schedule": "never"}, None),
    ],
)
async def test_what_could_not_work_is_refused(api: Api, receiver: Receiver, settings: Any, field: str | None) -> None:
    body = {"workspace_id": 1, "url": receiver.url, **settings}
    answer = await api.call("POST", "/endpoints", body)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
    assert field is None or answer.json()["field"] == field


async def test_a_change_keeps_what_is_not_given_and_is_in_the_audit_log(api: Api, receiver: Receiver) -> None:
    made = await endpoint(api, receiver, ordered=True, rate_per_s=50)
    changed = await api.call("PATCH", f"/endpoints/{made['id']}", {"name": "CRM", "rate_per_s": None})
    assert changed.status_code == 200, changed.text
    shown = changed.json()
    assert (shown["name"], shown["rate_per_s"], shown["ordered"]) == ("CRM", None, True)
    assert "secret" not in shown
    await api.call("DELETE", f"/endpoints/{made['id']}")
    assert (await api.call("GET", f"/endpoints/{made['id']}")).status_code == 404
    entries = json.dumps((await api.call("GET", "/audit")).json())
    for action in ("endpoint.created", "endpoint.changed", "endpoint.deleted"):
        assert action in entries
