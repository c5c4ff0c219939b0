"""What becomes of imported rows, given what the directory has?

Rows go by their uuid, and where the source names none, by what else cannot be twice: an account by its session, a
contact by its phone within the workspace. A row that is there already follows its source, within bounds: what Homing
has seen for itself since (where a session lives, the phone that it said) counts more than another system's records.
Rows of one batch see each other as if each was written before the next one.
"""

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import Any

from homing.model.directory.importing import (
    AccountMerge,
    AsItIs,
    ContactMerge,
    ImportedAccount,
    ImportedContact,
    KnownAccount,
    KnownContact,
    RefusedRow,
    ToChange,
    ToCreate,
)
from homing.model.fleet import NEVER_GRANTED, Placement, PlacementState, SessionId


def merge_accounts(
    rows: Sequence[ImportedAccount], known: Iterable[KnownAccount], taken_ids: Iterable[int]
) -> list[AccountMerge]:
    """What becomes of each row. `known` are all accounts that share a uuid, session or phone with one of them."""
    book = _WhoIsThere(taken_ids)
    for each in known:
        book.add(each)
    return [_account(row, book) for row in rows]


def merge_contacts(
    rows: Sequence[ImportedContact], known: Iterable[KnownContact], taken_ids: Iterable[int]
) -> list[ContactMerge]:
    """What becomes of each row. `known` are all contacts that share a uuid or phone with one of them."""
    book = _WhoIsThere(taken_ids)
    for each in known:
        book.add(each)
    return [_contact(row, book) for row in rows]


class _WhoIsThere:
    """Who is there, by everything that cannot be twice; as it will be once the rows so far are written."""

    def __init__(self, taken_ids: Iterable[int]) -> None:
        self.ids = set(taken_ids)
        self.by_uuid: dict[str, KnownAccount | KnownContact] = {}
        self.by_person: dict[tuple[int, str], KnownAccount | KnownContact] = {}
        self.by_session: dict[SessionId, KnownAccount] = {}

    def add(self, known: KnownAccount | KnownContact) -> None:
        self.ids.add(known.id)
        self.by_uuid[known.uuid] = known
        for spelling in {known.person or known.phone, known.phone}:
            self.by_person[known.workspace_id, spelling] = known
        if isinstance(known, KnownAccount):
            self.by_session[known.placement.session_id] = known

    def replace(self, old: KnownAccount | KnownContact, new: KnownAccount | KnownContact) -> None:
        for spelling in {old.person or old.phone, old.phone}:
            self.by_person.pop((old.workspace_id, spelling), None)
        self.add(new)

    def person(self, row: ImportedAccount | ImportedContact) -> KnownAccount | KnownContact | None:
        spellings = (row.person, row.address, row.written)
        return next((found for each in spellings if (found := self.by_person.get((row.workspace_id, each)))), None)


def _account(row: ImportedAccount, book: _WhoIsThere) -> AccountMerge:
    found = book.by_uuid.get(row.uuid) if row.named else book.by_session.get(row.session_id)
    if isinstance(found, KnownAccount):
        return _changed_account(row, found, book)
    if (other := book.by_session.get(row.session_id)) is not None:
        return _refused(row, f"its session {row.session_id} is that of account {_named(other)} already")
    if (other_phone := book.person(row)) is not None:
        return _put_off(row, _same_phone(row, "account", other_phone))
    row = replace(row, id=_free(row.id, book))
    book.add(
        KnownAccount(
            row.id or 0,
            row.uuid,
            row.workspace_id,
            row.written,
            row.person,
            row.name,
            Placement(row.session_id, None),
        )
    )
    return ToCreate(row)


