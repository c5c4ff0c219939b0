"""Which instance speaks, by all that its request says of it?

The Node service calls itself `http://localhost:PORT` on whatever host it runs (ltmoerdani/blazz, whatsapp-service,
src/utils/webhookNotifier.js), and asks for its sessions without any name. So a loopback name tells something only
where all instances are on this machine; elsewhere the path, a key of its own, or the session it speaks of must tell.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from homing.decide.reports import hints
from homing.model.fleet import Instance, InstanceUrl, Listing, NoList, SessionId, SessionList
from homing.model.sends.faults import Phase
from homing.model.urls import is_loopback

NAME_SHOWN = 200
ASKS_FOR_ITS_SESSIONS = frozenset({"webjs"})
"""Families whose gateways ask us which sessions to run, and so must be told from each other."""
SAYS_LOCALHOST = frozenset({"webjs"})
"""Families whose gateways name themselves by an address that is right on their own host only."""


class UnknownSpeakerCause(StrEnum):
    """Why nobody can say who speaks: stable words, the labels of a figure."""

    UNKNOWN_HOST = "unknown_host"
    """It names a host that no instance is known at."""
    UNKNOWN_PATH = "unknown_path"
    """The address that it calls names an instance that there is not."""
    LOOPBACK = "loopback"
    """It calls itself localhost, and no list tells which of the instances that is."""
    UNNAMED = "unnamed"
    """It asks for its sessions and says nothing of itself."""


@dataclass(frozen=True, slots=True)
class Introduced:
    """What a request says of who makes it.

    `ref` is the word in its path, `owner` the instance whose own key it shows, `named` the address that it gives
    itself. `knows_its_name`: it is ours, which registers its lease under the same address.
    """

    ref: str | None = None
    owner: InstanceUrl | None = None
    named: str | None = None
    session_id: SessionId | None = None
    knows_its_name: bool = False


@dataclass(frozen=True, slots=True)
class Speaker:
    """It is this instance."""

    url: InstanceUrl


@dataclass(frozen=True, slots=True)
class Unnamed:
    """It names nobody."""


@dataclass(frozen=True, slots=True)
class Impostor:
    """It shows the key of another instance than the address names."""

    owner: InstanceUrl
    named: InstanceUrl


@dataclass(frozen=True, slots=True)
class AskTheLists:
    """Only the lists can tell: whose list shows this session?"""

    session_id: SessionId


@dataclass(frozen=True, slots=True)
class Stranger:
    """It cannot be told who speaks. `named` is what it calls itself."""

    cause: UnknownSpeakerCause
    named: str


Introduction = Speaker | Unnamed | Impostor | AskTheLists | Stranger


def introduced(instances: Collection[Instance], told: Introduced) -> Introduction:
    """Who speaks, by path, then by key, then by name; or that only lists can tell."""
    if told.ref is not None:
        found = hints.named(instances, told.ref)
        if found is None:
            return Stranger(UnknownSpeakerCause.UNKNOWN_PATH, f"/in/{told.ref}"[:NAME_SHOWN])
        if told.owner is not None and told.owner != found.url:
            return Impostor(told.owner, found.url)
        return Speaker(found.url)
    if told.owner is not None:
        return Speaker(told.owner)
    return _by_name(instances, told) if told.named else Unnamed()


def _by_name(instances: Collection[Instance], told: Introduced) -> Introduction:
    named = told.named or ""
    found = hints.located(instances, named)
    if not is_loopback(named) or told.knows_its_name:
        return (
            Speaker(found.url) if found is not None else Stranger(UnknownSpeakerCause.UNKNOWN_HOST, named[:NAME_SHOWN])
        )
    if found is not None and not any(is_elsewhere(each) for each in instances):
        return Speaker(found.url)
    if told.session_id is None:
        return Stranger(UnknownSpeakerCause.LOOPBACK, named[:NAME_SHOWN])
    return AskTheLists(told.session_id)


def by_lists(
    session_id: SessionId, placed_on: InstanceUrl | None, listings: Mapping[InstanceUrl, Listing]
) -> InstanceUrl | None:
    """The instance that the session speaks from: where it is placed, if that lists it; else the only one that does.

    None if no one does, if several do, or if an instance that gave no list may be one more.
    """
    holders = [
        url for url, listing in listings.items() if isinstance(listing, SessionList) and session_id in listing.sessions
    ]
    if placed_on is not None and placed_on in holders:
        return placed_on
    silent = any(may_speak(listing) for listing in listings.values())
    return holders[0] if len(holders) == 1 and not silent else None


def may_speak(listing: Listing) -> bool:
    """Whether an instance that gave no list may be the one that speaks: one that refuses connections is not up."""
    refused = isinstance(listing, NoList) and listing.fault is not None and listing.fault.phase is Phase.REFUSED
    return isinstance(listing, NoList) and not refused


def is_elsewhere(instance: Instance) -> bool:
    """Whether a process on another host than this one would be wrong to call itself localhost."""
    return urlsplit(instance.url).hostname != "localhost"


def needs_a_path(instance: Instance, instances: Collection[Instance]) -> bool:
    """Whether a process of the Node service there has to be given an address of ours that says which one it is."""
    return is_elsewhere(instance) or any(is_elsewhere(each) for each in instances)
