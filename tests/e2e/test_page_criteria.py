"""What the operations page promises, looked at in Chromium on a real demo: for everybody, with any clock, for a day.

What is done by hand on it, from signing in to a drain by keyboard, is in `test_page`; what is timed in `bench page`.
"""

import csv
import io
import re
import time
import urllib.request
from collections.abc import Iterator
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.browser import Window, browser, found_by_axe, needs_browser, window
from tests.e2e.test_demo import RunningDemo, demo
from tests.e2e.test_page import PAGES, PATIENCE_MS

pytestmark = [pytest.mark.e2e, needs_browser]
expect.set_options(timeout=PATIENCE_MS)

HOSTILE = "<script>window.hit=1</script>\u202e\u200b👩\u200d👩\u200d👧" + "x" * 150


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningDemo]:
    with demo(tmp_path_factory.mktemp("criteria"), accounts=12) as running:
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


def until(page: Page, holds: str) -> None:
    """Asked by the debugger: a page's own wait would be evaluated text, which its policy refuses."""
    deadline_s = time.monotonic() + PATIENCE_MS / 1000
    while not page.evaluate(holds):
        assert time.monotonic() < deadline_s, holds
        page.wait_for_timeout(100)


# --- for everybody --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("width", "scheme"), [(1440, "light"), (1440, "dark"), (390, "light")])
def test_axe_finds_nothing_serious_on_any_page(chromium: Browser, up: RunningDemo, width: int, scheme: Any) -> None:
    options: dict[str, Any] = {"viewport": {"width": width, "height": 900}, "color_scheme": scheme}
    found: dict[str, list[str]] = {}
    with window(chromium, up.state["api_url"], token=up.state["token"], **options) as shown:
        for path in (*PAGES, "/sessions/142", "/instances/1", "/instances/1/drain"):
            shown.goto(path)
            if said := found_by_axe(shown.context, shown.page):
                found[path] = said
        assert shown.complaints == []
        assert shown.strangers == []
    assert found == {}


@pytest.fixture
def strange(up: RunningDemo) -> Iterator[int]:
    """An account and an endpoint with names that somebody thought hard about; the account goes with the test."""
    there = f"http://{up.state['whatsapp']['address']}/x"
    up.ask("POST", "/endpoints", {"workspace_id": 1, "url": there, "name": HOSTILE})
    account = up.ask("POST", "/accounts", {"workspace_id": 1, "phone": "081210009999", "name": HOSTILE})
    yield account["id"]
    request = urllib.request.Request(
        f"{up.state['api_url']}/api/v1/accounts/{account['id']}?force=true", method="DELETE"
    )
    request.add_header("Authorization", f"Bearer {up.state['token']}")
    with urllib.request.urlopen(request, timeout=10) as answer:
        assert answer.status in (200, 204)


def test_names_of_strangers_are_text_and_break_nothing(operator: Window, strange: int) -> None:
    operator.page.set_viewport_size({"width": 390, "height": 844})
    for path in ("/sessions", f"/sessions/{strange}", "/endpoints", "/now"):
        operator.goto(path)
        expect(operator.page.get_by_text("Live, ")).to_be_visible()
        assert operator.width() <= 390, path
        assert operator.page.evaluate("window.hit") is None
    operator.goto(f"/sessions/{strange}")
    expect(operator.page.get_by_text("<script>window.hit=1</script>").first).to_be_visible()


def test_every_page_has_the_same_rows_as_its_table(operator: Window) -> None:
    for path, rows in {
        "/instances": "tr[id^=instance-]",
        "/sessions": ".view .grow",
        "/moves": "tr[id^=move-]",
        "/messages": "tr[id^=m-]",
        "/alerts": "#alerts .item .button",
        "/pairing": "tr[id^=pair-]",
        "/plans": "tr[id^=plan-]",
        "/batches": "tr[id^=b-]",
        "/endpoints": "main tbody tr:not(.why)",
        "/downtime": "#downtime tbody tr",
        "/settings": "#schedules tbody tr",
        "/deaf": "tr[id^=deaf-]",
    }.items():
        operator.goto(path)
        expect(operator.page.get_by_text("Live, ")).to_be_visible()
        table = operator.context.request.get(f"{operator.origin}{path}.csv")
        assert table.ok, path
        told = list(csv.DictReader(io.StringIO(table.text())))
        expect(operator.page.locator(rows)).to_have_count(len(told))
        accepted = operator.context.request.get(f"{operator.origin}{path}", headers={"Accept": "application/json"})
        assert len(accepted.json()["data"]) == len(told), path


