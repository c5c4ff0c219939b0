"""The instance over HTTP: the webjs protocol, epochs and message ids beyond it, faults on demand.

Protocol facts are the Node service's (src/routes/index.js): the API key is a query parameter of a GET and
a field of the JSON body of anything else; probes need none.
"""

import asyncio
import hmac
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, TypeVar

import msgspec
import structlog
from aiohttp import web
from aiohttp.typedefs import Handler, Middleware

from homing.instance.api import answers, requests
from homing.instance.api.answers import ApiAnswer
from homing.instance.api.downloads import Downloads
from homing.instance.api.fault_injection import misbehaving
from homing.instance.api.faults import Faults, UnknownFault
from homing.instance.api.probes import health, memory
from homing.instance.api.requests import RequestProblem, SendRequest
from homing.instance.engine import Uploaded
from homing.instance.files import CountedFile, FileUnreadable, OpenFile, media_type
from homing.instance.host import NotFound, SessionHost
from homing.instance.opening import OpenRequest
from homing.instance.session.messages import EngineSent, Message, SendOutcome
from homing.model.instances.health import GATEWAY_AGENT
from homing.model.sends import content_json
from homing.ports import StoreUnavailable

log = structlog.get_logger("homing")
BODY_MAX_BYTES = 1024 * 1024
EPOCH_HEADER = "X-Homing-Epoch"
KEY_HEADER = "X-API-Key"
ENDPOINTS = (
    "/health",
    "/health/ready",
    "/health/live",
    "/api/sessions",
    "/api/messages/send",
    "/api/messages/send-media",
    "/api/messages/bulk-send",
)
Checked = TypeVar("Checked")
Answering = Callable[[web.Request], Awaitable[ApiAnswer | web.StreamResponse]]


