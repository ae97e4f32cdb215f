"""OpenTelemetry's SDK and its OTLP exporter. Both read their own `OTEL_*` variables. Only `connect` imports this module."""

from __future__ import annotations

import os
from collections.abc import Sequence

from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import SERVICE_NAME, SERVICE_VERSION, Resource
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.sdk.trace.export import SpanExportResult
from opentelemetry.sdk.util.instrumentation import InstrumentationScope
from opentelemetry.trace import Link, SpanContext, SpanKind, Status, StatusCode, TraceFlags, TraceState

from app.core.spans import Span


class Collector:
    """The collector of `OTEL_EXPORTER_OTLP_ENDPOINT`."""

    def __init__(self, version: str) -> None:
        self._exporter = OTLPSpanExporter()
        self._scope = InstrumentationScope("celeriac", version)
        # `OTEL_SERVICE_NAME` and `OTEL_RESOURCE_ATTRIBUTES` go before these.
        self._resource = Resource({SERVICE_NAME: "celeriac", SERVICE_VERSION: version}).merge(_configured())

    def send(self, spans: Sequence[Span]) -> bool:
        """Send spans, with the retries of the exporter. Return whether the collector has taken them."""
        return self._exporter.export([self._readable(span) for span in spans]) is SpanExportResult.SUCCESS

    def close(self) -> None:
        """Give up a request that is under way."""
        self._exporter.shutdown()  # type: ignore[no-untyped-call]

    def _readable(self, span: Span) -> ReadableSpan:
        state = TraceState.from_header([span.state]) if span.state else TraceState()
        return ReadableSpan(
            span.name,
            context=_context(span.trace_id, span.span_id, state),
            parent=_context(span.trace_id, span.parent_id) if span.parent_id else None,
            resource=self._resource,
            attributes=dict(span.attributes) | ({"error.type": span.error} if span.error else {}),
            links=[Link(_context(trace_id, span_id)) for trace_id, _, span_id in (link.partition("-") for link in span.links)],
            kind=SpanKind[span.kind],
            instrumentation_scope=self._scope,
            status=Status(StatusCode.ERROR, span.error) if span.error else Status(StatusCode.UNSET),
            start_time=round(span.start * 1e9),
            end_time=round(span.end * 1e9),
        )


def _context(trace_id: str, span_id: str, state: TraceState | None = None) -> SpanContext:
    return SpanContext(int(trace_id, 16), int(span_id, 16), is_remote=False, trace_flags=TraceFlags(TraceFlags.SAMPLED), trace_state=state)


def _configured() -> Resource:
    """Return the resource of the environment, without the service name that the SDK makes up."""
    resource = Resource.create()
    named = os.environ.get("OTEL_SERVICE_NAME") or "service.name=" in os.environ.get("OTEL_RESOURCE_ATTRIBUTES", "")
    return resource if named else Resource({name: value for name, value in resource.attributes.items() if name != SERVICE_NAME})
