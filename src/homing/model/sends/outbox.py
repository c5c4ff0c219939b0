"""The outbox: messages that were accepted and are not finished, the lanes that they wait in, and batches of them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum
from typing import Any

from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.sends.history import HandOver
from homing.model.sends.messages import MessageState, StoredAnswer
from homing.model.sends.sending import Text

OPEN = (MessageState.ACCEPTED, MessageState.HELD, MessageState.DISPATCHING, MessageState.UNKNOWN)
"""States that something may still come of."""


@dataclass(frozen=True, slots=True)
class OutboxKey:
    """The idempotency key that a message was accepted with, and the answer that is given again."""

    key: str
    fingerprint: str
    answer: StoredAnswer
    keep_s: float


@dataclass(frozen=True, slots=True)
class NewMessage:
    """A message about to be accepted: `text` with its WhatsApp id chosen and its content frozen.

    `chat`: whose messages go one after the other. `after_s`: how many seconds from now on it may go, `max_age_s`: how
    long after that it is worth sending. `batch_id`: the batch that keeps it until its lane has room.
    """

    text: Text
    chat: str
    content: Mapping[str, Any]
    after_s: float
    max_age_s: float
    key: OutboxKey | None = None
    batch_id: str | None = None
    trace_id: str | None = None


@dataclass(frozen=True, slots=True)
class Accepted:
    """It is in the outbox, under this uuid."""

    message_uuid: str


@dataclass(frozen=True, slots=True)
class LaneClaim:
    """A gateway's right to dispatch an account's messages: the job that it claimed, with its fence."""

    job_id: int
    fence: int
    account_uuid: AccountUuid
    workspace_id: WorkspaceId


@dataclass(frozen=True, slots=True)
class Dispatching:
    """A message that was marked `dispatching`: from here on it may have left.

    `text.repeated`: an attempt before this one may have sent it.
    """

    text: Text
    chat: str
    due_at: datetime
    typing_s: float = 0.0
    """So long somebody is shown typing before it leaves."""
    interrupted_at: datetime | None = None
    """When a gateway that did not live to say how it went had marked it."""


@dataclass(frozen=True, slots=True)
class MessageEnding:
    """How a dispatch ended. `state` is `accepted` where it did not leave and is tried again."""

    message_uuid: str
    state: MessageState
    code: str | None
    reason: str
    instance_url: str | None = None
    message_id: str | None = None
    given: HandOver | None = None
    """When it may have left, where that is not known."""


@dataclass(frozen=True, slots=True)
class LaneStep:
    """What a gateway asks of the store in one step of a lane.

    `endings`: what ended since the last step. `free`: how many messages may be marked now. `under_way`: how many are
    being sent that did not end. `fresh`: the first step under this claim, which finds what others left behind.
    `in_doubt`: the answer to a step was lost, and what that may have marked is not among the `known`. If nothing can go
    for longer than `held_for_s`, or `rests_s` if that is longer, the claim ends with the step. `chance` is from [0, 1).
    `leaving`: nothing more is taken.
    """

    claim: LaneClaim
    endings: Sequence[MessageEnding] = ()
    free: int = 1
    under_way: int = 0
    fresh: bool = False
    in_doubt: bool = False
    known: frozenset[str] = frozenset()
    held_for_s: float = 0.0
    rests_s: float = 0.0
    chance: float = 0.0
    leaving: bool = False


@dataclass(frozen=True, slots=True)
class Advance:
    """What came of one step of a lane.

    `next_due_s`: in how many seconds something may be sent, as far as is known; None: nothing waits. `over`: nothing
    can go for a while and nothing is under way, and our claim of the lane ended with this step. `paced`: why less was
    taken than was due, if the pace was the reason.
    """

    taken: tuple[Dispatching, ...]
    next_due_s: float | None
    over: bool
    paced: str = ""


class Settle(StrEnum):
    """What an operator can say of a message whose outcome is unknown."""

    RESEND = "resend"
    MARK_SENT = "mark_sent"
    MARK_FAILED = "mark_failed"


@dataclass(frozen=True, slots=True)
class StateChange:
    """A message of the outbox that went from one state to another."""

    message_uuid: str
    workspace_id: WorkspaceId
    account_uuid: AccountUuid
    message_id: str
    recipient: str
    state: MessageState
    code: str | None
    reason: str
    batch_id: str | None
    text: str = ""


@dataclass(frozen=True, slots=True)
class Pruned:
    """One part of forgetting: how many went, and behind which message to go on; None: that was the last part."""

    gone: int
    next_after: str | None


# --- batches ------------------------------------------------------------------------------------------------------


class BatchState(StrEnum):
    """Where a batch stands. Only a running one gives messages to the lanes."""

    RECEIVING = "receiving"
    RUNNING = "running"
    PAUSED = "paused"
    CANCELLED = "cancelled"
    REJECTED = "rejected"
    """It was not taken: a line was invalid and all or none was wanted, or the request broke off."""
    DONE = "done"


@dataclass(frozen=True, slots=True)
class NewBatch:
    id: str
    workspace_id: WorkspaceId
    name: str
    key: str | None
    fingerprint: str | None


@dataclass(frozen=True, slots=True)
class InvalidLine:
    """A line of a bulk request that cannot be sent, by its number from 1 on."""

    line: int
    code: str
    detail: str


@dataclass(frozen=True, slots=True)
class Batch:
    """A batch and how many of its messages are in which state."""

    id: str
    workspace_id: WorkspaceId
    name: str
    state: BatchState
    reason: str
    messages: int
    invalid: int
    created_at: datetime
    updated_at: datetime
    counts: Mapping[MessageState, int]
    fingerprint: str | None = None
    """Of its lines, once all of them came."""


@dataclass(frozen=True, slots=True)
class Suppression:
    """Somebody who does not want to be written to by a workspace."""

    workspace_id: WorkspaceId
    chat: str
    reason: str
    created_at: datetime
