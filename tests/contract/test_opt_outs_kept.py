"""Suppression lists as stores keep them, and as gateways on one store hear of them."""

import asyncio
from collections.abc import Iterable

import pytest

from homing.compose import open_stores
from homing.config import Settings
from homing.flows.sending.opt_outs import OptOuts
from homing.model.fleet import WorkspaceId
from homing.model.notices import Notice, OptOutsChanged
from homing.store.db.database import Database
from homing.store.notices.notices import LocalNotices
from homing.store.outbox.outbox import SqlOutbox
from homing.world import SystemClock

ONE, OTHER, THIRD = WorkspaceId(1), WorkspaceId(2), WorkspaceId(70)


@pytest.fixture
def outbox(database: Database, local_notices: LocalNotices) -> SqlOutbox:
    return SqlOutbox(database, local_notices)


async def given(outbox: SqlOutbox, workspace: WorkspaceId, chats: Iterable[str]) -> None:
    await outbox.suppress(workspace, list(chats), "")


async def test_workspaces_with_a_list_are_known_whether_or_not_they_have_anything_else(outbox: SqlOutbox) -> None:
    assert await outbox.workspaces_with_suppressions() == set()
    await given(outbox, ONE, [f"62811{n}" for n in range(50)])
    await given(outbox, THIRD, ["62811"])
    assert await outbox.workspaces_with_suppressions() == {ONE, THIRD}
    assert await outbox.allow(THIRD, "62811")
    assert await outbox.workspaces_with_suppressions() == {ONE}


async def test_a_list_is_the_workspaces_own(outbox: SqlOutbox) -> None:
    await given(outbox, ONE, ["62811", "62812"])
    await given(outbox, OTHER, ["62813"])
    assert await outbox.suppressed_chats(ONE, limit=10) == ["62811", "62812"]
    assert await outbox.suppressed_chats(ONE, limit=1) == ["62811"]
    assert [await outbox.is_suppressed(ONE, chat) for chat in ("62811", "62813")] == [True, False]


async def test_every_change_of_a_list_is_told_and_what_changes_nothing_is_not(
    outbox: SqlOutbox, local_notices: LocalNotices
) -> None:
    heard: list[Notice] = []
    local_notices.subscribe(heard.append)
    await given(outbox, ONE, ["62811"])
    await given(outbox, ONE, ["62811"])
    await outbox.allow(ONE, "62811")
    await outbox.allow(ONE, "62811")
    assert heard == [OptOutsChanged(ONE)] * 2


async def test_what_one_gateway_was_told_holds_for_the_other(postgres_url: str) -> None:
    settings = Settings(_env_file=None, homing_database_url=postgres_url)  # type: ignore[call-arg]
    async with open_stores(settings) as here, open_stores(settings) as there:
        away = OptOuts(there.outbox, SystemClock())
        there.notices.subscribe(away.hear)
        await given(here.outbox, ONE, ["62811"])
        assert await until(away, "62811", True)
        await given(here.outbox, ONE, ["62812"])
        assert await until(away, "62812", True)
        await here.outbox.allow(ONE, "62811")
        assert await until(away, "62811", False)


async def until(known: OptOuts, chat: str, out: bool) -> bool:
    for _ in range(500):
        if await known.has_opted_out(ONE, chat) is out:
            return True
        await asyncio.sleep(0.01)
    return False
