"""Granting sessions to other instances: fenced, at the next epoch, once, on every store."""

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from fleets import A, B, change, new_account, placed_account
from vaults import opened, reserved, unsent, vault_of

from clocks import PassTime, SteppedClock
from homing.model.fleet import (
    Account,
    Epoch,
    InstanceUrl,
    MoveKind,
    Placement,
    PlacementState,
    SessionId,
    SessionStatus,
)
from homing.model.instances.leases import Ended, Fence, IncarnationId
from homing.model.instances.vault import Arrival, Grant, Granted, Granting, Holder, Reserved, StaleEpoch
from homing.ports import Notice, Page, PlacementChanged
from homing.store.db.database import Database
from homing.store.db.opening import open_database
from homing.store.directory.directory import SqlDirectory
from homing.store.grants.grants import SqlGrants
from homing.store.grants.leases import SqlLeases
from homing.store.notices.notices import LocalNotices
from homing.store.vault.vault import SqlVault

C = InstanceUrl("http://localhost:3003")
ON_A, ON_B, ON_C = Holder(A, "boot-a"), Holder(B, "boot-b"), Holder(C, "boot-c")


@pytest.fixture
async def vault(database: Database) -> AsyncIterator[SqlVault]:
    opened = await vault_of(database)
    yield opened
    await opened.close()


@pytest.fixture
def leases(database: Database) -> SqlLeases:
    return SqlLeases(database)


@pytest.fixture
def grants(database: Database, local_notices: LocalNotices) -> SqlGrants:
    return SqlGrants(database, local_notices)


async def held_account(
    directory: SqlDirectory, vault: SqlVault, number: int = 1, holder: Holder = ON_A
) -> tuple[Account, Grant]:
    """An account whose session is held on an instance, by the directory and by the vault."""
    account = await placed_account(directory, number, InstanceUrl(holder.instance_url))
    return account, await opened(vault, account.session_id, epoch=account.placement.epoch, holder=holder)


def to_b(
    account: Account,
    fence: Fence = Fence.REVOKED,
    *,
    to: Holder | None = ON_B,
    kind: MoveKind = MoveKind.REHOME,
    expected: Placement | None = None,
) -> Granting:
    boot = None if to is None else IncarnationId(to.incarnation)
    url = InstanceUrl(to.instance_url) if to is not None else B
    return Granting(expected or account.placement, url, boot, fence, kind, "its instance is gone")


async def granted(
    grants: SqlGrants, *wanted: Granting, per_s: float = 1_000, each_per_s: float = 1_000
) -> list[Granted]:
    return await grants.grant(wanted, fleet_logins_per_s=per_s, instance_logins_per_s=each_per_s, run_id="run")


async def found(directory: SqlDirectory, account: Account) -> Account:
    fresh = await directory.account(None, id=account.id)
    assert fresh is not None
    return fresh


# --- a grant ------------------------------------------------------------------------------------------------------


async def test_a_grant_fences_places_logs_and_tells(
    directory: SqlDirectory, vault: SqlVault, leases: SqlLeases, grants: SqlGrants, heard: list[Notice]
) -> None:
    await leases.begin(ON_A, expiry_s=6)
    account, old = await held_account(directory, vault)
    heard.clear()
    [made] = await granted(grants, to_b(account))
    assert made.epoch == 2
    assert made.placement == Placement(account.session_id, B, Epoch(2), PlacementState.MOVING)
    after = await found(directory, account)
    assert (after.placement, after.status) == (made.placement, SessionStatus.STARTING)
    assert heard == [PlacementChanged(account.session_id, account.uuid, Epoch(2), A, B)]
    move = (await directory.moves(None, Page()))[0]
    assert (move.kind, move.from_url, move.to_url, move.epoch) == (MoveKind.REHOME, A, B, 2)
    assert (move.fence, move.reason, move.run_id) == ("revoked", "its instance is gone", "run")
    assert (move.duration_ms, move.steps) == (None, {})
    assert await vault.reserve(old, unsent("m")) == StaleEpoch(2)
    renewed = await leases.renew(ON_A, expiry_s=6)
    assert renewed is not None
    assert renewed.revoked == 1
    assert await vault.held_by_boot(ON_B) == {account.session_id: 2}


