"""The operations page while PostgreSQL is silent: what was known last, with its age, and no action until it is back."""

import re
from collections.abc import AsyncIterator

import pytest
from playwright.async_api import async_playwright, expect
from sqlalchemy import make_url

from bench.fleet import Fleet, open_fleet
from tcp_proxy import TcpProxy, tcp_proxy
from tests.e2e.browser import CHROMIUM, FLAGS, needs_browser

pytestmark = [pytest.mark.e2e, needs_browser]

PATIENCE_MS = 30_000


@pytest.fixture
async def proxy(empty_postgres_url: str) -> AsyncIterator[TcpProxy]:
    url = make_url(empty_postgres_url)
    async with tcp_proxy(str(url.host), url.port or 5432) as proxy:
        yield proxy


@pytest.fixture
async def fleet(empty_postgres_url: str, proxy: TcpProxy) -> AsyncIterator[Fleet]:
    url = make_url(empty_postgres_url).set(host="127.0.0.1", port=proxy.port)
    proxied = url.render_as_string(hide_password=False)
    async with open_fleet(database_url=empty_postgres_url, gateway_database_url=proxied, accounts=6, contacts=2) as up:
        yield up
        proxy.thaw()


async def test_what_was_known_is_shown_with_its_age_and_actions_wait(fleet: Fleet, proxy: TcpProxy) -> None:
    origin = fleet.gateways[0]
    async with async_playwright() as playwright:
        opened = await playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        context = await opened.new_context(viewport={"width": 1440, "height": 900})
        assert (await context.request.post(f"{origin}/login", data={"token": fleet.demo.population.token})).ok
        page = await context.new_page()
        await page.goto(f"{origin}/instances")
        drain = page.locator("#instance-1").get_by_text("Drain…")
        await expect(drain).to_be_visible(timeout=PATIENCE_MS)
        await expect(page.locator("#verdict")).to_contain_text("All 6 sessions can send.", timeout=PATIENCE_MS)
        proxy.freeze()
        away = page.locator("#away")
        await expect(away).to_contain_text("The database is away since", timeout=PATIENCE_MS)
        await expect(away).to_contain_text(re.compile(r"What is shown is of \d\d:\d\d:\d\d, .* old"))
        await expect(page.locator("#verdict")).to_contain_text("database")
        await expect(page.locator("#stream")).to_contain_text("the database is away")
        await expect(page.locator("#instances tbody tr[id^=instance-]")).not_to_have_count(0)
        await expect(drain).to_have_attribute("aria-disabled", "true")
        await expect(drain).to_have_attribute("title", re.compile("database is away"))
        await drain.click(force=True)
        await expect(page.get_by_role("dialog")).to_have_count(0)
        for path in ("/now", "/sessions", "/messages", "/pairing", "/endpoints", "/alerts"):
            answer = await page.goto(f"{origin}{path}", timeout=PATIENCE_MS)
            assert answer is not None
            assert answer.status == 200, path
            await expect(page.locator("#away")).to_contain_text("The database is away since")
        await page.goto(f"{origin}/instances")
        proxy.thaw()
        await expect(away).to_be_empty(timeout=PATIENCE_MS)
        await expect(drain).not_to_have_attribute("aria-disabled", "true", timeout=PATIENCE_MS)
        await opened.close()
