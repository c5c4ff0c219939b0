"""The directory's accounts, contacts, instances and keys, on every store."""

from dataclasses import replace

import pytest
from fleets import ONE, TWO, A, B, change, contact, new_account, placed_account
from sqlalchemy import text

from clocks import SteppedClock
from homing.decide.knowledge.presence import KNOWN_FOR, status_now
from homing.model.directory.access import Key, Scope
from homing.model.fleet import (
    Account,
    ContactUuid,
    Instance,
    InstanceState,
    InstanceUrl,
    SessionStatus,
    Takeover,
)
from homing.ports import (
    AccountChanged,
    InstanceChanges,
    InstanceLoad,
    KeysChanged,
    NameTaken,
    Notice,
    Page,
    RosterChanged,
)
from homing.store.db.database import Database
from homing.store.directory.directory import SqlDirectory

ODD_NAMES = ["", "O'Brien; DROP TABLE accounts", 'говорит "да"', "😀 ‮RTL", "a\tb\nc", "%_\\", "x" * 10_000]


async def test_a_created_account_reads_back_as_it_was_returned(directory: SqlDirectory, clock: SteppedClock) -> None:
    created = await directory.create_account(new_account(7, id=142))
    assert created.id == 142
    assert created.created_at == clock.now()
    assert (created.status, created.placement.instance_url, created.placement.epoch) == (SessionStatus.UNKNOWN, None, 0)
    assert await directory.account(ONE, id=142) == created == await directory.account(None, uuid="account-7")


async def test_ids_given_out_later_do_not_meet_a_chosen_one(directory: SqlDirectory) -> None:
    await directory.create_account(new_account(1, id=2))
    later = [(await directory.create_account(new_account(number))).id for number in range(2, 6)]
    assert sorted(later) == later
    assert min(later) > 2
    await directory.create_account(new_account(6, id=1))
    assert (await directory.create_account(new_account(7))).id > max(later)


@pytest.mark.parametrize("name", ODD_NAMES)
async def test_odd_names_come_back_unchanged(directory: SqlDirectory, name: str) -> None:
    created = await directory.create_account(replace(new_account(1), name=name))
    person = await directory.create_contact(ContactUuid("c"), ONE, "628", name)
    assert created.name == person.name == name
    assert await directory.contact(ONE, "c") == person


@pytest.mark.parametrize("name", ["a\0b", "a\ud800b"])
async def test_what_no_database_can_hold_is_replaced_and_not_refused(directory: SqlDirectory, name: str) -> None:
    created = await directory.create_account(replace(new_account(1), name=name))
    assert created.name[0] + created.name[-1] == "ab"
    assert await directory.account(ONE, uuid=name) is None
    assert (await directory.lookup([name], [name])).routes == {}  # type: ignore[list-item]


async def test_a_phone_is_taken_within_its_workspace_alone(directory: SqlDirectory) -> None:
    first = new_account(1)
    await directory.create_account(first)
    with pytest.raises(NameTaken, match="workspace 1 has the phone"):
        await directory.create_account(replace(new_account(2), phone=first.phone))
    await directory.create_account(replace(new_account(3, workspace=TWO), phone=first.phone))
    assert await directory.account(None, uuid="account-2") is None


@pytest.mark.parametrize("field", ["uuid", "session_id", "id"])
async def test_what_names_an_account_names_one(directory: SqlDirectory, field: str) -> None:
    first = new_account(1, id=9)
    await directory.create_account(first)
    with pytest.raises(NameTaken):
        await directory.create_account(replace(new_account(2), **{field: getattr(first, field)}))
    assert [account.id for account in await directory.accounts(None, Page())] == [9]


async def test_a_contacts_phone_is_taken_within_its_workspace_alone(directory: SqlDirectory) -> None:
    person = await contact(directory, 1)
    with pytest.raises(NameTaken, match="another contact"):
        await directory.create_contact(ContactUuid("other"), ONE, person.phone, "Twin")
    assert await directory.create_contact(ContactUuid("other"), TWO, person.phone, "Twin")


async def test_another_workspaces_things_look_like_nothing(directory: SqlDirectory) -> None:
    account = await directory.create_account(new_account(1))
    person = await contact(directory, 1)
    assert await directory.account(TWO, id=account.id) is None
    assert await directory.account(TWO, uuid=account.uuid) is None
    assert await directory.accounts(TWO, Page()) == []
    assert await directory.contact(TWO, person.uuid) is None
    assert await directory.contacts(TWO, Page()) == []


async def test_absurd_numbers_find_nothing(directory: SqlDirectory) -> None:
    await directory.create_account(new_account(1))
    assert await directory.account(None, id=10**30) is None
    assert await directory.account(10**30, id=1) is None  # type: ignore[arg-type]
    assert await directory.accounts(None, Page(after=10**30)) == []