async def test_only_the_boot_it_was_granted_to_opens_a_session_at_its_epoch(
    directory: SqlDirectory, vault: SqlVault, grants: SqlGrants
) -> None:
    account, old = await held_account(directory, vault)
    await reserved(vault, old, "m1")
    await granted(grants, to_b(account))
    session = account.session_id
    for other in (ON_A, ON_C, Holder(B, "its next boot")):
        assert await vault.open(session, epoch=2, holder=other) == StaleEpoch(2)
    grant = await opened(vault, session, epoch=2, holder=ON_B)
    assert [each.message_id for each in grant.unfinished] == ["m1"]
    assert await vault.reserve(grant, unsent("m2")) == [Reserved(2)]


async def test_the_next_epoch_is_above_what_the_vault_has_and_what_the_directory_has(
    directory: SqlDirectory, vault: SqlVault, grants: SqlGrants
) -> None:
    ahead, _ = await held_account(directory, vault, 1)
    await opened(vault, ahead.session_id, epoch=10, holder=ON_A)
    behind = await placed_account(directory, 2, A, epoch=20)
    await opened(vault, behind.session_id, epoch=3, holder=ON_A)
    assert [each.epoch for each in await granted(grants, to_b(ahead), to_b(behind))] == [11, 21]
    assert (await opened(vault, behind.session_id, epoch=21, holder=ON_B)).epoch == 21


async def test_a_session_that_is_not_in_the_vault_is_granted_by_the_directory_alone(
    directory: SqlDirectory, vault: SqlVault, grants: SqlGrants
) -> None:
    account = await placed_account(directory, 1)
    [made] = await granted(grants, to_b(account, Fence.STOPPED, to=None))
    assert made.epoch == 2
    assert await vault.epoch(account.session_id) == 0
    assert await grants.fenced([account.session_id]) == {}


async def test_a_target_that_opens_no_vault_fences_a_holder_that_does(
    directory: SqlDirectory, vault: SqlVault, grants: SqlGrants
) -> None:
    account, old = await held_account(directory, vault)
    await granted(grants, to_b(account, to=None))
    assert await vault.reserve(old, unsent("m")) == StaleEpoch(2)
    assert await vault.open(account.session_id, epoch=2, holder=Holder(B, "some boot")) == StaleEpoch(2)
    holding = (await grants.fenced([account.session_id]))[account.session_id]
    assert (holding.holder, holding.lease_left_s) == (Holder(B, ""), 0)


@pytest.mark.parametrize(
    "other",
    [
        {"instance_url": B},
        {"instance_url": None},
        {"epoch": Epoch(0)},
        {"epoch": Epoch(2)},
        {"state": PlacementState.MOVING},
    ],
)
async def test_a_record_that_does_not_stand_is_left_alone(
    directory: SqlDirectory, vault: SqlVault, grants: SqlGrants, other: dict[str, object]
) -> None:
    account, old = await held_account(directory, vault)
    expected = replace(account.placement, **other)  # type: ignore[arg-type]
    assert await granted(grants, to_b(account, expected=expected)) == []
    assert await reserved(vault, old, "m") == [1]
    assert (await found(directory, account)).placement == account.placement


async def test_an_account_that_is_deleted_is_granted_to_nobody(directory: SqlDirectory, grants: SqlGrants) -> None:
    account = await placed_account(directory, 1)
    await directory.delete_account(account)
    assert await granted(grants, to_b(account)) == []


async def test_a_session_is_granted_once_in_a_batch(
    directory: SqlDirectory, vault: SqlVault, grants: SqlGrants
) -> None:
    account, _ = await held_account(directory, vault)
    other = to_b(account, to=ON_C)
    assert [each.granting for each in await granted(grants, to_b(account), other)] == [to_b(account)]


