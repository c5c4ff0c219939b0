"""The pages as HTML: what is on them, for whom, and that nothing in them can be told to a browser as code."""

import asyncio
import hashlib
import json
import re
from html import unescape
from pathlib import Path

import httpx
import pytest

from homing.model.alerts import AlertKind, Subject
from homing.model.directory.access import Scope
from homing.model.fleet import SessionId, SessionStatus
from homing.ports import StoreUnavailable
from homing.serve.page import files
from tests.flows.worlds import A
from tests.serve.conftest import Api

HOSTILE = "<script>alert(1)</script>\u202e'\"&" + "👩‍👩‍👧" + "x" * 10_000
PAGES = (
    "/now", "/instances", "/sessions", "/pairing", "/deaf", "/moves", "/messages", "/batches", "/endpoints",
    "/downtime", "/alerts", "/settings", "/more",
)  # fmt: skip
PAGE_FILES = Path(files.__file__).parent


async def page(api: Api, path: str, key: str = "operator") -> httpx.Response:
    return await api.client.get(path, headers={"Authorization": f"Bearer {api.keys[key]}"})


async def settled(api: Api, path: str, text: str, key: str = "operator") -> str:
    """The page, once that is on it."""
    shown = ""
    async with asyncio.timeout(10):
        while text not in shown:
            shown = unescape((await page(api, path, key)).text)
            await asyncio.sleep(0.02)
    return shown


@pytest.mark.parametrize("path", [*PAGES, "/login", "/docs"])
async def test_every_page_allows_only_our_own_scripts_and_styles(api: Api, path: str) -> None:
    answer = await page(api, path)
    assert answer.status_code == 200
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert not re.search(r"<script(?![^>]*src=)|\sstyle=|\son\w+=", answer.text)
    assert not re.search(r"""(?:src|href|action)=["'](?:https?:)?//""", answer.text)


async def test_what_pages_ask_for_is_there_and_kept_by_its_content(api: Api) -> None:
    asked = set(re.findall(r'(?:src|href)="(/static/[^"]+)"', (await page(api, "/now")).text))
    assert len(asked) >= 4
    for path in asked:
        answer = await api.client.get(path)
        assert answer.status_code == 200
        assert "immutable" in answer.headers["cache-control"]
    assert (await api.client.get("/static/0123456789abcdef/page.css")).status_code == 404
    assert (await api.client.get(f"{files.static_path()}/routes.py")).status_code == 404


async def test_hostile_names_are_text(api: Api) -> None:
    body = {"workspace_id": 1, "phone": "0816108641", "name": HOSTILE[:200]}
    account = (await api.call("POST", "/accounts", body)).json()
    api.gateway.alerts.raised(AlertKind.DUPLICATE_HOLDER, Subject.session(SessionId(account["session_id"])), HOSTILE)
    for path in ("/sessions", f"/sessions/{account['id']}", "/now", "/alerts", f"/sessions?q={HOSTILE[:20]}"):
        await settled(api, path, "816-108-641")
        told = (await page(api, path)).text
        assert "<script>alert" not in told


async def test_a_workspace_sees_its_own_alone(api: Api) -> None:
    mine = await api.account()
    theirs = await api.account(workspace=2, phone="0816108642")
    await settled(api, "/sessions", "816-108-642")
    for path in PAGES:
        told = (await page(api, path, "reader")).text
        assert theirs["uuid"] not in told
        assert "816-108-642" not in unescape(told), path
    assert (await page(api, f"/sessions/{theirs['id']}", "reader")).status_code == 404
    assert (await page(api, f"/sessions/{theirs['uuid']}", "reader")).status_code == 404
    assert (await page(api, f"/sessions/{mine['id']}", "reader")).status_code == 200


async def test_who_may_only_look_is_offered_no_action_and_told_why(api: Api) -> None:
    await api.key("looker", Scope.READ, None)
    account = await api.account()
    await settled(api, "/sessions", "816-108-641")
    for path in (*PAGES, f"/sessions/{account['id']}", "/instances/1"):
        assert "data-dialog" not in (await page(api, path, "looker")).text, path
    dialog = (await page(api, f"/sessions/{account['id']}/stop", "looker")).text
    assert 'type="submit"' not in dialog
    assert "may look, and not act" in dialog
    assert 'type="submit"' not in (await page(api, "/instances/1/drain", "stranger")).text


async def test_the_actions_of_a_session_open_over_its_page(api: Api) -> None:
    account = await api.account()
    await settled(api, "/sessions", "816-108-641")
    shown = (await page(api, f"/sessions/{account['id']}")).text
    assert len(re.findall(r'href="/sessions/\d+/\w+" data-dialog[ >]', shown)) >= 4


