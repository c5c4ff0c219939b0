"""Files that came with messages: a customer's webhook has an address of ours, and whoever follows it gets the bytes."""

import asyncio
import base64
import os
import socket
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

import aiohttp
import httpx
import pytest
import uvicorn

from homing.compose import open_gateway
from homing.decide.media.inbound import EventLink, link_token
from homing.model.directory.access import Scope
from homing.model.instances.events import Event
from homing.serve.app import Application
from homing.serve.callers.keyring import new_key
from simulated_gateways import MODELS
from simulated_gateways.waha import Waha
from tests.serve import test_endpoints_api as endpoints
from tests.serve import test_foreign_gateways as foreign
from tests.serve.conftest import Api
from tests.serve.reporting import report, told
from tests.serve.test_endpoints_api import Receiver, endpoint
from tests.serve.test_family_reports_api import Telling, telling

receiver = endpoints.receiver
GIVE_FILES = ("baileys-api", "evolution", "gowa", "waha", "wppconnect", "wuzapi", "wwebjs-api")
CANNOT_BE_ASKED = "wuzapi"
"""It puts files beside its reports, or into S3."""
JPEG = b"\xff\xd8\xff\xe0" + os.urandom(300_000)
PNG = b"\x89PNG\r\n\x1a\n" + os.urandom(30_000)


@dataclass
class There:
    """A gateway in front of models, and a customer who is told of everything."""

    fleet: foreign.Fleet
    receiver: Receiver

    async def told(self, number: int = 1) -> dict[str, Any]:
        await self.receiver.until(number)
        return dict(self.receiver.got[number - 1]["data"]["message"])

    async def get(self, url: str) -> httpx.Response:
        """Without any key: the address is all that it takes."""
        return await self.fleet.client.get(urlsplit(url).path)

    @property
    def secret(self) -> bytes:
        return self.fleet.gateway.settings.own_key_secret


@pytest.fixture
async def there(sqlite_url: str) -> AsyncIterator[There]:
    models = {family: [await MODELS[family]().start(), await MODELS[family]().start()] for family in GIVE_FILES}
    more = {"homing_allow_nets": "127.0.0.1/32", "homing_public_url": "https://homing.example"}
    async with open_gateway(foreign.settings(sqlite_url, models, **more)) as gateway:
        made, secret = new_key(gateway.entropy, gateway.clock, workspace=None, scope=Scope.ADMIN, name="operator")
        await gateway.stores.directory.add_key(made)
        await gateway.keyring.refresh()
        transport = httpx.ASGITransport(app=Application(gateway))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://homing", timeout=30) as client:
            fleet = foreign.Fleet(gateway, client, secret, models)
            receiver = Receiver()
            server = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
            receiver.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/hook"
            body = {"workspace_id": 1, "url": receiver.url, "events": ["message.received"]}
            receiver.secret = (await fleet.call("POST", "/endpoints", body)).json()["secret"]
            yield There(fleet, receiver)
            server.close()
            await server.wait_closed()
    for model in (each for both in models.values() for each in both):
        await model.stop()


async def came(there: There, family: str = "evolution", file: bytes = JPEG) -> tuple[Telling, dict[str, Any]]:
    one = await telling(there.fleet, family)
    before = len(there.receiver.got)
    assert await one.tell("incoming", file=file, text="a caption", message_id=f"3EB0{family.upper()[:4]}") == 200
    return one, await there.told(before + 1)


async def test_a_customer_is_told_an_address_of_ours_that_leads_to_the_bytes(there: There) -> None:
    for family in GIVE_FILES:
        one, message = await came(there, family)
        media = message["media"]
        assert message["has_media"] is True and message["body"] == "a caption"
        assert media["url"].startswith("https://homing.example/media/in/"), family
        assert media["expires_at"] == pytest.approx(time.time() + 86_400, abs=60)
        assert media.get("mimetype") == (None if family == "gowa" else "image/jpeg")
        assert one.model.key not in str(message) and "localhost:3000" not in str(message)
        answer = await there.get(media["url"])
        assert answer.status_code == 200 and answer.content == JPEG, family


async def test_it_is_given_out_as_bytes_to_be_saved_and_never_shown(there: There) -> None:
    _, message = await came(there)
    headers = (await there.get(message["media"]["url"])).headers
    assert headers["content-type"] == "image/jpeg"
    assert headers["content-disposition"] == "attachment; filename*=UTF-8''photo.jpg"
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["content-security-policy"] == "default-src 'none'; sandbox"
    assert "no-store" in headers["cache-control"]


