"""What the flows need of the outbox."""

from collections.abc import Collection, Sequence
from datetime import datetime
from typing import Any, Protocol

from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.instances.events import Settlement
from homing.model.sends.history import Alike
from homing.model.sends.messages import InUse, MessageRecord, MessageState
from homing.model.sends.outbox import (
    Accepted,
    Advance,
    Batch,
    BatchState,
    InvalidLine,
    LaneStep,
    NewBatch,
    NewMessage,
    Pruned,
    Settle,
    Suppression,
)
from homing.model.sends.pacing import PaceAsked, PaceGo, PacePolicy, PaceWait


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

    async def alike(self, record: MessageRecord, ids: Collection[str]) -> Alike:
        """Which of these ids are those of other messages of its account, and how many of its words are in doubt."""
        ...

    async def found(self, settlement: Settlement) -> bool:
        """Its chat shows an unknown message; False if it is not unknown any more, or that is another's id."""
        ...

    async def remark(self, uuid: str, why: str) -> None:
        """What came of looking for an unknown message, kept with why it is unknown."""
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

    async def prune(self, *, keep_s: float, after: str, limit: int) -> Pruned:
        """Forget messages that ended longer ago than that, and then batches: looks at so many, behind `after`."""
        ...

    # --- batches ---

    async def begin_batch(self, new: NewBatch) -> Batch | None:
        """Begin to receive a batch; or the one that its key was used for before, if that was taken."""
        ...

    async def add_to_batch(self, batch: str, new: Sequence[NewMessage], invalid: Sequence[InvalidLine]) -> None:
        """Some more of its lines. Nothing of it goes before it runs."""
        ...

    async def change_batch(
        self,
        workspace: WorkspaceId | None,
        batch: str,
        to: BatchState,
        reason: str,
        *,
        fingerprint: str | None = None,
    ) -> bool:
        """Let it run, pause it, cancel or reject it; False if it is not there or not in a state to.

        `fingerprint`: of the lines, which are all there now.
        """
        ...

    async def sweep_batches(self) -> int:
        """Carry on with what was decided of batches, a part at a time; returns how many rows that touched."""
        ...

    async def batch(self, workspace: WorkspaceId | None, batch: str) -> Batch | None: ...

    async def batches(self, workspace: WorkspaceId | None, *, before: str | None, limit: int) -> list[Batch]: ...

    async def invalid_lines(self, batch: str, *, after: int, limit: int) -> list[InvalidLine]:
        """The first thousand lines of a batch that could not be sent, by their numbers."""
        ...

    # --- the pace ---

    async def set_pace(self, workspace: WorkspaceId, account: AccountUuid | None, policy: PacePolicy | None) -> None:
        """How fast the account may write, or each of the workspace that has no pace of its own. None: as it can."""
        ...

    async def pace(self, workspace: WorkspaceId, account: AccountUuid | None) -> dict[str, Any] | None:
        """The pace in force (`policy`), what is `left` of each limit, in messages, and `of` how many; None: none."""
        ...

    async def charge(self, workspace: WorkspaceId, account: AccountUuid, asked: PaceAsked) -> PaceGo | PaceWait:
        """A message goes now that did not wait in the lane: it counts in the account's pace, or has to wait."""
        ...

    async def restricted(self, workspace: WorkspaceId, account: AccountUuid) -> None:
        """WhatsApp restricts whom the account may write to: a paced one begins no new chat for a while."""
        ...

    # --- who opted out ---

    async def suppress(self, workspace: WorkspaceId, chats: Sequence[str], reason: str) -> int:
        """Note that these do not want to be written to; returns of how many that is new. Every gateway hears
        OptOutsChanged."""
        ...

    async def allow(self, workspace: WorkspaceId, chat: str) -> bool:
        """They may be written to again; False if they always could. Every gateway hears OptOutsChanged."""
        ...

    async def suppressed(self, workspace: WorkspaceId, *, after: str, limit: int) -> list[Suppression]: ...

    async def workspaces_with_suppressions(self) -> set[WorkspaceId]:
        """Those on whose list somebody is."""
        ...

    async def suppressed_chats(self, workspace: WorkspaceId, *, limit: int) -> list[str]:
        """Whom a send must not reach, so many at most."""
        ...

    async def is_suppressed(self, workspace: WorkspaceId, chat: str) -> bool:
        """Whether a send must not reach them."""
        ...
