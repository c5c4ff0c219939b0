"""The paths that instances call by themselves: those of the Node service, also below `/in/{instance}`, and those of all
other families, which are only there.

`{instance}` is an instance's number, name or `host:port`, for gateways that cannot say which one they are.
"""

from typing import Annotated, Any

import msgspec
from litestar import Request, Router, get, post
from litestar.params import FromPath, HeaderParameter, QueryParameter

from homing.serve.api.context import TheGateway
from homing.serve.http.described import also
from homing.serve.intake import Asked

InstanceRef = FromPath[str | None]
InstanceUrlHeader = Annotated[
    str | None, HeaderParameter(name="X-Instance-Url", description="The address of the instance that speaks")
]
Timestamp = Annotated[str | None, HeaderParameter(name="X-Timestamp", description="Unix seconds")]
Signature = Annotated[
    str | None,
    HeaderParameter(name="X-HMAC-Signature", description="Hexadecimal HMAC-SHA256 of X-Timestamp and the raw body"),
]
EventId = Annotated[
    str | None, HeaderParameter(name="X-Homing-Event-Id", description="The sender's own id: the same in every retry")
]
KeyHeader = Annotated[str | None, HeaderParameter(name="X-API-Key", description="The instance's key")]


class ReportBody(msgspec.Struct):
    """What happened (`event`) and what is told of it: in `data`, or beside `event`."""

    event: Annotated[str, msgspec.Meta(min_length=1, max_length=100)]
    data: dict[str, Any] | msgspec.UnsetType = msgspec.UNSET


class AnyReport(msgspec.Struct):
    """What happened, in the words of the gateway's family."""


class MarkBody(msgspec.Struct):
    """Why the session was given up."""

    reason: Any = None


class ChatsBody(msgspec.Struct):
    """The chats of an account, which is named by its number or its uuid; of one that is not known, only counted."""

    chats: list[Any]
    whatsapp_account_id: Any = None


class TakenView(msgspec.Struct):
    """The report is stored, under this id. `duplicate`: it was before."""

    success: bool
    event_id: str
    duplicate: bool


class ActiveSessionView(msgspec.Struct):
    """A session that the instance should run."""

    id: int
    session_id: str
    workspace_id: int
    phone_number: str


class ActiveSessionsView(msgspec.Struct):
    """All of them. `success` is not there where it cannot be told who asks."""

    sessions: list[ActiveSessionView]
    success: bool | msgspec.UnsetType = msgspec.UNSET


class ChatsView(msgspec.Struct):
    """How many chats came."""

    success: bool
    received: int


_LONGEST_HEADER = 2_000


def _asked(request: Request[Any, Any, Any], instance: str | None, **more: Any) -> Asked:
    """What the request says, with every header that may prove it."""
    headers = {name.lower(): value for name, value in request.headers.items() if len(value) <= _LONGEST_HEADER}
    return Asked(request.body, instance, headers, **more)


@post(
    ["/api/whatsapp/webhooks/webjs", "/in/{instance:str}/api/whatsapp/webhooks/webjs"],
    status_code=200,
    opt=also(401, 429, shows={200: TakenView}, takes=ReportBody),
    summary="A webjs instance reports an event",
)
async def webhook(
    request: Request[Any, Any, Any],
    gateway: TheGateway,
    instance: InstanceRef = None,
    instance_url: InstanceUrlHeader = None,  # noqa: ARG001 - these are read from the request, and told in the docs
    timestamp: Timestamp = None,  # noqa: ARG001
    signature: Signature = None,  # noqa: ARG001
    event_id: EventId = None,  # noqa: ARG001
    key_header: KeyHeader = None,  # noqa: ARG001
) -> dict[str, Any]:
    """`{"event": …, "data": {…}}`, or flat. 429 asks to send it again; the same event is stored once."""
    return await gateway.intake.webhook(_asked(request, instance))


