"""Accounts for sessions that run already: who may take up which, where they are then, and what is never done twice."""

import asyncio
from typing import Any

import httpx
import pytest

from homing.model.directory.access import Scope
from homing.model.fleet import SessionId, SessionStatus, WorkspaceId
from homing.model.sends.faults import Fault, Phase
from tests.flows.worlds import A, B, C
from tests.serve.conftest import Api

S = SessionId("webjs_1_1699999999")


@pytest.fixture
async def api(api: Api) -> Api:
    """The gateway, with a key of the workspace whose session is looked for."""
    await api.key("owner", Scope.ADMIN, 1)
    says(api, S)
    return api


def says(api: Api, session: str, workspace: int | None = 1, phone: str | None = None) -> None:
    """What the instances say of the session: whose it is, and which phone is linked."""
    if workspace is not None:
        api.world.owners[SessionId(session)] = WorkspaceId(workspace)
    if phone is not None:
        api.world.phones[SessionId(session)] = phone


async def adopt(api: Api, key: str = "operator", **more: Any) -> httpx.Response:
    body = {"workspace_id": 1, "phone": "+62816108641", "session_id": S, "start": False} | more
    return await api.call("POST", "/accounts", body, key=key)


async def test_a_session_that_one_instance_lists_is_placed_there_and_sends_through_it(api: Api) -> None:
    api.world.hold(B, S, epoch=4)
    made = (await adopt(api, uuid="AB12-cd", id=142)).json()
    assert (made["id"], made["uuid"], made["session_id"]) == (142, "ab12-cd", S)
    assert (made["instance_url"], made["epoch"], made["state"], made["status"]) == (B, 4, "held", "connected")
    assert made["last_verified_at"] is not None
    assert (await api.send(made)).json()["instance_url"] == B


@pytest.mark.parametrize("where", [(), (A, B)])
async def test_one_that_none_lists_or_several_is_created_and_nowhere(api: Api, where: tuple[Any, ...]) -> None:
    for url in where:
        api.world.hold(url, S)
    made = await adopt(api)
    assert (made.status_code, made.json()["instance_url"], made.json()["epoch"]) == (201, None, 0)


async def test_a_named_instance_must_list_it_and_the_refusal_says_what_it_lists(api: Api) -> None:
    api.world.hold(A, S)
    api.world.hold(B, SessionId("other"))
    answer = await adopt(api, instance_url=B)
    assert (answer.status_code, answer.json()["code"]) == (409, "session_not_listed")
    assert answer.json()["detail"].endswith("it lists other")
    assert (await adopt(api, instance_url="http://nobody:1")).json()["code"] == "instance_not_found"
    api.world.instances[C].down = Fault(Phase.REFUSED)
    assert (await adopt(api, instance_url=C)).json()["code"] == "instance_fault"
    assert (await api.call("GET", "/accounts")).json()["data"] == []
    assert (await adopt(api, instance_url=A)).json()["instance_url"] == A


async def test_starting_an_account_whose_session_is_up_adopts_it_and_starts_no_second_one(api: Api) -> None:
    api.world.hold(B, S, epoch=4, status=SessionStatus.STARTING)
    made = (await adopt(api, start=True)).json()
    assert (made["instance_url"], made["epoch"], made["status"]) == (B, 4, "starting")
    assert [url for url, each in api.world.instances.items() if S in each.sessions] == [B]


@pytest.mark.parametrize("trouble", ["silent", "twice"])
async def test_nothing_is_started_while_the_session_may_run_somewhere(api: Api, trouble: str) -> None:
    if trouble == "silent":
        api.world.instances[C].down = Fault(Phase.REFUSED)
    else:
        api.world.hold(A, S)
        api.world.hold(B, S)
    answer = await adopt(api, start=True)
    assert (answer.status_code, answer.json()["code"]) == (
        503,
        "instance_fault" if trouble == "silent" else "duplicate_holder",
    )
    assert (await api.call("GET", "/accounts")).json()["data"] == []


