"""Driving a keyed send from its beginning to its end, as the send route does."""

from collections.abc import Awaitable, Callable

from homing.decide.sending.idempotency import Drive, InFlight, Mismatch
from homing.flows.sending.idempotent_send import HeldKey, KeyedSends
from homing.model.fleet import WorkspaceId
from homing.model.sends.messages import StoredAnswer
from homing.model.sends.sending import Outcome

Driven = tuple[Outcome, StoredAnswer]


async def answered(
    keyed: KeyedSends,
    workspace: WorkspaceId,
    key: str,
    fingerprint: str,
    message_uuid: str,
    drive: Callable[[Drive], Awaitable[Driven]],
) -> StoredAnswer | InFlight | Mismatch:
    """The answer for the key: an old one, or that of `drive`."""
    held = await keyed.begin(workspace, key, fingerprint, message_uuid)
    if not isinstance(held, HeldKey):
        return held
    try:
        outcome, answer = await drive(held.admission)
        await keyed.settle(held, outcome, answer)
        return answer
    finally:
        keyed.leave(held)
