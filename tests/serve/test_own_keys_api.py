"""An instance that joins gets a key of its own, and nobody else is told its sessions from then on."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from structlog.testing import capture_logs

from homing.compose import open_gateway
from homing.compose.parts.driving import shown_keys
from homing.config import Settings
from homing.drivers import Drivers
from homing.model.directory.access import Scope
from homing.model.fleet import InstanceUrl, SessionId
from homing.serve.addresses import tell
from homing.serve.app import Application
from homing.world import SystemClock
from tests.flows.worlds import A, B, World
from tests.serve.conftest import Api

D = InstanceUrl("http://d:3001")
SHARED = "the-key-that-all-share"
ACTIVE = "/api/whatsapp/accounts/active"


@pytest.fixture
async def api(sqlite_url: str) -> AsyncIterator[Api]:
    settings = Settings(  # type: ignore[call-arg]
        _env_file=None,
        homing_database_url=sqlite_url,
        instances=(A, B),
        whatsapp_api_key=SHARED,
        whatsapp_hmac_secret="secret",
    )
    world = World(SystemClock(), A, B, D)
    drivers = Drivers({"webjs": world}, keys=shown_keys(settings))
    async with open_gateway(settings, drivers) as gateway:
        transport = httpx.ASGITransport(app=Application(gateway))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://homing") as client:
            made = Api(gateway, world, client, {})
            await made.key("operator", Scope.ADMIN, None)
            yield made


async def joined(api: Api) -> dict[str, Any]:
    answer = await api.call("POST", "/instances", {"url": D})
    assert answer.status_code == 201, answer.text
    added: dict[str, Any] = answer.json()
    return added


async def asked(api: Api, key: str, number: int | None = None, **headers: str) -> httpx.Response:
    path = ACTIVE if number is None else f"/in/{number}{ACTIVE}"
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    return await api.client.get(path, headers={"X-API-Key": key, **named})


async def on_d(api: Api) -> str:
    """The phone of an account that is placed on D, which has not opened it."""
    session = SessionId("webjs_1_d")
    api.world.hold(D, session)
    taken_up = {"phone": "0816108641", "session_id": session, "instance_url": D, "start": False}
    made = await api.call("POST", "/accounts", {"workspace_id": 1, **taken_up})
    assert made.status_code == 201, made.text
    api.world.instances[D].sessions.clear()
    return str(made.json()["phone"])


async def test_the_shared_key_shows_nobody_the_phones_of_an_instance_with_a_key_of_its_own(api: Api) -> None:
    added = await joined(api)
    phone = await on_d(api)
    for answer in (await asked(api, SHARED, added["id"]), await asked(api, SHARED, X_Instance_Url=D)):
        assert answer.status_code == 401
        assert phone not in answer.text
    for answer in (await asked(api, added["api_key"], added["id"]), await asked(api, added["api_key"])):
        assert answer.status_code == 200
        assert phone in answer.text


async def test_an_own_key_opens_no_other_instance(api: Api) -> None:
    added = await joined(api)
    first = next(each for each in (await api.call("GET", "/instances")).json()["data"] if each["url"] == A)
    assert (await asked(api, added["api_key"], first["id"])).status_code == 401
    assert (await asked(api, SHARED, first["id"])).status_code == 200


async def test_the_shared_key_gives_up_no_session_of_an_instance_with_a_key_of_its_own(api: Api) -> None:
    added = await joined(api)
    path = f"/in/{added['id']}/api/whatsapp/sessions/webjs_1_x/mark-disconnected"
    shared = await api.client.post(path, headers={"X-API-Key": SHARED}, json={})
    own = await api.client.post(path, headers={"X-API-Key": added["api_key"]}, json={})
    assert (shared.status_code, own.status_code) == (401, 200)


async def test_the_key_is_shown_once_and_stands_in_no_table(api: Api, sqlite_url: str) -> None:
    added = await joined(api)
    key = added["api_key"]
    assert len(key) >= 32
    assert key not in (await api.call("GET", f"/instances/{added['id']}")).text
    assert key not in (await api.call("GET", "/instances")).text
    assert not _stands_in(Path(sqlite_url.removeprefix("sqlite:///")), key)


def _stands_in(database: Path, word: str) -> bool:
    return any(word.encode() in file.read_bytes() for file in database.parent.glob(f"{database.name}*"))


async def test_joining_anew_is_another_key(api: Api) -> None:
    first = await joined(api)
    assert (await api.call("DELETE", f"/instances/{first['id']}")).status_code == 204
    again = await joined(api)
    assert again["api_key"] != first["api_key"]
    assert (await asked(api, first["api_key"], again["id"])).status_code == 401


async def test_those_who_share_a_key_are_told_of_once_at_the_start(api: Api) -> None:
    await joined(api)
    with capture_logs() as lines:
        tell(api.gateway)
    [line] = [line for line in lines if "share one key" in line["event"]]
    assert line["instances"] == 2
    assert line["first"] in (A, B)
