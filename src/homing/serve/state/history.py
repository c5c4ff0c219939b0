"""How it was: sends, sessions and moves of the last 24 hours, in ring buffers in memory.

Of sends and sessions there is one sample every ten seconds, of moves a count for each minute. Both have a fixed length,
whatever the fleet does.
"""

from collections import Counter, deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from enum import StrEnum

from homing.decide.knowledge.standing import Counts, Group
from homing.model.fleet import Move, MoveKind
from homing.serve.gateway import Gateway

EVERY_S = 10.0
KEPT = 8_640
MINUTES_KEPT = 1_440
DAY = timedelta(hours=24)


class Cause(StrEnum):
    """Why a session moved, as it is plotted."""

    LOST = "lost"
    PLANNED = "planned"
    FOUND = "found"


CAUSES: Mapping[MoveKind, Cause | None] = {
    MoveKind.REHOME: Cause.LOST,
    MoveKind.TAKE_BACK: Cause.LOST,
    MoveKind.MIGRATION: Cause.PLANNED,
    MoveKind.REDISCOVERY: Cause.FOUND,
    MoveKind.PLACEMENT: None,
}
"""A first placement is no move."""


@dataclass(frozen=True, slots=True)
class Sample:
    """What stood at one moment: `sent` and `not_sent` are per second since the sample before."""

    at: datetime
    sent: float
    not_sent: float
    can_send: int
    under_way: int
    needs_you: int
    in_doubt: int
    stopped: int

    @property
    def cannot_send(self) -> int:
        return self.under_way + self.needs_you + self.in_doubt


class SampleHistory:
    """The samples of this process. What was before it started, and while it did not run, is a gap."""

    def __init__(self) -> None:
        self._samples: deque[Sample] = deque(maxlen=KEPT)
        self._before: tuple[datetime, dict[str, float]] | None = None

    def note(self, now: datetime, counts: Counts, gateway: Gateway) -> None:
        """Take a sample if it is time to."""
        if self._before is not None and (now - self._before[0]).total_seconds() < EVERY_S:
            return
        sends = gateway.metrics.sends_by_outcome()
        if self._before is not None:
            self._samples.append(_sample(now, counts, self._before, sends))
        self._before = (now, sends)

    def add(self, sample: Sample) -> None:
        self._samples.append(sample)

    def over(self, now: datetime, span: timedelta, at_most: int) -> list[Sample]:
        """The samples of a time, no more than `at_most`: of several that fall together, the mean of the sends and the
        sessions as they stood when most could not send. The numbers of each still add up."""
        width = max(span / at_most, timedelta(seconds=EVERY_S))
        if width.total_seconds() <= EVERY_S:
            return [each for each in self._samples if each.at > now - span]
        together: dict[int, list[Sample]] = {}
        for each in self._samples:
            if each.at > now - span:
                together.setdefault((now - each.at) // width, []).append(each)
        return [_merged(each, now - width * number) for number, each in together.items()]


def _sample(
    now: datetime, counts: Counts, before: tuple[datetime, dict[str, float]], sends: dict[str, float]
) -> Sample:
    took_s = max(0.1, (now - before[0]).total_seconds())
    failed = sends["not_sent"] + sends["unknown"] - before[1]["not_sent"] - before[1]["unknown"]
    return Sample(
        now,
        (sends["sent"] - before[1]["sent"]) / took_s,
        failed / took_s,
        counts[Group.CAN_SEND],
        counts[Group.UNDER_WAY],
        counts[Group.NEEDS_YOU],
        counts[Group.IN_DOUBT],
        counts[Group.STOPPED],
    )


def _merged(samples: Sequence[Sample], at: datetime) -> Sample:
    worst, number = max(samples, key=lambda each: each.cannot_send), len(samples)
    return Sample(
        at,
        sum(each.sent for each in samples) / number,
        sum(each.not_sent for each in samples) / number,
        worst.can_send,
        worst.under_way,
        worst.needs_you,
        worst.in_doubt,
        worst.stopped,
    )


class MoveHistory:
    """How many sessions moved in each minute, by cause. A move counts when it was begun."""

    def __init__(self) -> None:
        self._minutes: dict[int, Counter[Cause]] = {}

    def note(self, moves: Iterable[Move], now: datetime) -> None:
        """Count moves that were not counted yet."""
        for move in moves:
            cause = CAUSES[move.kind]
            if cause is not None and now - move.at < DAY:
                self._minutes.setdefault(_minute(move.at), Counter())[cause] += 1
        over = _minute(now) - MINUTES_KEPT
        for minute in [each for each in self._minutes if each <= over]:
            del self._minutes[minute]

    def over(self, now: datetime, span: timedelta, step: timedelta) -> list[tuple[datetime, Counter[Cause]]]:
        """The steps of a time in which something moved, each by its end, with the moves in it."""
        size = max(1, int(step.total_seconds() // 60))
        first, found = _minute(now - span), dict[int, Counter[Cause]]()
        for minute, counted in self._minutes.items():
            if minute > first:
                found.setdefault(minute // size, Counter()).update(counted)
        return [(_ends(number, size, now), found[number]) for number in sorted(found)]


def _minute(at: datetime) -> int:
    return int(at.timestamp() // 60)


def _ends(number: int, size: int, now: datetime) -> datetime:
    return min(now, datetime.fromtimestamp((number + 1) * size * 60, UTC))