async def test_a_target_that_dies_on_the_way_is_followed_by_the_next_at_the_next_epoch(
    directory: SqlDirectory, vault: SqlVault, grants: SqlGrants
) -> None:
    account, _ = await held_account(directory, vault)
    [first] = await granted(grants, to_b(account))
    [second] = await granted(grants, to_b(account, to=ON_C, expected=first.placement))
    assert (second.epoch, second.placement.instance_url) == (3, C)
    assert await vault.open(account.session_id, epoch=2, holder=ON_B) == StaleEpoch(3)
    assert len(await directory.moves(None, Page(), kind=MoveKind.REHOME)) == 2
    assert await grants.moves_today([account.session_id]) == {account.session_id: 2}


# --- proof --------------------------------------------------------------------------------------------------------


async def test_a_lapsed_lease_is_proven_by_the_stores_clock(
    directory: SqlDirectory, vault: SqlVault, leases: SqlLeases, grants: SqlGrants, pass_time: PassTime
) -> None:
    await leases.begin(ON_A, expiry_s=6)
    account, _ = await held_account(directory, vault)
    assert await granted(grants, to_b(account, Fence.LAPSED)) == []
    await pass_time(7)
    assert len(await granted(grants, to_b(account, Fence.LAPSED))) == 1


async def test_an_exit_is_proven_by_what_was_said_of_the_holders_own_boot(
    directory: SqlDirectory, vault: SqlVault, leases: SqlLeases, grants: SqlGrants
) -> None:
    await leases.begin(ON_A, expiry_s=6)
    await leases.begin(Holder(A, "its next boot"), expiry_s=6)
    account, _ = await held_account(directory, vault)
    assert await granted(grants, to_b(account, Fence.EXITED)) == []
    await leases.end(A, Ended.EXITED, incarnation=IncarnationId("its next boot"))
    assert await granted(grants, to_b(account, Fence.EXITED)) == []
    await leases.end(A, Ended.EXITED)
    assert len(await granted(grants, to_b(account, Fence.EXITED))) == 1


async def test_that_nobody_holds_a_session_is_proven(
    directory: SqlDirectory, vault: SqlVault, grants: SqlGrants
) -> None:
    account, old = await held_account(directory, vault)
    assert await granted(grants, to_b(account, Fence.NONE)) == []
    await vault.release([old])
    assert len(await granted(grants, to_b(account, Fence.NONE))) == 1
    never = await directory.create_account(new_account(2))
    assert len(await granted(grants, to_b(never, Fence.NONE))) == 1
    foreign = await placed_account(directory, 3)
    assert await granted(grants, to_b(foreign, Fence.NONE)) == []


async def test_of_a_foreign_session_the_boots_at_its_address_are_asked(
    directory: SqlDirectory, leases: SqlLeases, grants: SqlGrants, pass_time: PassTime
) -> None:
    account = await placed_account(directory, 1)
    assert await granted(grants, to_b(account, Fence.LAPSED)) == [], "it holds no lease that could run out"
    await leases.begin(ON_A, expiry_s=6)
    assert await granted(grants, to_b(account, Fence.LAPSED)) == []
    assert await granted(grants, to_b(account, Fence.EXITED)) == []
    await pass_time(7)
    assert len(await granted(grants, to_b(account, Fence.LAPSED))) == 1
    told = await placed_account(directory, 2, C)
    assert len(await granted(grants, to_b(told, Fence.EXITED))) == 1, "the store knows nothing against it"


