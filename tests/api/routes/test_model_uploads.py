"""Versions that are published over the API."""

from __future__ import annotations

import asyncio
import base64
import hashlib
import io
import json
import tarfile
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import httpx
import joblib
import numpy as np
import pytest
import skops.io
from sklearn.linear_model import LogisticRegression
from starlette.types import Message

from app.api.app import create
from app.registry.repository import Repository
from tests.api.conftest import lifespan, running
from tests.api.keys import bearer, bootstrap, secured
from tests.disks import Disk
from tests.misbehaving import Moody

pytestmark = pytest.mark.slow
TYPE = {"content-type": "application/x-tar"}
PATH = "/v1/models/churn/versions"


def tar(**files: bytes | str) -> bytes:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        for name, content in files.items():
            content = content.encode() if isinstance(content, str) else content
            info = tarfile.TarInfo(name.replace("__", "."))
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return packed.getvalue()


def estimator() -> LogisticRegression:
    rows = np.array([[0.0, 1.0], [1.0, 0.0], [0.5, 2.0], [3.0, 0.1]])
    return LogisticRegression().fit(rows, [0, 1, 0, 1])


SKOPS = tar(model__skops=skops.io.dumps(estimator()), model__yaml="sample: [[0.0, 1.0], [1.0, 0.0]]\ndescription: who leaves\n")
CODE = tar(
    model__py="def predict(inputs):\n    return len(inputs['text'])\n",
    model__yaml="inputs: [{name: text, datatype: BYTES, shape: [-1]}]\noutputs: [{name: length, datatype: INT64, shape: [-1]}]\n"
    "sample: [a text]\n",
)


def saved(name: str) -> bytes:
    """A directory that MLflow saved."""
    folder = Path(__file__).parents[2] / "runtime" / "mlflow" / "models" / name
    return tar(**{path.name: path.read_bytes() for path in folder.iterdir()})


def pickled() -> bytes:
    packed = io.BytesIO()
    joblib.dump(Moody(), packed)
    return tar(model__joblib=packed.getvalue(), model__yaml="sample: [[0.0, 0.0]]\n")


