"""The outbox: messages that are accepted now and sent in their turn, and what people can do with them."""

from datetime import UTC, datetime
from typing import Annotated, Any, Literal

import msgspec
from litestar import Response, Router, post
from litestar.params import HeaderParameter, JSONBody
from msgspec import Meta

from homing.flows.sending.accept import KEY_MAX
from homing.model.errors import Code, Problem
from homing.model.sends.outbox import Settle
from homing.serve.api.context import SEND, Asking, Ref, TheGateway, account_of
from homing.serve.api.fields import Moment
from homing.serve.api.messages import MessageView, message_view
from homing.serve.gateway import Gateway
from homing.serve.http.described import also
from homing.serve.sends import SendBody, asked_by, named_file

AHEAD_MAX_S = 366 * 86_400.0
AGE_MAX_S = 30 * 86_400.0
IdempotencyKey = Annotated[
    str | None,
    HeaderParameter(
        name="Idempotency-Key",
        min_length=1,
        max_length=KEY_MAX,
        description="The same key and body are one message, for 24 h",
    ),
]


class OutboxBody(SendBody, forbid_unknown_fields=True, frozen=True, kw_only=True):
    """A message to be sent in its turn: not before `send_at`, and not later than `max_age` seconds after that."""

    send_at: Moment | None = None
    max_age: Annotated[float, Meta(gt=0, le=AGE_MAX_S)] | None = None


class AcceptedView(msgspec.Struct):
    """It is in the outbox."""

    message_uuid: str
    state: Literal["accepted"]


class SettleBody(msgspec.Struct, forbid_unknown_fields=True, frozen=True):
    """What is known of a message whose outcome was unknown: it was sent, it failed; or it is to be sent again."""

    action: Literal["resend", "mark_sent", "mark_failed"]


class WentView(msgspec.Struct):
    """How many held messages are sent now."""

    account_uuid: str
    messages: int


@post(
    "/messages",
    status_code=202,
    guards=[SEND],
    tags=["outbox"],
    opt=also(409, 503),
    summary="Accept a message, to be sent in its turn",
)
async def accept(
    data: JSONBody[OutboxBody],
    gateway: TheGateway,
    caller: Asking,
    idempotency_key: IdempotencyKey = None,
) -> Response[AcceptedView | dict[str, Any]]:
    """202 once it is safely kept: then it will be sent, or end in a state that says why not (`GET /messages/{uuid}`).

    Messages to one person go in the order in which they were accepted, one at a time; while the account's session is
    away they wait. A key that a waiting send was answered under is answered the same again.
    """
    asked = asked_by(caller, data, gateway.workspaces, named_file(gateway.media, caller, data))
    after_s = from_now(data.send_at, gateway.clock.now())
    answer = await gateway.sends.accepting.keep(asked, idempotency_key, after_s=after_s, max_age_s=data.max_age)
    return Response(answer.body, status_code=answer.status)


def from_now(send_at: datetime | None, now: datetime) -> float:
    """Raises Problem for a time too far ahead. One that has passed is now."""
    if send_at is None:
        return 0.0
    after_s = (send_at.astimezone(UTC) - now).total_seconds()
    if after_s > AHEAD_MAX_S:
        raise Problem(Code.INVALID_REQUEST, "`send_at` is more than a year ahead", field="send_at")
    return max(0.0, after_s)


@post(
    "/messages/{uuid:str}/cancel",
    status_code=200,
    guards=[SEND],
    tags=["outbox"],
    opt=also(404, 409),
    summary="Take back a message that has not left",
)
async def cancel(uuid: Ref, gateway: TheGateway, caller: Asking) -> MessageView:
    """409 `already_left` once it is on its way, or beyond."""
    if not await gateway.stores.outbox.cancel(caller.workspace, uuid.lower()):
        raise await _not_so(gateway, caller.workspace, uuid, Code.ALREADY_LEFT, "cannot be taken back")
    return await _shown(gateway, caller.workspace, uuid)


@post(
    "/messages/{uuid:str}/settle",
    status_code=200,
    guards=[SEND],
    tags=["outbox"],
    opt=also(404, 409),
    summary="Say what became of a message whose outcome is unknown",
)
async def settle(data: JSONBody[SettleBody], uuid: Ref, gateway: TheGateway, caller: Asking) -> MessageView:
    """`resend` sends it again under the same WhatsApp id, behind what its chat went on with. 409 `not_unknown` for a
    message in another state."""
    by = caller.key.name or f"key {caller.key.id}"
    if not await gateway.stores.outbox.settle(caller.workspace, uuid.lower(), Settle(data.action), by):
        raise await _not_so(gateway, caller.workspace, uuid, Code.NOT_UNKNOWN, "has a known outcome")
    return await _shown(gateway, caller.workspace, uuid)


@post(
    "/accounts/{ref:str}/outbox/go",
    status_code=200,
    guards=[SEND],
    tags=["outbox"],
    opt=also(404),
    summary="Send what was held back after the account was paired anew",
)
async def go(ref: Ref, gateway: TheGateway, caller: Asking) -> WentView:
    """Messages that were accepted before an account was logged out and paired again wait as `held` until somebody says
    that they should still go."""
    account = await account_of(gateway, caller, ref)
    return WentView(account.uuid, await gateway.stores.outbox.go(account.workspace_id, account.uuid))


async def _shown(gateway: Gateway, workspace: Any, uuid: str) -> MessageView:
    record = await gateway.stores.messages.message(workspace, uuid.lower())
    if record is None:
        raise Problem(Code.MESSAGE_NOT_FOUND, f"There is no message {uuid}")
    return message_view(record)


async def _not_so(gateway: Gateway, workspace: Any, uuid: str, code: Code, what: str) -> Problem:
    record = await gateway.stores.messages.message(workspace, uuid.lower())
    if record is None:
        return Problem(Code.MESSAGE_NOT_FOUND, f"There is no message {uuid}")
    return Problem(code, f"Message {uuid} {what}: it is {record.state.value}")


router = Router("/", route_handlers=[accept, cancel, settle, go])
