"""What every test may use: a real Redis server that the run itself started, and a repository with the sample models."""

from __future__ import annotations

import functools
import os
from collections.abc import Generator, Iterator
from pathlib import Path
from typing import Any

import coverage
import hypothesis
import pytest
import redis
from httpx._config import DEFAULT_TIMEOUT_CONFIG
from httpx._transports import default as transports
from xdist.scheduler import LoadFileScheduling

from app.cli import redis_server as servers
from app.runtime import threads
from tests import tools
from tests.sharing import made_once

# The processes of a run share the cores, where threads that wait for each other actively take all of the time.
threads.start_none()
NEED_AN_INSTALLATION = {f"tests/system/test_{name}.py" for name in ("commands", "how_to", "laptop", "readme", "up")}
pytest_plugins = ["tests.running", "tests.disks"]

# How long an example takes says how busy the machine is, and nothing of the code.
hypothesis.settings.register_profile("untimed", deadline=None, suppress_health_check=[hypothesis.HealthCheck.too_slow])
hypothesis.settings.load_profile("untimed")
# For a run that decides about a change: the same examples each time. The weekly run draws others.
hypothesis.settings.register_profile("repeatable", hypothesis.settings.get_profile("untimed"), derandomize=True)


# Nor does how long an answer of a server takes.
for waits_for in ("connect", "read", "write", "pool"):
    setattr(DEFAULT_TIMEOUT_CONFIG, waits_for, 60.0)

# Each client of httpx reads the certificate authorities, which takes 60 ms of CPU. Tests that wait make one every 50 ms.
transports.create_ssl_context = functools.cache(transports.create_ssl_context)  # type: ignore[attr-defined]


class OneInstallation(LoadFileScheduling):  # type: ignore[misc]
    """Gives each file of tests to one process, and one process all files that need an installation: it is large even when it is idle.

    Those come first, and then the other tests of a running system: they take the longest, and the other processes would wait for them at
    the end.
    """

    def _split_scope(self, nodeid: str) -> str:
        file = super()._split_scope(nodeid)
        return "installation" if file in NEED_AN_INSTALLATION else file

    def _assign_work_unit(self, node: Any) -> None:
        long = [scope for scope in self.workqueue if scope.startswith(("installation", "tests/system/"))]
        if long:
            self.workqueue.move_to_end(min(long), last=False)
        super()._assign_work_unit(node)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> OneInstallation:
    return OneInstallation(config, log)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish(session: pytest.Session) -> None:
    """Save what was covered now: xdist kills a process that takes long to end."""
    measurement = coverage.Coverage.current()
    if measurement is not None and hasattr(session.config, "workerinput"):
        measurement.stop()
        measurement.save()


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server of this run's own, on a free port. Tests share it: use `redis_url` to find it empty."""
    server = tools.redis_server()
    with servers.running(server, tmp_path_factory.mktemp("redis")) as url:
        yield url


@pytest.fixture
def redis_url(redis_server: str) -> str:
    """The URL of an empty Redis."""
    with redis.Redis.from_url(redis_server) as client:
        client.flushall()
    return redis_server


@pytest.fixture(scope="session")
def sample_models(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with the four sample models. Read only: it is the same for every test."""
    from app.registry.repository import Repository
    from app.samples.models import publish_samples

    return made_once(tmp_path_factory, "sample-models", lambda folder: publish_samples(Repository(folder)))


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[Any]) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """In CI a skipped test is a failed one: what nobody sees is not tested."""
    report = yield
    if report.skipped and os.environ.get("CI") and not hasattr(report, "wasxfail"):
        report.outcome = "failed"
        report.longrepr = f"skipped, which CI does not allow: {report.longrepr}"
    return report