async def test_pages_follow_each_other_without_gap_or_repeat(directory: SqlDirectory) -> None:
    created = [await directory.create_account(new_account(number)) for number in range(7)]
    seen: list[Account] = []
    while page := await directory.accounts(ONE, Page(after=seen[-1].id if seen else 0, limit=3)):
        assert len(page) <= 3
        seen += page
    assert seen == created


async def test_accounts_are_listed_by_instance_and_status(directory: SqlDirectory) -> None:
    on_a, on_b = await placed_account(directory, 1, A), await placed_account(directory, 2, B)
    unplaced = await directory.create_account(new_account(3))
    assert await directory.accounts(ONE, Page(), instance_url=A) == [on_a]
    assert await directory.accounts(ONE, Page(), status=SessionStatus.CONNECTED) == [on_a, on_b]
    assert await directory.accounts(ONE, Page(), status=SessionStatus.UNKNOWN) == [unplaced]
    assert await directory.accounts(ONE, Page(), instance_url=B, status=SessionStatus.UNKNOWN) == []


async def test_a_deleted_account_is_gone_and_its_epoch_is_not(directory: SqlDirectory, heard: list[Notice]) -> None:
    account = await placed_account(directory, 1, epoch=41)
    await directory.create_instance(A)
    await directory.delete_account(account)
    assert heard[-1] == AccountChanged(account_uuid=account.uuid)
    assert await directory.account(None, id=account.id) is None
    assert await directory.route_of_session(account.session_id) is None
    left_behind = replace(account.placement, instance_url=None)
    assert await directory.rebind([change(account.placement, B, 42), change(left_behind, B, 42)]) == []
    assert await directory.delete_instance(A)
    again = await directory.create_account(replace(new_account(1), id=None))
    assert again.id > account.id
    assert (again.placement.epoch, again.placement.instance_url) == (41, None)


async def test_takeover_is_as_set(directory: SqlDirectory, heard: list[Notice]) -> None:
    account = await directory.create_account(new_account(1))
    await directory.change_account(account, {"takeover": Takeover.NEVER})
    found = await directory.account(ONE, id=account.id)
    assert found is not None
    assert found.takeover is Takeover.NEVER
    assert heard[-1] == AccountChanged(account_uuid=account.uuid)


async def test_a_deleted_contact_is_gone_and_told_of(directory: SqlDirectory, heard: list[Notice]) -> None:
    person = await contact(directory, 1)
    await directory.delete_contact(person)
    assert await directory.contact(ONE, person.uuid) is None
    assert heard[-1] == AccountChanged(contact_uuid=person.uuid)


# --- instances ---


async def test_an_instance_is_kept_as_declared(directory: SqlDirectory, heard: list[Notice]) -> None:
    labels = {"zone": "a", "naïve ☃": 'quo"te'}
    created = await directory.create_instance(A, driver="waha", name="first", capacity=50, labels=labels)
    assert created == Instance(created.id, A, "waha", "first", InstanceState.ACTIVE, 50, labels)
    assert await directory.instances() == [created]
    assert heard == [RosterChanged()]
    with pytest.raises(NameTaken, match=A):
        await directory.create_instance(A)


async def test_an_instance_drains_when_told(directory: SqlDirectory) -> None:
    await directory.create_instance(A)
    drained = await directory.set_instance_state(A, InstanceState.DRAINING)
    assert drained is not None
    assert drained.state is InstanceState.DRAINING
    assert await directory.instances() == [drained]
    assert await directory.set_instance_state(B, InstanceState.DRAINING) is None


async def test_an_instance_with_sessions_on_it_stays(directory: SqlDirectory) -> None:
    await directory.create_instance(A)
    account = await placed_account(directory, 1, A)
    assert not await directory.delete_instance(A)
    assert len(await directory.instances()) == 1
    await directory.rebind([change(account.placement, B, 2)])
    assert await directory.delete_instance(A)
    assert await directory.instances() == []


async def test_loads_count_what_is_placed_and_name_who_is_connected(
    directory: SqlDirectory, clock: SteppedClock
) -> None:
    first, second = await directory.create_instance(B), await directory.create_instance(A)
    accounts = [await placed_account(directory, number, A) for number in range(3)]
    await directory.set_status(accounts[2].session_id, SessionStatus.DISCONNECTED)
    phones = tuple(account.phone for account in accounts[:2])
    assert await directory.loads() == [InstanceLoad(first, 0, 0), InstanceLoad(second, 3, 2, phones, clock.now())]


