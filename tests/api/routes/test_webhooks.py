from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from standardwebhooks import Webhook as Verifier

from app.core.deliveries import Outcome
from app.core.errors import PredictionFailed
from app.registry.pipelines import Pipelines
from tests.api.conftest import Worker, running
from tests.hooks.conftest import Receiver, receiver

pytestmark = pytest.mark.slow

__all__ = ["receiver"]
ROW = [0.0] * 64


@pytest.fixture
async def near(configured: pytest.MonkeyPatch) -> AsyncIterator[httpx.AsyncClient]:
    """An API that may call this machine."""
    configured.setenv("CELERIAC_WEBHOOK_ALLOW_PRIVATE", "1")
    async with running() as client:
        yield client


async def register(api: httpx.AsyncClient, url: str, **values: Any) -> dict[str, Any]:
    answer = await api.post("/v1/webhooks", json={"url": url, **values})
    assert answer.status_code == 201, answer.text
    return dict(answer.json())


async def submit(api: httpx.AsyncClient, **values: Any) -> str:
    answer = await api.post("/v1/jobs", json={"model": "digits", "inputs": [ROW], **values})
    assert answer.status_code == 202, answer.text
    return str(answer.json()["id"])


async def got(receiver: Receiver) -> Any:
    from asyncio import to_thread

    return await to_thread(receiver.get)


async def deliveries(api: httpx.AsyncClient, id: str) -> list[Any]:
    """Those of a webhook, when none of them is under way any longer."""
    while True:
        found = (await api.get(f"/v1/webhooks/{id}/deliveries")).json()["items"]
        if found and all(one["attempts"] for one in found):
            return list(found)


async def test_a_registered_webhook_is_called_and_can_verify_the_signature(near: httpx.AsyncClient, receiver: Receiver) -> None:
    registered = await register(near, receiver.url)
    id = await submit(near)
    await near.delete(f"/v1/jobs/{id}")
    request = await got(receiver)
    reported = Verifier(registered["secret"]).verify(request.body, request.headers)
    assert (reported["type"], reported["data"]["id"], reported["data"]["state"]) == ("job.completed", id, "cancelled")


async def test_a_job_brings_its_webhook_along(near: httpx.AsyncClient, receiver: Receiver, worker: Worker) -> None:
    id = await submit(near, webhook={"url": receiver.url, "events": ["start", "completed"]})
    secret = (await near.get("/v1/webhooks/default/secret")).json()["secret"]
    worker.take()
    started = await got(receiver)
    await near.delete(f"/v1/jobs/{id}")
    ended = await got(receiver)
    types = [Verifier(secret).verify(request.body, request.headers)["type"] for request in (started, ended)]
    assert types == ["job.started", "job.completed"]


async def test_the_format_of_the_messages_can_be_changed(near: httpx.AsyncClient, receiver: Receiver) -> None:
    path = f"/v1/webhooks/{(await register(near, receiver.url, format='cloudevents'))['id']}"
    assert (await near.get(path)).json()["format"] == "cloudevents"
    assert (await near.patch(path, json={"format": "standard"})).json()["format"] == "standard"
    assert (await near.patch(path, json={"format": "xml"})).status_code == 422


async def test_the_secret_is_shown_once(near: httpx.AsyncClient, receiver: Receiver) -> None:
    registered = await register(near, receiver.url)
    assert registered["secret"].startswith("whsec_")
    for path in ("/v1/webhooks", f"/v1/webhooks/{registered['id']}"):
        assert registered["secret"] not in (await near.get(path)).text


async def test_a_secret_of_the_settings_is_not_shown(configured: pytest.MonkeyPatch) -> None:
    configured.setenv("CELERIAC_WEBHOOK_SECRET", "whsec_c2VjcmV0c2VjcmV0c2VjcmV0c2VjcmV0")
    async with running() as api:
        answer = await api.get("/v1/webhooks/default/secret")
    assert (answer.status_code, "whsec_" in answer.text) == (409, False)


async def test_a_new_secret_signs_beside_the_old_one(near: httpx.AsyncClient, receiver: Receiver) -> None:
    registered = await register(near, receiver.url)
    renewed = (await near.post(f"/v1/webhooks/{registered['id']}/secret")).json()
    await near.delete(f"/v1/jobs/{await submit(near)}")
    request = await got(receiver)
    for secret in (registered["secret"], renewed["secret"]):
        Verifier(secret).verify(request.body, request.headers)


