"""How did a dispatch end, and what becomes of its message and of those behind it?"""

from dataclasses import dataclass
from typing import assert_never

from homing.model.sends.messages import MessageState
from homing.model.sends.outbox import MessageEnding
from homing.model.sends.sending import FailureCode, NotSent, Outcome, Sent, Text, Unknown

FAILS_ALONE = frozenset({
    FailureCode.MESSAGE_REJECTED, FailureCode.RECIPIENT_RESTRICTED, FailureCode.UNSUPPORTED_TYPE,
    FailureCode.UNSUPPORTED_RECIPIENT,
})  # fmt: skip
"""What is wrong with the message itself: it fails, and its chat goes on. 463 above all is never tried again."""
INTERRUPTIONS_MAX = 5
"""So many gateways may end while they send one message; then it is not tried again."""
CHAT_WAITS_S = 30.0
"""How long a chat waits for an unknown outcome at its head; then it goes on."""
TRIED_AGAIN_AFTER_S = 8.0
"""An unknown one is tried again so often in that time, under the same id, where its driver honours that."""
FIRST_PAUSE_S, LONGEST_PAUSE_S = 1.0, 15.0


@dataclass(frozen=True, slots=True)
class Pause:
    """Nothing of this account can be sent just now: its lane waits, and then tries one message."""

    for_s: float
    reason: str


def ending_of(text: Text, outcome: Outcome) -> MessageEnding:
    """What is written down of a dispatch. What certainly did not leave, for a reason that passes, is accepted still."""
    match outcome:
        case Sent(receipt=receipt, instance_url=url):
            return MessageEnding(text.uuid, MessageState.SENT, None, outcome.reason, url, receipt.message_id)
        case Unknown(reason=reason, instance_url=url):
            return MessageEnding(text.uuid, MessageState.UNKNOWN, "unknown", reason, url)
        case NotSent(code=code, reason=reason, instance_url=url):
            state = MessageState.FAILED if code in FAILS_ALONE else MessageState.ACCEPTED
            return MessageEnding(text.uuid, state, code.value, reason, url)
        case _:
            assert_never(outcome)


def pause_after(outcome: Outcome, failures: int) -> Pause | None:
    """How long the account's lane waits after this; `failures` such outcomes came before it without a success."""
    if not isinstance(outcome, NotSent) or outcome.code in FAILS_ALONE:
        return None
    wait_s = min(FIRST_PAUSE_S * 2**failures, LONGEST_PAUSE_S)
    if outcome.code is FailureCode.THROTTLED:
        wait_s = max(wait_s, outcome.retry_after_s)
    return Pause(wait_s, outcome.reason)
