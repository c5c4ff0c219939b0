"""Having gateways report to us: the owner's addresses kept, what a start loses set again, and all of it undone."""

import dataclasses
import json
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

from homing.decide.reports.hints import Hint
from homing.decide.reports.polling import PollPolicy
from homing.flows.webhooks.polling import Polling
from homing.model.work import Tick
from simulated_gateways import Model
from simulated_gateways.base import Told
from simulated_gateways.evolution import Evolution
from simulated_gateways.waha import Waha
from tests.serve import test_foreign_gateways as foreign

fleet, at, only = foreign.fleet, foreign.at, foreign.only
OWNERS = "https://crm.example/hook"
TICK = Tick("webhooks", datetime(2026, 11, 30, 1, 1, tzinfo=UTC), 1, False, "")


async def connect(fleet: foreign.Fleet, model: Model, **asked: bool) -> Any:
    number = (await fleet.instance(at(model)))["id"]
    return await fleet.call("POST", f"/instances/{number}/connect-webhooks", asked)


def listening(fleet: foreign.Fleet, model: Model) -> Model:
    """The model posts what it reports to us, at whatever address of ours it was told."""
    ours = fleet.gateway.settings.our_url

    async def post(url: str, body: bytes, headers: dict[str, str]) -> int:
        if not url.startswith(ours):
            return 200
        return (await fleet.client.post(url.removeprefix(ours), content=body, headers=headers)).status_code

    model.post = post
    return model


async def kinds(fleet: foreign.Fleet, account: dict[str, Any]) -> list[str]:
    found = (await fleet.call("GET", f"/events?session_id={quote(account['session_id'])}")).json()["data"]
    return [each["kind"] for each in found]


@only("waha")
async def test_waha_reports_to_us_beside_its_owner_and_signs(fleet: foreign.Fleet) -> None:
    account, model = await fleet.taken_up("waha"), listening(fleet, fleet.models["waha"][0])
    [name] = model.sessions
    model.hooks[name] = [{"url": OWNERS, "events": ["message"], "hmac": {"key": "theirs"}}]
    dry = (await connect(fleet, model, dry_run=True)).json()
    assert [each["wiring"] for each in dry["sessions"]] == ["add"] and OWNERS in dry["sessions"][0]["reason"]
    assert len(model.hooks[name]) == 1, "nothing was changed"
    told = (await connect(fleet, model)).json()
    assert (told["attention"], told["sessions"][0]["wiring"]) == (0, "add")
    theirs, ours = model.hooks[name]
    assert theirs == {"url": OWNERS, "events": ["message"], "hmac": {"key": "theirs"}}
    assert ours["url"].startswith(told["webhook_url"]) and "session.status" in ours["events"]
    assert await model.report(name, Told("incoming")) == [200, 200]
    assert await kinds(fleet, account) == ["message_received"]
    again = (await connect(fleet, model)).json()
    assert again["sessions"][0]["wiring"] == "connected" and len(model.hooks[name]) == 2
    undone = (await connect(fleet, model, undo=True)).json()
    assert undone["sessions"][0]["wiring"] == "restored" and model.hooks[name] == [theirs]


@only("evolution")
async def test_evolution_has_room_for_one_and_the_owners_is_put_back(fleet: foreign.Fleet) -> None:
    account, model = await fleet.taken_up("evolution"), listening(fleet, fleet.models["evolution"][0])
    [name] = model.sessions
    before = {"enabled": True, "url": f"{OWNERS}?token=HUSH", "byEvents": False, "headers": {"A": "b"}}
    model.hooks[name] = [before | {"base64": False, "events": ["MESSAGES_UPSERT"]}]
    refused = await connect(fleet, model)
    [row] = refused.json()["sessions"]
    assert (row["wiring"], row["lost"], refused.json()["attention"]) == ("refused", [OWNERS], 1)
    assert "--replace" in row["reason"] and "HUSH" not in refused.text
    assert model.hooks[name][0]["url"].startswith(OWNERS), "nothing was changed"
    [row] = (await connect(fleet, model, replace=True)).json()["sessions"]
    assert row["wiring"] == "replace"
    assert isinstance(model, Evolution)
    model.shows_tokens = False
    assert await model.report(name, Told("incoming")) == [200], "by the header that it was told"
    assert await kinds(fleet, account) == ["message_received"]
    [row] = (await connect(fleet, model, undo=True)).json()["sessions"]
    assert row["wiring"] == "restored" and "crm.example/hook again" in row["reason"] and "HUSH" not in json.dumps(row)
    assert model.hooks[name][0]["url"] == f"{OWNERS}?token=HUSH" and model.hooks[name][0]["headers"] == {"A": "b"}


