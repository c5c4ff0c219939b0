"""How each workspace reads numbers, from outside: what is set, what is refused, and what is sent where."""

from typing import Any

import pytest

from homing.model.directory.access import Scope
from homing.model.sends.faults import Fault, Phase
from tests.flows.worlds import PLAIN, A, Misfortune
from tests.serve.conftest import Api


async def contact(api: Api, phone: str, *, workspace: int = 1) -> dict[str, Any]:
    answer = await api.call("POST", "/contacts", {"workspace_id": workspace, "phone": phone})
    return {"status": answer.status_code} | answer.json()


async def test_a_workspace_shows_the_region_that_its_numbers_belong_to(api: Api) -> None:
    shown = (await api.call("GET", "/workspaces/1", key="reader")).json()
    assert {name: shown[name] for name in ("id", "name", "region", "bare_digits")} == {
        "id": 1,
        "name": "",
        "region": "ID",
        "bare_digits": "strict",
    }
    page = (await api.call("GET", "/workspaces")).json()
    assert ([row["id"] for row in page["data"]], page["next"]) == ([1, 2], None)


async def test_numbers_are_read_in_the_region_that_was_set_from_the_next_request_on(api: Api) -> None:
    assert (await contact(api, "(11) 98765-4321"))["code"] == "phone_invalid"
    changed = await api.call("PATCH", "/workspaces/1", {"region": "br", "name": "Loja"})
    assert (changed.status_code, changed.json()["region"], changed.json()["name"]) == (200, "BR", "Loja")
    made = await contact(api, "(11) 98765-4321")
    assert (made["phone"], made["phone_as_written"]) == ("5511987654321", "(11) 98765-4321")
    assert (await contact(api, "0811801641", workspace=2))["phone"] == "62811801641", "the other one is as it was"
    back = await api.call("PATCH", "/workspaces/1", {"region": None})
    assert (back.json()["region"], back.json()["name"]) == ("ID", "Loja")


async def test_what_bare_digits_mean_is_the_owners_to_say(api: Api) -> None:
    await api.call("PATCH", "/workspaces/1", {"region": "US"})
    refused = await contact(api, "2015550123")
    assert (refused["status"], refused["code"], refused["field"]) == (422, "phone_ambiguous", "phone")
    assert "+2015550123 or +12015550123" in refused["detail"]
    await api.call("PATCH", "/workspaces/1", {"bare_digits": "national"})
    assert (await contact(api, "2015550123"))["phone"] == "12015550123"
    await api.call("PATCH", "/workspaces/1", {"bare_digits": "international"})
    assert (await contact(api, "2015550123"))["phone"] == "2015550123"


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"region": "XX"}, "region"),
        ({"region": ""}, "region"),
        ({"region": "IDN"}, "region"),
        ({"region": "001"}, "region"),
        ({"bare_digits": "guess"}, "bare_digits"),
    ],
)
async def test_what_does_not_exist_cannot_be_set(api: Api, change: dict[str, Any], field: str) -> None:
    answer = await api.call("PATCH", "/workspaces/1", change)
    assert (answer.status_code, answer.json()["field"]) == (422, field)
    assert (await api.call("GET", "/workspaces/1")).json()["region"] == "ID"


async def test_another_workspace_looks_like_none(api: Api) -> None:
    foreign = [await api.call(method, "/workspaces/1", {}, key="stranger") for method in ("GET", "PATCH")]
    unknown = [await api.call(method, "/workspaces/9", {}, key="stranger") for method in ("GET", "PATCH")]
    assert [answer.status_code for answer in (*foreign, *unknown)] == [404] * 4
    assert [answer.json()["detail"].replace("9", "1") for answer in unknown] == [a.json()["detail"] for a in foreign]
    assert (await api.call("GET", "/workspaces/9")).status_code == 404, "an operator is told the same"
    own = (await api.call("GET", "/workspaces", key="stranger")).json()["data"]
    assert [row["id"] for row in own] == [2]
    assert (await api.call("PATCH", "/workspaces/2", {"region": "BR"}, key="stranger")).status_code == 200
    assert (await api.call("PATCH", "/workspaces/1", {"region": "BR"}, key="reader")).status_code == 403


# --- sends ---


@pytest.mark.parametrize(
    ("written", "digits"),
    [
        ("0062811801641", "62811801641"),
        ("wa.me/62811801641", "62811801641"),
        ("5215500000001", "5215500000001"),
        ("81212345678", "6281212345678"),
        ("+54 11 15 2345 6789", "54111523456789"),
    ],
)
async def test_a_message_goes_to_the_number_that_was_written(api: Api, written: str, digits: str) -> None:
    account = await api.account()
    assert (await api.send(account, "hello", phone=written)).status_code == 200
    assert api.world.recipients == [digits]


