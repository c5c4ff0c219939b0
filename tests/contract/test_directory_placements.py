"""Where sessions live: reading it, and changing it by compare-and-set alone, on every store."""

import asyncio
import gc
import time
from dataclasses import replace

import pytest
from fleets import ONE, TWO, A, B, change, contact, new_account, placed_account
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection, insert
from structlog.testing import capture_logs
from vaults import opened, vault_of

from clocks import SteppedClock
from homing.model.fleet import (
    Account,
    Epoch,
    InstanceUrl,
    MoveKind,
    Placement,
    PlacementState,
    Rebinding,
    SessionId,
    SessionStatus,
)
from homing.model.instances.vault import Grant, Holder, Vouched
from homing.ports import AccountChanged, Notice, Page, PlacementChanged, StoreUnavailable
from homing.store.db.database import Database
from homing.store.db.opening import open_database
from homing.store.db.schema import tables as schema
from homing.store.directory.directory import SqlDirectory
from homing.store.notices.announce import Changes
from homing.store.notices.notices import LocalNotices
from homing.store.vault.vault import SqlVault

CACHE_LINE = "Cache invalidated due to instance URL change"


# --- reading ---


async def test_a_lookup_is_one_select_and_counted_once(
    database: Database, local_notices: LocalNotices, clock: SteppedClock, statements: list[str]
) -> None:
    reads: list[None] = []
    directory = SqlDirectory(database, local_notices, clock, on_read=lambda: reads.append(None))
    accounts = [await placed_account(directory, number) for number in range(3)]
    people = [await contact(directory, number) for number in range(9)]
    statements.clear()
    found = await directory.lookup([account.uuid for account in accounts], [people[4].uuid], neighbours=3)
    assert len(statements) == len(reads) == 1
    assert statements[0].startswith("SELECT")
    assert [found.routes[account.uuid].placement for account in accounts] == [a.placement for a in accounts]
    assert found.contacts[people[4].uuid] == people[4]
    assert len(found.contacts) == 4
    await directory.route_of_session(accounts[0].session_id)
    await directory.routes(instances=[A])
    assert len(statements) == len(reads) == 3


async def test_a_lookup_leaves_out_what_does_not_exist(directory: SqlDirectory) -> None:
    account = await directory.create_account(new_account(1))
    found = await directory.lookup([account.uuid, "nobody"], ["nobody"])  # type: ignore[list-item]
    assert list(found.routes) == [account.uuid]
    assert found.contacts == {}
    assert (await directory.lookup([], [], neighbours=5)).contacts == {}


async def test_neighbours_are_of_the_same_workspace_and_lowest_first(directory: SqlDirectory) -> None:
    account = await directory.create_account(new_account(1))
    people = [await contact(directory, number) for number in range(6)]
    for number in range(10, 20):
        await contact(directory, number, workspace=TWO)
    found = await directory.lookup([account.uuid], [], neighbours=4)
    assert set(found.contacts) == {person.uuid for person in people[:4]}
    assert set((await directory.lookup([account.uuid], [], neighbours=99)).contacts) == {p.uuid for p in people}
    assert (await directory.lookup([account.uuid], [])).contacts == {}


async def test_a_campaign_over_an_address_book_reads_it_in_pages(directory: SqlDirectory) -> None:
    account = await directory.create_account(new_account(1))
    people = [await contact(directory, number) for number in range(40)]
    known: set[str] = set()
    reads = 0
    for person in people:
        if person.uuid not in known:
            reads += 1
            known |= set((await directory.lookup([account.uuid], [person.uuid], neighbours=9)).contacts)
    assert reads == 4


async def test_neighbours_start_over_where_the_address_book_ends(directory: SqlDirectory) -> None:
    people = [await contact(directory, number) for number in range(6)]
    found = await directory.lookup([], [people[4].uuid], neighbours=3)
    assert set(found.contacts) == {people[number].uuid for number in (4, 5, 0, 1)}


async def test_routes_are_of_the_sessions_and_of_the_instances_asked_for(directory: SqlDirectory) -> None:
    on_a = [await placed_account(directory, number, A) for number in range(2)]
    on_b = await placed_account(directory, 2, B)
    unplaced = await directory.create_account(new_account(3))
    found = await directory.routes(sessions=[unplaced.session_id, SessionId("none")], instances=[A])
    assert [route.account_id for route in found] == [on_a[0].id, on_a[1].id, unplaced.id]
    assert await directory.routes() == []
    route = await directory.route_of_session(on_b.session_id)
    assert route is not None
    assert (route.placement, route.workspace_id, route.phone) == (on_b.placement, ONE, on_b.phone)


