"""Let model code add spans to the run of its job, with OpenTelemetry's API."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from app import metrics
from app.core.deliveries import Delivery
from app.core.model_spans import encode
from app.core.spans import delivery_span, run_span
from app.core.traces import TraceContext
from app.settings import settings

if TYPE_CHECKING:
    from app.tracing.model_code import Collected

log = logging.getLogger(__name__)
_API: Final = "opentelemetry.trace"


class ModelSpans:
    """Collects the spans of the runs of one pool process."""

    def __init__(self) -> None:
        """Import nothing until model code has imported OpenTelemetry, and one of its jobs is traced."""
        self._collected: Collected | None = None
        self._missing = False

    @contextmanager
    def of(self, delivery: Delivery, attempt: int) -> Iterator[None]:
        """Collect the spans that the block makes. Those of a single job are in its trace, those of several jobs in the trace of the call."""
        contexts = [context for trace in delivery.traces if (context := TraceContext.decode(trace))]
        collected = self._ready() if contexts else None
        if collected is None:
            yield
            return
        if len(delivery.jobs) > 1:
            trace_id, _, span_id = delivery_span(delivery.id if delivery.recorded else delivery.group or delivery.id).partition("-")
        else:
            trace_id, span_id = contexts[0].trace_id, run_span(contexts[0], attempt)
        sampled = any(context.sampled for context in contexts)
        with collected.run(trace_id, span_id, sampled=sampled, most=settings().trace_max_model_spans):
            yield
        if collected.dropped:
            metrics.MODEL_SPANS_DROPPED.labels(delivery.model, delivery.version).inc(collected.dropped)

    def take(self, delivery: Delivery) -> str:
        """Return the spans of the last block, as the outcomes of its jobs carry them, and forget them."""
        if self._collected is None:
            return ""
        spans, self._collected.spans = self._collected.spans, []
        return encode(spans, mixed=delivery.mixed)

    def _ready(self) -> Collected | None:
        if self._collected is None and _API in sys.modules and not self._missing and settings().trace_max_model_spans:
            try:
                from app.tracing.model_code import install
            except ImportError:
                # The code has brought OpenTelemetry's API, which makes no spans without its SDK.
                self._missing = True
                log.warning("Spans of model code are not collected: OpenTelemetry's SDK is not installed. Install celeriac-server[otel].")
            else:
                self._collected = install()
        return self._collected