@dataclass(slots=True)
class Surface:
    """What the handlers work with. ``bulk_spacing_s`` is the pause between two recipients of a bulk send.

    ``faults`` is there only in trials: nobody who has a key can make an instance misbehave otherwise.
    ``backlog`` counts the notifications that the gateway does not have yet, where there is one to notify.
    """

    host: SessionHost
    api_key: str
    faults: Faults | None = None
    bulk_spacing_s: float = 1.0
    started_at: float = 0.0
    restored: bool = False
    answered_s: float | None = None
    backlog: Callable[[], Mapping[str, int]] | None = None
    memory: Callable[[], Mapping[str, Any]] = memory
    files: OpenFile | None = None
    """Reads files that messages have, where there is a way to."""
    downloads: Downloads = field(init=False)

    def __post_init__(self) -> None:
        self.downloads = Downloads(self.host)

    def note_answered(self, agent: str | None) -> None:
        """Somebody's call was answered. Only a gateway's tells that gateways reach us: what probes us from beside us
        (a platform's liveness probe, a scraper, a person) does so whatever the network between does."""
        if agent == GATEWAY_AGENT:
            self.answered_s = self.host.clock.monotonic()

    def answered_ago_s(self) -> float | None:
        """Since when no gateway's call was answered here; None if none ever called."""
        return None if self.answered_s is None else self.host.clock.monotonic() - self.answered_s

    # Sessions

    async def list_sessions(self, request: web.Request) -> ApiAnswer:
        self._check_key(request, request.query)
        sessions = [answers.row(session) for session in self.host.sessions()]
        at = answers.iso(self.host.now())
        return ApiAnswer({"success": True, "sessions": sessions, "total": len(sessions), "timestamp": at})

    async def session_status(self, request: web.Request) -> ApiAnswer:
        self._check_key(request, request.query)
        session = self.host.find(request.match_info["id"])
        return answers.SESSION_NOT_FOUND if session is None else ApiAnswer(answers.status(session))

    async def start_session(self, request: web.Request) -> ApiAnswer:
        wanted = _checked(requests.start(await self._order(request)))
        return answers.started(await self.host.start(wanted.session_id, wanted.workspace_id, epoch=_epoch(request)))

    async def start_sessions(self, request: web.Request) -> ApiAnswer:
        asked = _checked(requests.batch(await self._order(request)))
        wanted = [OpenRequest(each.session_id, each.workspace_id, each.epoch) for each in asked.sessions]
        return answers.started_many(wanted, await self.host.start_many(wanted, wait_s=asked.wait_s))

    async def restart_session(self, request: web.Request) -> ApiAnswer:
        body = {**await self._order(request), "session_id": request.match_info["id"]}
        wanted = _checked(requests.start(body))
        return answers.started(await self.host.restart(wanted.session_id, wanted.workspace_id, epoch=_epoch(request)))

    async def stop_session(self, request: web.Request) -> ApiAnswer:
        await self._order(request)
        return answers.stopped(await self.host.stop(request.match_info["id"], epoch=_epoch(request)))

    async def renew_code(self, request: web.Request) -> ApiAnswer:
        phone = _checked(requests.typed_for(await self._order(request)))
        if phone is not None and not self.host.engine.capabilities.typed_codes:
            raise AnsweredEarly(RequestProblem(400, {"error": "This engine makes no codes to type"}))
        name = request.match_info["id"]
        code = await self.host.renew_code(name, phone)
        return answers.renewed(code, self.host.find(name))

    async def logout_session(self, request: web.Request) -> ApiAnswer:
        await self._order(request)
        return answers.logged_out(await self.host.logout(request.match_info["id"], epoch=_epoch(request)))

    # Messages

    async def send(self, request: web.Request) -> ApiAnswer:
        wanted = _checked(requests.send(await self._body(request)))
        told = content_json.written(wanted.content) if wanted.content is not None else None
        return await self._say(request, wanted, told)

    async def send_media(self, request: web.Request) -> ApiAnswer:
        """WhatsApp has the whole file before the message is reserved: no message names one that is not there."""
        wanted = _checked(requests.media(await self._body(request)))
        if self.files is None:
            raise AnsweredEarly(RequestProblem(400, {"error": "Media is not supported here"}))
        read = CountedFile(self.files(wanted.media_url))
        try:
            given = await self.host.upload(wanted.message.session_id, read.pieces(), wanted.content.type)
        except FileUnreadable as problem:
            raise AnsweredEarly(answers.file_missing(str(problem))) from None
        if not isinstance(given, Uploaded):
            return answers.sent(given, self.host.now())
        if wanted.sha256 not in (None, given.sha256):
            raise AnsweredEarly(answers.file_missing("it is another file than was announced"))
        file = {"sha256": given.sha256, "size": read.size, "mime_type": media_type(wanted.content)}
        told = content_json.written(wanted.content) | {"media": file}
        return await self._say(request, wanted.message, told, given.reference)

    async def mark_read(self, request: web.Request) -> ApiAnswer:
        wanted = _checked(requests.read_marks(await self._order(request)))
        if not self.host.engine.capabilities.mark_read:
            raise AnsweredEarly(RequestProblem(400, {"error": "This engine marks no messages as read"}))
        return answers.shown(await self.host.show(request.match_info["id"], wanted))

    async def show_typing(self, request: web.Request) -> ApiAnswer:
        wanted = _checked(requests.typing_sign(await self._order(request)))
        if not self.host.engine.capabilities.show_typing:
            raise AnsweredEarly(RequestProblem(400, {"error": "This engine does not show that somebody types"}))
        return answers.shown(await self.host.show(request.match_info["id"], wanted))

    async def download(self, request: web.Request) -> ApiAnswer | web.StreamResponse:
        self._check_key(request, request.query)
        return await self.downloads.give(request)

    async def bulk_send(self, request: web.Request) -> ApiAnswer:
        wanted = _checked(requests.bulk(await self._body(request)))
        epoch = _epoch(request)
        results: list[dict[str, Any]] = []
        for place, recipient in enumerate(wanted.recipients):
            if place:
                await asyncio.sleep(self.bulk_spacing_s)
            message = Message(self.host.new_message_id(), requests.digits(recipient), wanted.text)
            outcome = await self.host.send(wanted.session_id, message, epoch=epoch)
            results.append(_one_of_many(recipient, outcome, self.host.now()))
        errors = [result for result in results if not result["success"]]
        counts = {"total": len(results), "successful": len(results) - len(errors), "failed": len(errors)}
        return ApiAnswer({"success": True, **counts, "results": results, "errors": errors})

    async def validate(self, request: web.Request) -> ApiAnswer:
        self._check_key(request, request.query)
        session = self.host.find(request.match_info["id"])
        if session is None:
            return ApiAnswer({"success": False, "error": "Session not found", "can_send": False}, 404)
        return ApiAnswer(answers.validation(session, self.host.now()))

    # Probes

    async def health(self, _: web.Request) -> ApiAnswer:
        body = {**health(self.host, self.memory()), "uptime": self._uptime_s(), "key_header": KEY_HEADER}
        return ApiAnswer({**body, "notifications": self.backlog()} if self.backlog else body)

    async def live(self, _: web.Request) -> ApiAnswer:
        return ApiAnswer({
            "alive": True,
            "uptime": self._uptime_s(),
            "timestamp": answers.iso(self.host.now()),
        })  # fmt: skip

    async def ready(self, _: web.Request) -> ApiAnswer:
        checks = {"sessions_restored": self.restored, "session_count": len(self.host.sessions())}
        body = {"ready": self.restored, "timestamp": answers.iso(self.host.now()), "checks": checks}
        return ApiAnswer(body, 200 if self.restored else 503)

    # Faults

    def fault_routes(self, faults: Faults) -> tuple[tuple[str, str, Answering], ...]:
        """The calls by which a trial makes this instance misbehave."""

        async def show(request: web.Request) -> ApiAnswer:
            self._check_key(request, request.query)
            return ApiAnswer(faults.shown(self.host.now()))

        async def ask(request: web.Request) -> ApiAnswer:
            body = await self._body(request)
            wanted = {name: value for name, value in body.items() if name != "api_key"}
            try:
                faults.ask(wanted, self.host.now())
            except UnknownFault as unknown:
                return ApiAnswer({"error": str(unknown)}, 400)
            return ApiAnswer(faults.shown(self.host.now()))

        return ("GET", "/faults", show), ("POST", "/faults", ask)

    # Steps

    async def _say(
        self,
        request: web.Request,
        wanted: SendRequest,
        content: Mapping[str, Any] | None,
        file: str | None = None,
    ) -> ApiAnswer:
        message_id = wanted.message_id or self.host.new_message_id()
        message = Message(message_id, wanted.recipient, wanted.text, content, file)
        outcome = await self.host.send(wanted.session_id, message, epoch=_epoch(request))
        return answers.sent(outcome, self.host.now())

    async def _body(self, request: web.Request) -> dict[str, Any]:
        """The JSON object of the request, once its key was checked."""
        raw = await request.read()
        try:
            body = msgspec.json.decode(raw) if raw else {}
        except (ValueError, RecursionError):
            raise AnsweredEarly(RequestProblem(400, {"error": "Invalid JSON"})) from None
        if not isinstance(body, dict):
            raise AnsweredEarly(RequestProblem(400, {"error": "Invalid JSON"}))
        self._check_key(request, body)
        return body

    async def _order(self, request: web.Request) -> dict[str, Any]:
        """The body of a request that changes a session. Whoever wakes from a freeze does not do what waited for it."""
        body = await self._body(request)
        if not self.host.lease.may_act():
            raise AnsweredEarly(answers.PAUSED)
        return body

    def _check_key(self, request: web.Request, given: Mapping[str, Any]) -> None:
        """In a header, or as the Node service takes it: in the query of a GET, in the body of everything else."""
        key = request.headers.get(KEY_HEADER) or given.get("api_key")
        if not isinstance(key, str) or not hmac.compare_digest(key.encode("utf-8", "replace"), self.api_key.encode()):
            raise AnsweredEarly(RequestProblem(401, {"error": "Invalid API key"}))

    def _uptime_s(self) -> float:
        return round(self.host.now() - self.started_at, 3)


