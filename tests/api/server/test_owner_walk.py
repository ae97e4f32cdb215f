"""A walk through the OpenAPI document with the keys of two owners: what one made is invisible to the other and cannot be touched."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pytest

from app.api.server.operations import OPERATIONS, Access
from app.core.api_keys import Scope
from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from tests.api.conftest import Worker, until
from tests.api.keys import bearer, bootstrap
from tests.api.owners import Owner, finish_part, owned
from tests.api.server.test_operations import documented

pytestmark = pytest.mark.slow

PRIVILEGED: Final = {Scope.OPERATE, Scope.ADMIN}
"""Who has one of these sees all owners. Other keys are refused."""
OWNED: Final = (
    "/v1/jobs/{id}",
    "/v1/trainings/{id}",
    "/v1/batches/{id}",
    "/v1/files/{id}",
    "/v1/schedules/{name}",
    "/v1/bulk-actions/{id}",
)
"""What a path begins with that leads to something of an owner."""
LISTS: Final = {"/v1/jobs", "/v1/trainings", "/v1/batches", "/v1/files", "/v1/schedules", "/v1/bulk-actions"}
SHARED: Final = {
    "infer_v2_models__name__infer_post", "infer_v2_models__name__versions__version__infer_post",
    "predict_v1_models__name__predict_post", "predict_v1_models__name__versions__version__predict_post",
    "exchange_mcp_post", "create_v1_embeddings_post", "invocations_invocations_post", "model_invocations_models__name__invocations_post",
    "listed_v1_pipelines_get", "read_v1_pipelines__name__get", "trainers_v1_trainers_get",
    "listed_v1_limits_get", "listed_v1_models_get", "read_v1_models__name__drift_get", "quality_v1_models__name__quality_get", "record_v1_feedback_post", "submit_v1_models__name__replays_post",
    "model_v1_models__name__get", "version_v1_models__name__versions__version__get", "start_v1_models__name__aliases__alias__rollout_put",
    "read_v1_models__name__aliases__alias__rollout_get", "roll_back_v1_models__name__aliases__alias__rollout_delete",
    "cast_v1_models__name__aliases__alias__shadow_put", "read_v1_models__name__aliases__alias__shadow_get",
    "remove_v1_models__name__aliases__alias__shadow_delete", "remove_v1_models__name__versions__version__delete",
    "listed_v1_pools_get", "listed_v1_workers_get", "read_v1_stats_get", "read_v1_usage_get", "server_v2_get",
    "publish_v1_models__name__versions_post", "promote_v1_models__name__aliases__alias__put",
    "pause_v1_models__name__pause_post", "resume_v1_models__name__resume_post",
    "metadata_v2_models__name__get", "metadata_v2_models__name__versions__version__get",
    "config_v2_models__name__config_get", "config_v2_models__name__versions__version__config_get",
    "model_ready_v2_models__name__ready_get", "model_ready_v2_models__name__versions__version__ready_get",
    "index_v2_repository_index_post", "load_v2_repository_models__name__load_post", "unload_v2_repository_models__name__unload_post",
    # Each caller reads and ends a session of its own.
    "read_console_session_get",
    "start_console_session_post",
    "end_console_session_delete",
}  # fmt: skip
"""Operations on what belongs to nobody: models, pipelines, pools, sums over all owners; and the limits and the usage of the caller. Predictions that wait leave nothing behind."""
KEY: Final = {"idempotency-key": '"shared"'}
RUN: Final = {"pipeline": "tumors", "inputs": {"rows": [[0.0] * 30]}}
PIPELINE: Final = "inputs: [rows]\nsteps:\n  tumor: {model: breast-cancer, inputs: $inputs.rows}\noutput: $tumor\n"


@dataclass
class World:
    """Two owners, an administrator, and what the first one made, by the path that leads to it."""

    a: Owner
    b: Owner
    made: dict[str, list[str]]

    @property
    def ids(self) -> list[str]:
        return [id for ids in self.made.values() for id in ids]

    def paths(self, template: str) -> list[str]:
        """The paths of a template with everything that the first owner made."""
        [prefix] = [prefix for prefix in OWNED if template.startswith(prefix)]
        rest = template.removeprefix(prefix).replace("{first}", "0")
        return [prefix.partition("{")[0] + id + rest for id in self.made[prefix]]

    async def readable(self, owner: Owner) -> dict[str, Any]:
        """What the owner reads at the address of each thing."""
        return {path: await owner("GET", path) for prefix in OWNED for path in self.paths(prefix)}


async def key(api: Owner, owner: str) -> Owner:
    """A key with every scope that does not reach other owners."""
    _, text = await bootstrap(owner=owner, scopes=sorted(set(Scope) - PRIVILEGED))
    return Owner(api.api, text, api.wine)


@pytest.fixture
async def world(configured: pytest.MonkeyPatch, wine: dict[str, Any], worker: Worker, tmp_path: Path) -> AsyncIterator[World]:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "tumors.yaml").write_text(PIPELINE)
    variables = {"files": str(tmp_path / "files"), "pipelines": str(tmp_path / "pipelines"), "batch_validate_s": "0.01"}
    async with owned(configured, wine, **variables) as owners:
        a, b = await key(owners.a, "a"), await key(owners.a, "b")
        made = await _made(a, owners.admin, worker)
        yield World(a, b, made)


async def _made(a: Owner, admin: Owner, worker: Worker) -> dict[str, list[str]]:
    """Everything that an owner can have."""
    jobs = [(await a.submit(headers=KEY))["id"], (await a.put("order-4711"))["id"], (await a.submit())["id"]]
    for _ in jobs:
        delivery = worker.take()
        worker.finish(delivery, *(Outcome(job, error=PredictionFailed("secret of a"), logs="secret of a") for job in delivery.jobs))
    run = (await a("POST", "/v1/jobs", 202, json=RUN))["id"]

    async def begun() -> bool:
        return bool((await a("GET", f"/v1/jobs/{run}"))["steps"][0]["state"] == "queued")

    await until(begun, "the step of the run is queued")
    file = (await a("POST", "/v1/files", files={"file": ("rows.jsonl", b"x,y\n1,2\n")}))["id"]
    training = await a("POST", "/v1/trainings", 202, json={"trainer": "ridge", "dataset": file, "target": "y", "model": "fresh"})
    batch = (await a("POST", "/v1/batches", json={"input_file_id": file, "endpoint": "/v2/models/wine/infer"}))["id"]
    await finish_part(batch, b"secret of a")
    schedule = {"name": "nightly-of-a", "cron": "0 3 * * *", "run": {"pipeline": RUN}}
    await admin("POST", "/v1/schedules", 201, json=schedule, headers={"celeriac-owner": "a"})
    started = await admin("POST", "/v1/schedules/nightly-of-a/run", 202)
    bulk = f"/v1/bulk-actions/{(await a('POST', '/v1/bulk-actions/cancel', 202, json={'model': 'nobody'}))['id']}"

    async def completed() -> bool:
        return bool((await a("GET", bulk))["state"] == "completed")

    await until(completed, "the bulk action is completed")
    return {
        "/v1/bulk-actions/{id}": [bulk.rpartition("/")[2]],
        "/v1/jobs/{id}": [*jobs, run, f"{run}-tumor", started["id"], training["id"], f"{batch}-plan-0"],
        "/v1/trainings/{id}": [training["id"]],
        "/v1/batches/{id}": [batch],
        "/v1/files/{id}": [file],
        "/v1/schedules/{name}": ["nightly-of-a"],
    }


def creations(world: World) -> dict[str, tuple[dict[str, Any], int]]:
    """The requests by which the second owner might meet what the first one made, with the status of the response."""
    row = {"model": "wine", "inputs": [world.b.wine]}
    file = world.made["/v1/files/{id}"][0]
    table = ",".join(f"pixel_{at // 8}_{at % 8}" for at in range(64)) + "\n" + ",".join(["0"] * 64) + "\n"
    return {
        "submit_v1_jobs_post": ({"json": row, "headers": KEY}, 202),
        "put_v1_jobs__id__put": ({"json": row}, 202),
        "submit_table_v1_jobs_table_post": (
            {"content": table, "headers": {"content-type": "text/csv"}, "params": {"model": "digits"}}, 202,
        ),
        "cancel_v1_bulk_actions_cancel_post": ({"json": {"all": True, "dry_run": True}}, 200),
        "create_v1_batches_post": ({"json": {"model": "wine", "input": file}}, 404),
        "create_v1_files_post": ({"files": {"file": ("rows.jsonl", b"x,y\n1,2\n")}}, 200),
        "submit_v1_trainings_post": ({"json": {"trainer": "ridge", "dataset": file, "target": "y", "model": "fresh"}, "headers": KEY}, 404),
    }  # fmt: skip


def filled(template: str) -> str:
    """The path of a template, with a model that exists and an ID that the first owner chose."""
    return template.replace("{name}", "wine").replace("{version}", "1").replace("{id}", "order-4711")


def leads_to_an_owner(method: str, template: str) -> bool:
    """Whether an operation needs the address of something that exists. PUT makes it."""
    return template.startswith(OWNED) and method != "PUT"


async def test_what_one_owner_made_is_invisible_to_another_and_cannot_be_touched(world: World) -> None:
    before = await world.readable(world.a)
    covered = set(made := creations(world))
    for id, (method, template) in documented().items():
        path = filled(template)
        if OPERATIONS[id] is Access.OPEN:
            covered.add(id)
        elif OPERATIONS[id] in PRIVILEGED:
            await world.b(method, path, 403)
            covered.add(id)
        elif leads_to_an_owner(method, template):
            for own in world.paths(template):
                problem = await world.b(method, own, 404)
                assert "secret" not in str(problem), own
            covered.add(id)
        elif (method == "GET" and template in LISTS) or id in SHARED:
            response = await world.b.api.get(path, headers=bearer(world.b.key)) if method == "GET" else None
            assert response is None or not [own for own in world.ids if own in response.text], id
            covered.add(id)
    for id, (values, status) in made.items():
        method, template = documented()[id]
        response = await world.b(method, filled(template), status, **values)
        assert (response.get("owner", "b"), response.get("state", "queued")) == ("b", "queued"), id
    assert set(documented()) == covered, "add a new operation to LISTS, SHARED, OWNED or the creations"
    assert await world.readable(world.a) == before


async def test_the_owner_itself_reaches_all_of_it(world: World) -> None:
    """Otherwise the walk would prove nothing."""
    for method, template in documented().values():
        if method == "GET" and leads_to_an_owner(method, template) and "trainings" not in template and not template.endswith("/events"):
            for path in world.paths(template):
                response = await world.a.api.get(path, headers=bearer(world.a.key))
                assert response.status_code == 200, path
        if method == "GET" and template in LISTS:
            listed = (await world.a.api.get(template, headers=bearer(world.a.key))).text
            [prefix] = [prefix for prefix in OWNED if prefix.startswith(f"{template}/")]
            assert world.made[prefix][0] in listed, template
