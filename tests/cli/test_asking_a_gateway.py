"""Commands that ask the gateway which HOMING_API_URL names: what they ask, and what they make of the answer."""

import json
import socket
from urllib.parse import parse_qs, urlsplit

import pytest

from tests.cli.conftest import ACCOUNT, CommandLine, ScriptedGateway

# --- what is asked --------------------------------------------------------------------------------------------


def test_a_request_carries_the_key_and_only_the_filters_that_were_given(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("GET", "/accounts", {"data": [], "next": None})
    assert homing("accounts", "list", "--status", "connected", "--workspace", "3", "--limit", "9").code == 0
    assert gateway.last.headers["Authorization"] == "Bearer hk_the_key"
    assert parse_qs(urlsplit(gateway.last.path).query) == {
        "status": ["connected"],
        "workspace_id": ["3"],
        "after": ["0"],
        "limit": ["9"],
    }


@pytest.mark.parametrize("verb", ["start", "stop", "restart", "logout"])
def test_each_verb_reaches_its_account(homing: CommandLine, gateway: ScriptedGateway, verb: str):
    gateway.answer("POST", f"/accounts/144/{verb}", {**ACCOUNT, "status": "starting"})
    ran = homing("accounts", verb, "144")
    assert ran.code == 0
    assert "starting" in ran.out


def test_a_new_account_is_asked_for_as_it_was_described(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("POST", "/accounts", ACCOUNT, 201)
    described = ("--workspace", "1", "--name", "Shop", "--takeover", "manual", "--no-start")
    assert homing("accounts", "create", "0816108641", *described, "--json").document == ACCOUNT
    assert gateway.last.body == {
        "phone": "0816108641",
        "name": "Shop",
        "workspace_id": 1,
        "takeover": "manual",
        "start": False,
    }


def test_a_reference_cannot_leave_its_place_in_the_path(homing: CommandLine, gateway: ScriptedGateway):
    homing("accounts", "show", "../keys?x=1")
    assert gateway.last.path == "/api/v1/accounts/..%2Fkeys%3Fx%3D1"


def test_forgetting_an_account_by_its_number_forgets_its_uuid(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("GET", "/accounts/144", ACCOUNT)
    gateway.answer("POST", "/cache/forget", {"success": True, "forgotten": ACCOUNT["uuid"]})
    assert homing("cache", "forget", "144").code == 0
    assert gateway.last.body == {"account_uuid": ACCOUNT["uuid"]}


def test_an_instance_is_removed_by_any_spelling_of_its_address(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("GET", "/instances", {"data": [{"id": 5, "url": "http://localhost:3005"}], "next": None})
    gateway.answer("DELETE", "/instances/5", {})
    assert homing("instances", "remove", "http://127.0.0.1:3005/", "--json").document == {"removed": 5}
    assert homing("instances", "remove", "http://localhost:3006").code == 2


def test_labels_of_an_instance_are_pairs(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer(
        "POST",
        "/instances",
        {"id": 5, "url": "http://a:1", "driver": "waha", "healthy": True, "detail": "answers"},
        201,
    )
    assert homing("instances", "add", "http://a:1", "--label", "rack=b", "--label", "zone=c").code == 0
    assert gateway.last.body["labels"] == {"rack": "b", "zone": "c"}
    assert homing("instances", "add", "http://a:1", "--label", "rack").code == 2
    assert "driver" not in gateway.last.body, "it is the gateway's that answers there"


def test_the_driver_of_an_instance_is_named_and_changed(homing: CommandLine, gateway: ScriptedGateway):
    made = {"id": 5, "url": "http://a:1", "driver": "waha", "healthy": True, "detail": "answers"}
    gateway.answer("POST", "/instances", made, 201)
    assert "waha" in homing("instances", "add", "http://a:1", "--driver", "waha").out
    assert gateway.last.body["driver"] == "waha"
    gateway.answer("PATCH", "/instances/5", {"id": 5})
    assert homing("instances", "set", "5", "--driver", "evolution", "--json").code == 0
    assert gateway.last.body == {"driver": "evolution"}


def test_the_line_that_a_process_needs_stands_alone_on_stdout_and_a_warning_on_stderr(
    homing: CommandLine, gateway: ScriptedGateway
):
    made = {"id": 5, "url": "http://a:1", "driver": "waha", "healthy": True, "detail": "answers"}
    more = {"report_to": "http://gw:8000/in/5", "warning": "http://gw:8000 is a guess"}
    gateway.answer("POST", "/instances", made | more, 201)
    ran = homing("instances", "add", "http://a:1", "--force")
    assert "LARAVEL_URL=http://gw:8000/in/5" in ran.out.splitlines()
    assert "is a guess" in ran.err
    assert gateway.last.body["force"] is True


def test_mode_and_storage_of_an_instance_are_set(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("PATCH", "/instances/5", {"id": 5})
    assert homing("instances", "set", "5", "--mode", "observe", "--storage", "nas-1", "--json").code == 0
    assert gateway.last.body == {"mode": "observe", "storage": "nas-1"}
    assert homing("instances", "set", "5", "--storage", "", "--json").code == 0
    assert gateway.last.body == {"storage": None}
    assert homing("instances", "set", "5", "--mode", "watch").code == 2


def test_unknown_senders_are_named_beside_the_instances(homing: CommandLine, gateway: ScriptedGateway):
    sender = {"named": "http://wa9:3001", "reports": 7, "do": "homing instances add http://wa9:3001"}
    gateway.answer("GET", "/instances", {"data": [], "next": None, "unknown_senders": [sender]})
    ran = homing("instances")
    assert "http://wa9:3001 (7 reports): homing instances add" in ran.err.replace("\n", " ")


def test_the_gateway_wins_over_the_database(homing: CommandLine, gateway: ScriptedGateway):
    homing.setting("HOMING_DATABASE_URL", "mysql://nobody/could/open/this")
    gateway.answer("GET", "/distribution", {"data": [], "next": None})
    assert homing("distribution").code == 0


# --- what is shown --------------------------------------------------------------------------------------------


def test_json_is_the_gateways_document_and_nothing_else(homing: CommandLine, gateway: ScriptedGateway):
    page = {"data": [ACCOUNT], "next": 144}
    gateway.answer("GET", "/accounts", page)
    ran = homing("accounts", "--json")
    assert (ran.document, ran.err) == (page, "")


def test_a_pipe_gets_whole_addresses_and_no_escape_codes(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("GET", "/accounts", {"data": [ACCOUNT], "next": None})
    heading, row = homing("accounts").out.splitlines()
    assert heading.split()[:2] == ["id", "phone"]
    assert ACCOUNT["instance_url"] in row
    assert "\x1b" not in heading + row


def test_what_a_gateway_says_is_never_taken_as_markup(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("GET", "/accounts", {"data": [{**ACCOUNT, "name": "[red]Sale[/red] :smile:"}], "next": None})
    assert "[red]Sale[/red] :smile:" in homing("accounts").out


def test_the_next_page_is_named_beside_the_rows_and_not_among_them(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("GET", "/accounts", {"data": [ACCOUNT], "next": 144})
    ran = homing("accounts")
    assert "--after 144" in ran.err
    assert len(ran.out.splitlines()) == 2


def test_nothing_to_list_is_said_on_stderr(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("GET", "/moves", {"data": [], "next": None})
    ran = homing("moves", "--account", "144")
    assert (ran.code, ran.out, ran.err) == (0, "", "Nothing has moved.\n")


def test_an_account_is_shown_with_all_that_says_where_its_session_is(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("GET", "/accounts/144", ACCOUNT)
    facts = dict(line.split(maxsplit=1) for line in homing("accounts", "show", "144").out.splitlines())
    for field in ("id", "uuid", "phone", "instance_url", "epoch", "status", "takeover"):
        assert facts[field] == str(ACCOUNT[field])
    assert facts["session"] == ACCOUNT["session_id"]
    assert facts["last"] == "verified  2026-01-31 09:30:00Z"


def test_the_distribution_has_three_columns(homing: CommandLine, gateway: ScriptedGateway):
    row = {"instance_url": "http://localhost:3001", "session_count": 2, "phones": ["0816108641", "62811801641"]}
    gateway.answer("GET", "/distribution", {"data": [row], "next": None})
    assert homing("distribution").out.splitlines() == [
        "instance               sessions  phones",
        "http://localhost:3001  2         0816108641, 62811801641",
    ]


def test_a_new_key_stands_alone_on_stdout(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("POST", "/keys", {"id": "1f", "key": "hk_1f_secret", "workspace_id": 1, "scope": "send"}, 201)
    ran = homing("keys", "create", "--workspace", "1", "--name", "shop")
    assert ran.out == "hk_1f_secret\n"
    assert gateway.last.body == {"name": "shop", "scope": "send", "workspace_id": 1}


# --- what goes wrong ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("status", "code"), [(401, 2), (403, 2), (404, 2), (422, 2), (409, 1), (500, 1), (503, 1)])
def test_a_refusal_is_one_sentence_and_tells_asking_wrongly_from_a_world_in_disorder(
    homing: CommandLine, gateway: ScriptedGateway, status: int, code: int
):
    gateway.refuse("POST", "/accounts/144/start", status, "some_code", "What happened, and to what")
    ran = homing("accounts", "start", "144")
    assert (ran.code, ran.out, ran.err) == (code, "", "some_code: What happened, and to what\n")


def test_with_json_a_refusal_is_the_document(homing: CommandLine, gateway: ScriptedGateway):
    gateway.refuse("GET", "/accounts/9", 404, "account_not_found", "There is no account 9")
    ran = homing("accounts", "show", "9", "--json")
    assert ran.document["code"] == "account_not_found"
    assert ran.err == "account_not_found: There is no account 9\n"


def test_an_answer_that_is_no_gateways_is_said_to_be_that(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("GET", "/cache", b"<html>Bad Gateway</html>", 502)
    ran = homing("cache", "stats")
    assert (ran.code, ran.out) == (2, "")
    assert "is it a Homing gateway?" in ran.err
    told = json.loads(homing("cache", "stats", "--json").out)
    assert "is it a Homing gateway?" in told["detail"]


def test_the_key_does_not_follow_a_redirect(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("GET", "/cache", {}, 302)
    ran = homing("cache")
    assert (ran.code, ran.err) == (2, "http_302: no detail was given\n")
    assert len(gateway.asked) == 1


def test_nobody_at_the_address_is_one_sentence_that_names_it(homing: CommandLine):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        url = f"http://localhost:{taken.getsockname()[1]}"
    homing.setting("HOMING_API_URL", url)
    homing.setting("HOMING_API_TOKEN", "hk")
    ran = homing("accounts")
    assert ran.code == 2
    assert ran.err.startswith(f"No gateway answers at {url} (Connection refused)")
    assert ran.err.count("\n") == 1


def test_without_a_key_nothing_is_asked(homing: CommandLine, gateway: ScriptedGateway):
    homing.setting("HOMING_API_TOKEN", "")
    ran = homing("accounts")
    assert ran.code == 2
    assert "HOMING_API_TOKEN" in ran.err
    assert not gateway.asked


def test_a_gateway_that_hangs_up_leaves_a_deed_unknown(homing: CommandLine, gateway: ScriptedGateway):
    gateway.hang_up("POST", "/accounts/144/start")
    ran = homing("accounts", "start", "144")
    assert ran.code == 1
    assert "whether it was done is not known" in ran.err


def test_a_running_session_is_taken_up_by_its_id(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("POST", "/accounts", ACCOUNT, 201)
    names = ("--session", "webjs_1_9", "--instance", "http://a:3001", "--uuid", "u-1", "--id", "144")
    assert homing("accounts", "create", "0816108641", *names, "--no-start").code == 0
    assert {name: gateway.last.body[name] for name in ("session_id", "instance_url", "uuid", "id", "start")} == {
        "session_id": "webjs_1_9", "instance_url": "http://a:3001", "uuid": "u-1", "id": 144, "start": False,
    }  # fmt: skip
    homing("accounts", "create", "0816108641")
    assert "session_id" not in gateway.last.body


def test_a_reported_phone_is_shown_and_accepted(homing: CommandLine, gateway: ScriptedGateway):
    gateway.answer("GET", "/accounts/144", ACCOUNT | {"reported_phone": "4915112345678"})
    assert "4915112345678" in homing("accounts", "show", "144").out
    gateway.answer("POST", "/accounts/144/accept-phone", ACCOUNT | {"phone": "4915112345678"})
    assert homing("accounts", "accept-phone", "144", "--json").document["phone"] == "4915112345678"


def test_an_account_is_deleted_and_a_connected_one_by_insisting(homing: CommandLine, gateway: ScriptedGateway):
    gateway.refuse("DELETE", "/accounts/144", 409, "instance_in_use", "The session is connected")
    assert homing("accounts", "delete", "144").code == 1
    gateway.answer("DELETE", "/accounts/144", None, 204)
    assert homing("accounts", "delete", "144", "--force").code == 0
    assert (gateway.last.method, gateway.last.path) == ("DELETE", "/api/v1/accounts/144?force=true")


def test_strays_are_shown_with_the_command_that_takes_each_up(homing: CommandLine, gateway: ScriptedGateway):
    adopt = "homing accounts create +62811 --session s1 --instance http://a:3001 --no-start"
    stray = {"session_id": "s1", "kind": "unknown", "status": "connected", "phone": "62811", "workspace_id": 1}
    found = {"instance_url": "http://a:3001", "strays": 102, "data": [stray | {"reason": "none", "adopt": adopt}]}
    gateway.answer("GET", "/instances/1/strays", found)
    ran = homing("instances", "strays", "1")
    assert (ran.code, ran.out.splitlines()[-1], ran.err) == (0, adopt, "101 more are not named.\n")


def test_what_is_left_of_an_accounts_pace_is_shown_with_it(homing: CommandLine, gateway: ScriptedGateway) -> None:
    pace = {"policy": {"per_day": 100}, "left": {"day": 40}, "of": {"day": 100}, "next_in_s": 2.5}
    gateway.answer("GET", "/accounts/144", ACCOUNT)
    gateway.answer("GET", "/accounts/144/pace", pace)
    assert "40 of 100 (day), the next one in 2.5 s" in homing("accounts", "show", "144").out
    assert homing("accounts", "show", "144", "--json").document["pace"] == pace
    gateway.answer("GET", "/accounts/144/pace", {"policy": None, "left": {}, "of": {}, "next_in_s": 0.0})
    assert "pace, left" not in homing("accounts", "show", "144").out
