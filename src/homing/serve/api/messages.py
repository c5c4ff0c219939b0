"""`/messages`: records of sends, and the send route as OpenAPI knows it."""

from datetime import datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Request, Response, Router, get, post
from litestar.params import HeaderParameter, JSONBody, QueryParameter

from homing.flows.sending.accept import KEY_MAX
from homing.model.errors import Code, Problem
from homing.model.sends.messages import MessageRecord
from homing.serve.api.context import READ, Asking, Limit, Ref, TheGateway, WorkspaceFilter, seen_workspace
from homing.serve.http.described import also
from homing.serve.sends import SendBody


class MessageView(msgspec.Struct):
    """A recorded message. `phone` has the digits that it was sent to, `phone_as_written` what was given."""

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


class MessagesView(msgspec.Struct):
    """A page of messages: `next` is what to pass as `before` for the page behind it, null on the last."""

    data: list[MessageView]
    next: str | None


class ReceiptView(msgspec.Struct):
    """WhatsApp's id of a message, and when it took it, in unix seconds."""

    message_id: str
    timestamp: int


class SentView(msgspec.Struct):
    """A message that WhatsApp took. `failover`: not through the instance that it was first tried at."""

    success: bool
    data: ReceiptView
    message_uuid: str
    instance_url: str | None
    attempts: int
    failover: bool
    response_time_ms: float


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

    Requests reach this through `homing.serve.app`, which answers them before the framework does; here is what the
    documentation shows, and the same answer.
    """
    answer = await gateway.sends.answer(await request.body(), request.headers.get("authorization"), idempotency_key)
    return Response(answer.body, status_code=answer.status, headers=answer.headers, media_type=answer.media_type)


@get("/messages/{uuid:str}", guards=[READ], tags=["messages"], summary="The record of a send")
async def message(uuid: Ref, gateway: TheGateway, caller: Asking) -> MessageView:
    """Sends that succeeded at the first attempt leave no record: their answer said all there is."""
    record = await gateway.stores.messages.message(caller.workspace, uuid.lower())
    if record is None:
        detail = f"There is no record of message {uuid}: unknown, or simply sent"
        raise Problem(Code.MESSAGE_NOT_FOUND, detail)
    return message_view(record)


@get(
    "/messages", guards=[READ], tags=["messages"], summary="Records of sends that did not simply succeed; newest first"
)
async def messages(
    gateway: TheGateway,
    caller: Asking,
    workspace_id: WorkspaceFilter = None,
    before: Annotated[str | None, QueryParameter(description="Go on behind this uuid")] = None,
    limit: Limit = 50,
) -> MessagesView:
    workspace = seen_workspace(caller, workspace_id)
    rows = await gateway.stores.messages.messages(workspace, before=before, limit=limit)
    return MessagesView([message_view(row) for row in rows], rows[-1].uuid if len(rows) == limit else None)


router = Router("/", route_handlers=[send, message, messages])
