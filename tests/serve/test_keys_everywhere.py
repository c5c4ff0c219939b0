"""What becomes of a key through one gateway holds for all of them at once: requests, sends and open streams.

Nobody here looks by himself: the word between the gateways, or the question of whoever meets an unknown key, is all
there is. So none of it takes longer than that does.
"""

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from datetime import UTC, datetime, timedelta

import httpx
import pytest

from homing.compose import open_gateway
from homing.config import Settings
from homing.drivers import Drivers
from homing.model.directory.access import Key, Scope
from homing.serve.app import Application
from homing.serve.callers import keyring
from homing.world import SystemClock
from tests.flows.worlds import A, B, C, World
from tests.serve.conftest import Api
from tests.serve.reporting import watching

AT_ONCE_S = 1.0


async def _served(stack: AsyncExitStack, url: str, world: World) -> Api:
    settings = Settings(_env_file=None, homing_database_url=url, instances=(A, B, C))  # type: ignore[call-arg]
    gateway = await stack.enter_async_context(open_gateway(settings, Drivers({"webjs": world})))
    gateway.feed._poll_s = 3_600
    transport = httpx.ASGITransport(app=Application(gateway))  # type: ignore[arg-type]
    client = await stack.enter_async_context(httpx.AsyncClient(transport=transport, base_url="http://homing"))
    return Api(gateway, world, client, {})


@pytest.fixture
async def gateways(postgres_url: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[tuple[Api, Api]]:
    """Two on one PostgreSQL."""
    monkeypatch.setattr(keyring, "REFRESH_S", 3_600)
    async with AsyncExitStack() as stack:
        world = World(SystemClock(), A, B, C)
        one = await _served(stack, postgres_url, world)
        await one.key("operator", Scope.ADMIN, None)
        await one.key("reader", Scope.READ, 1)
        other = await _served(stack, postgres_url, world)
        other.keys = one.keys
        yield one, other


async def opens(api: Api, token: str) -> bool:
    return (await api.call("GET", "/accounts", key=token)).status_code == 200


async def until_refused(api: Api, key: str) -> float:
    began_s = time.monotonic()
    async with asyncio.timeout(20):
        while await opens(api, key):  # noqa: ASYNC110 - nobody tells
            await asyncio.sleep(0.01)
    return time.monotonic() - began_s


async def test_a_key_revoked_through_one_gateway_is_refused_by_the_other(gateways: tuple[Api, Api]) -> None:
    one, other = gateways
    assert await opens(other, "reader")
    assert (await one.call("DELETE", f"/keys/{one.keys['reader'].split('_')[1]}")).status_code == 204
    assert not await opens(one, "reader")
    assert await until_refused(other, "reader") < AT_ONCE_S
    refused = await other.call("POST", "/messages/send", {}, key="reader")
    assert refused.status_code == 401


async def test_its_streams_end_on_the_other_too(gateways: tuple[Api, Api]) -> None:
    one, other = gateways
    async with watching(one) as here, watching(other) as there:
        began_s = time.monotonic()
        await one.call("DELETE", f"/keys/{one.keys['reader'].split('_')[1]}")
        await here.until_ended()
        await there.until_ended()
        assert time.monotonic() - began_s < AT_ONCE_S
    assert one.gateway.feed.streams == other.gateway.feed.streams == 0


async def test_a_secret_that_was_rotated_out_without_an_overlap_is_refused_by_the_other(
    gateways: tuple[Api, Api],
) -> None:
    one, other = gateways
    key_id = one.keys["reader"].split("_")[1]
    await one.call("POST", f"/keys/{key_id}/rotate", {"overlap_s": 0})
    assert await until_refused(other, "reader") < AT_ONCE_S


async def test_a_new_key_and_a_new_secret_open_the_other_in_the_same_moment(
    gateways: tuple[Api, Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Behind a balancer the next request may come to any gateway, sooner than the word of it."""
    one, other = gateways
    monkeypatch.setattr(other.gateway.keyring, "hear", lambda _: None)
    monkeypatch.setattr(keyring, "LOOK_AGAIN_AFTER_S", 0.0)
    made = (await one.call("POST", "/keys", {"scope": "read", "workspace_id": 1})).json()
    assert await opens(other, made["key"])
    rotated = (await one.call("POST", f"/keys/{made['id']}/rotate")).json()
    assert await opens(other, rotated["key"])
    assert await opens(other, made["key"])


async def test_unknown_keys_cause_a_few_readings_and_not_one_each(
    gateways: tuple[Api, Api], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = gateways
    ring, readings = one.gateway.keyring, 0
    refresh = ring.refresh

    async def counted() -> None:
        nonlocal readings
        readings += 1
        await refresh()

    monkeypatch.setattr(ring, "refresh", counted)
    monkeypatch.setattr(keyring, "LOOK_AGAIN_AFTER_S", 3_600)
    assert not any(await asyncio.gather(*(opens(one, f"hk_{n:012x}_nonsense") for n in range(50))))
    assert not await opens(one, "hk_000000000000_nonsense")
    assert readings == 1


async def test_a_reading_that_is_overtaken_brings_no_revoked_key_back(gateways: tuple[Api, Api]) -> None:
    one, _ = gateways
    ring, directory = one.gateway.keyring, one.gateway.stores.directory
    read, go_on = directory.keys, asyncio.Event()

    async def slowly() -> list[Key]:
        found = await read()
        await go_on.wait()
        return found

    with pytest.MonkeyPatch.context() as slow:
        slow.setattr(directory, "keys", slowly)
        overtaken = asyncio.ensure_future(ring.refresh())
        await asyncio.sleep(0.05)
    await one.call("DELETE", f"/keys/{one.keys['reader'].split('_')[1]}")
    go_on.set()
    await overtaken
    assert not await opens(one, "reader")


async def test_on_one_gateway_it_holds_with_the_answer(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.gateway.feed, "_poll_s", 3_600)
    async with watching(api) as watcher:
        await api.call("DELETE", f"/keys/{api.keys['reader'].split('_')[1]}")
        assert not await opens(api, "reader")
        await watcher.until_ended()


async def test_a_stream_ends_with_its_key(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the next look, whether there is news or not."""
    monkeypatch.setattr(api.gateway.feed, "_poll_s", 0.05)
    async with watching(api) as watcher:
        soon = (datetime.now(UTC) + timedelta(seconds=1)).isoformat()
        changed = await api.call("PATCH", f"/keys/{api.keys['reader'].split('_')[1]}", {"expires_at": soon})
        assert changed.status_code == 200, changed.text
        await watcher.until_ended()
