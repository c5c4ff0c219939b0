"""Chromium for tests, with nothing of its own to tell anybody; and where there is none, that these were not run."""

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, Playwright, sync_playwright

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
FLAGS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]

AXE = Path(__file__).parent / "vendored" / "axe.min.js"
SERIOUS = {"serious", "critical"}

needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="NOT RUN: there is no Chromium (apt-get install chromium)")


@dataclass(slots=True)
class Window:
    """One window of a browser, and all that went wrong in it."""

    page: Page
    context: BrowserContext
    origin: str
    complaints: list[str] = field(default_factory=list)
    """Of its console: errors, and what the content security policy refused."""
    strangers: list[str] = field(default_factory=list)
    """Requests to anybody but us."""

    def goto(self, path: str) -> None:
        self.page.goto(f"{self.origin}{path}", wait_until="load")

    def width(self) -> int:
        return int(self.page.evaluate("document.documentElement.scrollWidth"))


@contextmanager
def browser() -> Iterator[Browser]:
    """One Chromium. Its profile is a new empty folder, which goes with it."""
    playwright: Playwright
    with sync_playwright() as playwright:
        opened = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield opened
        opened.close()


@contextmanager
def window(opened: Browser, origin: str, *, token: str | None = None, **options: Any) -> Iterator[Window]:
    """A window without any memory of others; with a token it is signed in."""
    context = opened.new_context(**{"viewport": {"width": 1440, "height": 950}, **options})
    if token is not None:
        answer = context.request.post(f"{origin}/login", data={"token": token})
        assert answer.ok, answer.text()
    shown = Window(context.new_page(), context, origin)
    shown.page.on("console", lambda said: _heard(shown, said.type, said.text))
    shown.page.on("pageerror", lambda error: shown.complaints.append(str(error)))
    shown.page.on("request", lambda asked: _asked(shown, asked.url))
    yield shown
    context.close()


def _heard(shown: Window, kind: str, text: str) -> None:
    if kind == "error" or "Content Security Policy" in text:
        shown.complaints.append(text)


def _asked(shown: Window, url: str) -> None:
    if not url.startswith(shown.origin):
        shown.strangers.append(url)


def found_by_axe(context: BrowserContext, page: Page) -> list[str]:
    """What axe finds on the page as it stands. It is put in by the debugger, past the page's policy."""
    session = context.new_cdp_session(page)
    session.send("Runtime.evaluate", {"expression": AXE.read_text()})
    asked = "axe.run(document, {resultTypes: ['violations']}).then((found) => JSON.stringify(found.violations))"
    told = session.send("Runtime.evaluate", {"expression": asked, "awaitPromise": True, "returnByValue": True})
    session.detach()
    assert "value" in told["result"], told
    return [
        f"{each['id']} ({each['impact']}): {each['nodes'][0]['html'][:160]}"
        for each in json.loads(told["result"]["value"])
        if each["impact"] in SERIOUS
    ]
