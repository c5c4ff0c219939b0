"""What an import needs: a source to read, and a directory that takes rows by the batch."""

from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Protocol

from homing.model.directory.importing import (
    AccountMerge,
    ContactMerge,
    ImportedAccount,
    ImportedContact,
    ImportKind,
    SourceRow,
)
from homing.model.fleet import WorkspaceId


class SourceUnreadable(Exception):
    """The source cannot be read, or not any further. The message is one sentence, without secrets."""


class ImportSource(Protocol):
    """Another system's accounts and contacts. Raises SourceUnreadable."""

    async def totals(self) -> Mapping[ImportKind, int | None]:
        """How many rows of each kind there are; None where only reading them would tell."""
        ...

    async def workspace_names(self) -> Mapping[int, str]:
        """What the source calls its workspaces, as far as it says."""
        ...

    def pages(self) -> AsyncIterator[Sequence[SourceRow]]:
        """The rows in their order, accounts first where they have places of their own, in pages of bounded size."""
        ...


class Raced(Exception):
    """Somebody else wrote a name of this batch at the same time. Nothing of it was written; it may be tried again."""


class ImportStore(Protocol):
    """The directory, for rows by the batch: each batch is one transaction. Raises StoreUnavailable and Raced."""

    async def put_accounts(self, rows: Sequence[ImportedAccount], *, dry_run: bool) -> list[AccountMerge]:
        """Write what is new or changed, and tell everybody; answers what became, or would become, of each row."""
        ...

    async def put_contacts(self, rows: Sequence[ImportedContact], *, dry_run: bool) -> list[ContactMerge]:
        """The same for contacts."""
        ...

    async def ensure_workspaces(self, names: Mapping[WorkspaceId, str]) -> None:
        """These workspaces exist from here on; those that have no name yet have this one."""
        ...
