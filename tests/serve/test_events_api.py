"""`/events`, as pages and as a stream."""

import asyncio
import itertools
import time
from dataclasses import replace
from typing import Any

import pytest

from homing.model.directory.access import Scope
from homing.model.instances.events import Event
from homing.ports import Page, StoreUnavailable
from homing.serve.callers.access import authorise
from homing.serve.feed import PAGE, EventFeed, Shares
from homing.store.notices.notices import Subscribers
from tests.serve.conftest import Api
from tests.serve.reporting import report, told, watching


async def tell(api: Api, session: str, *numbers: int, kind: str = "typing_indicator") -> None:
    for number in numbers:
        assert (await report(api, told(kind, session, n=number))).status_code == 200


async def test_a_page_leads_to_the_next(api: Api) -> None:
    account = await api.account()
    await tell(api, account["session_id"], *range(5))
    first = (await api.call("GET", "/events?limit=3", key="reader")).json()
    rest = (await api.call("GET", f"/events?limit=3&after={first['next']}", key="reader")).json()
    assert [event["payload"]["n"] for event in first["data"] + rest["data"]] == [0, 1, 2, 3, 4]
    assert rest["next"] is None
    assert first["next"] == first["data"][-1]["sequence"]


async def test_events_are_found_by_kind_session_and_account(api: Api) -> None:
    one, two = await api.account(phone="0816108641"), await api.account(phone="0816108642")
    await tell(api, one["session_id"], 1)
    await tell(api, two["session_id"], 2, kind="session_error")
    for query, found in {
        "kind=session_error": [2],
        f"session_id={one['session_id']}": [1],
        f"account={two['id']}": [2],
        f"account={one['uuid']}": [1],
        f"account={one['uuid']}&kind=session_error": [],
    }.items():
        shown = (await api.call("GET", f"/events?{query}", key="reader")).json()["data"]
        assert [event["payload"]["n"] for event in shown] == found, query


async def test_another_workspace_cannot_ask(api: Api) -> None:
    account = await api.account()
    assert (await api.call("GET", f"/events?account={account['id']}", key="stranger")).status_code == 404
    assert (await api.call("GET", "/events?workspace_id=1", key="stranger")).status_code == 404
    assert (await api.call("GET", "/events", key=None)).status_code == 401


async def test_a_stream_tells_at_once_what_happens_from_now_on(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.gateway.feed, "_poll_s", 99)
    account = await api.account()
    await tell(api, account["session_id"], 1)
    async with watching(api) as watcher:
        await tell(api, account["session_id"], 2, 3)
        told_of = [await watcher.event() for _ in range(2)]
    assert [event["payload"]["n"] for _, event in told_of] == [2, 3]
    assert [number for number, _ in told_of] == [event["sequence"] for _, event in told_of]
    assert dict(watcher.head["headers"])[b"content-type"].startswith(b"text/event-stream")


@pytest.mark.parametrize("way", ["header", "query"])
async def test_a_stream_goes_on_where_it_broke_off(api: Api, way: str) -> None:
    account = await api.account()
    async with watching(api) as watcher:
        await tell(api, account["session_id"], 1)
        last, _ = await watcher.event()
    await tell(api, account["session_id"], *range(2, 150))
    resumed = watching(api, last_event_id=str(last)) if way == "header" else watching(api, f"after={last}")
    async with resumed as watcher:
        assert [(await watcher.event())[1]["payload"]["n"] for _ in range(148)] == list(range(2, 150))


async def test_a_stream_tells_each_watcher_what_is_theirs(api: Api) -> None:
    account = await api.account()
    async with watching(api, key="stranger") as stranger, watching(api, "kind=wanted", key="operator") as operator:
        await tell(api, "nobody's", 1, kind="wanted")
        await tell(api, account["session_id"], 2)
        await tell(api, account["session_id"], 3, kind="wanted")
        assert [(await operator.event())[1]["payload"]["n"] for _ in range(2)] == [1, 3]
        other = await api.account(workspace=2)
        await tell(api, other["session_id"], 4)
        assert (await stranger.event())[1]["payload"]["n"] == 4


async def test_a_revoked_key_ends_its_stream(api: Api) -> None:
    account = await api.account()
    key_id = api.keys["reader"].split("_")[1]
    async with watching(api) as watcher:
        assert (await api.call("DELETE", f"/keys/{key_id}")).status_code == 204
        await tell(api, account["session_id"], 1)
        await watcher.until_ended()


async def test_a_gateway_that_stops_ends_its_streams(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.gateway.feed, "_poll_s", 99)
    async with watching(api) as watcher:
        api.gateway.feed.close()
        await watcher.until_ended()


async def test_a_quiet_stream_shows_that_it_lives(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.gateway.feed, "_heartbeat_s", 0.01)
    async with watching(api) as watcher:
        assert (await watcher.block()).startswith(": ")
        assert (await watcher.block()).startswith(": ")


async def test_news_whose_word_was_lost_is_found_by_asking(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.gateway.feed, "_poll_s", 0.01)
    monkeypatch.setattr(api.gateway.stores.notices, "_subscribers", Subscribers())
    account = await api.account()
    async with watching(api) as watcher:
        await tell(api, account["session_id"], 1)
        assert (await watcher.event())[1]["payload"]["n"] == 1