def _changed_account(row: ImportedAccount, known: KnownAccount, book: _WhoIsThere) -> AccountMerge:
    if known.workspace_id != row.workspace_id:
        return _refused(row, _other_workspace(row, "account", known))
    if known.placement.session_id != row.session_id:
        return _refused(
            row,
            f"account {_named(known)} has the session {known.placement.session_id} here, and {row.session_id} there;"
            " give it that one with PATCH /accounts/{ref} while it is nowhere",
        )
    phone = (known.person or known.phone) != row.person
    if phone and known.verified_at is not None:
        return _refused(
            row, f"account {_named(known)} has the phone {known.phone} here, as seen at its session, and another there"
        )
    if phone and (other := book.person(row)) is not None and other.uuid != known.uuid:
        return _put_off(row, _same_phone(row, "account", other))
    name = bool(row.name) and row.name != known.name
    places = known.placement if _may_be_placed(row, known) else None
    if not phone and not name and places is None:
        return AsItIs(row.origin)
    if known.id == 0:
        return _put_off(row, f"a row before it is the same account, {known.uuid}, and not numbered yet")
    book.replace(known, replace(known, name=row.name or known.name, **(_phone(row) if phone else {})))
    return ToChange(row, known.id, phone, name, places)


def _may_be_placed(row: ImportedAccount, known: KnownAccount) -> bool:
    """Only what is nowhere, and was never granted to anybody: after that Homing knows better where it is."""
    return (
        row.instance_url is not None
        and known.placement.instance_url is None
        and known.placement.epoch == NEVER_GRANTED
        and known.placement.state is PlacementState.HELD
    )


def _contact(row: ImportedContact, book: _WhoIsThere) -> ContactMerge:
    found = book.by_uuid.get(row.uuid) if row.named else book.person(row)
    if isinstance(found, KnownContact):
        return _changed_contact(row, found, book)
    if (other := book.person(row)) is not None:
        return _put_off(row, _same_phone(row, "contact", other))
    row = replace(row, id=_free(row.id, book))
    book.add(KnownContact(row.id or 0, row.uuid, row.workspace_id, row.address, row.person, row.name))
    return ToCreate(row)


def _changed_contact(row: ImportedContact, known: KnownContact, book: _WhoIsThere) -> ContactMerge:
    if known.workspace_id != row.workspace_id:
        return _refused(row, _other_workspace(row, "contact", known))
    phone = known.phone != row.address
    if phone and (other := book.person(row)) is not None and other.uuid != known.uuid:
        return _put_off(row, _same_phone(row, "contact", other))
    name = bool(row.name) and row.name != known.name
    if not phone and not name:
        return AsItIs(row.origin)
    if known.id == 0:
        return _put_off(row, f"a row before it is the same contact, {known.uuid}, and not numbered yet")
    changed = replace(known, name=row.name or known.name, phone=row.address, person=row.person)
    book.replace(known, changed)
    return ToChange(row, known.id, phone, name)


def _free(id: int | None, book: _WhoIsThere) -> int | None:
    return None if id in book.ids else id


def _phone(row: ImportedAccount) -> dict[str, Any]:
    return {"phone": row.written, "person": row.person}


def _same_phone(row: ImportedAccount | ImportedContact, what: str, other: KnownAccount | KnownContact) -> str:
    spelt = "" if other.phone in (row.written, row.address) else f", written {other.phone}"
    return f"workspace {row.workspace_id} has its phone as {what} {_named(other)} already{spelt}"


def _other_workspace(row: ImportedAccount | ImportedContact, what: str, known: KnownAccount | KnownContact) -> str:
    return f"{what} {_named(known)} is in workspace {known.workspace_id} here, and in {row.workspace_id} there"


def _named(known: KnownAccount | KnownContact) -> str:
    return f"{known.id} ({known.uuid})" if known.id else known.uuid


def _put_off(row: ImportedAccount | ImportedContact, reason: str) -> RefusedRow:
    return replace(_refused(row, reason), passes=True)


def _refused(row: ImportedAccount | ImportedContact, reason: str) -> RefusedRow:
    return RefusedRow(row.origin, row.uuid if row.named else None, reason)
