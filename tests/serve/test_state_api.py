"""The state of the fleet as a stream."""

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import httpx
import pytest

from homing.model.alerts import AlertKind, Subject
from homing.model.fleet import SessionId, SessionStatus
from homing.ports import StoreUnavailable
from homing.serve.app import Application
from homing.serve.state import feed as feeds
from tests.flows.worlds import A
from tests.serve.conftest import Api

PATIENCE_S = 10.0
Frame = tuple[str, str, dict[str, Any]]


class Watcher:
    """One open state stream, and what it was told so far, put together as a client would."""

    def __init__(self) -> None:
        self.status: int | None = None
        self.ended = asyncio.Event()
        self.body = b""
        self.frames: list[Frame] = []
        self._chunks: asyncio.Queue[bytes] = asyncio.Queue()
        self._gone, self._asked, self._unread = asyncio.Event(), False, b""

    async def receive(self) -> dict[str, Any]:
        if not self._asked:
            self._asked = True
            return {"type": "http.request", "body": b"", "more_body": False}
        await self._gone.wait()
        return {"type": "http.disconnect"}

    async def send(self, message: dict[str, Any]) -> None:
        if message["type"] == "http.response.start":
            self.status = message["status"]
        else:
            self._chunks.put_nowait(message.get("body", b""))
            if not message.get("more_body", False):
                self.ended.set()

    async def frame(self) -> Frame:
        """The next frame: its id, its kind and what it says."""
        while True:
            async with asyncio.timeout(PATIENCE_S):
                while b"\n\n" not in self._unread:
                    self._unread += await self._chunks.get()
            block, self._unread = self._unread.split(b"\n\n", 1)
            lines = dict(line.split(": ", 1) for line in block.decode().splitlines() if not line.startswith(":"))
            if "id" in lines:
                frame = (lines["id"], lines["event"], json.loads(lines["data"]))
                self.frames.append(frame)
                return frame

    async def until(self, seen: Callable[[dict[str, Any]], Any]) -> Frame:
        """The next frame of which this is so."""
        async with asyncio.timeout(PATIENCE_S):
            while True:
                frame = await self.frame()
                if seen(frame[2]):
                    return frame

    def leave(self) -> None:
        self._gone.set()


@pytest.fixture
async def application(api: Api) -> AsyncIterator[Application]:
    """One gateway's application, so that all watchers of a test watch the same boot."""
    application = Application(api.gateway)
    yield application
    await application.close()


@asynccontextmanager
async def watching(
    api: Api, application: Application, query: str = "", *, key: str = "operator", resumed: str = ""
) -> AsyncIterator[Watcher]:
    watcher = Watcher()
    headers = [(b"authorization", f"Bearer {api.keys[key]}".encode())]
    headers += [(b"last-event-id", resumed.encode())] if resumed else []
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": "/api/v1/state",
        "raw_path": b"/api/v1/state",
        "query_string": query.encode(),
        "root_path": "",
        "headers": headers,
        "client": ("test", 1),
        "server": ("homing", 80),
        "state": {},
    }
    serving = asyncio.create_task(application(scope, watcher.receive, watcher.send))  # type: ignore[arg-type]
    try:
        yield watcher
    finally:
        watcher.leave()
        async with asyncio.timeout(PATIENCE_S):
            await serving


def says(status: SessionStatus) -> Callable[[dict[str, Any]], bool]:
    return lambda told: any(row["status"] == status for row in told.get("sessions", []))


def put_together(frames: list[Frame]) -> dict[str, Any]:
    """What a client knows after these frames."""
    known: dict[str, Any] = {}
    for _, kind, told in frames:
        if kind == "snapshot":
            known = {
                "instances": {row["url"]: row for row in told["instances"]},
                "sessions": {row["session_id"]: row for row in told["sessions"]},
                "counts": told["session_counts"],
            }
            continue
        known["instances"] |= {row["url"]: row for row in told.get("instances", [])}
        known["sessions"] |= {row["session_id"]: row for row in told.get("sessions", [])}
        known["counts"] = told.get("session_counts", known["counts"])
        for gone in told.get("sessions_gone", []):
            del known["sessions"][gone]
    return known


