"""A whole gateway over a model world, spoken to over ASGI."""

import copy
from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import httpx
import pytest
from litestar import Litestar

from homing.compose import Gateway, open_gateway
from homing.config import Settings
from homing.drivers import Drivers
from homing.model.directory.access import Scope
from homing.model.fleet import WorkspaceId
from homing.serve.app import Application, routed
from homing.serve.callers.keyring import new_key
from homing.world import SystemClock
from tests.flows.worlds import A, B, C, World


@pytest.fixture(autouse=True)
def routes_are_drawn_up_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each gateway has a copy of the framework's application with a state of its own: drawing up its routes takes
    longer than most tests."""

    def copied(body_max: int, webhook_max: int) -> Litestar:
        once = _drawn_up(body_max, webhook_max)
        one = copy.copy(once)
        one.state = once.state.copy()
        return one

    monkeypatch.setattr("homing.serve.app.routed", copied)


@cache
def _drawn_up(body_max: int, webhook_max: int) -> Litestar:
    return routed(body_max, webhook_max)


@pytest.fixture(autouse=True)
def no_schedules_by_the_clock(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    """A gateway within the test's process does nothing because a minute of the real clock begins.

    What runs by schedule is asked for by the tests that are about it.
    """
    if request.node.get_closest_marker("e2e") is None:
        monkeypatch.setenv("HOMING_SYNC_SCHEDULE", "")
        monkeypatch.setenv("HOMING_DEAF_SCHEDULE", "")


@dataclass(slots=True)
class Api:
    """The API as clients of several kinds see it."""

    gateway: Gateway
    world: World
    client: httpx.AsyncClient
    keys: dict[str, str]

    async def call(
        self, method: str, path: str, body: Any = None, *, key: str | None = "operator", **headers: str
    ) -> httpx.Response:
        sent = {name.replace("_", "-"): value for name, value in headers.items()}
        if key is not None:
            sent["Authorization"] = f"Bearer {self.keys.get(key, key)}"
        return await self.client.request(method, f"/api/v1{path}", json=body, headers=sent)

    async def key(self, name: str, scope: Scope, workspace: int | None) -> None:
        made, secret = new_key(
            self.gateway.entropy,
            self.gateway.clock,
            workspace=None if workspace is None else WorkspaceId(workspace),
            scope=scope,
            name=name,
        )
        await self.gateway.stores.directory.add_key(made)
        await self.gateway.keyring.refresh()
        self.keys[name] = secret

    async def account(self, workspace: int = 1, phone: str = "0816108641") -> dict[str, Any]:
        made = await self.call("POST", "/accounts", {"workspace_id": workspace, "phone": phone})
        assert made.status_code == 201, made.text
        return dict(made.json())

    async def send(
        self, account: dict[str, Any], message: str = "hello", *, key: str = "operator", **more: Any
    ) -> httpx.Response:
        headers = {"Idempotency_Key": more.pop("idempotency_key")} if "idempotency_key" in more else {}
        body = {"workspace_id": 1, "account_uuid": account["uuid"], "phone": "+62811801641", "message": message} | more
        return await self.call("POST", "/messages/send", body, key=key, **headers)


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None,
        homing_database_url=sqlite_url,
        instances=(A, B, C),
        homing_send_deadline=1.0,
        whatsapp_retry_delay=50,
        whatsapp_hmac_secret="secret",
        homing_lease_heartbeat=0.1,
        homing_lease_repeat=0.05,
        homing_lease_self_fence=0.9,
        homing_lease_expiry=1.0,
        homing_probe_every=0.1,
        homing_allow_nets="127.0.0.1/32",
    )
    world = World(SystemClock(), A, B, C)
    async with open_gateway(settings, Drivers({"webjs": world})) as gateway:
        application = Application(gateway)
        transport = httpx.ASGITransport(app=application)  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://homing") as client:
            made = Api(gateway, world, client, {})
            await made.key("operator", Scope.ADMIN, None)
            await made.key("sender", Scope.SEND, 1)
            await made.key("reader", Scope.READ, 1)
            await made.key("stranger", Scope.ADMIN, 2)
            yield made
        await application.close()
