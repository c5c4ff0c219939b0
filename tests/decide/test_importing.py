"""What rows of another system say, and what becomes of them."""

import itertools
from datetime import UTC, datetime

import pytest

from homing.decide.importing.merging import merge_accounts, merge_contacts
from homing.decide.importing.reading import ImportRules, read_row
from homing.decide.phones.aliases import person
from homing.decide.phones.reading import read
from homing.model.directory.importing import (
    AsItIs,
    ImportedAccount,
    ImportedContact,
    ImportKind,
    KnownAccount,
    KnownContact,
    PassedOver,
    RefusedRow,
    RowOrigin,
    SourceRow,
    ToChange,
    ToCreate,
)
from homing.model.directory.phones import PhoneNumber, UnreadablePhone
from homing.model.errors import Problem
from homing.model.fleet import Epoch, InstanceUrl, Placement, SessionId, SessionStatus, WorkspaceId
from homing.model.sends.addresses import Address, AddressKind, Recipient

ONE = WorkspaceId(1)
BUDI, SITI, AGUS = "+62811801641", "+62816108641", "+62811111111"


def number(workspace: WorkspaceId, text: str) -> PhoneNumber:
    found = read(text, "ID")
    if isinstance(found, UnreadablePhone):
        raise Problem(found.code, found.reason)
    return found


def rules(**more: object) -> ImportRules:
    spare = itertools.count(1)
    return ImportRules(lambda: f"spare-{next(spare)}", number, **more)  # type: ignore[arg-type]


def account_row(**values: str | None) -> SourceRow:
    row = {
        "id": "144",
        "uuid": "A-144",
        "session_id": "webjs_1_144",
        "phone": BUDI,
        "workspace_id": "1",
        "instance_url": "http://127.0.0.1:3002/",
        "status": "connected",
    }
    return SourceRow(ImportKind.ACCOUNT, RowOrigin("whatsapp_accounts", "144"), row | values)


def contact_row(**values: str | None) -> SourceRow:
    row = {"id": "7", "uuid": "c-7", "phone": SITI, "workspace_id": "1", "first_name": "Siti", "last_name": "Ø"}
    return SourceRow(ImportKind.CONTACT, RowOrigin("contacts", "7"), row | values)


def test_an_account_keeps_all_its_names() -> None:
    read_as = read_row(account_row(), rules())
    assert isinstance(read_as, ImportedAccount)
    assert (read_as.uuid, read_as.id, read_as.session_id) == ("a-144", 144, "webjs_1_144")
    assert (read_as.number.digits, read_as.workspace_id) == ("62811801641", 1)
    assert (read_as.instance_url, read_as.status) == ("http://localhost:3002", SessionStatus.CONNECTED)


@pytest.mark.parametrize(
    ("word", "status"),
    [
        ("qr_scanning", SessionStatus.PAIRING),
        ("authenticated", SessionStatus.STARTING),
        ("disconnected", SessionStatus.DISCONNECTED),
        ("failed", SessionStatus.FAILED),
        ("a word of tomorrow", SessionStatus.UNKNOWN),
        (None, SessionStatus.UNKNOWN),
    ],
    ids=str,
)
def test_a_status_is_taken_as_far_as_its_word_is_known(word: str | None, status: SessionStatus) -> None:
    read_as = read_row(account_row(status=word), rules())
    assert isinstance(read_as, ImportedAccount)
    assert read_as.status is status


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"phone": None, "status": "qr_scanning"}, "no phone (its status is qr_scanning)"),
        ({"phone": "12"}, "is no phone number"),
        ({"phone": "1203630@g.us"}, "address of a group"),
        ({"phone": "no digits@c.us"}, "no address of WhatsApp's"),
        ({"session_id": None}, "no session id"),
        ({"session_id": ".."}, "session id"),
        ({"uuid": "144"}, "is a number"),
        ({"uuid": "a b"}, "letters, digits"),
        ({"workspace_id": None}, "--workspace"),
        ({"workspace_id": "0"}, "no whole number"),
        ({"workspace_id": "99999999999"}, "no whole number"),
        ({"id": "-4"}, "no whole number"),
        ({"instance_url": "ftp://h"}, "base URL"),
    ],
    ids=lambda each: "-".join(each) if isinstance(each, dict) else None,
)
def test_a_row_that_could_be_meant_in_no_way_is_refused_with_the_reason(values: dict[str, str], said: str) -> None:
    refused = read_row(account_row(**values), rules())
    assert isinstance(refused, RefusedRow)
    assert said in refused.reason


