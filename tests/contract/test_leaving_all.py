"""The word that an instance exited, and a process there that asks for its sessions: one of them comes first."""

import asyncio

from fleets import A, B, placed_account
from sqlalchemy import select, update

from homing.model.fleet import Placement, PlacementState, SessionStatus, Takeover
from homing.model.instances.vault import AskedLately, Left
from homing.store.db.database import Database
from homing.store.db.schema.tables import instances, sessions
from homing.store.directory.directory import SqlDirectory
from homing.store.grants.grants import SqlGrants
from homing.store.notices.notices import LocalNotices


async def exited(database: Database) -> bool:
    return await database.read(lambda c: c.scalar(select(instances.c.exited_at))) is not None


async def test_the_exit_is_noted_and_its_sessions_are_on_their_way(
    directory: SqlDirectory, database: Database, local_notices: LocalNotices
) -> None:
    grants = SqlGrants(database, local_notices)
    await directory.create_instance(A)
    auto, never, stopped = [await placed_account(directory, number) for number in (1, 2, 3)]
    elsewhere = await placed_account(directory, 4, B)
    await directory.change_account(never, {"takeover": Takeover.NEVER})
    await directory.set_status(stopped.session_id, SessionStatus.STOPPED)
    left = await grants.leave_all(A, quiet_s=10.0, shared=True)
    marked = Placement(auto.session_id, A, auto.placement.epoch, PlacementState.MOVING)
    assert left == Left((marked,), forbidden=1)
    assert await exited(database)
    assert [each.id for each in await directory.hand_out(A)] == [never.id], "what is on its way is handed to nobody"
    assert not await exited(database), "whoever asks runs"
    [found] = await directory.accounts_of([elsewhere.session_id])
    assert found.placement.state is PlacementState.HELD


async def test_without_shared_storage_the_exit_is_noted_and_nothing_moves(
    directory: SqlDirectory, database: Database, local_notices: LocalNotices
) -> None:
    await directory.create_instance(A)
    account = await placed_account(directory, 1)
    left = await SqlGrants(database, local_notices).leave_all(A, quiet_s=10.0, shared=False)
    assert left == Left((), forbidden=0)
    assert await exited(database)
    [found] = await directory.accounts_of([account.session_id])
    assert found.placement.state is PlacementState.HELD


async def test_of_a_word_and_a_process_that_asks_at_the_same_time_one_comes_first(
    directory: SqlDirectory, database: Database, local_notices: LocalNotices
) -> None:
    grants = SqlGrants(database, local_notices)
    await directory.create_instance(A)
    accounts = [await placed_account(directory, number) for number in range(1, 9)]
    names = [account.session_id for account in accounts]
    for _ in range(6):
        given, left = await asyncio.gather(directory.hand_out(A), grants.leave_all(A, quiet_s=60.0, shared=True))
        if isinstance(left, AskedLately):
            assert [each.session_id for each in given] == names
        else:
            assert given == []
            assert [each.session_id for each in left.marked] == names
        afresh = update(sessions).values(state=PlacementState.HELD, offered_at=None, offered_to=None)
        await database.write(lambda c, afresh=afresh: c.execute(afresh))
