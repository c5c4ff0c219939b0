"""A session may have a slash in its name, as adoption gives it to those of gateways with the same names."""

import re
from typing import Any
from urllib.parse import quote

import pytest

from homing.cli.sources.client import path
from homing.serve.here import ApiHere
from tests.serve.conftest import Api
from tests.serve.test_openapi import described, operations

SESSION = "waha-1/default"
NOWHERE = "There is nothing at this address"
ENDS_IT = ("DELETE", "/api/v1/accounts/{ref}")


async def adopted(api: Api, session: str = SESSION, workspace: int = 1, phone: str = "0816108641") -> dict[str, Any]:
    body = {"workspace_id": workspace, "phone": phone, "session_id": session, "start": False}
    made = await api.call("POST", "/accounts", body)
    assert made.status_code == 201, made.text
    return dict(made.json())


async def test_every_address_that_names_an_account_takes_its_session_with_a_slash(api: Api) -> None:
    account = await adopted(api)
    named = [
        (method, path)
        for method, path, _ in operations(await described(api))
        if path.startswith("/api/v1/accounts/{ref}")
    ]
    assert len(named) >= 20
    for method, template in sorted(named, key=ENDS_IT.__eq__):
        shape = template.removeprefix("/api/v1")
        by_session = await api.call(method, shape.replace("{ref}", quote(SESSION, safe="")))
        by_uuid = await api.call(method, shape.replace("{ref}", account["uuid"]))
        said = by_session.json() if by_session.content else {}
        assert said.get("code") not in ("not_found", "account_not_found"), f"{method} {template}: {said}"
        if (method, template) != ENDS_IT:
            assert by_session.status_code == by_uuid.status_code, f"{method} {template}: {said}"


async def test_no_address_with_a_name_in_it_takes_a_slash_for_the_end_of_the_name(api: Api) -> None:
    for method, template, _ in operations(await described(api)):
        if "{" not in template:
            continue
        filled = re.sub(r"\{[^}]*\}", "a%2Fb", template)
        answer = await api.client.request(
            method, filled, headers={"Authorization": f"Bearer {api.keys['operator']}"}, json={}
        )
        said = answer.json() if answer.content else {}
        if not re.search(r"\{(number|instance_id|day)", template):  # `a/b` is no number, however it is written
            assert said.get("detail") != NOWHERE, f"{method} {template}: {said}"


@pytest.mark.parametrize("written", ["waha-1%2Fdefault", "waha-1%2fdefault", "%77aha-1%2Fdefault"])
async def test_a_name_is_read_as_it_is_written(api: Api, written: str) -> None:
    account = await adopted(api)
    answer = await api.call("GET", f"/accounts/{written}")
    assert answer.json()["uuid"] == account["uuid"]


@pytest.mark.parametrize("written", ["waha-1%252Fdefault", "waha-1%EF%B7%90default", "waha-1%EF%B7%90de%2Ffault"])
async def test_what_is_not_the_name_is_not_taken_for_it(api: Api, written: str) -> None:
    await adopted(api)
    assert (await api.call("GET", f"/accounts/{written}")).status_code == 404


async def test_a_slash_that_is_not_written_so_is_answered_with_how_it_is(api: Api) -> None:
    await adopted(api)
    answer = await api.call("GET", f"/accounts/{SESSION}")
    assert (answer.status_code, "written `%2F`" in answer.json()["detail"]) == (404, True)


async def test_another_tenants_session_is_not_there_by_its_name(api: Api) -> None:
    await adopted(api, "waha-2/default", workspace=2, phone="0816108642")
    answer = await api.call("GET", "/accounts/waha-2%2Fdefault", key="reader")
    assert (answer.status_code, answer.json()["code"]) == (404, "account_not_found")


async def test_a_number_names_by_id_alone(api: Api) -> None:
    account = await adopted(api, "77")
    assert account["id"] != 77
    assert (await api.call("GET", "/accounts/77")).status_code == 404


@pytest.mark.parametrize("typed", ["waha-1/default", "waha-1%2Fdefault"])
async def test_the_page_of_a_session_is_found_as_people_type_its_name(api: Api, typed: str) -> None:
    account = await adopted(api)
    headers = {"Authorization": f"Bearer {api.keys['operator']}"}
    page = await api.client.get(f"/sessions/{typed}", headers=headers)
    assert (page.status_code, account["uuid"] in page.text) == (200, True)
    dialog = await api.client.get("/sessions/waha-1%2Fdefault/start", headers=headers)
    assert (dialog.status_code, "Start" in dialog.text) == (200, True)


async def test_commands_without_a_gateway_name_it_too(api: Api) -> None:
    account = await adopted(api)
    status, document = await ApiHere(api.gateway).ask("GET", f"/accounts{path(SESSION)}")
    assert (status, account["uuid"].encode() in document) == (200, True)