async def test_one_read_carries_thousands_of_sessions(directory: SqlDirectory) -> None:
    await directory.create_account(new_account(1))
    asked = [SessionId(f"session-{number}") for number in range(40_000)]
    assert len(await directory.routes(sessions=asked)) == 1


async def test_a_look_at_the_fleet_sees_what_should_be_running(directory: SqlDirectory) -> None:
    on_a, logged_out, on_b = [await placed_account(directory, number, A if number < 2 else B) for number in range(3)]
    await directory.create_account(new_account(3))
    await directory.set_status(logged_out.session_id, SessionStatus.LOGGED_OUT)
    await directory.set_status(on_b.session_id, SessionStatus.DISCONNECTED)
    [placed] = await directory.placed_on(A)
    assert placed == (on_a.session_id, 1, on_a.id, on_a.phone, on_a.last_verified_at)
    assert [each.session_id for each in await directory.placed_elsewhere([A])] == [on_b.session_id]
    assert await directory.placed_elsewhere([A, B]) == []
    assert await directory.placed_count() == 2


async def test_who_has_been_on_the_way_for_long_is_found_the_longest_first(directory: SqlDirectory) -> None:
    first, second, third = [await placed_account(directory, number, A) for number in range(3)]
    for account in (second, first):
        moving = Rebinding(account.placement, A, Epoch(2), MoveKind.REHOME, "granted", PlacementState.MOVING)
        assert await directory.rebind([moving])
    assert await directory.adrift(for_s=1e9, limit=10) == []
    found = await directory.adrift(for_s=-1e9, limit=10)
    assert {each.session_id for each in found} == {first.session_id, second.session_id}
    assert {(each.instance_url, each.epoch, each.state) for each in found} == {(A, 2, PlacementState.MOVING)}
    assert len(await directory.adrift(for_s=-1e9, limit=1)) == 1
    assert third.session_id not in {each.session_id for each in found}


# --- changing ---


async def test_a_change_holds_and_shows_everywhere(
    directory: SqlDirectory, clock: SteppedClock, heard: list[Notice]
) -> None:
    account = await directory.create_account(new_account(1))
    heard.clear()
    wanted = change(account.placement, A, 3, kind=MoveKind.REDISCOVERY, reason="seen there")
    assert await directory.rebind([wanted], run_id="run-1") == [wanted]
    found = await directory.account(ONE, id=account.id)
    assert found is not None
    assert found.placement == wanted.placement
    assert (found.status, found.last_verified_at) == (SessionStatus.CONNECTED, clock.now())
    assert heard == [PlacementChanged(account.session_id, account.uuid, Epoch(3), None, A)]
    [move] = await directory.moves(ONE, Page())
    assert (move.kind, move.from_url, move.to_url, move.epoch) == (MoveKind.REDISCOVERY, None, A, 3)
    assert (move.reason, move.run_id, move.at, move.account_id) == ("seen there", "run-1", clock.now(), account.id)


async def test_a_move_under_way_claims_nothing_of_the_session(directory: SqlDirectory) -> None:
    account = await directory.create_account(new_account(1))
    await directory.rebind([change(account.placement, B, 1, state=PlacementState.MOVING)])
    found = await directory.account(ONE, id=account.id)
    assert found is not None
    assert found.placement.state is PlacementState.MOVING
    assert (found.status, found.last_verified_at) == (SessionStatus.UNKNOWN, None)


STALE = {
    "another instance": lambda held: replace(held, instance_url=B),
    "no instance": lambda held: replace(held, instance_url=None),
    "an older epoch": lambda held: replace(held, epoch=Epoch(held.epoch - 1)),
    "another state": lambda held: replace(held, state=PlacementState.MOVING),
    "another session": lambda held: replace(held, session_id=SessionId("none")),
}


@pytest.mark.parametrize("how", STALE)
async def test_a_change_from_a_stale_record_is_refused_without_trace(
    directory: SqlDirectory, heard: list[Notice], how: str
) -> None:
    account = await placed_account(directory, 1, A, epoch=5)
    heard.clear()
    assert await directory.rebind([change(STALE[how](account.placement), B, 6)]) == []
    assert await directory.account(ONE, id=account.id) == account
    assert heard == []
    assert len(await directory.moves(ONE, Page())) == 1


