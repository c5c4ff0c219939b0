"""Running fleets are brought in as they are: every family's model at its end, over the real wire."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

import httpx
import pytest
from sqlalchemy import select
from structlog.testing import capture_logs

from homing.compose import Gateway, open_gateway
from homing.config import Settings
from homing.flows.operations.adopt_fleet import FleetWanted
from homing.model.directory.access import Scope
from homing.model.fleet import InstanceUrl
from homing.model.urls import normal
from homing.ports import Page
from homing.serve.app import Application
from homing.serve.callers.keyring import new_key
from homing.store.db.schema.tables import instances
from simulated_gateways import MODELS, Model
from simulated_gateways.base import said
from simulated_gateways.waha import Waha

ALL = sorted(MODELS)


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

    async def instance(self, model: Model) -> dict[str, Any] | None:
        rows = (await self.call("GET", "/instances")).json()["data"]
        return next((dict(row) for row in rows if row["url"] == at(model)), None)

    async def accounts(self) -> list[dict[str, Any]]:
        return list((await self.call("GET", "/accounts?limit=500")).json()["data"])

    async def recorded(self) -> tuple[object, object]:
        """What the directory has of instances and accounts; how many strays there are is nobody's wish."""
        directory = self.gateway.stores.directory
        instances = [replace(each, strays=None) for each in await directory.instances()]
        return instances, [
            replace(each, last_verified_at=None) for each in await directory.accounts(None, Page(limit=500))
        ]

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


def settings(sqlite_url: str, whatsapp_hmac_secret: str = "secret") -> Settings:
    return Settings(  # type: ignore[call-arg]
        _env_file=None,
        homing_database_url=sqlite_url,
        instances=(),
        whatsapp_timeout=4.0,
        homing_send_deadline=2.0,
        whatsapp_retry_delay=50,
        whatsapp_hmac_secret=whatsapp_hmac_secret,
        homing_probe_every=0.1,
    )


@pytest.fixture
async def newcomer(sqlite_url: str) -> AsyncIterator[Newcomer]:
    async with open_gateway(settings(sqlite_url)) as gateway:
        made, secret = new_key(gateway.entropy, gateway.clock, workspace=None, scope=Scope.ADMIN, name="operator")
        await gateway.stores.directory.add_key(made)
        await gateway.keyring.refresh()
        transport = httpx.ASGITransport(app=Application(gateway))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://homing", timeout=30) as client:
            newcomer = Newcomer(gateway, client, secret)
            yield newcomer
    for model in newcomer.models:
        await model.stop()


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


async def test_adopting_again_changes_nothing(newcomer: Newcomer) -> None:
    model = await newcomer.runs("waha", "6281100000001", "6281100000002")
    await newcomer.adopts(model)
    before = await newcomer.recorded()
    again = (await newcomer.adopts(model))["instances"][0]
    assert (again["adopted"], again["known"], again["new"]) == (0, 2, False)
    assert await newcomer.recorded() == before
    await newcomer.routes(model)
    assert (await newcomer.adopts(model))["instances"][0]["mode"] == "route"
    model.add("third", paired=True, phone="6281100000003")
    assert (await newcomer.adopts(model))["adopted"] == 1


async def test_a_dry_run_says_what_would_be_adopted_and_changes_nothing(newcomer: Newcomer) -> None:
    model = await newcomer.runs("evolution", "6281100000001")
    would = await newcomer.adopts(model, dry_run=True)
    assert (would["dry_run"], would["adopted"]) == (True, 1)
    assert would["instances"][0]["found"][0]["session_id"] == "shop-01"
    assert await newcomer.accounts() == []
    assert await newcomer.instance(model) is None


@pytest.mark.parametrize("family", ALL)
async def test_a_wrong_key_is_named_and_nothing_is_adopted(newcomer: Newcomer, family: str) -> None:
    model = await newcomer.runs(family, "6281100000001")
    refused = await newcomer.adopts(model, key="not-the-key-of-it", driver=family if family == "gowa" else None)
    assert refused["instances"] == []
    [row] = refused["refused"]
    assert row["code"] == "key_refused", row
    assert "does not accept this key" in row["detail"]
    assert "nothing was adopted" in row["detail"]
    assert "not-the-key" not in str(refused)
    assert await newcomer.instance(model) is None


