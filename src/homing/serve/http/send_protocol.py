"""The protocol of the gateway's port: it answers sends by itself, and hands everything else to the framework's server.

A plain send goes from its last byte to its answer in one task and one write, and meets none of the layers in front of
the framework. What needs one of them is handed on: a file, a form, a body in chunks or beyond the limit, a query, a
proxy's prefix, HTTP/1.0, a request behind another one that is not answered yet, a gateway that opens or leaves.
"""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

import structlog
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from homing.decide import traces
from homing.model.tracing import tracing
from homing.serve.http.answers import HttpAnswer
from homing.serve.http.http_limits import BoundedProtocol, HttpLimits, protocol_with

SEND_PATH = "/api/v1/messages/send"

log = structlog.get_logger("homing")

_TARGET = SEND_PATH.encode()
_UNAUTHENTICATED = 401
_FILE_FIELD = b"media_base64"
_NOT_PLAIN = (b"expect", b"transfer-encoding", b"upgrade", b"x-forwarded-prefix")
"""Header fields with which a send is handed on."""
_TIMER_SLACK_S = 0.001
Headers = list[tuple[bytes, bytes]]
Peer = tuple[str, int] | None


class AnswersSends(Protocol):
    """Answers a send whose body came whole; every way that it can fail is an answer too."""

    async def answer(
        self, raw: bytes, authorization: str | None, key: str | None, prefer: str | None = None
    ) -> HttpAnswer: ...


@dataclass(frozen=True, slots=True)
class DirectSends:
    """What the protocol needs to answer sends without the framework."""

    sends: AnswersSends
    body_max: int
    failed: Callable[[], HttpAnswer]
    """The answer where the gateway itself failed."""
    refused: Callable[[Headers, Peer], Awaitable[None]]
    """Hears of each caller without a valid key."""


class Direct(Protocol):
    """Whoever knows whether sends are answered by the protocol now."""

    direct: DirectSends | None


def answering(limits: HttpLimits, front: Direct) -> type[HttpToolsProtocol]:
    """The protocol class for a server with these limits, which answers sends by itself whenever `front` lets it."""
    return protocol_with(limits, SendProtocol, front=front)


class _NobodyWaits:
    """In place of an event that nobody waits for."""

    def set(self) -> None: ...


class _SendUnderWay:
    """A send that is being answered, as the server behind asks after the request of a connection."""

    __slots__ = ("body", "direct", "disconnected", "fields", "headers", "keep_alive", "response_complete")
    response_started = False
    message_event = _NobodyWaits()

    def __init__(self, direct: DirectSends, headers: Headers, fields: Mapping[bytes, bytes], keep_alive: bool) -> None:
        self.direct, self.headers, self.fields, self.keep_alive = direct, headers, fields, keep_alive
        self.body = b""
        self.response_complete = self.disconnected = False


