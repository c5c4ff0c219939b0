"""What instances report, as it is stored."""

from collections.abc import Collection
from datetime import datetime
from typing import Protocol

from homing.model.fleet import AccountUuid, InstanceUrl, SessionId, WorkspaceId
from homing.model.instances.events import DeliveryEvidence, Event, Meaning, Report, Signed, Taken
from homing.ports.pages import Page


class Events(Protocol):
    """What instances reported, in the order of its storing. Raises StoreUnavailable."""

    async def store(
        self,
        report: Report,
        *,
        event_id: str,
        at: datetime,
        meaning: Meaning,
        signed: Signed | None,
        sign: DeliveryEvidence | None,
    ) -> Taken:
        """Store the report unless its signature or its meaning is there already; one transaction.

        The account and workspace are those of the session in the directory. A signature is remembered with the event
        it brought, never without one. The unknown send that `sign` tells of becomes a sent one. Every gateway hears
        EventsStored.
        """
        ...

    async def page(
        self,
        workspace: WorkspaceId | None,
        page: Page,
        *,
        kind: str | None = None,
        session_id: SessionId | None = None,
        account_uuid: AccountUuid | None = None,
        aside: bool = False,
    ) -> list[Event]:
        """Events by sequence, oldest first; without a workspace also those that belong to none.

        `aside`: one of many pages of old events, in no hurry, that keeps nobody else waiting.

        What is not there when a page is read never appears before the page's last row later on.
        """
        ...

    async def event(self, id: str) -> Event | None: ...

    async def newest(self, session_id: SessionId, kind: str, *, told_by: InstanceUrl) -> Event | None:
        """The newest event of its kind that this instance told of the session."""
        ...

    async def unseen_since(self, kinds: Collection[str], *, after: int, until: int) -> list[Event]:
        """Events of these kinds, numbered above `after` and up to `until`, about a session that nobody has seen at the
        instance of its record since they were received; oldest first."""
        ...

    async def last_sequence(self) -> int:
        """The newest event's; 0 if there was none yet."""
        ...

    async def prune(self, now: datetime, *, keep_since: datetime, limit: int) -> int:
        """Forget signatures that are too old to be sent again, and at most so many older events; returns how many."""
        ...
