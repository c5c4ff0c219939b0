"""`/audit`: who changed what, and whether the log of it is what was written. For operators."""

from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Router, get
from litestar.params import FromQuery, QueryParameter

from homing.model.directory.audit import ChainVerdict, Entry
from homing.ports import Page
from homing.serve.api.context import OPERATOR, Limit, TheGateway
from homing.serve.api.listing import Listing, page_of


class EntryView(msgspec.Struct):
    """One change. All that one request or command changed has the same `act`.

    `subject` is what was changed; of a bulk change `count` things, whose names make the `digest`. `chained` is whether
    the entry is tied to the one before it, which is done within a minute.
    """

    id: int
    at: datetime
    act: str
    via: str
    actor: str
    key_id: str | None
    workspace_id: int | None
    origin: str
    request: str
    action: str
    subject: str
    before: dict[str, Any] | None
    after: dict[str, Any] | None
    count: int
    digest: str | None
    chained: bool


class HeadView(msgspec.Struct):
    """Where the chain ends: whoever kept this elsewhere can tell later that nothing before it was changed."""

    id: int
    chain: str


class BrokenView(msgspec.Struct):
    """The first entry that is not what was written, and what is wrong there."""

    id: int
    reason: str


class VerdictView(msgspec.Struct):
    """Whether the log is what was written, as far as `entries` are chained; `waiting` are not yet.

    `unkeyed` entries are chained without a secret (`HOMING_SECRET`), `removed` ones were taken by retention.
    """

    holds: bool
    entries: int
    waiting: int
    unkeyed: int
    removed: int
    head: HeadView | None
    broken: BrokenView | None


Older = Annotated[int, QueryParameter(ge=0, description="Go on below this id: the `next` of the page before")]


def entry_view(entry: Entry) -> EntryView:
    act = entry.act
    return EntryView(
        id=entry.id,
        at=entry.at,
        act=act.id,
        via=act.via.value,
        actor=act.actor,
        key_id=act.key_id,
        workspace_id=act.workspace_id,
        origin=act.origin,
        request=act.request,
        action=entry.action,
        subject=entry.subject,
        before=None if entry.before is None else dict(entry.before),
        after=None if entry.after is None else dict(entry.after),
        count=entry.count,
        digest=entry.digest,
        chained=entry.chain is not None,
    )


def verdict_view(verdict: ChainVerdict) -> VerdictView:
    head, broken = verdict.head, verdict.broken
    return VerdictView(
        holds=verdict.holds,
        entries=verdict.entries,
        waiting=verdict.waiting,
        unkeyed=verdict.unkeyed,
        removed=verdict.removed,
        head=None if head is None else HeadView(head.entry_id, head.chain),
        broken=None if broken is None else BrokenView(broken.entry_id, broken.reason),
    )


@get("/audit", guards=[OPERATOR], tags=["operations"], summary="Who changed what; newest first")
async def entries(
    gateway: TheGateway,
    action: FromQuery[str | None] = None,
    subject: FromQuery[str | None] = None,
    key_id: FromQuery[str | None] = None,
    after: Older = 0,
    limit: Limit = 50,
) -> Listing[EntryView]:
    """By one `action` (`account.deleted`), of one `subject` (`account 144`), by one key. Phones are masked."""
    rows = await gateway.stores.audit.page(Page(after, limit), action=action, subject=subject, key_id=key_id)
    return page_of([entry_view(row) for row in rows], limit)


@get("/audit/verify", guards=[OPERATOR], tags=["operations"], summary="Is the audit log what was written?")
async def verify(gateway: TheGateway) -> VerdictView:
    """Goes along the whole chain, which takes about a second for 50,000 entries."""
    return verdict_view(await gateway.auditing.verify())


router = Router("/", route_handlers=[entries, verify])
