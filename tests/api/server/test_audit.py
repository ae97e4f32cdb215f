"""The audit log of the API: every operation that changes something leaves one entry, with who did it and no secret."""

from __future__ import annotations

import json
import logging
import shutil
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import httpx
import pytest
import redis
import redis.asyncio

from app.api.app import create
from app.api.server.operations import AUDITED, NOT_AUDITED
from app.core.api_keys import generate
from app.core.audit import Action
from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from app.settings import settings
from app.store import keys
from tests.api.conftest import Worker, lifespan, running, until
from tests.api.keys import bearer, bootstrap, secured
from tests.api.owners import Owner
from tests.api.routes.test_model_uploads import SKOPS
from tests.api.server.test_operations import documented

pytestmark = pytest.mark.slow

SCHEDULE: Final = {
    "name": "nightly",
    "cron": "0 3 * * *",
    "paused": True,
    "run": {"pipeline": {"pipeline": "tumors", "inputs": {"rows": [[0.0] * 30]}}},
}
PIPELINE: Final = "inputs: [rows]\nsteps:\n  tumor: {model: breast-cancer, inputs: $inputs.rows}\noutput: $tumor\n"
HOOK: Final = "http://127.0.0.1:9/services/T0/a-secret-path?token=a-secret-token"
HEADERS: Final = {"user-agent": "the audit test", "x-request-id": "r-4711"}


@dataclass
class Scene:
    """An administrator, an owner whose things the administrator changes, and a worker."""

    admin: Owner
    other: Owner
    worker: Worker
    key: str
    """ID of the administrator's key."""

    async def __call__(self, method: str, path: str, status: int = 200, **values: Any) -> Any:
        return await self.admin(method, path, status, headers=HEADERS, **values)

    async def entries(self, **query: Any) -> list[dict[str, Any]]:
        return list((await self.admin("GET", "/v1/audit", params={"limit": 100, **query}))["items"])

    async def dead_letter(self) -> str:
        id = str((await self.other.submit())["id"])
        self.worker.finish(self.worker.take(), Outcome(id, error=PredictionFailed("it raised")))
        return id

    async def new_key(self) -> str:
        return str((await self("POST", "/v1/keys", 201, json={"name": "ci", "role": "user"}))["id"])

    async def hook(self) -> str:
        return str((await self("POST", "/v1/webhooks", 201, json={"url": HOOK}))["id"])

    async def schedule(self) -> None:
        await self("POST", "/v1/schedules", 201, json=SCHEDULE)

    async def batch(self) -> str:
        csv = ",".join(f"pixel_{at // 8}_{at % 8}" for at in range(64)) + "\n" + ",".join(["0"] * 64) + "\n"
        file = (await self.other("POST", "/v1/files", files={"file": ("rows.csv", csv.encode())}))["id"]
        return str((await self.other("POST", "/v1/batches", json={"model": "digits", "input": file}))["id"])

    async def delivery(self) -> tuple[str, str]:
        hook = await self.hook()
        await self("DELETE", f"/v1/jobs/{(await self.other.submit())['id']}")
        deliveries = f"/v1/webhooks/{hook}/deliveries"

        async def made() -> bool:
            return bool((await self("GET", deliveries))["items"])

        await until(made, "the event of the job becomes a delivery")
        return hook, str((await self("GET", deliveries))["items"][0]["id"])


@pytest.fixture
async def scene(
    configured: pytest.MonkeyPatch, wine: dict[str, Any], worker: Worker, tmp_path: Path, sample_models: Path
) -> AsyncIterator[Scene]:
    (tmp_path / "pipelines").mkdir()
    (tmp_path / "pipelines" / "tumors.yaml").write_text(PIPELINE)
    shutil.copytree(sample_models, tmp_path / "models")
    shutil.copytree(sample_models / "wine" / "1", tmp_path / "models" / "wine" / "2")
    manifest = tmp_path / "models" / "wine" / "2" / "model.json"
    manifest.write_text(json.dumps({**json.loads(manifest.read_text()), "version": "2"}))
    (tmp_path / "models" / "wine" / "aliases.json").write_text('{"production": "2"}')
    id, admin = await bootstrap(owner="platform")
    _, other = await bootstrap(owner="other", role="operator")
    folders = {"files": str(tmp_path / "files"), "pipelines": str(tmp_path / "pipelines"), "models": str(tmp_path / "models")}
    async with secured(configured, webhook_allow_private="true", batch_validate_s="0", infer_timeout_s="0.2", **folders) as api:
        yield Scene(Owner(api, admin, wine), Owner(api, other, wine), worker, id)


