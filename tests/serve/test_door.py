"""What every request passes first: proxies' paths, pages of other origins, probes, and a gateway that leaves."""

import re
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from typing import Any

import httpx
import pytest

from homing.compose.process import door
from homing.config import Settings
from homing.serve.app import Application
from homing.serve.front import Front
from tests.serve.conftest import Api

PAGE = "https://app.example.org"
Ask = Callable[..., AbstractAsyncContextManager[httpx.AsyncClient]]


@pytest.fixture
def asking(api: Api) -> Ask:
    """A client of the same gateway behind a door with these settings."""

    @asynccontextmanager
    async def client(
        front: Front | None = None, peer: str = "127.0.0.1", **given: str
    ) -> AsyncIterator[httpx.AsyncClient]:
        settings = Settings(_env_file=None, **{f"homing_{name}": value for name, value in given.items()})  # type: ignore[arg-type, call-arg]
        front = front or Front()
        front.opened(Application(api.gateway))  # type: ignore[arg-type]
        transport = httpx.ASGITransport(app=door(settings, front), client=(peer, 1234))  # type: ignore[arg-type]
        async with httpx.AsyncClient(transport=transport, base_url="http://homing") as opened:
            opened.headers["Authorization"] = f"Bearer {api.keys['operator']}"
            yield opened

    return client


# --- probes ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("path", ["/health", "/ready", "/metrics"])
async def test_a_probe_may_ask_for_the_head_alone(asking: Ask, path: str) -> None:
    async with asking() as client:
        whole, head = await client.get(path), await client.head(path)
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["content-type"] == whole.headers["content-type"]


async def test_head_is_answered_before_the_gateway_is_open() -> None:
    transport = httpx.ASGITransport(app=Front())  # type: ignore[arg-type]
    async with httpx.AsyncClient(transport=transport, base_url="http://homing") as client:
        assert [(await client.head(path)).status_code for path in ("/health", "/ready")] == [200, 503]
        assert (await client.head("/ready")).content == b""


async def test_a_gateway_that_leaves_is_not_ready_and_serves_on(asking: Ask) -> None:
    front = Front()
    async with asking(front) as client:
        assert (await client.get("/ready")).status_code == 200
        assert front.leaves()
        ready, accounts = await client.get("/ready"), await client.get("/api/v1/accounts")
        refused = await client.get("/api/v1/accounts", headers={"Authorization": "Bearer nobody"})
        assert (await client.get("/health")).status_code == 200
    assert (ready.status_code, ready.json()["status"]) == (503, "stopping")
    assert accounts.status_code == 200
    assert [each.headers["connection"] for each in (ready, accounts, refused)] == ["close"] * 3


# --- pages of other origins -----------------------------------------------------------------------------------


def preflight(origin: str) -> dict[str, str]:
    return {
        "Origin": origin,
        "Access-Control-Request-Method": "POST",
        "Access-Control-Request-Headers": "authorization",
    }


def allowing(answer: httpx.Response) -> dict[str, str]:
    return {name: value for name, value in answer.headers.items() if name.startswith("access-control-")}


async def test_pages_elsewhere_may_do_nothing_unless_the_settings_name_them(asking: Ask) -> None:
    async with asking() as client:
        read = await client.get("/api/v1/accounts", headers={"Origin": PAGE})
        asked = await client.options("/api/v1/messages/send", headers=preflight(PAGE))
    assert allowing(read) == allowing(asked) == {}
    assert "vary" not in read.headers


async def test_a_named_page_may_read_answers_and_refusals(asking: Ask) -> None:
    async with asking(cors_origins=f"http://localhost:5173, {PAGE}") as client:
        for path, key in (("/api/v1/accounts", None), ("/api/v1/accounts", "nobody"), ("/api/v1/nothing", None)):
            headers = {"Origin": PAGE} | ({"Authorization": f"Bearer {key}"} if key else {})
            answer = await client.get(path, headers=headers)
            assert answer.headers["access-control-allow-origin"] == PAGE, path
            assert "Origin" in answer.headers["vary"]
        sent = await client.post("/api/v1/messages/send", json={}, headers={"Origin": PAGE})
    assert (sent.status_code, sent.headers["access-control-allow-origin"]) == (422, PAGE)
    assert "Retry-After" in sent.headers["access-control-expose-headers"]


async def test_a_browser_that_asks_first_is_told_what_it_may_send(asking: Ask) -> None:
    async with asking(cors_origins=PAGE) as client:
        asked = await client.options("/api/v1/messages/send", headers=preflight(PAGE))
    assert (asked.status_code, asked.headers["access-control-allow-origin"]) == (204, PAGE)
    assert {"Authorization", "Idempotency-Key"} <= set(asked.headers["access-control-allow-headers"].split(", "))
    assert {"POST", "PATCH", "DELETE"} <= set(asked.headers["access-control-allow-methods"].split(", "))


