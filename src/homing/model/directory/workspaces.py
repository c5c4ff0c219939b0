"""A tenant, and how its numbers are read."""

from dataclasses import dataclass
from datetime import datetime

from homing.model.directory.access import RateLimit
from homing.model.directory.phones import Bare
from homing.model.fleet import DeafPolicy, WorkspaceId


@dataclass(frozen=True, slots=True)
class Workspace:
    """Who owns accounts, contacts and keys. `region` (ISO 3166, upper case) is where its national numbers belong;
    None: where the settings say. `rate_limit` is for all of its keys together."""

    id: WorkspaceId
    name: str
    region: str | None
    bare_digits: Bare
    created_at: datetime
    rate_limit: RateLimit | None = None
    deaf_policy: DeafPolicy | None = None
    """What may be done by itself for its sessions that are deaf; None: as the settings say."""