Case = Callable[[Scene], Awaitable[Callable[[], Awaitable[str]]]]
"""Prepares a change. What it returns makes the change, and returns the ID of what was changed."""
CASES: Final[dict[str, Case]] = {}


def case(operation: str) -> Callable[[Case], Case]:
    def add(function: Case) -> Case:
        CASES[operation] = function
        return function

    return add


def on_path(operation: str, method: str, path: str, prepare: Callable[[Scene], Awaitable[str]], status: int = 200, **values: Any) -> None:
    """A case whose request names what was prepared."""

    async def prepared(scene: Scene) -> Callable[[], Awaitable[str]]:
        id = await prepare(scene)

        async def change() -> str:
            await scene(method, path.replace("{id}", id), status, **values)
            return id

        return change

    CASES[operation] = prepared


async def other_job(scene: Scene) -> str:
    return str((await scene.other.submit())["id"])


async def other_training(scene: Scene) -> str:
    file = (await scene.other("POST", "/v1/files", files={"file": ("rows.csv", b"x,y\n1,2\n")}))["id"]
    training = {"trainer": "ridge", "dataset": file, "target": "y", "model": "fresh"}
    return str((await scene.other("POST", "/v1/trainings", 202, json=training))["id"])


async def cancelled_batch(scene: Scene) -> str:
    id = await scene.batch()
    await scene.other("POST", f"/v1/batches/{id}/cancel")

    async def ended() -> bool:
        return bool((await scene.other("GET", f"/v1/batches/{id}"))["status"] == "cancelled")

    await until(ended, "the batch is cancelled")
    return id


async def other_file(scene: Scene) -> str:
    return str((await scene.other("POST", "/v1/files", files={"file": ("rows.csv", b"x\n1\n")}))["id"])


async def disabled_key(scene: Scene) -> str:
    id = await scene.new_key()
    await scene("POST", f"/v1/keys/{id}/disable")
    return id


async def schedule(scene: Scene) -> str:
    await scene.schedule()
    return "nightly"


async def running_schedule(scene: Scene) -> str:
    await scene("POST", "/v1/schedules", 201, json={**SCHEDULE, "paused": False})
    return "nightly"


async def pool(scene: Scene) -> str:
    return "default"


async def paused_pool(scene: Scene) -> str:
    await scene("POST", "/v1/pools/default/pause")
    return "default"


async def model(scene: Scene) -> str:
    return "wine"


async def paused_model(scene: Scene) -> str:
    await scene("POST", "/v1/models/wine/pause")
    return "wine"


on_path("pause_v1_models__name__pause_post", "POST", "/v1/models/{id}/pause", model, json={"reason": "wrong labels"})
on_path("resume_v1_models__name__resume_post", "POST", "/v1/models/{id}/resume", paused_model)
on_path("pause_v1_pools__name__pause_post", "POST", "/v1/pools/{id}/pause", pool, json={"reason": "new nodes"})
on_path("drain_v1_pools__name__drain_post", "POST", "/v1/pools/{id}/drain", pool)
on_path("resume_v1_pools__name__resume_post", "POST", "/v1/pools/{id}/resume", paused_pool)
on_path("cancel_v1_jobs__id__delete", "DELETE", "/v1/jobs/{id}", other_job)
on_path("cancel_v1_trainings__id__delete", "DELETE", "/v1/trainings/{id}", other_training)
on_path("cancel_v1_batches__id__cancel_post", "POST", "/v1/batches/{id}/cancel", Scene.batch)
on_path("resume_v1_batches__id__resume_post", "POST", "/v1/batches/{id}/resume", cancelled_batch)
on_path("delete_v1_files__id__delete", "DELETE", "/v1/files/{id}", other_file)
on_path("delete_v1_schedules__name__delete", "DELETE", "/v1/schedules/{id}", schedule)
on_path("pause_v1_schedules__name__pause_post", "POST", "/v1/schedules/{id}/pause", running_schedule)
on_path("resume_v1_schedules__name__resume_post", "POST", "/v1/schedules/{id}/resume", schedule)
on_path("run_v1_schedules__name__run_post", "POST", "/v1/schedules/{id}/run", schedule, 202)
on_path("replay_v1_dead_letters__id__replay_post", "POST", "/v1/dead-letters/{id}/replay", Scene.dead_letter, 202)
on_path("replay_many_v1_dead_letters_replay_post", "POST", "/v1/dead-letters/replay?model=wine", Scene.dead_letter, 202)
on_path("discard_v1_dead_letters__id__delete", "DELETE", "/v1/dead-letters/{id}", Scene.dead_letter)
on_path("discard_many_v1_dead_letters_delete", "DELETE", "/v1/dead-letters?all=true", Scene.dead_letter)
on_path("change_v1_webhooks__id__patch", "PATCH", "/v1/webhooks/{id}", Scene.hook, json={"events": ["start"], "disabled": False})
on_path("delete_v1_webhooks__id__delete", "DELETE", "/v1/webhooks/{id}", Scene.hook)
on_path("rotate_v1_webhooks__id__secret_post", "POST", "/v1/webhooks/{id}/secret", Scene.hook)
on_path("rotate_v1_keys__id__rotate_post", "POST", "/v1/keys/{id}/rotate", Scene.new_key)
on_path("disable_v1_keys__id__disable_post", "POST", "/v1/keys/{id}/disable", Scene.new_key)
on_path("enable_v1_keys__id__enable_post", "POST", "/v1/keys/{id}/enable", disabled_key)
on_path("delete_v1_keys__id__delete", "DELETE", "/v1/keys/{id}", Scene.new_key)


