"""`/messages`: records of sends, and the send route as OpenAPI knows it."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import HeaderParameter, JSONBody, QueryParameter
from msgspec import UNSET, UnsetType

from homing.flows.sending.accept import KEY_MAX
from homing.model.errors import Code, Problem
from homing.model.sends.messages import MessageRecord, MessageState
from homing.serve.api.context import (
    READ,
    Asking,
    Limit,
    Ref,
    TheGateway,
    WorkspaceFilter,
    account_of,
    seen_workspace,
)
from homing.serve.http.described import also
from homing.serve.sends import SendBody


class MessageView(msgspec.Struct):
    """A recorded message. `phone` has the digits that it was sent to, `phone_as_written` what was given.

    Of a message of the outbox `send_at` is when it may go, and `expires_at` when it is not worth sending any more.
    """

    uuid: str
    workspace_id: int
    account_uuid: str
    message_id: str
    phone: str
    message: str
    state: str
    code: str | None
    reason: str
    attempts: int
    instance_url: str | None
    created_at: datetime
    updated_at: datetime
    phone_as_written: str | None = None
    content: dict[str, Any] | None = None
    send_at: datetime | None = None
    expires_at: datetime | None = None
    batch_id: str | None = None
    trace_id: str | None = None


class MessagesView(msgspec.Struct):
    """A page of messages: `next` is what to pass as `before` for the page behind it, null on the last."""

    data: list[MessageView]
    next: str | None


class ReceiptView(msgspec.Struct):
    """WhatsApp's id of a message, and when it took it, in unix seconds."""

    message_id: str
    timestamp: int


class SentView(msgspec.Struct):
    """A message that WhatsApp took. `failover`: not through the instance that it was first tried at.

    `sent_to` is there where that is another spelling of the number than was written, by the gateway's number check.
    """

    success: bool
    data: ReceiptView
    message_uuid: str
    instance_url: str | None
    attempts: int
    failover: bool
    response_time_ms: float
    sent_to: str | UnsetType = UNSET


class MessageIdView(msgspec.Struct):
    """The id that a message has if it was sent."""

    message_id: str


class UnknownView(msgspec.Struct):
    """A message that may or may not have been sent, and is not sent again: that could say it twice."""

    success: None
    outcome: Literal["unknown"]
    data: MessageIdView
    detail: str
    message_uuid: str
    instance_url: str | None
    attempts: int
    failover: bool
    response_time_ms: float
    sent_to: str | UnsetType = UNSET


def message_view(record: MessageRecord) -> MessageView:
    return MessageView(
        uuid=record.uuid,
        workspace_id=record.workspace_id,
        account_uuid=record.account_uuid,
        message_id=record.message_id,
        phone=record.recipient_phone,
        message=record.text,
        state=record.state.value,
        code=record.code,
        reason=record.reason,
        attempts=record.attempts,
        instance_url=record.instance_url,
        created_at=record.created_at,
        updated_at=record.updated_at,
        phone_as_written=record.phone_as_written,
        content=record.content,
        send_at=record.send_at,
        expires_at=record.expires_at,
        batch_id=record.batch_id,
        trace_id=record.trace_id,
    )


@post(
    "/messages/send",
    status_code=200,
    tags=["messages"],
    opt=also(409, shows={200: SentView, 202: UnknownView}),
    summary="Send a message to one person, now",
)
async def send(
    data: JSONBody[SendBody],  # noqa: ARG001 - shown in the documentation; the raw body is what is answered
    request: Request[Any, Any, Any],
    gateway: TheGateway,
    idempotency_key: Annotated[
        str | None,
        HeaderParameter(
            name="Idempotency-Key",
            min_length=1,
            max_length=KEY_MAX,
            description="The same key and body get the same answer for 24 h",
        ),
    ] = None,
) -> Response[bytes]:
    """200 sent; 202 unknown, and not repeated, because repeating could say it twice; 503 not sent, try again.

    With `"wait": false`, or the header `Prefer: respond-async`, it is put into the outbox as by `POST /messages`.

    Requests reach this through `homing.serve.app`, which answers them before the framework does; here is what the
    documentation shows, and the same answer.
    """
    headers = request.headers
    answer = await gateway.sends.answer(
        await request.body(), headers.get("authorization"), idempotency_key, headers.get("prefer")
    )
    return Response(answer.body, status_code=answer.status, headers=answer.headers, media_type=answer.media_type)


@get("/messages/{uuid:str}", guards=[READ], tags=["messages"], summary="One message, and where it stands")
async def message(uuid: Ref, gateway: TheGateway, caller: Asking) -> MessageView:
    """Of those sent while the caller waited, the ones that succeeded at the first attempt leave no record: their answer
    said all there is."""
    record = await gateway.stores.messages.message(caller.workspace, uuid.lower())
    if record is None:
        detail = f"There is no record of message {uuid}: unknown, or simply sent"
        raise Problem(Code.MESSAGE_NOT_FOUND, detail)
    return message_view(record)


@get(
    "/messages",
    guards=[READ],
    tags=["messages"],
    summary="Messages of the outbox, and sends that did not simply succeed; newest first",
)
async def messages(
    gateway: TheGateway,
    caller: Asking,
    workspace_id: WorkspaceFilter = None,
    before: Annotated[str | None, QueryParameter(description="Go on behind this uuid")] = None,
    account: Annotated[
        str | None, QueryParameter(description="Of this account, by its number, uuid or session")
    ] = None,
    in_state: Annotated[MessageState | None, QueryParameter(name="state", description="In this state")] = None,
    since: Annotated[datetime | None, QueryParameter(description="Accepted at this time or later")] = None,
    until: Annotated[datetime | None, QueryParameter(description="Accepted before this time")] = None,
    batch_id: Annotated[str | None, QueryParameter(description="Of this batch")] = None,
    limit: Limit = 50,
) -> MessagesView:
    workspace = seen_workspace(caller, workspace_id)
    named = None if account is None else (await account_of(gateway, caller, account)).uuid
    rows = await gateway.stores.outbox.page(
        workspace,
        before=before,
        limit=limit,
        account=named,
        state=in_state,
        since=_in_utc(since),
        until=_in_utc(until),
        batch=batch_id,
    )
    return MessagesView([message_view(row) for row in rows], rows[-1].uuid if len(rows) == limit else None)


def _in_utc(moment: datetime | None) -> datetime | None:
    return moment.replace(tzinfo=UTC) if moment is not None and moment.tzinfo is None else moment


router = Router("/", route_handlers=[send, message, messages])
