"""Valkey in the place of Redis: what goes through each of the scripts, once."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import Any

import httpx
import numpy as np
import pytest

from app.cli import redis_server as servers
from app.registry.repository import Repository
from app.runtime.publishing import publish
from tests import tools
from tests.misbehaving import RAISE, Moody
from tests.running import ROOT, Running, wait_until_ready

pytestmark = pytest.mark.extended


@pytest.fixture(scope="module")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    folder = tmp_path_factory.mktemp("valkey")
    publish(Repository(folder / "models"), Moody(), "moody", sample=np.zeros((3, 2)), format="joblib")
    with servers.running(tools.valkey_server(), folder) as url:
        own = {"MODELS": folder / "models", "REDIS_URL": url, "STATE": folder}
        environment = os.environ | {"PYTHONPATH": str(ROOT)} | {f"CELERIAC_{name}": str(value) for name, value in own.items()}
        here = Running("", folder / "models", url, environment, folder)
        with here.process("worker"), here.process("api") as (_, api):
            wait_until_ready(f"{api}/v2/models/moody/ready")
            yield Running(api, here.models, url, environment, folder)


def test_it_is_called_by_its_name(platform: Running) -> None:
    assert "is Valkey " in "".join(path.read_text() for path in platform.folder.glob("api-*.log"))


def test_jobs_pass_fail_and_are_cancelled(platform: Running) -> None:
    with httpx.Client(base_url=platform.url, timeout=30) as http:

        def job(mood: float, query: str = "") -> dict[str, Any]:
            found: dict[str, Any] = http.post(f"/v1/jobs{query}", json={"model": "moody", "inputs": [[mood, 1]]}).json()
            return found

        passed, failed = job(0, "?wait=20"), job(RAISE, "?wait=20")
        assert (passed["state"], passed["result"]) == ("succeeded", [1.0])
        assert http.get(f"/v1/jobs/{passed['id']}/events").text.startswith("id:")
        assert [letter["id"] for letter in http.get("/v1/dead-letters").json()["items"]] == [failed["id"]]
        assert http.delete(f"/v1/jobs/{job(0)['id']}").json()["state"] in ("cancelled", "succeeded")
        row = {"name": "input", "shape": [1, 2], "datatype": "FP64", "data": [0, 3]}
        assert http.post("/v2/models/moody/infer", json={"inputs": [row]}).json()["outputs"][0]["data"] == [3.0]
