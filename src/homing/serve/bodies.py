"""What requests look like. Unknown fields are refused: a misspelt one would otherwise be silently ignored."""

from typing import Annotated, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

MESSAGE_MAX = 65_536
Phone = Annotated[str, Meta(min_length=1, max_length=40)]
Name = Annotated[str, Meta(max_length=200)]
Uuid = Annotated[str, Meta(min_length=1, max_length=64)]
Positive = Annotated[int, Meta(ge=1, le=2**31 - 1)]


class SendBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A message to one person, who is named by `contact_uuid` or by `phone`."""

    account_uuid: Uuid
    message: Annotated[str, Meta(min_length=1, max_length=MESSAGE_MAX)]
    workspace_id: Positive | None = None
    contact_uuid: Uuid | None = None
    phone: Phone | None = None
    type: Annotated[str, Meta(max_length=32)] = "text"
    media_url: str | None = None
    file_name: str | None = None


class AccountBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A new account. With `start` its session is opened at once, on the least loaded healthy instance."""

    phone: Phone
    workspace_id: Positive | None = None
    name: Name = ""
    takeover: Literal["never", "manual", "auto"] | None = None
    start: bool = True


class AccountChanges(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What may be changed of an account."""

    takeover: Literal["never", "manual", "auto"] | UnsetType = UNSET


class ContactBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A new contact."""

    phone: Phone
    workspace_id: Positive | None = None
    name: Name = ""


class InstanceBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A gateway that joins the fleet. `capacity` is in sessions."""

    url: Annotated[str, Meta(min_length=1, max_length=500)]
    driver: str = "webjs"
    name: Name = ""
    capacity: Positive | None = None
    labels: dict[str, str] = {}


class ForgetBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """The one route to drop from every gateway's cache."""

    account_uuid: Uuid | None = None
    session_id: Uuid | None = None


class KeyBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """A new API key. Without a workspace it acts for all of them."""

    name: Name = ""
    scope: Literal["admin", "send", "read"] = "send"
    workspace_id: Positive | None = None