def bulk(verb: str) -> Case:
    """A bulk action that matches nothing, whose steps have no entries."""

    async def prepared(scene: Scene) -> Callable[[], Awaitable[str]]:
        async def change() -> str:
            return str((await scene("POST", f"/v1/bulk-actions/{verb}", 202, json={"model": "nobody"}))["id"])

        return change

    return prepared


case("cancel_v1_bulk_actions_cancel_post")(bulk("cancel"))
case("replay_v1_bulk_actions_replay_post")(bulk("replay"))
case("discard_v1_bulk_actions_discard_post")(bulk("discard"))


@case("create_v1_schedules_post")
async def _(scene: Scene) -> Callable[[], Awaitable[str]]:
    return lambda: schedule(scene)


@case("register_v1_webhooks_post")
async def _(scene: Scene) -> Callable[[], Awaitable[str]]:
    return scene.hook


@case("create_v1_keys_post")
async def _(scene: Scene) -> Callable[[], Awaitable[str]]:
    return scene.new_key


@case("replay_v1_webhooks__id__deliveries__delivery__replay_post")
async def _(scene: Scene) -> Callable[[], Awaitable[str]]:
    hook, delivery = await scene.delivery()

    async def change() -> str:
        await scene("POST", f"/v1/webhooks/{hook}/deliveries/{delivery}/replay", 202)
        return hook

    return change


@case("remove_v1_models__name__versions__version__delete")
async def _(scene: Scene) -> Callable[[], Awaitable[str]]:
    async def change() -> str:
        await scene("DELETE", "/v1/models/wine/versions/1")
        return "wine@1"

    return change


@case("publish_v1_models__name__versions_post")
async def _(scene: Scene) -> Callable[[], Awaitable[str]]:
    async def change() -> str:
        sent = {"content": SKOPS, "headers": HEADERS | {"content-type": "application/x-tar"}}
        return f"fresh@{(await scene.admin('POST', '/v1/models/fresh/versions', 201, **sent))['version']}"

    return change


@case("promote_v1_models__name__aliases__alias__put")
async def _(scene: Scene) -> Callable[[], Awaitable[str]]:
    async def change() -> str:
        await scene("PUT", "/v1/models/wine/aliases/champion", json={"version": "1"})
        return "wine@champion"

    return change


def on_alias(operation: str, method: str, what: str, *, made: bool, json: dict[str, Any] | None = None) -> None:
    """The rollout or the shadow of `production`. If it is `made`, it exists before."""
    address = f"/v1/models/wine/aliases/production/{what}"
    values: dict[str, Any] = {"json": json} if json else {}

    @case(operation)
    async def _(scene: Scene) -> Callable[[], Awaitable[str]]:
        if made:
            await scene("PUT", address, json={"version": "1"})

        async def change() -> str:
            await scene(method, address, **values)
            return "wine@production"

        return change


on_alias("start_v1_models__name__aliases__alias__rollout_put", "PUT", "rollout", made=False, json={"version": "1"})
on_alias("roll_back_v1_models__name__aliases__alias__rollout_delete", "DELETE", "rollout", made=True)
on_alias("cast_v1_models__name__aliases__alias__shadow_put", "PUT", "shadow", made=False, json={"version": "1"})
on_alias("remove_v1_models__name__aliases__alias__shadow_delete", "DELETE", "shadow", made=True)


