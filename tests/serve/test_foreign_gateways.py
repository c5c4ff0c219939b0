"""A whole gateway in front of other people's: over the real wire, each family's model at its end."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import httpx
import pytest

from homing.compose import Gateway, open_gateway
from homing.config import Misconfigured, Settings
from homing.model.alerts import AlertKind
from homing.model.directory.access import Scope
from homing.model.fleet import InstanceUrl, SessionList
from homing.model.urls import normal
from homing.serve.app import Application
from homing.serve.callers.keyring import new_key
from simulated_gateways import MODELS, Model
from simulated_gateways.evolution import Evolution
from simulated_gateways.waha import Waha

PHONES = {family: f"6281100000{number:02}" for number, family in enumerate(sorted(MODELS))}
ALL = sorted(MODELS)


def at(model: Model) -> InstanceUrl:
    """The model's address, as Homing writes it."""
    return normal(model.url)


@dataclass
class Fleet:
    """A gateway, and two instances of each family."""

    gateway: Gateway
    client: httpx.AsyncClient
    token: str
    models: dict[str, list[Model]]

    async def call(self, method: str, path: str, body: Any = None) -> Any:
        headers = {"Authorization": f"Bearer {self.token}"}
        return await self.client.request(method, f"/api/v1{path}", json=body, headers=headers)

    async def taken_up(self, family: str) -> dict[str, Any]:
        """An account for a session that runs on the first instance of the family."""
        model, phone = self.models[family][0], PHONES[family]
        name = f"+{phone}" if family == "baileys-api" else f"alpha-{family}"
        model.add(name, paired=True, phone=phone)
        body = {"workspace_id": 1, "phone": phone, "session_id": name, "start": False}
        made = await self.call("POST", "/accounts", body | {"instance_url": at(model)})
        assert made.status_code == 201, made.text
        return dict(made.json())

    async def send(self, account: dict[str, Any], text: str = "hello") -> Any:
        body = {"workspace_id": 1, "account_uuid": account["uuid"], "phone": "+628000000001", "message": text}
        return await self.call("POST", "/messages/send", body)

    async def instance(self, url: str) -> dict[str, Any]:
        rows = (await self.call("GET", "/instances")).json()["data"]
        return next(dict(row) for row in rows if row["url"] == url)

    def misconfigured(self) -> list[str]:
        standing = self.gateway.alerts.standing()
        return [
            each.reason
            for each in standing
            if each.kind in (AlertKind.INSTANCE_MISCONFIGURED, AlertKind.LICENCE_MISSING)
        ]

    async def placement(self, account: dict[str, Any]) -> tuple[str, int]:
        shown = (await self.call("GET", f"/accounts/{account['uuid']}")).json()
        return shown["instance_url"], shown["epoch"]


def settings(sqlite_url: str, models: dict[str, list[Model]], **more: Any) -> Settings:
    every = [(family, model) for family, both in models.items() for model in both]
    return Settings(  # type: ignore[call-arg]
        _env_file=None,
        homing_database_url=sqlite_url,
        instances=tuple(at(model) for _, model in every),
        instance_drivers={at(model): family for family, model in every},
        instance_api_keys={at(model): model.key for _, model in every},
        whatsapp_timeout=4.0,
        homing_send_deadline=2.0,
        whatsapp_retry_delay=50,
        whatsapp_hmac_secret="secret",
        homing_probe_every=0.1,
        **more,
    )


@pytest.fixture
async def fleet(sqlite_url: str, request: pytest.FixtureRequest) -> AsyncIterator[Fleet]:
    families = getattr(request, "param", ALL)
    models = {family: [await MODELS[family]().start(), await MODELS[family]().start()] for family in families}
    async with open_gateway(settings(sqlite_url, models)) as gateway:
        made, secret = new_key(gateway.entropy, gateway.clock, workspace=None, scope=Scope.ADMIN, name="operator")
        await gateway.stores.directory.add_key(made)
        await gateway.keyring.refresh()
        transport = httpx.ASGITransport(app=Application(gateway))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://homing", timeout=30) as client:
            yield Fleet(gateway, client, secret, models)
    for model in (each for both in models.values() for each in both):
        await model.stop()


def only(*families: str) -> Any:
    return pytest.mark.parametrize("fleet", [list(families)], indirect=True)


