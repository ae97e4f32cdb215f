"""The trace of the caller, for programs that use OpenTelemetry. The client does not depend on it."""

from __future__ import annotations

import sys


def headers() -> dict[str, str]:
    """Headers that put a request into the current trace, or none without a current span."""
    # A program without this module has no span, and need not wait for the import.
    if "opentelemetry.trace" not in sys.modules:
        return {}
    from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

    carrier: dict[str, str] = {}
    TraceContextTextMapPropagator().inject(carrier)
    return carrier