async def test_a_session_of_another_workspace_looks_like_one_that_is_taken(api: Api) -> None:
    api.world.hold(A, S)
    taken = await adopt(api)
    assert taken.status_code == 201
    of_an_account = await adopt(api, "stranger", workspace_id=2)
    foreign, unknown = SessionId("foreign"), SessionId("unknown")
    for session, owner in ((foreign, 1), (unknown, None)):
        api.world.hold(B, session)
        says(api, session, owner)
    answers = [
        of_an_account,
        await adopt(api, "stranger", workspace_id=2, session_id=foreign),
        await adopt(api, "stranger", workspace_id=2, session_id=unknown),
    ]
    assert {(answer.status_code, answer.json()["code"]) for answer in answers} == {(409, "already_exists")}
    names = (S, foreign, unknown)
    said = {answer.json()["detail"].replace(name, "…") for answer, name in zip(answers, names, strict=True)}
    assert said == {"the session … belongs to another account already"}
    there = await adopt(api, "stranger", workspace_id=2, session_id=foreign, instance_url=B)
    assert there.json()["detail"].endswith("it lists none of this workspace")
    assert (await adopt(api, session_id=unknown, phone="+62816108642")).json()["instance_url"] == B


async def test_a_workspace_takes_up_its_own(api: Api) -> None:
    api.world.hold(B, S)
    assert (await adopt(api, "owner")).json()["instance_url"] == B


async def test_what_a_deleted_account_of_another_workspace_had_is_taken(api: Api) -> None:
    api.world.hold(A, S)
    made = (await adopt(api)).json()
    assert (await api.call("DELETE", f"/accounts/{made['id']}?force=true")).status_code == 204
    assert S not in api.world.instances[A].sessions
    refused = await adopt(api, "stranger", workspace_id=2)
    assert (refused.status_code, refused.json()["code"]) == (409, "already_exists")
    again = (await adopt(api, "owner")).json()
    assert (again["session_id"], again["epoch"]) == (S, 1)


async def test_of_two_that_take_up_one_session_at_once_one_wins(api: Api) -> None:
    api.world.hold(A, S)
    answers = await asyncio.gather(*(adopt(api, phone=f"+6281610864{number}") for number in range(6)))
    assert sorted(answer.status_code for answer in answers) == [201, *[409] * 5]
    assert len((await api.call("GET", "/accounts")).json()["data"]) == 1


async def test_names_change_while_an_account_is_nowhere_and_not_afterwards(api: Api) -> None:
    made = (await adopt(api, session_id="first")).json()
    api.world.hold(C, S, epoch=9)
    changed = await api.call(
        "PATCH", f"/accounts/{made['id']}", {"session_id": S, "uuid": "u-7", "id": 707, "instance_url": C}
    )
    assert changed.status_code == 200, changed.text
    now = changed.json()
    assert (now["id"], now["uuid"], now["session_id"]) == (707, "u-7", S)
    assert (now["instance_url"], now["epoch"], now["status"]) == (C, 9, "connected")
    refused = await api.call("PATCH", "/accounts/707", {"uuid": "u-8"})
    assert (refused.status_code, refused.json()["code"]) == (409, "account_placed")
    assert (await api.send(now)).json()["instance_url"] == C
    other = (await adopt(api, session_id="second", phone="+62816108642")).json()
    for change in ({"session_id": S}, {"uuid": "u-7"}, {"id": 707}):
        answer = await api.call("PATCH", f"/accounts/{other['id']}", change)
        assert (answer.status_code, answer.json()["code"]) == (409, "already_exists"), change