@pytest.mark.parametrize(
    "row",
    [
        account_row(deleted_at="2025-01-01 00:00:00"),
        account_row(provider="meta", phone=None),
        contact_row(chat_type="group", phone=None, group_name="Neighbours"),
    ],
    ids=["deleted", "cloud-api", "group"],
)
def test_rows_that_are_not_meant_to_come_along_are_no_faults(row: SourceRow) -> None:
    assert isinstance(read_row(row, rules()), PassedOver)


def test_a_whatsapp_address_is_the_number_in_it_wherever_national_numbers_belong() -> None:
    read_as = read_row(contact_row(phone="5511987654321@s.whatsapp.net"), rules())
    assert isinstance(read_as, ImportedContact)
    assert read_as.address == "5511987654321"


@pytest.mark.parametrize(
    ("values", "kept"),
    [
        ({"phone": "120363041234567890@g.us", "chat_type": "group"}, "120363041234567890@g.us"),
        ({"phone": "120363041234567890@G.US"}, "120363041234567890@g.us"),
        ({"phone": "120363041234567890", "chat_type": "Group"}, "120363041234567890@g.us"),
        ({"phone": "62811801641-1586952345", "chat_type": "group"}, "62811801641-1586952345@g.us"),
        ({"phone": "1234567890123@lid"}, "1234567890123@lid"),
        ({"phone": "120363041234567890@newsletter"}, "120363041234567890@newsletter"),
    ],
    ids=lambda each: each["phone"] if isinstance(each, dict) else "",
)
def test_a_contact_may_be_a_group_or_whatever_an_address_names(values: dict[str, str], kept: str) -> None:
    read_as = read_row(contact_row(first_name=None, last_name=None, group_name="Neighbours", **values), rules())
    assert isinstance(read_as, ImportedContact)
    assert (read_as.address, read_as.written, read_as.person) == (kept, values["phone"], kept)
    assert read_as.name == "Neighbours"


@pytest.mark.parametrize(
    "phone", [BUDI, "62811801641", "62811801641@c.us", "1-2-3@g.us", "12345678901234567@lid", "x@g.us"]
)
def test_what_is_said_to_be_a_group_is_no_person(phone: str) -> None:
    refused = read_row(contact_row(chat_type="group", phone=phone), rules())
    assert isinstance(refused, RefusedRow)
    assert "group's address" in refused.reason


def test_workspaces_and_instances_are_put_in_place_of_theirs() -> None:
    moved = {InstanceUrl("http://localhost:3002"): InstanceUrl("http://node-2:3002")}
    read_as = read_row(account_row(workspace_id="7"), rules(workspaces={7: 1}, workspace=9, instances=moved))
    assert isinstance(read_as, ImportedAccount)
    assert (read_as.workspace_id, read_as.instance_url) == (1, "http://node-2:3002")
    other = read_row(account_row(workspace_id="8"), rules(workspaces={7: 1}, workspace=9))
    assert isinstance(other, ImportedAccount)
    assert other.workspace_id == 9


# --- merging ----------------------------------------------------------------------------------------------------


def imported(uuid: str = "a", session: str = "s", phone: str = BUDI, **more: object) -> ImportedAccount:
    digits = phone[1:]
    base = {"named": True, "workspace_id": ONE, "number": PhoneNumber(phone, digits), "person": person(digits)}
    return ImportedAccount(RowOrigin("t", uuid), uuid, session_id=SessionId(session), **base | more)  # type: ignore[arg-type]


def known(uuid: str = "a", session: str = "s", phone: str = BUDI, **more: object) -> KnownAccount:
    base = {"id": 1, "workspace_id": ONE, "name": "", "placement": Placement(SessionId(session), None)}
    return KnownAccount(uuid=uuid, phone=phone, person=person(phone[1:]), **base | more)  # type: ignore[arg-type]


