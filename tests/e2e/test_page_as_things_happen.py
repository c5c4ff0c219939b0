"""What the operations page promises while things happen, looked at in Chromium on a real demo: an instance is killed,
the stream is cut, the keyboard is all there is, a plan of moves is run and automation is turned off.
"""

import json
import os
import re
import signal
import time
import urllib.request
from collections.abc import Iterator
from itertools import pairwise

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import Window, browser, needs_browser, window
from tests.e2e.test_demo import RunningDemo, demo
from tests.e2e.test_page import PAGES, PATIENCE_MS

pytestmark = [pytest.mark.e2e, needs_browser]
expect.set_options(timeout=PATIENCE_MS)

ACCOUNTS = 12
ROW_WITHIN_S, MOVE_WITHIN_S, STALE_WITHIN_S = 2.0, 5.0, 20.0
APART_S = 5.0


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with demo(tmp_path_factory.mktemp("happening"), accounts=ACCOUNTS) as running:
        yield running


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as opened:
        yield opened


@pytest.fixture
def operator(chromium: Browser, up: RunningDemo) -> Iterator[Window]:
    with window(chromium, up.state["api_url"], token=up.state["token"]) as shown:
        yield shown
    assert shown.complaints == []
    assert shown.strangers == []


def live(shown: Window, path: str) -> Page:
    shown.goto(path)
    expect(shown.page.get_by_text("Live, ")).to_be_visible()
    return shown.page


# --- a stream that is cut -------------------------------------------------------------------------------------

KEPT = """
window.told = []; window.state = {};
const Real = window.EventSource;
window.EventSource = class extends Real {
  constructor(url) {
    super(url);
    for (const kind of ["snapshot", "delta"]) this.addEventListener(kind, (event) => {
      const said = JSON.parse(event.data);
      window.told.push([kind, event.lastEventId, said.why ?? ""]);
      if (kind === "snapshot") window.state = {};
      for (const row of said.sessions ?? []) window.state[row.session_id] = [row.status, row.takeover, row.epoch];
    });
  }
};"""


