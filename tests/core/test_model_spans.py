"""Spans of model code belong to the runs of the jobs that it ran for."""

from __future__ import annotations

from dataclasses import replace

from app.core.attempts import Attempt
from app.core.model_spans import ModelSpan, encode, of_run
from app.core.spans import EndedJob, Kind, Span, delivery_span, run_span
from tests.core.test_spans import job

OUTER = ModelSpan("search", Kind.INTERNAL, "1" * 16, "f" * 16, 104.0, 106.0, {"top_k": 5})
INNER = ModelSpan("GET index", Kind.CLIENT, "2" * 16, "1" * 16, 104.5, 105.0, {}, "ConnectionError")


def ran(number: int, *, mixed: bool = False) -> EndedJob:
    return replace(job(number, Attempt(104.0)), spans=encode([INNER, OUTER], mixed=mixed))


def named(spans: list[Span], name: str, trace_id: str) -> Span:
    [span] = [span for span in spans if span.name == name and span.trace_id == trace_id]
    return span


def test_spans_of_a_job_are_children_of_its_run_and_keep_their_ids() -> None:
    ended = ran(0)
    inner, outer = of_run("d", 1, [ended])
    assert (outer.span_id, outer.parent_id, outer.attributes) == ("1" * 16, run_span(ended.trace, 1), {"top_k": 5})
    assert (inner.parent_id, inner.kind, inner.error) == (outer.span_id, Kind.CLIENT, "ConnectionError")
    assert {inner.trace_id, outer.trace_id} == {ended.trace.trace_id}


def test_jobs_that_shared_a_call_each_have_a_copy_and_so_has_the_call() -> None:
    jobs = [ran(0), replace(ran(1), spans="")]
    spans = of_run("d", 2, jobs)
    call_trace, _, call = delivery_span("d").partition("-")
    assert named(spans, "search", call_trace).parent_id == call
    for ended in jobs:
        outer = named(spans, "search", ended.trace.trace_id)
        assert outer.parent_id == run_span(ended.trace, 1)
        assert named(spans, "GET index", ended.trace.trace_id).parent_id == outer.span_id
    assert len({span.span_id for span in spans}) == len(spans) == 6


def test_spans_of_a_call_for_several_owners_are_in_the_trace_of_the_call_only() -> None:
    spans = of_run("d", 2, [ran(0, mixed=True), ran(1, mixed=True)])
    assert {span.trace_id for span in spans} == {delivery_span("d").partition("-")[0]}


def test_a_span_whose_parent_was_dropped_is_a_child_of_the_run() -> None:
    ended = replace(ran(0), spans=encode([INNER], mixed=False))
    assert [span.parent_id for span in of_run("d", 1, [ended])] == [run_span(ended.trace, 1)]


def test_code_without_spans_adds_none() -> None:
    assert encode([], mixed=False) == ""
    assert of_run("d", 1, [job(0, Attempt(104.0))]) == []
