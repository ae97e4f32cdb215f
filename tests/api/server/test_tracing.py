"""The ID and the trace of a request, in its headers, in the record of its job and in the response."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Iterator
from typing import Any

import httpx
import pytest

from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from tests.api.conftest import Worker, running
from tests.tracing.collector import Collector, collecting

TRACE, SPAN = "0af7651916cd43dd8448eb211c80319c", "b7ad6b7169203331"
SAMPLED = {"traceparent": f"00-{TRACE}-{SPAN}-01"}


def job(wine: dict[str, Any]) -> dict[str, Any]:
    return {"model": "wine", "inputs": [wine]}


@pytest.fixture
def collector(configured: pytest.MonkeyPatch) -> Iterator[Collector]:
    with collecting() as collector:
        configured.setenv("OTEL_EXPORTER_OTLP_ENDPOINT", collector.url)
        configured.setenv("OTEL_TRACES_SAMPLER_ARG", "0")
        yield collector


@pytest.fixture
async def tracing(collector: Collector) -> AsyncIterator[httpx.AsyncClient]:
    """A client of an API process that exports traces."""
    async with running() as client:
        yield client


@pytest.mark.parametrize("path", ["/v1/jobs", "/v1/jobs/unknown-job", "/no/such/path", "/livez", "/docs"])
async def test_every_response_has_the_id_that_the_caller_gave(api: httpx.AsyncClient, path: str) -> None:
    response = await api.get(path, headers={"x-request-id": "deploy-4711"})
    assert response.headers.get_list("x-request-id") == ["deploy-4711"]


@pytest.mark.parametrize("given", [{}, {"x-request-id": "two words"}, {"x-request-id": "x" * 129}, {"x-request-id": "é"}])
async def test_a_request_without_a_valid_id_gets_one(api: httpx.AsyncClient, given: dict[str, str]) -> None:
    response = await api.get("/v1/jobs", headers={name.encode(): value.encode() for name, value in given.items()})
    assert re.fullmatch("[0-9a-f]{32}", response.headers["x-request-id"])


async def test_a_job_is_in_the_trace_of_its_caller_and_the_response_names_its_span(api: httpx.AsyncClient, wine: dict[str, Any]) -> None:
    response = await api.post("/v1/jobs", json=job(wine), headers=SAMPLED)
    assert response.json()["trace_id"] == TRACE
    assert re.fullmatch(f"00-{TRACE}-(?!{SPAN})[0-9a-f]{{16}}-01", response.headers["traceresponse"])
    listed = (await api.get("/v1/jobs")).json()["items"]
    assert [item["trace_id"] for item in listed] == [TRACE]


async def test_a_request_that_makes_no_job_has_no_trace(api: httpx.AsyncClient) -> None:
    assert "traceresponse" not in (await api.get("/v1/jobs", headers=SAMPLED)).headers


@pytest.mark.parametrize("headers", [{}, {"traceparent": "00-not-valid-01"}, {"traceparent": f"00-{'0' * 32}-{SPAN}-01"}])
async def test_without_a_valid_trace_and_without_a_collector_there_is_none(
    api: httpx.AsyncClient, wine: dict[str, Any], headers: dict[str, str]
) -> None:
    response = await api.post("/v1/jobs", json=job(wine), headers=headers)
    assert response.status_code == 202
    assert "traceresponse" not in response.headers
    assert "trace_id" not in response.json()


async def test_two_traceparents_are_none(api: httpx.AsyncClient, wine: dict[str, Any]) -> None:
    headers = httpx.Headers([*SAMPLED.items(), *SAMPLED.items()])
    assert "trace_id" not in (await api.post("/v1/jobs", json=job(wine), headers=headers)).json()


async def test_a_repeated_request_is_answered_with_the_trace_of_the_first(api: httpx.AsyncClient, wine: dict[str, Any]) -> None:
    key = {"idempotency-key": '"once"'}
    first = await api.post("/v1/jobs", json=job(wine), headers=SAMPLED | key)
    other = {"traceparent": f"00-{'1' * 32}-{SPAN}-01"}
    second = await api.post("/v1/jobs", json=job(wine), headers=other | key)
    assert second.headers["traceresponse"] == first.headers["traceresponse"]
    assert second.json()["trace_id"] == TRACE


async def test_a_caller_without_a_trace_gets_one_of_its_own(tracing: httpx.AsyncClient, wine: dict[str, Any]) -> None:
    responses = await asyncio.gather(*(tracing.post("/v1/jobs", json=job(wine)) for _ in range(3)))
    assert len({response.json()["trace_id"] for response in responses}) == 3


async def test_a_replayed_dead_letter_is_linked_to_the_job_that_failed(
    tracing: httpx.AsyncClient, collector: Collector, wine: dict[str, Any], worker: Worker
) -> None:
    first = await tracing.post("/v1/jobs", json=job(wine), headers=SAMPLED)
    id = first.json()["id"]
    worker.finish(worker.take(), Outcome(id, error=PredictionFailed("it raised")))
    sampled = {"traceparent": f"00-{'1' * 32}-{SPAN}-01"}
    replay = (await tracing.post(f"/v1/dead-letters/{id}/replay", headers=sampled)).json()
    worker.finish(worker.take(), Outcome(replay["id"], error=PredictionFailed("it raised")))
    spans = await asyncio.to_thread(collector.wait_for, "job wine", trace="1" * 32)
    assert spans["job wine"].links == ["-".join(first.headers["traceresponse"].split("-")[1:3])]
