"""The trace that a request belongs to, so that one id is found in every log that it passes (W3C Trace Context)."""

from contextvars import ContextVar
from dataclasses import dataclass


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
