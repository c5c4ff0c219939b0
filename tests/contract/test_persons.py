"""One person is one account and one contact of a workspace, however their number is written, on every store."""

from dataclasses import replace

import pytest
from alembic import command
from fleets import ONE, TWO, new_account
from sqlalchemy import text

from clocks import SteppedClock
from homing.decide.phones.aliases import person
from homing.model.directory.phones import Bare
from homing.model.fleet import Account, ContactUuid, WorkspaceId
from homing.ports import NameTaken, Notice, Page, WorkspacesChanged
from homing.store.db.database import Database
from homing.store.db.migrating import migrate
from homing.store.db.opening import open_database
from homing.store.directory.directory import SqlDirectory
from homing.store.notices.notices import LocalNotices

OLD, NEW = "5215512345678", "525512345678"


async def account(directory: SqlDirectory, number: int, phone: str, workspace: WorkspaceId = ONE) -> Account:
    """An account that was created before it was noted whose its phone is."""
    return await directory.create_account(replace(new_account(number, workspace=workspace), phone=phone))


async def test_an_account_in_another_spelling_is_the_same_and_is_named(directory: SqlDirectory) -> None:
    first = replace(new_account(1, id=142), phone="0816108641", person="62816108641")
    await directory.create_account(first)
    twin = replace(new_account(2), phone="+62 816 108 641", person="62816108641")
    with pytest.raises(NameTaken, match=r"as another account already: 142 \(account-1\), written 0816108641$"):
        await directory.create_account(twin)
    assert await directory.create_account(replace(twin, workspace_id=TWO))


async def test_a_contact_under_an_old_form_is_the_same_person(directory: SqlDirectory) -> None:
    await directory.create_contact(ContactUuid("a"), ONE, OLD, "Ana", as_written="+52 1 55 1234 5678")
    with pytest.raises(NameTaken, match=f"written {OLD}"):
        await directory.create_contact(ContactUuid("b"), ONE, NEW, "Ana again")
    found = await directory.contact(ONE, "a")
    assert found is not None
    assert (found.phone, found.phone_as_written) == (OLD, "+52 1 55 1234 5678")
    looked_up = (await directory.lookup([], [ContactUuid("a")])).contacts[ContactUuid("a")]
    assert looked_up == found, "a send sees what the book has"


async def test_phones_of_earlier_accounts_are_recognised_where_they_can_be_read(directory: SqlDirectory) -> None:
    national = await account(directory, 1, "0816108641")
    unreadable = await account(directory, 2, "reception")
    same = await account(directory, 3, "62816108641")
    foreign = await account(directory, 4, "11 98765-4321", workspace=TWO)
    await directory.change_workspace(TWO, {"region": "BR"})
    assert await directory.recognise_accounts("ID") == 2
    known = {each.id: each.person for each in await directory.accounts(None, Page())}
    assert known == {national.id: "62816108641", unreadable.id: None, same.id: None, foreign.id: "5511987654321"}
    assert await directory.recognise_accounts("ID") == 0
    with pytest.raises(NameTaken, match="written 0816108641"):
        await directory.create_account(replace(new_account(5), phone="+62816108641", person="62816108641"))


async def test_a_workspace_is_set_in_what_is_given_and_in_nothing_else(
    directory: SqlDirectory, clock: SteppedClock
) -> None:
    heard: list[Notice] = []
    await account(directory, 1, "0816108641")
    [plain] = await directory.workspaces()
    assert (plain.id, plain.region, plain.bare_digits, plain.created_at) == (ONE, None, Bare.STRICT, clock.now())
    changed = await directory.change_workspace(ONE, {"region": "BR", "bare_digits": Bare.NATIONAL})
    assert changed == replace(plain, region="BR", bare_digits=Bare.NATIONAL)
    renamed = await directory.change_workspace(ONE, {"name": "Shop"})
    assert renamed == replace(changed, name="Shop")
    assert await directory.workspaces() == [renamed]
    assert await directory.change_workspace(TWO, {"name": "nobody"}) is None
    assert heard == []


async def test_other_gateways_hear_that_a_workspace_was_set(
    directory: SqlDirectory, local_notices: LocalNotices
) -> None:
    await account(directory, 1, "0816108641")
    heard: list[Notice] = []
    local_notices.subscribe(heard.append)
    await directory.change_workspace(ONE, {"region": "BR"})
    assert heard == [WorkspacesChanged()]


@pytest.mark.parametrize("kind", ["sqlite", "postgres"])
async def test_contacts_from_before_are_known_by_their_person_after_the_migration(
    kind: str, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = (
        f"sqlite:///{request.getfixturevalue('tmp_path') / 'earlier.db'}"
        if kind == "sqlite"
        else request.getfixturevalue("empty_postgres_url")
    )
    upgrade = command.upgrade
    with monkeypatch.context() as earlier:
        earlier.setattr(command, "upgrade", lambda config, _: upgrade(config, "0004"))
        await migrate(url)
    database = open_database(url, now=SteppedClock().now)
    await database.write(lambda c: [c.execute(text(statement)) for statement in EARLIER])
    await migrate(url)
    found = await _persons(database)
    assert found == {1: "62811801641", 2: NEW, 3: None, 4: NEW, 5: "5511987654321"}
    assert {whose for whose in found.values() if whose} == {person(whose) for whose in found.values() if whose}
    await database.close()


async def _persons(database: Database) -> dict[int, str | None]:
    rows = await database.read(lambda c: c.execute(text("SELECT id, person FROM contacts ORDER BY id")).all())
    return {row.id: row.person for row in rows}


NOW = "'2026-01-01T00:00:00.000000Z'"
EARLIER = [
    f"INSERT INTO workspaces (id, name, created_at) VALUES (1, 'w', {NOW}), (2, 'v', {NOW})",
    *(
        f"INSERT INTO contacts (id, uuid, workspace_id, phone, name, created_at)"
        f" VALUES ({number}, 'c{number}', {workspace}, '{phone}', '', {NOW})"
        for number, workspace, phone in [
            (1, 1, "62811801641"),
            (2, 1, OLD),
            (3, 1, NEW),
            (4, 2, OLD),
            (5, 1, "551187654321"),
        ]
    ),
]
