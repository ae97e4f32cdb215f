"""Collecting the spans that model code makes with OpenTelemetry's API. A process of a worker exports none: the outcome of the run carries them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import islice
from typing import Any, Final

from opentelemetry import context, trace
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import ReadableSpan, SpanLimits, SpanProcessor, TracerProvider
from opentelemetry.sdk.trace.sampling import Decision, Sampler, SamplingResult
from opentelemetry.util.types import Attributes

from app.core.model_spans import MAX_ATTRIBUTES, MAX_TEXT, ModelSpan
from app.core.spans import Kind

_SECOND_NS: Final = 1e9


class Collected(SpanProcessor):
    """The spans of the run that this process does now. Others are ignored: a thread of model code may outlive its run."""

    def __init__(self) -> None:
        """Collect nothing until `run` is entered."""
        self._trace_id = 0
        self._most = 0
        self.spans: list[ModelSpan] = []
        self.dropped = 0
        """How many spans exceeded the limit."""

    @contextmanager
    def run(self, trace_id: str, span_id: str, *, sampled: bool, most: int) -> Iterator[None]:
        """Make a span the current one in the block, and collect at most `most` spans of its trace."""
        self._trace_id, self._most, self.spans, self.dropped = int(trace_id, 16), most, [], 0
        parent = trace.SpanContext(self._trace_id, int(span_id, 16), is_remote=True, trace_flags=trace.TraceFlags(int(sampled)))
        token = context.attach(trace.set_span_in_context(trace.NonRecordingSpan(parent)))
        try:
            yield
        finally:
            context.detach(token)
            self._trace_id = 0

    def on_end(self, span: ReadableSpan) -> None:
        """Collect a span."""
        own = span.get_span_context()
        if own is None or own.trace_id != self._trace_id:
            return
        if len(self.spans) < self._most:
            self.spans.append(_model_span(span, own))
        else:
            self.dropped += 1


class _AsParent(Sampler):
    """Records every span. Services that model code calls see the decision that was made for the trace."""

    def should_sample(
        self,
        parent_context: context.Context | None,
        trace_id: int,
        name: str,
        kind: trace.SpanKind | None = None,
        attributes: Attributes = None,
        links: Sequence[trace.Link] | None = None,
        trace_state: trace.TraceState | None = None,
    ) -> SamplingResult:
        """Return the decision about a span."""
        sampled = trace.get_current_span(parent_context).get_span_context().trace_flags.sampled
        return SamplingResult(Decision.RECORD_AND_SAMPLE if sampled else Decision.RECORD_ONLY, attributes)

    def get_description(self) -> str:
        """Return the name of this sampler."""
        return "AsParent"


def install() -> Collected:
    """Collect the spans of this process. A provider that model code has set itself keeps them: they are exported as it says."""
    collected = Collected()
    # The arguments go before OpenTelemetry's environment variables, which are meant for the API.
    limits = SpanLimits(max_events=0, max_links=0, max_span_attribute_length=MAX_TEXT)
    provider = TracerProvider(_AsParent(), Resource.get_empty(), shutdown_on_exit=False, span_limits=limits)
    provider.add_span_processor(collected)
    if isinstance(trace.get_tracer_provider(), trace.ProxyTracerProvider):
        trace.set_tracer_provider(provider)
    return collected


def _model_span(span: ReadableSpan, own: trace.SpanContext) -> ModelSpan:
    attributes = {name[:MAX_TEXT]: _value(value) for name, value in islice((span.attributes or {}).items(), MAX_ATTRIBUTES)}
    failed = span.status.status_code is trace.StatusCode.ERROR
    error = (span.status.description or "error").partition(":")[0][:MAX_TEXT] if failed else ""
    start, end = (span.start_time or 0) / _SECOND_NS, (span.end_time or 0) / _SECOND_NS
    parent_id = "" if span.parent is None else f"{span.parent.span_id:016x}"
    return ModelSpan(span.name[:MAX_TEXT], Kind(span.kind.name), f"{own.span_id:016x}", parent_id, start, end, attributes, error)


def _value(value: Any) -> str | int | float:
    """Return the value of an attribute. A list of values becomes a text."""
    return str(list(value))[:MAX_TEXT] if isinstance(value, Sequence) and not isinstance(value, str) else value