async def test_an_epoch_never_falls(directory: SqlDirectory) -> None:
    account = await placed_account(directory, 1, A, epoch=5)
    assert await directory.rebind([change(account.placement, B, 4)]) == []
    assert await directory.rebind([change(account.placement, B, 5)])


async def test_of_many_changes_those_hold_whose_record_stands(directory: SqlDirectory) -> None:
    one, two, three = [await placed_account(directory, number, A) for number in range(3)]
    stale = replace(two.placement, epoch=Epoch(9))
    wanted = [change(three.placement, B, 2), change(stale, B, 10), change(one.placement, B, 2)]
    assert await directory.rebind(wanted) == [wanted[0], wanted[2]]


async def test_a_second_change_of_one_session_must_find_the_first_one_done(directory: SqlDirectory) -> None:
    account = await directory.create_account(new_account(1))
    first = change(account.placement, A, 1)
    follows, contradicts = change(first.placement, B, 2), change(account.placement, B, 7)
    assert await directory.rebind([first, contradicts, follows]) == [first, follows]


async def test_of_many_that_race_for_one_session_one_wins(directory: SqlDirectory) -> None:
    account = await placed_account(directory, 1, A)
    racers = [change(account.placement, InstanceUrl(f"http://h:{port}"), 2) for port in range(20)]
    won = await asyncio.gather(*(directory.rebind([racer]) for racer in racers))
    [winner] = [each for each in won if each]
    route = await directory.route_of_session(account.session_id)
    assert route is not None
    assert winner == [change(account.placement, route.placement.instance_url or A, 2)]
    assert len(await directory.moves(ONE, Page())) == 2


async def test_of_two_gateways_with_the_same_batch_each_change_holds_once(
    postgres_url: str, local_notices: LocalNotices, clock: SteppedClock
) -> None:
    databases = [open_database(postgres_url) for _ in range(2)]
    gateways = [SqlDirectory(database, local_notices, clock) for database in databases]
    accounts = await many_accounts(databases[0], gateways[0], 300)
    wanted = [[change(a.placement, A, 1) for a in order] for order in (accounts, accounts[::-1])]
    won = await asyncio.gather(*(gateway.rebind(batch) for gateway, batch in zip(gateways, wanted, strict=True)))
    sessions = [each.session_id for batch in won for each in batch]
    assert len(sessions) == len(set(sessions)) == 300
    for database in databases:
        await database.close()


async def test_a_batch_of_5000_holds_within_seconds_and_is_told_at_once(
    database: Database, directory: SqlDirectory, local_notices: LocalNotices, monkeypatch: pytest.MonkeyPatch
) -> None:
    accounts = await many_accounts(database, directory, 5_000)
    batches: list[int] = []
    told = local_notices.publish

    async def publish(notices: list[Notice]) -> None:
        batches.append(len(notices))
        await told(notices)

    monkeypatch.setattr(local_notices, "publish", publish)
    started = time.monotonic()
    with capture_logs() as lines:
        applied = await directory.rebind([change(account.placement, A, 1) for account in accounts])
    assert time.monotonic() - started < 5
    assert len(applied) == 5_000
    assert batches == [5_000]
    assert len(await directory.routes(instances=[A])) == 5_000
    shown = [line for line in lines if line["event"] == CACHE_LINE]
    assert len(shown) == 21
    assert shown[-1]["further_accounts"] == 4_980


async def test_the_log_names_the_account_and_both_addresses(directory: SqlDirectory) -> None:
    account = await placed_account(directory, 1, A)
    with capture_logs() as lines:
        await directory.rebind([change(account.placement, A, 2)])
        await directory.rebind([change(replace(account.placement, epoch=Epoch(2)), B, 2)])
    [line] = [line for line in lines if line["event"] == CACHE_LINE]
    assert (line["account"], line["old_url"], line["new_url"], line["log_level"]) == (account.id, A, B, "info")