async def test_a_host_that_hangs_is_given_up_on_without_being_asked_for_lists(newcomer: Newcomer) -> None:
    silent = await newcomer.runs("waha", "6281100000001")
    silent.fault = "hang"
    [row] = (await newcomer.adopts(silent, key="any-key"))["refused"]
    assert (row["code"], "nothing answers there" in row["detail"]) == ("instance_fault", True)
    assert len(silent.asked) == 2, "by two harmless questions"


async def test_what_is_no_gateway_is_named_by_how_it_answers(newcomer: Newcomer) -> None:
    page = await newcomer.runs("waha", "6281100000001")
    page.fault = "page"
    gone = await newcomer.runs("waha")
    await gone.stop()
    told = (await newcomer.adopts(page, gone, key=None))["refused"]
    assert [row["code"] for row in told] == ["no_gateway", "instance_fault"]
    assert "answers /health with 200 text/html" in told[0]["detail"]
    assert "nothing answers there" in told[1]["detail"]


async def test_an_unknown_driver_is_refused_with_those_that_there_are(newcomer: Newcomer) -> None:
    answer = await newcomer.call("POST", "/instances/adopt", {"urls": ["http://a:1"], "driver": "whatsapp9000"})
    assert answer.status_code == 422
    assert "'whatsapp9000'; known are baileys-api, evolution, gowa" in answer.json()["detail"]


async def test_another_driver_than_the_one_that_answers_is_refused(newcomer: Newcomer) -> None:
    model = await newcomer.runs("waha", "6281100000001")
    [row] = (await newcomer.adopts(model, driver="evolution"))["refused"]
    assert row["code"] == "driver_unknown"
    assert "this is WAHA" in row["detail"]


async def test_several_workspaces_have_to_be_chosen_from(newcomer: Newcomer) -> None:
    model = await newcomer.runs("waha", "6281100000001")
    for workspace in (1, 2):
        body = {"workspace_id": workspace, "phone": f"+62811000000{workspace}9"}
        assert (await newcomer.call("POST", "/contacts", body)).status_code == 201
    asked = {"urls": [model.url], "key": model.key}
    refused = await newcomer.call("POST", "/instances/adopt", asked)
    assert (refused.status_code, refused.json()["field"]) == (422, "workspace_id")
    await newcomer.adopts(model, workspace_id=2)
    assert [each["workspace_id"] for each in await newcomer.accounts()] == [2]


async def test_sessions_that_cannot_be_taken_up_are_named_with_their_reasons(newcomer: Newcomer) -> None:
    model, other = await newcomer.runs("waha", "6281100000001"), await newcomer.runs("waha")
    model.add("unpaired")
    model.add("twin", paired=True, phone="6281100000001")
    model.add("both", paired=True, phone="6281100000005")
    other.add("both", paired=True, phone="6281100000005")
    adopted = await newcomer.adopts(model, other)
    results = {(each["native_id"], row["url"]): each for row in adopted["instances"] for each in row["found"]}
    at_model = {name: each["result"] for (name, url), each in results.items() if url == at(model)}
    assert at_model == {"shop-01": "adopted", "unpaired": "no_phone", "twin": "phone_taken", "both": "held_twice"}
    assert results["both", at(other)]["result"] == "held_twice"
    assert "its status is pairing" in results["unpaired", at(model)]["reason"]
    assert "shop-01" in results["twin", at(model)]["reason"]
    assert [each["session_id"] for each in await newcomer.accounts()] == ["shop-01"]


class NamesNobody(Waha):
    """Its list has a page of rows that no list should have."""

    async def _list(self, request: Any) -> Any:
        answer = await super()._list(request)
        rows = json.loads(answer.text)
        rows += [None, {"name": None}, {"name": "odd", "status": "ON_FIRE", "me": {"id": "6281100000077@c.us"}}]
        rows += [rows[0], {"name": "..", "status": "WORKING", "me": {"id": "6281100000078@c.us"}}]
        rows += [{"name": "x" * 190 + "\n" * 5, "status": "WORKING", "me": None}, {"name": 7}, "a word", [1]]
        return said(200, rows)


async def test_odd_rows_are_reported_and_harm_no_other(newcomer: Newcomer) -> None:
    model = NamesNobody()
    newcomer.models.append(await model.start())
    model.add("shop-01", paired=True, phone="6281100000001")
    [row] = (await newcomer.adopts(model))["instances"]
    oddities = " ".join(row["oddities"])
    assert "names no session" in oddities
    assert "'ON_FIRE'" in oddities
    assert "listed more than once" in oddities
    results = {each["native_id"]: each["result"] for each in row["found"]}
    assert results["shop-01"] == "adopted"
    assert results["odd"] == "adopted"
    assert results[".."] == "refused"