@only("evolution", "wuzapi", "gowa")
async def test_an_address_that_can_be_asked_for_is_replaced_on_request_and_put_back(fleet: foreign.Fleet) -> None:
    for family, (model, _) in fleet.models.items():
        account = await fleet.taken_up(family)
        listening(fleet, model)
        [name] = model.sessions
        before = {"url": OWNERS, "enabled": True, "events": ["MESSAGES_UPSERT"] if family == "evolution" else "message"}
        model.hooks[name] = [before]
        [row] = (await connect(fleet, model)).json()["sessions"]
        assert (row["wiring"], row["lost"], model.hooks[name]) == ("refused", [OWNERS], [before]), (family, row)
        [row] = (await connect(fleet, model, replace=True)).json()["sessions"]
        assert row["wiring"] == "replace", (family, row)
        assert await model.report(name, Told("incoming")) == [200], family
        assert await kinds(fleet, account) == ["message_received"], family
        [row] = (await connect(fleet, model)).json()["sessions"]
        assert row["wiring"] == "connected", (family, row)
        [row] = (await connect(fleet, model, undo=True)).json()["sessions"]
        assert (row["wiring"], model.hooks[name][0]["url"]) == ("restored", OWNERS), (family, row)


@only("waha", "evolution", "wuzapi", "gowa")
async def test_a_session_that_reports_to_nobody_reports_to_us_and_to_nobody_again(fleet: foreign.Fleet) -> None:
    for family, (model, _) in fleet.models.items():
        await fleet.taken_up(family)
        listening(fleet, model)
        [name] = model.sessions
        [row] = (await connect(fleet, model)).json()["sessions"]
        assert row["wiring"] == "add", (family, row)
        assert await model.report(name, Told("incoming")) == [200], family
        [row] = (await connect(fleet, model, undo=True)).json()["sessions"]
        assert (row["wiring"], model.hooks.get(name, [])) == ("restored", []), (family, row)


@only("baileys-api")
async def test_baileys_api_is_told_anew_and_what_was_there_is_its_owners_to_tell(fleet: foreign.Fleet) -> None:
    account, model = await fleet.taken_up("baileys-api"), listening(fleet, fleet.models["baileys-api"][0])
    [name] = model.sessions
    [row] = (await connect(fleet, model)).json()["sessions"]
    assert row["wiring"] == "refused"
    [row] = (await connect(fleet, model, replace=True)).json()["sessions"]
    assert row["wiring"] == "replace"
    assert await model.report(name, Told("incoming")) == [200]
    assert await kinds(fleet, account) == ["message_received"]
    [row] = (await connect(fleet, model, undo=True)).json()["sessions"]
    assert row["wiring"] == "failed" and "whoever started the session" in row["reason"]


@only("evolution", "gowa")
async def test_reports_of_a_session_with_a_slash_in_its_name_are_its_own(fleet: foreign.Fleet) -> None:
    for family, (model, _) in fleet.models.items():
        name = f"{family}/one"
        model.add(name, paired=True, phone=foreign.PHONES[family])
        body = {"workspace_id": 1, "phone": foreign.PHONES[family], "session_id": name, "start": False}
        made = await fleet.call("POST", "/accounts", body | {"instance_url": at(model)})
        assert made.status_code == 201, made.text
        listening(fleet, model)
        assert (await connect(fleet, model)).json()["attention"] == 0
        assert model.hooks[name][0]["url"].endswith(f"/{family}%2Fone")
        assert await model.report(name, Told("incoming")) == [200], family
        assert await kinds(fleet, made.json()) == ["message_received"], family


