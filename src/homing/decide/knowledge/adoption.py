"""May this session be taken up by this account, and where is it then?

What instances list is taken at its word as far as it says whose a session is: a workspace takes up its own alone, an
operator any. A session of somebody else, or of nobody known, is to a workspace like one that is taken.
"""

from collections.abc import Mapping
from dataclasses import dataclass

from homing.model.fleet import InstanceUrl, ListedSession, Listing, NoList, SessionId, SessionList, WorkspaceId

SHOWN_MAX = 20


@dataclass(frozen=True, slots=True)
class TakeUp:
    """Exactly one instance lists it, and it may be taken up there."""

    url: InstanceUrl
    row: ListedSession


@dataclass(frozen=True, slots=True)
class NotListed:
    """No instance that answered lists it. `silent`: those that gave no list, each with why."""

    silent: tuple[NoList, ...]


@dataclass(frozen=True, slots=True)
class OfOthers:
    """It is listed, and not as one of the workspace's."""


@dataclass(frozen=True, slots=True)
class Several:
    """More than one instance lists it; nobody chooses between them."""

    urls: tuple[InstanceUrl, ...]


Adoption = TakeUp | NotListed | OfOthers | Several


def adoption(
    session_id: SessionId, listings: Mapping[InstanceUrl, Listing], *, allowed: WorkspaceId | None
) -> Adoption:
    """Where the session is to be taken up. `allowed`: the workspace whose sessions may be; None: anybody's."""
    claims = {
        url: row
        for url, listing in listings.items()
        if isinstance(listing, SessionList) and (row := listing.sessions.get(session_id)) is not None
    }
    if any(not visible(row, allowed) for row in claims.values()):
        return OfOthers()
    if len(claims) > 1:
        return Several(tuple(sorted(claims)))
    if claims:
        return TakeUp(*next(iter(claims.items())))
    return NotListed(tuple(listing for listing in listings.values() if isinstance(listing, NoList)))


def visible(row: ListedSession, allowed: WorkspaceId | None) -> bool:
    """Whether this caller may know of the session."""
    return allowed is None or row.workspace_id == allowed


def shows(listing: SessionList, allowed: WorkspaceId | None) -> str:
    """What an instance lists, as far as the caller may know of it."""
    named = sorted(session for session, row in listing.sessions.items() if visible(row, allowed))
    if not named:
        return "it lists none" if allowed is None else "it lists none of this workspace"
    more = f", and {len(named) - SHOWN_MAX} more" if len(named) > SHOWN_MAX else ""
    return f"it lists {', '.join(named[:SHOWN_MAX])}{more}"
