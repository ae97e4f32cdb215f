from __future__ import annotations

import pytest

from app.core.attempts import Attempt
from app.core.jobs import State
from app.core.spans import MAX_LINKS, Attribute, EndedJob, Span, of_delivery
from app.core.traces import TraceContext

CONTEXT = TraceContext("a" * 32, "b" * 16, "c" * 16, sampled=True, slow_s=10.0, received_at=99.5, request_id="r-1")


def job(number: int = 0, *attempts: Attempt, state: State = State.SUCCEEDED, error: str = "") -> EndedJob:
    context = TraceContext(f"{number + 1:032x}", f"{number + 1:016x}", sampled=True, slow_s=10.0, received_at=99.5)
    return EndedJob(context, f"job-{number}", "digits", "1", "team-a", 2, state, 100.0, 110.0, "", "default", error, attempts)


def summary(spans: list[Span]) -> list[tuple[str, float, float, str]]:
    return [(span.name, span.start, span.end, span.error) for span in spans]


def test_a_job_has_a_span_for_each_thing_that_happened() -> None:
    assert summary(of_delivery("d", 1, [job(0, Attempt(104.0, None, "worker/1"))])) == [
        ("job digits", 99.5, 110.0, ""),
        ("submit", 99.5, 100.0, ""),
        ("queue", 100.0, 104.0, ""),
        ("run digits", 104.0, 110.0, ""),
    ]


def test_a_retried_job_has_each_attempt_and_each_wait() -> None:
    spans = of_delivery("d", 1, [job(0, Attempt(101.0, 102.0), Attempt(105.0), state=State.FAILED, error="prediction-failed")])
    assert summary(spans)[2:] == [
        ("queue", 100.0, 101.0, ""),
        ("run digits", 101.0, 102.0, "retried"),
        ("queue", 102.0, 105.0, ""),
        ("run digits", 105.0, 110.0, "prediction-failed"),
    ]


def test_an_attempt_whose_worker_was_killed_ends_when_the_next_one_starts() -> None:
    spans = of_delivery("d", 1, [job(0, Attempt(101.0), Attempt(105.0))])
    assert ("run digits", 101.0, 105.0, "worker-lost") in summary(spans)


def test_a_job_that_expired_has_waited_until_its_end() -> None:
    spans = of_delivery("-", 1, [job(state=State.EXPIRED, error="expired")])
    assert summary(spans)[-1] == ("queue", 100.0, 110.0, "expired")


def test_a_job_that_ended_before_its_retry_has_waited_again() -> None:
    spans = of_delivery("-", 1, [job(0, Attempt(101.0, 102.0), state=State.CANCELLED)])
    assert summary(spans)[-1] == ("queue", 102.0, 110.0, "")


def test_all_spans_of_a_job_belong_to_its_trace_and_its_span() -> None:
    first, *parts = of_delivery("d", 1, [job(0, Attempt(101.0))])
    assert {span.trace_id for span in parts} == {first.trace_id}
    assert {span.parent_id for span in parts} == {first.span_id}


def test_a_delivery_of_several_jobs_has_a_span_that_links_to_the_run_of_each() -> None:
    spans = of_delivery("d", 3, [job(0, Attempt(104.0)), job(1, Attempt(104.0))])
    runs, delivery = [span for span in spans if span.name == "run digits"], spans[-1]
    assert delivery.name == "process default"
    assert delivery.links == [f"{run.trace_id}-{run.span_id}" for run in runs]
    assert delivery.attributes[Attribute.MESSAGE_COUNT] == 3
    assert {run.links for run in runs} == {(f"{delivery.trace_id}-{delivery.span_id}",)}


def test_jobs_of_one_delivery_keep_their_own_traces() -> None:
    spans = of_delivery("d", 2, [job(0, Attempt(104.0)), job(1, Attempt(104.0))])
    for number in range(2):
        own = [span for span in spans if span.trace_id == f"{number + 1:032x}"]
        assert [span.name for span in own] == ["job digits", "submit", "queue", "run digits"]
        assert all(span.attributes.get(Attribute.JOB, f"job-{number}") == f"job-{number}" for span in own)


def test_the_links_of_a_delivery_are_bounded() -> None:
    spans = of_delivery("d", 200, [job(number, Attempt(104.0)) for number in range(200)])
    assert len(spans[-1].links) == MAX_LINKS


def test_exporting_a_job_twice_makes_the_same_spans() -> None:
    ended = job(0, Attempt(104.0))
    assert of_delivery("d", 2, [ended]) == of_delivery("d", 2, [ended])


@pytest.mark.parametrize("kind", ["pipeline"])
def test_a_run_of_a_pipeline_waits_in_no_queue(kind: str) -> None:
    run = EndedJob(CONTEXT, "run-1", "chain", "", "default", 1, State.SUCCEEDED, 100.0, 110.0, kind)
    assert [span.name for span in of_delivery("run-1", 1, [run])] == ["job chain", "submit"]
