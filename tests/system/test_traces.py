"""The traces of jobs as a collector of OpenTelemetry receives them from a running system."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import httpx
import pytest

from app.cli import redis_server as servers
from tests import tools
from tests.misbehaving import DIE, RAISE, WELL
from tests.running import Running
from tests.tracing.collector import Collector, collecting

TWO_STEPS = """
inputs: [pixels]
steps:
  digit: {model: digits, inputs: [$inputs.pixels]}
  sure: {model: digits, method: predict_proba, inputs: [$inputs.pixels]}
output: {digit: $digit.0, sure: $sure.0}
"""


def traceparent(number: int, *, sampled: bool = True) -> str:
    return f"00-{number:032x}-{number:016x}-{int(sampled):02x}"


@dataclass(frozen=True)
class Traced:
    """A system that exports the traces of callers who sample them, and those of all failed jobs."""

    url: str
    collector: Collector

    def post(self, number: int, body: dict[str, Any], *, sampled: bool = True) -> httpx.Response:
        headers = {"traceparent": traceparent(number, sampled=sampled)}
        return httpx.post(f"{self.url}/v1/jobs?wait=60", json=body, headers=headers, timeout=70)


@pytest.fixture(scope="module")
def traced(running: Running, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Traced]:
    folder = tmp_path_factory.mktemp("traced")
    (folder / "pipelines").mkdir()
    (folder / "pipelines" / "both.yaml").write_text(TWO_STEPS)
    with collecting() as collector, servers.running(tools.redis_server(), folder) as redis_url:
        own = {
            "CELERIAC_REDIS_URL": redis_url,
            "CELERIAC_STATE": str(folder / "state"),
            "CELERIAC_PIPELINES": str(folder / "pipelines"),
            "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
            "OTEL_TRACES_SAMPLER_ARG": "0",
        }
        system = Running("", running.models, redis_url, running.environment | own, folder)
        with system.process("worker", processes=1), system.process("api") as (_, url):
            yield Traced(url, collector)


def test_jobs_that_share_a_call_are_each_in_the_trace_of_their_caller_and_the_call_links_to_all(traced: Traced) -> None:
    numbers = range(1, 17)
    with ThreadPoolExecutor(len(numbers)) as pool:
        responses = list(pool.map(lambda number: traced.post(number, {"model": "moody", "inputs": [[WELL, float(number)]]}), numbers))
    for number, response in zip(numbers, responses, strict=True):
        trace = f"{number:032x}"
        assert response.json()["trace_id"] == trace
        spans = traced.collector.wait_for("job moody", "submit", "queue", "run moody", trace=trace)
        job = spans["job moody"]
        assert (job.parent_id, job.attributes["celeriac.job.id"]) == (f"{number:016x}", response.json()["id"])
        assert response.headers["traceresponse"] == f"00-{trace}-{job.span_id}-01"
        assert {spans[name].parent_id for name in ("submit", "queue", "run moody")} == {job.span_id}
        # A span of the model's own code.
        of_code = traced.collector.wait_for("sum", trace=trace)["sum"]
        assert (of_code.parent_id, 1 <= of_code.attributes["rows"] <= len(numbers)) == (spans["run moody"].span_id, True)
        assert spans["run moody"].start <= of_code.start <= of_code.end <= spans["run moody"].end
        assert job.start <= spans["queue"].start <= spans["queue"].end == spans["run moody"].start <= job.end
    runs = [run for number in numbers for run in traced.collector.of(f"{number:032x}", "run moody")]
    joined = [run for run in runs if run.links]
    assert joined, "no two of the jobs have met"
    for run in joined:
        delivery, _, _ = run.links[0].partition("-")
        [process] = traced.collector.of(delivery, "process")
        assert f"{run.trace_id}-{run.span_id}" in process.links
        assert process.attributes["messaging.batch.message_count"] == len(process.links)
        [of_code] = traced.collector.of(delivery, "sum")
        assert (of_code.parent_id, of_code.attributes["rows"]) == (process.span_id, len(process.links))


def test_a_job_that_killed_its_worker_shows_each_attempt_although_its_caller_samples_nothing(traced: Traced) -> None:
    response = traced.post(101, {"model": "moody", "inputs": [[DIE, 0.0]]}, sampled=False)
    assert response.json()["error"]["code"] == "worker_lost"
    traced.collector.wait_for("job moody", trace=f"{101:032x}")
    runs = traced.collector.of(f"{101:032x}", "run moody")
    assert [run.attributes["celeriac.attempt"] for run in runs] == [1, 2, 3]
    assert [run.error for run in runs] == ["worker-lost", "worker-lost", "worker_lost"]
    assert all(first.end <= second.start for first, second in pairwise(runs))
    assert len(traced.collector.of(f"{101:032x}", "queue")) == 3


def test_steps_of_a_pipeline_are_children_of_its_run(traced: Traced) -> None:
    response = traced.post(201, {"pipeline": "both", "inputs": {"pixels": [0.0] * 64}})
    assert response.json()["state"] == "succeeded", response.text
    trace = f"{201:032x}"
    spans = traced.collector.wait_for("job both", "run both", trace=trace)
    jobs = {span.attributes["celeriac.job.kind"]: span for span in traced.collector.of(trace, "job both")}
    steps = [span for span in traced.collector.of(trace, "job both") if span.attributes["celeriac.job.kind"] == "step"]
    assert {span.parent_id for span in steps} == {jobs["pipeline"].span_id}
    assert sorted(span.attributes["celeriac.version"] for span in steps) == ["digit", "sure"]
    assert spans["run both"].parent_id in {span.span_id for span in steps}


def test_a_synchronous_prediction_through_the_queue_is_traced_without_a_record(traced: Traced) -> None:
    body = {"inputs": [{"name": "X", "datatype": "FP64", "shape": [1, 2], "data": [[RAISE, 0.0]]}]}
    response = httpx.post(f"{traced.url}/v2/models/moody/infer", json=body, headers={"traceparent": traceparent(301, sampled=False)})
    assert response.status_code == 422
    spans = traced.collector.wait_for("job moody", "run moody", trace=f"{301:032x}")
    assert spans["job moody"].error == "prediction_failed"
    assert spans["job moody"].attributes["celeriac.lane"] == "queue"


def test_a_synchronous_prediction_brings_the_spans_of_model_code_with_its_reply(traced: Traced) -> None:
    body = {"inputs": [{"name": "X", "datatype": "FP64", "shape": [1, 2], "data": [[WELL, 0.0]]}]}
    httpx.post(f"{traced.url}/v2/models/moody/infer", json=body, headers={"traceparent": traceparent(302)}).raise_for_status()
    spans = traced.collector.wait_for("run moody", "sum", trace=f"{302:032x}")
    assert spans["sum"].parent_id == spans["run moody"].span_id


def test_a_job_that_succeeds_and_is_not_sampled_leaves_no_trace(traced: Traced) -> None:
    traced.post(401, {"model": "moody", "inputs": [[WELL, 1.0]]}, sampled=False)
    traced.post(402, {"model": "moody", "inputs": [[WELL, 1.0]]})
    traced.collector.wait_for("job moody", trace=f"{402:032x}")
    assert traced.collector.of(f"{401:032x}", "") == []