@pytest.mark.parametrize(
    ("written", "code"),
    [
        ("62811801641.0", "phone_invalid"),
        ("54 9 11 15 2345 6789", "phone_invalid"),
        ("22500000012", "phone_invalid"),
        ("12", "phone_invalid"),
        ("+62811801641 ext. 7", "phone_invalid"),
        ("+1-800-FLOWERS", "phone_invalid"),
        ("٠٨١١٨٠١٦٤١", "phone_invalid"),
        ("8" * 200, "phone_invalid"),
        ("628 11801641", "phone_ambiguous"),
    ],
)
async def test_a_message_to_what_is_no_number_goes_nowhere(api: Api, written: str, code: str) -> None:
    account = await api.account()
    answer = await api.send(account, phone=written)
    assert (answer.status_code, answer.json()["code"], answer.json()["field"]) == (422, code, "phone")
    assert api.world.recipients == []
    for path in ("/accounts", "/contacts"):
        refused = await api.call("POST", path, {"workspace_id": 1, "phone": written})
        assert (refused.status_code, refused.json()["code"], refused.json()["field"]) == (422, code, "phone")


async def test_the_record_of_a_message_keeps_what_was_written_and_what_was_sent_to(api: Api) -> None:
    account = await api.account()
    made = await contact(api, "0811 801 642")
    api.world.instances[A].can = PLAIN
    api.gateway.fleet.doubt(A)
    api.world.instances[A].misfortunes += [Misfortune(Fault(Phase.INTERRUPTED), delivered=True)] * 2
    by_phone = (await api.send(account, phone="00 62 811 801 641")).json()
    to_contact = (await api.send(account, phone=None, contact_uuid=made["uuid"])).json()
    shown = [(await api.call("GET", f"/messages/{sent['message_uuid']}")).json() for sent in (by_phone, to_contact)]
    assert [(message["phone"], message["phone_as_written"]) for message in shown] == [
        ("62811801641", "00 62 811 801 641"),
        ("62811801642", "0811 801 642"),
    ]


async def test_an_account_in_another_spelling_is_named_as_the_one_it_is(api: Api) -> None:
    first = await api.account(phone="0816108641")
    assert first["phone"] == "0816108641", "as it was written"
    for written in ("+62 816-108-641", "62816108641", "0062816108641", "62816108641@c.us"):
        answer = await api.call("POST", "/accounts", {"workspace_id": 1, "phone": written})
        assert (answer.status_code, answer.json()["code"]) == (409, "already_exists")
        assert f"{first['id']} ({first['uuid']}), written 0816108641" in answer.json()["detail"]
    twice = [await contact(api, written) for written in ("+52 1 55 1234 5678", "+525512345678")]
    assert [each["status"] for each in twice] == [201, 409]


async def test_a_send_reads_no_setting_from_the_database(api: Api) -> None:
    account = await api.account()
    await api.send(account)
    await api.call("PATCH", "/workspaces/1", {"region": "BR"})

    async def reads() -> float:
        text = (await api.client.get("/metrics")).text
        line = next(line for line in text.splitlines() if line.startswith("homing_directory_reads_total "))
        return float(line.split()[1])

    before = await reads()
    assert (await api.send(account, phone="(11) 98765-4321")).status_code == 200
    assert await reads() == before
    assert api.world.recipients[-1] == "5511987654321"


async def test_a_key_of_a_workspace_sends_by_its_own_settings(api: Api) -> None:
    await api.key("brazil", Scope.ADMIN, 3)
    await api.call("PATCH", "/workspaces/3", {"region": "BR"}, key="brazil")
    account = (await api.call("POST", "/accounts", {"phone": "(11) 98765-4321"}, key="brazil")).json()
    body = {"account_uuid": account["uuid"], "phone": "(11) 98765-4322", "message": "olá"}
    assert (await api.call("POST", "/messages/send", body, key="brazil")).status_code == 200
    assert api.world.recipients == ["5511987654322"]


async def test_what_is_done_for_deaf_sessions_is_said_by_workspace_and_by_account(api: Api) -> None:
    account = await api.account()
    changed = await api.call("PATCH", "/workspaces/1", {"deaf_policy": "restart"})
    assert changed.json()["deaf_policy"] == "restart"
    changed = await api.call("PATCH", f"/accounts/{account['id']}", {"deaf_policy": "full"})
    assert changed.json()["deaf_policy"] == "full"
    entry = (await api.call("GET", "/audit?action=account.changed")).json()["data"][0]
    assert (entry["before"], entry["after"]) == ({"deaf_policy": None}, {"deaf_policy": "full"})
    taken_away = await api.call("PATCH", f"/accounts/{account['id']}", {"deaf_policy": None})
    assert taken_away.json()["deaf_policy"] is None
    assert (await api.call("PATCH", "/workspaces/1", {"deaf_policy": "often"})).status_code == 422
