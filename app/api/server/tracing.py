"""The trace context and the ID of a request: what its headers say, and what the headers of the response say."""

from __future__ import annotations

import time
from collections.abc import Iterable

from app.core.traces import REQUEST_ID, RequestContext, Sampling, new_trace_id, parse_traceparent, parse_tracestate

Headers = Iterable[tuple[bytes, bytes]]


def received(headers: Headers, sampling: Sampling | None) -> RequestContext:
    """Return the context of a request. A header that is not valid is ignored, as the specification demands."""
    parents, states, request_id = [], [], ""
    for name, value in headers:
        if name == b"traceparent":
            parents.append(value.decode("latin-1"))
        elif name == b"tracestate":
            states.append(value.decode("latin-1"))
        elif name == b"x-request-id" and REQUEST_ID.fullmatch(text := value.decode("latin-1")):
            request_id = text
    context = RequestContext(request_id or new_trace_id(), sampling=sampling)
    if sampling is not None:
        context.received_at = time.time()
    if len(parents) == 1 and (parent := parse_traceparent(parents[0])):
        context.traceparent = parent
        # A state without a valid parent means nothing.
        context.state = parse_tracestate(",".join(states)) if states else ""
    return context


def answered(context: RequestContext) -> list[tuple[bytes, bytes]]:
    """Return the headers of the response: the ID of the request, and the trace of the job that it has made."""
    headers = [(b"x-request-id", context.request_id.encode())]
    if context.job is not None:
        headers.append((b"traceresponse", context.job.traceparent.encode()))
    return headers
