"""Telling a collector of our spans over OTLP, from a thread of the library's own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from homing.config import Misconfigured
from homing.model.tracing import Span, SpanKind, TellSpan

WAITING_MAX = 2_048
"""Spans that may wait to be told; beyond, new ones are lost, and nobody waits."""
EVERY_MS = 1_000
TIMEOUT_S = 5
_GOODBYE_MS = 2_000


@contextmanager
def collector(url: str, gateway: str) -> Iterator[TellSpan]:
    """Takes spans until the block ends. Raises Misconfigured where the extra is not installed."""
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as missing:
        raise Misconfigured(
            "HOMING_OTLP_URL is set, and the client for it is not installed: pip install 'homing[otel]'"
        ) from missing
    resource = Resource.create({"service.name": "homing", "service.instance.id": gateway})
    telling = BatchSpanProcessor(
        OTLPSpanExporter(endpoint=url, timeout=TIMEOUT_S),
        max_queue_size=WAITING_MAX,
        schedule_delay_millis=EVERY_MS,
    )
    try:
        yield lambda span: telling.on_end(_readable(span, resource))
    finally:
        telling.force_flush(_GOODBYE_MS)
        telling.shutdown()  # type: ignore[no-untyped-call]


def _readable(span: Span, resource: Any) -> Any:
    """As the library has it."""
    from opentelemetry.sdk.trace import ReadableSpan
    from opentelemetry.trace import SpanContext, Status, StatusCode, TraceFlags
    from opentelemetry.trace import SpanKind as Kind

    def context(span_id: str, *, remote: bool) -> SpanContext:
        flags = TraceFlags(TraceFlags.SAMPLED)
        return SpanContext(int(span.trace_id, 16), int(span_id, 16), is_remote=remote, trace_flags=flags)

    return ReadableSpan(
        name=span.name,
        context=context(span.span_id, remote=False),
        parent=context(span.parent_id, remote=True) if span.parent_id else None,
        resource=resource,
        attributes=dict(span.told),
        kind=Kind.SERVER if span.kind is SpanKind.SERVER else Kind.CLIENT,
        status=Status(StatusCode.ERROR if span.failed else StatusCode.UNSET),
        start_time=span.began_ns,
        end_time=span.ended_ns,
    )
