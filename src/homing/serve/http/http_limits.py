"""What a client may cost before its request is whole: header bytes, header fields, time, connections from one address.

The parser underneath has no limits of its own: it would gather a header of any size, and wait for the rest of a request
for as long as the connection stands. A request that says something twice is refused here too, so that the send route
and the framework behind it can never read one differently.
"""

import asyncio
import socket
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import msgspec
import structlog
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle

from homing.model.errors import Code, Problem
from homing.serve.http import problems
from homing.serve.http.proxies import Network, speaks_for_others

log = structlog.get_logger("homing")

SAID_ONCE = frozenset(
    {
        b"authorization",
        b"content-length",
        b"content-type",
        b"host",
        b"idempotency-key",
        b"last-event-id",
        b"transfer-encoding",
        b"x-api-key",
        b"x-hmac-signature",
        b"x-homing-event-id",
        b"x-instance-url",
        b"x-timestamp",
    }
)
"""Header fields that mean one thing: a request with two of them is two requests, depending on who reads it."""


@dataclass(frozen=True, slots=True)
class HttpLimits:
    """Bytes and fields of one request's head, seconds for head and body, connections of one address (0: any number).

    `unread_s`: whoever takes nothing of an answer for so long is dropped; a stream's watcher can go on where it was.

    Connections from loopback and from `trusted` proxies, which speak for many, are not counted.
    """

    header_bytes: int = 65_536
    header_fields: int = 100
    head_s: float = 10.0
    body_s: float = 30.0
    unread_s: float = 20.0
    connections_per_address: int = 1_000
    trusted: Sequence[Network] = ()


def protocol_with(limits: HttpLimits, base: "type[BoundedProtocol]", **more: object) -> "type[BoundedProtocol]":
    """A class of `base` for one server: with these limits, and connections counted for itself."""
    return type(base.__name__, (base,), {"limits": limits, "per_address": Counter(), **more})


_USER_TIMEOUT: int | None = getattr(socket, "TCP_USER_TIMEOUT", None)
_LINGER_S = 1.0
"""How long a refused client may go on talking, unheard."""


class _RequestNotTaken(Exception):
    """Ends the parsing of a request that is not taken."""


