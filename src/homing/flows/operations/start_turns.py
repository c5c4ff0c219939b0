"""The turn of a session that somebody asks to be started where no more than so many are started within a minute."""

from math import ceil

from homing.decide.starting import start_rate
from homing.model.errors import Code, Problem
from homing.model.fleet import InstanceUrl, SessionId
from homing.ports import Clock, Directory, Fleet

WAITS_S = 20.0
"""Whoever asks over the API waits for so long for its turn, and is then told when it comes."""


class StartTurns:
    """Asked before an instance is told to start or restart a session by request."""

    def __init__(self, directory: Directory, fleet: Fleet, clock: Clock) -> None:
        self._directory, self._fleet, self._clock = directory, fleet, clock

    async def take(self, session: SessionId, url: InstanceUrl, *, waits_s: float = WAITS_S) -> None:
        """Wait for the turn and note the start. Raises Problem if the turn comes later than in `waits_s`."""
        per_min = start_rate.of(self._fleet.roster.instances.get(url), self._fleet.traits(url))
        if per_min is None:
            await self._directory.note_start(session, url)
            return
        until_s = self._clock.monotonic() + waits_s
        while (wait_s := await self._directory.claim_start(session, url, per_min=per_min)) > 0:
            if self._clock.monotonic() + wait_s > until_s:
                why = start_rate.waits(url, per_min)
                raise Problem(Code.SESSION_NOT_READY, f"The session is not started: {why}", retry_after_s=ceil(wait_s))
            await self._clock.sleep(wait_s)