@post(
    [
        "/in/{instance:str}/webhooks",
        "/in/{instance:str}/webhooks/{word:str}",
        "/in/{instance:str}/secret/{secret:str}",
        "/in/{instance:str}/secret/{secret:str}/{word:str}",
    ],
    status_code=200,
    opt=also(401, 409, 429, shows={200: TakenView}, takes=AnyReport),
    summary="An instance of any family reports an event",
)
async def family_webhook(
    request: Request[Any, Any, Any],
    gateway: TheGateway,
    instance: InstanceRef = None,
    secret: FromPath[str | None] = None,
    word: FromPath[str | None] = None,
) -> dict[str, Any]:
    """As its family tells it, proven as its family proves it; `secret` is the word of the instance, which proves any.

    `word` is an event's name, or a session's, where a gateway puts it there.
    """
    return await gateway.intake.webhook(_asked(request, instance, secret=secret, word=word))


@get(
    ["/api/whatsapp/accounts/active", "/in/{instance:str}/api/whatsapp/accounts/active"],
    opt=also(401, 429, shows={200: ActiveSessionsView}),
    summary="The sessions that the asking instance should run",
)
async def active_sessions(
    request: Request[Any, Any, Any],
    gateway: TheGateway,
    instance: InstanceRef = None,
    instance_url: InstanceUrlHeader = None,  # noqa: ARG001
    key_header: KeyHeader = None,  # noqa: ARG001
    api_key: Annotated[str | None, QueryParameter(description="The instance's key, in place of the header")] = None,
) -> dict[str, Any]:
    """Those placed on it, and no other's: an instance that cannot be told from others is given none."""
    calls_from = request.client.host if request.client is not None else "somebody"
    asked = _asked(request, instance, shown_key=api_key, calls_from=calls_from)
    return await gateway.intake.active_sessions(asked)


@post(
    [
        "/api/whatsapp/sessions/{session_id:str}/mark-disconnected",
        "/in/{instance:str}/api/whatsapp/sessions/{session_id:str}/mark-disconnected",
    ],
    status_code=200,
    opt=also(401, 429, shows={200: TakenView}, takes=MarkBody | None),
    summary="An instance has lost a session",
)
async def mark_disconnected(
    request: Request[Any, Any, Any],
    gateway: TheGateway,
    session_id: FromPath[str],
    instance: InstanceRef = None,
    instance_url: InstanceUrlHeader = None,  # noqa: ARG001
    timestamp: Timestamp = None,  # noqa: ARG001
    signature: Signature = None,  # noqa: ARG001
    event_id: EventId = None,  # noqa: ARG001
    key_header: KeyHeader = None,  # noqa: ARG001
) -> dict[str, Any]:
    return await gateway.intake.mark_disconnected(_asked(request, instance), session_id)


@post(
    ["/api/whatsapp/chats/sync", "/in/{instance:str}/api/whatsapp/chats/sync"],
    status_code=200,
    opt=also(401, 429, shows={200: ChatsView}, takes=ChatsBody),
    summary="An instance has read the chats of an account",
)
async def chats_sync(
    request: Request[Any, Any, Any],
    gateway: TheGateway,
    instance: InstanceRef = None,
    instance_url: InstanceUrlHeader = None,  # noqa: ARG001
    timestamp: Timestamp = None,  # noqa: ARG001
    signature: Signature = None,  # noqa: ARG001
    event_id: EventId = None,  # noqa: ARG001
    key_header: KeyHeader = None,  # noqa: ARG001
) -> dict[str, Any]:
    return await gateway.intake.chats_synced(_asked(request, instance))


def router(body_max: int) -> Router:
    """The routes; a report may be larger than what customers send."""
    return Router(
        "/",
        route_handlers=[webhook, family_webhook, active_sessions, mark_disconnected, chats_sync],
        tags=["for instances"],
        request_max_body_size=body_max,
    )