class BoundedProtocol(HttpToolsProtocol):
    """One connection of a client, within the limits."""

    limits: HttpLimits
    per_address: Counter[str]

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._in_head, self._head_bytes = True, 0
        self.said_once: set[bytes] = set()
        """Of the fields of the present head, those that may be there once."""
        self._refusal: Problem | None = None
        self._refused = self._held_up = False
        self._timer: asyncio.TimerHandle | None = None
        self._unread: asyncio.TimerHandle | None = None
        self._waits_for: str | None = None
        self._address = ""

    # --- a connection ---------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        super().connection_made(transport)
        self._let_the_kernel_drop(transport)
        counted = self.client is not None and not speaks_for_others(self.client[0], self.limits.trusted)
        self._address = self.client[0] if self.client is not None and counted else ""
        if self._address:
            self.per_address[self._address] += 1
            most = self.limits.connections_per_address
            if most and self.per_address[self._address] > most:
                detail = f"{most} connections from {self._address} are open, which is the limit"
                self._refuse(Problem(Code.OVERLOADED, detail, retry_after_s=10))
                return
        self._give_time("head")

    def connection_lost(self, exc: Exception | None) -> None:
        self._stop_timer()
        self._taken()
        if self._address:
            self.per_address[self._address] -= 1
            if not self.per_address[self._address]:
                del self.per_address[self._address]
        super().connection_lost(exc)

    # --- a request ------------------------------------------------------------------------------------------------

    def data_received(self, data: bytes) -> None:
        while data and not self._is_over():
            if not self._in_head:
                super().data_received(data)
                break
            room = self.limits.header_bytes - self._head_bytes
            part, data = data[:room], data[room:]
            self._head_bytes += len(part)
            super().data_received(part)
            if self._has_too_long_a_head():
                self._refuse(_too_large(f"more than {self.limits.header_bytes} bytes"))
        self._watch_progress()

    def _has_too_long_a_head(self) -> bool:
        return self._in_head and self._head_bytes >= self.limits.header_bytes

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._in_head:
            self._refusal = Problem(Code.MALFORMED_REQUEST, "Header fields behind the body (trailers) are not taken")
            raise _RequestNotTaken
        if len(self.headers) >= self.limits.header_fields:
            self._refusal = _too_large(f"more than {self.limits.header_fields} fields")
            raise _RequestNotTaken
        lower = name.lower()
        if lower in SAID_ONCE:
            if lower in self.said_once:
                self._refusal = Problem(Code.MALFORMED_REQUEST, f"The header {lower.decode()} is there more than once")
                raise _RequestNotTaken
            self.said_once.add(lower)
        if lower == b"expect" and value.lower() == b"100-continue":
            self.expect_100_continue = True
        self.headers.append((lower, value))

    def on_message_begin(self) -> None:
        self.said_once.clear()
        super().on_message_begin()

    def on_headers_complete(self) -> None:
        self._in_head = False
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head, self._head_bytes = True, 0

    def send_400_response(self, msg: str) -> None:
        """What the parser could not go on with: by our own word, or because it is not HTTP."""
        self._refuse(self._refusal or Problem(Code.MALFORMED_REQUEST, f"This is not a request in HTTP/1.1: {msg}"))

    def pause_writing(self) -> None:
        """What was written is not taken: there is so long for it."""
        super().pause_writing()
        if self._unread is None:
            self._wait_for_reader(self.transport.get_write_buffer_size())

    def resume_writing(self) -> None:
        super().resume_writing()
        self._taken()

    def _let_the_kernel_drop(self, transport: asyncio.Transport) -> None:
        """The kernel takes megabytes before it holds us up; it is told, too, how long a reader may take nothing."""
        wire = transport.get_extra_info("socket")
        if _USER_TIMEOUT is not None and wire is not None and wire.family in (socket.AF_INET, socket.AF_INET6):
            wire.setsockopt(socket.IPPROTO_TCP, _USER_TIMEOUT, round(self.limits.unread_s * 1000))

    def _taken(self) -> None:
        if self._unread is not None:
            self._unread.cancel()
            self._unread = None

    def _wait_for_reader(self, left_bytes: int) -> None:
        self._unread = self.loop.call_later(self.limits.unread_s, self._drop_unless_taken, left_bytes)

    def _drop_unless_taken(self, left_bytes: int) -> None:
        """Whoever took some of it is only slow. To close would wait for the rest to be taken."""
        self._unread = None
        left = self.transport.get_write_buffer_size()
        if left < left_bytes:
            self._wait_for_reader(left)
        else:
            self.transport.abort()

    # --- time -----------------------------------------------------------------------------------------------------

    def _watch_progress(self) -> None:
        """A request that came whole, as nearly all do, costs no timer."""
        waits_for = None
        if not self._in_head:
            waits_for = "body"
        elif self._head_bytes:
            waits_for = "head"
        if self._is_over() or waits_for is None:
            self._stop_timer()
        elif waits_for != self._waits_for:
            self._give_time(waits_for)

    def _give_time(self, waits_for: str) -> None:
        self._stop_timer()
        self._waits_for = waits_for
        for_s = self.limits.body_s if waits_for == "body" else self.limits.head_s
        self._timer = self.loop.call_later(for_s, self._out_of_time, for_s)

    def _stop_timer(self) -> None:
        self._waits_for = None
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _out_of_time(self, for_s: float) -> None:
        what, self._waits_for = self._waits_for, None
        if self._is_over():
            return
        if what == "body" and (self.flow.read_paused or self._held_up):
            # It is we who do not read on, or did not until just now.
            self._held_up = self.flow.read_paused
            self._give_time("body")
        elif what == "head" and not self._head_bytes:
            self.transport.close()
        else:
            self._refuse(Problem(Code.REQUEST_TIMEOUT, f"The request's {what} did not come within {for_s:g} s"))

    # --- refusing -------------------------------------------------------------------------------------------------

    def _refuse(self, problem: Problem) -> None:
        """Say why, unless an answer has begun already, and close."""
        self._stop_timer()
        if self._is_over():
            return
        if not self._may_answer():
            self.transport.close()
            return
        # Closing with bytes unread would reset the connection, and the answer would be lost with it.
        self._refused = True
        self.transport.write(_answer(problem))
        if self.transport.can_write_eof():
            self.transport.write_eof()
        self.loop.call_later(_LINGER_S, self.transport.close)

    def _may_answer(self) -> bool:
        """Whether nothing of an answer is under way: to the request before, or to this one."""
        cycle: RequestResponseCycle | None = self.cycle
        if self._in_head:
            return cycle is None or cycle.response_complete
        return cycle is not None and not cycle.response_started

    def _is_over(self) -> bool:
        return self._refused or self.transport.is_closing()


def _too_large(how: str) -> Problem:
    return Problem(Code.HEADERS_TOO_LARGE, f"The head of the request has {how}, which is the limit")


def _answer(problem: Problem) -> bytes:
    document = problems.document(problem, success=False)
    body = msgspec.json.encode(document)
    headers = {
        "content-type": problems.PROBLEM_JSON,
        "content-length": str(len(body)),
        "connection": "close",
        **{name.lower(): value for name, value in problems.headers(problem).items()},
    }
    lines = [
        f"HTTP/1.1 {document['status']} {document['title']}",
        *(f"{name}: {each}" for name, each in headers.items()),
    ]
    return ("\r\n".join(lines) + "\r\n\r\n").encode() + body
