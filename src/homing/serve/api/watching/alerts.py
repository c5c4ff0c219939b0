"""`/alerts`: what a person should look at."""

from typing import Annotated

from litestar import get
from litestar.params import QueryParameter

from homing.model.alerts import About, AlertKind
from homing.model.fleet import SessionId
from homing.serve.api.context import READ, Asking, TheGateway, WorkspaceFilter, seen_workspace
from homing.serve.api.listing import Listing
from homing.serve.state.rows import AlertRow, alert_row


@get("/alerts", guards=[READ], tags=["operations"], summary="The alerts that stand, the oldest first")
async def alerts(
    gateway: TheGateway,
    caller: Asking,
    workspace_id: WorkspaceFilter = None,
    kind: Annotated[AlertKind | None, QueryParameter(description="Those of one kind")] = None,
) -> Listing[AlertRow]:
    """Each says what it is about, since when, why, and what to do. A workspace sees those about its own sessions."""
    workspace = seen_workspace(caller, workspace_id)
    known = [each for each in gateway.alerts.standing() if kind in (None, each.kind)]
    standing = sorted(known, key=lambda each: (each.raised_at, each.subject.name, each.kind))
    if workspace is not None:
        about = [SessionId(each.subject.name) for each in standing if each.subject.about is About.SESSION]
        owned = await gateway.stores.directory.accounts_of(about) if about else []
        own = {account.session_id for account in owned if account.workspace_id == workspace}
        standing = [each for each in standing if each.subject.about is About.SESSION and each.subject.name in own]
    return Listing([alert_row(each) for each in standing])
