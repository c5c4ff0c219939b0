"""A phone's owner links it by a link, in a browser, without a key; what does not open looks all the same."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import Window, browser, needs_browser, window
from tests.e2e.test_demo import RunningDemo, demo, until

pytestmark = [pytest.mark.e2e, needs_browser]

PATIENCE_MS = 20_000
TRIES = 4


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with demo(tmp_path_factory.mktemp("pairing"), instances=2, accounts=3) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


def account(up: RunningDemo, number: int) -> dict[str, Any]:
    """A new one, which its phone scans a few seconds after it shows a code."""
    return up.ask("POST", "/accounts", {"workspace_id": 1, "phone": f"+62 812-3456-{7000 + number}"})


def link(up: RunningDemo, made: dict[str, Any]) -> str:
    return str(urlsplit(up.ask("POST", f"/accounts/{made['id']}/pairing-link", {})["url"]).path)


def refusal(shown: Window, path: str) -> str:
    shown.page.goto(f"{shown.origin}{path}")
    expect(shown.page.get_by_role("heading")).to_have_text("This link does not open")
    return shown.page.content()


def test_a_link_opens_shows_a_live_code_is_used_and_ends(chromium: Browser, up: RunningDemo) -> None:
    origin = up.state["api_url"]
    with window(chromium, origin) as owner:
        for number in range(TRIES):
            made = account(up, number)
            path = link(up, made)
            owner.page.goto(f"{origin}{path}")
            if owner.page.get_by_role("button", name="Show the code").count() == 0:
                continue  # its phone was sooner
            owner.page.get_by_role("button", name="Show the code").click()
            if owner.page.locator(".qr svg, p b").count():
                break
        else:
            pytest.fail("no code was ever shown in time")
        assert made["phone"] not in owner.page.content()
        expect(owner.page.get_by_role("heading")).to_have_text("Your phone is linked", timeout=PATIENCE_MS)
        until(lambda: up.ask("GET", f"/accounts/{made['id']}")["status"] == "connected", within_s=10)
        refusal(owner, path)


def test_used_elsewhere_replaced_and_guessed_links_are_refused_alike(chromium: Browser, up: RunningDemo) -> None:
    origin = up.state["api_url"]
    with window(chromium, origin) as owner, window(chromium, origin) as another:
        for number in range(TRIES):
            made = account(up, 50 + number)
            used = link(up, made)
            owner.page.goto(f"{origin}{used}")
            if owner.page.get_by_role("button", name="Show the code").count():
                owner.page.get_by_role("button", name="Show the code").click()
                break
        else:
            pytest.fail("no link could be opened in time")
        pages = {refusal(another, used), refusal(another, "/pair/" + "g" * 43), refusal(another, "/pair/x")}
        assert len(pages) == 1
