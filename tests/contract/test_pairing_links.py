"""Links by which a phone's owner pairs it, on every store."""

import pytest
from fleets import placed_account

from clocks import PassTime
from homing.store.db.database import Database
from homing.store.directory.directory import SqlDirectory
from homing.store.records.pairing_links import SqlPairingLinks


@pytest.fixture
def links(database: Database) -> SqlPairingLinks:
    return SqlPairingLinks(database)


async def test_a_link_is_opened_by_one_and_ends(links: SqlPairingLinks, directory: SqlDirectory) -> None:
    account = await placed_account(directory, 1)
    await links.add("secret", account.id, for_s=900)
    known = await links.find("secret")
    assert known is not None
    assert (known.account_id, known.opened) == (account.id, False)
    assert 890 < known.left_s <= 900
    assert [await links.open("secret"), await links.open("secret")] == [True, False]
    known = await links.find("secret")
    assert known is not None
    assert known.opened
    await links.end("secret")
    assert await links.find("secret") is None
    assert not await links.open("guessed")


async def test_a_link_whose_time_is_over_is_as_one_that_never_was(
    links: SqlPairingLinks, directory: SqlDirectory, pass_time: PassTime
) -> None:
    account = await placed_account(directory, 1)
    await links.add("secret", account.id, for_s=60)
    await pass_time(61)
    assert await links.find("secret") is None
    assert not await links.open("secret")


async def test_another_link_of_the_account_ends_the_first(links: SqlPairingLinks, directory: SqlDirectory) -> None:
    account, other = await placed_account(directory, 1), await placed_account(directory, 2)
    await links.add("first", account.id, for_s=900)
    await links.add("others", other.id, for_s=900)
    await links.add("second", account.id, for_s=900)
    assert await links.find("first") is None
    assert await links.find("second") is not None
    assert await links.find("others") is not None


async def test_a_deleted_account_takes_its_links_along(links: SqlPairingLinks, directory: SqlDirectory) -> None:
    account = await placed_account(directory, 1)
    await links.add("secret", account.id, for_s=900)
    await directory.delete_account(account)
    assert await links.find("secret") is None