async def test_each_family_is_taken_up_and_sent_through(fleet: Fleet) -> None:
    for family in ALL:
        account = await fleet.taken_up(family)
        answer = (await fleet.send(account)).json()
        assert answer["success"] is True, (family, answer)
        assert "3EB0" in answer["data"]["message_id"]
        assert answer["instance_url"] == at(fleet.models[family][0])
        assert [text for _, _, text in fleet.models[family][0].sent] == ["hello"]


async def test_each_family_is_asked_which_spelling_a_number_has_and_sent_to_that(fleet: Fleet) -> None:
    written, known = "5511987654321", "551187654321"
    for family in ALL:
        account, model = await fleet.taken_up(family), fleet.models[family][0]
        # GOWA tells no address: of it the other spelling is asked for.
        model.known_as = {written: None if family == "gowa" else known}
        body = {"workspace_id": 1, "account_uuid": account["uuid"], "phone": f"+{written}", "message": "hello"}
        answer = (await fleet.call("POST", "/messages/send", body)).json()
        assert (answer["success"], answer["sent_to"]) == (True, known), (family, answer)
        assert [to for _, to, _ in model.sent] == [known], family
        phones = {"phones": [f"+{written}", "+628000000001"]}
        rows = (await fleet.call("POST", f"/accounts/{account['uuid']}/check-number", phones)).json()["data"]
        assert [row["exists"] for row in rows] == [family != "gowa", True], (family, rows)


async def test_what_may_have_left_is_unknown_and_said_once(fleet: Fleet) -> None:
    for family in ALL:
        account = await fleet.taken_up(family)
        answer = await fleet.send(account, "sentthrow")
        assert (answer.status_code, answer.json()["outcome"]) == (202, "unknown"), family
        assert [text for _, _, text in fleet.models[family][0].sent] == ["sentthrow"]
        assert fleet.models[family][1].sent == []


@only("waha", "evolution", "wwebjs-api", "wppconnect", "wuzapi")
async def test_a_session_that_somebody_moved_by_hand_is_found_in_the_send(fleet: Fleet) -> None:
    for family, (first, second) in fleet.models.items():
        account = await fleet.taken_up(family)
        [(name, session)] = first.sessions.items()
        second.sessions[name] = session
        first.sessions.clear()
        answer = (await fleet.send(account)).json()
        assert (answer["success"], answer["failover"]) == (True, True), (family, answer)
        assert await fleet.placement(account) == (at(second), account["epoch"] + 1)


async def test_an_instance_that_dies_takes_its_sessions_with_it_and_nothing_is_started_elsewhere(
    fleet: Fleet,
) -> None:
    accounts = {family: await fleet.taken_up(family) for family in ALL}
    asked = {family: len(second.asked) for family, (_, second) in fleet.models.items()}
    for first, _ in fleet.models.values():
        await first.stop()
    for family in ALL:
        answer = (await fleet.send(accounts[family])).json()
        assert answer["code"] in ("session_unreachable", "no_capacity"), (family, answer)
    await asyncio.sleep(2.0)
    for family, (first, second) in fleet.models.items():
        assert await fleet.placement(accounts[family]) == (at(first), accounts[family]["epoch"])
        assert second.sessions == {} and second.sent == []
        told = [each for each in second.asked[asked[family] :] if each[0] != "GET" and "generate-token" not in each[1]]
        assert told == [], "it is looked at, and told nothing"


@only("evolution", "waha")
async def test_without_its_licence_an_evolution_is_misconfigured_and_nothing_moves(fleet: Fleet) -> None:
    account, other = await fleet.taken_up("evolution"), await fleet.taken_up("waha")
    first = fleet.models["evolution"][0]
    assert isinstance(first, Evolution)
    first.licensed = False
    answer = await fleet.send(account)
    assert (answer.status_code, answer.json()["code"]) == (503, "instance_misconfigured")
    assert "licence" in answer.json()["detail"]
    url = at(first)
    await fleet.gateway.fitness.check(url)
    shown = await fleet.instance(at(first))
    assert shown["healthy"] is True and shown["health"] == "misconfigured"
    [reason] = fleet.misconfigured()
    assert "LICENSE_REQUIRED" in reason and "nothing is moved" in reason
    assert await fleet.placement(account) == (at(first), account["epoch"])
    assert (await fleet.send(other)).json()["success"] is True
    first.licensed = True
    assert (await fleet.send(account)).json()["success"] is True
    await fleet.gateway.fitness.check(url)
    assert fleet.misconfigured() == []