async def test_every_waha_core_may_call_its_session_default(newcomer: Newcomer) -> None:
    models = [await newcomer.runs("waha") for _ in range(3)]
    for number, model in enumerate(models):
        model.add("default", paired=True, phone=f"628110000000{number}")
    adopted = await newcomer.adopts(*models)
    assert adopted["adopted"] == 3
    accounts = {each["instance_url"]: each for each in await newcomer.accounts()}
    ids = [accounts[at(model)]["session_id"] for model in models]
    assert ids == ["default", *(f"{urlsplit(at(model)).netloc}/default" for model in models[1:])]
    assert {each["native_id"] for each in accounts.values()} == {"default"}
    for model in models:
        await newcomer.routes(model)
    for model in models:
        answer = await newcomer.send(accounts[at(model)], f"by {model.url}")
        assert answer.json()["success"] is True, answer.text
        assert model.sent == [("default", "628000000001", f"by {model.url}")]
    synced = (await newcomer.call("POST", "/sync", {"force": True})).json()
    assert (synced["verified"], synced["updated"], synced["duplicates"]) == (3, 0, 0)


async def test_a_session_moved_by_hand_is_found_by_its_name_and_phone(newcomer: Newcomer) -> None:
    one, two = await newcomer.runs("waha"), await newcomer.runs("waha")
    one.add("default", paired=True, phone="6281100000001")
    two.add("default", paired=True, phone="6281100000002")
    await newcomer.adopts(one, two)
    await newcomer.routes(one)
    await newcomer.routes(two)
    accounts = {each["phone"]: each for each in await newcomer.accounts()}
    one.sessions["default"].phone, two.sessions["default"].phone = "6281100000002", "6281100000001"
    synced = (await newcomer.call("POST", "/sync", {"force": True})).json()
    assert synced["updated"] == 2, synced
    answer = await newcomer.send(accounts["6281100000001"], "where are you?")
    assert (answer.json()["success"], answer.json()["instance_url"]) == (True, at(two))
    assert [text for _, _, text in two.sent] == ["where are you?"]


async def test_a_session_moved_by_hand_is_found_in_the_send(newcomer: Newcomer) -> None:
    one, two = await newcomer.runs("waha"), await newcomer.runs("waha")
    one.add("default", paired=True, phone="6281100000001")
    two.add("spare", paired=True, phone="6281100000002")
    await newcomer.adopts(one, two)
    await newcomer.routes(one)
    await newcomer.routes(two)
    account = next(each for each in await newcomer.accounts() if each["phone"] == "6281100000001")
    two.sessions["default"] = one.sessions.pop("default")
    answer = (await newcomer.send(account, "hello there")).json()
    assert (answer["success"], answer["instance_url"]) == (True, at(two)), answer
    assert two.sent == [("default", "628000000001", "hello there")]


async def test_one_list_of_each_instance_brings_a_thousand_sessions_in(newcomer: Newcomer) -> None:
    models = [await newcomer.runs("waha") for _ in range(20)]
    for number, model in enumerate(models):
        for each in range(50):
            model.add(f"shop-{number}-{each}", paired=True, phone=f"62811{number:03}{each:05}")
    began_s = time.monotonic()
    adopted = await newcomer.adopts(*models)
    took_s = time.monotonic() - began_s
    assert (adopted["adopted"], adopted["not_adopted"]) == (1000, 0)
    looks = 2 + took_s // 4  # beside the adoption's own: a gateway looks at its instances from time to time
    for model in models:
        assert [path for _, path in model.asked].count("/api/sessions") <= looks
        assert not [path for _, path in model.asked if path.startswith("/api/sessions/")]


async def test_nothing_is_told_to_an_observed_gateway(newcomer: Newcomer) -> None:
    model = await newcomer.runs("waha", "6281100000001", "6281100000002")
    await newcomer.adopts(model)
    account = (await newcomer.accounts())[0]
    row = await newcomer.instance(model)
    assert row is not None
    for path in (f"/accounts/{account['uuid']}/{what}" for what in ("start", "stop", "restart", "logout", "qr")):
        answer = await newcomer.call("POST", path)
        assert (answer.status_code, answer.json()["code"]) == (409, "instance_observed"), path
    for path, body in (
        (f"/accounts/{account['uuid']}/migrate", {"to": None}),
        (f"/accounts/{account['uuid']}/rehome", {}),
        (f"/instances/{row['id']}/drain", None),
    ):
        answer = await newcomer.call("POST", path, body)
        assert (answer.status_code, answer.json()["code"]) == (409, "instance_observed"), (path, answer.text)
    model.sessions.pop("shop-02")
    await newcomer.call("POST", "/sync", {"force": True})
    await newcomer.gateway.restoring.look()
    assert (await newcomer.call("DELETE", f"/accounts/{account['uuid']}?force=true")).status_code == 204
    assert {method for method, _ in model.asked} == {"GET"}
    assert model.sessions["shop-01"].open


