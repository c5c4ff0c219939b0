"""Which session, uuid and id name which account, on every store, whoever asks at the same time."""

import asyncio
from dataclasses import replace

import pytest
from fleets import ONE, TWO, A, change, new_account, placed_account
from sqlalchemy import text

from homing.model.fleet import AccountUuid, SessionId
from homing.ports import AccountChanged, AccountPlaced, NameTaken, NewNames, Notice
from homing.store.db.database import Database
from homing.store.directory.directory import SqlDirectory

S = SessionId("webjs_1_1699999999")


async def test_of_many_accounts_created_at_once_for_one_session_one_comes_to_be(directory: SqlDirectory) -> None:
    made = await asyncio.gather(
        *(directory.create_account(replace(new_account(number), session_id=S)) for number in range(10)),
        return_exceptions=True,
    )
    refused = [each for each in made if isinstance(each, BaseException)]
    assert [type(each) for each in refused] == [NameTaken] * 9
    assert {str(each) for each in refused} == {f"the session {S} belongs to another account already"}
    assert len(await directory.routes(sessions=[S])) == 1


async def test_the_session_of_a_deleted_account_stays_its_workspaces(directory: SqlDirectory) -> None:
    account = await placed_account(directory, 1, epoch=7)
    await directory.delete_account(account)
    for_another = replace(new_account(2, workspace=TWO), session_id=account.session_id)
    with pytest.raises(NameTaken, match="belongs to another account already"):
        await directory.create_account(for_another)
    again = await directory.create_account(replace(new_account(3), session_id=account.session_id))
    assert again.placement.epoch == 7
    await directory.delete_account(again)
    by_an_operator = await directory.create_account(replace(for_another, any_owner=True))
    assert (by_an_operator.workspace_id, by_an_operator.placement.epoch) == (TWO, 7)


async def test_an_account_that_is_nowhere_takes_other_names(
    directory: SqlDirectory, database: Database, heard: list[Notice]
) -> None:
    account = await directory.create_account(new_account(1))
    heard.clear()
    named = await directory.rename_account(account, NewNames(S, AccountUuid("new"), 707))
    assert (named.id, named.uuid, named.session_id, named.phone) == (707, "new", S, account.phone)
    assert heard == [AccountChanged(account_uuid=account.uuid), AccountChanged(account_uuid=AccountUuid("new"))]
    assert await directory.account(ONE, uuid="account-1") is None
    assert await directory.rebind([change(named.placement, A, 1)])
    assert (await directory.create_account(new_account(2))).id > 707
    rows = await database.read(lambda c: c.execute(text("SELECT session_id FROM sessions ORDER BY 1")).scalars().all())
    assert list(rows) == ["session-2", S]


async def test_one_that_is_placed_keeps_its_names(directory: SqlDirectory) -> None:
    account = await placed_account(directory, 1)
    with pytest.raises(AccountPlaced, match=A):
        await directory.rename_account(account, NewNames(uuid=AccountUuid("new")))
    assert await directory.account(ONE, uuid="account-1") == account


@pytest.mark.parametrize(
    "names", [NewNames(SessionId("session-1")), NewNames(uuid=AccountUuid("account-1")), NewNames(id=9)]
)
async def test_names_that_somebody_has_are_refused_and_nothing_changes(
    directory: SqlDirectory, names: NewNames
) -> None:
    await directory.create_account(new_account(1, id=9))
    account = await directory.create_account(new_account(2))
    with pytest.raises(NameTaken):
        await directory.rename_account(account, names)
    assert await directory.account(ONE, id=account.id) == account


async def test_a_strangers_phone_travels_with_the_route_and_ends_with_its_acceptance(
    directory: SqlDirectory, heard: list[Notice]
) -> None:
    account = await placed_account(directory, 1)
    heard.clear()
    await directory.set_mismatch(account, "4915112345678")
    assert heard == [AccountChanged(account_uuid=account.uuid)]
    found = await directory.lookup([account.uuid], [])
    assert found.routes[account.uuid].mismatched_phone == "4915112345678"
    assert await directory.mismatched(limit=10) == [account.session_id]
    assert not await directory.accept_phone(account, "49")
    assert await directory.accept_phone(account, "4915112345678")
    now = await directory.account(ONE, id=account.id)
    assert now is not None
    assert (now.phone, now.mismatched_phone) == ("4915112345678", None)
    assert await directory.mismatched(limit=10) == []


async def test_a_phone_that_another_account_has_is_not_accepted(directory: SqlDirectory) -> None:
    other = await placed_account(directory, 1)
    account = await placed_account(directory, 2)
    await directory.set_mismatch(account, other.phone)
    with pytest.raises(NameTaken):
        await directory.accept_phone(account, other.phone)
    now = await directory.account(ONE, id=account.id)
    assert now is not None
    assert (now.phone, now.mismatched_phone) == (account.phone, other.phone)