async def test_everything_is_told_first_and_then_what_changes(api: Api, application: Application) -> None:
    account = await api.account()
    async with watching(api, application) as watcher:
        first, kind, snapshot = await watcher.frame()
        assert (kind, snapshot["why"]) == ("snapshot", "new")
        assert first.endswith(f"-{snapshot['version']}")
        assert {row["url"] for row in snapshot["instances"]} == {str(url) for url in api.gateway.fleet.roster.instances}
        assert [row["phone"] for row in snapshot["sessions"]] == [account["phone"]]
        assert snapshot["session_counts"]["total"] == 1
        other = await api.account(phone="0816108642")
        await watcher.until(lambda told: other["session_id"] in str(told.get("sessions")))
        assert (await api.call("DELETE", f"/accounts/{other['id']}?force=true")).status_code == 204
        await watcher.until(lambda told: other["session_id"] in told.get("sessions_gone", []))
        assert put_together(watcher.frames)["counts"]["total"] == 1


async def test_versions_rise_and_nothing_is_told_twice(api: Api, application: Application) -> None:
    account = await api.account()
    async with watching(api, application) as watcher:
        await watcher.frame()
        for status in (SessionStatus.DISCONNECTED, SessionStatus.LOGGED_OUT, SessionStatus.CONNECTED):
            await api.gateway.stores.directory.set_status(SessionId(account["session_id"]), status)
            await watcher.until(
                lambda told, status=status: any(r["status"] == status for r in told.get("sessions", []))
            )  # type: ignore[misc]
    versions = [told["version"] for _, _, told in watcher.frames]
    assert versions == sorted(set(versions))
    told = [row["status"] for _, kind, each in watcher.frames if kind == "delta" for row in each.get("sessions", [])]
    assert told == ["disconnected", "logged_out", "connected"]


async def test_an_instance_that_dies_is_told_with_its_reason(api: Api, application: Application) -> None:
    await api.account()
    async with watching(api, application) as watcher:
        await watcher.frame()
        api.world.lose(A)
        _, _, told = await watcher.until(
            lambda told: any(row["url"] == A and row["health"] != "healthy" for row in told.get("instances", []))
        )
        [row] = [row for row in told["instances"] if row["url"] == A]
        assert row["health"] in ("suspect", "down")
        assert row["reason"]
        assert row["since"]


async def test_a_stream_goes_on_where_it_broke_off(api: Api, application: Application) -> None:
    account = await api.account()
    session = SessionId(account["session_id"])
    async with watching(api, application) as stays, watching(api, application) as breaks_off:
        await stays.frame()
        last, _, _ = await breaks_off.frame()
        breaks_off.leave()
        for status in (SessionStatus.DISCONNECTED, SessionStatus.LOGGED_OUT):
            await api.gateway.stores.directory.set_status(session, status)
            await stays.until(says(status))
        async with watching(api, application, resumed=last) as back:
            for frame in stays.frames[1:]:
                assert await back.frame() == frame


@pytest.mark.parametrize("resumed", ["another-3", "x", "-", "{boot}-999999999", "{boot}-0", "{boot}-1e3"])
async def test_an_unknown_place_to_go_on_from_gets_everything_again_and_why(
    api: Api, application: Application, resumed: str
) -> None:
    async with watching(api, application) as watcher:
        boot = (await watcher.frame())[0].split("-")[0]
    async with watching(api, application, resumed=resumed.replace("{boot}", boot)) as watcher:
        _, kind, snapshot = await watcher.frame()
        assert kind == "snapshot"
        assert snapshot["why"] == ("too_old" if resumed == "{boot}-0" else "unknown_id")


async def test_who_was_away_for_too_long_gets_everything_again(
    api: Api, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feeds, "FRAMES_KEPT", 1)
    account = await api.account()
    async with watching(api, application) as stays:
        last, _, _ = await stays.frame()
        for status in (SessionStatus.DISCONNECTED, SessionStatus.LOGGED_OUT):
            await api.gateway.stores.directory.set_status(SessionId(account["session_id"]), status)
            await stays.until(says(status))
        async with watching(api, application, resumed=last) as back:
            assert (await back.frame())[2]["why"] == "too_old"