async def test_a_store_that_is_away_does_not_end_a_stream(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.gateway.feed, "_poll_s", 0.01)
    monkeypatch.setattr(api.gateway.feed, "_heartbeat_s", 0.01)
    account = await api.account()
    async with watching(api) as watcher:
        asked = asyncio.Event()

        async def away(*_: object, **__: object) -> None:
            asked.set()
            raise StoreUnavailable("away")

        with monkeypatch.context() as patched:
            patched.setattr(api.gateway.stores.events, "page", away)
            await asked.wait()  # no reading from before is under way any more
            await tell(api, account["session_id"], 1)
            assert (await watcher.block()).startswith(": ")
        assert (await watcher.event())[1]["payload"]["n"] == 1


async def asked_for_a_stream(api: Api, key: str) -> tuple[int, str]:
    answer = await api.call("GET", "/events", key=key, Accept="text/event-stream")
    return answer.status_code, answer.json()["code"]


async def test_there_is_a_limit_to_streams(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.gateway.feed, "_shares", Shares(streams=2, of_a_key=2, for_operators=0))
    async with watching(api), watching(api):
        assert await asked_for_a_stream(api, "operator") == (503, "overloaded")
    assert api.gateway.feed.streams == 0


async def test_one_key_has_no_more_than_its_share_of_the_streams(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.gateway.feed, "_shares", Shares(streams=4, of_a_key=2, for_operators=0))
    async with watching(api), watching(api):
        assert await asked_for_a_stream(api, "reader") == (503, "overloaded")
        async with watching(api, key="stranger"):
            pass
    async with watching(api), watching(api):
        pass


async def test_operators_find_a_stream_when_all_others_are_taken(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.gateway.feed, "_shares", Shares(streams=3, of_a_key=3, for_operators=1))
    async with watching(api), watching(api):
        assert await asked_for_a_stream(api, "stranger") == (503, "overloaded")
        async with watching(api, key="operator"):
            assert await asked_for_a_stream(api, "operator") == (503, "overloaded")


async def test_a_stream_whose_client_left_before_it_began_keeps_no_place(
    api: Api, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("homing.serve.feed.BEGUN_WITHIN_S", 0.01)
    api.gateway.feed.admit(authorise(api.gateway.keyring, f"Bearer {api.keys['reader']}", Scope.READ))
    assert api.gateway.feed.streams == 1
    await asyncio.sleep(0.05)
    assert api.gateway.feed.streams == 0


async def test_those_who_resume_far_back_take_turns_and_rest_as_long_as_they_read(api: Api) -> None:
    """Between two pages of old events, to whomever they go, everybody else has as much time as the page took."""
    feed, caller = api.gateway.feed, authorise(api.gateway.keyring, f"Bearer {api.keys['operator']}", Scope.READ)
    reading: list[tuple[float, float]] = []
    template = (await stored(api))[0]

    async def read(after: int, aside: bool) -> list[Event]:
        assert aside
        began_s = time.monotonic()
        await asyncio.sleep(0.02)
        reading.append((began_s, time.monotonic()))
        return [replace(template, sequence=after + each) for each in range(1, PAGE + 1)]

    async def resume() -> None:
        stream = feed.stream(feed.admit(caller), 0, read, lambda _: b"", lambda: True)
        assert await anext(stream)
        for _ in range(3):
            assert (await anext(stream)).count(b"id: ") == PAGE
        await stream.aclose()  # type: ignore[attr-defined]

    async with asyncio.timeout(20):
        await asyncio.gather(*(resume() for _ in range(4)))
    assert len(reading) == 4 * 3
    rests = [(began - ended, ended - before) for (before, ended), (began, _) in itertools.pairwise(reading)]
    assert all(rest_s >= 0.9 * took_s for rest_s, took_s in rests), rests


async def stored(api: Api) -> list[Event]:
    await tell(api, (await api.account())["session_id"], 1)
    return await api.gateway.stores.events.page(None, Page(0, 10))


async def test_old_events_are_read_where_they_keep_nobody_waiting(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    account = await api.account()
    await tell(api, account["session_id"], 1, 2)
    page, ways = api.gateway.stores.events.page, []

    async def seen(*args: Any, aside: bool = False, **kwargs: Any) -> Any:
        ways.append(aside)
        return await page(*args, aside=aside, **kwargs)

    monkeypatch.setattr(api.gateway.stores.events, "page", seen)
    async with watching(api, last_event_id="0") as watcher:
        await watcher.event()
        await tell(api, account["session_id"], 3)
        while (await watcher.event())[1]["payload"]["n"] != 3:
            pass
    assert ways[0] is True
    assert ways[1] is False


@pytest.mark.parametrize("last", ["x", "-1", "9" * 30])
async def test_a_place_to_go_on_that_is_none_is_refused(api: Api, last: str) -> None:
    answer = await api.call("GET", "/events", key="reader", Accept="text/event-stream", Last_Event_ID=last)
    assert answer.status_code == 422


def test_a_quiet_stream_lives_by_a_sign_every_fifteen_seconds() -> None:
    feed = EventFeed()
    assert (feed._heartbeat_s, feed._poll_s) == (15.0, 5.0)