class SendProtocol(BoundedProtocol):
    """One connection of a client."""

    front: Direct
    _default_lines: tuple[object, bytes] = (None, b"")

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._sending: _SendUnderWay | None = None
        self._idle_timer: asyncio.TimerHandle | None = None
        self._idle_since: float | None = None

    # --- what the parser tells us -----------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        """Most requests need nothing of what the server behind would prepare here."""
        self.url = b""
        self.headers = []
        self.expect_100_continue = False
        self.said_once.clear()

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._sending = None
        if self.url == _TARGET and (direct := self.front.direct) is not None and self._is_free():
            fields = dict(self.headers)
            if self._is_plain(fields, direct.body_max):
                keep_alive = self.parser.should_keep_alive()
                self.cycle = self._sending = _SendUnderWay(direct, self.headers, fields, keep_alive)  # type: ignore[assignment]
                return
        self._hand_on()

    def on_body(self, body: bytes) -> None:
        if self._sending is not None:
            self._sending.body += body
        else:
            super().on_body(body)

    def on_message_complete(self) -> None:
        send, self._sending = self._sending, None
        if send is not None and _FILE_FIELD not in send.body:
            self._in_head, self._head_bytes = True, 0
            task = self.loop.create_task(self._answer(send))
            self.tasks.add(task)
            task.add_done_callback(self.tasks.discard)
            return
        if send is not None:
            self.cycle = None  # type: ignore[assignment]
            self._hand_on()
            super().on_body(send.body)
        super().on_message_complete()

    def _is_free(self) -> bool:
        """Whether nothing that came before on this connection is still being answered."""
        before: object = self.cycle
        return before is None or self.cycle.response_complete

    def _is_plain(self, fields: dict[bytes, bytes], body_max: int) -> bool:
        length = fields.get(b"content-length", b"")
        return (
            len(length) < 10
            and length.isdigit()
            and int(length) <= body_max
            and fields.keys().isdisjoint(_NOT_PLAIN)
            and fields.get(b"content-type", b"")[:9].lower() != b"multipart"
            and self.parser.get_method() == b"POST"
            and self.parser.get_http_version() == "1.1"
            and not self.parser.should_upgrade()
        )

    def _hand_on(self) -> None:
        """Let the server behind prepare what it would have at the beginning of the request, and answer it."""
        url, headers, expects = self.url, self.headers, self.expect_100_continue
        HttpToolsProtocol.on_message_begin(self)
        self.url, self.expect_100_continue = url, expects
        self.headers = self.scope["headers"] = headers
        HttpToolsProtocol.on_headers_complete(self)

    # --- answering --------------------------------------------------------------------------------------------------

    async def _answer(self, send: _SendUnderWay) -> None:
        fields = send.fields
        try:
            if b"traceparent" in fields:
                self._enter_trace(send.headers)
            authorization, key, prefer = (
                fields.get(b"authorization"),
                fields.get(b"idempotency-key"),
                fields.get(b"prefer"),
            )
            answer = await send.direct.sends.answer(
                send.body,
                None if authorization is None else authorization.decode("latin-1"),
                None if key is None else key.decode("latin-1"),
                None if prefer is None else prefer.decode("latin-1"),
            )
            if answer.status == _UNAUTHENTICATED:
                await send.direct.refused(send.headers, self.client)
        except BaseException as error:
            log.exception("A send failed inside the gateway")
            answer = send.direct.failed()
            if not isinstance(error, Exception):
                self._write(send, answer)
                raise
        if self.flow.write_paused and not self.transport.is_closing():
            await self.flow.drain()
        self._write(send, answer)

    @staticmethod
    def _enter_trace(headers: Headers) -> None:
        """The task is this request's alone, and so is what it runs in. Two headers name no trace."""
        named = [value for name, value in headers if name == b"traceparent"]
        trace = traces.read(named[0].decode("latin-1")) if len(named) == 1 else None
        if trace is not None:
            tracing.set(trace)
            structlog.contextvars.bind_contextvars(trace_id=trace.trace_id)

    def _write(self, send: _SendUnderWay, answer: HttpAnswer) -> None:
        send.response_complete = True
        if not self.transport.is_closing():
            head = (
                b"%b%bcontent-type: %b\r\ncontent-length: %d\r\n"
                % (STATUS_LINE[answer.status], self._lines_of_all(), answer.media_type.encode(), len(answer.body))
            )  # fmt: skip
            for name, value in answer.headers.items():
                head += b"%b: %b\r\n" % (name.lower().encode(), value.encode())
            end = b"\r\n" if send.keep_alive else b"connection: close\r\n\r\n"
            self.transport.write(head + end + answer.body)
            if not send.keep_alive:
                self.transport.close()
        self.on_response_complete()

    def _lines_of_all(self) -> bytes:
        """The header lines that every answer has; they change with each second."""
        known = self.server_state.default_headers
        told = SendProtocol._default_lines
        if told[0] is not known:
            lines = b"".join(b"%b: %b\r\n" % each for each in known)
            told = SendProtocol._default_lines = (known, lines)
        return told[1]

    # --- between requests: one timer for the life of the connection -------------------------------------------------

    def on_response_complete(self) -> None:
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if self.pipeline:
            cycle, app = self.pipeline.pop()
            self._start_asgi_task(cycle, app)
            return
        self._idle_since = self.loop.time()
        if self._idle_timer is None:
            self._idle_timer = self.loop.call_later(self.timeout_keep_alive, self._look_whether_idle)

    def _unset_keepalive_if_required(self) -> None:
        self._idle_since = None

    def _look_whether_idle(self) -> None:
        self._idle_timer = None
        if self._idle_since is None or self.transport.is_closing():
            return
        left_s = self._idle_since + self.timeout_keep_alive - self.loop.time()
        if left_s > _TIMER_SLACK_S:
            self._idle_timer = self.loop.call_later(left_s, self._look_whether_idle)
        else:
            self.transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if self._idle_timer is not None:
            self._idle_timer.cancel()
            self._idle_timer = None
        super().connection_lost(exc)