def imported_contact(uuid: str = "c", phone: str = SITI, **more: object) -> ImportedContact:
    recipient = Recipient(phone, Address(AddressKind.PHONE, phone[1:]))
    base = {"named": True, "workspace_id": ONE, "recipient": recipient, "person": person(phone[1:])}
    return ImportedContact(RowOrigin("contacts", uuid), uuid, **base | more)  # type: ignore[arg-type]


def known_contact(uuid: str = "c", phone: str = SITI, id: int = 5, **more: object) -> KnownContact:
    base = {"workspace_id": ONE, "name": ""}
    return KnownContact(id, uuid, phone=phone[1:], person=person(phone[1:]), **base | more)  # type: ignore[arg-type]


def test_a_row_that_is_there_just_so_is_left_alone() -> None:
    assert merge_accounts([imported()], [known()], []) == [AsItIs(RowOrigin("t", "a"))]
    assert merge_contacts([imported_contact()], [known_contact()], []) == [AsItIs(RowOrigin("contacts", "c"))]


def test_a_number_that_is_somebody_elses_is_not_taken_from_them() -> None:
    [made, kept] = merge_accounts([imported(id=144), imported("b", "t", SITI, id=145)], [], [144])
    assert isinstance(made, ToCreate)
    assert isinstance(kept, ToCreate)
    assert (made.row.id, kept.row.id) == (None, 145)


@pytest.mark.parametrize(
    ("row", "there", "said"),
    [
        (imported("b", phone=SITI), known(), "session s is that of account"),
        (imported("b", "t"), known(), "has its phone as account"),
        (imported(workspace_id=WorkspaceId(2)), known(), "is in workspace 1 here"),
        (imported(session="t"), known(), "has the session s here"),
        (imported(phone=SITI), known(verified_at=datetime(2026, 11, 30, tzinfo=UTC)), "as seen at its session"),
    ],
    ids=["session", "phone", "workspace", "other-session", "seen-phone"],
)
def test_what_is_already_somebodys_is_not_taken(row: ImportedAccount, there: KnownAccount, said: str) -> None:
    [refused] = merge_accounts([row], [there], [])
    assert isinstance(refused, RefusedRow)
    assert said in refused.reason


def test_two_spellings_of_a_person_are_one_phone() -> None:
    brazilian = imported_contact("other", "+551187654321")
    [refused] = merge_contacts([brazilian], [known_contact(phone="+5511987654321")], [])
    assert isinstance(refused, RefusedRow)
    assert "written 5511987654321" in refused.reason


def test_rows_of_one_batch_see_each_other() -> None:
    [made, refused, again] = merge_contacts(
        [imported_contact(), imported_contact("d"), imported_contact(name="Siti")], [], []
    )
    assert isinstance(made, ToCreate)
    assert isinstance(refused, RefusedRow)
    assert refused.passes
    assert isinstance(again, RefusedRow)
    assert again.passes


def test_a_phone_that_was_given_up_in_the_same_batch_is_free() -> None:
    rows = [imported_contact("c", AGUS), imported_contact("d", SITI)]
    assert [type(each) for each in merge_contacts(rows, [known_contact()], [])] == [ToChange, ToCreate]


def test_rows_without_a_uuid_go_by_session_and_by_phone() -> None:
    assert merge_accounts([imported("spare", named=False)], [known()], []) == [AsItIs(RowOrigin("t", "spare"))]
    unnamed = imported_contact("spare", named=False)
    assert merge_contacts([unnamed], [known_contact()], []) == [AsItIs(RowOrigin("contacts", "spare"))]


def test_only_what_is_nowhere_and_was_never_granted_is_placed_where_its_source_says() -> None:
    there = imported(instance_url=InstanceUrl("http://localhost:3001"))
    [placed] = merge_accounts([there], [known()], [])
    assert isinstance(placed, ToChange)
    assert placed.places is not None
    elsewhere = Placement(SessionId("s"), InstanceUrl("http://localhost:3004"), Epoch(3))
    granted = Placement(SessionId("s"), None, Epoch(3))
    told = Placement(SessionId("s"), InstanceUrl("http://localhost:3004"))
    for placement in (elsewhere, granted, told):
        assert merge_accounts([there], [known(placement=placement)], []) == [AsItIs(RowOrigin("t", "a"))]


def test_an_empty_name_erases_none() -> None:
    assert isinstance(merge_contacts([imported_contact()], [known_contact(name="Siti")], [])[0], AsItIs)
