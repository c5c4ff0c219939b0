"""What is heard of sessions, and how they stand by that."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from homing.model.fleet import SessionId, WorkspaceId
from homing.model.sessions.hearing import DeepLook, HeardHour, HeardNews, HearingCase, HearingRecord, RungHistory


class Hearings(Protocol):
    """What came of each session, and what was made of it. Raises StoreUnavailable from every method."""

    async def note(self, news: Collection[HeardNews]) -> None:
        """Add what was heard, in one transaction; of any number of gateways together."""
        ...

    async def listened(self, now: datetime, *, at_most_s: float) -> datetime:
        """Somebody listens now; returns since when somebody has without a gap of `at_most_s`."""
        ...

    async def cases(self) -> list[HearingCase]:
        """The sessions that are connected where they are placed, in one SELECT, by their ids."""
        ...

    async def case(self, session_id: SessionId) -> HearingCase | None:
        """One session, if it is connected where it is placed."""
        ...

    async def unwell(self) -> list[HearingCase]:
        """Those that are doubtful or deaf, wherever they are."""
        ...

    async def hours(self, sessions: Collection[SessionId], *, since: int) -> Mapping[SessionId, Sequence[HeardHour]]:
        """Their hours from this one on, in order. Sessions of which nothing is kept are absent."""
        ...

    async def keep(self, record: HearingRecord, *, version: int, climbed: RungHistory | None = None) -> bool:
        """Keep how a session stands if its record is still the one of this version; whether it was. With it, the rung
        that began or ended goes into the history."""
        ...

    async def history(
        self, workspace: WorkspaceId | None, *, session: SessionId | None = None, limit: int
    ) -> Sequence[RungHistory]:
        """The rungs that were tried, the newest first."""
        ...

    async def keep_probes(self, session_id: SessionId, probes: Sequence[datetime]) -> None:
        """When it was sent messages to itself."""
        ...

    async def keep_look(self, session_id: SessionId, looked: DeepLook) -> None: ...

    async def void(self, session_id: SessionId, hours: Sequence[int]) -> None:
        """These hours say nothing of how much usually comes."""
        ...

    async def forget(self, *, before: int, limit: int) -> int:
        """Forget hours before this one, at most so many; returns how many."""
        ...

    async def forget_history(self, *, before: datetime, limit: int) -> int:
        """Forget rungs that began before this moment, at most so many; returns how many."""
        ...