async def test_a_stop_is_a_stop_or_is_refused_in_words(fleet: Fleet) -> None:
    for family in ALL:
        account = await fleet.taken_up(family)
        [session] = fleet.models[family][0].sessions.values()
        stopped = await fleet.call("POST", f"/accounts/{account['uuid']}/stop")
        if family in ("evolution", "baileys-api", "gowa"):
            assert (stopped.status_code, stopped.json()["code"]) == (409, "not_supported"), stopped.text
            assert "without logging it out" in stopped.json()["detail"]
            assert session.up
        else:
            assert stopped.json()["status"] == "stopped"
            assert (session.open, session.paired) == (False, True)
            started = await fleet.call("POST", f"/accounts/{account['uuid']}/start")
            [session] = fleet.models[family][0].sessions.values()
            assert started.status_code == 200 and session.up, started.text


@only("waha", "baileys-api", "wwebjs-api")
async def test_a_new_account_goes_to_a_family_that_takes_it(fleet: Fleet) -> None:
    """baileys-api is not started, and wwebjs-api takes no name with an underscore."""
    for number in range(3):
        made = await fleet.call("POST", "/accounts", {"workspace_id": 1, "phone": f"62812000000{number}"})
        assert made.status_code == 201, made.text
        assert made.json()["instance_url"] in {at(model) for model in fleet.models["waha"]}


@only("baileys-api")
async def test_where_no_family_takes_it_the_refusal_says_why_and_no_account_is_left(fleet: Fleet) -> None:
    made = await fleet.call("POST", "/accounts", {"workspace_id": 1, "phone": "628120000001"})
    assert (made.status_code, made.json()["code"]) == (409, "not_supported")
    assert "baileys-api cannot start a session" in made.json()["detail"]
    assert (await fleet.call("GET", "/accounts")).json()["data"] == []


@only("waha")
async def test_the_code_to_scan_is_shown_and_that_one_waits_for_it_is_said(fleet: Fleet) -> None:
    made = (await fleet.call("POST", "/accounts", {"workspace_id": 1, "phone": "628120000001"})).json()
    assert made["status"] == "pairing"
    shown = await fleet.call("GET", f"/accounts/{made['uuid']}/qr")
    assert "2@code-of-" in shown.text
    answer = await fleet.send(made)
    assert answer.json()["code"] == "session_logged_out", "nobody waits for a session that needs a person"
    [session] = [each for model in fleet.models["waha"] for each in model.sessions.values()]
    session.paired = True
    assert (await fleet.send(made)).json()["success"] is True


@only("waha")
async def test_a_version_that_was_not_checked_works_and_is_shown(fleet: Fleet) -> None:
    first, second = fleet.models["waha"]
    assert isinstance(second, Waha)
    second.version = "2030.1.2"
    driver: Any = fleet.gateway.fleet.speaking("waha")
    while not hasattr(driver, "_versions"):  # below what is around it
        driver = driver._inner
    driver._versions.clear()
    assert (await fleet.instance(at(first)))["warning"] is None
    warned = (await fleet.instance(at(second)))["warning"]
    assert warned == "WAHA 2030.1.2 is not one of the versions that Homing was checked against (2024.10 to 2026.7)"
    assert isinstance(await driver.sessions(at(second), timeout_s=5), SessionList)


@pytest.mark.slow
@only("waha", "wppconnect", "wwebjs-api")
async def test_what_a_gateway_does_not_restore_itself_is_started_where_it_was_once_it_runs_again(fleet: Fleet) -> None:
    accounts = {family: await fleet.taken_up(family) for family in fleet.models}
    for family, account in accounts.items():
        assert (await fleet.send(account)).json()["success"] is True
        first, port = fleet.models[family][0], int(fleet.models[family][0].url.rpartition(":")[2])
        await first.stop()
        for session in first.sessions.values():
            session.open = False
        await asyncio.sleep(0.5)
        await first.start(port)
    for _ in range(180):
        if all(session.up for both in fleet.models.values() for session in both[0].sessions.values()):
            break
        await asyncio.sleep(0.5)
    for family, account in accounts.items():
        assert (await fleet.send(account)).json()["success"] is True
        assert (await fleet.placement(account))[0] == at(fleet.models[family][0])
        assert fleet.models[family][1].sessions == {}


# --- which family an instance is of ---


@only("waha")
async def test_what_answers_at_an_address_says_which_driver_it_gets(fleet: Fleet) -> None:
    for family in ("waha", "evolution", "wwebjs-api", "wppconnect", "wuzapi", "baileys-api"):
        model = await MODELS[family](key=fleet.models["waha"][0].key).start()
        try:
            made = await fleet.call("POST", "/instances", {"url": model.url, "force": True})
            assert (made.status_code, made.json()["driver"]) == (201, family), made.text
        finally:
            await model.stop()


