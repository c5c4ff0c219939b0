"""The pages of deaf sessions, phones to link, batches and endpoints, with something on each, are for everybody too.

Empty they are among the pages of `test_page_criteria`.
"""

import time
import urllib.request
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import browser, found_by_axe, needs_browser, window
from tests.e2e.pictures import NOTICED_S, some_do_not_hear
from tests.e2e.test_demo import RunningDemo, demo

pytestmark = [pytest.mark.e2e, needs_browser]

LONG_WORD = "document.querySelectorAll('main p, main h1, main dd').forEach(each => each.append(' ' + 'w'.repeat(300)))"
"""What people name things, and what strangers answer, has no spaces where a page would like some."""
LOOKS = [(1440, "light"), (1440, "dark"), (390, "light"), (390, "dark")]


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with demo(tmp_path_factory.mktemp("troubles"), accounts=24) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


def batch(up: RunningDemo, account: dict[str, Any]) -> str:
    """One of three lines, for tomorrow; one of them can be sent to nobody."""
    later = (datetime.now(UTC) + timedelta(days=1)).isoformat().replace("+", "%2B")
    where = f"/api/v1/messages/bulk?workspace_id=1&account_uuid={account['uuid']}&send_at={later}"
    lines = b"phone,message\n+6281210000001,one\n+6281210000002,two\nnobody,three\n"
    request = urllib.request.Request(up.state["api_url"] + where, lines, method="POST")
    request.add_header("Authorization", f"Bearer {up.state['token']}")
    request.add_header("Content-Type", "text/csv")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 202
    return str(up.ask("GET", "/batches")["data"][0]["batch_id"])


@pytest.fixture(scope="module")
def paths(up: RunningDemo) -> list[str]:
    """Pages with something on them, and dialogs over them; the first session that is deaf is waited for."""
    accounts = up.state["accounts"]
    there = f"http://{up.state['whatsapp']['address']}/hook"
    endpoint = up.ask("POST", "/endpoints", {"workspace_id": 1, "url": there, "name": "Bookings"})["id"]
    up.ask("POST", f"/endpoints/{endpoint}/test")
    for account in accounts[10:15]:
        up.send(account["id"], "hello")
    sent = batch(up, accounts[1])
    up.ask("POST", f"/accounts/{accounts[7]['id']}/logout")
    plan = up.ask("POST", "/plans", {"kind": "empty", "instance_url": up.state["instances"][0]["url"], "budget": 2})
    some_do_not_hear(up)
    deadline_s = time.monotonic() + NOTICED_S + 20
    while len(up.ask("GET", "/deaf")["data"]) < 2 or not up.ask("GET", "/pairing")["data"]:
        assert time.monotonic() < deadline_s, "two sessions that do not hear, and one that has to be linked"
        time.sleep(1)
    delivery = up.ask("GET", "/deliveries")["data"][0]["id"]
    return [
        "/now", "/sessions?sign=deaf", "/sessions?q=nobody", "/deaf", f"/sessions/{accounts[20]['id']}",
        "/pairing", f"/sessions/{accounts[7]['id']}", f"/sessions/{accounts[7]['id']}/link",
        "/batches", f"/batches/{sent}", f"/batches/{sent}/cancel",
        "/endpoints", f"/endpoints/{endpoint}", f"/deliveries/{delivery}",
        "/plans", f"/plans/{plan['id']}", "/alerts", "/messages",
    ]  # fmt: skip


@pytest.mark.parametrize(("width", "scheme"), LOOKS)
def test_axe_finds_nothing_serious_on_pages_that_have_something_to_show(
    chromium: Browser, up: RunningDemo, paths: list[str], width: int, scheme: Any
) -> None:
    options: dict[str, Any] = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    found: dict[str, list[str]] = {}
    wide: dict[str, int] = {}
    with window(chromium, up.state["api_url"], token=up.state["token"], **options) as shown:
        for path in paths:
            shown.goto(path)
            expect(shown.page.get_by_role("heading").first).to_be_attached()
            if said := found_by_axe(shown.context, shown.page):
                found[path] = said
            shown.page.evaluate(LONG_WORD)
            if shown.width() > width:
                wide[path] = shown.width()
        assert shown.complaints == []
        assert shown.strangers == []
    assert found == {}
    assert wide == {}, "the page itself scrolls sideways"