@only("waha", "evolution")
async def test_what_a_start_of_the_gateway_lost_is_set_again(fleet: foreign.Fleet) -> None:
    for family, (model, _) in fleet.models.items():
        account = await fleet.taken_up(family)
        listening(fleet, model)
        [name] = model.sessions
        await connect(fleet, model)
        model.hooks.clear()
        assert "1 sessions told again" in await fleet.gateway.moving.connecting.tick(TICK), family
        assert await model.report(name, Told("incoming")) == [200]
        assert await kinds(fleet, account) == ["message_received"]
        assert "0 sessions told again" in await fleet.gateway.moving.connecting.tick(TICK)


@only("waha")
async def test_sessions_that_are_started_anew_to_be_told_again_come_at_their_gateways_rate(
    fleet: foreign.Fleet,
) -> None:
    model, names = fleet.models["waha"][0], [f"s{number}" for number in range(5)]
    assert isinstance(model, Waha)
    for number, name in enumerate(names):
        phone = f"62800000011{number}"
        model.add(name, paired=True, phone=phone)
        body = {"workspace_id": 1, "phone": phone, "session_id": name, "start": False, "instance_url": at(model)}
        assert (await fleet.call("POST", "/accounts", body)).status_code == 201
    await connect(fleet, model)
    number = (await fleet.instance(at(model)))["id"]
    await fleet.call("PATCH", f"/instances/{number}", {"labels": {"starts_per_min": "2"}})
    model.hooks.clear()
    model.restarted.clear()
    connecting = fleet.gateway.moving.connecting
    assert "2 sessions told again" in await connecting.tick(TICK)
    assert len(model.restarted) == 2
    late = dataclasses.replace(TICK, at=TICK.at + timedelta(minutes=4 + number))
    connecting._healthy_for_s = lambda _: 3_600.0
    assert "1 instances looked at, 0 sessions told again" in await connecting.tick(late), "the others still wait"
    await fleet.call("PATCH", f"/instances/{number}", {"labels": {"starts_per_min": "none"}})
    assert "3 sessions told again" in await connecting.tick(late)
    assert sorted(model.restarted) == names
    assert "0 instances looked at" in await connecting.tick(late), "nobody waits any more"


@only("evolution")
async def test_what_somebody_else_chose_since_stays(fleet: foreign.Fleet) -> None:
    await fleet.taken_up("evolution")
    model = fleet.models["evolution"][0]
    [name] = model.sessions
    await connect(fleet, model)
    model.hooks[name] = [{"enabled": True, "url": OWNERS, "events": []}]
    assert "0 sessions told again" in await fleet.gateway.moving.connecting.tick(TICK)
    assert model.hooks[name][0]["url"] == OWNERS


@only("wppconnect")
async def test_wppconnect_is_told_when_its_session_is_started_anew(fleet: foreign.Fleet) -> None:
    account, model = await fleet.taken_up("wppconnect"), listening(fleet, fleet.models["wppconnect"][0])
    [name] = model.sessions
    [row] = (await connect(fleet, model)).json()["sessions"]
    assert row["wiring"] == "refused" and model.hooks == {}
    [row] = (await connect(fleet, model, replace=True)).json()["sessions"]
    assert row["wiring"] == "replace" and model.sessions[name].up
    assert await model.report(name, Told("incoming")) == [200]
    assert await kinds(fleet, account) == ["message_received"]
    model.hooks.clear()
    await fleet.call("POST", f"/accounts/{account['uuid']}/restart")
    assert await model.report(name, Told("incoming", message_id="3EB0NEXT")) == [200], "every start tells it"
    [row] = (await connect(fleet, model, undo=True)).json()["sessions"]
    assert row["wiring"] == "restored" and model.hooks[name] == []


@only("wwebjs-api")
async def test_where_the_environment_tells_it_the_line_is_given(fleet: foreign.Fleet) -> None:
    await fleet.taken_up("wwebjs-api")
    told = (await connect(fleet, fleet.models["wwebjs-api"][0])).json()
    assert told["by_hand"] == f"BASE_WEBHOOK_URL={told['webhook_url']}" and told["sessions"] == []


