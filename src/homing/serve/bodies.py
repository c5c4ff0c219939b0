"""What requests look like. Unknown fields are refused: a misspelt one would otherwise be silently ignored."""

from datetime import datetime
from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from homing.model.access import RateLimit
from homing.serve.content import ContentFields

Phone = Annotated[str, Meta(min_length=1, max_length=1000)]
Name = Annotated[str, Meta(max_length=200)]
Uuid = Annotated[str, Meta(min_length=1, max_length=64)]
ChosenId = Annotated[int, Meta(ge=1, le=1_000_000_000)]
Chosen = Annotated[str, Meta(min_length=1, max_length=64, pattern=r"^[0-9A-Za-z][0-9A-Za-z._-]*$")]
"""A uuid that is given, or any other word that can stand in an address."""
SessionName = Annotated[str, Meta(min_length=1, max_length=200, pattern=r"^[^\x00-\x1f\x7f]+$")]
Limit = Annotated[float, Meta(gt=0, le=1e9)]
Labels = Annotated[
    dict[Annotated[str, Meta(min_length=1, max_length=64)], Annotated[str, Meta(max_length=200)]], Meta(max_length=32)
]
Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class SendBody(ContentFields, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A message to one chat, which is named by `contact_uuid` or by `phone`: a number in any form, or an address such
    as `628…@c.us`, `…@g.us`, `…@lid`, `…@newsletter` and `status@broadcast`."""

    account_uuid: Uuid
    workspace_id: Positive | None = None
    contact_uuid: Uuid | None = None
    phone: Phone | None = None


class AccountBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A new account. With `start` its session is opened at once, on the least loaded healthy instance.

    `requires` are labels that an instance must have to hold it. With `session_id` a session is taken up that runs
    already: on `instance_url`, or wherever exactly one instance lists it; one that is listed as up is not started.
    """

    phone: Phone
    workspace_id: Positive | None = None
    name: Name = ""
    takeover: Literal["never", "manual", "auto"] | None = None
    requires: Labels = {}
    start: bool = True
    session_id: SessionName | None = None
    uuid: Chosen | None = None
    id: ChosenId | None = None
    instance_url: Annotated[str, Meta(min_length=1, max_length=500)] | None = None


class AccountChanges(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What may be changed of an account. `requires` replaces all labels; where the session is now does not change.

    The last four only while the account is nowhere; with `instance_url` its session is taken up there.
    """

    takeover: Literal["never", "manual", "auto"] | UnsetType = UNSET
    requires: Labels | UnsetType = UNSET
    session_id: SessionName | UnsetType = UNSET
    uuid: Chosen | UnsetType = UNSET
    id: ChosenId | UnsetType = UNSET
    instance_url: Annotated[str, Meta(min_length=1, max_length=500)] | UnsetType = UNSET


class StartAllBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Start what its instances lost. `instance_url`: on this instance alone."""

    instance_url: str | None = None


class RehomeBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Bring a session back. `force`: although its takeover is `never`."""

    force: bool = False


class MigrateBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Where a session is to go: an instance's address or number; null: wherever there is most room.

    `force`: although its takeover is `never`.
    """

    to: Annotated[str, Meta(min_length=1, max_length=500)] | Positive | None = None
    force: bool = False


class ContactBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A new contact; under a `uuid` and an `id` of the caller's, if they are given."""

    phone: Phone
    workspace_id: Positive | None = None
    name: Name = ""
    uuid: Chosen | None = None
    id: ChosenId | None = None


class RateLimitBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """So many requests in so many seconds. All of them may come at once; then they come back evenly."""

    requests: Annotated[int, Meta(ge=1, le=1_000_000)]
    per_s: Annotated[int, Meta(ge=1, le=86_400)] = 60

    def limit(self) -> RateLimit:
        return RateLimit(self.requests, self.per_s)


class WorkspaceChangesBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What may be set of a workspace. `region` is where its national numbers belong (ISO 3166); null: where the
    gateway's settings say. `bare_digits` is what digits mean that name no country code: `strict` takes the only valid
    reading. `rate_limit` is for all of its keys together, and for operators to set; null: none."""

    name: Name | UnsetType = UNSET
    region: Annotated[str, Meta(min_length=1, max_length=100)] | UnsetType | None = UNSET
    bare_digits: Literal["strict", "national", "international"] | UnsetType = UNSET
    rate_limit: RateLimitBody | UnsetType | None = UNSET


Family = Annotated[str, Meta(min_length=1, max_length=100)]


class InstanceBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A gateway that joins the fleet. `capacity` is in sessions. `force`: whatever answers there, and how.

    Without `driver` it is that of the family that is recognised there; `webjs` where nothing answers yet.
    """

    url: Annotated[str, Meta(min_length=1, max_length=500)]
    driver: Family | None = None
    name: Name = ""
    capacity: Positive | None = None
    memory_limit_mb: Limit | None = None
    sends_limit_per_s: Limit | None = None
    labels: Labels = {}
    force: bool = False


class InstanceChangesBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What may be changed of an instance. Null takes a limit, or the storage, away; `labels` replaces all of them.

    Instances with the same `storage` keep the logins of their sessions in one place.
    """

    driver: Family | UnsetType = UNSET
    name: Name | UnsetType = UNSET
    capacity: Positive | UnsetType | None = UNSET
    memory_limit_mb: Limit | UnsetType | None = UNSET
    sends_limit_per_s: Limit | UnsetType | None = UNSET
    labels: Labels | UnsetType = UNSET
    mode: Literal["observe", "route"] | UnsetType = UNSET
    storage: Annotated[str, Meta(min_length=1, max_length=100)] | UnsetType | None = UNSET


Incarnation = Annotated[str, Meta(min_length=1, max_length=200)]


class ExitedBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """No process of the instance runs any more; with `incarnation`, none of that boot."""

    incarnation: Incarnation | None = None


class ExitedByUrlBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The same, of the instance at this address."""

    url: Annotated[str, Meta(min_length=1, max_length=500)]
    incarnation: Incarnation | None = None


class RebalanceBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """Spread the sessions evenly. `dry_run` only says what would move."""

    dry_run: bool = False


class ForgetBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The one route to drop from every gateway's cache."""

    account_uuid: Uuid | None = None
    session_id: Uuid | None = None


Moment = Annotated[datetime, Meta(tz=True)]


class KeyBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A new API key. Without a workspace it acts for all of them. From `expires_at` on it is refused."""

    name: Name = ""
    scope: Literal["admin", "send", "read"] = "send"
    workspace_id: Positive | None = None
    expires_at: Moment | None = None
    rate_limit: RateLimitBody | None = None


class KeyChangesBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What may be changed of a key. Null takes its end, or its limit, away."""

    name: Name | UnsetType = UNSET
    expires_at: Moment | UnsetType | None = UNSET
    rate_limit: RateLimitBody | UnsetType | None = UNSET


class RotateBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A new secret for a key. The one that it had opens for `overlap_s` more seconds."""

    overlap_s: Annotated[int, Meta(ge=0, le=30 * 86_400)] = 86_400