def test_the_reference_can_be_tried_without_anybody_elses_server(operator: Window) -> None:
    operator.goto("/docs")
    page = operator.page
    page.get_by_role("button", name=re.compile("^Expand operation|fleet")).first.wait_for()
    page.locator("#operations-tag-probes button.expand-operation, #operations-tag-probes").first.click()
    page.locator("[id^=operations-probes] .opblock-summary-control").first.click()
    page.get_by_role("button", name="Try it out").click()
    page.get_by_role("button", name="Execute").click()
    expect(page.locator(".live-responses-table .response .response-col_status").first).to_contain_text("200")


# --- who may what ---------------------------------------------------------------------------------------------

FORGED = """async ({path, headers}) => {
  const sent = {'Content-Type': 'application/json', ...headers};
  const answer = await fetch(path, {method: 'POST', headers: sent, body: '{}'});
  return answer.status;
}"""


def test_what_is_forged_is_refused_and_a_looker_who_tries_is_in_the_audit_log(
    chromium: Browser, up: RunningDemo
) -> None:
    origin, path = up.state["api_url"], "/api/v1/accounts/143/stop"
    with window(chromium, origin, token=up.state["token"]) as shown:
        shown.goto("/now")
        assert shown.page.evaluate(FORGED, {"path": path, "headers": {}}) == 403, "without the page's token"
        token = shown.page.locator("meta[name=csrf-token]").get_attribute("content")
        foreign = shown.context.request.post(
            f"{origin}{path}", headers={"Origin": "https://elsewhere.example", "X-CSRF-Token": str(token)}, data="{}"
        )
        assert foreign.status == 403, "from somebody else's page"
    looker = up.ask("POST", "/keys", {"name": "forger", "scope": "read"})
    with window(chromium, origin, token=looker["key"]) as shown:
        shown.goto("/now")
        token = shown.page.locator("meta[name=csrf-token]").get_attribute("content")
        asked = {"path": path, "headers": {"X-CSRF-Token": str(token)}}
        assert shown.page.evaluate(FORGED, asked) == 403
    acts = up.ask("GET", "/audit?action=request.refused")["data"]
    assert any(act["actor"] == "forger" for act in acts)
    with window(chromium, origin) as shown:
        assert shown.context.request.post(f"{origin}{path}", data="{}").status == 401


# --- live -----------------------------------------------------------------------------------------------------


def test_only_rows_in_sight_are_touched_by_what_changes(operator: Window) -> None:
    """A thousand changes of rows that are not there, told as the stream tells them, and nothing else told meanwhile."""
    operator.page.add_init_script("window.EventSource = class extends EventTarget { close() {} };")
    operator.goto("/sessions")
    expect(operator.page.locator(".view .grow")).to_have_count(12)
    touched = operator.page.evaluate("""async () => {
      let seen = 0;
      new MutationObserver((found) => (seen += found.length)).observe(document.querySelector(".view"), {
        subtree: true, childList: true, characterData: true, attributes: true });
      for (let round = 0; round < 10; round++) {
        const row = (_, at) => ({session_id: `elsewhere-${round}-${at}`, standing: "moving"});
        const sessions = Array.from({length: 100}, row);
        document.dispatchEvent(new CustomEvent("homing:state", {detail: {kind: "delta", told: {sessions}}}));
        await new Promise((done) => setTimeout(done, 100));
      }
      return seen;
    }""")
    assert touched == 0


def test_a_cut_stream_goes_on_where_it_was_and_misses_nothing(operator: Window, up: RunningDemo) -> None:
    page = operator.page
    page.add_init_script("""window.told = []; window.sources = 0;
      const Real = window.EventSource;
      window.EventSource = class extends Real {
        constructor(url) { super(url); window.sources++;
          for (const kind of ["snapshot", "delta"])
            this.addEventListener(kind, (event) => window.told.push([kind, event.lastEventId]));
        }
      };""")
    operator.goto("/now")
    expect(page.get_by_text("Live, ")).to_be_visible()
    until(page, "window.told.some(([kind]) => kind === 'snapshot')")
    operator.context.set_offline(True)
    up.ask("PATCH", "/accounts/144", {"takeover": "manual"})
    up.ask("POST", "/accounts/144/stop")
    time.sleep(1.0)
    operator.context.set_offline(False)
    up.ask("POST", "/accounts/144/start")
    up.ask("PATCH", "/accounts/144", {"takeover": "auto"})
    expect(page.locator("body.stale")).to_have_count(0)
    until(page, "window.told.length > 2")
    numbers = [int(each[1].rpartition("-")[2]) for each in page.evaluate("window.told") if each[0] == "delta"]
    assert numbers == sorted(set(numbers)), "none twice, and in order"
    expect(page.locator("#verdict")).to_contain_text("All 12 sessions can send.", timeout=30_000)
    operator.complaints[:] = [each for each in operator.complaints if "ERR_INTERNET_DISCONNECTED" not in each]


