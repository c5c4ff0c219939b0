"""What usually comes of each session, learnt once a day and remembered."""

from collections.abc import Sequence
from datetime import datetime

from homing.decide.hearing import baseline
from homing.model.fleet import SessionId
from homing.model.sessions.hearing import Baseline
from homing.ports import Clock
from homing.ports.sessions.hearing import Hearings

LEARNT_AT_ONCE = 200
"""Baselines that are learnt in one round: ten thousand sessions are known within the hour after a start."""
_PAUSE_AFTER = 20


class Baselines:
    """The baselines of all sessions that are judged."""

    def __init__(self, store: Hearings, clock: Clock) -> None:
        self._store, self._clock = store, clock
        self._learnt: dict[SessionId, tuple[int, Baseline]] = {}

    def of(self, session: SessionId) -> Baseline | None:
        known = self._learnt.get(session)
        return known[1] if known is not None else None

    async def learn(self, sessions: Sequence[SessionId], now: datetime) -> None:
        """Learn anew of those whose baseline is of an earlier day, some of them at a time. Raises StoreUnavailable."""
        today = baseline.hour_of(now) // 24
        gone = self._learnt.keys() - set(sessions)
        for session in gone:
            del self._learnt[session]
        old = [each for each in sessions if self._learnt.get(each, (-1, None))[0] != today][:LEARNT_AT_ONCE]
        if not old:
            return
        hours = await self._store.hours(old, since=baseline.hour_of(now) - baseline.WEEKS_KEPT * baseline.HOURS)
        for number, session in enumerate(old, start=1):
            self._learnt[session] = today, baseline.learn(hours.get(session, ()), now)
            if number % _PAUSE_AFTER == 0:
                await self._clock.sleep(0)  # whoever sends is not kept waiting