async def test_a_session_that_lives_elsewhere_by_the_vault_is_not_taken_from_there(
    directory: SqlDirectory, vault: SqlVault, leases: SqlLeases, grants: SqlGrants, pass_time: PassTime
) -> None:
    account, _ = await held_account(directory, vault)
    await leases.begin(ON_C, expiry_s=6)
    alive = await opened(vault, account.session_id, holder=ON_C)
    assert await granted(grants, to_b(account)) == []
    assert await reserved(vault, alive, "m") == [1]
    await pass_time(7)
    [made] = await granted(grants, to_b(account))
    assert made.epoch == 3


async def test_what_the_vault_knows_of_holders_is_told_in_one_select(
    directory: SqlDirectory, vault: SqlVault, leases: SqlLeases, grants: SqlGrants, statements: list[str]
) -> None:
    await leases.begin(ON_A, expiry_s=6)
    await leases.begin(ON_C, expiry_s=6)
    leased, grant = await held_account(directory, vault, 1)
    await vault.save(grant, {"l": 1})
    unknown, _ = await held_account(directory, vault, 2, ON_B)
    ended, _ = await held_account(directory, vault, 3, ON_C)
    await leases.end(C, Ended.EXITED)
    released, freed = await held_account(directory, vault, 4)
    await vault.release([freed])
    asked = [each.session_id for each in (leased, unknown, ended, released)]
    statements.clear()
    known = await grants.fenced([*asked, SessionId("none")])
    assert len(statements) == 1
    told = [(known[each].holder, known[each].has_login, known[each].holder_ended) for each in asked]
    assert told == [(ON_A, True, False), (ON_B, False, False), (ON_C, False, True), (None, False, False)]
    assert 5 < known[leased.session_id].lease_left_s <= 6
    assert known[unknown.session_id].lease_left_s == 0
    assert known[ended.session_id].lease_left_s <= 0
    assert [known[each].epoch for each in asked] == [1, 1, 1, 1]


# --- arriving -----------------------------------------------------------------------------------------------------


async def test_an_arrival_holds_the_session_and_completes_its_move(
    directory: SqlDirectory, vault: SqlVault, grants: SqlGrants, heard: list[Notice]
) -> None:
    account, _ = await held_account(directory, vault)
    [made] = await granted(grants, to_b(account))
    heard.clear()
    arrival = Arrival(made.placement, {"grant": 12, "start": 300}, 412)
    assert await grants.arrive([arrival, arrival]) == [arrival]
    after = await found(directory, account)
    assert (after.placement, after.status) == (replace(made.placement, state=PlacementState.HELD), "connected")
    assert after.last_verified_at is not None
    assert heard == [PlacementChanged(account.session_id, account.uuid, Epoch(2), B, B)]
    move = (await directory.moves(None, Page()))[0]
    assert (move.duration_ms, move.steps) == (412, {"grant": 12, "start": 300})
    assert len(await directory.moves(None, Page(), kind=MoveKind.REHOME)) == 1
    assert await grants.arrive([arrival]) == []
    assert await grants.arrive([]) == []


async def test_an_arrival_after_the_next_grant_counts_for_nothing(
    directory: SqlDirectory, vault: SqlVault, grants: SqlGrants
) -> None:
    account, _ = await held_account(directory, vault)
    [first] = await granted(grants, to_b(account))
    [second] = await granted(grants, to_b(account, to=ON_C, expected=first.placement))
    assert await grants.arrive([Arrival(first.placement, {}, 1)]) == []
    held = replace(account.placement, state=PlacementState.HELD)
    assert await grants.arrive([Arrival(held, {}, 1)]) == []
    arrival = Arrival(second.placement, {}, 7)
    assert await grants.arrive([arrival]) == [arrival]
    newest, older, _ = await directory.moves(None, Page())
    assert (newest.duration_ms, older.duration_ms) == (7, None)


# --- leaving ------------------------------------------------------------------------------------------------------