class AnsweredEarly(Exception):
    """An answer on its way out."""

    def __init__(self, problem: RequestProblem | ApiAnswer) -> None:
        super().__init__(problem.body["error"])
        self.answer = problem if isinstance(problem, ApiAnswer) else ApiAnswer(problem.body, problem.status)


def application(surface: Surface) -> web.Application:
    """The aiohttp application of one instance."""
    faults = surface.faults
    trials = [misbehaving(faults, surface.host.now)] if faults is not None else []
    app = web.Application(middlewares=[_one_shape(surface), *trials], client_max_size=BODY_MAX_BYTES)
    routes: tuple[tuple[str, str, Answering], ...] = (
        ("GET", "/health", surface.health),
        ("GET", "/health/live", surface.live),
        ("GET", "/health/ready", surface.ready),
        ("GET", "/api/sessions", surface.list_sessions),
        ("POST", "/api/sessions", surface.start_session),
        ("POST", "/api/sessions/batch", surface.start_sessions),
        ("GET", "/api/sessions/{id}/status", surface.session_status),
        ("DELETE", "/api/sessions/{id}", surface.stop_session),
        ("POST", "/api/sessions/{id}/reconnect", surface.restart_session),
        ("POST", "/api/sessions/{id}/regenerate-qr", surface.renew_code),
        ("POST", "/api/sessions/{id}/logout", surface.logout_session),
        ("POST", "/api/sessions/{id}/read", surface.mark_read),
        ("POST", "/api/sessions/{id}/typing", surface.show_typing),
        ("GET", "/api/sessions/{id}/files/{reference}", surface.download),
        ("POST", "/api/messages/send", surface.send),
        ("POST", "/api/messages/send-media", surface.send_media),
        ("POST", "/api/messages/bulk-send", surface.bulk_send),
        ("GET", "/api/messages/{id}/validate", surface.validate),
    )
    for method, path, handler in (*routes, *(surface.fault_routes(faults) if faults is not None else ())):
        app.router.add_route(method, path, _answering(handler))
    return app


