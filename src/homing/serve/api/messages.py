"""`/messages`: records of sends, and the send route as OpenAPI knows it."""

from typing import Annotated, Any

from litestar import Request, Response, Router, get, post
from litestar.params import HeaderParameter, JSONBody, QueryParameter

from homing.flows.sending.accept import KEY_MAX
from homing.model.errors import Code, Problem
from homing.serve import views
from homing.serve.api.context import READ, Asking, Limit, Ref, TheGateway, WorkspaceFilter, seen_workspace
from homing.serve.bodies import SendBody
from homing.serve.http.described import also
from homing.serve.views import MessagesView, MessageView, SentView, UnknownView


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
    return views.message(record)


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
    return MessagesView([views.message(row) for row in rows], rows[-1].uuid if len(rows) == limit else None)


router = Router("/", route_handlers=[send, message, messages])
