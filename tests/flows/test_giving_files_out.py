"""Following the link to a file: from whom it is asked, what is answered where it cannot be had, whose turn it is."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from homing.decide.media.inbound import EventLink, link_token
from homing.flows.media.inbound import InboundFiles, InboundPolicy
from homing.flows.media.places import FilePlaces, PlacesPolicy
from homing.model.errors import Code, Problem
from homing.model.fleet import AccountUuid, Epoch, InstanceUrl, Placement, Route, SessionId, WorkspaceId
from homing.model.instances.events import Event
from homing.model.sends.faults import Fault, Phase
from homing.model.sends.inbound import FileStream, InboundFile
from homing.world import SystemClock

A, B = InstanceUrl("http://a:3001"), InstanceUrl("http://b:3002")
SECRET = b"secret"
POLICY = InboundPolicy(link_s=3_600, fetch_s=5, most_bytes=1_000_000, keep=timedelta(days=1))


def event(workspace: int = 1) -> Event:
    """Somebody sent a picture to a session of the workspace."""
    media = {"mimetype": "image/jpeg", "reference": "abc"}
    message = {"id": "3A01", "from": "62899@c.us", "has_media": True, "media": media}
    account = AccountUuid(f"account-{workspace}")
    now = datetime.now(UTC)
    whose = (SessionId(f"s{workspace}"), account, WorkspaceId(workspace), A)
    return Event(1, f"event-{workspace}", now, now, "message_received", *whose, {"message": message})


def route(workspace: int, url: InstanceUrl | None, epoch: int = 1) -> Route:
    session_id = SessionId(f"s{workspace}")
    return Route(
        1, AccountUuid(f"account-{workspace}"), WorkspaceId(workspace), Placement(session_id, url, Epoch(epoch))
    )


@dataclass
class Site:
    """Events, routes and instances in one: `at` is where sessions are, `believed` where they were last known to be."""

    at: InstanceUrl | None = A
    believed: InstanceUrl | None = A
    fault: Fault | None = None
    asked: list[InstanceUrl] = field(default_factory=list)

    async def event(self, event_id: str) -> Event:
        return event(int(event_id.rpartition("-")[2]))

    async def route(self, workspace: int, *_: object) -> tuple[Route, None]:
        return route(workspace, self.believed), None

    async def reread_unless_moved(self, account: str, failed: Placement) -> Route | None:
        return route(int(account.rpartition("-")[2]), self.at, 2)

    def driver(self, url: InstanceUrl) -> "At":
        return At(self, url)

    def files(self, **more: Any) -> InboundFiles:
        one: Any = self
        return InboundFiles(one, one, one, one, SystemClock(), SECRET, "https://homing.example", POLICY, **more)


@dataclass
class At:
    site: Site
    url: InstanceUrl

    @asynccontextmanager
    async def file(self, url: InstanceUrl, *_: InboundFile, **__: float) -> AsyncIterator[FileStream | Fault]:
        async def chunks() -> AsyncIterator[bytes]:
            yield b"a picture"

        self.site.asked.append(url)
        if self.site.fault is not None:
            yield self.site.fault
        elif url != self.site.at:
            yield Fault(Phase.SESSION_NOT_FOUND, "Session not found")
        else:
            yield FileStream(chunks)


def link(workspace: int = 1) -> str:
    return link_token(SECRET, EventLink(f"event-{workspace}", int(datetime.now(UTC).timestamp()) + 60))


async def given(files: InboundFiles, token: str) -> bytes:
    async with files.opened(token) as file:
        return b"".join([piece async for piece in file.chunks()])


async def test_a_session_that_has_moved_is_asked_where_it_is_now() -> None:
    site = Site(at=B, believed=A)
    assert await given(site.files(), link()) == b"a picture"
    assert site.asked == [A, B]


@pytest.mark.parametrize(
    ("fault", "at", "code", "asked"),
    [
        (None, None, Code.MEDIA_UNAVAILABLE, [A]),
        (Fault(Phase.SESSION_NOT_FOUND, "gone"), A, Code.MEDIA_UNAVAILABLE, [A]),
        (Fault(Phase.REFUSED, "nobody there"), B, Code.MEDIA_UNAVAILABLE, [A, B]),
        (Fault(Phase.PATH_NOT_FOUND, "File not found"), B, Code.MEDIA_NOT_FOUND, [A]),
    ],
)
async def test_only_who_holds_the_session_says_that_there_is_no_file(
    fault: Fault | None, at: InstanceUrl | None, code: Code, asked: list[InstanceUrl]
) -> None:
    site = Site(at=at, believed=A, fault=fault)
    with pytest.raises(Problem) as problem:
        await given(site.files(), link())
    assert (problem.value.code, site.asked) == (code, asked)


# --- places -------------------------------------------------------------------------------------------------------


@asynccontextmanager
async def reading(files: InboundFiles, workspace: int, number: int) -> AsyncIterator[None]:
    """Somebody who follows so many links and reads none of them to its end."""
    async with AsyncExitStack() as stack:
        for _ in range(number):
            await stack.enter_async_context(files.opened(link(workspace)))
        yield


async def test_a_workspace_that_reads_all_that_it_may_leaves_room_for_others() -> None:
    files = Site().files(places=FilePlaces(PlacesPolicy(patience_s=0.02)))
    async with reading(files, 1, 8):
        with pytest.raises(Problem, match="no turn came within") as refused:
            await given(files, link(1))
        assert (refused.value.code, refused.value.retry_after_s) == (Code.MEDIA_UNAVAILABLE, 5)
        async with reading(files, 2, 4):
            assert await given(files, link(3)) == b"a picture"
    assert files.places.free == PlacesPolicy().places


async def test_who_finds_no_place_gets_the_next_one_and_workspaces_take_turns() -> None:
    files = Site().files(places=FilePlaces(PlacesPolicy(places=1)))
    served: list[int] = []

    async def follow(workspace: int) -> None:
        assert await given(files, link(workspace)) == b"a picture"
        served.append(workspace)

    async with asyncio.TaskGroup() as group, reading(files, 1, 1):
        for workspace in (1, 1, 1, 2, 2, 3):
            group.create_task(follow(workspace))
        await asyncio.sleep(0.01)
    assert served == [1, 2, 3, 1, 2, 1]
    assert files.places.free == 1


async def test_no_workspace_fills_the_line_alone() -> None:
    places = FilePlaces(PlacesPolicy(places=1, waiters=4, patience_s=0.1))
    files = Site().files(places=places)
    async with reading(files, 1, 1):
        many = [asyncio.create_task(given(files, link(1))) for _ in range(6)]
        await asyncio.sleep(0)
        another = asyncio.create_task(given(files, link(2)))
        await asyncio.sleep(0.01)
        assert [each.done() for each in many] == [False] * 2 + [True] * 4
        assert all("wait already" in str(each.exception()) for each in many[2:])
        assert not another.done()
    assert await asyncio.gather(*many[:2], another) == [b"a picture"] * 3


async def test_who_gives_up_while_it_waits_leaves_nothing_behind() -> None:
    files = Site().files(places=FilePlaces(PlacesPolicy(places=1)))
    async with reading(files, 1, 1):
        waiting = [asyncio.create_task(given(files, link(each))) for each in (1, 2, 2)]
        await asyncio.sleep(0.01)
        waiting[0].cancel()
        waiting[1].cancel()
        await asyncio.sleep(0.01)
    waiting[2].cancel()  # as its turn comes
    await asyncio.gather(*waiting, return_exceptions=True)
    assert files.places.free == 1
    assert await given(files, link(1)) == b"a picture"