def test_two_operators_see_each_others_drain(chromium: Browser, operator: Window, up: RunningDemo) -> None:
    other = up.ask("POST", "/keys", {"name": "night-ops", "scope": "admin"})
    with window(chromium, up.state["api_url"], token=other["key"]) as second:
        for shown in (operator, second):
            shown.goto("/instances")
            expect(shown.page.locator("#instance-2").get_by_role("link", name="Drain…")).to_be_visible()
        for shown in (operator, second):
            shown.page.locator("#instance-2").get_by_role("link", name="Drain…").click()
            expect(shown.page.get_by_role("dialog")).to_be_visible()
        for shown in (operator, second):  # both were asked before either said yes
            shown.page.get_by_role("dialog").get_by_role("button", name=re.compile(r"^Drain .*move \d+$")).click()
            expect(shown.page.get_by_role("dialog")).not_to_be_visible()
        for shown in (operator, second):
            expect(shown.page.locator("#instance-2").get_by_role("link", name="Undrain…")).to_be_visible()
        up.ask("POST", "/instances/2/undrain")
        for shown in (operator, second):
            expect(shown.page.locator("#instance-2").get_by_role("link", name="Drain…")).to_be_visible()
        assert second.complaints == []


@pytest.mark.parametrize("off_s", [-86_400 * 400, 86_400 * 400])
def test_a_browser_whose_clock_is_wrong_shows_the_gateways_time(operator: Window, off_s: int) -> None:
    operator.page.add_init_script(f"""const real = Date.now; const Was = Date;
      Date.now = () => real() + {off_s} * 1000;
      window.Date = class extends Was {{ constructor(...a) {{ a.length ? super(...a) : super(Was.now()); }} }};""")
    operator.goto("/sessions")
    page = operator.page
    expect(page.get_by_text("Live, ")).to_be_visible()
    shown = time.strptime(str(page.locator("[data-stream]").inner_text()).removeprefix("Live, "), "%H:%M:%S")
    now = time.gmtime()
    apart_s = abs(
        (shown.tm_hour * 60 + shown.tm_min) * 60 + shown.tm_sec - (now.tm_hour * 60 + now.tm_min) * 60 - now.tm_sec
    )
    assert min(apart_s, 86_400 - apart_s) < 30
    since = page.locator(".view .grow small").first.inner_text()
    assert re.fullmatch(r"\d+ s|\d+ min( \d+ s)?", since), since


def test_a_page_left_open_for_a_day_forgets_what_it_needs_not_and_takes_up_a_new_release(operator: Window) -> None:
    """A day of changes in a row, and then a gateway whose page is another one."""
    operator.goto("/sessions")
    page = operator.page
    expect(page.locator(".view .grow")).to_have_count(12)
    session = operator.context.new_cdp_session(page)

    def heap_mb() -> float:
        session.send("HeapProfiler.collectGarbage")
        return float(session.send("Runtime.getHeapUsage")["usedSize"]) / 1e6

    a_day = """async () => {
      const rows = [...document.querySelectorAll(".view .grow")].map((row) => row.dataset.session);
      for (let at = 0; at < 20000; at++) {
        const sessions = [{session_id: rows[at % rows.length], standing: at % 2 ? "moving" : "connected", account_id: 1,
          phone_written: "+62 1", name: "", epoch: at, takeover: "auto"}];
        document.dispatchEvent(new CustomEvent("homing:state", {detail: {kind: "delta", told: {sessions}}}));
        if (at % 500 === 0) await new Promise((done) => setTimeout(done, 0));
      }
    }"""
    page.evaluate(a_day)
    page.wait_for_timeout(600)
    before = heap_mb()
    page.evaluate(a_day)
    page.wait_for_timeout(600)
    assert heap_mb() - before < 10
    page.evaluate(
        "window.isOld = true; document.querySelector('link[rel=stylesheet]').href = '/static/older/tokens.css'"
    )
    # Somebody comes back to it, and it loads itself anew.
    with page.expect_navigation(timeout=15_000):
        page.evaluate("setTimeout(() => document.dispatchEvent(new Event('visibilitychange')), 50)")
    until(page, "window.isOld === undefined")
    operator.complaints[:] = [each for each in operator.complaints if "404" not in each]