async def test_a_session_about_to_be_stopped_is_marked_and_can_stay_after_all(
    directory: SqlDirectory, vault: SqlVault, grants: SqlGrants, heard: list[Notice]
) -> None:
    account, grant = await held_account(directory, vault)
    gone = replace(account.placement, epoch=Epoch(9))
    leaving = replace(account.placement, state=PlacementState.MOVING)
    heard.clear()
    assert await grants.leave([account.placement, gone]) == [leaving]
    assert await grants.leave([account.placement]) == [leaving], "marked already"
    assert heard == [PlacementChanged(account.session_id, account.uuid, Epoch(1), A, A)]
    assert (await found(directory, account)).placement == leaving
    assert await reserved(vault, grant, "m") == [1], "its holder goes on until it is stopped"
    assert await grants.stay([leaving, replace(leaving, instance_url=B)]) == [account.placement]
    assert (await found(directory, account)).placement == account.placement
    assert await grants.leave([]) == await grants.stay([]) == []


# --- how many at once ---------------------------------------------------------------------------------------------


async def test_no_more_are_granted_in_a_second_than_may_log_in_and_the_first_go_first(
    directory: SqlDirectory, vault: SqlVault, grants: SqlGrants, pass_time: PassTime
) -> None:
    accounts = [(await held_account(directory, vault, number))[0] for number in range(6)]
    moved_on = to_b(accounts[0], expected=replace(accounts[0].placement, epoch=Epoch(9)))
    wanted = [moved_on, *(to_b(account) for account in accounts[1:])]
    first = await granted(grants, *wanted, per_s=3)
    assert [each.granting for each in first] == wanted[1:4]
    assert await granted(grants, *wanted[4:], per_s=3) == []
    await pass_time(1.1)
    assert [each.granting for each in await granted(grants, *wanted[4:], per_s=3)] == wanted[4:]


async def test_no_target_is_given_more_in_a_second_than_it_may_log_in(
    directory: SqlDirectory, vault: SqlVault, grants: SqlGrants, pass_time: PassTime
) -> None:
    accounts = [(await held_account(directory, vault, number))[0] for number in range(5)]
    wanted = [to_b(account) for account in accounts[:3]] + [to_b(account, to=ON_C) for account in accounts[3:]]
    first = await granted(grants, *wanted, each_per_s=2)
    assert [each.granting for each in first] == [*wanted[:2], *wanted[3:]]
    assert await granted(grants, wanted[2], each_per_s=2) == []
    await pass_time(1.1)
    assert len(await granted(grants, wanted[2], each_per_s=2)) == 1


async def test_gateways_that_chose_the_same_place_do_not_fill_it_beyond_its_capacity(
    directory: SqlDirectory, vault: SqlVault, grants: SqlGrants
) -> None:
    await directory.create_instance(ON_B.instance_url, capacity=3)
    accounts = [(await held_account(directory, vault, number))[0] for number in range(5)]
    groups = await asyncio.gather(*(granted(grants, to_b(account)) for account in accounts))
    assert sum(len(group) for group in groups) == 3
    [load] = [load for load in await directory.loads() if load.instance.url == ON_B.instance_url]
    assert load.sessions == 3


async def test_a_full_instance_opens_its_own_sessions_again(
    directory: SqlDirectory, vault: SqlVault, grants: SqlGrants
) -> None:
    await directory.create_instance(ON_A.instance_url, capacity=1)
    account, _ = await held_account(directory, vault)
    assert len(await granted(grants, to_b(account, to=ON_A))) == 1


async def test_a_whole_instance_is_granted_at_once(directory: SqlDirectory, vault: SqlVault, grants: SqlGrants) -> None:
    accounts = [await placed_account(directory, number) for number in range(40)]
    await vault.open_many({account.session_id: 1 for account in accounts}, holder=ON_A)
    made = await granted(grants, *(to_b(account) for account in accounts))
    assert len(made) == 40
    assert len(await vault.held_by_boot(ON_B)) == 40
    arrived = await grants.arrive([Arrival(each.placement, {}, 5) for each in made])
    assert len(arrived) == 40


