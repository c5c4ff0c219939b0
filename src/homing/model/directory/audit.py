"""Who changed what: the acts of people and programs, and the log of what they came to."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import Any

from homing.model.fleet import WorkspaceId


class Via(StrEnum):
    """How an act reached us."""

    API = "api"
    COMMAND = "command"
    START = "start"


@dataclass(frozen=True, slots=True)
class Act:
    """One request or one command. All that changes by it is in the log under its `id`.

    `actor` is the key's name, or the user of the machine; `origin` the address or the host that it came from.
    """

    id: str
    via: Via
    actor: str
    request: str
    origin: str = ""
    key_id: str | None = None
    workspace_id: WorkspaceId | None = None


acting: ContextVar[Act | None] = ContextVar("acting", default=None)
"""The act that is being carried out; None in whatever a gateway does by itself."""


@contextmanager
def carrying_out(act: Act | None) -> Iterator[None]:
    """What changes within the block changes by this act, or, with None, by nobody's."""
    before = acting.set(act)
    try:
        yield
    finally:
        acting.reset(before)


@dataclass(frozen=True, slots=True)
class Entry:
    """One change, as it stands in the log.

    A bulk change is one entry: `count` things, and the `digest` of which they were. `chain` ties the entry to the one
    before it, under the secret that `keyed_by` names; None until that was done, which is within a minute.
    """

    id: int
    at: datetime
    act: Act
    action: str
    subject: str
    before: Mapping[str, Any] | None = None
    after: Mapping[str, Any] | None = None
    count: int = 1
    digest: str | None = None
    chain: str | None = None
    keyed_by: str | None = None


class Mark(StrEnum):
    """Where the log begins, and where its chain ends."""

    START = "start"
    HEAD = "head"


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """A signed word on the chain: `chain` is its value at the entry `entry_id`.

    The start is left by retention: `entries` were removed, up to that entry. The head is its newest entry, and
    `entries` is how many were ever chained.
    """

    mark: Mark
    entry_id: int
    chain: str
    entries: int
    at: datetime
    keyed_by: str
    signature: str


@dataclass(frozen=True, slots=True)
class Broken:
    """The first entry where the log is not what was written, and what is wrong with it."""

    entry_id: int
    reason: str


@dataclass(frozen=True, slots=True)
class ChainVerdict:
    """What going along the whole chain came to.

    `waiting` entries are not chained yet. `unkeyed` ones are chained without a secret: that finds accidents, and nobody
    who knows how it is done.
    """

    entries: int
    waiting: int
    unkeyed: int
    removed: int
    head: Checkpoint | None
    broken: Broken | None = field(default=None)

    @property
    def holds(self) -> bool:
        return self.broken is None
