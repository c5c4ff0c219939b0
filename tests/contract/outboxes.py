"""Short ways to ask the outbox, for its suites."""

import itertools
from typing import Any

from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.sends import content_json
from homing.model.sends.content import TextContent
from homing.model.sends.messages import MessageRecord, MessageState, StoredAnswer
from homing.model.sends.outbox import Accepted, Advance, LaneClaim, LaneStep, MessageEnding, NewMessage, OutboxKey
from homing.model.sends.sending import Text
from homing.store.outbox.accepting import KIND
from homing.store.outbox.outbox import SqlOutbox
from homing.store.sends.messages import SqlMessages
from homing.store.work.queue import SqlWork

ACCOUNT, OTHER = AccountUuid("acc-1"), AccountUuid("acc-2")
W = WorkspaceId(1)
_numbers = itertools.count(1)


def new(
    said: str = "hi",
    *,
    chat: str = "62811",
    account: AccountUuid = ACCOUNT,
    workspace: WorkspaceId = W,
    key: str | None = None,
    after_s: float = 0.0,
    max_age_s: float = 3600.0,
    batch: str | None = None,
) -> NewMessage:
    number = next(_numbers)
    uuid = f"01900000-0000-7000-8000-{number:012d}"
    text = Text(uuid, f"3EB0{number:04d}", workspace, account, chat, said, content=TextContent(said))
    kept = OutboxKey(key, said, StoredAnswer(202, {"state": "accepted"}), 3600.0) if key is not None else None
    content = content_json.written(TextContent(said))
    return NewMessage(text, chat, content, after_s, max_age_s, kept, batch)


class Lane:
    """A lane as one gateway has it."""

    def __init__(self, outbox: SqlOutbox, claim: LaneClaim) -> None:
        self.outbox, self.claim, self.fresh = outbox, claim, True

    async def step(self, *ended: MessageEnding, free: int = 8, **more: Any) -> Advance:
        step = LaneStep(self.claim, ended, free=free, fresh=self.fresh, held_for_s=3600.0, **more)
        self.fresh = False
        return await self.outbox.advance(step)

    async def said(self, *ended: MessageEnding, free: int = 8, **more: Any) -> list[str]:
        return [each.text.text for each in (await self.step(*ended, free=free, **more)).taken]


async def claim(
    outbox: SqlOutbox, work: SqlWork, account: AccountUuid = ACCOUNT, *, owner: str = "gw1", lease_s: float = 30
) -> Lane:
    lanes = await claim_all(outbox, work, owner=owner, lease_s=lease_s)
    [lane] = [each for each in lanes if each.claim.account_uuid == account]
    return lane


async def claim_all(outbox: SqlOutbox, work: SqlWork, *, owner: str = "gw1", lease_s: float = 30) -> list[Lane]:
    """All lanes that have something to do, as one gateway takes them."""
    of = [(job, job.payload) for job in await work.claim(KIND, owner=owner, limit=100, lease_s=lease_s)]
    claims = [LaneClaim(job.id, job.fence, AccountUuid(at["account"]), WorkspaceId(at["workspace"])) for job, at in of]
    return [Lane(outbox, each) for each in claims]


async def accepted(outbox: SqlOutbox, *messages: NewMessage) -> list[str]:
    answers = await outbox.accept_all(messages)
    return [each.message_uuid for each in answers if isinstance(each, Accepted)]


async def record(messages: SqlMessages, uuid: str) -> MessageRecord:
    found = await messages.message(None, uuid)
    assert found is not None
    return found


def ended(uuid: str, state: MessageState = MessageState.SENT, code: str | None = None) -> MessageEnding:
    return MessageEnding(uuid, state, code, "because", "http://a:1", None)
