"""Running fleets are brought in as they are: every family's model at its end, over the real wire."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from homing.compose import Gateway, open_gateway
from homing.config import Settings
from homing.model.access import Scope
from homing.model.fleet import InstanceUrl
from homing.model.urls import normal
from homing.serve.app import Application
from homing.serve.callers.keyring import new_key
from simulated_gateways import MODELS, Model

ALL = sorted(MODELS)
NO_PHONES = frozenset({"wppconnect"})


def at(model: Model) -> InstanceUrl:
    return normal(model.url)


def name_in(family: str, phone: str) -> str:
    """baileys-api knows its sessions by their phones."""
    return f"+{phone}" if family == "baileys-api" else f"shop-{phone[-2:]}"


@dataclass
class Newcomer:
    """A gateway of ours that knows no instance yet, and other people's gateways."""

    gateway: Gateway
    client: httpx.AsyncClient
    token: str
    models: list[Model] = field(default_factory=list)

    async def call(self, method: str, path: str, body: Any = None) -> httpx.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self.client.request(method, f"/api/v1{path}", json=body, headers=headers)

    async def runs(self, family: str, *phones: str, **how: Any) -> Model:
        """One more gateway of the family, with a session for each phone."""
        model = await MODELS[family](**how).start()
        self.models.append(model)
        for phone in phones:
            model.add(name_in(family, phone), paired=True, phone=phone)
        return model

    async def adopts(self, *models: Model, **more: Any) -> dict[str, Any]:
        body = {"urls": [model.url for model in models], "key": models[0].key} | more
        answer = await self.call("POST", "/instances/adopt", {k: v for k, v in body.items() if v is not None})
        assert answer.status_code == 200, answer.text
        return dict(answer.json())

    async def accounts(self) -> list[dict[str, Any]]:
        return list((await self.call("GET", "/accounts?limit=500")).json()["data"])

    async def routes(self, model: Model) -> None:
        rows = (await self.call("GET", "/instances")).json()["data"]
        number = next(row["id"] for row in rows if row["url"] == at(model))
        changed = await self.call("PATCH", f"/instances/{number}", {"mode": "route"})
        assert changed.status_code == 200, changed.text
        await self.gateway.fleet.refresh()

    async def send(self, account: dict[str, Any], text: str = "hello") -> httpx.Response:
        body = {"workspace_id": 1, "account_uuid": account["uuid"], "phone": "+628000000001", "message": text}
        return await self.call("POST", "/messages/send", body)

    async def status(self) -> dict[str, Any]:
        return dict((await self.call("GET", "/instances/adoption")).json())


@pytest.fixture
async def newcomer(sqlite_url: str) -> AsyncIterator[Newcomer]:
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None,
        homing_database_url=sqlite_url,
        instances=(),
        whatsapp_timeout=4.0,
        homing_send_deadline=2.0,
        whatsapp_retry_delay=50,
        whatsapp_hmac_secret="secret",
        homing_probe_every=0.1,
    )
    async with open_gateway(settings) as gateway:
        made, secret = new_key(gateway.entropy, gateway.clock, workspace=None, scope=Scope.ADMIN, name="operator")
        await gateway.stores.directory.add_key(made)
        await gateway.keyring.refresh()
        transport = httpx.ASGITransport(app=Application(gateway))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://homing", timeout=30) as client:
            newcomer = Newcomer(gateway, client, secret)
            yield newcomer
    for model in newcomer.models:
        await model.stop()


def telling(family: str, phone: str) -> str:
    return name_in(family, phone)


@pytest.mark.parametrize("family", ALL)
async def test_a_running_gateway_is_adopted_observed_and_then_routed(newcomer: Newcomer, family: str) -> None:
    model = await newcomer.runs(family, "6281100000001", "6281100000002")
    named = {"sessions": list(model.sessions)} if family == "baileys-api" else {}
    adopted = await newcomer.adopts(model, **named)
    assert adopted["refused"] == []
    [row] = adopted["instances"]
    assert (row["driver"], row["mode"], row["sessions"], row["adopted"]) == (family, "observe", 2, 2), row
    accounts = await newcomer.accounts()
    assert sorted(each["session_id"] for each in accounts) == sorted(model.sessions)
    assert {each["instance_url"] for each in accounts} == {at(model)}
    assert {each["phone"] for each in accounts} == {"6281100000001", "6281100000002"}
    refused = await newcomer.send(accounts[0])
    assert (refused.status_code, refused.json()["code"]) == (409, "instance_observed")
    assert model.sent == []
    await newcomer.routes(model)
    sent = await newcomer.send(accounts[0])
    assert sent.json()["success"] is True, sent.text
    assert [session for session, _, _ in model.sent] == [accounts[0]["native_id"]]
