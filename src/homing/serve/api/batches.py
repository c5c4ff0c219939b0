"""Batches: many messages in one request, their progress, and who opted out."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Any

import msgspec
from litestar import Request, Router, delete, get, post
from litestar.params import JSONBody, QueryParameter
from msgspec import Meta

from homing.decide.outbox.chats import chat_of
from homing.flows.outbox.bulk import BulkWish
from homing.model.errors import Code, Problem
from homing.model.fleet import AccountUuid, WorkspaceId
from homing.model.sends.messages import MessageState
from homing.model.sends.outbox import Batch, BatchState, Suppression
from homing.serve.api.context import READ, SEND, After, Asking, Limit, Ref, TheGateway, WorkspaceFilter, seen_workspace
from homing.serve.api.fields import Moment, Name, Phone, Positive
from homing.serve.api.outbox import AGE_MAX_S, IdempotencyKey, from_now
from homing.serve.bulk_lines import READERS, Bulkhead, template_of
from homing.serve.callers.access import Caller
from homing.serve.gateway import Gateway
from homing.serve.http.described import also

TEMPLATE_MAX = 16_384


class BatchView(msgspec.Struct):
    """A batch. `messages` are the lines that became messages, `states` how many of those are in which state; `waiting`
    of them are still to go."""

    batch_id: str
    workspace_id: int
    name: str
    state: str
    reason: str
    messages: int
    invalid: int
    waiting: int
    states: dict[str, int]
    created_at: datetime
    updated_at: datetime


class BatchesView(msgspec.Struct):
    """A page of batches: `next` is what to pass as `before` for the page behind it, null on the last."""

    data: list[BatchView]
    next: str | None


class InvalidLineView(msgspec.Struct):
    """A line that could not be sent."""

    line: int
    code: str
    detail: str


class InvalidLinesView(msgspec.Struct):
    """Invalid lines by their numbers: `next` is what to pass as `after`, null on the last page."""

    data: list[InvalidLineView]
    next: int | None


class SuppressionBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """People who do not want to be written to by the workspace any more."""

    phones: Annotated[list[Phone], Meta(min_length=1, max_length=10_000)]
    workspace_id: Positive | None = None
    reason: Name = ""


class SuppressionView(msgspec.Struct):
    """Somebody who opted out."""

    phone: str
    reason: str
    created_at: datetime


class SuppressionsView(msgspec.Struct):
    """A page of those who opted out, by phone: `next` is what to pass as `after`, null on the last."""

    data: list[SuppressionView]
    next: str | None


class SuppressedView(msgspec.Struct):
    """Of how many that was new."""

    added: int


_WAITING = (MessageState.ACCEPTED, MessageState.HELD, MessageState.DISPATCHING)


def batch_view(batch: Batch) -> BatchView:
    return BatchView(
        batch_id=batch.id,
        workspace_id=batch.workspace_id,
        name=batch.name,
        state=batch.state.value,
        reason=batch.reason,
        messages=batch.messages,
        invalid=batch.invalid,
        waiting=sum(batch.counts.get(state, 0) for state in _WAITING),
        states={state.value: number for state, number in sorted(batch.counts.items())},
        created_at=batch.created_at,
        updated_at=batch.updated_at,
    )


@post(
    "/messages/bulk",
    status_code=202,
    guards=[SEND],
    tags=["outbox"],
    opt=also(422, 503),
    request_max_body_size=None,
    summary="Accept up to a million messages in one request",
)
async def bulk(
    request: Request[Any, Any, Any],
    gateway: TheGateway,
    caller: Asking,
    workspace_id: Annotated[int | None, QueryParameter(ge=1, le=2**31 - 1, description="Whose messages")] = None,
    account_uuid: Annotated[str | None, QueryParameter(max_length=64, description="Where a line names none")] = None,
    name: Annotated[str, QueryParameter(max_length=200, description="For people to read")] = "",
    template: Annotated[
        str | None, QueryParameter(max_length=TEMPLATE_MAX, description="`Dear {{name}}`: one text for all lines")
    ] = None,
    all_or_nothing: Annotated[bool, QueryParameter(description="One invalid line, and nothing is sent")] = False,
    send_at: Annotated[Moment | None, QueryParameter(description="Not before this time")] = None,
    max_age: Annotated[float | None, QueryParameter(gt=0, le=AGE_MAX_S, description="Seconds worth sending")] = None,
    idempotency_key: IdempotencyKey = None,
) -> BatchView:
    """The body is `application/x-ndjson` or `text/csv`, read line by line. Nothing goes before the request was read to
    its end; lines that cannot be sent are counted and named by `GET /batches/{batch_id}/errors`, the others go."""
    if caller.names_another(workspace_id):
        raise Problem(Code.NOT_FOUND, f"There is no workspace {workspace_id} for this key")
    workspace = caller.acting_for(workspace_id)
    kind = (request.headers.get("content-type") or "").partition(";")[0].strip().lower()
    if kind not in READERS:
        detail = f"The body is to be one of {', '.join(READERS)}, and says that it is {kind[:60] or 'nothing'}"
        raise Problem(Code.INVALID_REQUEST, detail, field="Content-Type")
    text, places = template_of(template)
    account = AccountUuid(account_uuid.lower()) if account_uuid else None
    head = Bulkhead(workspace, account, text, places, gateway.workspaces, gateway.media.links)
    wish = BulkWish(
        workspace,
        name,
        idempotency_key,
        None,
        all_or_nothing,
        after_s=from_now(send_at, gateway.clock.now()),
        max_age_s=max_age or gateway.settings.homing_outbox_max_age,
    )
    return batch_view(await gateway.sends.bulk.take(wish, READERS[kind](request.stream(), head)))


@get("/batches", guards=[READ], tags=["outbox"], summary="Batches, newest first")
async def batches(
    gateway: TheGateway,
    caller: Asking,
    workspace_id: WorkspaceFilter = None,
    before: Annotated[str | None, QueryParameter(description="Go on behind this batch")] = None,
    limit: Limit = 50,
) -> BatchesView:
    workspace = seen_workspace(caller, workspace_id)
    found = await gateway.stores.outbox.batches(workspace, before=before, limit=limit)
    return BatchesView([batch_view(each) for each in found], found[-1].id if len(found) == limit else None)


@get("/batches/{batch_id:str}", guards=[READ], tags=["outbox"], opt=also(404), summary="A batch and its progress")
async def batch(batch_id: Ref, gateway: TheGateway, caller: Asking) -> BatchView:
    return batch_view(await _found(gateway, caller, batch_id))


@get(
    "/batches/{batch_id:str}/errors",
    guards=[READ],
    tags=["outbox"],
    opt=also(404),
    summary="The lines of a batch that could not be sent",
)
async def invalid_lines(
    batch_id: Ref, gateway: TheGateway, caller: Asking, after: After = 0, limit: Limit = 100
) -> InvalidLinesView:
    """The first thousand of them; `invalid` of the batch counts all."""
    found = await _found(gateway, caller, batch_id)
    lines = await gateway.stores.outbox.invalid_lines(found.id, after=after, limit=limit)
    shown = [InvalidLineView(each.line, each.code, each.detail) for each in lines]
    return InvalidLinesView(shown, lines[-1].line if len(lines) == limit else None)


def _action(name: str, summary: str) -> Callable[[Callable[..., Any]], Any]:
    return post(
        f"/batches/{{batch_id:str}}/{name}",
        status_code=200,
        guards=[SEND],
        tags=["outbox"],
        opt=also(404, 409),
        summary=summary,
    )


@_action("pause", "Send nothing more of a batch for now")
async def pause(batch_id: Ref, gateway: TheGateway, caller: Asking) -> BatchView:
    """What is under way comes to its end. 409 `batch_not_so` if it does not run."""
    return await _changed(gateway, caller, batch_id, BatchState.PAUSED, "paused")


@_action("resume", "Go on with a batch that was paused")
async def resume(batch_id: Ref, gateway: TheGateway, caller: Asking) -> BatchView:
    """409 `batch_not_so` if it is not paused."""
    return await _changed(gateway, caller, batch_id, BatchState.RUNNING, "resumed")


@_action("cancel", "Take back all messages of a batch that have not left")
async def cancel_batch(batch_id: Ref, gateway: TheGateway, caller: Asking) -> BatchView:
    """409 `batch_not_so` if it is over."""
    return await _changed(gateway, caller, batch_id, BatchState.CANCELLED, "cancelled")


async def _changed(gateway: Gateway, caller: Caller, ref: str, to: BatchState, done: str) -> BatchView:
    found = await _found(gateway, caller, ref)
    by = caller.key.name or f"key {caller.key.id}"
    if not await gateway.stores.outbox.change_batch(caller.workspace, found.id, to, f"{done} by {by}"):
        raise Problem(Code.BATCH_NOT_SO, f"Batch {found.id} is {found.state.value}, and cannot be {done}")
    return batch_view(await _found(gateway, caller, ref))


async def _found(gateway: Gateway, caller: Caller, ref: str) -> Batch:
    found = await gateway.stores.outbox.batch(caller.workspace, ref.lower())
    if found is None:
        raise Problem(Code.BATCH_NOT_FOUND, f"There is no batch {ref}")
    return found


# --- who opted out ------------------------------------------------------------------------------------------------


@get("/suppressions", guards=[READ], tags=["outbox"], summary="Who does not want to be written to")
async def suppressions(
    gateway: TheGateway,
    caller: Asking,
    workspace_id: WorkspaceFilter = None,
    after: Annotated[str, QueryParameter(description="Go on behind this phone")] = "",
    limit: Limit = 100,
) -> SuppressionsView:
    workspace = _one_workspace(caller, workspace_id)
    found = await gateway.stores.outbox.suppressed(workspace, after=after, limit=limit)
    return SuppressionsView([_shown(each) for each in found], found[-1].chat if len(found) == limit else None)


@post("/suppressions", status_code=200, guards=[SEND], tags=["outbox"], opt=also(422), summary="Note who opted out")
async def suppress(data: JSONBody[SuppressionBody], gateway: TheGateway, caller: Asking) -> SuppressedView:
    """Messages to them fail with `recipient_opted_out` when their turn comes, also those that wait already.

    A send whose caller waits is refused with it."""
    workspace = _one_workspace(caller, data.workspace_id)
    chats = [chat_of(gateway.workspaces.recipient(workspace, phone).address) for phone in data.phones]
    return SuppressedView(await gateway.stores.outbox.suppress(workspace, chats, data.reason))


@delete(
    "/suppressions/{opted_out:str}",
    status_code=204,
    guards=[SEND],
    tags=["outbox"],
    opt=also(404),
    summary="Somebody may be written to again",
)
async def allow(opted_out: Ref, gateway: TheGateway, caller: Asking, workspace_id: WorkspaceFilter = None) -> None:
    workspace = _one_workspace(caller, workspace_id)
    chat = chat_of(gateway.workspaces.recipient(workspace, opted_out).address)
    if not await gateway.stores.outbox.allow(workspace, chat):
        raise Problem(Code.NOT_FOUND, "Nobody with this number opted out")


def _one_workspace(caller: Caller, named: int | None) -> WorkspaceId:
    if caller.names_another(named):
        raise Problem(Code.NOT_FOUND, f"There is no workspace {named} for this key")
    return caller.acting_for(named)


def _shown(each: Suppression) -> SuppressionView:
    return SuppressionView(each.chat, each.reason, each.created_at)


router = Router(
    "/",
    route_handlers=[bulk, batches, batch, invalid_lines, pause, resume, cancel_batch, suppressions, suppress, allow],
)
