"""Pausing and resuming a model: who may do it, what is shown of it, and what each kind of request gets."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from app.settings import settings
from app.store import keys
from tests.api.conftest import QUEUE, Worker, running, until
from tests.api.keys import bearer, bootstrap, secured

pytestmark = pytest.mark.slow

MODEL = "/v1/models/digits"
ROW = [0.0] * 64
JOB = {"model": "digits", "inputs": [ROW]}
OTHER = {"model": "breast-cancer", "inputs": [[0.0] * 30]}
INFER = {"inputs": [{"name": "input", "shape": [1, 64], "datatype": "FP64", "data": ROW}]}


@pytest.fixture
async def api(configured: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    async with running() as client:
        yield client


async def post(api: httpx.AsyncClient, path: str, body: Any = None, status: int = 200, **options: Any) -> dict[str, Any]:
    response = await api.post(path, json=body, **options)
    assert response.status_code == status, response.text
    return dict(response.json())


async def shown(api: httpx.AsyncClient) -> Any:
    return (await api.get(MODEL)).json()["pause"]


async def test_a_model_shows_since_when_and_why_it_is_paused(api: httpx.AsyncClient) -> None:
    paused = await post(api, f"{MODEL}/pause", {"reason": "wrong labels"})
    assert paused["name"] == "digits"
    assert await shown(api) == paused["pause"]
    listed = {model["name"]: model["pause"] for model in (await api.get("/v1/models")).json()["items"]}
    assert {name for name, pause in listed.items() if pause} == {"digits"}
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", paused["pause"].pop("since"))
    assert paused["pause"] == {"by": None, "reason": "wrong labels", "waiting": 0}


async def test_a_resumed_model_shows_no_pause(api: httpx.AsyncClient) -> None:
    await post(api, f"{MODEL}/pause")
    assert await post(api, f"{MODEL}/resume") == {"name": "digits", "pause": None}
    assert await shown(api) is None


async def test_pausing_twice_keeps_the_first_time_and_the_reason(api: httpx.AsyncClient) -> None:
    first = await post(api, f"{MODEL}/pause", {"reason": "wrong labels"})
    assert await post(api, f"{MODEL}/pause") == first
    longer = await post(api, f"{MODEL}/pause", {"reason": "a longer one"})
    assert longer["pause"] == {**first["pause"], "reason": "a longer one"}


@pytest.mark.parametrize("verb", ["pause", "resume"])
async def test_a_model_that_does_not_exist_cannot_be_paused(api: httpx.AsyncClient, verb: str) -> None:
    assert (await post(api, f"/v1/models/nothing/{verb}", {}, 404))["code"] == "model_not_found"


async def test_a_paused_model_that_was_removed_can_be_resumed(api: httpx.AsyncClient, worker: Worker) -> None:
    worker.client.hset(keys.PAUSED_MODELS, "gone", b'{"since":1.0,"key_id":"","key_name":"","reason":""}')
    await post(api, "/v1/models/gone/resume")
    assert worker.client.hlen(keys.PAUSED_MODELS) == 0


@pytest.mark.parametrize("reason", ["x" * 501, "two\nlines", 7])
async def test_a_reason_is_one_line_of_bounded_length(api: httpx.AsyncClient, reason: Any) -> None:
    assert (await post(api, f"{MODEL}/pause", {"reason": reason}, 422))["code"] == "invalid_input"


async def test_a_key_needs_the_scope_and_the_model(configured: pytest.MonkeyPatch) -> None:
    async with secured(configured) as api:
        _, user = await bootstrap(role="user")
        _, other = await bootstrap(role="admin", models=["wine"])
        for verb in ("pause", "resume"):
            assert (await post(api, f"{MODEL}/{verb}", {}, 403, headers=bearer(user)))["code"] == "scope_missing"
            assert (await post(api, f"{MODEL}/{verb}", {}, 403, headers=bearer(other)))["code"] == "key_restricted"


async def test_the_audit_log_has_a_pause_and_its_end_once(api: httpx.AsyncClient) -> None:
    for verb in ("pause", "pause", "resume", "resume"):
        await post(api, f"{MODEL}/{verb}")
    entries = (await api.get("/v1/audit")).json()["items"]
    changes = [(entry["action"], entry["targets"], entry["after"]["paused"]) for entry in entries if entry["action"].startswith("model.")]
    target = [{"type": "model", "id": "digits"}]
    assert changes == [("model.resumed", target, False), ("model.paused", target, True)]


async def test_a_job_is_accepted_and_says_what_it_waits_for(api: httpx.AsyncClient, worker: Worker) -> None:
    paused = await post(api, f"{MODEL}/pause", {"reason": "wrong labels"})
    job = await post(api, "/v1/jobs", JOB, 202)
    assert worker.client.llen(keys.list_of(QUEUE)) == 0
    assert (job["state"], job["queue_position"], "estimated_start_s" in job) == ("queued", 1, False)
    assert job["waits_for"] == (
        f"Model 'digits' starts no new work: it has been paused since {paused['pause']['since']}, by an anonymous caller, "
        "reason: wrong labels. Work waits until the model is resumed."
    )
    assert (await post(api, "/v1/jobs", JOB, 202))["queue_position"] == 2
    assert (await api.get(f"/v1/jobs/{job['id']}")).json()["queue_position"] == 1
    assert (await post(api, f"{MODEL}/pause"))["pause"]["waiting"] == 2


async def test_a_job_of_another_model_does_not_wait(api: httpx.AsyncClient, worker: Worker) -> None:
    await post(api, f"{MODEL}/pause")
    job = await post(api, "/v1/jobs", OTHER, 202)
    assert "paused" not in job.get("waits_for", "")
    assert worker.take().jobs == (job["id"],)


async def test_a_job_returns_to_its_queue_when_its_model_is_resumed(api: httpx.AsyncClient, worker: Worker) -> None:
    await post(api, f"{MODEL}/pause")
    job = await post(api, "/v1/jobs", JOB, 202)
    await post(api, f"{MODEL}/resume")
    assert "paused" not in (await api.get(f"/v1/jobs/{job['id']}")).json().get("waits_for", "")
    assert worker.take().jobs == (job["id"],)


async def test_a_job_that_waits_for_its_model_expires_at_its_deadline(api: httpx.AsyncClient) -> None:
    await post(api, f"{MODEL}/pause")
    id = (await post(api, "/v1/jobs", {**JOB, "deadline_s": 0.1}, 202))["id"]

    async def expired() -> bool:
        return bool((await api.get(f"/v1/jobs/{id}")).json()["state"] == "expired")

    await until(expired, "the job expires")


async def test_a_job_that_waits_for_its_model_can_be_cancelled(api: httpx.AsyncClient) -> None:
    await post(api, f"{MODEL}/pause")
    id = (await post(api, "/v1/jobs", JOB, 202))["id"]
    assert (await api.delete(f"/v1/jobs/{id}")).json()["state"] == "cancelled"


async def test_a_synchronous_request_is_refused_at_once(api: httpx.AsyncClient) -> None:
    paused = await post(api, f"{MODEL}/pause", {"reason": "wrong labels."})
    for path in ("/v2/models/digits/infer", "/v2/models/digits/versions/1/infer"):
        response = await api.post(path, json=INFER)
        assert (response.status_code, response.headers["retry-after"]) == (503, "10")
        assert response.json()["code"] == "model_paused"
        assert response.json()["error"] == (
            f"Model 'digits' answers no synchronous requests: it has been paused since {paused['pause']['since']}, by an anonymous caller, "
            "reason: wrong labels. Submit a job, which waits, or try again when the model is resumed."
        )


async def test_a_request_that_prefers_a_job_gets_one(api: httpx.AsyncClient) -> None:
    await post(api, f"{MODEL}/pause")
    job = await post(api, "/v2/models/digits/infer", INFER, 202, headers={"prefer": "respond-async"})
    assert job["waits_for"].startswith("Model 'digits' starts no new work")


async def test_the_limit_of_what_waits_for_a_model_leaves_the_queue_of_its_pool_to_others(configured: pytest.MonkeyPatch) -> None:
    configured.setenv("CELERIAC_MAX_QUEUE", "1")
    settings.cache_clear()
    async with running() as api:
        await post(api, f"{MODEL}/pause")
        await post(api, "/v1/jobs", JOB, 202)
        problem = await post(api, "/v1/jobs", JOB, 429)
        assert (problem["code"], problem["detail"]) == (
            "queue_full",
            "Model 'digits' is paused, and 1 deliveries wait for it, which is the limit. Try again when it is resumed.",
        )
        await post(api, "/v1/jobs", OTHER, 202)


async def test_the_replay_of_a_dead_letter_waits(api: httpx.AsyncClient, worker: Worker) -> None:
    id = (await post(api, "/v1/jobs", JOB, 202))["id"]
    worker.finish(worker.take(), Outcome(id, error=PredictionFailed("it raised")))
    await post(api, f"{MODEL}/pause")
    again = await post(api, f"/v1/dead-letters/{id}/replay", {}, 202)
    assert (await api.get(f"/v1/jobs/{again['id']}")).json()["waits_for"].startswith("Model 'digits' starts no new work")


async def test_every_process_learns_of_a_pause_without_being_asked(api: httpx.AsyncClient) -> None:
    async with running() as other:

        async def known() -> bool:
            return await shown(other) is not None

        assert not await known()
        await post(api, f"{MODEL}/pause")
        await until(known, "the other process shows the pause")
        assert (await post(other, "/v2/models/digits/infer", INFER, 503))["code"] == "model_paused"


async def test_a_process_that_starts_later_knows_the_pause(api: httpx.AsyncClient) -> None:
    await post(api, f"{MODEL}/pause")
    async with running() as other:
        assert (await post(other, "/v2/models/digits/infer", INFER, 503))["code"] == "model_paused"


async def test_metrics_show_the_pause_and_what_waits(api: httpx.AsyncClient) -> None:
    def measured(paused: float, waiting: float) -> Any:
        async def holds() -> bool:
            values = (
                REGISTRY.get_sample_value(name, {"model": "digits"}) for name in ("celeriac_model_paused", "celeriac_paused_deliveries")
            )
            return [*values] == [paused, waiting]

        return holds

    await post(api, f"{MODEL}/pause")
    await post(api, "/v1/jobs", JOB, 202)
    await until(measured(1.0, 1.0), "the metrics show the pause")
    await post(api, f"{MODEL}/resume")
    await until(measured(0.0, 0.0), "the metrics show that it has ended")


async def test_a_record_that_cannot_be_read_pauses_its_model_until_it_is_resumed(api: httpx.AsyncClient, worker: Worker) -> None:
    worker.client.hset(keys.PAUSED_MODELS, "digits", b"not json")
    await post(api, "/v1/jobs", JOB, 202)
    assert worker.client.llen(keys.list_of(QUEUE)) == 0
    await post(api, f"{MODEL}/resume")
    assert worker.client.llen(keys.list_of(QUEUE)) == 1