@pytest.mark.parametrize("origin", ["https://evil.example", "null", f"{PAGE}.evil.example", "http://app.example.org"])
async def test_other_pages_are_told_nothing(asking: Ask, origin: str) -> None:
    async with asking(cors_origins=PAGE) as client:
        read = await client.get("/api/v1/accounts", headers={"Origin": origin})
        asked = await client.options("/api/v1/messages/send", headers=preflight(origin))
    assert allowing(read) == allowing(asked) == {}
    assert read.headers["vary"] == "Origin", "a cache must not hand this answer to the page that may read it"


@pytest.mark.parametrize("origins", ["*", PAGE])
async def test_no_page_is_ever_allowed_to_use_what_the_browser_keeps(asking: Ask, origins: str) -> None:
    async with asking(cors_origins=origins) as client:
        for answer in (
            await client.get("/api/v1/accounts", headers={"Origin": PAGE}),
            await client.options("/api/v1/accounts", headers=preflight(PAGE)),
        ):
            assert answer.headers["access-control-allow-origin"] == ("*" if origins == "*" else PAGE)
            assert "access-control-allow-credentials" not in answer.headers


# --- below a path ---------------------------------------------------------------------------------------------


async def links(client: httpx.AsyncClient, at: str, **headers: str) -> tuple[str, str]:
    """Where the page leads to, and what the document says that its paths are below."""
    page = await client.get(f"{at}/docs", headers=headers)
    document = await client.get(f"{at}/docs/openapi.json", headers=headers)
    assert (page.status_code, document.status_code) == (200, 200)
    to_page, link = [part.split('"')[0] for part in page.text.split('<a href="')[1:] if not part.startswith("#")]
    assert to_page == link.replace("/docs/openapi.json", "/now")
    return link, document.json()["servers"][0]["url"]


@pytest.mark.parametrize("stripped", [True, False])
async def test_below_a_path_the_page_and_its_links_work(asking: Ask, stripped: bool) -> None:
    async with asking(root_path="/tools/homing/") as client:
        at = "" if stripped else "/tools/homing"
        assert await links(client, at) == ("/tools/homing/docs/openapi.json", "/tools/homing")
        assert (await client.get(f"{at}/api/v1/accounts")).status_code == 200
        assert (await client.post(f"{at}/api/v1/messages/send", json={})).status_code == 422
        assert (await client.head(f"{at}/ready")).status_code == 200
        assert (await client.get("/tools/homingelse")).status_code == 404


async def test_at_the_root_nothing_stands_before_the_links(asking: Ask) -> None:
    async with asking() as client:
        assert await links(client, "") == ("/docs/openapi.json", "/")


async def test_a_proxy_may_say_below_which_path_it_serves_us(asking: Ask) -> None:
    async with asking() as client:
        told = await links(client, "", **{"X-Forwarded-Prefix": "/homing"})
        in_a_row = await links(client, "", **{"X-Forwarded-Prefix": "/site, /homing/"})
    assert told == ("/homing/docs/openapi.json", "/homing")
    assert in_a_row[1] == "/site/homing"


@pytest.mark.parametrize("peer", ["192.0.2.7", "127.0.0.1"])
async def test_only_a_trusted_proxy_is_believed(asking: Ask, peer: str) -> None:
    for trusted, believed in (("", peer == "127.0.0.1"), ("192.0.2.0/24", True)):
        async with asking(peer=peer, trusted_proxies=trusted) as client:
            _, below = await links(client, "", **{"X-Forwarded-Prefix": "/homing"})
        assert below == ("/homing" if believed else "/"), (peer, trusted)


@pytest.mark.parametrize("told", ["//evil.example", '/"><script>', "https://evil.example", "/a/../b", "/a//b", "a"])
async def test_a_prefix_that_is_no_plain_path_is_not_believed(asking: Ask, told: str) -> None:
    async with asking() as client:
        assert await links(client, "", **{"X-Forwarded-Prefix": told}) == ("/docs/openapi.json", "/")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("root_path", "homing"),
        ("root_path", "/a b"),
        ("root_path", "/../x"),
        ("cors_origins", "https://app.example.org/"),
        ("cors_origins", "app.example.org"),
        ("cors_origins", "null"),
    ],
)
def test_what_cannot_be_meant_is_refused_at_the_start(name: str, value: str) -> None:
    given: dict[str, Any] = {f"homing_{name}": value}
    with pytest.raises(ValueError, match=r"should look like|should be a path"):
        Settings(_env_file=None, **given)  # type: ignore[call-arg]


async def test_below_a_path_the_operations_page_stays_there(asking: Ask) -> None:
    async with asking(root_path="/tools/homing/") as client:
        page = (await client.get("/tools/homing/login")).text
        addresses = re.findall(r'\s(?:href|src|action)="(/[^"]*)"', page)
        assert len(addresses) >= 3
        assert all(each.startswith("/tools/homing/") for each in addresses)
        away = await client.get("/tools/homing/now", headers={"Authorization": ""})
        assert (away.status_code, away.headers["location"]) == (303, "/tools/homing/login")