async def test_moves_of_the_last_day_are_counted(
    directory: SqlDirectory, vault: SqlVault, grants: SqlGrants, pass_time: PassTime
) -> None:
    account, _ = await held_account(directory, vault)
    other, _ = await held_account(directory, vault, 2)
    [first] = await granted(grants, to_b(account, kind=MoveKind.MIGRATION))
    await pass_time(80_000)
    await granted(grants, to_b(account, to=ON_C, expected=first.placement))
    assert await grants.moves_today([account.session_id, other.session_id]) == {account.session_id: 2}
    await pass_time(10_000)
    assert await grants.moves_today([account.session_id]) == {account.session_id: 1}


# --- races --------------------------------------------------------------------------------------------------------


class Gateway:
    """One of several on a database, with a connection of its own."""

    def __init__(self, url: str) -> None:
        self.database = open_database(url)
        self.notices = LocalNotices()
        self.grants = SqlGrants(self.database, self.notices)
        self.directory = SqlDirectory(self.database, self.notices, SteppedClock())
        self.leases = SqlLeases(self.database)


@pytest.fixture
async def gateways(store_url: str) -> AsyncIterator[list[Gateway]]:
    opened = [Gateway(store_url) for _ in range(3)]
    yield opened
    for gateway in opened:
        await gateway.database.close()


async def test_of_gateways_that_grant_the_same_sessions_one_wins_each(gateways: list[Gateway]) -> None:
    vault = await vault_of(gateways[0].database)
    accounts = [(await held_account(gateways[0].directory, vault, number))[0] for number in range(30)]
    targets = [ON_A, ON_B, ON_C]
    orders = [accounts, accounts[::-1], accounts[10:] + accounts[:10]]
    made = await asyncio.gather(
        *(
            granted(gateway.grants, *(to_b(account, to=target) for account in order))
            for gateway, target, order in zip(gateways, targets, orders, strict=True)
        )
    )
    winners = {each.granting.session_id: each for of_one in made for each in of_one}
    assert len(winners) == sum(map(len, made)) == 30
    for account in accounts:
        assert (await found(gateways[0].directory, account)).placement == winners[account.session_id].placement
        assert await vault.epoch(account.session_id) == 2
    await vault.close()


async def test_gateways_together_keep_to_the_logins_of_the_fleet(gateways: list[Gateway]) -> None:
    directory = gateways[0].directory
    accounts = [await placed_account(directory, number) for number in range(30)]
    made = await asyncio.gather(
        *(
            granted(gateway.grants, *(to_b(account) for account in accounts[number * 10 :][:10]), per_s=12)
            for number, gateway in enumerate(gateways)
        )
    )
    assert sum(map(len, made)) == 12


async def test_a_grant_and_a_renewal_that_meet_agree_on_who_came_first(gateways: list[Gateway]) -> None:
    vault = await vault_of(gateways[0].database)
    account, old = await held_account(gateways[0].directory, vault)
    for number in range(15):
        holder = Holder(A, f"boot-{number}")
        await gateways[0].leases.begin(holder, expiry_s=-1)
        old = await opened(vault, account.session_id, holder=holder)
        placement = Placement(account.session_id, A, Epoch(old.epoch))
        await _put(gateways[0], placement)
        wanted = to_b(account, Fence.LAPSED, expected=placement)
        made, renewed = await asyncio.gather(
            granted(gateways[1].grants, wanted), gateways[2].leases.renew(holder, expiry_s=60)
        )
        assert renewed is not None
        assert renewed.was_lapsed
        again = await gateways[2].leases.renew(holder, expiry_s=60)
        assert again is not None
        assert again.revoked == len(made)
        answer = await vault.reserve(old, unsent(f"m{number}"))
        assert isinstance(answer, StaleEpoch) == bool(made)
    await vault.close()


async def _put(gateway: Gateway, placement: Placement) -> None:
    """Let this be the record, as after a rediscovery."""
    route = await gateway.directory.route_of_session(placement.session_id)
    assert route is not None
    assert placement.instance_url is not None
    await gateway.directory.rebind([change(route.placement, placement.instance_url, placement.epoch)])


