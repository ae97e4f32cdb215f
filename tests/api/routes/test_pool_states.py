"""Pausing, draining and resuming a pool: who may do it, what is shown of it, and every kind of work that a draining pool refuses."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from app.settings import settings
from app.store import keys
from tests.api.conftest import Worker, running, until
from tests.api.keys import bearer, bootstrap, secured

pytestmark = pytest.mark.slow

POOL = "/v1/pools/default"
ROW = [0.0] * 64
JOB = {"model": "digits", "inputs": [ROW]}
BATCH = {"model": "digits", "input": "a.csv"}
TRAINING = {"trainer": "ridge", "dataset": "a.csv", "target": "y", "model": "m"}
RUN = {"pipeline": "tumors", "inputs": {"rows": [[0.0] * 30]}}
PIPELINE = "inputs: [rows]\nsteps:\n  tumor: {model: breast-cancer, inputs: $inputs.rows}\noutput: $tumor\n"
INFER = {"inputs": [{"name": "input", "shape": [1, 64], "datatype": "FP64", "data": ROW}]}


@pytest.fixture
async def api(configured: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """An API with a pipeline, files and a table to train with."""
    (tmp_path / "tables").mkdir()
    (tmp_path / "tables" / "a.csv").write_text("x,y\n1,2\n3,4\n")
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "tumors.yaml").write_text(PIPELINE)
    variables = {"files": tmp_path / "files", "pipelines": tmp_path / "pipelines", "file_roots": tmp_path / "tables"}
    for name, value in {**variables, "batch_validate_s": "0.01"}.items():
        configured.setenv(f"CELERIAC_{name.upper()}", str(value))
    settings.cache_clear()
    async with running() as client:
        yield client


async def post(api: httpx.AsyncClient, path: str, body: Any = None, status: int = 200, **options: Any) -> dict[str, Any]:
    response = await api.post(path, json=body, **options)
    assert response.status_code == status, response.text
    return dict(response.json())


async def shown(api: httpx.AsyncClient, pool: str = "default") -> dict[str, Any]:
    [entry] = [entry for entry in (await api.get("/v1/pools")).json()["items"] if entry["pool"] == pool]
    return dict(entry)


async def test_a_pool_shows_since_when_and_why_it_is_paused(api: httpx.AsyncClient) -> None:
    paused = await post(api, f"{POOL}/pause", {"reason": "kernel update"})
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", paused.pop("since"))
    assert paused == {"pool": "default", "state": "paused", "by": None, "reason": "kernel update"}
    entry = await shown(api)
    assert paused.items() <= entry.items()
    assert entry["obstacles"][0].startswith("Pool 'default' starts no new work: it has been paused since 20")
    assert entry["obstacles"][0].endswith("by an anonymous caller, reason: kernel update. Work waits until the pool is resumed.")


async def test_a_resumed_pool_is_active_and_shows_no_more(api: httpx.AsyncClient) -> None:
    await post(api, f"{POOL}/pause")
    assert await post(api, f"{POOL}/resume") == {"pool": "default", "state": "active", "since": None, "by": None, "reason": None}
    assert (await shown(api))["obstacles"] == ["No worker of pool 'default' is alive. Start one with CELERIAC_POOL=default."]


async def test_pausing_twice_keeps_the_first_time_and_the_reason(api: httpx.AsyncClient) -> None:
    first = await post(api, f"{POOL}/pause", {"reason": "kernel update"})
    assert await post(api, f"{POOL}/pause") == first
    assert await post(api, f"{POOL}/pause", {"reason": "a longer one"}) == {**first, "reason": "a longer one"}


async def test_a_pool_is_either_paused_or_draining(api: httpx.AsyncClient) -> None:
    await post(api, f"{POOL}/drain")
    await post(api, f"{POOL}/pause")
    assert (await post(api, "/v1/jobs", JOB, 202))["state"] == "queued"
    await post(api, f"{POOL}/drain")
    assert (await post(api, "/v1/jobs", JOB, 409))["code"] == "pool_draining"


@pytest.mark.parametrize("verb", ["pause", "drain", "resume"])
async def test_a_pool_that_no_model_and_no_worker_names_does_not_exist(api: httpx.AsyncClient, verb: str) -> None:
    problem = await post(api, f"/v1/pools/nobody/{verb}", {}, 404)
    assert problem["code"] == "pool_not_found"
    assert problem["detail"] == "Pool 'nobody' does not exist: no model and no worker names it. Pools: default, training."


async def test_a_paused_pool_whose_models_are_gone_can_be_resumed(api: httpx.AsyncClient, worker: Worker) -> None:
    worker.client.hset(keys.POOL_STATES, "gone", b'{"mode":"paused","since":1.0,"key_id":"","key_name":"","reason":""}')
    await post(api, "/v1/pools/gone/resume")
    assert worker.client.hlen(keys.POOL_STATES) == 0


@pytest.mark.parametrize("reason", ["x" * 501, "two\nlines", 7])
async def test_a_reason_is_one_line_of_bounded_length(api: httpx.AsyncClient, reason: Any) -> None:
    assert (await post(api, f"{POOL}/pause", {"reason": reason}, 422))["code"] == "invalid_input"


async def test_a_key_needs_the_scope_and_the_pool(configured: pytest.MonkeyPatch) -> None:
    async with secured(configured) as api:
        _, user = await bootstrap(role="user")
        _, other = await bootstrap(role="operator", pools=["gpu*"])
        assert (await post(api, f"{POOL}/pause", {}, 403, headers=bearer(user)))["code"] == "scope_missing"
        assert (await post(api, f"{POOL}/pause", {}, 403, headers=bearer(other)))["code"] == "key_restricted"
        assert (await post(api, "/v1/pools/nobody/pause", {}, 403, headers=bearer(other)))["code"] == "key_restricted"


async def test_callers_see_the_key_that_drained_a_pool(configured: pytest.MonkeyPatch) -> None:
    async with secured(configured) as api:
        id, text = await bootstrap(name="night shift", role="operator")
        drained = await post(api, f"{POOL}/drain", {"reason": "moves."}, headers=bearer(text))
        assert drained["by"] == {"id": id, "name": "night shift"}
        problem = await post(api, "/v1/jobs", JOB, 409, headers=bearer(text))
        assert problem["detail"] == (
            f"Pool 'default' accepts no new work: it has been draining since {drained['since']}, by key {id} (night shift), "
            "reason: moves. Try again when the pool is resumed."
        )


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/v1/jobs", JOB),
        ("/v2/models/digits/infer", INFER),
        ("/v1/batches", BATCH),
        ("/v1/jobs", RUN),
    ],
    ids=["job", "infer", "batch", "pipeline"],
)
async def test_a_draining_pool_refuses_new_work(api: httpx.AsyncClient, path: str, body: dict[str, Any]) -> None:
    await post(api, f"{POOL}/drain")
    assert (await post(api, path, body, 409))["code"] == "pool_draining"
    await post(api, f"{POOL}/resume")
    response = await api.post(f"{path}", json=body, headers={"prefer": "respond-async"})
    assert response.is_success, response.text


async def test_a_draining_pool_refuses_a_training_and_no_other_work(api: httpx.AsyncClient) -> None:
    await post(api, "/v1/pools/training/drain")
    assert (await post(api, "/v1/trainings", TRAINING, 409))["code"] == "pool_draining"
    await post(api, "/v1/jobs", JOB, 202)
    await post(api, "/v1/pools/training/resume")
    await post(api, "/v1/trainings", TRAINING, 202)


async def test_a_draining_pool_refuses_the_replay_of_a_dead_letter_and_keeps_it(api: httpx.AsyncClient, worker: Worker) -> None:
    id = (await post(api, "/v1/jobs", JOB, 202))["id"]
    worker.finish(worker.take(), Outcome(id, error=PredictionFailed("it raised")))
    await post(api, f"{POOL}/drain")
    assert (await post(api, f"/v1/dead-letters/{id}/replay", {}, 409))["code"] == "pool_draining"
    assert (await api.get(f"/v1/dead-letters/{id}")).status_code == 200


@pytest.mark.parametrize(
    ("path", "body", "pool"),
    [("/v1/jobs", JOB, "default"), ("/v1/jobs", RUN, "default"), ("/v1/trainings", TRAINING, "training")],
    ids=["job", "pipeline", "training"],
)
async def test_a_repeated_request_gets_its_job_from_a_draining_pool(
    api: httpx.AsyncClient, path: str, body: dict[str, Any], pool: str
) -> None:
    key = {"idempotency-key": '"once"'}
    first = await post(api, path, body, 202, headers=key)
    await post(api, f"/v1/pools/{pool}/drain")
    assert (await post(api, path, body, 202, headers=key))["id"] == first["id"]


async def test_a_draining_pool_gets_the_steps_of_a_run_that_was_accepted_before(api: httpx.AsyncClient, worker: Worker) -> None:
    await post(api, f"{POOL}/pause")
    run = (await post(api, "/v1/jobs", RUN, 202))["id"]
    await post(api, f"{POOL}/drain")

    async def begun() -> bool:
        return bool((await api.get(f"/v1/jobs/{run}")).json()["steps"][0]["state"] == "queued")

    await until(begun, "the step of the run is queued")


async def test_every_process_learns_of_a_drain_without_being_asked(api: httpx.AsyncClient) -> None:
    async with running() as other:

        async def refused() -> bool:
            return (await other.post("/v1/jobs", json=JOB)).status_code == 409

        assert not await refused()
        await post(api, f"{POOL}/drain")
        await until(refused, "the other process refuses new work")


async def test_a_process_that_starts_later_knows_the_state(api: httpx.AsyncClient) -> None:
    await post(api, f"{POOL}/drain")
    async with running() as other:
        assert (await post(other, "/v1/jobs", JOB, 409))["code"] == "pool_draining"


async def test_a_training_in_a_paused_pool_waits_for_its_resumption(api: httpx.AsyncClient) -> None:
    await post(api, "/v1/pools/training/pause")
    training = await post(api, "/v1/trainings", TRAINING, 202)
    assert training["waits_for"].startswith("Pool 'training' starts no new work")
    await post(api, "/v1/pools/training/resume")
    assert (await api.get(f"/v1/trainings/{training['id']}")).json()["waits_for"].startswith("No worker of pool 'training' is running.")


async def test_the_metric_is_1_while_the_pool_is_paused_and_0_while_it_drains(api: httpx.AsyncClient) -> None:
    def measured(value: float) -> Any:
        async def holds() -> bool:
            return REGISTRY.get_sample_value("celeriac_pool_paused", {"pool": "default"}) == value

        return holds

    for verb, value in (("pause", 1.0), ("drain", 0.0), ("pause", 1.0), ("resume", 0.0)):
        await post(api, f"{POOL}/{verb}")
        await until(measured(value), f"the metric is {value} after {verb}")


async def test_keda_reads_one_field_while_the_pool_is_paused_only(api: httpx.AsyncClient, worker: Worker) -> None:
    lengths = []
    for verb in ("pause", "drain", "pause", "resume"):
        await post(api, f"{POOL}/{verb}")
        lengths.append(worker.client.hlen(keys.paused("default")))
    assert lengths == [1, 0, 1, 0]


async def test_a_record_that_cannot_be_read_counts_as_an_active_pool(api: httpx.AsyncClient, worker: Worker) -> None:
    worker.client.hset(keys.POOL_STATES, mapping={"default": b"not json", "gpu": b'{"mode":"asleep","since":1}'})
    assert (await shown(api))["state"] == "active"
    assert (await post(api, f"{POOL}/pause"))["state"] == "paused"
