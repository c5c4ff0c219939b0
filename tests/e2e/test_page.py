"""The operations page in Chromium, on a real demo: what operators see and do, without looking away from it."""

import os
import re
import signal
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, expect

from tests.e2e.browser import Window, browser, needs_browser, window
from tests.e2e.test_demo import RunningDemo, demo

pytestmark = [pytest.mark.e2e, needs_browser]

PAGES = (
    "/now", "/instances", "/sessions", "/pairing", "/deaf", "/moves", "/messages", "/batches", "/endpoints",
    "/downtime", "/alerts", "/settings", "/more",
)  # fmt: skip
PATIENCE_MS = 15_000
expect.set_options(timeout=PATIENCE_MS)


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    """One demo for all of these; what is done to it is told to those behind by their order."""
    with demo(tmp_path_factory.mktemp("page"), accounts=12) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def operator(chromium: Browser, up: RunningDemo) -> Iterator[Window]:
    """An operator's window. Whatever it shows, nothing is refused in it and nobody else is asked for anything."""
    with window(chromium, up.state["api_url"], token=up.state["token"]) as shown:
        yield shown
    assert shown.complaints == []
    assert shown.strangers == []


def link_of(up: RunningDemo) -> str:
    assert up.process.stdout is not None
    for line in up.process.stdout:
        if line.startswith("Page: "):
            return line.split()[1]
    raise AssertionError("the demo printed no link")


def key(up: RunningDemo, **asked: Any) -> dict[str, Any]:
    return up.ask("POST", "/keys", {"name": "another", "scope": "read", **asked})


def revoke(up: RunningDemo, key_id: str) -> None:
    request = urllib.request.Request(f"{up.state['api_url']}/api/v1/keys/{key_id}", method="DELETE")
    request.add_header("Authorization", f"Bearer {up.state['token']}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status == 204


# --- signing in -----------------------------------------------------------------------------------------------


def test_the_demos_link_signs_in_once(chromium: Browser, up: RunningDemo) -> None:
    link = link_of(up)
    assert up.state["token"] not in link
    with window(chromium, up.state["api_url"]) as shown:
        shown.page.goto(link)
        expect(shown.page).to_have_url(re.compile("/now$"))
        expect(shown.page.locator("#verdict")).to_contain_text("All 12 sessions can send.")
    with window(chromium, up.state["api_url"]) as again:
        again.page.goto(link)
        expect(again.page.get_by_role("alert")).to_contain_text("used already")


def test_a_key_signs_in_and_a_wrong_one_does_not(chromium: Browser, up: RunningDemo) -> None:
    with window(chromium, up.state["api_url"]) as shown:
        shown.goto("/")
        expect(shown.page).to_have_url(re.compile("/login$"))
        shown.page.get_by_label("API key").fill("hk_wrong")
        shown.page.keyboard.press("Enter")
        expect(shown.page.get_by_role("alert")).to_contain_text("not known")
        shown.page.get_by_label("API key").fill(up.state["token"])
        shown.page.get_by_role("button", name="Sign in").click()
        expect(shown.page).to_have_url(re.compile("/now$"))
        [cookie] = shown.context.cookies()
        assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")


# --- how it looks to whom -------------------------------------------------------------------------------------


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1440, 2560])
def test_no_page_is_wider_than_its_window(chromium: Browser, up: RunningDemo, scheme: Any, width: int) -> None:
    viewport: Any = {"width": width, "height": 900}
    origin, token = up.state["api_url"], up.state["token"]
    with window(chromium, origin, token=token, viewport=viewport, color_scheme=scheme) as shown:
        for path in (*PAGES, "/sessions/142", "/instances/1", "/instances/1/drain"):
            shown.goto(path)
            assert shown.width() <= width, path
        assert shown.complaints == []
        assert shown.strangers == []


def test_without_javascript_pages_are_whole_and_filters_are_forms(chromium: Browser, up: RunningDemo) -> None:
    origin, token = up.state["api_url"], up.state["token"]
    with window(chromium, origin, token=token, java_script_enabled=False) as shown:
        for path, text in {"/now": "Last moves", "/instances": "Worst first", "/moves": "Moves"}.items():
            shown.goto(path)
            expect(shown.page.get_by_text(text).first).to_be_visible()
        shown.goto("/sessions")
        expect(shown.page.get_by_role("row")).to_have_count(13)
        shown.page.get_by_label("Phone, uuid, name or instance").fill("811-111-111")
        shown.page.get_by_role("button", name="Find").click()
        expect(shown.page.get_by_role("row")).to_have_count(2)
        shown.page.get_by_role("link", name="+62 811-111-111").click()
        expect(shown.page.get_by_text(re.compile("Connected on localhost"))).to_be_visible()


def test_who_may_only_look_is_offered_nothing_else(chromium: Browser, up: RunningDemo) -> None:
    looker = key(up, name="looker")
    with window(chromium, up.state["api_url"], token=looker["key"]) as shown:
        for path in (*PAGES, "/sessions/142", "/instances/1"):
            shown.goto(path)
            assert "…" not in " ".join(shown.page.get_by_role("main").get_by_role("link").all_inner_texts()), path
        forged = "fetch('/api/v1/accounts/142/stop', {method: 'POST'}).then((answer) => answer.status)"
        assert shown.page.evaluate(forged) == 403


# --- as things happen -----------------------------------------------------------------------------------------


