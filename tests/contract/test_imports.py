"""Accounts and contacts by the batch, on both databases."""

import pytest

from clocks import SteppedClock
from homing.decide.phones.aliases import person
from homing.model.directory.importing import (
    AsItIs,
    ImportedAccount,
    ImportedContact,
    RefusedRow,
    RowOrigin,
    ToChange,
    ToCreate,
)
from homing.model.directory.phones import PhoneNumber
from homing.model.fleet import (
    AccountUuid,
    ContactUuid,
    Epoch,
    InstanceUrl,
    MoveKind,
    SessionId,
    SessionStatus,
    Takeover,
    WorkspaceId,
)
from homing.model.sends.addresses import Address, AddressKind, Recipient
from homing.ports import AccountChanged, NewAccount, Notice, Page, PlacementChanged
from homing.store.db.database import Database
from homing.store.directory.directory import SqlDirectory
from homing.store.directory.importing import SqlImports
from homing.store.notices.notices import LocalNotices

ONE, TWO = WorkspaceId(1), WorkspaceId(2)
HERE = InstanceUrl("http://localhost:3001")


@pytest.fixture
def imports(database: Database, local_notices: LocalNotices, clock: SteppedClock) -> SqlImports:
    return SqlImports(database, local_notices, clock)


def account(number: int, **more: object) -> ImportedAccount:
    digits = f"62811000{number:04}"
    base = {
        "named": True,
        "workspace_id": ONE,
        "session_id": SessionId(f"webjs_1_{number}"),
        "number": PhoneNumber(f"+{digits}", digits),
        "person": person(digits),
        "id": number,
        "instance_url": HERE,
        "status": SessionStatus.CONNECTED,
    }
    return ImportedAccount(RowOrigin("whatsapp_accounts", str(number)), f"a-{number}", **base | more)  # type: ignore[arg-type]


def contact(number: int, phone: str | None = None, **more: object) -> ImportedContact:
    digits = phone or f"62812000{number:04}"
    recipient = Recipient(f"+{digits}", Address(AddressKind.PHONE, digits))
    base = {"named": True, "workspace_id": ONE, "recipient": recipient, "person": person(digits)}
    return ImportedContact(RowOrigin("contacts", str(number)), f"c-{number}", **base | more)  # type: ignore[arg-type]


async def test_accounts_come_with_their_names_and_places(
    imports: SqlImports, directory: SqlDirectory, heard: list[Notice]
) -> None:
    merged = await imports.put_accounts([account(n) for n in (142, 144, 145)], dry_run=False)
    assert [type(each) for each in merged] == [ToCreate] * 3
    made = await directory.account(ONE, uuid="a-144")
    assert made is not None
    assert (made.id, made.session_id, made.phone) == (144, "webjs_1_144", "+628110000144")
    assert (made.placement.instance_url, made.placement.epoch) == (HERE, Epoch(1))
    assert (made.status, made.takeover, made.last_verified_at) == (SessionStatus.CONNECTED, Takeover.MANUAL, None)
    [move, *_] = await directory.moves(ONE, Page(0, 10), session_id=made.session_id)
    assert (move.kind, move.reason) == (
        MoveKind.PLACEMENT,
        "imported: whatsapp_accounts 144 says that it is there",
    )
    assert {each.session_id for each in heard if isinstance(each, PlacementChanged)} >= {made.session_id}


async def test_a_second_import_changes_nothing_and_tells_nobody(
    imports: SqlImports, directory: SqlDirectory, heard: list[Notice]
) -> None:
    accounts, contacts = [account(n) for n in range(1, 4)], [contact(n) for n in range(1, 4)]
    await imports.put_accounts(accounts, dry_run=False)
    await imports.put_contacts(contacts, dry_run=False)
    before = await directory.accounts(None, Page(0, 10)), await directory.contacts(None, Page(0, 10))
    heard.clear()
    assert {type(each) for each in await imports.put_accounts(accounts, dry_run=False)} == {AsItIs}
    assert {type(each) for each in await imports.put_contacts(contacts, dry_run=False)} == {AsItIs}
    assert (await directory.accounts(None, Page(0, 10)), await directory.contacts(None, Page(0, 10))) == before
    assert heard == []


async def test_a_changed_contact_is_told_to_every_gateway(
    imports: SqlImports, directory: SqlDirectory, heard: list[Notice]
) -> None:
    await imports.put_contacts([contact(1, name="Siti")], dry_run=False)
    heard.clear()
    [changed] = await imports.put_contacts([contact(1, "628199990001")], dry_run=False)
    assert isinstance(changed, ToChange)
    now = await directory.contact(ONE, "c-1")
    assert now is not None
    assert (now.phone, now.phone_as_written, now.name) == ("628199990001", "+628199990001", "Siti")
    assert heard == [AccountChanged(contact_uuid=ContactUuid("c-1"))]


