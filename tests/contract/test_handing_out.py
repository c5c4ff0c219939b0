"""What an instance that boots is given to restore, and what is remembered of it, on every store."""

from typing import Any

import pytest
from fleets import A, B, change, placed_account
from sqlalchemy import select

from homing.model.fleet import PlacementState, SessionStatus
from homing.ports import Notice, RosterChanged
from homing.store.db.database import Database
from homing.store.db.schema.tables import instances, sessions
from homing.store.directory.directory import SqlDirectory


async def offers(database: Database) -> dict[str, tuple[Any, Any]]:
    """To whom each session was handed out, and at which place."""
    columns = (sessions.c.session_id, sessions.c.offered_to, sessions.c.offered_place)
    rows = await database.read(lambda c: c.execute(select(*columns)).all())
    return {session: (to, place) for session, to, place in rows}


async def test_what_is_handed_out_is_remembered_with_its_place_in_the_queue(
    directory: SqlDirectory, database: Database
) -> None:
    first, second = [await placed_account(directory, number) for number in (1, 2)]
    other = await placed_account(directory, 3, B)
    assert await directory.hand_out(A) == [first, second]
    assert await offers(database) == {
        first.session_id: (A, 1),
        second.session_id: (A, 2),
        other.session_id: (None, None),
    }


@pytest.mark.parametrize("status", [SessionStatus.STOPPED, SessionStatus.LOGGED_OUT, SessionStatus.QUARANTINED])
async def test_what_is_not_meant_to_run_is_not_handed_out(directory: SqlDirectory, status: SessionStatus) -> None:
    account = await placed_account(directory, 1)
    await directory.set_status(account.session_id, status)
    assert await directory.hand_out(A) == []


async def test_what_is_on_its_way_is_handed_out_to_nobody(directory: SqlDirectory, database: Database) -> None:
    account = await placed_account(directory, 1)
    assert await directory.rebind([change(account.placement, A, 2, state=PlacementState.MOVING)])
    assert await directory.hand_out(A) == []
    assert await offers(database) == {account.session_id: (None, None)}


async def test_whoever_asks_for_its_sessions_runs_whatever_was_said_before(
    directory: SqlDirectory, database: Database, heard: list[Notice]
) -> None:
    await directory.create_instance(A)
    await database.write(lambda c: c.execute(instances.update().values(exited_at=database.now(c))))
    assert [each.exited_at is not None for each in await directory.instances()] == [True]
    heard.clear()
    await directory.hand_out(A)
    assert [each.exited_at for each in await directory.instances()] == [None]
    assert heard == [RosterChanged()]