async def test_a_workspace_is_told_of_its_own_alone(api: Api, application: Application) -> None:
    mine, theirs = await api.account(), await api.account(workspace=2, phone="0816108642")
    api.gateway.alerts.raised(AlertKind.INSTANCE_GONE, Subject.instance(A), "of the fleet")
    api.gateway.alerts.raised(
        AlertKind.DUPLICATE_HOLDER, Subject.session(SessionId(theirs["session_id"])), "on a and b"
    )
    async with watching(api, application, key="reader") as reader, watching(api, application) as operator:
        _, _, snapshot = await reader.frame()
        assert [row["session_id"] for row in snapshot["sessions"]] == [mine["session_id"]]
        assert [row["url"] for row in snapshot["instances"]] == [mine["instance_url"]]
        assert snapshot["alerts"] == []
        assert (await operator.frame())[2]["session_counts"]["total"] == 2
        session = SessionId(theirs["session_id"])
        await api.gateway.stores.directory.set_status(session, SessionStatus.LOGGED_OUT)
        await operator.until(lambda told: told.get("sessions"))
        await api.gateway.stores.directory.set_status(SessionId(mine["session_id"]), SessionStatus.LOGGED_OUT)
        await reader.until(lambda told: told.get("sessions"))
    assert theirs["session_id"] not in json.dumps(reader.frames)
    assert theirs["phone"] not in json.dumps(reader.frames)


async def test_another_workspace_cannot_be_named(api: Api, application: Application) -> None:
    async with watching(api, application, "workspace_id=1", key="stranger") as watcher:
        await asyncio.wait_for(watcher.ended.wait(), PATIENCE_S)
        assert watcher.status == 404


async def test_a_change_is_put_into_words_once_however_many_watch(
    api: Api, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await api.account()
    encoded: list[Any] = []
    encode = feeds._encode
    monkeypatch.setattr(feeds, "_encode", lambda told: encoded.append(told) or encode(told))
    async with (
        watching(api, application) as one,
        watching(api, application) as two,
        watching(api, application) as three,
    ):
        for watcher in (one, two, three):
            await watcher.frame()
        encoded.clear()
        await api.gateway.stores.directory.set_status(SessionId(account["session_id"]), SessionStatus.LOGGED_OUT)
        for watcher in (one, two):
            await watcher.until(lambda told: told.get("sessions"))
    assert sum(bool(each.sessions) for each in encoded) == 1


async def test_a_revoked_key_ends_its_stream(api: Api, application: Application) -> None:
    async with watching(api, application, key="reader") as watcher:
        await watcher.frame()
        key_id = api.keys["reader"].split("_")[1]
        assert (await api.call("DELETE", f"/keys/{key_id}")).status_code == 204
        await asyncio.wait_for(watcher.ended.wait(), PATIENCE_S)


async def test_state_streams_count_among_all_streams(api: Api, application: Application) -> None:
    async with watching(api, application) as watcher:
        await watcher.frame()
        assert api.gateway.feed.streams == 1
    assert api.gateway.feed.streams == 0


async def test_with_the_directory_away_the_last_known_state_stays_and_says_so(
    api: Api, application: Application, monkeypatch: pytest.MonkeyPatch
) -> None:
    account = await api.account()
    directory = api.gateway.stores.directory

    async def away(*_: Any, **__: Any) -> Any:
        raise StoreUnavailable("it does not answer")

    async with watching(api, application) as watcher:
        await watcher.frame()
        with monkeypatch.context() as broken:
            broken.setattr(directory, "accounts", away)
            broken.setattr(directory, "moves", away)
            assert (await watcher.until(lambda told: told.get("directory_away")))[2]["directory_away"]
            async with watching(api, application) as late:
                told = (await late.frame())[2]
                assert told["directory_away"] == "it does not answer"
                assert [row["phone"] for row in told["sessions"]] == [account["phone"]]
        await watcher.until(lambda told: "directory_away" in told and told["directory_away"] is None)


async def alerts(api: Api, key: str) -> httpx.Response:
    return await api.call("GET", "/alerts", key=key)


async def test_alerts_are_listed_with_what_to_do(api: Api) -> None:
    mine, theirs = await api.account(), await api.account(workspace=2, phone="0816108642")
    for account in (mine, theirs):
        subject = Subject.session(SessionId(account["session_id"]))
        api.gateway.alerts.raised(AlertKind.DUPLICATE_HOLDER, subject, "on a and b")
    api.gateway.alerts.raised(AlertKind.INSTANCE_GONE, Subject.instance(A), "it is gone")
    shown = (await alerts(api, "operator")).json()["data"]
    assert {(row["kind"], row["about"]) for row in shown} == {
        ("duplicate_holder", "session"),
        ("instance_gone", "instance"),
    }
    assert len(shown) == 3
    assert all(row["do"] and row["severity"] in ("critical", "warning") and row["since"] for row in shown)
    assert [row["subject"] for row in (await alerts(api, "reader")).json()["data"]] == [mine["session_id"]]
    assert (await alerts(api, "")).status_code == 401