async def test_events_have_our_address_too_and_not_that_of_the_gateway(there: There) -> None:
    one, _ = await came(there, "waha")
    [event] = await one.events("message_received")
    media = event["payload"]["message"]["media"]
    assert media.keys() == {"mimetype", "filename", "url", "expires_at"}
    assert (await there.get(media["url"])).content == JPEG


@pytest.mark.parametrize(
    ("data", "given_as"),
    [
        (b"<html><script>alert(1)</script></html>", "text/plain"),
        (b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>", "text/plain"),
        (b"MZ\x90\x00\x03" + bytes(100), "application/octet-stream"),
        (b"%PDF-1.7\n" + bytes(50), "application/pdf"),
    ],
)
async def test_what_it_is_follows_from_its_bytes_alone(there: There, data: bytes, given_as: str) -> None:
    _, message = await came(there, "evolution", data)
    answer = await there.get(message["media"]["url"])
    assert answer.headers["content-type"].partition(";")[0] == given_as and answer.content == data
    assert answer.headers["content-disposition"].startswith("attachment")


async def test_no_other_address_leads_anywhere_and_all_look_alike(there: There) -> None:
    _, message = await came(there)
    path = urlsplit(message["media"]["url"]).path
    token = path.rpartition("/")[2]
    event = (await there.fleet.call("GET", "/events?limit=10")).json()["data"]
    [known] = [each["id"] for each in event if each["kind"] == "message_received"]
    soon = int(time.time()) + 100
    odd = {
        "tampered": token[:-2] + ("A" if token[-1] != "A" else "B") * 2,
        "cut": token[:-4],
        "longer": token + "AAAA",
        "over": link_token(there.secret, EventLink(known, int(time.time()) - 1)),
        "another secret's": link_token(b"another", EventLink(known, soon)),
        "of no event": link_token(there.secret, EventLink("0190-no-such-event", soon)),
        "garbage": "%00%ff",
        "huge": "A" * 5_000,
    }
    answers = {name: await there.fleet.client.get(f"/media/in/{each}") for name, each in odd.items()}
    good = await there.fleet.client.get(f"/media/in/{link_token(there.secret, EventLink(known, soon))}")
    assert good.status_code == 200 and good.content == JPEG, "what is signed by us is the address"
    told_apart = {(name, each.status_code, str(each.json().get("detail"))) for name, each in answers.items()}
    assert {(status, detail) for _, status, detail in told_apart if status == 404}, told_apart
    assert len({(status, detail) for name, status, detail in told_apart if name != "huge"}) == 1, told_apart
    assert all(each.status_code in (404, 414) for each in answers.values())


async def test_an_event_without_a_file_gives_none(there: There) -> None:
    one = await telling(there.fleet, "evolution")
    await one.tell("incoming", text="only words")
    message = await there.told()
    assert "media" not in message
    [event] = await one.events("message_received")
    answer = await there.fleet.client.get(
        f"/media/in/{link_token(there.secret, EventLink(event['id'], int(time.time()) + 100))}"
    )
    assert answer.status_code == 404


async def test_a_file_that_nobody_gives_out_is_told_with_the_reason(there: There) -> None:
    event = Event(
        *(1, "e", datetime.now(UTC), None, "message_received", None, None, None),
        *(None, {"message": {"id": "3EB0", "has_media": True}}),
    )
    files = there.fleet.gateway.inbound
    url = foreign.at(there.fleet.models[CANNOT_BE_ASKED][0])
    told = files.shown(replace(event, instance_url=url))["message"]["media"]
    assert told == {"available": False, "why": told["why"]}
    assert there.fleet.gateway.fleet.traits(url).title in told["why"]
    unknown = files.shown(event)["message"]["media"]
    assert unknown == {"available": False, "why": "the gateway that told of it is not known any more"}


async def test_after_a_move_it_comes_from_where_the_session_is(there: There) -> None:
    one, message = await came(there, "evolution")
    first, second = there.fleet.models["evolution"]
    second.sessions[one.name] = first.sessions.pop(one.name)
    second.files, first.files = first.files, {}
    synced = await there.fleet.call("POST", "/sync", {})
    assert synced.status_code < 300, synced.text
    assert (await there.fleet.placement(one.account))[0] == foreign.at(second)
    assert (await there.get(message["media"]["url"])).content == JPEG


async def test_a_file_that_its_gateway_does_not_have_any_more_is_not_found(there: There) -> None:
    one, message = await came(there, "waha")
    assert isinstance(one.model, Waha)
    one.model.on_disk.clear()
    assert (await there.get(message["media"]["url"])).content == JPEG, "WAHA takes it from WhatsApp again"
    one.model.files.clear()
    one.model.on_disk.clear()
    assert (await there.get(message["media"]["url"])).status_code == 404


async def test_a_gateway_that_is_away_is_asked_again_later(there: There) -> None:
    one, message = await came(there, "evolution")
    await one.model.stop()
    answer = await there.get(message["media"]["url"])
    assert answer.status_code == 503 and answer.headers["retry-after"] and one.model.url not in answer.text


async def test_the_host_in_a_report_is_never_asked(there: There) -> None:
    asked: list[str] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        asked.append((await reader.readline()).decode())
        writer.close()

    stranger = await asyncio.start_server(serve, "127.0.0.1", 0)
    for model in there.fleet.models["waha"]:
        assert isinstance(model, Waha)
        model.base_url = f"http://127.0.0.1:{stranger.sockets[0].getsockname()[1]}"
    _, message = await came(there, "waha")
    assert (await there.get(message["media"]["url"])).content == JPEG
    assert asked == []
    stranger.close()
    await stranger.wait_closed()


async def test_a_deleted_account_s_files_are_gone(there: There) -> None:
    one, message = await came(there, "wppconnect")
    one.model.sessions[one.name].open = False
    gone = await there.fleet.call("DELETE", f"/accounts/{one.account['uuid']}")
    assert gone.status_code < 300, gone.text
    assert (await there.get(message["media"]["url"])).status_code == 404


async def test_whoever_leaves_in_the_middle_leaves_room_for_others(there: There) -> None:
    """Over a real port: more of them than files are given out at a time."""
    big = JPEG * 40
    _, message = await came(there, "evolution", big)
    path, inbound = urlsplit(message["media"]["url"]).path, there.fleet.gateway.inbound
    listening = socket.socket()
    listening.bind(("127.0.0.1", 0))
    url = f"http://127.0.0.1:{listening.getsockname()[1]}{path}"
    application = Application(there.fleet.gateway)
    server = uvicorn.Server(uvicorn.Config(application, lifespan="off", log_config=None))
    running = asyncio.create_task(server.serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110 - it tells nobody
        await asyncio.sleep(0.01)
    async with aiohttp.ClientSession() as http:
        all_of_them = inbound.places.free
        for _ in range(all_of_them + 4):
            async with http.get(url) as answer:
                assert answer.status == 200 and await answer.content.read(1_000)
                answer.close()
        async with asyncio.timeout(10):
            while inbound.places.free < all_of_them:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.05)
        async with http.get(url) as answer:
            assert await answer.read() == big
    server.should_exit = True
    await running
    await application.close()


# --- bytes that come in the report itself -------------------------------------------------------------------------


async def test_the_bytes_of_a_webjs_report_are_kept_and_given_out(api: Api, receiver: Receiver) -> None:
    account = await api.account()
    await endpoint(api, receiver, events=["message.received"])
    media = {"data": base64.b64encode(PNG).decode(), "mimetype": "text/html", "filename": "../../evil.html"}
    message = {"id": "false_62811@c.us_3EB0", "from": "62811@c.us", "body": "look", "has_media": True, "media": media}
    answer = await report(api, told("message_received", account["session_id"], message=message), url="http://a:3001")
    assert answer.status_code == 200, answer.text
    await receiver.until(1)
    told_of = receiver.got[0]["data"]["message"]["media"]
    assert "data" not in told_of and "kept" not in told_of
    file = await api.client.get(urlsplit(told_of["url"]).path)
    assert file.status_code == 200 and file.content == PNG
    assert file.headers["content-type"] == "image/png"
    assert file.headers["content-disposition"] == "attachment; filename*=UTF-8''evil.html"


async def test_a_report_whose_bytes_are_none_is_taken_without_them(api: Api) -> None:
    account = await api.account()
    media = {"data": "no base64 at all!", "mimetype": "image/png"}
    message = {"id": "false_62811@c.us_3EB1", "from": "62811@c.us", "body": "look", "has_media": True, "media": media}
    sent = told("message_received", account["session_id"], message=message)
    assert (await report(api, sent, url="http://a:3001")).status_code == 200
    [event] = (await api.call("GET", "/events?kind=message_received")).json()["data"]
    media = event["payload"]["message"]["media"]
    assert (media["mimetype"], media["available"]) == ("image/png", False)
    assert "did not come with the report" in media["why"]
