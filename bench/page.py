"""The operations page over a fleet of 100,000 sessions: how soon it is there, what it costs those who send.

The gateway and its model instances are processes of their own. Times of the page are those of Chromium; sends are
timed in rounds that alternate, with nobody watching and with a hundred streams of the state while the state changes.
"""

import asyncio
import json
import socket
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from itertools import count
from statistics import median
from typing import Any

from playwright.async_api import Page, async_playwright

from bench.model_fleet import account_uuid
from bench.report import Report, Spread, shown
from bench.sending_fleet import SendingFleet, open_sending_fleet
from homing.drivers.http.wire import MIB
from homing.model.sends.faults import Fault
from tests.e2e.browser import FLAGS

PAINT_WITHIN_S, END_WITHIN_S, SEARCH_WITHIN_S = 1.0, 1.0, 0.3
ROWS_MOST, HEAP_MOST_MB = 400, 100.0
COST_SHARE, COST_S = 0.2, 0.001
DROPPED_WITHIN_S = 30.0
LOADS = 5
KNOWN_WITHIN_S = 240.0
SNAPSHOT_BYTES_MAX = 1 << 24
WARMED = 200

_PAINTED = "performance.getEntriesByName('first-contentful-paint')[0]?.startTime ?? -1"
_END = """async () => {
  const view = document.querySelector(".view"), began = performance.now();
  view.focus();
  view.dispatchEvent(new KeyboardEvent("keydown", {key: "End", bubbles: true}));
  const last = document.querySelector("[role=table]").getAttribute("aria-rowcount");
  while (!document.querySelector(`[aria-rowindex="${last}"]`)) await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""
_SEARCH = """async (text) => {
  const field = document.getElementById("q"), began = performance.now();
  field.value = text;
  field.dispatchEvent(new Event("input", {bubbles: true}));
  const found = () => document.querySelector("[role=table]").getAttribute("aria-rowcount") === "2"
    && document.querySelectorAll(".view .grow").length === 1;
  while (!found()) await new Promise(requestAnimationFrame);
  return performance.now() - began;
}"""
_SCROLL = """async (for_ms) => {
  const view = document.querySelector(".view"), began = performance.now();
  let rows = 0;
  while (performance.now() - began < for_ms) {
    view.scrollTop += 4000;
    if (view.scrollTop + view.clientHeight >= view.scrollHeight - 1) view.scrollTop = 0;
    await new Promise((done) => setTimeout(done, 16));
    rows = Math.max(rows, document.querySelectorAll(".view .grow").length);
  }
  return rows;
}"""


async def run(
    url: str,
    chromium: str,
    *,
    instances: int,
    sessions: int,
    streams: int,
    rounds: int,
    round_s: float,
    scroll_s: float,
) -> Report:
    """What is measured of the page and of the stream, against what is claimed."""
    report = Report(f"The page: {sessions:,} sessions, {instances:,} instances, {streams} streams")
    async with open_sending_fleet(
        url, instances=instances, sessions=sessions, workspaces=10, sends_per_s=5_000, warmed=WARMED, keys=8
    ) as fleet:
        took_s = await _known(fleet, sessions)
        report.add("until every session is known, after the start", "", shown(took_s))
        await _looked_at(report, fleet, chromium, sessions, scroll_s)
        await _watched(report, fleet, streams, rounds, round_s)
        await _stuck(report, fleet)
    return report


async def _ask(fleet: SendingFleet, method: str, path: str, body: Any = None) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {fleet.tokens[0]}", "Content-Type": "application/json"}
    raw = None if body is None else json.dumps(body).encode()
    reply = await fleet.wire.call(method, fleet.gateway, f"/api/v1{path}", body=raw, headers=headers, timeout_s=30)
    assert not isinstance(reply, Fault), reply
    assert reply.status in (200, 202, 503), (path, reply.status, reply.body[:300])
    return dict(json.loads(reply.body or b"{}"))


async def _known(fleet: SendingFleet, sessions: int) -> float:
    began_s = time.monotonic()
    async with asyncio.timeout(KNOWN_WITHIN_S):
        while (await _ask(fleet, "GET", "/sessions?limit=1")).get("total") != sessions:  # noqa: ASYNC110 - it tells nobody
            await asyncio.sleep(0.5)
    return time.monotonic() - began_s


# --- what a browser sees --------------------------------------------------------------------------------------


async def _looked_at(report: Report, fleet: SendingFleet, chromium: str, sessions: int, scroll_s: float) -> None:
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        context = await opened.new_context(viewport={"width": 1440, "height": 900})
        answer = await context.request.post(f"{fleet.gateway}/login", data={"token": fleet.tokens[-1]})
        assert answer.ok, await answer.text()
        page = await context.new_page()
        for path in ("/now", "/instances", "/sessions"):
            painted = [await _painted(page, f"{fleet.gateway}{path}") for _ in range(LOADS)]
            kept = median(painted) < PAINT_WITHIN_S
            report.add(f"first paint of {path}, median of {LOADS}", "< 1 s", shown(median(painted)), kept)
        await page.locator(".view .grow").first.wait_for()
        rows = await page.locator("[role=table]").get_attribute("aria-rowcount")
        report.add("rows that are told to exist", f"{sessions + 1:,}", f"{int(rows or 0):,}", rows == str(sessions + 1))
        took_s = await page.evaluate(_END) / 1000
        report.add("End shows the last row", "< 1 s", shown(took_s), took_s < END_WITHIN_S)
        await _searched(report, page, sessions)
        await _scrolled(report, page, scroll_s)
        await opened.close()


async def _painted(page: Page, url: str) -> float:
    await page.goto(url, wait_until="load")
    while (painted := float(await page.evaluate(_PAINTED))) < 0:
        await page.wait_for_timeout(20)
    return painted / 1000


async def _searched(report: Report, page: Page, sessions: int) -> None:
    """Somebody types a phone; each time another one."""
    took = []
    for number in (sessions // 2, sessions // 3, sessions - 1, sessions // 5, 7):
        took.append(await page.evaluate(_SEARCH, account_uuid(number)) / 1000)
        await page.evaluate(_SEARCH.replace('=== "2"', '!== "2"').replace("length === 1", "length > 1"), "")
    typed = f"a search, from the last key to the row, median of {len(took)}"
    report.add(typed, "< 300 ms", shown(median(took)), median(took) < SEARCH_WITHIN_S)


async def _scrolled(report: Report, page: Page, scroll_s: float) -> None:
    rows = int(await page.evaluate(_SCROLL, scroll_s * 1000))
    report.add("rows in the page at most, while it is scrolled", f"≤ {ROWS_MOST}", f"{rows}", rows <= ROWS_MOST)
    session = await page.context.new_cdp_session(page)
    used = (await session.send("Runtime.getHeapUsage"))["usedSize"] / 1e6
    claimed = f"< {HEAP_MOST_MB:.0f} MB"
    report.add(f"the page's memory after {scroll_s:.0f} s of scrolling", claimed, f"{used:.0f} MB", used < HEAP_MOST_MB)


# --- what watching costs those who send -----------------------------------------------------------------------


async def _watched(report: Report, fleet: SendingFleet, streams: int, rounds: int, round_s: float) -> None:
    """Pairs of rounds, one of each kind, in turns; the state changes in both."""
    bare, watched = [], []
    for number in range(rounds):
        for with_streams in (False, True) if number % 2 == 0 else (True, False):
            if with_streams:
                async with _streams(fleet, streams) as heard:
                    watched.append(await _round(fleet, round_s))
                    assert min(heard) > 0, "a stream said nothing"
            else:
                bare.append(await _round(fleet, round_s))
    pairs = [(each.at(0.99), other.at(0.99)) for each, other in zip(bare, watched, strict=True)]
    costs = [other - each for each, other in pairs]
    allowed = max(COST_S, COST_SHARE * median(each for each, _ in pairs))
    report.add("sends' p99 with nobody watching, median", "", shown(median(each for each, _ in pairs)))
    report.add(f"sends' p99 with {streams} streams, median", "", shown(median(each for _, each in pairs)))
    claimed, cost = f"≤ 20 % or 1 ms ({shown(allowed)})", median(costs)
    report.add(f"what they cost, median of {rounds} pairs", claimed, f"{1000 * cost:+.1f} ms", cost <= allowed)


async def _round(fleet: SendingFleet, round_s: float) -> Spread:
    fleet.answers.clear()
    changing = asyncio.create_task(_changing(fleet))
    await fleet.offer(100, round_s, lambda number: number % WARMED)
    await fleet.answered()
    changing.cancel()
    with suppress(asyncio.CancelledError):
        await changing
    assert {each.status for each in fleet.answers} == {200}
    return Spread([each.took_s for each in fleet.answers])


async def _changing(fleet: SendingFleet) -> None:
    """Ten changes of the state a second."""
    for turn in count():
        number = turn // 2
        await _ask(
            fleet, "PATCH", f"/accounts/{account_uuid(number % WARMED)}", {"takeover": ("manual", "auto")[turn % 2]}
        )
        await asyncio.sleep(0.1)


@asynccontextmanager
async def _streams(fleet: SendingFleet, number: int) -> AsyncIterator[list[int]]:
    """So many that read all that they are told; how many bytes each has heard."""
    heard = [0] * number
    tasks = [asyncio.create_task(_listen(fleet, place, heard)) for place in range(number)]
    async with asyncio.timeout(60):
        while min(heard) == 0:
            for task in tasks:
                if task.done():
                    task.result()
            await asyncio.sleep(0.05)
    try:
        yield heard
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _listen(fleet: SendingFleet, place: int, heard: list[int]) -> None:
    reader, writer = await _asked(fleet, fleet.tokens[place % len(fleet.tokens)])
    try:
        while part := await reader.read(65_536):
            heard[place] += len(part)
        raise AssertionError("a stream ended")
    finally:
        writer.close()


async def _asked(
    fleet: SendingFleet, token: str, resumed: str = ""
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    port = int(fleet.gateway.rpartition(":")[2])
    reader, writer = await asyncio.open_connection("localhost", port, limit=SNAPSHOT_BYTES_MAX)
    again = f"Last-Event-ID: {resumed}\r\n" if resumed else ""
    writer.write(f"GET /api/v1/state HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {token}\r\n{again}\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert b" 200 " in head, head
    return reader, writer


# --- one who does not read ------------------------------------------------------------------------------------


async def _stuck(report: Report, fleet: SendingFleet) -> None:
    """A watcher stops reading while the state goes on changing: it is dropped, comes back, and catches up.

    That it was dropped is seen at the gateway, which counts its streams: what was sent before lies in the kernel still,
    and as long as nobody reads that, the watcher's own end is told nothing.
    """
    port = int(fleet.gateway.rpartition(":")[2])
    assert await _until_streams(fleet, 0, 30.0), "those of the rounds before have not ended"
    stuck = socket.socket()
    stuck.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4_096)
    stuck.connect(("127.0.0.1", port))
    stuck.sendall(f"GET /api/v1/state HTTP/1.1\r\nHost: h\r\nAuthorization: Bearer {fleet.tokens[0]}\r\n\r\n".encode())
    assert await _until_streams(fleet, 1, 10.0), "its stream did not begin"
    changing = asyncio.create_task(_changing(fleet))
    began_s = time.monotonic()
    dropped = await _until_streams(fleet, 0, 3 * DROPPED_WITHIN_S)
    took_s = time.monotonic() - began_s
    kept = dropped and took_s <= DROPPED_WITHIN_S
    report.add("a watcher that stops reading is dropped", "≤ 30 s", shown(took_s) if dropped else "never", kept)
    stuck.close()
    reader, writer = await _asked(fleet, fleet.tokens[0], "ffffffffffff-1")
    async with asyncio.timeout(30):
        told = await reader.readuntil(b"\n\n") + await reader.readuntil(b"\n\n")
    event = told.split(b"event: ")[1].split(b"\n")[0].decode()
    report.add("and is told everything when it comes back", "a snapshot", event, event == "snapshot")
    writer.close()
    changing.cancel()
    with suppress(asyncio.CancelledError):
        await changing


async def _until_streams(fleet: SendingFleet, number: int, within_s: float) -> bool:
    """Whether the gateway has so many streams open before that time."""
    with suppress(TimeoutError):
        async with asyncio.timeout(within_s):
            while await _open_streams(fleet) != number:  # noqa: ASYNC110 - it tells nobody
                await asyncio.sleep(0.2)
            return True
    return False


async def _open_streams(fleet: SendingFleet) -> int:
    asked = fleet.wire.call("GET", fleet.gateway, "/metrics", timeout_s=30, body_limit_bytes=16 * MIB)
    reply = await asked  # a thousand instances have their own lines each
    assert not isinstance(reply, Fault), reply
    [line] = [each for each in reply.body.decode().splitlines() if each.startswith("homing_streams ")]
    return int(float(line.split()[1]))