@pytest.fixture
def models(configured: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """The folder of an empty repository."""
    configured.setenv("CELERIAC_MODELS", str(tmp_path / "models"))
    return tmp_path / "models"


@pytest.fixture
async def api(models: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with running() as client:
        yield client


async def refused(api: httpx.AsyncClient, content: Any, status: int, code: str, path: str = PATH, **headers: str) -> str:
    response = await api.post(path, content=content, headers=TYPE | headers)
    assert (response.status_code, response.json()["code"]) == (status, code), response.text
    return str(response.json()["detail"])


def folders(models: Path) -> list[str]:
    """What is in the repository, hidden folders included."""
    return sorted(path.name for path in models.iterdir()) if models.exists() else []


def nothing_is_left(models: Path) -> bool:
    return folders(models) == []


async def test_an_estimator_becomes_a_version(api: httpx.AsyncClient, models: Path) -> None:
    digest = base64.b64encode(hashlib.sha256(SKOPS).digest()).decode()
    response = await api.post(f"{PATH}?alias=production", content=SKOPS, headers=TYPE | {"content-digest": f"sha-256=:{digest}:"})
    assert response.status_code == 201, response.text
    assert response.headers["location"] == "/v1/models/churn/versions/1"
    body = response.json()
    assert (body["version"], body["format"], body["promotion"]["state"]) == ("1", "skops", "served")
    assert body["inputs"] == {"input": "FP64"}
    shown = (await api.get(response.headers["location"])).json()
    assert (shown["description"], shown["provenance"]) == ("who leaves", {"upload": hashlib.sha256(SKOPS).hexdigest()})
    assert (await api.get("/v1/models/churn")).json()["aliases"] == {"production": "1"}
    assert folders(models) == ["churn"]


async def test_code_becomes_a_version_and_hidden_files_do_not(api: httpx.AsyncClient, models: Path) -> None:
    added = json.dumps({"sample": ["another"], "metrics": {"error": 1e-05}, "description": "from the client"})
    with_more = tar(model__py="def predict(inputs):\n    return len(inputs['text'])\n", __publish__json=added, model__yaml=(
        "inputs: [{name: text, datatype: BYTES, shape: [-1]}]\noutputs: [{name: length, datatype: INT64, shape: [-1]}]\n"
    ))  # fmt: skip
    response = await api.post(f"{PATH}?version=1.5", content=with_more, headers=TYPE)
    assert (response.status_code, response.json()["version"]) == (201, "1.5"), response.text
    assert sorted(path.name for path in (models / "churn" / "1.5").iterdir()) == ["model.json", "model.py", "model.yaml"]
    shown = (await api.get("/v1/models/churn/versions/1.5")).json()
    assert (shown["metrics"], shown["description"]) == ({"error": 1e-05}, "from the client")


async def test_a_directory_that_mlflow_saved_becomes_a_version(api: httpx.AsyncClient, models: Path) -> None:
    response = await api.post(PATH, content=saved("frame"), headers=TYPE)
    assert (response.status_code, response.json()["format"]) == (201, "skops"), response.text
    shown = (await api.get("/v1/models/churn/versions/1")).json()
    assert shown["provenance"]["mlflow"]["mlflow_version"]
    detail = await refused(api, tar(MLmodel="flavors: {sklearn: {pickled_model: ../../x}}"), 422, "invalid_input")
    assert detail == "MLmodel names '../../x' in flavors/sklearn/pickled_model, which leads out of the directory."
    assert folders(models) == ["churn"]


async def test_a_request_that_is_sent_again_publishes_once(api: httpx.AsyncClient, models: Path) -> None:
    key = {"idempotency-key": '"once"'}
    answers = [await api.post(PATH, content=SKOPS, headers=TYPE | key) for _ in range(2)]
    assert [(answer.status_code, answer.json()["version"]) for answer in answers] == [(201, "1"), (201, "1")]
    await refused(api, CODE, 422, "idempotency_mismatch", **key)
    assert Repository(models).versions("churn") == ["1"]


async def test_of_two_publishers_of_one_version_one_wins(api: httpx.AsyncClient, models: Path) -> None:
    answers = await asyncio.gather(*(api.post(f"{PATH}?version=7", content=SKOPS, headers=TYPE) for _ in range(2)))
    assert sorted(answer.status_code for answer in answers) == [201, 409]
    assert Repository(models).versions("churn") == ["7"]


@pytest.mark.parametrize(
    ("content", "status", "code", "reported"),
    [
        (b"nothing", 422, "invalid_input", "not a tar archive"),
        (SKOPS[:-12000], 422, "invalid_input", "cut off"),
        (tar(readme__md="hello"), 422, "invalid_input", "must hold one of model.py, model.onnx"),
        pytest.param(
            tar(model__skops=skops.io.dumps(estimator())), 422, "invalid_input", "Add `sample` to model.yaml", marks=pytest.mark.extended
        ),
        (tar(model__py="1/0", model__yaml="inputs: [{name: x, datatype: FP64, shape: [-1]}]\noutputs: [{name: y, datatype: FP64, shape: [-1]}]"),
         422, "invalid_input", "ZeroDivisionError"),
    ],
)  # fmt: skip
async def test_what_cannot_be_served_is_refused_and_leaves_nothing(
    api: httpx.AsyncClient, models: Path, content: bytes, status: int, code: str, reported: str
) -> None:
    detail = await refused(api, content, status, code)
    assert reported in detail
    assert str(models) not in detail
    assert nothing_is_left(models)


async def test_a_request_that_is_refused_is_not_read(api: httpx.AsyncClient, models: Path) -> None:
    async def body() -> AsyncIterator[bytes]:
        raise AssertionError("the body was read")
        yield b""

    await refused(api, body(), 415, "unsupported_media_type", **{"content-type": "application/x-www-form-urlencoded"})
    await refused(api, body(), 422, "invalid_input", f"{PATH}?alias=Production")
    await refused(api, body(), 422, "unknown_field", f"{PATH}?aliass=production")
    await refused(api, body(), 422, "invalid_input", f"{PATH}?version=v1")
    await refused(api, body(), 422, "invalid_input", "/v1/models/Churn/versions")
    await refused(api, body(), 413, "payload_too_large", **{"content-length": str(1 << 40)})
    await refused(api, body(), 422, "invalid_input", **{"content-digest": "sha-512=:YQ==:"})
    assert nothing_is_left(models)


async def test_another_hash_is_refused(api: httpx.AsyncClient, models: Path) -> None:
    wrong = base64.b64encode(bytes(32)).decode()
    assert "not AAAA" in await refused(api, SKOPS, 422, "invalid_input", **{"content-digest": f"sha-256=:{wrong}:"})
    assert nothing_is_left(models)


async def test_a_caller_that_leaves_publishes_nothing(models: Path) -> None:
    messages: Iterator[Message] = iter([{"type": "http.request", "body": SKOPS[:5000], "more_body": True}, {"type": "http.disconnect"}])
    scope = {"type": "http", "method": "POST", "path": PATH, "raw_path": PATH.encode(), "query_string": b"", "http_version": "1.1"}

    async def receive() -> Message:
        return next(messages)

    async def send(message: Message) -> None:
        """Nobody is there."""

    app = create()
    async with lifespan(app):
        await app(scope | {"scheme": "http", "headers": [(b"content-type", b"application/x-tar")], "root_path": ""}, receive, send)
        assert nothing_is_left(models)


async def test_bounds(configured: pytest.MonkeyPatch, models: Path) -> None:
    configured.setenv("CELERIAC_MAX_VERSION_BYTES", "2000")
    async with running() as api:

        async def body() -> AsyncIterator[bytes]:  # without a length
            for _ in range(5):
                yield SKOPS[:1000]

        assert "CELERIAC_MAX_VERSION_BYTES" in await refused(api, body(), 413, "payload_too_large")
    assert nothing_is_left(models)


@pytest.mark.parametrize("left", [0, 8, 20], ids=["for nothing", "for the archive", "for its files"])
async def test_a_full_disk_publishes_nothing(configured: pytest.MonkeyPatch, disk: Disk, left: int) -> None:
    configured.setenv("CELERIAC_MODELS", str(disk.folder))
    async with running() as api:
        disk.fill(left * 1024)
        response = await api.post(PATH, content=SKOPS, headers=TYPE)
        assert (response.status_code, response.json()["code"]) == (507, "storage_full"), response.text
        assert "The volume of the model repository is full" in response.json()["detail"]
        disk.free()
        assert {path.name for path in disk.folder.rglob("*") if path.is_file()} <= {".repository-id"}
        assert (await api.post(PATH, content=SKOPS, headers=TYPE)).status_code == 201


@pytest.mark.extended
async def test_a_process_receives_a_few_versions_at_once(configured: pytest.MonkeyPatch, models: Path) -> None:
    configured.setenv("CELERIAC_MAX_PUBLICATIONS", "1")
    received, proceed = asyncio.Event(), asyncio.Event()

    async def body() -> AsyncIterator[bytes]:
        received.set()
        await proceed.wait()
        yield SKOPS

    async with running() as api:
        first = asyncio.create_task(api.post(PATH, content=body(), headers=TYPE))
        await received.wait()
        assert "CELERIAC_MAX_PUBLICATIONS" in await refused(api, SKOPS, 503, "overloaded")
        proceed.set()
        assert (await first).status_code == 201


async def test_publishing_that_is_off_says_what_to_set(configured: pytest.MonkeyPatch, models: Path) -> None:
    configured.setenv("CELERIAC_PUBLISH", "off")
    async with running() as api:
        assert "CELERIAC_PUBLISH=on" in await refused(api, SKOPS, 403, "models_read_only")


async def test_code_needs_a_scope_of_its_own(configured: pytest.MonkeyPatch, models: Path) -> None:
    _, operator = await bootstrap(role="operator")
    _, admin = await bootstrap(role="admin")
    async with secured(configured) as api:
        for content in (CODE, pickled(), saved("pickle")):
            detail = await refused(api, content, 403, "scope_missing", **bearer(operator))
            assert "models:pickle" in detail
        detail = await refused(api, SKOPS, 403, "scope_missing", f"{PATH}?format=joblib", **bearer(operator))
        assert "models:pickle" in detail
        assert nothing_is_left(models)
        for key, content in (
            (operator, SKOPS),
            (admin, CODE),
            (admin, pickled()),
            (operator, saved("frame")),
            (admin, saved("cloudpickle")),
        ):
            response = await api.post(PATH, content=content, headers=TYPE | bearer(key))
            assert response.status_code == 201, response.text
        [newest, *_] = (await api.get("/v1/audit?action=model.published", headers=bearer(admin))).json()["items"]
        assert (newest["actor"]["type"], newest["targets"]) == ("key", [{"type": "model", "id": "churn@5"}])


@pytest.mark.extended
async def test_a_key_publishes_only_what_its_globs_allow(configured: pytest.MonkeyPatch, models: Path) -> None:
    _, text = await bootstrap(role="operator", models=["churn"], pools=["gpu"])
    async with secured(configured) as api:
        assert "'other'" in await refused(api, SKOPS, 403, "key_restricted", "/v1/models/other/versions", **bearer(text))
        assert "pool 'default'" in await refused(api, SKOPS, 403, "key_restricted", **bearer(text))
    assert nothing_is_left(models)


@pytest.mark.extended
async def test_code_without_a_key_is_accepted_on_this_machine_only(configured: pytest.MonkeyPatch, models: Path) -> None:
    configured.setenv("CELERIAC_API_HOST", "0.0.0.0")
    async with running() as api:
        assert "CELERIAC_AUTH=keys" in await refused(api, CODE, 403, "scope_missing")
        assert (await api.post(PATH, content=SKOPS, headers=TYPE)).status_code == 201


async def test_an_alias_moves(api: httpx.AsyncClient, models: Path) -> None:
    for _ in range(2):
        assert (await api.post(PATH, content=SKOPS, headers=TYPE)).status_code == 201
    response = await api.put("/v1/models/churn/aliases/production", json={"version": "1"})
    assert (response.status_code, response.json()["state"], response.json()["before"]) == (200, "pending", None)
    unknown = await api.put("/v1/models/churn/aliases/production", json={"version": "9"})
    assert (unknown.status_code, unknown.json()["code"]) == (404, "version_not_found")
    invalid = await api.put("/v1/models/churn/aliases/Production", json={"version": "1"})
    assert (invalid.status_code, invalid.json()["code"]) == (422, "invalid_input")
