"""Sessions that are on their way, and that nobody brings to its end: their job was given up, or taken back too late.

For as long as its placement is `moving` a session is served by nobody, and its messages wait. Whatever the reason, the
way is taken up again: back to where it was if that still has it, to where it was granted, or elsewhere.
"""

from collections.abc import Sequence

import structlog

from homing.decide.moves.next_step import MoveCause, MoveRequest
from homing.flows.background.alerts import AlertBook, Unkept
from homing.flows.moves.move_jobs import KIND
from homing.flows.moves.requests import MoveRequests
from homing.model.alerts import FLEET, AlertKind
from homing.model.fleet import Placement
from homing.model.work import Job, JobState
from homing.ports import Clock, Directory, StoreUnavailable, Work

log = structlog.get_logger("homing")

LOOK_EVERY_S = 2.0
LONG_S = 5.0
"""An attempt that goes well is over long before, and one whose gateway died has been taken over."""
DEAD_REST_S = 60.0
AT_ONCE = 1_000
_NAMED = 5


class Strays:
    """Every gateway looks; of each session there is one job at most."""

    def __init__(
        self, directory: Directory, work: Work, wishes: MoveRequests, clock: Clock, alerts: AlertBook | None = None
    ) -> None:
        self._directory, self._work, self._wishes, self._clock = directory, work, wishes, clock
        self._alerts = alerts or AlertBook(Unkept(), clock)

    async def run(self) -> None:
        """Look until cancelled."""
        while True:
            await self._clock.sleep(LOOK_EVERY_S)
            try:
                await self.look()
            except StoreUnavailable as error:
                log.warning("Sessions on their way could not be looked after", error=str(error))

    async def look(self) -> int:
        """Wish for those that nobody brings; answers how many. Raises StoreUnavailable."""
        adrift = await self._directory.adrift(for_s=LONG_S, limit=AT_ONCE)
        jobs = await self._work.open_of(KIND, [placement.session_id for placement in adrift])
        stray = [placement for placement in adrift if not self._is_seen_to(jobs.get(placement.session_id))]
        if not adrift:
            self._alerts.resolved(AlertKind.ADRIFT, FLEET)
        return await self._bring(stray) if stray else 0

    def _is_seen_to(self, job: Job | None) -> bool:
        if job is None or job.finished_at is None:
            return job is not None
        return job.state is JobState.DEAD and (self._clock.now() - job.finished_at).total_seconds() < DEAD_REST_S

    async def _bring(self, stray: Sequence[Placement]) -> int:
        # Not from where it is: it is under way already, whatever it left for, and no matter who may take it over.
        wishes = [
            MoveRequest(
                each.session_id, MoveCause.MISSING, f"nobody brings it to {each.instance_url}", None, each.epoch
            )
            for each in stray
        ]
        new = await self._wishes.want(wishes)
        if new:
            named = ", ".join(sorted(each.session_id for each in stray)[:_NAMED])
            self._alerts.raised(AlertKind.ADRIFT, FLEET, f"taken up again: {named}", sessions=new)
        return new