@pytest.mark.parametrize(
    "bad",
    [
        {"session_id": ".."},
        {"session_id": "a\nb"},
        {"session_id": ""},
        {"session_id": "x" * 201},
        {"uuid": "12345"},
        {"uuid": "../x"},
        {"id": 0},
        {"id": 2**40},
        {"session_id": None, "instance_url": A},
    ],
)
async def test_names_that_name_nothing_are_refused(api: Api, bad: dict[str, Any]) -> None:
    answer = await adopt(api, **bad)
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid_request")


async def test_contacts_come_under_their_own_uuid_and_id(api: Api) -> None:
    body = {"workspace_id": 1, "phone": "+62811801641", "uuid": "C-1", "id": 31}
    made = (await api.call("POST", "/contacts", body)).json()
    assert (made["uuid"], made["id"]) == ("c-1", 31)
    twice = await api.call("POST", "/contacts", body | {"phone": "+62811801642", "id": 32})
    assert (twice.status_code, twice.json()["detail"]) == (409, "the uuid c-1 is another contact's already")
    next_one = await api.call("POST", "/contacts", {"workspace_id": 1, "phone": "+62811801643"})
    assert next_one.json()["id"] > 31


# --- whose phone it is ---


async def test_a_strangers_phone_stops_the_sends_until_it_is_accepted(api: Api) -> None:
    api.world.hold(B, S)
    says(api, S, 1, "4915112345678")
    made = (await adopt(api)).json()
    assert (made["status"], made["reported_phone"]) == ("connected", "4915112345678")
    shown = (await api.call("GET", f"/accounts/{made['id']}")).json()
    assert [each["kind"] for each in shown["attention"]] == ["phone_mismatch"]
    refused = await api.send(made)
    assert (refused.status_code, refused.json()["code"]) == (409, "phone_mismatch")
    assert "accept-phone" in refused.json()["detail"]
    accepted = (await api.call("POST", f"/accounts/{made['id']}/accept-phone")).json()
    assert (accepted["phone"], accepted["reported_phone"], accepted["attention"]) == ("4915112345678", None, [])
    assert (await api.send(made)).status_code == 200
    nothing = await api.call("POST", f"/accounts/{made['id']}/accept-phone")
    assert (nothing.status_code, nothing.json()["code"]) == (409, "nothing_to_accept")


async def test_the_accounts_own_phone_is_known_however_it_is_written(api: Api) -> None:
    api.world.hold(B, S)
    says(api, S, 1, "62816108641:7@s.whatsapp.net")
    made = (await adopt(api, phone="0816108641")).json()
    assert made["reported_phone"] is None
    assert (await api.send(made)).status_code == 200


# --- deleting ---


@pytest.mark.parametrize("status", [SessionStatus.PAIRING, SessionStatus.STARTING, SessionStatus.DISCONNECTED])
async def test_what_runs_without_being_connected_is_stopped_before_its_account_goes(
    api: Api, status: SessionStatus
) -> None:
    account = await api.account()
    await api.gateway.stores.directory.set_status(account["session_id"], SessionStatus.STOPPED)
    api.world.hold(A, account["session_id"], status=status)
    assert (await api.call("DELETE", f"/accounts/{account['id']}")).status_code == 204
    assert account["session_id"] not in api.world.instances[A].sessions


async def test_a_session_that_can_send_now_keeps_its_account_whatever_was_recorded(api: Api) -> None:
    account = await api.account()
    await api.gateway.stores.directory.set_status(account["session_id"], SessionStatus.STOPPED)
    refused = await api.call("DELETE", f"/accounts/{account['id']}")
    assert (refused.status_code, refused.json()["code"]) == (409, "instance_in_use")
    assert (await api.call("DELETE", f"/accounts/{account['id']}?force=true")).status_code == 204
    assert account["session_id"] not in api.world.instances[A].sessions


async def test_nothing_is_deleted_while_its_instance_does_not_answer(api: Api) -> None:
    account = await api.account()
    await api.call("POST", f"/accounts/{account['id']}/stop")
    api.world.instances[A].down = Fault(Phase.REFUSED)
    refused = await api.call("DELETE", f"/accounts/{account['id']}?force=true")
    assert (refused.status_code, f"bring {A} back first" in refused.json()["detail"]) == (409, True)


