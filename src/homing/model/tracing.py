"""The trace that a request belongs to, so that one id is found in every log that it passes (W3C Trace Context)."""

from collections.abc import Callable, Mapping
from contextvars import ContextVar
from dataclasses import dataclass
from enum import StrEnum


@dataclass(frozen=True, slots=True)
class Trace:
    """Whose it is, the caller's own part of it, and the caller's flags; all in lower-case hex."""

    trace_id: str
    parent_id: str
    flags: str

    def header(self, span_id: str) -> str:
        """`traceparent` for a call that is made within the trace; `span_id` is this call's own, 16 digits of hex.

        Of the flags only `sampled` is known to version 00, and is passed on.
        """
        return f"00-{self.trace_id}-{span_id}-{int(self.flags, 16) & 1:02x}"


tracing: ContextVar[Trace | None] = ContextVar("tracing", default=None)
"""The trace of the request that is being answered; None where the caller named none, and in what goes on by itself."""


def trace_id_now() -> str | None:
    """The trace of the request that is being answered, for what is written down of it."""
    trace = tracing.get()
    return trace.trace_id if trace is not None else None


class SpanKind(StrEnum):
    """From which end a span was seen."""

    SERVER = "server"
    CLIENT = "client"


@dataclass(frozen=True, slots=True)
class Span:
    """One request that was answered, or one call that was made, as a collector of traces is told of it.

    Times are nanoseconds since 1970. `parent_id` is empty where the trace began with us.
    """

    kind: SpanKind
    name: str
    trace_id: str
    span_id: str
    parent_id: str
    began_ns: int
    ended_ns: int
    told: Mapping[str, str | int]
    failed: bool = False


TellSpan = Callable[[Span], None]

call_span: ContextVar[str | None] = ContextVar("call_span", default=None)
"""The id of the span of the call that is being made, where spans are told to a collector."""
