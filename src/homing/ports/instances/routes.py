"""What the flows need of the cache of routes."""

from dataclasses import dataclass
from typing import Protocol

from homing.model.fleet import AccountUuid, Contact, ContactUuid, Placement, Route, SessionId, WorkspaceId


@dataclass(frozen=True, slots=True)
class CacheStats:
    """The route cache of one gateway. `reads` counts the SELECTs that misses caused."""

    entries: int
    hits: int
    misses: int
    reads: int
    invalidations: int
    flushes: int

    @property
    def hit_rate(self) -> float:
        asked = self.hits + self.misses
        return self.hits / asked if asked else 0.0


class Routes(Protocol):
    """Where each account's session lives, as quickly as it can be known. May be stale: a stale route costs a hop."""

    async def route(
        self, workspace: WorkspaceId | None, account_uuid: AccountUuid, contact_uuid: ContactUuid | None
    ) -> tuple[Route | None, Contact | None]:
        """The account's route and the contact, in one read at most. None for what is unknown to the workspace."""
        ...

    def by_session(self, session_id: SessionId) -> Route | None:
        """The session's route, if it is known without asking the directory."""
        ...

    async def reread_unless_moved(self, account_uuid: AccountUuid, failed: Placement) -> Route | None:
        """A fresher route than the placement that just failed: a cached one if it differs, else the directory's."""
        ...
