"""Which instance is speaking, and what should follow from its hint that a session came, went or changed?"""

from collections.abc import Collection
from dataclasses import dataclass, replace

from homing.decide.knowledge.reconcile import AtHome, Judgement, PlacedElsewhere, SetAside, Unlinked
from homing.decide.reports.meanings import ARRIVED
from homing.model.fleet import Instance, InstanceUrl, Rebinding, SessionId, SessionStatus
from homing.model.urls import normal, origin_key

LOOK_AGAIN_AFTER_S = (0.5, 1.0, 2.0)
"""An instance may speak before its list shows what it says. After the last of these the periodic sync has its turn."""


@dataclass(frozen=True, slots=True)
class Hint:
    """An instance said something that may concern where its session is. No more than a reason to look."""

    session_id: SessionId
    kind: str
    sender: InstanceUrl | None
    phone: str | None = None
    """The phone that it reports for the session, if it does."""

    @property
    def source(self) -> str:
        """Who hinted at what, for the log of moves."""
        return f"{self.kind} from {self.sender or 'an instance that did not name itself'}"


def named(instances: Collection[Instance], ref: str) -> Instance | None:
    """The instance behind a word in a path: its number, its name, or its `host:port`."""
    by_number = next((each for each in instances if str(each.id) == ref), None)
    by_name = next((each for each in instances if each.name and each.name == ref), None)
    spellings = {key for scheme in ("http", "https") if (key := _origin(f"{scheme}://{ref}")) is not None}
    by_origin = next((each for each in instances if origin_key(each.url) in spellings), None)
    return by_number or by_name or by_origin


def located(instances: Collection[Instance], url: str) -> Instance | None:
    """The known instance at an address, however it is spelt. An unknown address is nobody, and is never called."""
    try:
        wanted = normal(url)
    except ValueError:
        return None
    return next((each for each in instances if each.url == wanted), None)


def newest(earlier: Hint, later: Hint) -> Hint:
    """Which of two hints at one session is to be followed: the later one, except that an arrival outlasts a departure
    from somewhere else. A session that moves is told of by both ends, and only the arrival says where to look."""
    outlasts = earlier.kind in ARRIVED and later.kind not in ARRIVED and earlier.sender != later.sender
    return earlier if outlasts else later


def look_again_after_s(
    hint: Hint,
    looks: int,
    judgement: Judgement,
    home: InstanceUrl | None,
    *,
    corrected: bool,
    ended: bool = False,
) -> float | None:
    """How long to wait for the lists to show what the sender announced; None if there is nothing to wait for.

    `looks` were made so far; `home` is the instance of the record when the last one was, and `corrected` whether that
    look changed the record: another change may have come before. `ended`: the holder reported that the link has ended.
    """
    if ended and looks <= len(LOOK_AGAIN_AFTER_S) and not isinstance(judgement, Unlinked | SetAside):
        # Its list is behind its report, or could not be read.
        return LOOK_AGAIN_AFTER_S[looks - 1]
    if hint.kind not in ARRIVED or hint.sender is None or looks > len(LOOK_AGAIN_AFTER_S):
        return None
    if isinstance(judgement, SetAside):
        return None
    at_home = isinstance(judgement, AtHome) and home == hint.sender
    moved_there = corrected and isinstance(judgement, PlacedElsewhere) and judgement.change.instance_url == hint.sender
    return None if at_home or moved_there else LOOK_AGAIN_AFTER_S[looks - 1]


def explained(change: Rebinding, hint: Hint) -> Rebinding:
    """The change, with what led to it."""
    return replace(change, reason=f"{hint.source}: {change.reason}")


def new_status(known: SessionStatus, listed: SessionStatus) -> SessionStatus | None:
    """The status to record after the session was seen at home; None to leave it.

    What somebody asked for (stopped, logged out) is not overwritten by the going down that follows from it, and what is
    in quarantine leaves it by an operator's word alone.
    """
    if known is SessionStatus.QUARANTINED:
        return None
    ended = known in (SessionStatus.STOPPED, SessionStatus.LOGGED_OUT)
    going_down = listed in (SessionStatus.DISCONNECTED, SessionStatus.FAILED, SessionStatus.STOPPED)
    if listed in (known, SessionStatus.UNKNOWN) or (ended and going_down):
        return None
    return listed


def _origin(url: str) -> str | None:
    try:
        return origin_key(normal(url))
    except ValueError:
        return None