async def test_the_log_of_moves_is_read_newest_first_and_in_pages(directory: SqlDirectory) -> None:
    account = await directory.create_account(new_account(1))
    placement = account.placement
    for epoch in range(1, 6):
        kind = MoveKind.REHOME if epoch == 3 else MoveKind.PLACEMENT
        wanted = change(placement, A if epoch % 2 else B, epoch, kind=kind)
        await directory.rebind([wanted])
        placement = wanted.placement
    other = await placed_account(directory, 2)
    newest = await directory.moves(ONE, Page(limit=4))
    assert [move.epoch for move in newest] == [1, 5, 4, 3]
    assert [move.epoch for move in await directory.moves(ONE, Page(after=newest[-1].id))] == [2, 1]
    assert len(await directory.moves(None, Page(), session_id=other.session_id)) == 1
    assert [move.epoch for move in await directory.moves(ONE, Page(), kind=MoveKind.REHOME)] == [3]
    assert await directory.moves(TWO, Page()) == []


async def test_a_change_whose_caller_goes_away_is_made_and_told(
    directory: SqlDirectory, local_notices: LocalNotices
) -> None:
    account = await directory.create_account(new_account(1))
    told = asyncio.Event()
    local_notices.subscribe(lambda notice: told.set() if isinstance(notice, PlacementChanged) else None)
    task = asyncio.create_task(directory.rebind([change(account.placement, A, 1)]))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.wait([task])
    await asyncio.wait_for(told.wait(), 5)
    route = await directory.route_of_session(account.session_id)
    assert route is not None
    assert route.placement.instance_url == A


async def test_a_change_that_fails_after_its_caller_went_away_alarms_nobody(
    database: Database, local_notices: LocalNotices
) -> None:
    alarms: list[str] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, said: alarms.append(said["message"]))
    tried: list[Connection] = []

    def fail(connection: Connection) -> tuple[None, list[Notice]]:
        tried.append(connection)
        raise StoreUnavailable("lost on the way")

    asked = asyncio.create_task(Changes(database, local_notices).make(fail))
    await asyncio.sleep(0)
    asked.cancel()
    await asyncio.wait([asked])
    del asked
    if carried_through := asyncio.all_tasks() - {asyncio.current_task()}:
        await asyncio.wait(carried_through, timeout=5)
    carried_through.clear()
    gc.collect()
    assert len(tried) == 1
    assert alarms == []


# --- what is seen of a session ---


async def test_a_later_look_is_never_overwritten_by_an_earlier_one(
    directory: SqlDirectory, clock: SteppedClock
) -> None:
    account = await placed_account(directory, 1)
    earlier = clock.now()
    clock.advance(10)
    await directory.mark_verified([account.session_id, SessionId("none")], clock.now())
    await directory.mark_verified([account.session_id], earlier)
    found = await directory.account(ONE, id=account.id)
    assert found is not None
    assert found.last_verified_at == clock.now()


@pytest.mark.parametrize("status", [SessionStatus.LOGGED_OUT, SessionStatus.QUARANTINED, SessionStatus.STOPPED])
async def test_routes_hear_of_a_status_only_if_it_opens_or_closes_them(
    directory: SqlDirectory, heard: list[Notice], status: SessionStatus
) -> None:
    account = await placed_account(directory, 1)
    heard.clear()
    await directory.set_status(account.session_id, SessionStatus.DISCONNECTED)
    await directory.set_status(SessionId("none"), SessionStatus.CONNECTED)
    assert heard == []
    await directory.set_status(account.session_id, status)
    await directory.set_status(account.session_id, status)
    assert heard == [AccountChanged(account_uuid=account.uuid)]
    route = await directory.route_of_session(account.session_id)
    assert route is not None
    assert route.status is status
    await directory.set_status(account.session_id, SessionStatus.CONNECTED)
    assert len(heard) == 2


# --- any history ---

urls = st.sampled_from([None, A, B])
placements = st.builds(
    Placement, st.just(SessionId("session-1")), urls, st.integers(0, 3).map(Epoch), st.sampled_from(PlacementState)
)
rebindings = st.builds(
    Rebinding, placements, st.sampled_from([A, B]), st.integers(0, 3).map(Epoch), st.sampled_from(MoveKind),
    st.just("why"), st.sampled_from(PlacementState),
)  # fmt: skip


@given(st.lists(st.lists(rebindings, max_size=4), max_size=8))
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
async def test_any_history_of_changes_is_a_chain_of_records(batches: list[list[Rebinding]]) -> None:
    database = open_database("sqlite://", now=SteppedClock().now)
    directory = SqlDirectory(database, LocalNotices(), SteppedClock())
    record = (await directory.create_account(new_account(1))).placement
    for batch in batches:
        expected: list[Rebinding] = []
        for each in batch:
            if each.expected == record and each.epoch >= record.epoch:
                expected.append(each)
                record = each.placement
        assert await directory.rebind(batch) == expected
    route = await directory.route_of_session(record.session_id)
    assert route is not None
    assert route.placement == record
    await database.close()


