"""Names that mean a session on one gateway alone: every WAHA Core calls its only session `default`.

A session's own id is ours and holds everywhere. Where a gateway family names its sessions locally, the record has the
gateway's name for it too, the *native id*: that is what the driver sends, and name and phone together say which
session a gateway means.
"""

from dataclasses import dataclass
from urllib.parse import urlsplit

from homing.model.fleet import Instance, InstanceUrl, SessionId
from homing.model.instances.gateways import DEFAULT_FAMILY


@dataclass(frozen=True, slots=True)
class NativeName:
    """One session under its gateway's own name. `person` is its phone as phones are compared."""

    session_id: SessionId
    native_id: str
    person: str | None
    instance_url: InstanceUrl | None


def names_are_local(family: str) -> bool:
    """Whether two gateways of this family may call different sessions by one name.

    In the webjs protocol names are given by Homing, or by the Laravel application, and hold everywhere.
    """
    return family != DEFAULT_FAMILY


def place_named(url: InstanceUrl, known: Instance | None = None) -> str:
    """The instance in a session's id: its name, or its host and port."""
    return known.name if known is not None and known.name else host_of(url)


def host_of(url: InstanceUrl) -> str:
    parts = urlsplit(url)
    return f"{parts.netloc.rpartition('@')[2]}{parts.path.rstrip('/')}"


def qualified(place: str, native_id: str) -> SessionId:
    """The id of a session whose plain name somebody else's session has."""
    return SessionId(f"{place}/{native_id}")