def _answering(handler: Answering) -> Handler:
    async def respond(request: web.Request) -> web.StreamResponse:
        try:
            answer = await handler(request)
            return answer if isinstance(answer, web.StreamResponse) else _response(answer)
        except AnsweredEarly as refused:
            return _response(refused.answer)

    return respond


def _one_shape(surface: Surface) -> Middleware:
    """Whatever goes wrong is answered as JSON with an ``error``, and says nothing about our insides."""

    @web.middleware
    async def respond(request: web.Request, handler: Handler) -> web.StreamResponse:
        answer = await _shaped(surface, request, handler)
        if request.transport is not None and not request.transport.is_closing():
            surface.note_answered(request.headers.get("User-Agent"))
        return answer

    return respond


async def _shaped(surface: Surface, request: web.Request, handler: Handler) -> web.StreamResponse:
    try:
        return await handler(request)
    except web.HTTPRequestEntityTooLarge:
        return _response(ApiAnswer({"error": "Request body too large"}, 413))
    except (web.HTTPNotFound, web.HTTPMethodNotAllowed):
        return _response(_no_endpoint(request, surface.host.now()))
    except web.HTTPException as problem:
        return _response(ApiAnswer({"error": problem.reason}, problem.status))
    except StoreUnavailable as problem:
        log.warning(
            "Request is refused: the vault does not answer",
            method=request.method,
            path=request.path,
            error=str(problem),
        )
        return _response(ApiAnswer({"error": "Credentials vault unavailable"}, 503, {"Retry-After": "1"}))
    except Exception:
        log.exception("Request failed", method=request.method, path=request.path)
        return _response(ApiAnswer({"error": "Internal server error"}, 500))


def _no_endpoint(request: web.Request, now: float) -> ApiAnswer:
    return ApiAnswer(
        {
            "error": "Endpoint not found",
            "path": request.path_qs.partition("?")[0],
            "method": request.method,
            "available_endpoints": ENDPOINTS,
            "timestamp": answers.iso(now),
        },
        404,
    )


def _response(answer: ApiAnswer) -> web.Response:
    body = msgspec.json.encode(answer.body)
    return web.Response(body=body, status=answer.status, headers=answer.headers, content_type="application/json")


def _checked(wanted: Checked | RequestProblem) -> Checked:
    if isinstance(wanted, RequestProblem):
        raise AnsweredEarly(wanted)
    return wanted


def _epoch(request: web.Request) -> int | None:
    epoch = requests.epoch(request.headers.get(EPOCH_HEADER))
    if isinstance(epoch, RequestProblem):
        raise AnsweredEarly(epoch)
    return epoch


def _one_of_many(recipient: str, outcome: SendOutcome | NotFound, now: float) -> dict[str, Any]:
    if isinstance(outcome, EngineSent):
        return {
            "recipient": recipient,
            "success": True,
            "message_id": outcome.message_id,
            "timestamp": int(now),
        }
    return {"recipient": recipient, "success": False, "error": answers.sent(outcome, now).body["error"]}