async def test_a_dry_run_writes_nothing(imports: SqlImports, directory: SqlDirectory) -> None:
    assert [type(each) for each in await imports.put_accounts([account(1)], dry_run=True)] == [ToCreate]
    assert [type(each) for each in await imports.put_contacts([contact(1)], dry_run=True)] == [ToCreate]
    assert await directory.accounts(None, Page(0, 10)) == []
    assert await directory.contacts(None, Page(0, 10)) == []


async def test_numbers_that_are_taken_are_given_anew_and_never_twice(
    imports: SqlImports, directory: SqlDirectory
) -> None:
    await imports.put_contacts([contact(1, id=5), contact(2)], dry_run=False)
    await imports.put_contacts([contact(3, id=5), contact(4, id=9), contact(5)], dry_run=False)
    ids = [each.id for each in await directory.contacts(None, Page(0, 10))]
    assert {5, 9} <= set(ids)
    assert len(ids) == len(set(ids)) == 5


async def test_numbers_that_were_chosen_are_not_given_out_again(imports: SqlImports, directory: SqlDirectory) -> None:
    await imports.put_contacts([contact(n, id=n) for n in (1, 2, 3)], dry_run=False)
    await imports.put_accounts([account(n) for n in (1, 2, 3)], dry_run=False)
    later = await directory.create_contact(ContactUuid("later"), ONE, "628129999999", "")
    assert later.id == 4
    new = NewAccount(AccountUuid("later"), ONE, SessionId("later"), "+628129999999", "", Takeover.AUTO)
    assert (await directory.create_account(new)).id == 4


async def test_what_a_workspace_has_by_its_phone_is_refused_whatever_its_spelling(
    imports: SqlImports, directory: SqlDirectory
) -> None:
    await directory.create_contact(ContactUuid("own"), ONE, "5511987654321", "")
    [refused, elsewhere] = await imports.put_contacts(
        [contact(1, "551187654321"), contact(2, "5511987654321", workspace_id=TWO)], dry_run=False
    )
    assert isinstance(refused, RefusedRow)
    assert "own" in refused.reason
    assert isinstance(elsewhere, ToCreate)


async def test_a_session_of_a_deleted_account_goes_on_behind_its_epoch(
    imports: SqlImports, directory: SqlDirectory
) -> None:
    await imports.put_accounts([account(1)], dry_run=False)
    gone = await directory.account(ONE, uuid="a-1")
    assert gone is not None
    await directory.delete_account(gone)
    again = account(1, workspace_id=TWO)
    await imports.put_accounts([again], dry_run=False)
    now = await directory.account(TWO, uuid="a-1")
    assert now is not None
    assert (now.placement.epoch, now.placement.instance_url) == (Epoch(2), HERE)


async def test_one_that_was_placed_by_homing_stays_where_it_is(imports: SqlImports, directory: SqlDirectory) -> None:
    await imports.put_accounts([account(1)], dry_run=False)
    moved = account(1, instance_url=InstanceUrl("http://localhost:3002"), status=SessionStatus.FAILED)
    assert [type(each) for each in await imports.put_accounts([moved], dry_run=False)] == [AsItIs]
    now = await directory.account(ONE, uuid="a-1")
    assert now is not None
    assert (now.placement.instance_url, now.status) == (HERE, SessionStatus.CONNECTED)


async def test_one_that_was_nowhere_is_placed_by_a_later_import(imports: SqlImports, directory: SqlDirectory) -> None:
    await directory.create_account(
        NewAccount(
            AccountUuid("a-1"),
            ONE,
            SessionId("webjs_1_1"),
            "+628110000001",
            "",
            Takeover.AUTO,
            person="628110000001",
        )
    )
    [changed] = await imports.put_accounts([account(1, status=SessionStatus.DISCONNECTED)], dry_run=False)
    assert isinstance(changed, ToChange)
    now = await directory.account(ONE, uuid="a-1")
    assert now is not None
    assert (now.placement.instance_url, now.status) == (HERE, SessionStatus.DISCONNECTED)


async def test_workspaces_get_the_names_that_they_have_there_and_keep_their_own(
    imports: SqlImports, directory: SqlDirectory
) -> None:
    await directory.create_contact(ContactUuid("own"), ONE, "628129999999", "")
    await directory.change_workspace(ONE, {"name": "Ours"})
    await imports.ensure_workspaces({ONE: "Theirs", TWO: "Second"})
    assert {each.id: each.name for each in await directory.workspaces()} == {1: "Ours", 2: "Second"}


async def test_the_statements_of_a_batch_do_not_grow_with_its_rows(imports: SqlImports, statements: list[str]) -> None:
    await imports.put_contacts([contact(n) for n in range(10)], dry_run=False)
    few = len(statements)
    statements.clear()
    await imports.put_contacts([contact(n) for n in range(100, 200)], dry_run=False)
    assert len(statements) <= few
