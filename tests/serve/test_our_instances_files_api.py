"""A picture that a person sends to a session on an instance of ours, from the phone to the customer who follows its
link: over real ports, and after the session was moved."""

import asyncio
import os
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
import uvicorn

from homing.compose import Gateway, open_gateway
from homing.config import Settings
from homing.instance.notify.settings import GatewaySettings
from homing.instance.run import InstanceSettings, RunningInstance
from homing.listening import listeners
from homing.model.directory.access import Scope
from homing.serve.app import Application
from homing.serve.callers.keyring import new_key
from homing.store.db.opening import open_database
from homing.store.grants.leases import SqlLeases
from homing.store.vault.sealing import KeyRing, fresh_key
from homing.store.vault.vault import SqlVault
from homing.world import SystemClock
from simulated_whatsapp.client import Administration
from simulated_whatsapp.server import Server, ServerSettings
from tests.serve.test_endpoints_api import Receiver

KEY, SECRET = "a-key-of-instances", "secret"
PICTURE = b"\xff\xd8\xff\xe0" + os.urandom(700_000)
PDF = b"%PDF-1.7\n" + os.urandom(100)


@dataclass
class Site:
    """A gateway at a port, two instances of ours, WhatsApp, and a customer who is told of what comes in."""

    gateway: Gateway
    client: httpx.AsyncClient
    token: str
    whatsapp: Administration
    instances: list[RunningInstance]
    receiver: Receiver
    account: dict[str, Any]

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        answer = await self.client.request(method, f"/api/v1{path}", json=body, headers=headers)
        assert answer.status_code < 300, answer.text
        return answer.json()

    async def sends(self, data: bytes, mime_type: str = "image/jpeg", name: str = "photo.jpg") -> dict[str, Any]:
        """A person sends a file: the message as the customer is told of it."""
        file = await self.whatsapp.keep(data, mime_type, name)
        before = len(self.receiver.got)
        await self.whatsapp.deliver("s1", "62899", "look", file)
        await self.receiver.until(before + 1)
        return dict(self.receiver.got[before]["data"]["message"])

    async def get(self, url: str) -> httpx.Response:
        return await self.client.get(urlsplit(url).path)

    async def connected_at(self, url: str) -> None:
        async with asyncio.timeout(15):
            while True:
                shown = await self.call("GET", f"/accounts/{self.account['uuid']}")
                if shown["instance_url"] == url and shown["status"] == "connected":
                    return
                await asyncio.sleep(0.05)


@pytest.fixture
async def site(sqlite_url: str, tmp_path: Path) -> AsyncIterator[Site]:
    async with AsyncExitStack() as stack:
        server = await stack.enter_async_context(await Server.start(ServerSettings(tmp_path / "ledger.jsonl")))
        whatsapp = await stack.enter_async_context(Administration(server.address))
        [socket] = listeners("127.0.0.1", 0, backlog=64)
        base_url = f"http://127.0.0.1:{socket.getsockname()[1]}"
        key = fresh_key("test")
        settings = Settings(  # type: ignore[call-arg]
            _env_file=None,
            homing_database_url=sqlite_url,
            homing_vault_key=str(key),
            homing_public_url=base_url,
            homing_allow_nets="127.0.0.1/32",
            whatsapp_api_key=KEY,
            whatsapp_hmac_secret=SECRET,
            instances=(),
        )
        gateway = await stack.enter_async_context(open_gateway(settings))
        application = Application(gateway)
        serving = uvicorn.Server(uvicorn.Config(application, lifespan="off", log_config=None))
        running = asyncio.create_task(serving.serve(sockets=[socket]))
        stack.push_async_callback(application.close)
        database = open_database(sqlite_url)
        stack.push_async_callback(database.close)
        vault = await SqlVault.of(database, KeyRing(key))
        stack.push_async_callback(vault.close)
        given = await whatsapp.preregister([("s1", "6281012345")])
        await vault.adopt({each.session_id: asdict(each) for each in given})
        told = GatewaySettings(base_url, SECRET, journal_folder=tmp_path / "journals")
        ours = InstanceSettings(server.address, KEY, host="127.0.0.1", port=0, restore=False, gateway=told)
        instances = [
            await stack.enter_async_context(
                await RunningInstance.start(ours, vault, SqlLeases(database), SystemClock())
            )
            for _ in range(2)
        ]
        made, token = new_key(gateway.entropy, gateway.clock, workspace=None, scope=Scope.ADMIN, name="operator")
        await gateway.stores.directory.add_key(made)
        await gateway.keyring.refresh()
        client = await stack.enter_async_context(httpx.AsyncClient(base_url=base_url, timeout=30))
        receiver = Receiver()
        listening = await asyncio.start_server(receiver.serve, "127.0.0.1", 0)
        stack.callback(listening.close)
        receiver.url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/hook"
        site = Site(gateway, client, token, whatsapp, instances, receiver, {})
        for each in instances:
            await site.call("POST", "/instances", {"url": each.url})
        body = {"workspace_id": 1, "url": receiver.url, "events": ["message.received"]}
        receiver.secret = (await site.call("POST", "/endpoints", body))["secret"]
        await instances[0].host.start("s1", 1)
        account = {"workspace_id": 1, "phone": "6281012345", "session_id": "s1", "instance_url": instances[0].url}
        site.account = await site.call("POST", "/accounts", account)
        await site.connected_at(instances[0].url)
        yield site
        serving.should_exit = True
        await running


async def test_a_picture_reaches_the_customer_and_leads_to_its_bytes_after_a_move_too(site: Site) -> None:
    message = await site.sends(PICTURE)
    media = message["media"]
    assert (message["body"], message["has_media"], message["type"]) == ("look", True, "image")
    assert media.keys() == {"mimetype", "filename", "url", "expires_at"}, "and nothing by which WhatsApp gives it out"
    answer = await site.get(media["url"])
    assert (answer.status_code, answer.headers["content-type"]) == (200, "image/jpeg")
    assert answer.content == PICTURE

    one, other = (each.url for each in site.instances)
    await site.call("POST", f"/accounts/{site.account['uuid']}/migrate", {"to": other})
    await site.connected_at(other)
    assert (await site.get(media["url"])).content == PICTURE
    document = await site.sends(PDF, "application/pdf", "offer.pdf")
    assert document["type"] == "document"
    assert (await site.get(document["media"]["url"])).content == PDF
    assert one != other


async def test_a_session_that_is_nowhere_is_asked_again_later_and_not_for_lost(site: Site) -> None:
    media = (await site.sends(PICTURE))["media"]
    host = site.instances[0].host
    await host.stop("s1")
    answer = await site.get(media["url"])
    assert (answer.status_code, answer.json()["code"]) == (503, "media_unavailable")
    assert answer.headers["retry-after"]
