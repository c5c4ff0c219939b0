"""The ASGI application: the hot send route in front, the framework behind it for everything else."""

from collections.abc import Callable
from contextlib import AsyncExitStack
from typing import Any
from urllib.parse import parse_qsl

import msgspec
import structlog
from litestar import Litestar, Request, Response, Router, get
from litestar.datastructures import State
from litestar.di import Provide
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi.spec import Components, SecurityScheme
from litestar.types import ASGIApp, Receive, Send

import homing
from homing.decide import traces
from homing.flows.media.intake import ArrivingFile
from homing.model.directory.audit import carrying_out
from homing.model.errors import Code, Problem
from homing.model.tracing import Trace, tracing
from homing.ports import NameTaken, StoreUnavailable
from homing.serve.api import batches, media, messages, outbox, pacing
from homing.serve.api.context import CHARGED, TheGateway, provide_caller, provide_gateway
from homing.serve.api.customers.deliveries import DeliveriesController
from homing.serve.api.customers.endpoints import EndpointsController
from homing.serve.api.directory import accounts, contacts, keys, number_checks, signs, workspaces
from homing.serve.api.fleet import automation, cache, moves, plans, recycles, reports, schedules, sync
from homing.serve.api.watching import alerts, audit, deaf, downtime, events, now, pairing, sessions, state
from homing.serve.api.watching.receivers import ReceiversController, SilencesController
from homing.serve.callers.access import Caller
from homing.serve.callers.refused import RefusedCallers
from homing.serve.callers.signing_in import SignIns
from homing.serve.docs import HEADERS as DOCS_HEADERS
from homing.serve.docs import DocsDocument, DocsPage, nothing_else
from homing.serve.gateway import Gateway
from homing.serve.http import problems
from homing.serve.http.answers import HttpAnswer
from homing.serve.http.described import Described, also
from homing.serve.http.methods import methods_by_path, name_all_methods
from homing.serve.http.paths import shown_path, whole_names
from homing.serve.http.queries import known_queries, refuse, refuse_unknown
from homing.serve.http.readable import CheckedRequest
from homing.serve.http.rejections import Rejections
from homing.serve.http.send_protocol import SEND_PATH, DirectSends
from homing.serve.http.tables import Tables
from homing.serve.media import bodies
from homing.serve.page.routes import PAGES
from homing.serve.spans import RequestSpan
from homing.serve.state.feed import StateFeed
from homing.serve.worker_figures import WorkerFigures

log = structlog.get_logger("homing")

_ACCOUNTS = "/api/v1/accounts"
_UNAUTHENTICATED = 401
_PATH_SHOWN = 200


