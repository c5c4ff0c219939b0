"""One HTTP/1.1 connection to an instance: one request at a time, and exact about whether any of it left.

The rules are those of RFC 9112. A reply is taken only if it is whole and well formed; whatever else happens
after the request was written is a fault that says so.
"""

import asyncio
import select
import ssl
from collections.abc import Callable, Mapping
from typing import Any, cast

import httptools
import msgspec

from homing.drivers.http.sinks import BodySink
from homing.drivers.http.streamed import StreamedBody
from homing.drivers.http.tls import is_refusal_of_ours, tls_words
from homing.drivers.redact import shown
from homing.model.sends.calls import MediaUnavailable
from homing.model.sends.faults import Fault, Phase

_TIMER_SLACK_S = 0.001
_NODE_MARGIN = 0.8
"""We let go of an idle connection at this part of the time that its peer said it would keep it."""


class Reply(msgspec.Struct, frozen=True):
    """A whole answer. Header names are in lower case; a repeated header's values are joined with commas."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class _ReplyRefused(Exception):
    """Raised out of the parser's callbacks to stop at a reply that we do not take."""


class Connection(asyncio.Protocol):
    """One connection, told by its owner's two callbacks when it is free again and when it is of no more use.

    `on_gone` comes exactly once, as soon as the connection is known to be lost or unfit, before its socket closes.
    """

    def __init__(
        self,
        *,
        idle_s: float,
        head_limit_bytes: int,
        on_free: Callable[["Connection"], None],
        on_gone: Callable[["Connection"], None],
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._poll: Any = None
        self._parser: Any = httptools.HttpResponseParser(self)
        self._idle_s = self._kept_s = idle_s
        self._head_limit_bytes = head_limit_bytes
        self._on_free, self._on_gone = on_free, on_gone
        self._answer: asyncio.Future[Reply | Fault] | None = None
        self._timer: asyncio.TimerHandle | None = None
        self._timer_at = self._due_at = 0.0
        self._timeout_s = 0.0
        self._body_limit_bytes = 0
        self._sink: BodySink | None = None
        self._pouring: asyncio.Task[None] | None = None
        self._poured_bytes, self._body_written = 0, True
        self._has_room = asyncio.Event()
        self._has_room.set()
        self.closed: asyncio.Future[None] = self._loop.create_future()
        self.gone = False
        self.asked = 0
        self.session = ""
        """Whose call has it, or had it last: for its owner to note."""
        self.lives_until = float("inf")
        """By the loop's time; an exchange that is under way then is not cut short."""
        self._begin()

    # --- asking ---------------------------------------------------------------------------------------------

    def ask(
        self,
        message: bytes,
        *,
        until: float,
        timeout_s: float,
        body_limit_bytes: int,
        rest: StreamedBody | None = None,
        stall_s: float = 0.0,
        sink: BodySink | None = None,
    ) -> "asyncio.Future[Reply | Fault] | None":
        """Write a request and answer with its reply to come, by loop time `until`; None if not one byte was written.

        `rest` is what follows `message` as the peer takes it, of which it takes something every `stall_s`; `sink`,
        where the body of a good reply goes.
        """
        transport = self._transport
        if self.gone or transport is None or transport.is_closing() or self._peer_moved():
            return None
        self._begin()
        self._answer = answer = self._loop.create_future()
        self._timeout_s, self._body_limit_bytes = timeout_s, body_limit_bytes
        self._sink = sink
        self.asked += 1
        self._expire_at(until)
        transport.write(message)
        if rest is not None:
            self._pouring = self._loop.create_task(self._pour(rest, transport, until, stall_s))
        return answer

    async def _pour(self, rest: StreamedBody, transport: asyncio.Transport, until: float, stall_s: float) -> None:
        """Write the body piece by piece, and wait wherever the peer does not keep up. Once the last byte that was
        announced is written, the peer may act on it, whatever comes then.

        Where the file ends too early, or the peer takes no more of it, the connection is cut in the middle of the
        request: nobody acts on half of one.
        """
        self._poured_bytes, self._body_written = 0, False
        try:
            async for piece in rest.pieces():
                self._expire_at(min(until, self._loop.time() + stall_s))
                await self._has_room.wait()
                if transport.is_closing():  # a write would be passed over, and count as one
                    return
                transport.write(piece)
                self._poured_bytes += len(piece)
                # Counted, and not known by the end of the file alone: that may be found after the last byte has left.
                self._body_written = self._poured_bytes >= len(rest)
        except MediaUnavailable as error:
            self._lost(f"the file could not be read to its end: {error}")
            return
        if self._answer is not None:
            self._expire_at(until)

    def pause_writing(self) -> None:
        self._has_room.clear()

    def resume_writing(self) -> None:
        self._has_room.set()

    def abandon(self, answer: "asyncio.Future[Reply | Fault]") -> None:
        """The asker gave up. The connection, with half an exchange on it, serves nobody else."""
        if self._answer is answer:
            self.leave()

    def leave(self) -> None:
        """Close now, from our side. What was asked and not answered is interrupted."""
        self._lost("closed by us")

    def _peer_moved(self) -> bool:
        """Whether the kernel holds an end, a reset or stray bytes that the loop has not told us of yet.

        Under load that lag is where requests are written into connections that are already dead.
        A new TLS connection may rightly have session tickets waiting.
        """
        if self._poll is None or (self.asked == 0 and self._is_tls()):
            return False
        return bool(self._poll.poll(0))

    def _is_tls(self) -> bool:
        return self._transport is not None and self._transport.get_extra_info("ssl_object") is not None

    # --- what the loop tells us -----------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)  # uvloop's are not subclasses of it
        socket = transport.get_extra_info("socket")
        if socket is not None and hasattr(select, "poll"):
            self._poll = select.poll()
            self._poll.register(socket.fileno(), select.POLLIN | select.POLLERR | select.POLLHUP)

    def data_received(self, data: bytes) -> None:
        if self._answer is None:
            self._lost("the peer spoke without being asked")
            return
        if not self._head_read:
            self._head_bytes += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade) as error:
            self._keep = False
            if not self._whole:
                self._refuse(self._refusal or f"not HTTP/1.1: {error}")
                return
        if self._whole:
            self._deliver()
        elif not self._head_read and self._head_bytes > self._head_limit_bytes:
            self._refuse(f"headers larger than {self._head_limit_bytes} bytes")

    def eof_received(self) -> None:
        if self._answer is not None and self._head_read and self._until_close:
            self._deliver()
        self._lost("closed by the peer")

    def connection_lost(self, exc: Exception | None) -> None:
        if isinstance(exc, ssl.SSLError) and is_refusal_of_ours(exc) and self.asked == 1 and not self._head_read:
            self._end(Fault(Phase.CONNECT_BROKEN, tls_words(exc)))
        self._lost(str(exc or "closed by the peer"))
        # It and we hold each other, and the collector looks for such pairs rarely: they would pile up for hours.
        self._parser = self._poll = None
        if not self.closed.done():
            self.closed.set_result(None)

    # --- what the parser tells us ---------------------------------------------------------------------------

    def _begin(self) -> None:
        self._status = 0
        self._headers: dict[str, str] = {}
        self._body: list[bytes] = []
        self._body_bytes = 0
        self._head_bytes = self._header_bytes = 0
        self._head_read = self._until_close = self._keep = self._whole = False
        self._refusal = ""

    def on_message_begin(self) -> None:
        if self._whole:
            self._keep = False
            self._stop("more than one reply")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._header_bytes += len(name) + len(value)
        if self._header_bytes > self._head_limit_bytes:
            self._stop(f"headers larger than {self._head_limit_bytes} bytes")
        key, text = name.decode("latin-1").lower(), value.decode("latin-1")
        known = self._headers.get(key)
        self._headers[key] = text if known is None else f"{known}, {text}"

    def on_headers_complete(self) -> None:
        status = self._status = self._parser.get_status_code()
        if not 100 <= status <= 599:
            self._stop(f"status {status}")
        if status < 200:
            return
        self._head_read = True
        self._keep = self._parser.should_keep_alive()
        coding, length = self._headers.get("transfer-encoding"), self._headers.get("content-length")
        if coding is not None and coding.lower() != "chunked":
            self._stop(f"transfer coding {coding}")
        if length is not None and int(length) > self._body_limit_bytes:
            self._stop(f"a body larger than {self._body_limit_bytes} bytes")
        self._until_close = coding is None and length is None and status not in (204, 304)
        if self._sink is not None and not 200 <= status < 300:
            self._sink = None
        if self._sink is not None and self._transport is not None:
            self._sink.begin(self._headers, self._transport.pause_reading, self._transport.resume_reading)

    def on_body(self, body: bytes) -> None:
        self._body_bytes += len(body)
        if self._body_bytes > self._body_limit_bytes:
            self._stop(f"a body larger than {self._body_limit_bytes} bytes")
        if self._sink is not None:
            self._sink.feed(body)
        else:
            self._body.append(body)

    def on_message_complete(self) -> None:
        if self._status >= 200:
            self._whole = True
        else:  # 100, 102, 103: the reply proper follows
            self._headers = {}

    def _stop(self, refusal: str) -> None:
        self._refusal = refusal
        raise _ReplyRefused(refusal)

    # --- how an exchange ends -------------------------------------------------------------------------------

    def _deliver(self) -> None:
        answer, transport = self._answer, self._transport
        assert answer is not None
        assert transport is not None
        self._answer = None
        self._end_body(None)
        asker_left = answer.done()
        if not asker_left:
            body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
            answer.set_result(Reply(self._status, self._headers, body))
        pouring = self._pouring is not None and not self._pouring.done()
        unsent = pouring or transport.get_write_buffer_size() > 0
        self._kept_s = min(self._kept_by_peer_s(), self.lives_until - self._loop.time())
        if not self._keep or asker_left or unsent or self._kept_s <= 0 or transport.is_closing():
            self._lost("not kept alive")
            return
        self._expire_at(self._loop.time() + self._kept_s)
        self._on_free(self)

    def _kept_by_peer_s(self) -> float:
        """How long the peer lets the connection idle, by its `Keep-Alive: timeout=`, never above our own limit."""
        if "keep-alive" not in self._headers:
            return self._idle_s
        for part in self._headers["keep-alive"].split(","):
            name, _, value = part.strip().partition("=")
            if name.lower() == "timeout" and value.isascii() and value.isdigit():
                return min(self._idle_s, _NODE_MARGIN * int(value[:9]))
        return self._idle_s

    def _refuse(self, why: str) -> None:
        self._end(Fault(Phase.REPLY_MALFORMED, shown(why)))

    def _lost(self, why: str) -> None:
        if not self._body_written and not self._head_read:
            self._end(_cut_short(f"{why}; {self._poured_bytes} bytes of the file had left"))
            return
        part = f" in the middle of the reply, after {self._body_bytes} bytes of its body" if self._head_read else ""
        self._end(Fault(Phase.INTERRUPTED, shown(why + part)))

    def _end_body(self, fault: Fault | None) -> None:
        sink, self._sink = self._sink, None
        if sink is not None:
            sink.end(fault)

    def _end(self, fault: Fault) -> None:
        answer, self._answer = self._answer, None
        self._end_body(fault)
        if answer is not None and not answer.done():
            answer.set_result(fault)
        if self.gone:
            return
        self.gone = True
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        if self._pouring is not None and self._pouring is not asyncio.current_task(self._loop):
            self._pouring.cancel()
        if self._transport is not None:
            self._transport.abort()
        self._on_gone(self)

    # --- time: one timer for the life of the connection, since most deadlines only move later -----------------

    def _expire_at(self, at: float) -> None:
        self._due_at = at
        if self._timer is None or at < self._timer_at:
            if self._timer is not None:
                self._timer.cancel()
            self._timer_at = at
            self._timer = self._loop.call_at(at, self._timer_fired)

    def _timer_fired(self) -> None:
        self._timer = None
        if self._due_at - self._loop.time() > _TIMER_SLACK_S:
            self._expire_at(self._due_at)
        elif self._answer is not None:
            self._end(self._timed_out())
        else:
            self._lost("idle for too long")

    def _timed_out(self) -> Fault:
        if self._body_written:
            return Fault(Phase.REPLY_TIMED_OUT, f"no whole reply within {self._timeout_s:g} s")
        return _cut_short(f"the instance took the file too slowly, or no more of it after {self._poured_bytes} bytes")


def _cut_short(why: str) -> Fault:
    return Fault(Phase.CUT_SHORT, shown(f"{why}; the request was cut short, and nothing was sent"))
