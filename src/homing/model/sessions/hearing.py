"""Whether a session that calls itself connected is heard of: what came of it, when, and what was made of that."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from typing import NamedTuple

from homing.model.fleet import (
    AccountUuid,
    DeafPolicy,
    InstanceUrl,
    Placement,
    SessionId,
    SessionStatus,
    Takeover,
    WorkspaceId,
)


class Hearing(StrEnum):
    """What was made of a connected session. Only a deaf one is treated; a doubtful one is told."""

    HEARING = "hearing"
    DOUBTFUL = "doubtful"
    DEAF = "deaf"


class HeardHour(NamedTuple):
    """One hour of a session in which something came. `hour` counts hours since 1970 (UTC).

    `longest_gap_s` is the longest time between two messages of it, where the later one came in this hour; one that is
    longer than an hour is not counted. `void`: the session was doubtful then, and the hour says nothing of how much
    usually comes.
    """

    hour: int
    came: int
    longest_gap_s: float
    void: bool = False


@dataclass(frozen=True, slots=True)
class Baseline:
    """How much usually comes, by the session's own past weeks.

    `low` is how many messages come at the least in each of the week's 168 hours (hour 0 is the first of a Thursday,
    UTC, as 1970 began): a lower quartile of the past weeks, 0.0 where too little is known. `clumping` is how many
    messages are to be counted as one, since they come in bursts; at least 1. `lulls` is the share of busy hours that
    were silent from beginning to end although the hour before was not.
    """

    low: tuple[float, ...]
    clumping: float
    lulls: float = 0.0
    weeks: float = 0.0


@dataclass(frozen=True, slots=True)
class Outgoing:
    """What became of the messages that went out through the session, as its own reports tell.

    `unacknowledged` are the moments of those that came after the newest acknowledgement, the earliest first, a few at
    most. `acknowledged_share` is how many of those before it were acknowledged; None where too few are known.
    """

    unacknowledged: Sequence[datetime] = ()
    acknowledged_at: datetime | None = None
    acknowledged_share: float | None = None


@dataclass(frozen=True, slots=True)
class DeepLook:
    """What the family's deeper question said of a session that is listed as connected.

    `failed` counts how often in a row it said that the session does not work; `since_at` is the first of those.
    """

    at: datetime
    failed: int = 0
    since_at: datetime | None = None
    said: str = ""


@dataclass(frozen=True, slots=True)
class Neighbours:
    """The other sessions of the same instance, since nothing comes of any of them.

    `expected` is how many bursts should have come meanwhile of all of them; `sessions` how many would usually have been
    heard of.
    """

    sessions: int = 0
    expected: float = 0.0
    since_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HeardOf:
    """All that is known of one connected session when it is judged.

    `since_at`: nothing before this moment counts: it was not connected where it is, nobody listened, or something was
    tried with it. `last_at` is when the newest message came that was no replay.
    """

    session_id: SessionId
    since_at: datetime
    last_at: datetime | None = None
    hours: Sequence[HeardHour] = ()
    baseline: Baseline | None = None
    outgoing: Outgoing = Outgoing()
    looked: DeepLook | None = None
    neighbours: Neighbours = Neighbours()
    probes: Sequence[datetime] = ()
    """When it was sent messages to itself, the earliest first."""


class Shows(StrEnum):
    """What speaks against a session."""

    SILENCE = "silence"
    UNACKNOWLEDGED = "unacknowledged"
    PROBE = "probe"
    DEEP_LOOK = "deep_look"
    INSTANCE = "instance"


@dataclass(frozen=True, slots=True)
class HearingVerdict:
    """What is made of a session, why in one sentence, and how surely: `against` is the natural logarithm of how
    unlikely what is seen would be of a session that hears."""

    hearing: Hearing
    reason: str
    against: float = 0.0
    shows: frozenset[Shows] = frozenset()


# --- the ladder -----------------------------------------------------------------------------------------------


class Rung(StrEnum):
    """What can be tried with a deaf session, the gentlest first."""

    CHECK = "check"
    RESUBSCRIBE = "resubscribe"
    RECONNECT = "reconnect"
    RESTART = "restart"
    REHOME = "rehome"
    RECYCLE = "recycle"
    ALERT = "alert"


@dataclass(frozen=True, slots=True)
class TriedRung:
    """One rung that was gone up for a session. `ended_at` is None while it is under way, or its gateway was killed."""

    rung: Rung
    began_at: datetime
    ended_at: datetime | None = None
    result: str = ""


@dataclass(frozen=True, slots=True)
class RungHistory:
    """One rung as it stays known: with which session, where, and why it was tried."""

    session_id: SessionId
    account_id: int
    workspace_id: WorkspaceId
    instance_url: InstanceUrl
    tried: TriedRung
    reason: str


@dataclass(frozen=True, slots=True)
class HearingRecord:
    """How a session stands, as it is kept. `since_at` is since when it stands so; `tried` the rungs since then."""

    session_id: SessionId
    hearing: Hearing
    reason: str
    since_at: datetime
    against: float = 0.0
    shows: frozenset[Shows] = frozenset()
    tried: tuple[TriedRung, ...] = ()
    instance_url: InstanceUrl | None = None


@dataclass(frozen=True, slots=True)
class HeardNews:
    """What one gateway heard of a session since it last wrote that down.

    `came` are messages by hour with the longest gap; `outgoing` the moments of messages that went out and were not
    acknowledged since; `acknowledged_at` the newest acknowledgement, before which none of them lies.
    """

    session_id: SessionId
    last_at: datetime | None = None
    came: Mapping[int, tuple[int, float]] = field(default_factory=dict)
    sent: int = 0
    acknowledged: int = 0
    unacknowledged: tuple[datetime, ...] = ()
    acknowledged_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class HearingCase:
    """A session that should be connected, with all that is kept of what was heard of it, to be judged.

    `since_at` is when its status or place last changed; `policy` its account's or workspace's own, None where neither
    says. `settled` and `acknowledged` count messages that went out; `version` is of the record as it was read.
    """

    account_id: int
    account_uuid: AccountUuid
    workspace_id: WorkspaceId
    phone: str
    placement: Placement
    status: SessionStatus
    takeover: Takeover
    since_at: datetime
    policy: DeafPolicy | None
    record: HearingRecord
    last_at: datetime | None = None
    unacknowledged: tuple[datetime, ...] = ()
    acknowledged_at: datetime | None = None
    settled: int = 0
    acknowledged: int = 0
    looked: DeepLook | None = None
    version: int = 0
    probes: tuple[datetime, ...] = ()

    @property
    def session_id(self) -> SessionId:
        return self.placement.session_id

    @property
    def instance_url(self) -> InstanceUrl:
        assert self.placement.instance_url is not None
        return self.placement.instance_url
