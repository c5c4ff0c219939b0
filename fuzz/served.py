"""A whole gateway to be asked: on a loopback port, with the limits of a real one, over three model instances.

It runs in a thread of its own, since those who ask it wait in the main one. Two workspaces have something of
everything; there is a key of each kind.
"""

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any

import httpx
import uvicorn

from homing.compose import Gateway, open_gateway
from homing.compose.process import direct_sends, door
from homing.config import Settings
from homing.drivers import Drivers
from homing.flows.operations import pairing
from homing.model.directory.access import Scope
from homing.model.fleet import WorkspaceId
from homing.serve.app import Application
from homing.serve.callers.keyring import new_key
from homing.serve.front import Front
from homing.serve.http.http_limits import HttpLimits
from homing.serve.http.send_protocol import answering
from homing.world import SystemClock
from tests.flows.worlds import A, B, C, World

SECRET, SHARED_KEY = "secret", "shared"
_KEYS = {
    "operator": (Scope.ADMIN, None),
    "admin": (Scope.ADMIN, 1),
    "sender": (Scope.SEND, 1),
    "reader": (Scope.READ, 1),
    "stranger": (Scope.ADMIN, 2),
    "revoked": (Scope.ADMIN, None),
}
CALLERS = (*_KEYS, "nobody")
"""Who asks: by what key, or by none."""


@dataclass(slots=True)
class Served:
    """Where the gateway is, and how each kind of caller says who it is."""

    url: str
    headers: dict[str, dict[str, str]] = field(default_factory=dict)
    key_ids: set[str] = field(default_factory=set)


@contextmanager
def served(database_url: str) -> Iterator[Served]:
    """The gateway over this database, until the context ends."""
    opened: list[Served] = []
    ready, over = threading.Event(), threading.Event()
    failures: list[BaseException] = []

    async def run() -> None:
        async with _gateway(database_url) as gateway, _listening(gateway) as url:
            opened.append(await _furnished(gateway, url))
            ready.set()
            await asyncio.to_thread(over.wait)

    def thread() -> None:
        try:
            asyncio.run(run())
        except BaseException as error:
            failures.append(error)
        finally:
            ready.set()

    running = threading.Thread(target=thread, daemon=True)
    running.start()
    ready.wait()
    if failures:
        raise failures[0]
    try:
        yield opened[0]
    finally:
        over.set()
        running.join()


@asynccontextmanager
async def _gateway(database_url: str) -> AsyncIterator[Gateway]:
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None,
        homing_database_url=database_url,
        instances=(A, B, C),
        homing_send_deadline=1.0,
        whatsapp_retry_delay=50,
        whatsapp_hmac_secret=SECRET,
        whatsapp_api_key=SHARED_KEY,
    )
    pairing.REPORTED_WITHIN_S = 0.1  # nobody here reports a code
    async with open_gateway(settings, Drivers({"webjs": World(SystemClock(), A, B, C)})) as gateway:
        yield gateway


@asynccontextmanager
async def _listening(gateway: Gateway) -> AsyncIterator[str]:
    front, application = Front(), Application(gateway)
    front.opened(application, direct_sends(gateway.settings, application))  # type: ignore[arg-type]
    config = uvicorn.Config(
        door(gateway.settings, front),  # type: ignore[arg-type]
        port=0,
        http=answering(HttpLimits(), front),
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
    )
    server = uvicorn.Server(config)
    server.install_signal_handlers = lambda: None  # type: ignore[attr-defined]
    task = asyncio.create_task(server._serve())
    async with asyncio.timeout(10):
        while not server.started:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.01)
    try:
        yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    finally:
        server.should_exit = True
        await task


async def _furnished(gateway: Gateway, url: str) -> Served:
    made = Served(url, {"nobody": {}})
    for name, (scope, workspace) in _KEYS.items():
        key, secret = new_key(
            gateway.entropy,
            gateway.clock,
            workspace=None if workspace is None else WorkspaceId(workspace),
            scope=scope,
            name=name,
        )
        await gateway.stores.directory.add_key(key)
        made.headers[name] = {"Authorization": f"Bearer {secret}"}
        made.key_ids.add(key.id)
        if name == "revoked":
            await gateway.stores.directory.revoke_key(key.id, gateway.clock.now())
    await gateway.keyring.refresh()
    async with httpx.AsyncClient(base_url=url, headers=made.headers["operator"]) as client:
        for workspace in (1, 2):
            for number in range(3):
                phone = f"+6281160000{workspace}{number}"
                await _created(client, "accounts", {"workspace_id": workspace, "phone": phone})
                await _created(client, "contacts", {"workspace_id": workspace, "phone": phone, "name": "somebody"})
    return made


async def _created(client: httpx.AsyncClient, what: str, body: dict[str, Any]) -> None:
    (await client.post(f"/api/v1/{what}", json=body)).raise_for_status()
