"""What a gateway would know of one account: what came, when, and what was acknowledged."""

from collections import deque
from datetime import datetime, timedelta
from itertools import accumulate

from homing.decide.hearing import baseline, outgoing
from homing.lab.deaf.lives import BEGIN, DAY_S, HOUR_S
from homing.model.fleet import SessionId
from homing.model.sessions.hearing import Baseline, DeepLook, HeardHour, HeardOf, Hearing, HearingRecord, Outgoing

_HOUR_ZERO = baseline.hour_of(BEGIN)
_KEPT = (baseline.WEEKS_KEPT + 1) * baseline.HOURS
_SUSPICIOUS = 5.0
"""Fewer missing bursts than these make no session doubtful by themselves."""
_SPACED_S = outgoing.SPACED.total_seconds()


def moment(at_s: float) -> datetime:
    return BEGIN + timedelta(seconds=at_s)


class KnownSession:
    """One session as it is known from outside. Seconds are those of virtual time."""

    def __init__(self, name: str, born_s: float) -> None:
        self.since_s = born_s
        self.last_s: float | None = None
        self.record = HearingRecord(SessionId(name), Hearing.HEARING, "", moment(born_s))
        self.base: Baseline | None = None
        self.looked: DeepLook | None = None
        self._hours: deque[HeardHour] = deque(maxlen=_KEPT)
        self._void: set[int] = set()
        self._hour, self._came, self._gap = int(born_s // HOUR_S), 0, 0.0
        self._sent = self._unsettled = self._acknowledged = 0
        self._pending: list[float] = []
        self._acknowledged_s: float | None = None
        self._learnt_day = -1
        self._busy, self._sums = [0.0], [0.0]

    def message(self, at_s: float) -> None:
        hour = int(at_s // HOUR_S)
        if hour != self._hour:
            self._turn(hour)
        if self.last_s is not None:
            gap = at_s - self.last_s
            if self._gap < gap <= HOUR_S:
                self._gap = gap
        self._came += 1
        self.last_s = at_s

    def sent(self, at_s: float) -> None:
        self._unsettled += 1
        if not self._pending or at_s - self._pending[-1] >= _SPACED_S:
            self._pending = [*self._pending, at_s][-outgoing.KEPT :]

    def acknowledged(self, at_s: float) -> None:
        self._sent += min(self._unsettled, outgoing.SETTLED_AT_ONCE)
        self._unsettled = 0
        self._acknowledged += 1
        self._acknowledged_s = at_s
        self._pending = []

    def hour(self, at_s: float) -> None:
        """An hour has passed: what is usual is learnt anew once a day."""
        hour, day = int(at_s // HOUR_S), int(at_s // DAY_S)
        self._turn(hour)
        if self.record.hearing is not Hearing.HEARING:
            self._void.add(hour + _HOUR_ZERO)
        if day != self._learnt_day:
            self._learnt_day = day
            self.base = baseline.learn(self._rows(), moment(at_s))
            self._busy = [each if each >= baseline.BUSY else 0.0 for each in self.base.low]
            self._sums = [0.0, *accumulate(self._busy)]

    def suspicious(self, at_s: float) -> bool:
        """Whether it could be anything but hearing: costs less than a judgment."""
        if self.looked is not None and self.looked.failed:
            return True
        if len(self._pending) >= 3 and at_s - self._pending[2] >= 300:
            return True
        if self.base is None:
            return False
        begin = max(self.since_s, self.last_s or 0.0)
        missed = self._usual_until(at_s) - self._usual_until(begin)
        return missed / self.base.clumping >= _SUSPICIOUS

    def _usual_until(self, at_s: float) -> float:
        """How many messages usually come in busy hours, from the beginning of time."""
        hours = at_s / HOUR_S + _HOUR_ZERO
        weeks, hour = divmod(int(hours), baseline.HOURS)
        return weeks * self._sums[-1] + self._sums[hour] + self._busy[hour] * (hours % 1)

    def void_since(self, at_s: float) -> None:
        """It is not well: what did not come since it was last heard of says nothing of what usually does."""
        begin = int((self.last_s if self.last_s is not None else at_s) // HOUR_S)
        self._void |= {hour + _HOUR_ZERO for hour in range(begin, int(at_s // HOUR_S) + 1)}

    def of(self, family_share: float | None) -> HeardOf:
        """All that is known of it now."""
        share = outgoing.share(self._sent, self._acknowledged, family_share)
        last = self._acknowledged_s
        return HeardOf(
            session_id=self.record.session_id,
            since_at=moment(self.since_s),
            last_at=None if self.last_s is None else moment(self.last_s),
            hours=self._lately(),
            baseline=self.base,
            outgoing=Outgoing([moment(each) for each in self._pending], None if last is None else moment(last), share),
            looked=self.looked,
        )

    def _turn(self, hour: int) -> None:
        if hour == self._hour:
            return
        if self._came:
            row = HeardHour(self._hour + _HOUR_ZERO, self._came, self._gap)
            self._hours.append(row)
        self._hour, self._came, self._gap = hour, 0, 0.0

    def _rows(self) -> list[HeardHour]:
        rows = [each._replace(void=each.hour in self._void) for each in self._hours]
        heard = {each.hour for each in rows}
        return rows + [HeardHour(hour, 0, 0.0, True) for hour in sorted(self._void - heard)]

    def _lately(self) -> list[HeardHour]:
        now = HeardHour(self._hour + _HOUR_ZERO, self._came, self._gap)
        return [*list(self._hours)[-12:], now]