async def test_deliveries_are_listed_and_shown_with_their_body(near: httpx.AsyncClient, receiver: Receiver) -> None:
    registered = await register(near, receiver.url)
    receiver.answers = [(503, {})]
    job = await submit(near)
    await near.delete(f"/v1/jobs/{job}")
    await got(receiver)
    (one,) = await deliveries(near, registered["id"])
    assert (one["id"], one["job"], one["type"], one["state"]) == (f"evt_completed_{job}", job, "job.completed", "pending")
    assert [attempt["status"] for attempt in one["attempts"]] == [503]
    assert one["next_attempt_at"] is not None
    shown = (await near.get(f"/v1/webhooks/{registered['id']}/deliveries/{one['id']}")).json()
    assert shown["body"]["data"]["id"] == job


async def test_a_delivery_is_replayed_under_the_same_id(near: httpx.AsyncClient, receiver: Receiver) -> None:
    registered = await register(near, receiver.url)
    await near.delete(f"/v1/jobs/{await submit(near)}")
    first = await got(receiver)
    (one,) = await deliveries(near, registered["id"])
    answer = await near.post(f"/v1/webhooks/{registered['id']}/deliveries/{one['id']}/replay")
    assert answer.status_code == 202
    assert (await got(receiver)).headers["webhook-id"] == first.headers["webhook-id"]


async def test_a_webhook_hears_of_its_models_only(near: httpx.AsyncClient, receiver: Receiver) -> None:
    await register(near, receiver.url, models=["wine"])
    registered = await register(near, receiver.url, models=["digits@1"])
    job = await submit(near)
    await near.delete(f"/v1/jobs/{job}")
    request = await got(receiver)
    Verifier(registered["secret"]).verify(request.body, request.headers)
    assert receiver.all() == []


async def test_a_disabled_webhook_says_why_and_is_enabled_again(near: httpx.AsyncClient, receiver: Receiver) -> None:
    registered = await register(near, receiver.url)
    receiver.answers = [(410, {})]
    await near.delete(f"/v1/jobs/{await submit(near)}")
    await got(receiver)
    (one,) = await deliveries(near, registered["id"])
    disabled = (await near.get(f"/v1/webhooks/{registered['id']}")).json()
    assert disabled["disabled"]
    assert "410" in disabled["disabled_reason"]
    replay = f"/v1/webhooks/{registered['id']}/deliveries/{one['id']}/replay"
    assert (await near.post(replay)).json()["code"] == "webhook_conflict"
    enabled = (await near.patch(f"/v1/webhooks/{registered['id']}", json={"disabled": False})).json()
    assert (enabled["disabled"], enabled["disabled_reason"]) == (False, None)
    assert (await near.post(replay)).status_code == 202


async def test_a_webhook_is_changed(near: httpx.AsyncClient, receiver: Receiver) -> None:
    registered = await register(near, receiver.url, description="old")
    changed = (await near.patch(f"/v1/webhooks/{registered['id']}", json={"events": ["start"], "description": "new"})).json()
    assert (changed["url"], changed["events"], changed["description"]) == (receiver.url, ["start"], "new")


async def test_a_deleted_webhook_is_gone(near: httpx.AsyncClient, receiver: Receiver) -> None:
    registered = await register(near, receiver.url)
    assert (await near.delete(f"/v1/webhooks/{registered['id']}")).status_code == 200
    assert (await near.get(f"/v1/webhooks/{registered['id']}")).json()["code"] == "webhook_not_found"
    assert (await near.get("/v1/webhooks")).json() == {"items": []}


async def test_a_webhook_receives_the_audit_log(near: httpx.AsyncClient, receiver: Receiver) -> None:
    registered = (await near.post("/v1/webhooks", json={"url": receiver.url, "events": ["audit"]})).json()
    assert (await got(receiver)).json["data"]["targets"] == [{"type": "webhook", "id": registered["id"]}]
    await near.post("/v2/repository/models/wine/unload")
    request = await got(receiver)
    [entry] = (await near.get("/v1/audit", params={"action": "model.unloaded"})).json()["items"]
    assert request.json == {"type": "audit.model.unloaded", "timestamp": entry["occurred_at"], "data": entry}
    delivery = (await near.get(f"/v1/webhooks/{registered['id']}/deliveries")).json()["items"][0]
    assert (delivery["type"], delivery["audit"]) == ("audit.model.unloaded", entry["id"])
    assert "job" not in delivery


