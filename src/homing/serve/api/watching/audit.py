"""`/audit`: who changed what, and whether the log of it is what was written. For operators."""

from typing import Annotated

from litestar import Router, get
from litestar.params import FromQuery, QueryParameter

from homing.ports import Page
from homing.serve import audit_views, views
from homing.serve.api.context import OPERATOR, Limit, TheGateway
from homing.serve.audit_views import EntryView, VerdictView
from homing.serve.views import Listing

Older = Annotated[int, QueryParameter(ge=0, description="Go on below this id: the `next` of the page before")]


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
    return views.page([audit_views.entry(row) for row in rows], limit)


@get("/audit/verify", guards=[OPERATOR], tags=["operations"], summary="Is the audit log what was written?")
async def verify(gateway: TheGateway) -> VerdictView:
    """Goes along the whole chain, which takes about a second for 50,000 entries."""
    return audit_views.verdict(await gateway.auditing.verify())


router = Router("/", route_handlers=[entries, verify])
