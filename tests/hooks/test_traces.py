"""A webhook continues the trace of its job."""

from __future__ import annotations

import time

from app.core.spans import Attribute, Span
from app.core.traces import TraceContext
from tests.hooks.conftest import Hooked, Receiver

SAMPLED = TraceContext("a" * 32, "b" * 16, sampled=True, slow_s=1e6, received_at=time.time(), state="congo=1")
UNSAMPLED = TraceContext("a" * 32, "b" * 16, slow_s=1e6, received_at=time.time())


async def test_a_receiver_gets_the_trace_with_the_span_of_the_attempt(hooked: Hooked, receiver: Receiver) -> None:
    spans: list[Span] = []
    hooked.export = spans.extend
    receiver.answers = [(500, {}), (200, {})]
    await hooked.cancel(await hooked.submit(receiver.url, trace=SAMPLED))
    await hooked.send()
    got = receiver.all()
    assert [request.headers["traceparent"] for request in got] == [f"00-{'a' * 32}-{span.span_id}-01" for span in spans]
    assert [request.headers["tracestate"] for request in got] == ["congo=1", "congo=1"]
    assert {span.parent_id for span in spans} == {"b" * 16}
    assert [(span.attributes[Attribute.ATTEMPT], span.error) for span in spans] == [(1, "500"), (2, "")]


async def test_the_attempts_of_a_job_that_is_not_exported_are_not_exported(hooked: Hooked, receiver: Receiver) -> None:
    spans: list[Span] = []
    hooked.export = spans.extend
    await hooked.cancel(await hooked.submit(receiver.url, trace=UNSAMPLED))
    await hooked.send()
    assert receiver.get().headers["traceparent"].endswith("-00")
    assert spans == []


async def test_a_job_without_a_trace_sends_none(hooked: Hooked, receiver: Receiver) -> None:
    await hooked.cancel(await hooked.submit(receiver.url))
    await hooked.send()
    assert "traceparent" not in receiver.get().headers
