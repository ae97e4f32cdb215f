"""The system as it runs: Redis, a worker and an API as processes of their own, and models of all manners."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import numpy as np
import pytest

from app.cli import redis_server as servers
from app.cli.parent_death import end_with_parent
from app.cli.ports import free_port
from app.registry.repository import Repository
from app.runtime.publishing import publish
from tests import tools
from tests.misbehaving import Moody

ROOT = Path(__file__).parents[1]
TIMEOUT_S = 180.0
MAX_BODY_BYTES = 200_000
MAX_FILE_BYTES = 20_000_000


@dataclass(frozen=True)
class Running:
    """`url` is the API's. `environment` is that of its processes: others that share its Redis and models start with it."""

    url: str
    models: Path
    redis_url: str
    environment: dict[str, str]
    folder: Path
    key_prefixes: set[str] = field(default_factory=set)
    """Of processes that shared its Redis under a prefix of their own."""

    @contextlib.contextmanager
    def process(self, room: str, module: str = "app", /, **environment: object) -> Iterator[tuple[subprocess.Popen[bytes], str]]:
        """Another API or worker, ended with SIGTERM after the block if it runs still; and its URL."""
        port = free_port()
        if "key_prefix" in environment:
            self.key_prefixes.add(f"{environment['key_prefix']}:")
        values = {f"CELERIAC_{name.upper()}": str(value) for name, value in environment.items()}
        line = [sys.executable, "-m", module, room]
        with (self.folder / f"{room}-{port}.log").open("wb") as log:
            process = subprocess.Popen(
                line,
                env=self.environment | {f"CELERIAC_{room.upper()}_PORT": str(port)} | values,
                cwd=ROOT,
                stdout=log,
                stderr=log,
                preexec_fn=end_with_parent,
            )
        url = f"http://127.0.0.1:{port}"
        try:
            wait_until_ready(f"{url}/readyz", process, Path(log.name))
            yield process, url
        finally:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
            process.wait(60)


def wait_until_ready(url: str, process: subprocess.Popen[bytes] | None = None, log: Path | None = None) -> None:
    end = time.monotonic() + TIMEOUT_S
    while True:
        with contextlib.suppress(httpx.TransportError):
            if httpx.get(url).status_code == 200:
                return
        if time.monotonic() > end or (process and process.poll() is not None):
            raise AssertionError(f"{url} does not get ready: {log.read_text()[-3000:] if log else ''}")
        time.sleep(0.05)  # another process sets no event of ours


@contextlib.contextmanager
def running_system(folder: Path, sample_models: Path, settings: dict[str, str]) -> Iterator[Running]:
    """A Redis of its own and an API. Processes of the system are started in the block."""
    models = folder / "models"
    shutil.copytree(sample_models, models)
    (folder / "tables").mkdir()
    publish(Repository(models), Moody(), "moody", sample=np.zeros((3, 2)), format="joblib", time_limit_s=20)
    with servers.running(tools.redis_server(), folder) as redis_url:
        environment = os.environ | {
            "PYTHONPATH": str(ROOT),
            "CELERIAC_REDIS_URL": redis_url,
            "CELERIAC_MODELS": str(models),
            "CELERIAC_STATE": str(folder / "state"),
            "CELERIAC_FILES": str(folder / "files"),
            "CELERIAC_MAX_FILE_BYTES": str(MAX_FILE_BYTES),
            "CELERIAC_FILE_ROOTS": str(folder / "tables"),
            "CELERIAC_FILE_SCHEMES": "memory",
            "CELERIAC_MAX_BATCH_REQUESTS": "100",
            "CELERIAC_MAX_BODY_BYTES": str(MAX_BODY_BYTES),
            "CELERIAC_SCAN_INTERVAL_S": "0.5",
            "CELERIAC_DRAIN_TIMEOUT_S": "10",
            **settings,
        }
        system = Running("", models, redis_url, environment, folder)
        with system.process("api") as (_, url):
            yield Running(url, models, redis_url, environment, folder)


@pytest.fixture(scope="session")
def running(sample_models: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Running]:
    """One for the whole run; its Redis is its own. Tests that stop or break something start processes of their own beside it."""
    with running_system(tmp_path_factory.mktemp("running"), sample_models, {}) as system, system.process("worker"):
        publish(Repository(system.models), Moody(), "orphan", sample=np.zeros((3, 2)), format="joblib", pool="nobody")
        wait_until_ready(f"{system.url}/v2/models/wine/ready")
        wait_until_ready(f"{system.url}/v2/models/moody/ready")
        wait_until_ready(f"{system.url}/v1/models/orphan")
        yield system
