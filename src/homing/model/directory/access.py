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
class RateLimit:
    """So many requests in so many seconds. All of them may come at once; then they come back evenly."""

    requests: int
    per_s: int


@dataclass(frozen=True, slots=True)
class Key:
    """An API key without its secret. With a workspace it acts for that one alone; without, for all of them.

    After a rotation the secret before opens too, until `previous_until`. `last_used_at` is up to a minute old.
    """

    id: str
    workspace_id: WorkspaceId | None
    scope: Scope
    name: str
    secret_hash: str
    created_at: datetime
    revoked_at: datetime | None = None
    expires_at: datetime | None = None
    last_used_at: datetime | None = None
    previous_hash: str | None = None
    previous_until: datetime | None = None
    rate_limit: RateLimit | None = None

    def has_expired(self, now: datetime) -> bool:
        return self.expires_at is not None and self.expires_at <= now