@only("waha")
async def test_one_that_shows_itself_to_nobody_without_its_login_is_known_by_its_list(fleet: Fleet) -> None:
    model = await MODELS["gowa"](key=fleet.models["waha"][0].key).start()
    try:
        assert (await fleet.call("POST", "/instances", {"url": model.url})).json()["code"] == "no_gateway"
        named = await fleet.call("POST", "/instances", {"url": model.url, "driver": "gowa"})
        assert named.json()["code"] == "key_refused", "its list was asked for, and our key is not its login"
    finally:
        await model.stop()


@only("waha")
async def test_a_driver_that_there_is_not_is_named_with_those_there_are(fleet: Fleet) -> None:
    for method, path in (("POST", "/instances"), ("PATCH", "/instances/1")):
        body = {"driver": "telegram"} | ({"url": "http://127.0.0.1:9"} if method == "POST" else {})
        answer = await fleet.call(method, path, body)
        assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")
        assert "'telegram'" in answer.json()["detail"] and "evolution" in answer.json()["detail"]


@only("waha")
async def test_one_that_answers_as_another_family_is_refused_and_an_old_one_only_looked_at(fleet: Fleet) -> None:
    model = await MODELS["wwebjs-api"](key="another").start()
    try:
        answer = await fleet.call("POST", "/instances", {"url": model.url, "driver": "evolution"})
        assert answer.status_code == 422 and "this is wwebjs-api" in answer.json()["detail"]
        made = (await fleet.call("POST", "/instances", {"url": model.url, "driver": "evolution", "force": True})).json()
        url = at(model)
        assert "homing instances set URL --driver wwebjs-api" in (await fleet.gateway.fitness.check(url) or "")
        await fleet.call("PATCH", f"/instances/{made['id']}", {"driver": "wwebjs-api"})
        await fleet.gateway.fleet.refresh()
        assert "does not accept our API key" in (await fleet.gateway.fitness.check(url) or "")
    finally:
        await model.stop()


@only("evolution", "wppconnect")
async def test_a_storage_is_refused_for_a_family_whose_logins_no_other_process_can_open(fleet: Fleet) -> None:
    rows = (await fleet.call("GET", "/instances")).json()["data"]
    for row in rows:
        answer = await fleet.call("PATCH", f"/instances/{row['id']}", {"storage": "nas-1"})
        assert answer.status_code == (422 if row["driver"] == "evolution" else 200), answer.text


def test_a_driver_in_the_settings_that_there_is_not_stops_the_start(sqlite_url: str) -> None:
    async def start() -> None:
        model = Evolution()
        model.url = "http://127.0.0.1:9"
        async with open_gateway(settings(sqlite_url, {"telegram": [model]})):
            pass

    with pytest.raises(Misconfigured, match=r"'telegram'; known are .*waha"):
        asyncio.run(start())


@only("waha")
async def test_the_settings_driver_counts_before_the_directorys(fleet: Fleet, sqlite_url: str) -> None:
    url = at(fleet.models["waha"][0])
    assert (await fleet.instance(url))["driver"] == "waha"
    await fleet.gateway.stores.directory.change_instance(url, {"driver": "webjs"})
    await fleet.gateway.fleet.refresh()
    assert (await fleet.instance(url))["driver"] == "webjs"


# --- what is unknown is looked for in its chat --------------------------------------------------------------------


SHOW_CHATS = ("evolution", "gowa", "waha", "wppconnect", "wwebjs-api")


async def sent_at_last(fleet: Fleet, uuid: str) -> dict[str, Any]:
    while True:
        row = dict((await fleet.call("GET", f"/messages/{uuid}")).json())
        if row["state"] == "sent":
            return row
        await asyncio.sleep(0.2)


@only(*SHOW_CHATS)
async def test_a_message_that_went_although_the_engine_failed_is_found_in_its_chat(fleet: Fleet) -> None:
    uuids = {}
    for family in SHOW_CHATS:
        answer = await fleet.send(await fleet.taken_up(family), "sentthrow")
        assert (answer.status_code, answer.json()["outcome"]) == (202, "unknown"), family
        uuids[family] = answer.json()["message_uuid"]
    async with asyncio.timeout(25):
        for family, uuid in uuids.items():
            row = await sent_at_last(fleet, uuid)
            assert "its chat shows the same" in row["reason"], family
            [shown] = fleet.models[family][0].chats
            assert shown.message_id in row["message_id"], family
