from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import httpx
import numpy as np
import pytest

from app.core.pools import PoolMode
from app.registry.repository import Repository
from app.store import keys, serving, workers
from tests.api.conftest import until
from tests.direct.conftest import Heartbeat, api_of, body, infer, lane_of, publish_compiled, rows, together, until_direct

pytestmark = pytest.mark.slow


async def test_a_compiled_version_is_predicted_in_the_api_process(api: httpx.AsyncClient) -> None:
    await until_direct(api)
    response = await infer(api, rows(2))
    assert response.headers["celeriac-lane"] == "direct"
    assert response.json()["outputs"][0]["shape"] == [2]


async def test_an_estimator_that_is_not_compiled_takes_the_queue_and_says_why(api: httpx.AsyncClient) -> None:
    await until_direct(api)
    lane, reason = await lane_of(api, "plain")
    assert (lane, "not an ONNX graph" in reason) == ("queue", True)
    assert (await infer(api, rows(1), "plain")).status_code == 504


async def test_the_list_of_models_names_the_lane_of_each_version(api: httpx.AsyncClient) -> None:
    await until_direct(api)
    models = (await api.get("/v1/models")).json()["items"]
    lanes = {model["name"]: [version["lane"] for version in model["versions"]] for model in models}
    assert lanes == {"lr": ["direct"], "plain": ["queue"]}


async def test_the_lane_can_be_turned_off(configured: pytest.MonkeyPatch, heartbeat: Heartbeat) -> None:
    configured.setenv("CELERIAC_DIRECT", "off")
    async with api_of(heartbeat, ("lr", "1")) as api:
        assert await lane_of(api) == ("queue", "CELERIAC_DIRECT is off.")
        assert (await infer(api, rows(1))).status_code == 504


async def test_a_manifest_keeps_its_version_on_the_queue(configured: pytest.MonkeyPatch, heartbeat: Heartbeat, tmp_path: Path) -> None:
    configured.setenv("CELERIAC_MODELS", str(tmp_path / "models"))
    publish_compiled(tmp_path / "models", direct=False)
    async with api_of(heartbeat, ("lr", "1")) as api:
        assert await lane_of(api) == ("queue", "Its manifest sets direct: false.")


async def test_a_version_that_is_too_slow_takes_the_queue(configured: pytest.MonkeyPatch, heartbeat: Heartbeat) -> None:
    configured.setenv("CELERIAC_DIRECT_MAX_MS", "0.000001")
    async with api_of(heartbeat, ("lr", "1")) as api:

        async def judged() -> bool:
            return "CELERIAC_DIRECT_MAX_MS" in (await lane_of(api))[1]

        await until(judged, "the version is too slow")


@pytest.mark.parametrize(("setting", "limit"), [("MAX_ROWS", "2"), ("MAX_BYTES", str(2 * 4 * 8))])
async def test_a_request_above_a_limit_takes_the_queue(
    configured: pytest.MonkeyPatch, heartbeat: Heartbeat, setting: str, limit: str
) -> None:
    configured.setenv(f"CELERIAC_DIRECT_{setting}", limit)
    async with api_of(heartbeat, ("lr", "1")) as api:
        await until_direct(api)
        assert (await infer(api, rows(2))).status_code == 200
        assert (await infer(api, rows(3))).status_code == 504  # no worker takes it from the queue


@pytest.mark.parametrize(("setting", "limit"), [("VERSIONS", "1"), ("MODEL_BYTES", "1000")])
async def test_the_memory_for_versions_is_bounded(
    configured: pytest.MonkeyPatch, heartbeat: Heartbeat, tmp_path: Path, setting: str, limit: str
) -> None:
    configured.setenv("CELERIAC_MODELS", str(tmp_path / "models"))
    configured.setenv(f"CELERIAC_DIRECT_MAX_{setting}", limit)
    for name in ("a", "b"):
        publish_compiled(tmp_path / "models", name)
    async with api_of(heartbeat, ("a", "1"), ("b", "1")) as api:

        async def refused() -> bool:
            return f"CELERIAC_DIRECT_MAX_{setting}" in (await lane_of(api, "b"))[1]

        await until(refused, "the second version is refused")


async def test_a_version_that_no_worker_serves_takes_the_queue(configured: pytest.MonkeyPatch, heartbeat: Heartbeat) -> None:
    async with api_of(heartbeat) as api:
        assert await lane_of(api) == ("queue", "No worker holds it.")


