"""`/events`, as pages and as a stream."""

import pytest

from homing.ports import StoreUnavailable
from homing.serve.feed import EventFeed
from homing.store.notices import Subscribers
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

        async def away(*_: object, **__: object) -> None:
            raise StoreUnavailable("away")

        with monkeypatch.context() as patched:
            patched.setattr(api.gateway.stores.events, "page", away)
            await tell(api, account["session_id"], 1)
            assert (await watcher.block()).startswith(": ")
        assert (await watcher.event())[1]["payload"]["n"] == 1


async def test_there_is_a_limit_to_watchers(api: Api, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(api.gateway.feed, "_watchers_max", 1)
    async with watching(api):
        answer = await api.call("GET", "/events", key="reader", Accept="text/event-stream")
        assert (answer.status_code, answer.json()["code"]) == (503, "overloaded")
    assert api.gateway.feed._watchers == 0


@pytest.mark.parametrize("last", ["x", "-1", "9" * 30])
async def test_a_place_to_go_on_that_is_none_is_refused(api: Api, last: str) -> None:
    answer = await api.call("GET", "/events", key="reader", Accept="text/event-stream", Last_Event_ID=last)
    assert answer.status_code == 422


def test_a_quiet_stream_lives_by_a_sign_every_fifteen_seconds() -> None:
    feed = EventFeed()
    assert (feed._heartbeat_s, feed._poll_s) == (15.0, 5.0)
