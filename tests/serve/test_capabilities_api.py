"""What can be done for an account's session, as the API tells it."""

from tests.serve import test_foreign_gateways as foreign
from tests.serve.conftest import Api

fleet, at = foreign.fleet, foreign.at


async def test_of_our_own_instance_it_says_what_is_done_by_itself(api: Api) -> None:
    account = await api.account()
    shown = (await api.call("GET", f"/accounts/{account['id']}/capabilities", key="reader")).json()
    assert (shown["account_uuid"], shown["instance_url"]) == (account["uuid"], account["instance_url"])
    assert (shown["driver"], shown["takeover"], shown["declared"]) == ("webjs", "auto", True)
    said = {each["name"]: each for each in shown["recovery"]}
    assert said["rediscovered"]["can"] is True
    assert all(each["words"].startswith(each["name"].replace("_", " ")) for each in shown["recovery"])


async def test_an_account_that_is_nowhere_has_none_and_another_tenants_is_not_there(api: Api) -> None:
    made = await api.call("POST", "/accounts", {"workspace_id": 1, "phone": "0816108641", "start": False})
    answer = await api.call("GET", f"/accounts/{made.json()['id']}/capabilities")
    assert (answer.status_code, answer.json()["code"]) == (409, "account_not_placed")
    other = await api.account(2, "0816108642")
    assert (await api.call("GET", f"/accounts/{other['id']}/capabilities", key="reader")).status_code == 404


@foreign.only("evolution", "wuzapi", "waha")
async def test_a_foreign_family_says_why_it_is_not_brought_back_and_what_would_help(fleet: foreign.Fleet) -> None:
    shown = {}
    for family in fleet.models:
        account = await fleet.taken_up(family)
        shown[family] = (await fleet.call("GET", f"/accounts/{account['uuid']}/capabilities")).json()
        assert shown[family]["instance_url"] == at(fleet.models[family][0])
    assert {family: each["takeover"] for family, each in shown.items()} == {
        "evolution": "manual",
        "wuzapi": "never",
        "waha": "manual",
    }
    words = {each["name"]: each["words"] for each in shown["evolution"]["recovery"]}
    assert "no, because Evolution keeps Signal keys on its own disk" in words["brought_back_by_itself"]
    assert "what would help" in words["brought_back_by_itself"]
    assert shown["waha"]["checked"] == {"oldest": "2024.10", "newest": "2026.7", "recorded": True}
    assert shown["wuzapi"]["checked"]["recorded"] is False