def test_what_happened_while_the_stream_was_cut_is_told_once_and_in_order(operator: Window, up: RunningDemo) -> None:
    page = operator.page
    page.add_init_script(KEPT)
    live(operator, "/now")
    up.ask("PATCH", "/accounts/146", {"takeover": "manual"})
    page.wait_for_timeout(1_500)
    operator.context.set_offline(True)
    cut_s = time.monotonic()
    for turn in range(6):
        up.ask("PATCH", f"/accounts/{144 + turn % 3}", {"takeover": ("manual", "auto")[turn // 3]})
    expect(page.get_by_text(re.compile(r"^Not live, \d+ s$"))).to_be_visible(timeout=1_000 * STALE_WITHIN_S)
    assert time.monotonic() - cut_s < STALE_WITHIN_S
    expect(page.get_by_text("actions wait until it is")).to_be_visible()
    up.ask("PATCH", "/accounts/146", {"takeover": "auto"})
    operator.context.set_offline(False)
    expect(page.locator("body.stale")).to_have_count(0, timeout=20_000)
    page.wait_for_timeout(2_000)
    kinds = page.evaluate("window.told")
    numbers = [int(each[1].rpartition("-")[2]) for each in kinds if each[0] == "delta"]
    assert numbers == sorted(set(numbers)), "none twice, and in order"
    assert [each for each in kinds if each[0] == "snapshot"] == [["snapshot", kinds[0][1], "new"]], "it went on"
    known = {
        row["session_id"]: [row["status"], row["takeover"], row["epoch"]]
        for row in up.ask("GET", "/sessions?limit=100")["data"]
    }
    assert page.evaluate("window.state") == known, "nothing is missing"
    operator.complaints[:] = [each for each in operator.complaints if "ERR_INTERNET_DISCONNECTED" not in each]


# --- for everybody --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", PAGES)
def test_what_has_the_focus_is_seen(operator: Window, path: str) -> None:
    page = live(operator, path)
    unseen = []
    for _ in range(30):
        page.keyboard.press("Tab")
        found = page.evaluate("""() => {
          const at = document.activeElement, style = getComputedStyle(at);
          if (at === document.body) return null;
          const ring = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 2;
          return ring || at.matches(":focus-within .find") ? "" : at.outerHTML.slice(0, 120);
        }""")
        if found is None:
            break
        if found:
            unseen.append(found)
    assert unseen == []


def test_what_is_read_aloud_is_not_read_over_itself(operator: Window, up: RunningDemo) -> None:
    """The verdict changes every second or so; a reader is told at most every five seconds."""
    page = live(operator, "/now")
    page.evaluate("""() => {
      window.said = [];
      for (const region of document.querySelectorAll("[aria-live], [role=status], [role=alert], [role=log]"))
        new MutationObserver(() => window.said.push([performance.now(), region.id])).observe(region, {
          subtree: true, childList: true, characterData: true });
    }""")
    until_s = time.monotonic() + 16
    while time.monotonic() < until_s:
        for account in (146, 147):
            up.ask("POST", f"/accounts/{account}/stop")
        for account in (146, 147):
            up.ask("POST", f"/accounts/{account}/start")
        page.wait_for_timeout(300)
    said = [each[0] for each in page.evaluate("window.said")]
    apart = [later - before for before, later in pairwise(said)]
    assert said, "the verdict changed"
    assert all(each >= 1000 * (APART_S - 0.1) for each in apart), apart
    expect(page.get_by_text(f"All {ACCOUNTS} sessions can send.").first).to_be_visible(timeout=30_000)


# --- steering -------------------------------------------------------------------------------------------------


def test_a_plan_is_made_looked_at_run_and_done_on_the_page(operator: Window, up: RunningDemo) -> None:
    page = live(operator, "/moves")
    page.get_by_role("link", name="Plan moves…").click()
    dialog = page.get_by_role("dialog")
    third = up.state["instances"][2]["url"]
    dialog.get_by_label("What for").select_option(third)
    dialog.get_by_role("button", name="Plan").click()
    expect(page).to_have_url(re.compile(r"/plans/[0-9a-f]+$"))
    planned = page.locator("tr[id^=step-]").count()
    assert planned > 0
    expect(page.get_by_text(f"{planned} sessions would move")).to_be_visible()
    page.get_by_role("link", name="Run…").click()
    dialog.get_by_role("button", name=f"Run, move {planned}").click()
    expect(dialog).not_to_be_visible()
    expect(page.get_by_text(f"{planned} of {planned} moved.")).to_be_visible(timeout=60_000)
    expect(page.locator("#head").get_by_text("done since")).to_be_visible(timeout=10_000)
    assert (
        len([move for move in up.ask("GET", "/moves?kind=migration")["data"] if move["from_url"] == third]) == planned
    )
    acts = {act["action"]: act["actor"] for act in up.ask("GET", "/audit")["data"]}
    assert (acts["plan.made"], acts["plan.run"]) == ("demo", "demo")


def test_automation_is_a_switch_that_another_operator_sees(
    chromium: Browser, operator: Window, up: RunningDemo
) -> None:
    page = live(operator, "/now")
    switch = page.get_by_role("switch", name="Automation")
    expect(switch).to_have_attribute("aria-checked", "true")
    with window(chromium, up.state["api_url"], token=up.state["token"]) as other:
        second = live(other, "/sessions")
        switch.focus()
        page.keyboard.press("Enter")
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_text("Homing then moves nothing by itself")).to_be_visible()
        dialog.get_by_role("button", name="Turn automation off").click()
        expect(switch).to_have_attribute("aria-checked", "false")
        expect(second.get_by_text("Automation off")).to_be_visible()
        expect(second.get_by_text(re.compile("^by demo, "))).to_be_visible()
        second.get_by_role("switch", name="Automation").click()
        second.get_by_role("dialog").get_by_role("button", name="Turn automation on").click()
        expect(switch).to_have_attribute("aria-checked", "true")
        assert other.complaints == []
    looker = up.ask("POST", "/keys", {"name": "looker", "scope": "read"})
    with window(chromium, up.state["api_url"], token=looker["key"]) as shown:
        expect(live(shown, "/now").get_by_role("switch")).to_have_count(0)


def test_a_session_shows_its_day_and_is_found_by_its_sign(operator: Window, up: RunningDemo) -> None:
    up.ask("POST", "/accounts/148/logout")
    page = live(operator, "/sessions")
    expect(page.locator(".view .grow .beats")).to_have_count(ACCOUNTS)
    page.get_by_role("link", name=re.compile("^to be paired")).click()
    expect(page.locator(".view .grow")).to_have_count(1)
    expect(page.get_by_role("img", name=re.compile("could not send in 1 half hour"))).to_be_visible()
    told = operator.context.request.get(f"{operator.origin}/sessions?sign=unpaired", headers={"Accept": "text/csv"})
    assert len(told.text().strip().splitlines()) == 2
    up.ask("POST", "/accounts/148/start")
    expect(page.get_by_text(f"All {ACCOUNTS} sessions can send.").first).to_be_visible(timeout=30_000)


# --- the last one: nothing restarts the instance ----------------------------------------------------------------


def _total(up: RunningDemo) -> int:
    request = urllib.request.Request(f"{up.state['api_url']}/api/v1/instances")
    request.add_header("Authorization", f"Bearer {up.state['token']}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        return sum(row["sessions"] for row in json.loads(answer.read())["data"])


def test_a_killed_instance_shows_with_its_reason_in_2_s_its_moves_in_5_s_and_all_is_well_again(
    chromium: Browser, operator: Window, up: RunningDemo
) -> None:
    victim = next(each for each in up.ask("GET", "/instances")["data"] if each["sessions"])
    page = live(operator, "/instances")
    row, sums = page.locator(f"#instance-{victim['id']}"), page.locator("#instances .use > span > span:first-child")
    assert sum(int(each) for each in sums.all_inner_texts()) == ACCOUNTS == _total(up)
    with window(chromium, up.state["api_url"], token=up.state["token"]) as second:
        moves = live(second, "/moves?kind=rehome")
        assert moves.locator("tr[id^=move-]").count() == 0
        for shown in (page, moves):
            shown.evaluate("window.neverLoadedAgain = true")
        os.kill(next(each["pid"] for each in up.state["instances"] if each["url"] == victim["url"]), signal.SIGKILL)
        killed_s = time.monotonic()
        expect(row).not_to_have_attribute("data-health", "healthy")
        expect(page.locator(f"#why-{victim['id']}")).to_contain_text(re.compile("refuse|heartbeat|lease"))
        row_s = time.monotonic() - killed_s
        expect(moves.locator("tr[id^=move-]").first).to_be_visible()
        move_s = time.monotonic() - killed_s
        assert (row_s, move_s) < (ROW_WITHIN_S, MOVE_WITHIN_S), (row_s, move_s)
        assert move_s < MOVE_WITHIN_S
        expect(page.locator("#verdict")).to_contain_text(f"All {ACCOUNTS} sessions can send.", timeout=30_000)
        assert sum(int(each) for each in sums.all_inner_texts()) == ACCOUNTS == _total(up)
        assert all(shown.evaluate("window.neverLoadedAgain") for shown in (page, moves))
        assert second.complaints == []
