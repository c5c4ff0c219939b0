"""A phone's owner links it by a link, in Chromium, without a key; what does not open looks all the same."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest
import uvicorn
from playwright.async_api import Page, async_playwright, expect

from homing.flows.operations.pairing_links import _hash
from homing.model.fleet import SessionId, SessionStatus
from homing.ports import PairingCode
from tests.e2e.browser import CHROMIUM, FLAGS, needs_browser
from tests.flows.worlds import A
from tests.serve.conftest import Api

pytestmark = [pytest.mark.e2e, needs_browser]

PATIENCE_MS = 60_000


@asynccontextmanager
async def listening(api: Api) -> AsyncIterator[str]:
    """The API on a port of its own."""
    app = api.client._transport.app  # type: ignore[attr-defined]
    server = uvicorn.Server(uvicorn.Config(app, port=0, lifespan="off", log_config=None))
    serving = asyncio.create_task(server.serve())
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.05)
    yield f"http://127.0.0.1:{server.servers[0].sockets[0].getsockname()[1]}"
    server.should_exit = True
    await serving


@pytest.fixture
async def owner(api: Api) -> AsyncIterator[Page]:
    """A browser of somebody without a key; its context's `base_url` is the API."""
    async with listening(api) as origin, async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await browser.new_context(base_url=origin)
        context.set_default_timeout(PATIENCE_MS)
        yield await context.new_page()
        await browser.close()


@pytest.fixture
async def account(api: Api, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    made = await api.account()
    session = SessionId(made["session_id"])
    api.world.hold(A, session, status=SessionStatus.PAIRING)
    await api.gateway.stores.directory.set_status(session, SessionStatus.PAIRING)
    codes = iter(range(1_000))

    async def pairing(*_: object, **__: object) -> PairingCode:
        return PairingCode(f"2@secret,code,{next(codes)}", None, 60)

    monkeypatch.setattr(api.world, "pairing", pairing)
    return made


async def link(api: Api, account: dict[str, Any]) -> str:
    answer = await api.call("POST", f"/accounts/{account['id']}/pairing-link", {})
    return urlsplit(str(answer.json()["url"])).path


async def headed(page: Page, words: str) -> None:
    await expect(page.get_by_role("heading")).to_have_text(words, timeout=PATIENCE_MS)


async def test_a_link_opens_shows_a_live_code_is_used_and_ends(api: Api, account: dict[str, Any], owner: Page) -> None:
    path = await link(api, account)
    await owner.goto(path)
    await headed(owner, "Link your phone")
    await owner.get_by_role("button", name="Show the code").click()
    await headed(owner, "Scan this code")
    first = await owner.locator(".qr svg").inner_html()
    await expect(owner.locator(".qr svg")).to_be_visible()
    await owner.wait_for_function("before => document.querySelector('.qr svg')?.innerHTML !== before", arg=first)
    assert account["phone"] not in await owner.content()
    await api.gateway.stores.directory.set_status(SessionId(account["session_id"]), SessionStatus.CONNECTED)
    await headed(owner, "Your phone is linked")
    await owner.reload()
    await headed(owner, "This link does not open")


async def test_used_expired_replaced_and_guessed_links_are_refused_alike(
    api: Api, account: dict[str, Any], owner: Page
) -> None:
    used = await link(api, account)
    await owner.goto(used)
    await owner.get_by_role("button", name="Show the code").click()
    await headed(owner, "Scan this code")
    await owner.context.clear_cookies()
    pages = set()
    replaced = await link(api, account)
    expired = await link(api, account)
    await api.gateway.stores.pairing_links.end(_hash(expired.rpartition("/")[2]))
    for path in (used, replaced, expired, "/pair/" + "g" * 32):
        await owner.goto(path)
        await headed(owner, "This link does not open")
        pages.add(await owner.content())
    assert len(pages) == 1
