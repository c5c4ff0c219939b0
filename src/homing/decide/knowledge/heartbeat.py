"""How did a session do over the last 24 hours, half hour by half hour?"""

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from homing.decide.knowledge.standing import Standing
from homing.model.sessions.downtime import Outage


class HalfHour(StrEnum):
    """How one half hour was, by its worst moment."""

    ABSENT = "-"
    """There was no such session yet."""
    WELL = "."
    MOVED = "m"
    """It went elsewhere, and was away for less than `SHORT`."""
    DOUBT = "d"
    DOWN = "x"
    """It could not send."""


EACH = timedelta(minutes=30)
BEATS = 48
SHORT = timedelta(seconds=5)
_WORSE = {
    beat: rank
    for rank, beat in enumerate((HalfHour.ABSENT, HalfHour.WELL, HalfHour.MOVED, HalfHour.DOUBT, HalfHour.DOWN))
}
_ON_ITS_WAY = frozenset({Standing.MOVING.value, Standing.STARTING.value})


def begins(now: datetime) -> datetime:
    """When the first of the half hours begins. The last one is that of `now`, and not over."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    current = midnight + (now - midnight) // EACH * EACH
    return current - (BEATS - 1) * EACH


def heartbeat(outages: Iterable[Outage], moved_at: Iterable[datetime], created_at: datetime, now: datetime) -> str:
    """A letter of `HalfHour` for each half hour, the oldest first, from one session's outages and moves."""
    first = begins(now)
    found = [HalfHour.ABSENT if first + (at + 1) * EACH <= created_at else HalfHour.WELL for at in range(BEATS)]
    moves = sorted(moved_at)
    for at in moves:
        _mark(found, first, at, at, HalfHour.MOVED)
    for chain in _chains(outages):
        is_short_move = _is_short_move(chain, moves, now)
        for each in chain:
            beat = HalfHour.DOUBT if each.reason == Standing.DOUBTFUL.value else HalfHour.DOWN
            _mark(found, first, each.began_at, each.ended_at or now, HalfHour.MOVED if is_short_move else beat)
    return "".join(found)


def _is_short_move(chain: Sequence[Outage], moves: Sequence[datetime], now: datetime) -> bool:
    """Whether it was away for a moment, and on its way elsewhere, whatever it was moved for."""
    began, ended = chain[0].began_at, chain[-1].ended_at or now
    if ended - began >= SHORT:
        return False
    return any(each.reason in _ON_ITS_WAY for each in chain) or any(began - SHORT <= at <= ended for at in moves)


def _chains(outages: Iterable[Outage]) -> list[Sequence[Outage]]:
    """What followed upon each other without the session being able to send in between."""
    chains: list[list[Outage]] = []
    for each in sorted(outages, key=lambda outage: outage.began_at):
        if each.continues and chains:
            chains[-1].append(each)
        else:
            chains.append([each])
    return list(chains)


def _mark(found: list[HalfHour], first: datetime, began: datetime, ended: datetime, beat: HalfHour) -> None:
    begins_at, ends_at = (began - first) // EACH, (ended - first) // EACH
    for at in range(max(0, begins_at), min(BEATS - 1, ends_at) + 1):
        found[at] = max(found[at], beat, key=_WORSE.__getitem__)