async def many_accounts(database: Database, directory: SqlDirectory, number: int) -> list[Account]:
    """So many accounts at once, where one by one would take too long."""
    first = await directory.create_account(new_account(0))
    news = [new_account(each) for each in range(1, number)]
    rows = [
        {
            "id": first.id + each,
            "uuid": new.uuid,
            "workspace_id": new.workspace_id,
            "phone": new.phone,
            "name": new.name,
            "takeover": new.takeover,
            "created_at": first.created_at,
        }
        for each, new in enumerate(news, start=1)
    ]
    sessions = [
        {
            "session_id": new.session_id,
            "account_id": first.id + each,
            "epoch": 0,
            "state": "held",
            "status": "unknown",
            "updated_at": first.created_at,
        }
        for each, new in enumerate(news, start=1)
    ]
    await database.write(lambda c: c.execute(insert(schema.accounts), rows))
    await database.write(lambda c: c.execute(insert(schema.sessions), sessions))
    return await directory.accounts(None, Page(limit=number))


# --- what instances claim ---

CLAIMED = "found on another instance"


def claim(account: Account, url: InstanceUrl, epoch: int) -> Rebinding:
    return Rebinding(account.placement, url, Epoch(epoch), MoveKind.REDISCOVERY, CLAIMED, claimed=True)


async def in_the_vault(directory: SqlDirectory, database: Database, number: int = 1) -> tuple[Account, SqlVault]:
    """An account placed on A, whose session the vault granted to a boot there, under the record's epoch."""
    account, vault = await placed_account(directory, number), await vault_of(database)
    grant = await opened(vault, account.session_id, epoch=account.placement.epoch, holder=Holder(A, "boot-a"))
    assert isinstance(await vault.save(grant, {"linked": True}), Grant)
    return account, vault


@pytest.mark.parametrize(("url", "above"), [(B, 94), (B, 1), (B, 0), (A, 1), (A, 2**40)])
async def test_a_claim_that_the_vault_refutes_changes_no_record(
    directory: SqlDirectory, database: Database, url: InstanceUrl, above: int
) -> None:
    account, vault = await in_the_vault(directory, database)
    assert await directory.rebind([claim(account, url, account.placement.epoch + above)]) == []
    assert (await directory.account(None, uuid=account.uuid)).placement == account.placement  # type: ignore[union-attr]
    await vault.close()


async def test_the_vaults_own_holder_is_believed_and_what_we_do_ourselves_needs_no_word(
    directory: SqlDirectory, database: Database
) -> None:
    account, vault = await in_the_vault(directory, database)
    granted = await opened(vault, account.session_id, epoch=None, holder=Holder(B, "boot-b"))
    assert len(await directory.rebind([claim(account, B, granted.epoch)])) == 1
    after = await directory.account(None, uuid=account.uuid)
    assert after is not None
    assert (after.placement.instance_url, after.placement.epoch) == (B, granted.epoch)
    ours = Rebinding(after.placement, A, Epoch(granted.epoch + 5), MoveKind.PLACEMENT, "started by request")
    assert len(await directory.rebind([ours])) == 1
    await vault.close()


async def test_the_vault_vouches_for_whom_it_was_granted_to(directory: SqlDirectory, database: Database) -> None:
    account, vault = await in_the_vault(directory, database)
    outside = await placed_account(directory, 2)
    asked = [account.session_id, outside.session_id]
    epoch = account.placement.epoch
    assert await directory.vouched(asked) == {account.session_id: Vouched(epoch, A)}
    held = await opened(vault, account.session_id, epoch=epoch + 1, holder=Holder(B, "boot-b"))
    await vault.release([held])
    assert await directory.vouched(asked) == {account.session_id: Vouched(Epoch(epoch + 1), None)}
    await vault.close()


async def test_a_number_that_no_column_holds_fails_no_other_change(directory: SqlDirectory) -> None:
    good, bad = await placed_account(directory, 1), await placed_account(directory, 2)
    changes = [claim(good, B, good.placement.epoch + 1), claim(bad, B, 2**63)]
    assert good.session_id in {change.session_id for change in await directory.rebind(changes)}
    after = await directory.account(None, uuid=bad.uuid)
    assert after is not None
    assert isinstance(after.placement.epoch, int)
    assert after.placement.epoch < 2**63
