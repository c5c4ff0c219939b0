"""How does each session stand, and what is the one sentence to say about the fleet?

A session is in one group: it can send, Homing is on it, a person has to act, it is in doubt, or it is stopped because
somebody wanted it so. The groups add up to all sessions.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import assert_never

from homing.model.alerts import AlertKind
from homing.model.fleet import PlacementState, SessionStatus


class Standing(StrEnum):
    """One word for how a session is; those that need somebody most come first."""

    LOGGED_OUT = "logged out"
    FAILED = "failed"
    QUARANTINED = "quarantined"
    WAITS = "waits for you"
    STARTING = "starting"
    MOVING = "moving"
    DOUBTFUL = "doubtful"
    UNKNOWN = "unknown"
    STOPPED = "stopped"
    CONNECTED = "connected"


class Group(StrEnum):
    """What a standing means for whoever looks after the fleet."""

    CAN_SEND = "can_send"
    UNDER_WAY = "under_way"
    NEEDS_YOU = "needs_you"
    IN_DOUBT = "in_doubt"
    STOPPED = "stopped"


GROUPS: Mapping[Standing, Group] = {
    Standing.LOGGED_OUT: Group.NEEDS_YOU,
    Standing.FAILED: Group.NEEDS_YOU,
    Standing.QUARANTINED: Group.NEEDS_YOU,
    Standing.WAITS: Group.NEEDS_YOU,
    Standing.STARTING: Group.UNDER_WAY,
    Standing.MOVING: Group.UNDER_WAY,
    Standing.DOUBTFUL: Group.IN_DOUBT,
    Standing.UNKNOWN: Group.IN_DOUBT,
    Standing.STOPPED: Group.STOPPED,
    Standing.CONNECTED: Group.CAN_SEND,
}

_WAITED_FOR = frozenset(
    {
        AlertKind.LEFT_WHERE_IT_IS,
        AlertKind.SESSION_MISSING,
        AlertKind.DUPLICATE_HOLDER,
        AlertKind.PHONE_MISMATCH,
        AlertKind.NO_CAPACITY,
    }
)
"""Conditions of a session that pass only when a person does something."""


def standing(
    status: SessionStatus, placement: PlacementState, alerts: Collection[AlertKind] = (), *, mismatched: bool = False
) -> Standing:
    """The word for a session whose status, as it is known now, is `status`."""
    ended = _ENDED.get(status)
    if ended is not None:
        return ended
    if mismatched or not _WAITED_FOR.isdisjoint(alerts):
        return Standing.WAITS
    if placement is PlacementState.MOVING:
        return Standing.MOVING
    return _alive(status, alerts)


_ENDED = {
    SessionStatus.QUARANTINED: Standing.QUARANTINED,
    SessionStatus.LOGGED_OUT: Standing.LOGGED_OUT,
    SessionStatus.STOPPED: Standing.STOPPED,
}


def _alive(status: SessionStatus, alerts: Collection[AlertKind]) -> Standing:
    match status:
        case SessionStatus.CONNECTED:
            return Standing.DOUBTFUL if AlertKind.DOUBTFUL in alerts else Standing.CONNECTED
        case SessionStatus.STARTING:
            return Standing.STARTING
        case SessionStatus.PAIRING:
            return Standing.WAITS
        case SessionStatus.DISCONNECTED | SessionStatus.FAILED:
            return Standing.FAILED
        case SessionStatus.UNKNOWN:
            return Standing.WAITS if AlertKind.SESSION_UNREACHABLE in alerts else Standing.UNKNOWN
        case SessionStatus.LOGGED_OUT | SessionStatus.QUARANTINED | SessionStatus.STOPPED:
            return _ENDED[status]
        case _:
            assert_never(status)


# --- the fleet ------------------------------------------------------------------------------------------------


class Tone(StrEnum):
    """What colour and shape a sentence has."""

    OK = "ok"
    BUSY = "busy"
    WARN = "warn"
    BAD = "bad"
    OFF = "off"


@dataclass(frozen=True, slots=True)
class Counts:
    """How many sessions there are, and how many of each group."""

    total: int = 0
    of: Mapping[Group, int] = field(default_factory=dict)

    def __getitem__(self, group: Group) -> int:
        return self.of.get(group, 0)

    @property
    def cannot_send(self) -> int:
        """Those that should be able to, and are not known to be."""
        return self[Group.UNDER_WAY] + self[Group.NEEDS_YOU] + self[Group.IN_DOUBT]


@dataclass(frozen=True, slots=True)
class FleetVerdict:
    """The sentence that is read first, and the one below it."""

    tone: Tone
    says: str
    more: str


@dataclass(frozen=True, slots=True)
class FleetConditions:
    """What a verdict depends on beside the sessions. Texts are reasons; None: it is not so."""

    braked: str | None = None
    directory_away: str | None = None
    automation: bool = True
    moves_last_hour: int | None = None


def verdict(counts: Counts, around: FleetConditions) -> FleetVerdict:
    """Whether anything is wrong, what is done about it, and whether somebody has to act."""
    if around.directory_away is not None:
        more = "Nothing is granted until it is back and one lease has passed. This is what was known last."
        return FleetVerdict(Tone.BAD, "The database is away. Sends on known routes go on.", more)
    if around.braked is not None:
        more = f"More likely it is us, or something they share. {_cannot(counts)}"
        return FleetVerdict(Tone.WARN, f"Nothing is moved: {_sentence(around.braked)}", more)
    if counts.total == 0:
        return FleetVerdict(
            Tone.OFF, "There are no sessions yet.", "Create an account, or adopt a gateway that has some."
        )
    if counts.cannot_send == 0:
        return FleetVerdict(Tone.OK, _all_well(counts), _quiet(counts, around))
    said = _cannot(counts)
    if not around.automation:
        return FleetVerdict(Tone.BAD, f"{said} Homing brings none of them back.", "Automation is off.")
    return FleetVerdict(Tone.BAD if counts[Group.NEEDS_YOU] else Tone.BUSY, said, _who(counts))


def _all_well(counts: Counts) -> str:
    if counts[Group.STOPPED] == counts.total:
        return f"{_all(counts.total)} stopped, as somebody wanted."
    if counts[Group.STOPPED]:
        return f"All {_sessions(counts[Group.CAN_SEND])} that should run can send."
    return "The one session can send." if counts.total == 1 else f"All {counts.total:,} sessions can send."


def _all(total: int) -> str:
    return "The one session is" if total == 1 else f"All {total:,} sessions are"


def _quiet(counts: Counts, around: FleetConditions) -> str:
    moved = around.moves_last_hour
    told = [_are(counts[Group.STOPPED], "stopped")] if counts[Group.STOPPED] else []
    if moved is not None:
        told.append("nothing moved in the last hour" if moved == 0 else f"{_moves(moved)} in the last hour")
    told.append("nothing is yours to do")
    return _sentence("; ".join(told))


def _cannot(counts: Counts) -> str:
    return f"{counts.cannot_send:,} of {_sessions(counts.total)} cannot send."


def _who(counts: Counts) -> str:
    told = []
    if counts[Group.UNDER_WAY]:
        told.append(f"Homing is bringing back {counts[Group.UNDER_WAY]:,}")
    if counts[Group.NEEDS_YOU]:
        told.append(f"{counts[Group.NEEDS_YOU]:,} need{'s' if counts[Group.NEEDS_YOU] == 1 else ''} you")
    if counts[Group.IN_DOUBT]:
        told.append(f"of {counts[Group.IN_DOUBT]:,} it is not known how they are")
    return _sentence("; ".join(told))


def _sessions(number: int) -> str:
    return f"{number:,} session{'' if number == 1 else 's'}"


def _moves(number: int) -> str:
    return f"{number:,} move{'' if number == 1 else 's'}"


def _are(number: int, what: str) -> str:
    return f"{number:,} {'is' if number == 1 else 'are'} {what}"


def _sentence(text: str) -> str:
    ended = text if text.endswith((".", "!", "?")) else f"{text}."
    return ended[:1].upper() + ended[1:]