async def test_what_would_have_been_done_is_written_down_with_its_reason(newcomer: Newcomer) -> None:
    model = await newcomer.runs("waha", "6281100000001", "6281100000002")
    await newcomer.adopts(model)
    status = await newcomer.status()
    row = next(each for each in status["data"] if each["url"] == at(model))
    assert (row["sessions"], row["lists"], row["lists_failed"], row["agreement"]) == (2, 1, 0, 1.0)
    assert (row["ready"], row["mode"]) == (False, "observe")
    for _ in range(2):
        await newcomer.call("POST", "/sync", {"force": True})
    row = next(each for each in (await newcomer.status())["data"] if each["url"] == at(model))
    assert row["ready"] is True
    assert row["reason"].endswith(f"homing instances set {at(model)} --mode route")
    model.sessions.pop("shop-02")
    await newcomer.call("POST", "/sync", {"force": True})
    model.fault = "garbage"
    await newcomer.call("POST", "/sync", {"force": True})
    status = await newcomer.status()
    row = next(each for each in status["data"] if each["url"] == at(model))
    assert (row["lists"], row["lists_failed"], row["recorded"], row["seen"]) == (4, 1, 8, 7)
    assert row["ready"] is False
    told = [each for each in status["would_haves"] if each["session_id"] == "shop-02"]
    assert [each["kind"] for each in told] == ["alert"]
    assert "session_unreachable" in told[0]["reason"]
    standing = [alert.kind.value for alert in newcomer.gateway.alerts.standing()]
    assert "session_unreachable" not in standing


async def test_a_correction_of_an_observed_session_is_kept_and_written_down(newcomer: Newcomer) -> None:
    one, two = await newcomer.runs("waha", "6281100000001"), await newcomer.runs("waha")
    await newcomer.adopts(one, two)
    two.sessions["shop-01"] = one.sessions.pop("shop-01")
    await newcomer.call("POST", "/sync", {"force": True})
    [account] = await newcomer.accounts()
    assert account["instance_url"] == at(two)
    told = [each for each in (await newcomer.status())["would_haves"] if each["kind"] == "correction"]
    assert {each["url"] for each in told} == {at(one), at(two)}
    assert told[0]["reason"] == f"recorded on {at(one)}, found on {at(two)}"


async def test_the_key_of_a_gateway_is_kept_sealed_and_never_shown(newcomer: Newcomer) -> None:
    model = await newcomer.runs("waha", "6281100000001", key="a-key-that-nobody-else-has")
    await newcomer.adopts(model)
    stored = await newcomer.gateway.stores.database.read(lambda c: [str(each) for each in c.execute(select(instances))])
    shown = [stored, await newcomer.instance(model), await newcomer.accounts()]
    shown.append((await newcomer.call("GET", "/audit")).json())
    assert "a-key-that-nobody-else-has" not in str(shown)
    assert repr(newcomer.gateway.fleet.roster.instances[at(model)]).count("sealed_key") == 0
    synced = (await newcomer.call("POST", "/sync", {"force": True})).json()
    assert synced["verified"] == 1


async def test_an_adoption_and_a_change_of_mode_are_in_the_audit_log(newcomer: Newcomer) -> None:
    model = await newcomer.runs("waha", "6281100000001")
    await newcomer.adopts(model)
    await newcomer.routes(model)
    entries = (await newcomer.call("GET", "/audit")).json()["data"]
    actions = [each["action"] for each in entries]
    assert {"fleet.adopted", "instance.added", "account.created", "instance.changed"} <= set(actions)
    changed = next(each for each in entries if each["action"] == "instance.changed")
    assert (changed["before"], changed["after"]) == ({"mode": "observe"}, {"mode": "route"})


