"""`homing sessions import` for an account on a gateway that runs: nothing comes in while that one answers for it."""

import asyncio
import json
import threading
from collections.abc import Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web
from structlog.testing import capture_logs

from homing.flows.importing import carrying
from homing.model.fleet import Epoch, MoveKind, Rebinding, SessionStatus
from homing.model.urls import normal
from homing.store.directory.directory import SqlDirectory
from homing.store.grants.leases import SqlLeases
from homing.store.vault.vault import SqlVault
from simulated_gateways.baileys_api import BaileysApi
from simulated_gateways.base import Model, Session
from simulated_gateways.evolution import Evolution
from tests.cli.conftest import ScriptedGateway
from tests.cli.test_sessions_command import Installation, account, folder, here  # noqa: F401 - fixtures

SETTLED_S = 0.3


class ComesBack(Evolution):
    """It lost the connection, and makes it anew between two questions."""

    async def _state(self, request: web.Request) -> web.Response:
        answer = await super()._state(request)
        self.sessions[request.match_info["s"]].open = True
        return answer


class WritesLate(Evolution):
    """Its list is what its database has, which is behind."""

    def _row(self, session: Session) -> dict[str, Any]:
        return super()._row(session) | {"connectionStatus": "close"}


class Running:
    """A gateway in a thread of its own, and an instance of ours."""

    def __init__(self, ours: ScriptedGateway) -> None:
        self.ours = ours
        ours.answers["GET", "/health"] = (
            200,
            {"status": "ok", "engine": "baileys", "capabilities": {"share_credentials": True}},
        )
        ours.answers["GET", "/api/sessions"] = 200, {"success": True, "sessions": []}
        ours.answers["GET", "/api/sessions/s/status"] = 404, {"error": "Session not found"}
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever)
        self._thread.start()
        self._models: list[Model] = []

    def run(self, model: Model) -> Model:
        self._models.append(model)
        return self._wait(model.start())

    def end(self) -> None:
        for model in self._models:
            self._wait(model.stop())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _wait(self, story: Coroutine[Any, Any, Any]) -> Any:
        return asyncio.run_coroutine_threadsafe(story, self._loop).result(10)


@pytest.fixture
def running(gateway: ScriptedGateway, monkeypatch: pytest.MonkeyPatch) -> Iterator[Running]:
    monkeypatch.setattr(carrying, "WATCHED_S", SETTLED_S)
    found = Running(gateway)
    with capture_logs():  # nobody has told it to leave standard output alone, see `homing`
        yield found
    found.end()


def placed(here: Installation, running: Running, model: Model, driver: str, phone: str = "") -> list[str]:  # noqa: F811
    """Account 142 is on this gateway; how its login is brought to an instance of ours."""
    url, ours = normal(running.run(model).url), normal(running.ours.url)

    async def story(_: SqlVault, directory: SqlDirectory, __: SqlLeases) -> None:
        made = await directory.create_account(account(142, phone or "s", phone or "628111"))
        await directory.create_instance(url, driver=driver)
        await directory.create_instance(ours)
        assert await directory.rebind([Rebinding(made.placement, url, Epoch(1), MoveKind.PLACEMENT, "adopted")])

    here._homing.setting("WHATSAPP_API_KEY", model.key)
    here.ask(story)
    return ["--account", "142", "--to", ours, "--json"]


def test_a_login_comes_in_once_its_gateway_has_said_twice_that_it_is_not_used(
    here: Installation,  # noqa: F811
    folder: Path,  # noqa: F811
    running: Running,
) -> None:
    model = Evolution()
    model.add("s", phone="628111", paired=True, open=True)
    words = placed(here, running, model, "evolution")
    for vouched in ([], ["--stopped"]):
        ran = here("import", str(folder), *words, *vouched)
        assert (ran.code, ran.document["code"]) == (1, "login_in_use")
        assert f"{normal(model.url)} says that session s is connected" in ran.document["detail"]
        assert "stop it there without logging it out" in ran.document["detail"]
    model.sessions["s"].open = False
    ran = here("import", str(folder), *words)
    assert ran.code == 0, ran.err
    assert (
        ran.document["proof"] == f"{normal(model.url)} says that it is disconnected, and said so {SETTLED_S:g} s before"
    )
    assert ran.document["instance_url"] == normal(running.ours.url)
    assert here.status(142) is SessionStatus.STOPPED
    assert here.opened().login is not None


