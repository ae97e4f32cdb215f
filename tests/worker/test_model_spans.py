"""Spans that model code makes with OpenTelemetry's API are collected in the process that runs it."""

from __future__ import annotations

import io
import json
import logging
import threading
from dataclasses import replace

import pytest
from opentelemetry import trace
from opentelemetry.util.types import AnyValue

from app.core.attempts import Attempt
from app.core.deliveries import Delivery
from app.core.model_spans import MAX_ATTRIBUTES, MAX_TEXT, of_run
from app.core.spans import Span, delivery_span, run_span
from app.core.traces import TraceContext
from app.logs import JSONLines
from app.settings import settings
from app.worker.model_spans import ModelSpans
from tests.core.test_spans import job
from tests.store.conftest import delivery

CONTEXT = TraceContext("a" * 32, "b" * 16, sampled=True, slow_s=10.0)
TRACER = trace.get_tracer("the code of a model")


@pytest.fixture(scope="module")
def spans() -> ModelSpans:
    # OpenTelemetry takes one provider for each process.
    return ModelSpans()


def traced(*jobs: str, context: TraceContext = CONTEXT) -> Delivery:
    return replace(delivery(jobs), traces=(context.encode(),) * len(jobs))


def exported(spans: ModelSpans, sent: Delivery) -> list[Span]:
    ended = replace(job(0, Attempt(1.0)), trace=CONTEXT, spans=spans.take(sent))
    return of_run(sent.id, len(sent.jobs), [ended])


def test_spans_belong_to_the_run_and_to_each_other(spans: ModelSpans) -> None:
    sent = traced("a")
    attributes: dict[str, AnyValue] = {"k": 5, "names": ["x", "y"]}
    with spans.of(sent, 1), TRACER.start_as_current_span("search", attributes=attributes), TRACER.start_as_current_span("rank"):
        pass
    rank, search = exported(spans, sent)
    assert (search.name, search.trace_id, search.parent_id) == ("search", CONTEXT.trace_id, run_span(CONTEXT, 1))
    assert search.attributes == {"k": 5, "names": "['x', 'y']"}
    assert rank.parent_id == search.span_id
    assert search.start <= rank.start <= rank.end <= search.end


def test_what_model_code_calls_gets_the_run_as_parent_and_the_decision_about_the_trace(spans: ModelSpans) -> None:
    for sampled in (True, False):
        with spans.of(traced("a", context=replace(CONTEXT, sampled=sampled)), 2), TRACER.start_as_current_span("call") as span:
            assert span.get_span_context().trace_id == int(CONTEXT.trace_id, 16)
            assert span.get_span_context().trace_flags.sampled is sampled
            assert span.is_recording()
    assert not trace.get_current_span().get_span_context().is_valid


def test_a_call_for_several_jobs_has_a_trace_of_its_own(spans: ModelSpans) -> None:
    sent = traced("a", "b")
    with spans.of(sent, 1), TRACER.start_as_current_span("search"):
        pass
    trace_id, _, call = delivery_span(sent.id).partition("-")
    [of_call, of_job] = exported(spans, sent)
    assert (of_call.trace_id, of_call.parent_id) == (trace_id, call)
    assert (of_job.trace_id, of_job.parent_id) == (CONTEXT.trace_id, run_span(CONTEXT, 1))


def test_a_span_that_ends_by_an_exception_has_its_type_and_not_its_message(spans: ModelSpans) -> None:
    sent = traced("a")
    with spans.of(sent, 1), pytest.raises(ValueError, match="4711"), TRACER.start_as_current_span("parse"):
        raise ValueError("the row 4711 is not valid")
    [span] = exported(spans, sent)
    assert span.error == "ValueError"
    assert "4711" not in str(span)


def test_the_number_and_the_size_of_spans_are_bounded(spans: ModelSpans) -> None:
    sent, most = traced("a"), settings().trace_max_model_spans
    with spans.of(sent, 1):
        for _ in range(most + 5):
            with TRACER.start_as_current_span("n" * 1000, attributes={f"{at}{'k' * 1000}": "v" * 1000 for at in range(100)}):
                pass
    collected = exported(spans, sent)
    assert len(collected) == most
    assert all(len(span.name) == MAX_TEXT and len(span.attributes) == MAX_ATTRIBUTES for span in collected)
    assert all(len(str(text)) <= MAX_TEXT for span in collected for pair in span.attributes.items() for text in pair)


def test_a_thread_that_outlives_its_run_adds_nothing_to_another_one(spans: ModelSpans) -> None:
    started, over, other = threading.Event(), threading.Event(), replace(CONTEXT, trace_id="c" * 32)

    def outlive() -> None:
        with TRACER.start_as_current_span("left over"):
            started.set()
            over.wait()

    thread = threading.Thread(target=outlive)
    with spans.of(traced("a"), 1):
        thread.start()
        started.wait()
    spans.take(traced("a"))
    with spans.of(traced("b", context=other), 1):
        over.set()
        thread.join()
    assert spans.take(traced("b")) == ""


def test_nothing_is_collected_for_a_server_that_exports_no_traces(spans: ModelSpans) -> None:
    sent = delivery(("a",))
    with spans.of(sent, 1), TRACER.start_as_current_span("search"):
        pass
    assert spans.take(sent) == ""


def test_log_lines_of_model_code_name_the_span_that_is_open(spans: ModelSpans) -> None:
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(JSONLines("worker"))
    with spans.of(traced("a"), 1), TRACER.start_as_current_span("search") as span:
        handler.handle(logging.makeLogRecord({"name": "model", "msg": "found 5"}))
    line = json.loads(stream.getvalue())
    assert (line["trace_id"], line["span_id"]) == (CONTEXT.trace_id, f"{span.get_span_context().span_id:016x}")
