"""Leases: who may act and until when, judged by the store's clock, on every store."""

import asyncio

import pytest
from vaults import ONE, THREE, TWO, opened, vault_of

from clocks import PassTime
from homing.model.fleet import InstanceUrl
from homing.model.instances.leases import Ended, IncarnationId
from homing.model.instances.vault import Holder
from homing.store.db import history
from homing.store.db.database import Database
from homing.store.db.opening import open_database
from homing.store.grants.leases import SqlLeases

A = InstanceUrl(ONE.instance_url)


@pytest.fixture
def leases(database: Database) -> SqlLeases:
    return SqlLeases(database)


async def test_a_lease_runs_from_its_last_renewal(leases: SqlLeases, pass_time: PassTime) -> None:
    begun = await leases.begin(ONE, expiry_s=6)
    assert (begun.revoked, begun.was_lapsed) == (0, False)
    await pass_time(4)
    renewed = await leases.renew(ONE, expiry_s=6)
    assert renewed is not None
    assert (renewed.revoked, renewed.was_lapsed) == (0, False)
    await pass_time(5)
    [boot] = await leases.incarnations()
    assert (boot.id, boot.instance_url, boot.ended, boot.holds_lease) == (ONE.incarnation, A, None, True)
    assert (boot.lease_left_s, boot.renewed_ago_s, boot.began_ago_s) == pytest.approx((1, 5, 9), abs=0.5)
    await pass_time(2)
    [boot] = await leases.incarnations()
    assert not boot.holds_lease
    assert boot.lease_left_s == pytest.approx(-1, abs=0.5)


async def test_a_lapsed_lease_can_be_renewed_and_says_so(leases: SqlLeases, pass_time: PassTime) -> None:
    await leases.begin(ONE, expiry_s=6)
    await pass_time(7)
    lapsed, again = [await leases.renew(ONE, expiry_s=6) for _ in range(2)]
    assert lapsed is not None
    assert again is not None
    assert (lapsed.was_lapsed, again.was_lapsed) == (True, False)


async def test_a_boot_tells_with_its_renewal_how_long_it_answered_nobody(leases: SqlLeases) -> None:
    told = []
    await leases.begin(ONE, expiry_s=6)
    for answered_ago_s in (None, 2.5, None):
        await leases.renew(ONE, expiry_s=6, answered_ago_s=answered_ago_s)
        told += [boot.answered_ago_s for boot in await leases.incarnations()]
    assert told == [None, 2.5, None]


async def test_a_boot_that_has_ended_or_was_never_begun_renews_nothing(leases: SqlLeases) -> None:
    await leases.begin(ONE, expiry_s=6)
    assert await leases.renew(TWO, expiry_s=6) is None
    assert await leases.renew(Holder("elsewhere", ONE.incarnation), expiry_s=6) is None
    assert await leases.end(A, Ended.EXITED) == 1
    assert await leases.renew(ONE, expiry_s=6) is None
    [boot] = await leases.incarnations()
    assert (boot.ended, boot.holds_lease) == (Ended.EXITED, False)
    assert boot.lease_left_s <= 0


async def test_a_lease_begun_twice_is_one(leases: SqlLeases) -> None:
    """As when the answer to the first was lost."""
    for _ in range(2):
        await leases.begin(ONE, expiry_s=6)
    assert len(await leases.incarnations()) == 1


async def test_all_boots_at_an_address_end_together_or_one_by_its_name(leases: SqlLeases) -> None:
    for boot in ("a", "b", "c"):
        await leases.begin(Holder(A, boot), expiry_s=6)
    await leases.begin(TWO, expiry_s=6)
    assert await leases.end(A, Ended.LEFT, incarnation=IncarnationId("b")) == 1
    assert await leases.end(A, Ended.EXITED, incarnation=IncarnationId(TWO.incarnation)) == 0
    assert await leases.end(A, Ended.EXITED) == 2
    assert await leases.end(A, Ended.EXITED) == 0
    ended = {boot.instance_url: boot.ended for boot in await leases.incarnations()}
    assert ended == {A: Ended.EXITED, TWO.instance_url: None}


async def test_each_address_tells_its_newest_boot_in_one_select(
    leases: SqlLeases, pass_time: PassTime, statements: list[str]
) -> None:
    await leases.begin(Holder(A, "z older"), expiry_s=60)
    await pass_time(1)
    await leases.begin(ONE, expiry_s=60)
    await leases.begin(TWO, expiry_s=60)
    await leases.renew(Holder(A, "z older"), expiry_s=60)
    statements.clear()
    assert [boot.id for boot in await leases.incarnations()] == [ONE.incarnation, TWO.incarnation]
    assert len(statements) == 1


async def test_boots_that_hold_nothing_are_forgotten_after_a_while(
    database: Database, leases: SqlLeases, pass_time: PassTime
) -> None:
    vault = await vault_of(database)
    for holder in (ONE, TWO, THREE):
        await leases.begin(holder, expiry_s=6)
    await opened(vault, holder=ONE)
    await leases.end(InstanceUrl(TWO.instance_url), Ended.LEFT)
    await pass_time(100)
    assert await leases.prune(keep_s=200) == 0
    await leases.renew(THREE, expiry_s=6)
    assert await leases.prune(keep_s=50) == 1
    assert {boot.id for boot in await leases.incarnations()} == {ONE.incarnation, THREE.incarnation}
    await vault.close()


async def test_renewals_of_a_whole_fleet_meet(leases: SqlLeases) -> None:
    holders = [Holder(f"http://localhost:{number}", f"boot-{number}") for number in range(60)]
    await asyncio.gather(*(leases.begin(holder, expiry_s=6) for holder in holders))
    renewals = await asyncio.gather(*(leases.renew(holder, expiry_s=6) for holder in holders))
    assert None not in renewals


# --- which store this is ------------------------------------------------------------------------------------------


async def test_a_store_says_which_it_is_with_every_renewal(leases: SqlLeases) -> None:
    begun = await leases.begin(ONE, expiry_s=6)
    renewed = await leases.renew(ONE, expiry_s=6)
    assert renewed is not None
    assert begun.store == renewed.store == (await leases.heartbeats()).store
    assert begun.store.system
    assert begun.store.timeline >= 1


async def test_two_files_are_two_stores_and_one_file_is_one_to_all(sqlite_url: str, tmp_path) -> None:  # type: ignore[no-untyped-def]
    ours = [open_database(sqlite_url), open_database(sqlite_url), open_database("sqlite://")]
    first, second, other = [(await SqlLeases(database).heartbeats()).store for database in ours]
    assert first == second
    assert first != other
    for database in ours:
        await database.close()


async def test_a_server_that_does_not_tell_its_name_tells_the_databases(
    postgres_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    database = open_database(postgres_url)
    by_server = (await SqlLeases(database).heartbeats()).store
    monkeypatch.setattr(history, "_MAY_ASK", "SELECT false")
    by_database = (await SqlLeases(database).heartbeats()).store
    assert by_database.system.startswith("database ")
    assert by_database.timeline == by_server.timeline
    await database.close()


async def test_a_renewal_never_keeps_the_next_one_waiting_between_two_round_trips(
    database: Database, statements: list[str]
) -> None:
    leases = SqlLeases(database)
    await leases.begin(ONE, expiry_s=6.0)
    statements.clear()
    assert await leases.renew(ONE, expiry_s=6.0) is not None
    assert database.dialect == "sqlite" or len(statements) == 1, "a file has one writer, who asks nobody far away"