@only("waha")
async def test_nothing_of_an_observed_instance_is_changed(fleet: foreign.Fleet) -> None:
    await fleet.taken_up("waha")
    model = fleet.models["waha"][0]
    number = (await fleet.instance(at(model)))["id"]
    await fleet.call("PATCH", f"/instances/{number}", {"mode": "observe"})
    await fleet.gateway.fleet.refresh()
    answer = await connect(fleet, model)
    assert (answer.status_code, answer.json()["code"]) == (409, "instance_observed")
    assert (await connect(fleet, model, dry_run=True)).status_code == 200
    assert isinstance(model, Waha) and model.restarted == []


@only("waha")
async def test_it_is_in_the_audit_log_and_a_dry_run_is_not(fleet: foreign.Fleet) -> None:
    await fleet.taken_up("waha")
    model = fleet.models["waha"][0]
    await connect(fleet, model, dry_run=True)
    assert (await fleet.call("GET", "/audit?action=webhooks.connected")).json()["data"] == []
    told = (await connect(fleet, model)).json()
    page = await fleet.call("GET", "/audit?action=webhooks.connected")
    assert len(page.json()["data"]) == 1 and told["webhook_url"].rpartition("/")[2] not in page.text


@only("waha")
async def test_a_gateway_that_fails_says_so_for_each_session(fleet: foreign.Fleet) -> None:
    await fleet.taken_up("waha")
    model = fleet.models["waha"][0]
    model.fault = "garbage"
    told = (await connect(fleet, model, dry_run=True)).json()
    assert told["attention"] in (0, 1) and len(told["sessions"]) == 1
    await model.stop()
    told = (await connect(fleet, model)).json()
    assert (told["attention"], told["sessions"][0]["wiring"]) == (1, "failed")


# --- those that do not tell ---


class Offered:
    """Hears which sessions are to be looked at."""

    def __init__(self) -> None:
        self.hints: list[Hint] = []

    def offer(self, hint: Hint) -> None:
        self.hints.append(hint)


@only("wuzapi", "waha")
async def test_those_are_asked_whose_reports_do_not_tell_and_only_they(fleet: foreign.Fleet) -> None:
    silent, telling = await fleet.taken_up("wuzapi"), await fleet.taken_up("waha")
    await connect(fleet, fleet.models["waha"][0])
    gateway, offered = fleet.gateway, Offered()
    polling = Polling(
        gateway.fleet,
        gateway.stores.directory,
        gateway.sync._lists,
        offered,  # type: ignore[arg-type]
        gateway.stores.webhook_targets,
        gateway.clock,
        PollPolicy(share=1.0, least_s=0.0, most_s=0.0),
    )
    await polling.tick(TICK)
    asked = {family: len(both[0].asked) for family, both in fleet.models.items()}
    fleet.models["wuzapi"][0].sessions[silent["session_id"]].paired = False
    fleet.models["waha"][0].sessions[telling["session_id"]].paired = False
    offered.hints.clear()
    await polling.tick(TICK)
    assert [hint.session_id for hint in offered.hints] == [silent["session_id"]]
    assert offered.hints[0].kind == "session_polled"
    assert len([each for each in fleet.models["waha"][0].asked[asked["waha"] :] if each[1] == "/api/sessions"]) == 0
    offered.hints.clear()
    await polling.tick(TICK)
    assert offered.hints == [], "what was looked at once is no news"
    fleet.models["wuzapi"][0].sessions.clear()
    await polling.tick(TICK)
    assert [hint.session_id for hint in offered.hints] == [silent["session_id"]], "it is gone"


@only("wuzapi")
async def test_polling_is_turned_off_by_its_setting(fleet: foreign.Fleet) -> None:
    await fleet.taken_up("wuzapi")
    gateway = fleet.gateway
    off = PollPolicy(share=0.0)
    parts = (gateway.fleet, gateway.stores.directory, gateway.sync._lists, Offered(), gateway.stores.webhook_targets)
    asked = len(fleet.models["wuzapi"][0].asked)
    assert "HOMING_POLL_SHARE" in await Polling(*parts, gateway.clock, off).tick(TICK)  # type: ignore[arg-type]
    assert not [each for each in fleet.models["wuzapi"][0].asked[asked:] if each[1] == "/admin/users"]
