"""The downtime ledger: when sessions could not send."""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Protocol

from homing.model.ids import SessionId, WorkspaceId
from homing.model.sessions.downtime import Outage
from homing.ports.pages import Page


class DowntimeLedger(Protocol):
    """One for all gateways: what one has written already, another writes no second time. Raises StoreUnavailable."""

    async def note(
        self,
        ended: Mapping[SessionId, datetime],
        begun: Collection[Outage],
        failed: Mapping[SessionId, int],
        *,
        at: datetime,
    ) -> None:
        """End what lasts of these sessions, then begin these, and add to the failed sends of the month of `at`.

        A session that is down already stays so from when that began. Of these some may be over: they are added as a
        whole, unless the ledger has the session down at some time in between.
        """
        ...

    async def lasting(self) -> Sequence[Outage]:
        """All that have not ended."""
        ...

    async def between(
        self,
        begins: datetime,
        ends: datetime,
        workspace: WorkspaceId | None,
        page: Page,
        *,
        session_id: SessionId | None = None,
    ) -> Sequence[Outage]:
        """All of a page's accounts that lasted at some time between; `page` counts accounts, by their ids."""
        ...

    async def of_sessions(self, sessions: Collection[SessionId], *, since: datetime) -> Sequence[Outage]:
        """All of these that lasted at some time since then, the oldest first."""
        ...

    async def failed_sends(self, month: datetime, sessions: Collection[SessionId]) -> Mapping[SessionId, int]:
        """How many sends of these failed in the month that begins then."""
        ...

    async def prune(self, *, before: datetime, limit: int) -> int:
        """Forget what ended before; returns how many."""
        ...
