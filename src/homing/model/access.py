"""Who may call the API, and how far."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from homing.model.fleet import WorkspaceId


class Scope(StrEnum):
    """What a key may do. Each scope includes those below it: admin > send > read."""

    ADMIN = "admin"
    SEND = "send"
    READ = "read"

    def allows(self, needed: "Scope") -> bool:
        ranks = {Scope.READ: 0, Scope.SEND: 1, Scope.ADMIN: 2}
        return ranks[self] >= ranks[needed]


@dataclass(frozen=True, slots=True)
class Key:
    """An API key without its secret. With a workspace it acts for that one alone; without, for all of them."""

    id: str
    workspace_id: WorkspaceId | None
    scope: Scope
    name: str
    secret_hash: str
    created_at: datetime
    revoked_at: datetime | None = None
