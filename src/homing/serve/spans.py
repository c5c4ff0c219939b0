"""The span of a request: the caller's trace goes on through it, or one begins with it."""

import time
from secrets import token_hex
from typing import Any

from homing.model.tracing import Span, SpanKind, TellSpan, Trace
from homing.serve.http.paths import shown_path


class RequestSpan:
    """One request, from its head to the end of its answer. `trace` is what calls made for it belong to."""

    def __init__(self, tell: TellSpan, scope: Any, named: Trace | None) -> None:
        self._tell, self._scope = tell, scope
        self._parent_id = named.parent_id if named is not None else ""
        trace_id = named.trace_id if named is not None else token_hex(16)
        self.trace = Trace(trace_id, token_hex(8), named.flags if named is not None else "01")
        self._began_ns, self._status = time.time_ns(), 0

    def note(self, message: Any) -> None:
        """What is sent as an answer."""
        if message["type"] == "http.response.start":
            self._status = message["status"]

    def end(self) -> None:
        told: dict[str, str | int] = {
            "http.request.method": self._scope["method"],
            "url.path": shown_path(self._scope["path"]),
            "http.response.status_code": self._status,
        }
        name = f"{self._scope['method']} {shown_path(self._scope['path'])}"
        trace, now_ns = self.trace, time.time_ns()
        span = (SpanKind.SERVER, name, trace.trace_id, trace.parent_id, self._parent_id, self._began_ns, now_ns, told)
        self._tell(Span(*span, failed=self._status >= 500 or self._status == 0))
