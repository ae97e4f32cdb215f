"""What is wrong with the files of one model costs no other model anything."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from app.registry.repository import Repository
from app.settings import settings
from app.store.serving import Serving
from app.worker.models import Wanted
from tests.api.conftest import running, until

pytestmark = pytest.mark.slow

BROKEN = {
    "brackets": b"[" * 200_000,
    "nested object": b'{"a":' * 100_000,
    "no UTF-8": b"\xff\xfe\x00",
    "a number": b"7",
    "null": b"null",
    "an empty object": b"{}",
    "wrong types": b'{"name": 1, "inputs": [[]], "outputs": {"a": null}, "batch": 7}',
    "huge number": b'{"created_at": 1e999, "memory_limit_mb": ' + b"9" * 5000 + b"}",
    "nothing": b"",
}


@pytest.mark.parametrize("file", ["model.json", "aliases.json"])
@pytest.mark.parametrize("content", BROKEN.values(), ids=BROKEN)
async def test_a_broken_file_does_not_hide_models_that_are_published_later(
    configured: pytest.MonkeyPatch, sample_models: Path, tmp_path: Path, content: bytes, file: str
) -> None:
    models = tmp_path / "models"
    shutil.copytree(sample_models / "digits", models / "digits")
    broken = models / "digits" / ("1/model.json" if file == "model.json" else file)
    broken.write_bytes(content)
    configured.setenv("CELERIAC_MODELS", str(models))
    settings.cache_clear()
    async with running() as api:
        digits = (await api.get("/v1/models/digits")).json()
        if file == "model.json":
            [version] = digits["versions"]
            assert version["state"] == "UNAVAILABLE"
            assert "model.json" in version["reason"]
        shutil.copytree(sample_models / "wine", models / "wine")

        async def published() -> bool:
            return (await api.get("/v1/models/wine")).status_code == 200

        await until(published, "the model that was published later is there")
        ready = await api.get("/readyz")
        assert ready.status_code == 200
        shutil.copyfile(sample_models / "digits" / "1" / "model.json", models / "digits" / "1" / "model.json")

        async def mended() -> bool:
            return bool((await api.get("/v1/models/digits")).json()["versions"][0]["state"] != "UNAVAILABLE")

        await until(mended, "the model whose file was mended is there")
    wanted = Wanted.look(Repository(models), frozenset(), Serving())
    assert ("wine", "1") in wanted.keys


def test_a_worker_keeps_what_it_holds_of_a_model_whose_aliases_cannot_be_read(sample_models: Path, tmp_path: Path) -> None:
    shutil.copytree(sample_models, tmp_path / "models")
    (tmp_path / "models" / "digits" / "aliases.json").write_text(json.dumps(["production"]))
    wanted = Wanted.look(Repository(tmp_path / "models"), frozenset(), Serving())
    assert wanted.unreadable == {"digits"}
    assert ("wine", "1") in wanted.keys