@case("delete_v1_models__name__captures_delete")
async def _(scene: Scene) -> Callable[[], Awaitable[str]]:
    async def change() -> str:
        await scene("DELETE", "/v1/models/wine/captures?owner=other")
        return "wine"

    return change


@case("unload_v2_repository_models__name__unload_post")
async def _(scene: Scene) -> Callable[[], Awaitable[str]]:
    async def change() -> str:
        await scene("POST", "/v2/repository/models/wine/unload")
        return "wine"

    return change


@case("load_v2_repository_models__name__load_post")
async def _(scene: Scene) -> Callable[[], Awaitable[str]]:
    await scene("POST", "/v2/repository/models/wine/unload")

    async def change() -> str:
        # No worker loads it in time. It is in service all the same.
        await scene("POST", "/v2/repository/models/wine/load", 504)
        return "wine"

    return change


def test_every_operation_that_may_change_something_is_audited_or_has_a_reason() -> None:
    changing = {id for id, (method, _) in documented().items() if method != "GET"}
    assert set(AUDITED) | set(NOT_AUDITED) == changing
    assert not set(AUDITED) & set(NOT_AUDITED)
    assert set(CASES) == set(AUDITED)
    steps = {Action.MODEL_ROLLOUT_ADVANCED, Action.MODEL_ROLLOUT_COMPLETED, Action.MODEL_ROLLOUT_ABORTED}
    without_operation = {Action.MODEL_PROMOTED, Action.AUTHENTICATION_FAILED, *steps}
    assert set(Action) - without_operation == set(AUDITED.values())


@pytest.mark.parametrize("operation", sorted(AUDITED))
async def test_an_audited_operation_leaves_one_entry_with_its_actor_and_target(scene: Scene, operation: str) -> None:
    change = await CASES[operation](scene)
    before = {entry["id"] for entry in await scene.entries()}
    id = await change()
    [entry] = [entry for entry in await scene.entries() if entry["id"] not in before]
    assert entry["action"] == AUDITED[operation]
    assert entry["actor"] == {"type": "key", "id": scene.key, "name": "test", "owner": "platform"}
    assert entry["targets"][0] == {"type": entry["action"].partition(".")[0], "id": id}
    assert entry["context"] == {"ip": "127.0.0.1", "user_agent": "the audit test", "request_id": "r-4711"}
    assert (entry["outcome"], entry["reason"], entry["count"]) == ("succeeded", None, 1)
    assert (await scene("GET", "/v1/audit/verification"))["valid"] is True


async def test_a_refused_change_leaves_no_entry(scene: Scene) -> None:
    await scene("POST", "/v1/keys", 422, json={"name": ""})
    await scene("DELETE", f"/v1/keys/{scene.key}", 409)
    await scene("DELETE", "/v1/schedules/nobody", 404)
    await scene("POST", "/v2/repository/models/nobody/unload", 404)
    await scene("DELETE", "/v1/models/wine/versions/2", 409)
    await scene.schedule()
    await scene("POST", "/v1/schedules", 409, json=SCHEDULE)
    await scene("POST", "/v1/schedules/nightly/pause")
    assert [entry["action"] for entry in await scene.entries(actor=scene.key)] == ["schedule.created"]


@pytest.mark.parametrize(("query", "count"), [({"since": "0474-03-21T21:17:44Z"}, 1), ({"until": "0474-03-21T21:17:44Z"}, 0)])
async def test_a_time_before_1970_is_a_time(scene: Scene, query: dict[str, str], count: int) -> None:
    await scene.new_key()
    assert len(await scene.entries(actor=scene.key, **query)) == count


async def test_an_entry_of_a_key_shows_all_that_the_key_may_do(scene: Scene) -> None:
    body = {"name": "ci", "role": "user", "limits": {"requests_per_minute": 600}, "models": ["wine"]}
    key = await scene("POST", "/v1/keys", 201, json=body)
    [entry] = await scene.entries(action="key.created", actor=scene.key)
    assert (entry["after"]["limits"], entry["after"]["models"]) == ({"requests_per_minute": 600}, ["wine"])
    assert key.keys() - entry["after"].keys() == {"id", "key", "created_at", "created_by", "disabled_at", "last_used_at", "source"}


