"""What the lines of a worker's log say about the delivery that runs."""

from __future__ import annotations

from dataclasses import replace

from app.core.deliveries import Delivery
from app.core.traces import TraceContext, for_worker
from app.worker.tasks import log_fields
from tests.store.conftest import delivery

CONTEXT = TraceContext("a" * 32, "b" * 16, request_id="r-1")


def traced(*jobs: str) -> Delivery:
    return replace(delivery(jobs), traces=(CONTEXT.encode(),) * len(jobs))


def test_a_line_about_one_job_names_it_its_request_and_its_trace() -> None:
    fields = log_fields(traced("job-1"))
    assert (fields["job_id"], fields["request_id"], fields["trace_id"], fields["span_id"]) == ("job-1", "r-1", "a" * 32, "b" * 16)
    assert (fields["model"], fields["version"]) == ("m", "1")


def test_a_line_about_several_jobs_belongs_to_no_trace() -> None:
    assert log_fields(traced("job-1", "job-2")).keys() == {"delivery_id", "model", "version"}


def test_a_line_names_the_owner_of_all_jobs_and_none_of_several() -> None:
    of_one, of_two = replace(traced("job-1", "job-2"), owners=("a", "a")), replace(traced("job-1", "job-2"), owners=("a", "b"))
    assert log_fields(of_one)["owner"] == "a"
    assert "owner" not in log_fields(of_two)
    assert log_fields(of_two.only([1]))["owner"] == "b"


def test_a_delivery_keeps_the_contexts_of_its_jobs_when_it_is_packed_and_split() -> None:
    sent = Delivery.unpack(traced("job-1", "job-2").pack())
    assert sent.traces == (CONTEXT.encode(),) * 2
    assert sent.only([1], "another").traces == (CONTEXT.encode(),)


def test_workers_get_no_context_from_a_server_that_exports_nothing() -> None:
    exported = replace(CONTEXT, slow_s=1.0)
    assert for_worker([CONTEXT, None]) == ()
    assert for_worker([exported, None]) == (exported.encode(), "")


def test_a_release_without_traces_and_owners_can_decode_a_delivery_that_has_none() -> None:
    packed = delivery(("job-1",)).pack()
    assert b"traces" not in packed
    assert b"owners" not in packed
