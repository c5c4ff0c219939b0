"""The downtime ledger, on both databases."""

from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, insert

from homing.decide.knowledge.downtime import month_named
from homing.model.ids import SessionId, WorkspaceId
from homing.model.sessions.downtime import Outage
from homing.ports import Page
from homing.store.db.database import Database
from homing.store.db.schema.tables import moves
from homing.store.records.downtime import SqlDowntime

T = datetime(2026, 1, 10, 12, tzinfo=UTC)
JANUARY = month_named("2026-01")
S1, S2 = SessionId("s1"), SessionId("s2")


def began(session: SessionId, at: datetime = T, *, account: int = 1, workspace: int = 1) -> Outage:
    return Outage(session, account, WorkspaceId(workspace), "failed", at)


async def test_what_one_gateway_wrote_another_one_writes_no_second_time(database: Database) -> None:
    ledger = SqlDowntime(database)
    await ledger.note({}, [began(S1)], {}, at=T)
    await ledger.note({}, [began(S1, T + timedelta(seconds=0.3))], {}, at=T)
    assert await ledger.lasting() == [began(S1)]
    ended = T + timedelta(minutes=2)
    await ledger.note({S1: ended}, [], {}, at=T)
    await ledger.note({S1: ended + timedelta(seconds=0.3)}, [], {}, at=T)
    assert await ledger.lasting() == []
    [outage] = await ledger.between(JANUARY.begins, JANUARY.ends, None, Page())
    assert outage.ended_at == ended


async def test_an_end_from_before_does_not_end_what_began_later(database: Database) -> None:
    ledger = SqlDowntime(database)
    await ledger.note({}, [began(S1)], {}, at=T)
    await ledger.note({S1: T - timedelta(seconds=1)}, [], {}, at=T)
    assert len(await ledger.lasting()) == 1


async def test_an_end_and_a_beginning_written_together_follow_each_other(database: Database) -> None:
    ledger, later = SqlDowntime(database), T + timedelta(minutes=1)
    await ledger.note({}, [began(S1)], {}, at=T)
    await ledger.note({S1: later}, [Outage(S1, 1, WorkspaceId(1), "moving", later, continues=True)], {}, at=T)
    found = await ledger.between(JANUARY.begins, JANUARY.ends, None, Page())
    assert [(each.reason, each.ended_at, each.continues) for each in found] == [
        ("failed", later, False),
        ("moving", None, True),
    ]


async def test_pages_are_of_accounts_and_a_workspace_sees_its_own(database: Database) -> None:
    ledger = SqlDowntime(database)
    rows = [began(SessionId(f"s{n}"), account=n, workspace=1 + n % 2) for n in range(1, 6)]
    await ledger.note({}, rows, {}, at=T)

    async def accounts(workspace: int | None, page: Page) -> list[int]:
        named = None if workspace is None else WorkspaceId(workspace)
        return [each.account_id for each in await ledger.between(JANUARY.begins, JANUARY.ends, named, page)]

    assert await accounts(None, Page(0, 2)) == [1, 2]
    assert await accounts(None, Page(2, 2)) == [3, 4]
    assert await accounts(1, Page()) == [2, 4]
    february = month_named("2026-02")
    assert len(await ledger.between(february.begins, february.ends, None, Page(), session_id=SessionId("s3"))) == 1


async def test_failed_sends_are_added_in_their_month(database: Database) -> None:
    ledger = SqlDowntime(database)
    await ledger.note({}, [], {S1: 2, S2: 1}, at=T)
    await ledger.note({}, [], {S1: 3}, at=T)
    await ledger.note({}, [], {S1: 7}, at=T + timedelta(days=40))
    assert await ledger.failed_sends(JANUARY.begins, {S1, S2}) == {S1: 5, S2: 1}


async def test_what_is_old_is_forgotten_and_what_lasts_is_not(database: Database) -> None:
    ledger = SqlDowntime(database)
    await ledger.note({}, [began(S1), began(S2)], {}, at=T)
    await ledger.note({S1: T + timedelta(minutes=1)}, [], {}, at=T)
    assert await ledger.prune(before=T + timedelta(days=1), limit=10) == 1
    assert [each.session_id for each in await ledger.lasting()] == [S2]


async def test_an_outage_keeps_the_trace_of_the_move_that_it_came_of(database: Database) -> None:
    ledger = SqlDowntime(database)
    traced = {"session_id": S1, "kind": "migration", "account_id": 1, "workspace_id": 1, "epoch": 2, "reason": "asked"}

    def moved(connection: Connection) -> None:
        connection.execute(insert(moves).values(**traced, at=T - timedelta(seconds=1), trace_id="a" * 32))
        connection.execute(insert(moves).values(**traced, at=T - timedelta(hours=1), trace_id="b" * 32))

    await database.write(moved)
    await ledger.note({}, [began(S1), began(S2)], {}, at=T)
    later = began(S1, T + timedelta(hours=1))
    await ledger.note({S1: T + timedelta(minutes=1)}, [later], {}, at=T)
    found = await ledger.between(JANUARY.begins, JANUARY.ends, None, Page())
    traces = {(each.session_id, each.began_at): each.trace_id for each in found}
    assert traces == {(S1, T): "a" * 32, (S2, T): None, (S1, later.began_at): None}


async def test_the_outages_of_some_sessions_are_read_together(database: Database) -> None:
    ledger = SqlDowntime(database)
    await ledger.note({}, [began(S1), began(S2), began(SessionId("s3"))], {}, at=T)
    await ledger.note({S1: T + timedelta(minutes=1)}, [began(S1, T + timedelta(hours=1))], {}, at=T)
    found = await ledger.of_sessions([S1, S2], since=T + timedelta(minutes=30))
    assert [(each.session_id, each.began_at) for each in found] == [(S2, T), (S1, T + timedelta(hours=1))]
    assert len(await ledger.of_sessions([S1], since=T)) == 2
    assert await ledger.of_sessions([], since=T) == []