async def test_owners_cancel_and_delete_their_own_things_without_an_entry(scene: Scene) -> None:
    await scene.other("DELETE", f"/v1/jobs/{await other_job(scene)}")
    await scene.other("DELETE", f"/v1/files/{await other_file(scene)}")
    await scene.other("POST", f"/v1/batches/{await scene.batch()}/cancel")
    assert await scene.entries(action="job.*") + await scene.entries(action="file.*") + await scene.entries(action="batch.*") == []


async def test_acting_for_an_owner_does_not_hide_that_the_key_has_another_one(scene: Scene) -> None:
    id = await other_job(scene)
    await scene.admin("DELETE", f"/v1/jobs/{id}", headers={"celeriac-owner": "other"})
    [entry] = await scene.entries(action="job.cancelled")
    assert (entry["actor"]["owner"], entry["targets"][0]["id"]) == ("platform", id)


async def written(scene: Scene, action: str) -> list[dict[str, Any]]:
    """The entries of refused requests, which are written in the background."""

    async def any_written() -> bool:
        return bool(await scene.entries(action=action))

    await until(any_written, f"there is an entry of {action}")
    return await scene.entries(action=action)


async def test_a_request_beyond_the_scope_of_its_key_is_denied_in_the_log(scene: Scene) -> None:
    id, text = await bootstrap(role="viewer", owner="team-b")
    await Owner(scene.admin.api, text, {})("DELETE", "/v1/models/wine/versions/1", 403)
    [entry] = await written(scene, "model.*")
    assert (entry["action"], entry["outcome"], entry["reason"]) == ("model.deleted", "denied", "scope_missing")
    assert entry["actor"] == {"type": "key", "id": id, "name": "test", "owner": "team-b"}
    assert entry["targets"] == [{"type": "model", "id": "wine@1"}]


async def test_a_request_for_a_model_that_its_key_does_not_allow_is_denied_in_the_log(scene: Scene) -> None:
    id, text = await bootstrap(role="operator", models=["digits"])
    await Owner(scene.admin.api, text, {})("POST", "/v2/repository/models/wine/unload", 403)
    [entry] = await written(scene, "model.unloaded")
    assert (entry["actor"]["id"], entry["outcome"], entry["reason"]) == (id, "denied", "key_restricted")


async def test_failed_authentication_is_in_the_log_without_what_was_sent(scene: Scene) -> None:
    wrong = generate()[0]
    for headers in (bearer(wrong), {}, bearer("hunter2")):
        assert (await scene.admin.api.get("/v1/jobs", headers=headers)).status_code == 401
    entries = await written(scene, "authentication.failed")
    assert {(entry["actor"]["type"], entry["outcome"], entry["context"]["ip"]) for entry in entries} == {
        ("anonymous", "denied", "127.0.0.1")
    }
    assert {entry["reason"] for entry in entries} == {"credentials_missing", "invalid_key"}
    assert not [secret for secret in (wrong, wrong[13:], "hunter2") if secret in json.dumps(entries)]


async def test_no_secret_is_in_the_log_or_in_its_stream(scene: Scene, caplog: pytest.LogCaptureFixture, redis_url: str) -> None:
    with caplog.at_level(logging.DEBUG):
        new = await scene("POST", "/v1/keys", 201, json={"name": "ci", "role": "user"})
        rotated = await scene("POST", f"/v1/keys/{new['id']}/rotate")
        hook = await scene("POST", "/v1/webhooks", 201, json={"url": HOOK})
        signing = await scene("POST", f"/v1/webhooks/{hook['id']}/secret")
        await scene("PATCH", f"/v1/webhooks/{hook['id']}", json={"url": HOOK + "2"})
        await scene.schedule()
        await scene("POST", f"/v1/dead-letters/{await scene.dead_letter()}/replay", 202)
        await scene("DELETE", f"/v1/keys/{new['id']}")
    with redis.Redis.from_url(redis_url) as client:
        streams: Any = [client.xrange(keys.AUDIT), client.xrange(keys.AUDIT_REFUSALS)]
        record: Any = client.hget(keys.api_key(scene.key), "record")
        stored = [json.loads(record)["hash"]]
    logged = [json.dumps(vars(record), default=str) for record in caplog.records if vars(record).get("audit")]
    assert len(logged) == 8
    text = f"{streams} {logged}"
    assert new["id"] in text
    assert hook["id"] in text
    whole = [new["key"], rotated["key"], scene.admin.key]
    secrets = [*whole, *(key[13:] for key in whole), hook["secret"], signing["secret"], "a-secret-path", "a-secret-token", *stored]
    assert not [secret for secret in secrets if secret in text]
    assert not [name for name in (*scene.admin.wine, "rows") if name in text], "part of a payload"


