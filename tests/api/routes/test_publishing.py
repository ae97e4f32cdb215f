"""Models come from uploads of versions, which need a scope of their own, and from no other operation."""

from __future__ import annotations

import base64
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.api.conftest import running

pytestmark = pytest.mark.slow

UPLOADS = {
    "POST /v1/files": {"multipart/form-data"},
    "POST /v1/jobs/table": {
        "application/jsonl", "application/octet-stream", "application/vnd.apache.parquet", "application/x-ndjson", "text/csv",
    },
    "POST /v1/models/{name}/versions": {"application/gzip", "application/x-tar"},
    "POST /invocations": {"text/csv"},
    "POST /models/{name}/invocations": {"text/csv"},
    "POST /v2/models/{name}/infer": {"application/octet-stream"},
    "POST /v2/models/{name}/versions/{version}/infer": {"application/octet-stream"},
    "POST /v1/feedback": {"application/jsonl", "application/x-ndjson"},
    "POST /v1/models/{name}:predict": {"application/cloudevents+json"},
    "POST /v1/models/{name}/versions/{version}:predict": {"application/cloudevents+json"},
}  # fmt: skip
"""The operations that take something else than JSON: files for batches and trainings, rows, and versions."""
PICKLE = base64.b64encode(b"\x80\x04.").decode()


def content(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


@pytest.mark.parametrize(
    "parameters",
    [
        {"file:1/model.joblib": PICKLE},
        {"file:1/model.py": PICKLE, "config": "{}"},
        {"config": '{"backend": "python"}'},
        {"path": "https://example.com/model.joblib"},
    ],
    ids=str,
)
async def test_a_load_request_cannot_bring_a_model(
    configured: pytest.MonkeyPatch, sample_models: Path, tmp_path: Path, parameters: dict[str, Any]
) -> None:
    models = tmp_path / "models"
    shutil.copytree(sample_models, models)
    configured.setenv("CELERIAC_MODELS", str(models))
    async with running() as api:
        before = content(models)
        for name in ("wine", "new"):
            response = await api.post(f"/v2/repository/models/{name}/load", json={"parameters": parameters})
            assert (response.status_code, response.json()["code"]) == (422, "unknown_field")
            assert "Publish models to the repository" in response.json()["error"]
        assert content(models) == before


async def test_no_other_operation_takes_a_file(api: httpx.AsyncClient) -> None:
    document = (await api.get("/openapi.json")).json()
    taken = {
        f"{method.upper()} {path}": set(operation["requestBody"]["content"]) - {"application/json"}
        for path, operations in document["paths"].items()
        for method, operation in operations.items()
        if "requestBody" in operation
    }
    assert {operation: types for operation, types in taken.items() if types} == UPLOADS


async def test_the_api_has_one_method_that_writes_a_version(api: httpx.AsyncClient) -> None:
    """A version can also be read and deleted, loaded and unloaded, its alias moved, and its model paused and resumed."""
    paths = (await api.get("/openapi.json")).json()["paths"]
    writing = {
        f"{method.upper()} {path}"
        for path, operations in paths.items()
        for method in operations
        if method != "get" and path.startswith(("/v1/models", "/v2/models", "/v2/repository"))
    }
    assert writing == {
        "DELETE /v1/models/{name}/versions/{version}",
        "POST /v1/models/{name}/pause",
        "POST /v1/models/{name}/versions",
        "DELETE /v1/models/{name}/captures",
        "POST /v1/models/{name}/replays",
        "PUT /v1/models/{name}/aliases/{alias}",
        "PUT /v1/models/{name}/aliases/{alias}/rollout",
        "DELETE /v1/models/{name}/aliases/{alias}/rollout",
        "PUT /v1/models/{name}/aliases/{alias}/shadow",
        "DELETE /v1/models/{name}/aliases/{alias}/shadow",
        "POST /v1/models/{name}/resume",
        "POST /v1/models/{name}:predict",
        "POST /v1/models/{name}/versions/{version}:predict",
        "POST /v2/models/{name}/infer",
        "POST /v2/models/{name}/versions/{version}/infer",
        "POST /v2/repository/index",
        "POST /v2/repository/models/{name}/load",
        "POST /v2/repository/models/{name}/unload",
    }