async def test_a_version_that_workers_refuse_leaves_the_lane(api: httpx.AsyncClient, heartbeat: Heartbeat) -> None:
    await until_direct(api)
    heartbeat.serves(refused=[("lr", "1", "broken")])

    async def gone() -> bool:
        return bool((await infer(api, rows(1))).json().get("code") == "model_unavailable")

    await until(gone, "the version is refused")


async def test_direct_versions_answer_while_no_worker_lives(api: httpx.AsyncClient, heartbeat: Heartbeat) -> None:
    await until_direct(api)
    workers.leave(heartbeat.client, "default@host-1")

    async def noticed() -> bool:
        return bool((await api.get("/v1/models/lr")).json()["versions"][0]["state"] == "COLD")

    await until(noticed, "the worker is gone")
    assert (await infer(api, rows(1))).headers["celeriac-lane"] == "direct"


async def test_a_paused_pool_does_not_answer(api: httpx.AsyncClient) -> None:
    await until_direct(api)
    await api.post("/v1/pools/default/pause", json={})

    async def waits() -> bool:
        return (await infer(api, rows(1))).status_code == 504

    await until(waits, "the pool is paused")
    assert PoolMode.PAUSED in (await lane_of(api))[1]
    await api.post("/v1/pools/default/resume", json={})

    async def answers() -> bool:
        return (await infer(api, rows(1))).status_code == 200

    await until(answers, "the pool is resumed")


async def test_a_paused_model_is_refused_and_answers_when_it_is_resumed(api: httpx.AsyncClient) -> None:
    await until_direct(api)
    await api.post("/v1/models/lr/pause", json={})
    assert (await infer(api, rows(1))).json()["code"] == "model_paused"
    await api.post("/v1/models/lr/resume", json={})
    assert (await infer(api, rows(1))).status_code == 200


async def test_a_draining_pool_refuses(api: httpx.AsyncClient) -> None:
    await until_direct(api)
    await api.post("/v1/pools/default/drain", json={})

    async def refuses() -> bool:
        return bool((await infer(api, rows(1))).json().get("code") == "pool_draining")

    await until(refuses, "the pool drains")


async def test_an_unloaded_model_is_refused(api: httpx.AsyncClient) -> None:
    await until_direct(api)
    await api.post("/v2/repository/models/lr/unload")

    async def refuses() -> bool:
        return bool((await infer(api, rows(1))).json().get("code") == "model_unavailable")

    await until(refuses, "the model is unloaded")


async def test_a_request_that_may_become_a_job_takes_the_queue(api: httpx.AsyncClient) -> None:
    await until_direct(api)
    response = await api.post("/v2/models/lr/infer", json=body(rows(1)), headers={"prefer": "respond-async"})
    assert response.status_code == 202


async def test_metrics_name_the_lane_and_the_model(api: httpx.AsyncClient) -> None:
    await until_direct(api)
    await infer(api, rows(3))
    text = (await api.get("/metrics")).text
    assert 'celeriac_inferences_total{lane="direct",model="lr",version="1"}' in text
    assert 'celeriac_predict_seconds_count{model="lr",version="1"}' in text
    assert 'celeriac_jobs_ended_total{model="lr",outcome="succeeded",version="1"}' in text


async def test_rate_limits_are_charged_and_refuse(configured: pytest.MonkeyPatch, heartbeat: Heartbeat) -> None:
    configured.setenv("CELERIAC_LIMIT_ROWS_PER_DAY", "5")
    async with api_of(heartbeat, ("lr", "1")) as api:
        await until_direct(api)
        assert (await infer(api, rows(3))).headers["celeriac-lane"] == "direct"
        refused = await infer(api, rows(3))
        assert (refused.status_code, refused.json()["code"]) == (429, "rate_limited")
        assert (await infer(api, rows(2))).status_code == 200
        assert (await infer(api, rows(6))).status_code == 413


async def test_requests_of_one_turn_share_a_call_and_get_their_own_answers(api: httpx.AsyncClient) -> None:
    await until_direct(api)
    inputs = [rows(1 + number % 3, number) for number in range(60)]
    outputs = [{"name": "predict_proba"}]
    alone = [(await infer(api, values, outputs=outputs)).json()["outputs"][0] for values in inputs]
    answers = await together(lambda at: infer(api, inputs[at], outputs=outputs), len(inputs))
    assert {answer.headers["celeriac-lane"] for answer in answers} == {"direct"}
    for answer, expected in zip(answers, alone, strict=True):
        (output,) = answer.json()["outputs"]
        assert output["shape"] == expected["shape"]
        np.testing.assert_allclose(output["data"], expected["data"], rtol=1e-12)


