"""What the flows need of the outbox."""

from datetime import datetime
from typing import Protocol

from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.outbox import Accepted, Advance, LaneStep, NewMessage, Settle
from homing.model.sends.messages import InUse, MessageRecord, MessageState


class LaneLost(Exception):
    """The lane is another gateway's by now: nothing was changed, and nothing of it may be sent from here."""


class Outbox(Protocol):
    """Messages that were accepted and are not finished. Raises StoreUnavailable; times are by the store's clock."""

    async def accept(self, message: NewMessage) -> Accepted | InUse:
        """Keep the message, and see to it that its lane is worked on; or say what its key was used for before.

        Once this returns, the message will be sent, or end in a state that says why not. All of it or nothing is kept.
        """
        ...

    async def advance(self, step: LaneStep) -> Advance:
        """One step of a lane, in one transaction: what ended is written down, and what goes next is marked.

        Raises LaneLost.
        """
        ...

    async def cancel(self, workspace: WorkspaceId | None, uuid: str) -> bool:
        """Take back a message that has not left; False if there is none such."""
        ...

    async def go(self, workspace: WorkspaceId | None, account: AccountUuid) -> int:
        """Send what was held after the account was paired anew; returns how many."""
        ...

    async def settle(self, workspace: WorkspaceId | None, uuid: str, how: Settle, by: str) -> bool:
        """What a person says of an unknown message; False if there is none such."""
        ...

    async def waiting(self, account: AccountUuid) -> dict[MessageState, int]:
        """How many of the account's messages are in each state that something may still come of."""
        ...

    async def page(
        self,
        workspace: WorkspaceId | None,
        *,
        before: str | None,
        limit: int,
        account: AccountUuid | None = None,
        state: MessageState | None = None,
        since: datetime | None = None,
        until: datetime | None = None,
        batch: str | None = None,
    ) -> list[MessageRecord]:
        """Newest first; `before` is the uuid below which to go on."""
        ...
