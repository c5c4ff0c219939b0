"""Telling a collector of traces of the calls that are made for a request."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from secrets import token_hex

from homing.model.fleet import InstanceUrl
from homing.model.sends.faults import Phase
from homing.model.tracing import Span, SpanKind, TellSpan, call_span, tracing
from homing.model.urls import origin_key


@dataclass(slots=True)
class CallSpan:
    """What came of a call, while it is made."""

    met: Phase | None = None


@contextmanager
def call_told(tell: TellSpan | None, url: InstanceUrl, family: str, call: str) -> Iterator[CallSpan]:
    """Tell of the call made within the block, if it is made for a request that has a trace."""
    made, trace = CallSpan(), tracing.get()
    if tell is None or trace is None:
        yield made
        return
    span_id, began_ns = token_hex(8), time.time_ns()
    before = call_span.set(span_id)
    try:
        yield made
    finally:
        call_span.reset(before)
        known: dict[str, str | int] = {"server.address": origin_key(url), "homing.driver": family, "homing.call": call}
        if made.met is not None:
            known["error.type"] = made.met.value
        tell(
            Span(
                SpanKind.CLIENT,
                f"{family} {call}",
                trace.trace_id,
                span_id,
                trace.parent_id,
                began_ns,
                time.time_ns(),
                known,
                failed=made.met is not None,
            )
        )