class Application:
    """Answers sends itself, and hands everything else on."""

    def __init__(self, gateway: Gateway, figures: WorkerFigures | None = None) -> None:
        """`figures`: those of all workers, where several share the port."""
        self._gateway = gateway
        self._body_max = gateway.settings.homing_max_body_bytes
        self._strangers = Rejections(gateway.clock)
        behind = framework(gateway, figures)
        self._behind: ASGIApp = Tables(behind)
        self._state: StateFeed = behind.state.state_feed

    def direct(self, outside: Callable[[ASGIApp], ASGIApp]) -> DirectSends:
        """What the protocol needs to answer sends by itself; `outside` is the door that other requests come through."""

        async def refused(headers: list[tuple[bytes, bytes]], client: tuple[str, int] | None) -> None:
            scope = {"type": "http", "scheme": "http", "path": SEND_PATH, "headers": headers, "client": client}
            await outside(self._noting)(scope, _nothing_comes, _nothing_goes)  # type: ignore[arg-type]

        return DirectSends(self._gateway.sends, self._body_max, _failed, refused)

    async def _noting(self, scope: Any, _receive: Receive, _send: Send) -> None:
        self._note_stranger(scope)

    def start(self) -> None:
        """Begin to keep the state of the fleet, so that there is some history when somebody looks at it."""
        self._state.start()

    async def close(self) -> None:
        await self._state.close()

    async def __call__(self, scope: Any, receive: Receive, send: Send) -> None:
        named = _trace(scope) if scope["type"] == "http" else None
        tell = self._gateway.metrics.spans
        if tell is not None and scope["type"] == "http":
            await self._traced(RequestSpan(tell, scope, named), scope, receive, send)
            return
        if named is None:
            await self._answered(scope, receive, send)
            return
        await self._within(named, scope, receive, send)

    async def _traced(self, span: RequestSpan, scope: Any, receive: Receive, send: Send) -> None:
        async def noted(message: Any) -> None:
            span.note(message)
            await send(message)

        try:
            await self._within(span.trace, scope, receive, noted)
        finally:
            span.end()

    async def _within(self, named: Trace, scope: Any, receive: Receive, send: Send) -> None:
        before = tracing.set(named)
        try:
            with structlog.contextvars.bound_contextvars(trace_id=named.trace_id):
                await self._answered(scope, receive, send)
        finally:
            tracing.reset(before)

    async def _answered(self, scope: Any, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"] == SEND_PATH and scope["method"] == "POST":
            await self._send(scope, receive, send)
            return
        scope = whole_names(scope)
        with carrying_out(None):  # whoever is let in sets it, and nothing of it outlives the request
            await self._behind(scope, receive, self._telling_limits(scope, send))

    async def _send(self, scope: Any, receive: Receive, send: Send) -> None:
        authorization, key, prefer, content_type = _credentials(scope)
        async with AsyncExitStack() as stack:

            async def begin() -> ArrivingFile:
                await self._gateway.sends.may_send(authorization)
                return await stack.enter_async_context(self._gateway.media.arriving())

            try:
                body = await bodies.read(receive, content_type, self._body_max, begin)
                if scope["query_string"]:
                    refuse([name for name, _ in parse_qsl(scope["query_string"].decode("latin-1"), True)], ())
            except Problem as problem:
                told = problems.document(problem, success=False)
                headers = problems.headers(problem) | {"Connection": "close"}  # its rest is not read
                answer = HttpAnswer(told["status"], msgspec.json.encode(told), headers, problems.PROBLEM_JSON)
            else:
                if body.raw is None:
                    return
                answer = await self._answer(body.raw, authorization, key, prefer, body.file)
        if answer.status == _UNAUTHENTICATED:
            self._note_stranger(scope)
        await _write(send, answer)

    def _telling_limits(self, scope: Any, send: Send) -> Send:
        """With the answer's headers goes what is left of the caller's limits."""

        async def told(message: Any) -> None:
            if message["type"] == "http.response.start":
                if message["status"] == _UNAUTHENTICATED:
                    self._note_stranger(scope)
                if headers := scope.get(CHARGED):
                    lines = [(name.lower().encode(), value.encode()) for name, value in headers.items()]
                    message = {**message, "headers": [*message["headers"], *lines]}
            await send(message)

        return told

    def _note_stranger(self, scope: Any) -> None:
        """One line for each address and minute: somebody may be trying keys."""
        address = (scope.get("client") or ("unknown",))[0]
        path = shown_path(scope["path"])[:_PATH_SHOWN]
        self._strangers.note(address, "Requests without a valid key are refused", address=address, newest=path)

    async def _answer(
        self, raw: bytes, authorization: str | None, key: str | None, prefer: str | None, file: ArrivingFile | None
    ) -> HttpAnswer:
        try:
            return await self._gateway.sends.answer(raw, authorization, key, prefer, file)
        except Exception:
            log.exception("A send failed inside the gateway")
            return _failed()


def _failed() -> HttpAnswer:
    """The answer where the gateway itself failed."""
    detail = "The gateway failed; whether the message was sent is not known"
    told = problems.document(Problem(Code.INTERNAL_ERROR, detail), success=None, outcome="unknown")
    return HttpAnswer(500, msgspec.json.encode(told), {}, problems.PROBLEM_JSON)


async def _nothing_comes() -> Any:
    return {"type": "http.disconnect"}


async def _nothing_goes(message: Any) -> None: ...


def _trace(scope: Any) -> Trace | None:
    """The trace that the caller names. Two headers name none."""
    found = [value for name, value in scope["headers"] if name == b"traceparent"]
    return traces.read(found[0].decode("latin-1")) if len(found) == 1 else None


def _credentials(scope: Any) -> tuple[str | None, str | None, str | None, str]:
    authorization = key = prefer = None
    content_type = ""
    for name, value in scope["headers"]:
        if name == b"authorization":
            authorization = value.decode("latin-1")
        elif name == b"idempotency-key":
            key = value.decode("latin-1")
        elif name == b"prefer":
            prefer = value.decode("latin-1")
        elif name == b"content-type":
            content_type = value.decode("latin-1")
    return authorization, key, prefer, content_type


async def _write(send: Send, answer: HttpAnswer) -> None:
    headers: list[Any] = [
        (b"content-type", answer.media_type.encode()),
        (b"content-length", str(len(answer.body)).encode()),
    ]
    headers += [(name.lower().encode(), value.encode()) for name, value in answer.headers.items()]
    await send({"type": "http.response.start", "status": answer.status, "headers": headers})
    await send({"type": "http.response.body", "body": answer.body, "more_body": False})


@get("/health", summary="Is this process alive?", tags=["probes"])
async def health() -> dict[str, Any]:
    return {"status": "healthy", "version": homing.__version__}


class ReadyView(msgspec.Struct):
    """It can: so many `instances` are known."""

    status: str
    instances: int


class NotReadyView(msgspec.Struct):
    """It cannot, and why."""

    status: str
    detail: str


@get(
    "/ready",
    summary="Can this gateway do its work?",
    tags=["probes"],
    opt=also(shows={200: ReadyView, 503: NotReadyView}),
)
async def ready(gateway: TheGateway) -> Response[ReadyView | NotReadyView]:
    """503 while the directory takes no writes, whatever else it does. Sends on cached routes go on even then."""
    lacking = await gateway.readiness.lacking()
    if lacking is not None:
        headers = {"Retry-After": str(problems.RETRY_AFTER_S)}
        return Response(NotReadyView("directory unavailable", lacking), status_code=503, headers=headers)
    return Response(ReadyView("ready", len(gateway.fleet.roster.instances)))


@get("/metrics", summary="Figures for Prometheus", tags=["probes"], media_type="text/plain")
async def metrics(gateway: TheGateway, state: State) -> Response[bytes]:
    figures: WorkerFigures | None = state.figures
    text = await figures.exposition() if figures is not None else gateway.metrics.exposition()
    return Response(text, media_type="text/plain; version=0.0.4; charset=utf-8")


_RESOURCES = (
    accounts.AccountsController,
    number_checks.NumberChecksController,
    signs.SignsController,
    contacts.ContactsController,
    workspaces.WorkspacesController,
    moves.router,
    recycles.router,
    automation.router,
    plans.router,
    messages.router,
    media.router,
    outbox.router,
    batches.router,
    pacing.router,
    sync.run_sync,
    schedules.schedules,
    events.events,
    state.state,
    alerts.alerts,
    deaf.deaf,
    deaf.rungs,
    pairing.to_pair,
    downtime.router,
    sessions.sessions,
    now.now,
    cache.CacheController,
    keys.KeysController,
    audit.router,
    EndpointsController,
    ReceiversController,
    SilencesController,
    DeliveriesController,
)
"""Everything below /api/v1 but the hot route."""


def framework(gateway: Gateway, figures: WorkerFigures | None = None, here: Caller | None = None) -> Litestar:
    """Everything but the hot route.

    `figures`: those of all workers, where several share the port. `here`: who asks where nothing listens, a command in
    this process.
    """
    app = routed(gateway.settings.homing_max_body_bytes, gateway.settings.homing_max_webhook_bytes)
    app.state.update(
        {
            "gateway": gateway,
            "logins": SignIns(gateway.stores.logins, gateway.keyring, gateway.clock, gateway.entropy),
            "figures": figures,
            "refused": RefusedCallers(gateway.clock),
            "state_feed": StateFeed(gateway),
            "here": here,
        }
    )
    return app


def routed(body_max: int, webhook_max: int) -> Litestar:
    """All routes, for whatever gateway its state will name."""
    api = Router(
        "/api/v1",
        route_handlers=_RESOURCES,
        dependencies={"caller": Provide(provide_caller, sync_to_thread=False)},
        before_request=refuse_unknown,
        security=[{"key": []}],
    )
    openapi = _openapi()
    openapi.app = app = Litestar(
        route_handlers=[health, ready, metrics, *media.FILES, api, *PAGES, reports.router(webhook_max)],
        dependencies={"gateway": Provide(provide_gateway, sync_to_thread=False)},
        openapi_config=openapi,
        before_send=[name_all_methods],
        exception_handlers=_handlers(),
        request_class=CheckedRequest,
        request_max_body_size=body_max,
        logging_config=None,
        debug=False,
    )
    app.state.update({"known_queries": known_queries(app), "methods": methods_by_path(app)})
    return app


def _openapi() -> Described:
    return Described(
        title="Homing",
        version=homing.__version__,
        description="One stable address in front of a fleet of WhatsApp session gateways.",
        path="/docs",
        openapi_router=Router(
            "/docs",
            route_handlers=[],
            include_in_schema=False,
            before_request=nothing_else,
            response_headers=DOCS_HEADERS,
        ),
        render_plugins=[DocsPage(), DocsDocument()],
        components=Components(security_schemes={"key": SecurityScheme(type="http", scheme="bearer")}),
    )


def _handlers() -> dict[Any, Callable[[Request[Any, Any, Any], Any], Response[Any]]]:
    return {
        Problem: lambda _, error: _problem(error),
        StoreUnavailable: lambda _, error: _problem(
            Problem(Code.DIRECTORY_UNAVAILABLE, f"The directory is away: {error}", retry_after_s=2)
        ),
        NameTaken: lambda _, error: _problem(Problem(Code.ALREADY_EXISTS, str(error))),
        ValidationException: lambda _, error: _problem(_invalid(error)),
        HTTPException: lambda asked, error: _problem(
            _foreign(error, asked.url.path), allow=(error.headers or {}).get("allow")
        ),
        Exception: _unexpected,
    }


def _problem(problem: Problem, *, allow: str | None = None) -> Response[Any]:
    """`allow`: the methods that the address takes, where that is what was wrong."""
    return Response(
        problems.document(problem, success=False),
        status_code=problems.STATUS[problem.code],
        headers=problems.headers(problem) | ({"Allow": allow} if allow is not None else {}),
        media_type=problems.PROBLEM_JSON,
    )


def _invalid(error: ValidationException) -> Problem:
    extra: Any = error.extra
    first = extra[0] if isinstance(extra, list) and extra else {}
    field = first.get("key") if isinstance(first, dict) else None
    said = first.get("message") if isinstance(first, dict) else None
    return Problem(Code.INVALID_REQUEST, f"The request is not valid: {said or error.detail}", field=field)


def _foreign(error: HTTPException, path: str) -> Problem:
    """What the framework itself found wrong."""
    match error.status_code:
        case 404 if path.startswith(f"{_ACCOUNTS}/"):
            return Problem(Code.NOT_FOUND, "There is nothing at this address; `/` in a session's name is written `%2F`")
        case 404:
            return Problem(Code.NOT_FOUND, "There is nothing at this address")
        case 405:
            return Problem(Code.METHOD_NOT_ALLOWED, "This address does not take that method")
        case 413:
            return Problem(Code.BODY_TOO_LARGE, "The body is larger than the limit")
        case 400:
            cause = error.__cause__ or error.__context__
            if isinstance(cause, msgspec.DecodeError | msgspec.ValidationError):
                return problems.invalid(cause)
            return Problem(Code.INVALID_REQUEST, f"The request is not valid: {error.detail}")
        case _:
            log.error("The framework refused a request", status=error.status_code, detail=error.detail)
            return Problem(Code.INTERNAL_ERROR, "The gateway failed; it is in the log")


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    log.error("A request failed inside the gateway", path=shown_path(request.url.path), exc_info=error)
    return _problem(Problem(Code.INTERNAL_ERROR, "The gateway failed; it is in the log"))