async def test_while_the_database_is_away_every_page_says_so_and_holds_its_actions(api: Api) -> None:
    account = await api.account()
    await settled(api, "/sessions", "816-108-641")
    numbered = f"/sessions/{account['id']}"

    def away(*_: object) -> None:
        raise StoreUnavailable("it did not answer in time")

    stores = api.gateway.stores.database
    with pytest.MonkeyPatch.context() as cut:
        cut.setattr(stores, "read", away)
        await settled(api, "/now", "The database is away since")
        for path in (*PAGES, numbered, "/instances/1"):
            answer = await page(api, path)
            assert answer.status_code == 200, path
            assert "The database is away since" in unescape(answer.text), path
        assert 'data-dialog aria-disabled="true" title="The database is away' in (await page(api, numbered)).text


async def test_a_dialog_says_what_will_happen_and_calls_the_api(api: Api) -> None:
    account = await api.account()
    await settled(api, "/sessions", "816-108-641")
    number = api.gateway.fleet.roster.instances[account["instance_url"]].id
    told = unescape((await page(api, f"/instances/{number}/drain")).text)
    assert f'data-path="/api/v1/instances/{number}/drain"' in told
    assert re.search(r"<dt>Will move</dt><dd><b>[01]</b><small>of 1 that run there</small>", told)
    assert "Drain a:3001, move" in told
    for action in ("migrate", "rehome", "restart", "start", "stop"):
        told = (await page(api, f"/sessions/{account['id']}/{action}")).text
        assert f'data-path="/api/v1/accounts/{account["uuid"]}/{action}"' in told
    for action in ("rebalance", "sync"):
        assert (await page(api, f"/fleet/{action}")).status_code == 200


@pytest.mark.parametrize(
    "path",
    [
        "/sessions/999",
        "/sessions/x/stop",
        "/instances/999",
        "/instances/1/explode",
        "/fleet/explode",
        "/messages/x",
        "/messages/x/cancel",
        "/batches/x",
        "/batches/x/pause",
        "/sessions/999/outbox/go",
    ],
)
async def test_what_is_not_there_says_so_in_the_frame_of_the_page(api: Api, path: str) -> None:
    answer = await page(api, path)
    assert answer.status_code == 404
    assert "Not there" in answer.text
    assert 'aria-label="Pages"' in answer.text


@pytest.mark.parametrize("query", ["from=x", "from=-1", "from=999999999999", "standing=no", "instance=%00", "q=%F0%9F"])
async def test_any_query_gives_a_page(api: Api, query: str) -> None:
    assert (await page(api, f"/sessions?{query}")).status_code == 200


async def test_sessions_are_found_by_phone_name_and_state(api: Api) -> None:
    one, two = await api.account(), await api.account(phone="0816108642")
    await api.gateway.stores.directory.set_status(SessionId(two["session_id"]), SessionStatus.LOGGED_OUT)
    await settled(api, "/sessions?standing=logged+out", "816-108-642")
    for query, found in {
        "q=8641": [one],
        "q=%2B62+816-108-642": [two],
        f"q={one['uuid']}": [one],
        "standing=logged%20out": [two],
        "standing=connected": [one],
        "q=nobody": [],
        f"instance_url={one['instance_url']}": [one, two] if one["instance_url"] == two["instance_url"] else [one],
    }.items():
        shown = (await api.call("GET", f"/sessions?{query}", key="reader")).json()
        assert sorted(row["account_id"] for row in shown["data"]) == sorted(each["id"] for each in found), query
        assert shown["total"] == len(found)
    worst_first = (await api.call("GET", "/sessions", key="reader")).json()["data"]
    assert [row["account_id"] for row in worst_first] == [two["id"], one["id"]]
    assert (await api.call("GET", "/sessions", key="stranger")).json()["total"] == 0


async def test_an_ill_instance_is_told_with_its_reason(api: Api) -> None:
    await api.account()
    api.world.lose(A)
    told = await settled(api, "/instances", "refuse")
    assert re.search(r'class="ill (?:bad|warn)"', told)
    assert re.search(r"a:3001 is (?:down|suspect)", await settled(api, "/now", "refuse"))


def test_files_of_others_are_those_of_the_list() -> None:
    listed = json.loads((PAGE_FILES / "vendored.json").read_text())
    for each in listed:
        content = (PAGE_FILES / "static" / each["file"]).read_bytes()
        assert hashlib.sha256(content).hexdigest() == each["sha256"], each["file"]
        assert each["licence"] in ("0BSD", "MIT", "ISC", "BSD-2-Clause", "BSD-3-Clause", "Apache-2.0")
        assert each["package"]
        assert each["version"]
    there = {path.name for path in (PAGE_FILES / "static").iterdir() if ".min." in path.name}
    assert there == {each["file"] for each in listed}


def test_what_only_tests_use_is_that_of_its_list() -> None:
    folder = Path(__file__).parents[1] / "e2e" / "vendored"
    [axe] = json.loads((folder / "vendored.json").read_text())
    assert hashlib.sha256((folder / axe["file"]).read_bytes()).hexdigest() == axe["sha256"]


def test_scripts_evaluate_no_text() -> None:
    ours = [path for path in (PAGE_FILES / "static").glob("*.js") if ".min." not in path.name]
    assert len(ours) > 3
    assert [path.name for path in ours if re.search(r"\beval\(|new Function|innerHTML", path.read_text())] == []