async def test_a_request_that_fails_does_not_fail_those_that_shared_its_call(api: httpx.AsyncClient) -> None:
    await until_direct(api)
    sent = rows(1)
    raw = {"inputs": [{"name": "input", "shape": [1, 4], "datatype": "FP64", "parameters": {"binary_data_size": 32}}]}

    head = json.dumps(raw).encode()
    infinite = head + np.array([[np.inf, 1, 1, 1]]).tobytes()

    async def one(at: int) -> httpx.Response:
        if at == 7:
            headers = {"inference-header-content-length": str(len(head)), "content-type": "application/octet-stream"}
            return await api.post("/v2/models/lr/infer", content=infinite, headers=headers)
        return await infer(api, sent)

    answers = await together(one, 16)
    assert [answer.status_code == 200 for answer in answers] == [at != 7 for at in range(16)]


async def test_an_alias_moves_without_a_gap(configured: pytest.MonkeyPatch, heartbeat: Heartbeat, tmp_path: Path) -> None:
    models = tmp_path / "models"
    configured.setenv("CELERIAC_MODELS", str(models))
    publish_compiled(models, seed=0, promote="production")
    publish_compiled(models, seed=1)
    async with api_of(heartbeat, ("lr", "1"), ("lr", "2")) as api:
        await until_direct(api, version="1")
        await until_direct(api, version="2")
        serving.served(heartbeat.client, ("lr", "production"), "1")
        Repository(models).promote("lr", "production", "2")
        serving.served(heartbeat.client, ("lr", "production"), "2")
        seen = []

        async def moved() -> bool:
            response = await infer(api, rows(1))
            assert response.status_code == 200, response.text
            seen.append(response.json()["model_version"])
            return bool(seen[-1] == "2")

        await until(moved, "the alias has moved")
        assert "1" not in seen[seen.index("2") :]


async def test_a_version_under_which_a_process_died_takes_the_queue_until_it_is_loaded_again(
    configured: pytest.MonkeyPatch, heartbeat: Heartbeat, compiled: Path, tmp_path: Path
) -> None:
    manifest = Repository(compiled).manifest("lr", "1")
    assert manifest is not None
    _die_in_a_call(tmp_path / "state" / "direct", "lr", "1", manifest.sha256)
    async with api_of(heartbeat, ("lr", "1")) as api:

        async def blamed() -> bool:
            return "died" in (await lane_of(api))[1]

        await until(blamed, "the version is blamed")
        assert (await infer(api, rows(1))).status_code == 504
        await api.post("/v2/repository/models/lr/load")
        await until_direct(api)


async def test_another_version_of_the_same_number_is_not_blamed(
    configured: pytest.MonkeyPatch, heartbeat: Heartbeat, tmp_path: Path
) -> None:
    _die_in_a_call(tmp_path / "state" / "direct", "lr", "1", "0" * 64)
    async with api_of(heartbeat, ("lr", "1")) as api:
        await until_direct(api)


async def test_a_process_that_dies_between_calls_blames_no_version(
    configured: pytest.MonkeyPatch, heartbeat: Heartbeat, tmp_path: Path
) -> None:
    _die_in_a_call(tmp_path / "state" / "direct", "lr", "1", "0" * 64, left=True)
    async with api_of(heartbeat, ("lr", "1")) as api:
        await until_direct(api)

        async def removed() -> bool:
            return len(list((tmp_path / "state" / "direct").iterdir())) == 1

        await until(removed, "its marks are removed")
        assert not heartbeat.client.exists(keys.DIRECT_FAILURES)


def _die_in_a_call(folder: Path, name: str, version: str, sha256: str, *, left: bool = False) -> None:
    """A process that is killed while it calls a version, or right after."""
    code = (
        "import sys, time; from pathlib import Path; from app.direct.marks import Mark, Marks\n"
        "folder, name, version, sha256, left = sys.argv[1:]\n"
        "marks = Marks(Path(folder), 'dead'); marks.enter(Mark(name, version, sha256).encode(), name)\n"
        "marks.leave() if left == 'True' else None\n"
        "print('calling', flush=True); time.sleep(60)"
    )
    with subprocess.Popen([sys.executable, "-c", code, str(folder), name, version, sha256, str(left)], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"calling\n"
        os.kill(process.pid, signal.SIGKILL)
