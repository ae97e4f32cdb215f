"""Versions that are removed through the API."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import httpx
import pytest

from app.registry.repository import Repository
from tests.api.conftest import running
from tests.registry.conftest import write

pytestmark = pytest.mark.slow


@pytest.fixture
async def api(configured: pytest.MonkeyPatch, tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    """Of an API with digits@1 to digits@3, and production at 2."""
    repository = Repository(tmp_path / "models")
    for _ in range(3):
        repository.publish("digits", write)
    repository.promote("digits", "production", "2")
    configured.setenv("CELERIAC_MODELS", str(repository.root))
    async with running() as found:
        yield found


async def versions(api: httpx.AsyncClient) -> list[str]:
    return [one["version"] for one in (await api.get("/v1/models/digits")).json()["versions"]]


async def test_a_version_is_removed(api: httpx.AsyncClient) -> None:
    answer = await api.delete("/v1/models/digits/versions/1")
    assert (answer.status_code, answer.json()) == (200, {"name": "digits", "version": "1", "state": "COLD"})
    assert await versions(api) == ["2", "3"]
    again = await api.delete("/v1/models/digits/versions/1")
    assert (again.status_code, again.json()["code"]) == (404, "version_not_found")
    asked = await api.post("/v1/jobs", json={"model": "digits@1", "inputs": [[0, 0]]})
    assert (asked.status_code, asked.json()["code"]) == (404, "version_not_found")


async def test_another_version_may_have_its_number(api: httpx.AsyncClient, tmp_path: Path) -> None:
    await api.delete("/v1/models/digits/versions/1")
    published = Repository(tmp_path / "models").publish("digits", write, version="1")
    assert (await api.get("/v1/models/digits/versions/1")).json()["created_at"] == published.created_at


@pytest.mark.parametrize(
    ("version", "status", "reported"),
    [
        ("2", 409, "digits@2 is 'production'. Promote another version to that alias first."),
        ("3", 409, "digits@3 is the newest version, which cannot be removed. Publish another version first."),
        ("production", 422, "'production' is an alias. Name the version itself, for example 3."),
        ("9", 404, "'digits' has no version or alias '9'; it has 1, 2, 3, production."),
    ],
)
async def test_a_version_that_cannot_be_deleted_says_why(api: httpx.AsyncClient, version: str, status: int, reported: str) -> None:
    answer = await api.delete(f"/v1/models/digits/versions/{version}")
    assert (answer.status_code, answer.json()["detail"]) == (status, reported)
    assert await versions(api) == ["1", "2", "3"]


async def test_a_version_that_a_schedule_names_stays(api: httpx.AsyncClient) -> None:
    gate = {"r2": {"not_worse_than": "1"}}
    run = {"training": {"trainer": "ridge", "dataset": "a.csv", "target": "y", "model": "digits", "promote_if": gate}}
    assert (await api.post("/v1/schedules", json={"name": "nightly", "every_s": 3600, "run": run})).status_code == 201
    answer = await api.delete("/v1/models/digits/versions/1")
    assert answer.status_code == 409
    assert "digits@1 is used by the schedule 'nightly'" in answer.json()["detail"]


async def test_a_repository_that_cannot_be_written_is_reported(api: httpx.AsyncClient, tmp_path: Path) -> None:
    lock = tmp_path / "models" / "digits" / ".aliases.json.lock"
    lock.unlink()
    lock.mkdir()  # root may write what it likes, but not open a folder for writing
    answer = await api.delete("/v1/models/digits/versions/1")
    assert (answer.status_code, answer.json()["code"]) == (403, "models_read_only")
    assert "Run `celeriac models prune` where it can be written" in answer.json()["detail"]
    assert await versions(api) == ["1", "2", "3"]
