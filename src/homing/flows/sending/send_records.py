"""Keeping a record of each send that did not simply succeed, readable by its uuid."""

from collections import deque
from typing import Any, assert_never

import structlog

from homing.model.sends import content_json
from homing.model.sends.content import TextContent
from homing.model.sends.messages import MessageRecord, MessageState
from homing.model.sends.sending import NotSent, Outcome, Sent, Text, Unknown
from homing.model.tracing import trace_id_now
from homing.ports import Clock, Messages, RowRefused, StoreUnavailable

log = structlog.get_logger("homing")

HELD_BACK_MAX = 10_000
"""Records kept in memory while the store is away; the oldest go first, with a line in the log."""


class Recorder:
    """Writes records, and holds them back while the store is away."""

    def __init__(self, messages: Messages, clock: Clock) -> None:
        self._messages, self._clock = messages, clock
        self._held_back: deque[MessageRecord] = deque()

    async def record(self, text: Text, outcome: Outcome) -> None:
        """Record an outcome, unless it is a message that was simply sent, to the recipient as written."""
        if isinstance(outcome, Sent) and outcome.attempts == 1 and outcome.sent_to is None:
            return
        row = _row(text, outcome, self._clock)
        try:
            await self._messages.record(row)
        except RowRefused as error:
            _refused(row, error)
        except StoreUnavailable as error:
            log.warning("A message's record is held back", message_uuid=text.uuid, state=row.state, error=str(error))
            self._hold_back(row)

    async def run(self) -> None:
        """Write what was held back as soon as the store takes it, until cancelled."""
        while True:
            await self._clock.sleep(1.0)
            try:
                while self._held_back:
                    await self._write_oldest()
            except StoreUnavailable:
                continue

    async def _write_oldest(self) -> None:
        """One that the store refuses keeps nobody waiting behind it. Raises StoreUnavailable."""
        row = self._held_back[0]
        try:
            await self._messages.record(row)
        except RowRefused as error:
            _refused(row, error)
        self._held_back.popleft()

    def _hold_back(self, row: MessageRecord) -> None:
        if len(self._held_back) >= HELD_BACK_MAX:
            lost = self._held_back.popleft()
            log.error("A message's record was lost: too many are held back", message_uuid=lost.uuid, state=lost.state)
        self._held_back.append(row)


def _refused(row: MessageRecord, error: RowRefused) -> None:
    log.error(
        "A message's record was refused by the database", message_uuid=row.uuid, state=row.state, error=str(error)
    )


def _row(text: Text, outcome: Outcome, clock: Clock) -> MessageRecord:
    state, code = _state(outcome)
    now = clock.now()
    return MessageRecord(
        uuid=text.uuid,
        workspace_id=text.workspace_id,
        account_uuid=text.account_uuid,
        message_id=outcome.receipt.message_id if isinstance(outcome, Sent) else text.message_id,
        recipient_phone=outcome.sent_to or text.recipient_phone,
        text=text.text,
        state=state,
        code=code,
        reason=outcome.reason,
        attempts=outcome.attempts,
        instance_url=outcome.instance_url,
        created_at=now,
        updated_at=now,
        phone_as_written=text.phone_as_written,
        content=_content(text),
        trace_id=trace_id_now(),
    )


def _content(text: Text) -> dict[str, Any] | None:
    """What it says, unless that is its words and nothing else."""
    return None if text.said == TextContent(text.text) else content_json.written(text.said)


def _state(outcome: Outcome) -> tuple[MessageState, str | None]:
    match outcome:
        case Sent():
            return MessageState.SENT, None
        case NotSent(code=code):
            return MessageState.FAILED, code.value
        case Unknown():
            return MessageState.UNKNOWN, "unknown"
        case _:
            assert_never(outcome)