async def test_pages_filters_and_wrong_parameters(scene: Scene) -> None:
    ids = [await scene.new_key() for _ in range(5)]
    first = await scene("GET", "/v1/audit", params={"action": "key.created", "actor": scene.key, "limit": 3})
    second = await scene("GET", "/v1/audit", params={"action": "key.created", "actor": scene.key, "limit": 3, "cursor": first["next"]})
    listed = [entry["targets"][0]["id"] for page in (first, second) for entry in page["items"]]
    assert (listed, second["next"]) == (ids[::-1], None)
    newest = first["items"][0]["occurred_at"]
    assert await scene.entries(since=newest, until=newest, action="key.*")
    assert await scene.entries(until="2020-01-01T00:00:00Z") == []
    for query in ({"action": "key"}, {"since": "yesterday"}, {"cursor": "x"}, {"actor": "a b"}, {"limit": "0"}, {"nothing": "1"}):
        await scene("GET", "/v1/audit", 422, params=query)


async def test_without_authentication_the_actor_is_anonymous(api: httpx.AsyncClient, wine: dict[str, Any]) -> None:
    assert (await api.post("/v2/repository/models/wine/unload")).status_code == 200
    job = (await api.post("/v1/jobs", json={"model": "digits", "inputs": [[0.0] * 64]})).json()
    await api.delete(f"/v1/jobs/{job['id']}")
    [entry] = (await api.get("/v1/audit")).json()["items"]
    assert (entry["action"], entry["actor"]["type"], entry["context"]["ip"]) == ("model.unloaded", "anonymous", "127.0.0.1")


@pytest.mark.parametrize(
    ("peer", "forwarded", "client"),
    [
        ("10.1.2.3", ["203.0.113.9"], "203.0.113.9"),
        ("10.1.2.3", ["198.51.100.1, 203.0.113.9, 10.9.9.9"], "203.0.113.9"),
        ("10.1.2.3", ["198.51.100.1", "203.0.113.9"], "203.0.113.9"),
        ("192.0.2.7", ["2001:db8::1"], "2001:db8::1"),
        ("10.1.2.3", [], "10.1.2.3"),
        ("192.0.2.8", ["203.0.113.9"], "192.0.2.8"),
    ],
)
async def test_the_address_behind_trusted_proxies_is_that_of_the_client(
    configured: pytest.MonkeyPatch, peer: str, forwarded: list[str], client: str
) -> None:
    configured.setenv("CELERIAC_TRUSTED_PROXIES", "10.0.0.0/8, 192.0.2.7")
    app = create()
    async with lifespan(app), httpx.AsyncClient(transport=httpx.ASGITransport(app, client=(peer, 4711)), base_url="http://api") as api:
        await api.post("/v2/repository/models/wine/unload", headers=[("x-forwarded-for", value) for value in forwarded])
        [entry] = (await api.get("/v1/audit")).json()["items"]
    assert entry["context"]["ip"] == client


async def test_a_version_that_appears_in_the_repository_has_an_entry(
    configured: pytest.MonkeyPatch, tmp_path: Path, sample_models: Path
) -> None:
    shutil.copytree(sample_models / "wine", tmp_path / "wine")
    configured.setenv("CELERIAC_MODELS", str(tmp_path))
    settings.cache_clear()
    async with running() as api, running() as another:
        assert (await api.get("/v1/audit")).json()["items"] == []
        shutil.copytree(sample_models / "digits", tmp_path / "digits")

        async def seen() -> bool:
            responses = [await process.get("/v1/models/digits") for process in (api, another)]
            return all(response.status_code == 200 for response in responses) and bool((await api.get("/v1/audit")).json()["items"])

        await until(seen, "both processes see the model")
        [entry] = (await another.get("/v1/audit")).json()["items"]
    assert (entry["action"], entry["targets"]) == ("model.published", [{"type": "model", "id": "digits@1"}])
    assert entry["actor"]["type"] == "system"


async def test_the_first_key_is_in_the_log_as_the_work_of_the_system(scene: Scene) -> None:
    entry = (await scene.entries(action="key.created"))[-1]
    assert (entry["actor"]["type"], entry["actor"]["id"], entry["targets"][0]["id"]) == ("system", "bootstrap", scene.key)
    assert entry["after"]["owner"] == "platform"
