"""What does a row of another system say?

Reading is validation, never repair: a row that could be meant in two ways is refused with the reason. Values go by the
names in `ACCOUNT_FIELDS` and `CONTACT_FIELDS`; whoever reads a source gives them these names.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from homing.decide.phones.addressing import read_recipient
from homing.decide.phones.aliases import person
from homing.decide.phones.numbering import DIGITS_MAX
from homing.model.directory.importing import (
    ImportedAccount,
    ImportedContact,
    ImportKind,
    PassedOver,
    RefusedRow,
    RowOrigin,
    SourceRow,
)
from homing.model.directory.phones import PhoneNumber, UnreadablePhone
from homing.model.errors import Problem
from homing.model.fleet import InstanceUrl, SessionId, SessionStatus, WorkspaceId
from homing.model.sends.addresses import Address, AddressKind, Recipient, is_id
from homing.model.urls import normal

ACCOUNT_FIELDS = ("id", "uuid", "session_id", "phone", "workspace_id", "name", "instance_url", "status")
CONTACT_FIELDS = ("id", "uuid", "phone", "workspace_id", "name", "first_name", "last_name", "chat_type", "group_name")
ASIDE_FIELDS = ("provider", "deleted_at")
"""What says that a row is not meant to come along."""

ReadNumber = Callable[[WorkspaceId, str], PhoneNumber]
"""The number that somebody of a workspace wrote. Raises Problem."""

NAME_MAX = 200
WORKSPACE_MAX = 2**31 - 1
KEPT_ID_MAX = 1_000_000_000
"""A higher number of the source is not kept: numbers that follow must have room. All as the API has it."""
_UUID = re.compile(r"[0-9a-z][0-9a-z._-]{0,63}")
_SESSION = re.compile(r"[^\x00-\x1f\x7f]{1,200}")
GROUPS_AT = "g.us"
_NO_REGION = "ZZ"
"""Addresses other than phones belong to no country."""
_PERSONS = ("c.us", "s.whatsapp.net")
"""The servers of WhatsApp addresses that are phone numbers; before the @ stand E.164 digits."""

_STATUSES = {
    "connected": SessionStatus.CONNECTED,
    "authenticated": SessionStatus.STARTING,
    "connecting": SessionStatus.STARTING,
    "starting": SessionStatus.STARTING,
    "qr_scanning": SessionStatus.PAIRING,
    "pairing": SessionStatus.PAIRING,
    "disconnected": SessionStatus.DISCONNECTED,
    "logged_out": SessionStatus.LOGGED_OUT,
    "failed": SessionStatus.FAILED,
    "error": SessionStatus.FAILED,
    "stopped": SessionStatus.STOPPED,
}
"""The words of the Laravel application (its column's enum, and what the Node service reports into it), and our own."""


class _Unfit(Exception):
    """The reason why a row cannot be what it should."""


class _NotMeant(Exception):
    """The reason why a row is not meant to come along."""


@dataclass(frozen=True, slots=True)
class ImportRules:
    """What whoever imports said about it.

    `workspaces` puts those of the source in place of ours; `workspace` is where all go, or those that name none.
    `instances` does the same with addresses. `spare_uuid` makes names for rows without one.
    """

    spare_uuid: Callable[[], str]
    number: ReadNumber
    workspaces: Mapping[int, int] = field(default_factory=dict)
    workspace: int | None = None
    instances: Mapping[InstanceUrl, InstanceUrl] = field(default_factory=dict)


ReadRow = ImportedAccount | ImportedContact | RefusedRow | PassedOver


def read_row(row: SourceRow, rules: ImportRules) -> ReadRow:
    """What the row is to become, or why it becomes nothing."""
    if row.broken is not None:
        return RefusedRow(row.origin, None, row.broken)
    values = {name: text for name, value in row.values.items() if value is not None and (text := value.strip())}
    try:
        _meant(values, row.kind)
        return _account(row.origin, values, rules) if row.kind is ImportKind.ACCOUNT else _contact(row, values, rules)
    except _NotMeant as why:
        return PassedOver(row.origin, str(why))
    except _Unfit as why:
        return RefusedRow(row.origin, values.get("uuid"), str(why))


def _account(origin: RowOrigin, values: Mapping[str, str], rules: ImportRules) -> ImportedAccount:
    workspace = _workspace(values, rules)
    uuid = _uuid(values)
    number = _number(values, workspace, rules)
    return ImportedAccount(
        origin=origin,
        uuid=uuid or rules.spare_uuid(),
        named=uuid is not None,
        workspace_id=workspace,
        session_id=_session(values),
        number=number,
        person=person(number.digits),
        name=values.get("name", "")[:NAME_MAX],
        id=_kept_id(values),
        instance_url=_instance(values, rules),
        status=_STATUSES.get(values.get("status", "").lower(), SessionStatus.UNKNOWN),
    )


def _contact(row: SourceRow, values: Mapping[str, str], rules: ImportRules) -> ImportedContact:
    workspace = _workspace(values, rules)
    uuid = _uuid(values)
    recipient = _recipient(values, workspace, rules)
    both = " ".join(values[part] for part in ("first_name", "last_name") if part in values)
    return ImportedContact(
        origin=row.origin,
        uuid=uuid or rules.spare_uuid(),
        named=uuid is not None,
        workspace_id=workspace,
        recipient=recipient,
        person=person(str(recipient.address)),
        name=(values.get("name") or both or values.get("group_name", ""))[:NAME_MAX],
        id=_kept_id(values),
    )


def _meant(values: Mapping[str, str], kind: ImportKind) -> None:
    if "deleted_at" in values:
        raise _NotMeant("deleted in its own system")
    if kind is ImportKind.ACCOUNT and values.get("provider", "webjs").lower() == "meta":
        raise _NotMeant("of the Cloud API (provider meta), which has no session")
    if kind is ImportKind.CONTACT and _is_group(values) and "phone" not in values:
        raise _NotMeant("a group that names no address")


def _workspace(values: Mapping[str, str], rules: ImportRules) -> WorkspaceId:
    theirs = _whole(values, "workspace_id", WORKSPACE_MAX)
    if theirs is not None and theirs in rules.workspaces:
        return WorkspaceId(rules.workspaces[theirs])
    if rules.workspace is not None:
        return WorkspaceId(rules.workspace)
    if theirs is None:
        raise _Unfit("it names no workspace; say one for all with --workspace")
    return WorkspaceId(theirs)


def _uuid(values: Mapping[str, str]) -> str | None:
    given = values.get("uuid")
    if given is None:
        return None
    uuid = given.lower()
    if uuid.isdecimal():
        raise _Unfit(f"the uuid {uuid[:40]} is a number, and numbers name by id")
    if not _UUID.fullmatch(uuid):
        raise _Unfit(f"the uuid {given[:40]!r} is none: letters, digits and - _ . alone, 64 at most")
    return uuid


def _session(values: Mapping[str, str]) -> SessionId:
    given = values.get("session_id")
    if given is None:
        raise _Unfit("it has no session id, so there is nothing to be found on an instance")
    if not _SESSION.fullmatch(given) or given in (".", ".."):
        raise _Unfit(f"the session id {given[:40]!r} is none: it stands in the addresses that instances are asked at")
    return SessionId(given)


def _number(values: Mapping[str, str], workspace: WorkspaceId, rules: ImportRules) -> PhoneNumber:
    given = values.get("phone")
    if given is None:
        state = values.get("status")
        raise _Unfit("it has no phone" + (f" (its status is {state[:40]}); link it first" if state else ""))
    try:
        return rules.number(workspace, _as_written(given))
    except Problem as refused:
        raise _Unfit(refused.detail) from None


def _recipient(values: Mapping[str, str], workspace: WorkspaceId, rules: ImportRules) -> Recipient:
    """A person by the number, all others by their whole address; what is said to be a group is nobody else."""
    given = values.get("phone", "")
    if _is_group(values):
        return Recipient(given, _group(given))
    if "@" in given and given.rpartition("@")[2].lower() not in _PERSONS:
        found = read_recipient(given, _NO_REGION)
        if isinstance(found, UnreadablePhone):
            raise _Unfit(found.reason)
        return found
    number = _number(values, workspace, rules)
    return Recipient(number.written, Address(AddressKind.PHONE, number.digits))


def _group(given: str) -> Address:
    """The address of a group, or its id alone where that is no phone's: longer, or with a hyphen."""
    name, at, server = given.partition("@")
    whole = server.lower() == GROUPS_AT if at else "-" in name or len(name) > DIGITS_MAX
    if not whole or not is_id(AddressKind.GROUP, name):
        raise _Unfit(f"{given[:40]!r} is no group's address, which is written …@{GROUPS_AT}")
    return Address(AddressKind.GROUP, name)


def _is_group(values: Mapping[str, str]) -> bool:
    return values.get("chat_type", "").lower() == "group"


def _as_written(phone: str) -> str:
    """The number within a WhatsApp address. Others of its addresses are no phones, and are refused as such."""
    digits, at, server = phone.partition("@")
    if not at:
        return phone
    if server.lower() not in _PERSONS:
        raise _Unfit(f"{phone[:40]!r} is the address of a group, a channel or a hidden number, and no phone")
    if not digits.isascii() or not digits.isdecimal():
        raise _Unfit(f"{phone[:40]!r} is no address of WhatsApp's")
    return f"+{digits}"


def _instance(values: Mapping[str, str], rules: ImportRules) -> InstanceUrl | None:
    given = values.get("instance_url")
    if given is None:
        return None
    try:
        url = normal(given)
    except ValueError as error:
        raise _Unfit(str(error)) from None
    return rules.instances.get(url, url)


def _kept_id(values: Mapping[str, str]) -> int | None:
    given = _whole(values, "id")
    return given if given is not None and given <= KEPT_ID_MAX else None


def _whole(values: Mapping[str, str], name: str, highest: int = 2**63) -> int | None:
    given = values.get(name)
    if given is None:
        return None
    if not given.isascii() or not given.isdecimal() or not 1 <= (number := int(given[:20])) <= highest:
        raise _Unfit(f"its {name} {given[:40]!r} is no whole number from 1 on")
    return number