@pytest.mark.parametrize(
    ("body", "pointer"),
    [
        ({}, "/url"),
        ({"url": "https://127.0.0.1/"}, "/url"),
        ({"url": "https://nobody.invalid/"}, "/url"),
        ({"url": "https://9.9.9.9/", "events": []}, "/events"),
        ({"url": "https://9.9.9.9/", "events": ["end"]}, "/events/0"),
        ({"url": "https://9.9.9.9/", "models": ["wine", "digits@production"]}, "/models/1"),
        ({"url": "https://9.9.9.9/", "secret": "mine"}, "/secret"),
    ],
)
async def test_a_registration_that_is_wrong_is_refused(api: httpx.AsyncClient, body: dict[str, Any], pointer: str) -> None:
    answer = await api.post("/v1/webhooks", json=body)
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)


@pytest.mark.parametrize(
    "webhook",
    [
        "https://example.com",
        {},
        {"url": "http://example.com"},
        {"url": "https://localhost"},
        {"url": "https://example.com", "events": "all"},
        {"url": "https://example.com", "events": ["audit"]},
    ],
)
async def test_a_job_whose_webhook_is_wrong_is_refused_and_not_made(api: httpx.AsyncClient, webhook: Any) -> None:
    answer = await api.post("/v1/jobs", json={"model": "digits", "inputs": [ROW], "webhook": webhook})
    assert answer.status_code == 422
    assert answer.json()["errors"][0]["pointer"].startswith("/webhook")
    assert (await api.get("/v1/jobs")).json()["items"] == []


async def test_a_dead_letter_that_is_replayed_keeps_its_webhook(near: httpx.AsyncClient, receiver: Receiver, worker: Worker) -> None:
    id = await submit(near, webhook={"url": receiver.url})
    worker.finish(worker.take(), Outcome(id, error=PredictionFailed("it raised")))
    await got(receiver)
    again = (await near.post(f"/v1/dead-letters/{id}/replay")).json()["id"]
    await near.delete(f"/v1/jobs/{again}")
    assert (await got(receiver)).json["data"]["id"] == again


async def test_webhooks_receive_trainings_and_pipeline_runs_as_jobs(
    configured: pytest.MonkeyPatch, tmp_path: Path, receiver: Receiver
) -> None:
    (tmp_path / "a.csv").write_text("x,y\n1,2\n")
    Pipelines(tmp_path).publish("echo", "inputs: [x]\nsteps: {a: {run: note, inputs: {text: $inputs.x}}}\noutput: $a")
    for name, value in {"WEBHOOK_ALLOW_PRIVATE": "1", "FILE_ROOTS": str(tmp_path), "PIPELINES": str(tmp_path)}.items():
        configured.setenv(f"CELERIAC_{name}", value)
    hook = {"url": receiver.url, "events": ["start", "completed"]}
    training = {"trainer": "ridge", "dataset": "a.csv", "target": "y", "model": "m", "webhook": hook}
    async with running() as api:
        trained = (await api.post("/v1/trainings", json=training)).json()["id"]
        await api.delete(f"/v1/trainings/{trained}")
        reported = (await got(receiver)).json
        assert (reported["type"], reported["data"]["id"], reported["data"]["kind"], reported["data"]["state"]) == (
            "job.completed", trained, "training", "cancelled"
        )  # fmt: skip
        run = (await api.post("/v1/jobs", json={"pipeline": "echo", "inputs": {"x": "y"}, "webhook": hook})).json()["id"]
        assert (await got(receiver)).json["type"] == "job.started"
        await api.delete(f"/v1/jobs/{run}")
        reported = (await got(receiver)).json
        assert (reported["type"], reported["data"]["id"], reported["data"]["kind"], reported["data"]["state"]) == (
            "job.completed", run, "pipeline", "cancelled"
        )  # fmt: skip


@pytest.mark.parametrize(
    ("hook", "pointer", "reported"),
    [
        ("https://example.com", "/webhook", "webhook must be an object"),
        ({"url": "http://127.0.0.1/"}, "/webhook/url", ""),
        ({"url": "https://example.com/", "events": ["failed"]}, "/webhook/events/0", "must be 'start' or 'completed', not 'failed'"),
        ({"url": "https://example.com/", "secret": "x"}, "/webhook/secret", ""),
    ],
)
async def test_a_batch_with_a_webhook_that_will_not_do_is_refused(
    configured: pytest.MonkeyPatch, tmp_path: Path, hook: Any, pointer: str, reported: str
) -> None:
    (tmp_path / "a.csv").write_text("x\n1\n")
    configured.setenv("CELERIAC_FILES", str(tmp_path / "files"))
    configured.setenv("CELERIAC_FILE_ROOTS", str(tmp_path))
    async with running() as api:
        answer = await api.post("/v1/batches", json={"model": "digits", "input": "a.csv", "webhook": hook})
    assert (answer.status_code, answer.json()["errors"][0]["pointer"]) == (422, pointer)
    assert reported in answer.json()["detail"]