async def test_an_operator_can_ask_for_the_distribution_by_hand(directory: SqlDirectory, database: Database) -> None:
    for number in range(3):
        await placed_account(directory, number, A if number else B)
    joined = "string_agg" if database.dialect == "postgresql" else "group_concat"
    by_hand = f"""
        SELECT sessions.instance_url, count(*) AS session_count, {joined}(accounts.phone, ',') AS phones
        FROM sessions JOIN accounts ON accounts.id = sessions.account_id
        WHERE sessions.status = 'connected' GROUP BY sessions.instance_url ORDER BY 1"""
    rows = await database.read(lambda c: c.execute(text(by_hand)).all())
    assert [(row[0], row[1]) for row in rows] == [(A, 2), (B, 1)]


# --- keys ---


async def test_keys_last_until_they_are_revoked(
    directory: SqlDirectory, clock: SteppedClock, heard: list[Notice]
) -> None:
    admin = Key("k1", None, Scope.ADMIN, "admin", "hash-1", clock.now())
    tenant = Key("k2", TWO, Scope.SEND, "shop", "hash-2", clock.now())
    await directory.add_key(admin)
    await directory.add_key(tenant)
    assert await directory.keys() == [admin, tenant]
    clock.advance(5)
    revoked = await directory.revoke_key("k2", clock.now())
    assert revoked == replace(tenant, revoked_at=clock.now())
    assert await directory.keys() == [admin]
    assert heard == [KeysChanged()] * 3


async def test_a_second_revocation_keeps_the_time_of_the_first(directory: SqlDirectory, clock: SteppedClock) -> None:
    await directory.add_key(Key("k1", None, Scope.READ, "", "hash", clock.now()))
    first = await directory.revoke_key("k1", clock.now())
    clock.advance(60)
    assert await directory.revoke_key("k1", clock.now()) == first
    assert await directory.revoke_key("none", clock.now()) is None


async def test_a_key_id_is_given_once(directory: SqlDirectory, clock: SteppedClock) -> None:
    key = Key("k1", None, Scope.READ, "", "hash", clock.now())
    await directory.add_key(key)
    with pytest.raises(NameTaken, match="k1"):
        await directory.add_key(replace(key, secret_hash="other"))


async def test_what_an_account_requires_is_kept_and_replaced_as_a_whole(directory: SqlDirectory, heard: list[Notice]):
    account = await placed_account(directory, 1)
    assert account.requires == {}
    await directory.change_account(account, {"requires": {"region": "sg", "proxy": "p1"}})
    await directory.change_account(account, {"requires": {"region": "us"}})
    found = await directory.account(None, id=account.id)
    assert found is not None
    assert found.requires == {"region": "us"}
    assert heard[-1] == AccountChanged(account.uuid)


async def test_an_instance_is_changed_in_what_is_given_and_in_nothing_else(
    directory: SqlDirectory, heard: list[Notice]
):
    await directory.create_instance(A, name="a", capacity=10, labels={"region": "sg"})
    await directory.create_instance(B)
    limits = InstanceChanges(memory_limit_mb=1024.5, sends_limit_per_s=20.0)
    changed = await directory.change_instance(A, limits)
    assert changed is not None
    assert (changed.name, changed.capacity, changed.labels) == ("a", 10, {"region": "sg"})
    assert (changed.memory_limit_mb, changed.sends_limit_per_s) == (1024.5, 20.0)
    assert heard[-1] == RosterChanged()
    changed = await directory.change_instance(A, {"capacity": None, "memory_limit_mb": None, "labels": {}})
    assert changed == (await directory.instances())[0]
    assert (changed.capacity, changed.memory_limit_mb, changed.sends_limit_per_s) == (None, None, 20.0)
    assert await directory.change_instance(A, {}) == changed
    assert (await directory.instances())[1].capacity is None
    assert await directory.change_instance(InstanceUrl("http://nowhere:1"), {"capacity": 1}) is None


async def test_connected_is_what_was_seen_so_lately(directory: SqlDirectory, clock: SteppedClock) -> None:
    await directory.create_instance(A)
    old, new = await placed_account(directory, 1), await placed_account(directory, 2)
    clock.advance(KNOWN_FOR.total_seconds() + 1)
    await directory.mark_verified([new.session_id], clock.now())

    async def found(status: SessionStatus, *away: InstanceUrl) -> list[int]:
        return [each.id for each in await directory.accounts(None, Page(), status=status, away=away)]

    assert (await found(SessionStatus.CONNECTED), await found(SessionStatus.UNKNOWN)) == ([new.id], [old.id])
    assert (await found(SessionStatus.CONNECTED, A), len(await found(SessionStatus.UNKNOWN, A))) == ([], 2)
    assert [(load.sessions, load.connected, load.phones, load.seen_at) for load in await directory.loads()] == [
        (2, 1, (new.phone,), clock.now())
    ]
    shown = await directory.account(None, id=old.id)
    assert shown is not None
    assert status_now(shown, clock.now(), ())[0] is SessionStatus.UNKNOWN