@pytest.mark.parametrize("model", [ComesBack, WritesLate])
def test_a_gateway_whose_session_is_up_again_or_was_never_down_keeps_its_login(
    model: type[Evolution],
    here: Installation,  # noqa: F811
    folder: Path,  # noqa: F811
    running: Running,
) -> None:
    evolution = model()
    evolution.add("s", phone="628111", paired=True, open=model is WritesLate)
    ran = here("import", str(folder), *placed(here, running, evolution, "evolution"))
    assert (ran.code, ran.document["code"]) == (1, "login_in_use"), ran.err
    assert here.opened().login is None


def test_a_session_of_a_gateway_without_lists_is_asked_itself(
    here: Installation,  # noqa: F811
    folder: Path,  # noqa: F811
    running: Running,
) -> None:
    model, phone = BaileysApi(), "628111222333"
    model.add(f"+{phone}", phone=phone, paired=True)
    creds = json.loads((folder / "creds.json").read_text())
    (folder / "creds.json").write_text(json.dumps(creds | {"me": {"id": f"{phone}:4@s.whatsapp.net"}}))
    words = placed(here, running, model, "baileys-api", phone)
    ran = here("import", str(folder), *words, "--stopped")
    assert (ran.code, ran.document["code"]) == (1, "login_in_use"), ran.err
    model.sessions[f"+{phone}"].open = False
    ran = here("import", str(folder), *words)
    assert (ran.code, "is disconnected, and said so" in ran.document["proof"]) == (0, True), ran.err


def test_what_an_instance_of_ours_does_not_have_proves_nothing_of_the_program_that_a_folder_is_of(
    here: Installation,  # noqa: F811
    folder: Path,  # noqa: F811
    running: Running,
) -> None:
    model = Evolution()
    placed(here, running, model, "evolution")

    async def moved(_: SqlVault, directory: SqlDirectory, __: SqlLeases) -> None:
        made = await directory.account(None, id=142)
        ours = normal(running.ours.url)
        assert made is not None
        assert await directory.rebind([Rebinding(made.placement, ours, Epoch(2), MoveKind.PLACEMENT, "brought over")])

    here.ask(moved)
    ran = here("import", str(folder), "--account", "142", "--json")
    assert (ran.code, ran.document["code"]) == (1, "not_proven_stopped")
    ran = here("import", str(folder), "--account", "142", "--stopped", "--json")
    assert (ran.code, "vouched" in ran.document["proof"]) == (0, True), ran.err


# --- folders of Baileys 6 -----------------------------------------------------------------------------------------


def test_a_folder_of_baileys_6_comes_in_as_one_of_7(
    here: Installation,  # noqa: F811
    folder: Path,  # noqa: F811
) -> None:
    """No hidden identities, no lists of devices; keys of groups as a list of states, bytes as numbers (6.0 to 6.7)."""
    for of_7 in ("lid-mapping-*", "device-list-*", "tctoken-*", "identity-key-*", "session-*_1.*"):
        for file in folder.glob(of_7):
            file.unlink()
    creds = json.loads((folder / "creds.json").read_text())
    del creds["me"]["lid"]
    numbers = {"type": "Buffer", "data": list(range(32))}
    creds |= {
        "noiseKey": {"private": numbers, "public": numbers},
        "processedHistoryMessages": [],
        "nextPreKeyId": 71,
        "firstUnuploadedPreKeyId": 71,
        "registered": False,
        "deviceId": "AAAA",
        "phoneId": "0190f2b4-0000-4000-8000-000000000001",
        "identityId": numbers,
        "backupToken": numbers,
        "signalIdentities": [
            {"identifier": {"name": "628111:4@s.whatsapp.net", "deviceId": 0}, "identifierKey": numbers}
        ],
    }
    chain = {"iteration": 3, "seed": numbers}
    state = {
        "senderKeyId": 9,
        "senderChainKey": chain,
        "senderSigningKey": {"public": numbers},
        "senderMessageKeys": [],
    }
    (folder / "creds.json").write_text(json.dumps(creds))
    (folder / "sender-key-62811-1600@g.us--62899--0.json").write_text(json.dumps([state]))
    (folder / "pre-key-1.json").write_text(json.dumps({"private": numbers, "public": numbers}))
    ran = here("import", str(folder), "--account", "s", "--stopped", "--json")
    assert (ran.code, ran.document["keys_left_out"], ran.document["key_rows"]) == (0, 0, 7), ran.err
    modern = {"type": "Buffer", "data": "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8="}
    login = here.opened().login
    assert login is not None and json.loads(login["creds"])["noiseKey"] == {"private": modern, "public": modern}

    async def of(vault: SqlVault, *_: Any) -> Any:
        return await vault.keys("s", "sender-key", ["62811-1600@g.us::62899::0"])

    [kept] = [json.loads(value) for value in here.ask(of).values()]
    assert kept[0]["senderChainKey"] == {"iteration": 3, "seed": modern}