async def test_an_account_that_is_nowhere_stays_while_any_instance_lists_its_session(api: Api) -> None:
    made = (await adopt(api)).json()
    api.world.hold(A, S)
    api.world.hold(B, S)
    refused = await api.call("DELETE", f"/accounts/{made['id']}")
    assert (refused.status_code, f"{A} and {B}" in refused.json()["detail"]) == (409, True)


# --- strays ---


async def test_strays_are_listed_with_the_command_that_takes_them_up_and_counted(api: Api) -> None:
    api.world.hold(A, S, epoch=3)
    says(api, S, 1, "62811801641")
    strays = (await api.call("GET", "/instances/1/strays")).json()
    assert (strays["instance_url"], strays["strays"]) == (A, 1)
    [stray] = strays["data"]
    assert (stray["session_id"], stray["kind"], stray["status"], stray["workspace_id"], stray["epoch"]) == (
        S, "unknown", "connected", 1, 3,
    )  # fmt: skip
    assert stray["adopt"] == (
        f"homing accounts create +62811801641 --workspace 1 --session {S} --instance {A} --no-start"
    )
    assert (await api.call("GET", "/instances/1")).json()["strays"] == 1
    report = (await api.call("POST", "/sync", {"dry_run": True})).json()
    assert (report["strays"], report["stray_sessions"]) == (1, strays["data"])
    await adopt(api, instance_url=A)
    assert (await api.call("GET", "/instances/1/strays")).json()["data"] == []


async def test_strays_are_shown_to_operators_alone(api: Api) -> None:
    refused = await api.call("GET", "/instances/1/strays", key="owner")
    assert (refused.status_code, refused.json()["code"]) == (403, "forbidden")


# --- whole gateways of the webjs protocol, whose sessions have epochs and owners ---------------------------------


async def test_a_webjs_gateway_is_adopted_with_the_epochs_that_it_tells(api: Api) -> None:
    api.world.hold(B, S, epoch=4)
    says(api, S, 2, "62811801641")
    api.world.hold(B, SessionId("webjs_1_2"))
    says(api, "webjs_1_2", None, "62811801642")
    asked = {"urls": [B], "driver": "webjs", "workspace_id": 2}
    adopted = (await api.call("POST", "/instances/adopt", asked)).json()
    assert adopted["refused"] == []
    [row] = adopted["instances"]
    assert (row["certainty"], row["mode"], row["adopted"]) == ("told", "observe", 2), row
    accounts = {each["session_id"]: each for each in (await api.call("GET", "/accounts")).json()["data"]}
    assert (accounts[S]["workspace_id"], accounts[S]["epoch"], accounts[S]["instance_url"]) == (2, 4, B)
    assert (accounts["webjs_1_2"]["workspace_id"], accounts["webjs_1_2"]["native_id"]) == (2, None)
    assert (await api.send(accounts["webjs_1_2"], workspace_id=2)).json()["code"] == "instance_observed"


async def test_only_operators_adopt_gateways_and_see_what_is_observed(api: Api) -> None:
    for key in ("owner", "stranger"):
        for method, path, body in (
            ("POST", "/instances/adopt", {"urls": [B]}),
            ("GET", "/instances/adoption", None),
        ):
            assert (await api.call(method, path, body, key=key)).status_code == 403


async def test_adopting_an_instance_that_carries_sessions_does_not_take_the_routing_from_it(api: Api) -> None:
    account = await api.account()
    url = account["instance_url"]
    [row] = (await api.call("POST", "/instances/adopt", {"urls": [url], "driver": "webjs", "workspace_id": 1})).json()[
        "instances"
    ]
    assert (row["mode"], row["known"]) == ("route", 1)
    assert (await api.send(account)).json()["success"] is True