async def test_reservations_and_a_grant_that_meet_lose_nothing(gateways: list[Gateway]) -> None:
    """Each message is either refused to the old holder, or comes to the new one."""
    old_vault, new_vault = [await vault_of(gateway.database) for gateway in gateways[:2]]
    account, old = await held_account(gateways[0].directory, old_vault)

    async def send(number: int) -> bool:
        await asyncio.sleep(0.0005 * number)
        return not isinstance(await old_vault.reserve(old, unsent(f"m{number}")), StaleEpoch)

    async def take() -> Grant:
        await asyncio.sleep(0.01)
        await granted(gateways[2].grants, to_b(account))
        return await opened(new_vault, account.session_id, epoch=2, holder=ON_B)

    grant, *sent = await asyncio.gather(take(), *(send(number) for number in range(60)))
    assert {each.message_id for each in grant.unfinished} == {f"m{n}" for n, was in enumerate(sent) if was}
    assert grant.next_counter == sum(sent) + 1
    for vault in (old_vault, new_vault):
        await vault.close()


# --- how many are started within a minute -------------------------------------------------------------------------


async def test_no_more_are_granted_than_may_be_started_there_within_a_minute(
    directory: SqlDirectory, vault: SqlVault, leases: SqlLeases, grants: SqlGrants, pass_time: PassTime
) -> None:
    await leases.begin(ON_A, expiry_s=6)
    held = [(await held_account(directory, vault, number))[0] for number in range(1, 6)]

    async def given(*accounts: Account) -> list[SessionId]:
        made = await grants.grant(
            [to_b(each) for each in accounts],
            fleet_logins_per_s=1_000,
            instance_logins_per_s=1_000,
            run_id="run",
            starts_per_min={B: 2, C: 1},
        )
        return [each.granting.session_id for each in made]

    assert await given(*held) == [each.session_id for each in held[:2]]
    await pass_time(30)
    assert await given(*held[2:]) == [], "over all gateways, not in one second alone"
    assert await grants.started_lately([B, C]) == {B: 2, C: 0}
    await pass_time(31)
    assert await given(*held[2:]) == [each.session_id for each in held[2:4]]
    assert [each.granting.session_id for each in await granted(grants, to_b(held[4]))] == [held[4].session_id]


async def test_what_is_started_by_request_takes_turns_with_what_is_granted(
    directory: SqlDirectory, vault: SqlVault, leases: SqlLeases, grants: SqlGrants, pass_time: PassTime
) -> None:
    await leases.begin(ON_A, expiry_s=6)
    one, two, three = [(await held_account(directory, vault, number))[0] for number in range(1, 4)]
    rated = {"fleet_logins_per_s": 1_000, "instance_logins_per_s": 1_000, "run_id": "run", "starts_per_min": {B: 2}}
    assert await directory.claim_start(one.session_id, B, per_min=2) == 0.0
    assert len(await grants.grant([to_b(two), to_b(three)], **rated)) == 1
    wait_s = await directory.claim_start(three.session_id, B, per_min=2)
    assert 55 < wait_s <= 60
    assert await directory.claim_start(three.session_id, C, per_min=1) == 0.0, "elsewhere it is another's turn"
    await pass_time(wait_s + 0.1)
    assert await directory.claim_start(three.session_id, B, per_min=2) == 0.0


async def test_of_two_gateways_that_ask_for_the_last_turn_one_has_it(
    directory: SqlDirectory, vault: SqlVault, leases: SqlLeases
) -> None:
    await leases.begin(ON_A, expiry_s=6)
    held = [(await held_account(directory, vault, number))[0] for number in range(1, 5)]
    waits = await asyncio.gather(*(directory.claim_start(each.session_id, B, per_min=2) for each in held))
    assert sorted(wait_s > 0 for wait_s in waits) == [False, False, True, True]