def test_a_revoked_key_leads_out_of_the_page(chromium: Browser, up: RunningDemo) -> None:
    brief = key(up, name="brief")
    with window(chromium, up.state["api_url"], token=brief["key"]) as shown:
        shown.goto("/now")
        expect(shown.page.get_by_text("Live, ")).to_be_visible()
        revoke(up, brief["id"])
        expect(shown.page).to_have_url(re.compile("/login$"))


def test_a_stream_that_falls_silent_is_said_and_goes_on(operator: Window, up: RunningDemo) -> None:
    operator.goto("/now")
    expect(operator.page.get_by_text("Live, ", exact=False)).to_be_visible()
    os.kill(up.state["gateway"]["pid"], signal.SIGSTOP)
    try:
        expect(operator.page.get_by_text("Not live, ")).to_be_visible(timeout=25_000)
        expect(operator.page.locator("body.stale")).to_have_count(1)
    finally:
        os.kill(up.state["gateway"]["pid"], signal.SIGCONT)
    expect(operator.page.locator("body.stale")).to_have_count(0)


def test_sessions_are_found_while_somebody_types_and_walked_by_keyboard(operator: Window) -> None:
    operator.goto("/sessions")
    page = operator.page
    expect(page.locator(".view .grow")).to_have_count(12)
    page.keyboard.press("/")
    page.keyboard.type("811111111")
    expect(page.locator(".view .grow")).to_have_count(1)
    page.get_by_label("Phone, uuid, name or instance").fill("")
    expect(page.locator(".view .grow")).to_have_count(12)
    page.locator(".view").focus()
    page.keyboard.press("End")
    expect(page.locator(".grow.active")).to_have_attribute("aria-rowindex", "13")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile(r"/sessions/\d+$"))


def test_a_session_is_paired_again_before_the_operators_eyes(operator: Window, up: RunningDemo) -> None:
    operator.goto("/sessions/145")
    expect(operator.page.get_by_text(re.compile("^Connected on"))).to_be_visible()
    up.ask("POST", "/accounts/145/logout")
    expect(operator.page.get_by_text(re.compile("^Logged out on"))).to_be_visible()
    operator.page.get_by_role("link", name="Start…").click()
    operator.page.get_by_role("button", name="Start +62 811-111-111").click()
    expect(operator.page.get_by_text(re.compile("^Connected on"))).to_be_visible(timeout=30_000)
    expect(operator.page.locator(".qr")).to_have_count(0)


def test_an_instance_is_drained_by_keyboard_alone(operator: Window, up: RunningDemo) -> None:
    operator.goto("/instances")
    page, row = operator.page, operator.page.locator("#instance-3")
    row.get_by_role("link", name="Drain…").focus()
    page.keyboard.press("Enter")
    dialog = page.get_by_role("dialog")
    expect(dialog.get_by_role("heading", name=re.compile("^Drain localhost:"))).to_be_visible()
    expect(dialog.get_by_text("Will move")).to_be_visible()
    dialog.get_by_role("button", name=re.compile(r"move \d+$")).focus()
    page.keyboard.press("Enter")
    expect(dialog).not_to_be_visible()
    expect(row.get_by_text("draining")).to_be_visible()
    expect(row.get_by_text("0 can send")).to_be_visible(timeout=30_000)
    acts = up.ask("GET", "/audit")["data"]
    assert any("drain" in str(act).lower() and "demo" in str(act) for act in acts)
    row.get_by_role("link", name="Undrain…").click()
    dialog.get_by_role("button", name=re.compile("^Undrain")).click()
    expect(row.get_by_text("healthy")).to_be_visible()


def test_what_may_not_be_done_says_why(operator: Window, up: RunningDemo) -> None:
    up.ask("PATCH", "/accounts/146", {"takeover": "never"})
    operator.goto("/sessions/146")
    expect(operator.page.get_by_text("its takeover is set to never").first).to_be_visible()
    operator.page.get_by_role("link", name="Migrate…").click()
    dialog = operator.page.get_by_role("dialog")
    expect(dialog.get_by_text("Its takeover is set to never.")).to_be_visible()
    expect(dialog.get_by_role("button")).to_have_count(0)
    operator.page.keyboard.press("Escape")
    up.ask("PATCH", "/accounts/146", {"takeover": "auto"})


def test_a_dead_instance_turns_in_place_with_its_reason_and_its_moves(operator: Window, up: RunningDemo) -> None:
    """The last one: nothing restarts the instance."""
    operator.goto("/instances")
    row = operator.page.locator("#instance-1")
    expect(row).to_have_attribute("data-health", "healthy")
    operator.page.evaluate("window.neverLoadedAgain = true")
    os.kill(up.state["instances"][0]["pid"], signal.SIGKILL)
    expect(row).not_to_have_attribute("data-health", "healthy")
    expect(operator.page.locator("#why-1")).to_contain_text(re.compile("refuse|heartbeat|lease"))
    expect(row.get_by_text("0 can send")).to_be_visible()
    expect(operator.page.locator("#verdict")).to_contain_text("All 12 sessions can send.", timeout=30_000)
    placed = [int(text) for text in operator.page.locator("#instances tfoot td").nth(2).all_inner_texts()]
    assert placed == [12]
    assert operator.page.evaluate("window.neverLoadedAgain")
    operator.goto("/moves?kind=rehome")
    expect(operator.page.get_by_text("is down").first).to_be_visible()