async def test_another_family_at_an_address_after_a_deploy_is_observed_with_an_alert(newcomer: Newcomer) -> None:
    model = await newcomer.runs("waha", "6281100000001")
    await newcomer.adopts(model)
    await newcomer.routes(model)
    [account] = await newcomer.accounts()
    port = urlsplit(model.url).port
    assert port is not None
    await model.stop()
    other = MODELS["evolution"]()
    newcomer.models.append(await other.start(port))
    other.add("shop-01", paired=True, phone="6281100000001")
    for _ in range(3):
        await newcomer.gateway.fitness.check(at(model))
    row = await newcomer.instance(model)
    assert row is not None
    assert row["mode"] == "observe"
    assert "this is Evolution API" in row["attention"][0]["reason"]
    assert (await newcomer.send(account)).json()["code"] == "instance_observed"
    [refused] = (await newcomer.adopts(other, key=other.key))["refused"]
    assert "--driver evolution" in refused["detail"]
    assert other.sent == []


async def test_a_version_outside_the_checked_range_works_and_is_shown(newcomer: Newcomer) -> None:
    model = await newcomer.runs("waha", "6281100000001", version="2031.1.0")
    with capture_logs() as told:
        [row] = (await newcomer.adopts(model))["instances"]
        await newcomer.adopts(model)
        await newcomer.instance(model)
    assert [each["event"] for each in told].count("The version of a gateway was not checked") == 1
    assert (row["adopted"], row["version"]) == (1, "2031.1.0")
    assert "2031.1.0 is not one of the versions" in row["warning"]
    shown = await newcomer.instance(model)
    assert shown is not None
    assert "2031.1.0" in shown["warning"]


async def test_an_account_that_was_nowhere_is_placed_where_its_session_runs(newcomer: Newcomer) -> None:
    body = {"workspace_id": 1, "phone": "+6281100000001", "session_id": "shop-01", "start": False}
    made = (await newcomer.call("POST", "/accounts", body)).json()
    assert made["instance_url"] is None
    model = await newcomer.runs("waha", "6281100000001")
    [row] = (await newcomer.adopts(model))["instances"]
    assert [each["result"] for each in row["found"]] == ["placed"]
    [account] = await newcomer.accounts()
    assert (account["uuid"], account["instance_url"], account["native_id"]) == (made["uuid"], at(model), "shop-01")


async def test_a_deleted_account_can_be_adopted_again(newcomer: Newcomer) -> None:
    model = await newcomer.runs("waha", "6281100000001")
    await newcomer.adopts(model)
    [account] = await newcomer.accounts()
    await newcomer.call("DELETE", f"/accounts/{account['uuid']}?force=true")
    assert (await newcomer.adopts(model))["adopted"] == 1
    [again] = await newcomer.accounts()
    assert again["session_id"] == "shop-01"
    assert again["epoch"] > account["epoch"]


async def test_a_gateway_without_a_list_is_compared_session_by_session(newcomer: Newcomer) -> None:
    model = await newcomer.runs("baileys-api", "6281100000001", "6281100000002")
    told = (await newcomer.adopts(model))["instances"][0]
    assert (told["sessions"], "name them" in told["oddities"][0]) == (0, True)
    adopted = await newcomer.adopts(model, sessions=[*model.sessions, "+6281100000099"])
    assert adopted["adopted"] == 2
    assert "+6281100000099 is not known there" in adopted["instances"][0]["oddities"][0]
    synced = (await newcomer.call("POST", "/sync", {"force": True})).json()
    assert (synced["verified"], synced["unreachable"]) == (2, 0)
    del model.sessions["+6281100000002"]
    synced = (await newcomer.call("POST", "/sync", {"force": True})).json()
    assert (synced["verified"], synced["unreachable"]) == (1, 1)  # the settings' instances are silent
    row = next(each for each in (await newcomer.status())["data"] if each["url"] == at(model))
    assert (row["recorded"], row["seen"]) == (4, 3)


async def test_without_a_secret_to_seal_it_with_a_key_lives_as_long_as_the_process(sqlite_url: str) -> None:
    async with open_gateway(settings(sqlite_url, whatsapp_hmac_secret="")) as gateway:
        model = await MODELS["waha"]().start()
        model.add("shop-01", paired=True, phone="6281100000001")
        adopted = await gateway.adoption.gateways.adopt(FleetWanted([at(model)], key=model.key))
        assert "until this gateway ends: set HOMING_SECRET" in (adopted.instances[0].found.warning or "")
        report = await gateway.sync.run(force=True)
        assert report.counts["verified"] == 1
        [stored] = [each for each in await gateway.stores.directory.instances() if each.url == at(model)]
        assert stored.sealed_key is None
    await model.stop()
