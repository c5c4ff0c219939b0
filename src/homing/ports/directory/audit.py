"""The log of who changed what."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from homing.model.directory.audit import Broken, Checkpoint, Entry
from homing.ports.pages import Page


@dataclass(frozen=True, slots=True)
class Chained:
    """How many entries were tied to the chain at once, and where it ends now."""

    entries: int
    head: Checkpoint | None


class Audit(Protocol):
    """Entries, and the chain through them. Raises StoreUnavailable from every method.

    Changes of the directory, of work and of grants leave their entries by themselves, in their own transactions, when
    an act is being carried out (`homing.model.audit.acting`).
    """

    async def note(self, action: str, subject: str, after: Mapping[str, Any] | None = None) -> None:
        """An entry for what is about to be done where no transaction of ours reaches. By nobody's act, nothing."""
        ...

    async def page(
        self, page: Page, *, action: str | None = None, subject: str | None = None, key_id: str | None = None
    ) -> list[Entry]:
        """Newest first; `page.after` is the id below which to go on, 0 for the newest."""
        ...

    async def behind(self, entry_id: int, limit: int) -> list[Entry]:
        """The entries behind this one, oldest first."""
        ...

    async def marks(self) -> tuple[Checkpoint | None, Checkpoint | None]:
        """Where the log begins, and where its chain ends."""
        ...

    async def chain(self, limit: int) -> Chained | Broken:
        """Tie up to so many entries to the chain, in the order of their ids. Broken: nothing was, for this reason."""
        ...

    async def prune(self, before: datetime, limit: int) -> int:
        """Remove up to so many chained entries that are older, and leave word of it, signed. Returns how many."""
        ...
