"""Accounts and contacts of another system, on their way into the directory."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Generic, TypeVar

from homing.model.directory.phones import PhoneNumber
from homing.model.fleet import InstanceUrl, Placement, SessionId, SessionStatus, Takeover, WorkspaceId
from homing.model.sends.addresses import Recipient


class ImportKind(StrEnum):
    """What a row of another system becomes here."""

    ACCOUNT = "account"
    CONTACT = "contact"


@dataclass(frozen=True, slots=True)
class RowOrigin:
    """Where a row comes from: the table and its id there, or the file and the number of its first line."""

    table: str
    id: str | None = None
    line: int | None = None

    def __str__(self) -> str:
        return f"{self.table} line {self.line}" if self.line is not None else f"{self.table} {self.id}"


@dataclass(frozen=True, slots=True)
class SourceRow:
    """One row as it was read, its values by the names of `decide.importing.reading`. None: the source has no value."""

    kind: ImportKind
    origin: RowOrigin
    values: Mapping[str, str | None]
    broken: str | None = None
    """Why it could not even be read, such as a line with too many fields."""


@dataclass(frozen=True, slots=True)
class ImportedAccount:
    """An account that may come to be. `uuid` is made for it where the source names none (`named`)."""

    origin: RowOrigin
    uuid: str
    named: bool
    workspace_id: WorkspaceId
    session_id: SessionId
    number: PhoneNumber
    person: str
    name: str = ""
    id: int | None = None
    instance_url: InstanceUrl | None = None
    status: SessionStatus = SessionStatus.UNKNOWN
    takeover: Takeover = Takeover.MANUAL
    """Who imports a fleet has not said that a process of it is fenced: a person decides."""

    @property
    def address(self) -> str:
        return self.number.digits

    @property
    def written(self) -> str:
        return self.number.written


@dataclass(frozen=True, slots=True)
class ImportedContact:
    """A contact that may come to be: a person, or a group. `person` is what all spellings of its address share."""

    origin: RowOrigin
    uuid: str
    named: bool
    workspace_id: WorkspaceId
    recipient: Recipient
    person: str
    name: str = ""
    id: int | None = None

    @property
    def address(self) -> str:
        return str(self.recipient.address)

    @property
    def written(self) -> str:
        return self.recipient.written


@dataclass(frozen=True, slots=True)
class RefusedRow:
    """A row that did not become what it is, and why."""

    origin: RowOrigin
    uuid: str | None
    reason: str
    passes: bool = False
    """It may be otherwise once the rows behind it are written: somebody has its phone now."""


@dataclass(frozen=True, slots=True)
class PassedOver:
    """A row that is not meant to come along, such as one that its own system has deleted; nothing is wrong with it."""

    origin: RowOrigin
    reason: str


@dataclass(frozen=True, slots=True)
class KnownAccount:
    """An account as the directory has it."""

    id: int
    uuid: str
    workspace_id: WorkspaceId
    phone: str
    person: str | None
    name: str
    placement: Placement
    verified_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class KnownContact:
    """A contact as the directory has it."""

    id: int
    uuid: str
    workspace_id: WorkspaceId
    phone: str
    person: str | None
    name: str


Row = TypeVar("Row", ImportedAccount, ImportedContact)


@dataclass(frozen=True, slots=True)
class ToCreate(Generic[Row]):
    """It is new. Its `id` is None where that number is somebody else's here, or the source has none."""

    row: Row


@dataclass(frozen=True, slots=True)
class ToChange(Generic[Row]):
    """It is there as `id`, and differs: in its phone, its name, or that its session was nowhere and is now placed."""

    row: Row
    id: int
    phone: bool
    name: bool
    places: Placement | None = None
    """The placement to be replaced, where the source says where the session is and nobody else does."""


@dataclass(frozen=True, slots=True)
class AsItIs:
    """It is there, just so."""

    origin: RowOrigin


AccountMerge = ToCreate[ImportedAccount] | ToChange[ImportedAccount] | AsItIs | RefusedRow
ContactMerge = ToCreate[ImportedContact] | ToChange[ImportedContact] | AsItIs | RefusedRow


@dataclass(slots=True)
class ImportTally:
    """What became of the rows of one kind. `skipped` were not meant to come along."""

    read: int = 0
    created: int = 0
    updated: int = 0
    unchanged: int = 0
    skipped: int = 0
    refused: int = 0


@dataclass(slots=True)
class ImportReport:
    """What an import came to, or would come to.

    `refused` holds the first of them alone. `instances`: how many accounts were said to live on each address.
    """

    tallies: dict[ImportKind, ImportTally] = field(default_factory=lambda: {kind: ImportTally() for kind in ImportKind})
    refused: list[RefusedRow] = field(default_factory=list)
    skipped: dict[str, int] = field(default_factory=dict)
    """Reason → rows."""
    instances: dict[InstanceUrl, int] = field(default_factory=dict)

    @property
    def refusals(self) -> int:
        return sum(tally.refused for tally in self.tallies.values())
