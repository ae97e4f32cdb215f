"""The systems that are compared: how each is started, and how it is asked."""

from __future__ import annotations

import contextlib
import json
import os
import sys
import time
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import redis

from app.broker import names
from app.cli import redis_server
from app.store import keys
from tests.bench.artefacts import Artefacts
from tests.bench.load import Exchange
from tests.bench.processes import Process, Usage, answers, free_port, until

ROOT: Final = Path(__file__).parents[2]
_BODIES: Final = 64
# One thread in each process of each system: on few cores more of them only stand in each other's way.
ONE_THREAD: Final = dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "LOKY_MAX_CPU_COUNT"), "1")


class System(ABC):
    """One way to serve the models, on ports of its own. `folder` is its own: logs, state, Redis' files."""

    name: str

    def __init__(self, artefacts: Artefacts, folder: Path) -> None:
        self.artefacts = artefacts
        self.folder = folder
        self.url = f"http://127.0.0.1:{free_port()}"
        self.processes: dict[str, Process] = {}
        self.started_s = 0.0

    def start(self) -> None:
        """Until it answers; `started_s` is how long that took. Raises Trouble."""
        self.folder.mkdir(parents=True)
        began = time.monotonic()
        self.launch()
        self.started_s = time.monotonic() - began

    @abstractmethod
    def launch(self) -> None: ...

    @abstractmethod
    def predict(self, model: str) -> Exchange: ...

    def run(self, name: str, *command: str | Path, env: Mapping[str, str] | None = None, cwd: Path = ROOT) -> Process:
        known = {**ONE_THREAD, "MODELS": str(self.artefacts.folder), **(env or {})}
        found = Process(f"{name} of {self.name}", command, log=self.folder / f"{name}.log", env=known, cwd=cwd)
        self.processes[name] = found
        return found

    def usage(self, *names: str) -> Usage:
        """Of these processes, or of all but Redis."""
        parts = [self.processes[name].usage() for name in names or self.processes if names or name != "redis"]
        return Usage(sum(part.cpu_s for part in parts), sum(part.memory for part in parts))

    @contextlib.contextmanager
    def at_work(self) -> Iterator[None]:
        """While it is asked; what polls at other times is held, so as not to disturb."""
        yield

    def stop(self) -> None:
        for name in reversed(list(self.processes)):
            self.processes.pop(name).stop()

    def bodies(self, shape: str, **more: object) -> list[str]:
        """JSON texts, a row each: `shape` names the field of the row."""
        return [json.dumps({**more, shape: row}, separators=(",", ":")) for row in self.artefacts.rows[:_BODIES]]

    def tensors(self) -> list[str]:
        """The same as requests of the Open Inference Protocol."""
        return [
            json.dumps({"inputs": [{"name": "input", "shape": [1, len(row)], "datatype": "FP64", "data": row}]}, separators=(",", ":"))
            for row in self.artefacts.rows[:_BODIES]
        ]


class Queued(System):
    """One that takes jobs: it has a Redis of its own, an API and a worker that can be stopped."""

    redis_server: Path

    def launch(self) -> None:
        port = free_port()
        self.redis_url = f"redis://127.0.0.1:{port}/0"
        self.redis = redis.Redis.from_url(self.redis_url)
        self.run("redis", *redis_server.command(self.redis_server, port, self.folder)).wait(self._pings)
        self.start_worker(wait=False)
        self.start_api()
        self.wait_for_worker()

    def _pings(self) -> bool:
        try:
            return bool(self.redis.ping())
        except redis.RedisError:
            return False

    def commands(self) -> int:
        """Commands that Redis has executed so far, with those inside scripts."""
        stats: Any = self.redis.info("commandstats")
        return sum(command["calls"] for command in stats.values())

    def start_worker(self, *, wait: bool = True) -> None:
        self.launch_worker()
        if wait:
            self.wait_for_worker()

    @abstractmethod
    def launch_worker(self) -> None: ...

    @abstractmethod
    def wait_for_worker(self) -> None: ...

    @abstractmethod
    def start_api(self) -> None: ...

    @abstractmethod
    def submit(self, model: str) -> Exchange: ...

    @abstractmethod
    def left(self) -> int:
        """Jobs (or deliveries) that have not ended."""

    def empty(self) -> None:
        """Until nothing is left."""
        until(lambda: self.left() == 0, f"the queue of {self.name} is empty", 300)

    def stop_worker(self) -> None:
        self.processes.pop("worker").stop()


class Ours(Queued):
    """Celeriac from a checkout; `settings` are more of its environment, as `{"API_PROCESSES": "2"}`."""

    name = "ours"
    checkout = ROOT
    settings: Mapping[str, str] = {}
    headers: Mapping[str, str] = {}
    """What each request carries besides its media type."""

    @property
    def models(self) -> Path:
        return self.artefacts.folder

    def launch(self) -> None:
        self.worker_url = f"http://127.0.0.1:{free_port()}"
        super().launch()

    def serve(self, process: str, *, label: str = "", **more: str) -> Process:
        """The API or a worker, known as `label`; `more` settings as in `settings`."""
        env = {
            "REDIS_URL": self.redis_url, "MODELS": str(self.models), "STATE": str(self.folder / "state"),
            "API_PORT": self.url.rpartition(":")[2], "WORKER_PORT": self.worker_url.rpartition(":")[2], "PROCESSES": str(os.cpu_count()),
            **self.settings, **more,
        }  # fmt: skip
        known = {f"CELERIAC_{name}": value for name, value in env.items()}
        return self.run(label or process, sys.executable, "-m", "app", process, env=known, cwd=self.checkout)

    def launch_worker(self) -> None:
        self.serve("worker")

    def wait_for_worker(self) -> None:
        self.processes["worker"].wait(answers(f"{self.worker_url}/readyz"))

    def start_api(self) -> None:
        api = self.serve("api")
        for model in self.artefacts.labels:
            api.wait(answers(f"{self.url}/v2/models/{model}/ready", self.headers))

    def predict(self, model: str) -> Exchange:
        return self.exchange(f"/v2/models/{model}/infer", self.tensors(), model, r'"data":%[(%d+)%]')

    def submit(self, model: str) -> Exchange:
        bodies = [text.replace('"row":', '"inputs":[').replace("]}", "]]}") for text in self.bodies("row", model=model)]
        found = self.exchange("/v1/jobs", bodies, model, r'"result":%[(%d+)%]')
        return replace(found, address="/v1/jobs/", query="?wait=30", ended='"state":"succeeded"')

    def exchange(self, path: str, bodies: list[str], model: str, pick: str) -> Exchange:
        found = Exchange(self.url, path, bodies, self.artefacts.labels[model], pick)
        return replace(found, headers={**found.headers, **self.headers})

    def submit_and_wait(self, model: str) -> Exchange:
        """One request: the job is durable as any other, and its answer is held until it has ended."""
        return replace(self.submit(model), path="/v1/jobs?wait=30")

    def left(self) -> int:
        queue = names.interactive("default")
        return int(self.redis.zcard(keys.deliveries(queue))) + int(self.redis.hlen(keys.backlog(queue)))


class Compiled(Ours):
    """Ours with the same models published as ONNX. API processes predict with them, so there is one for each core."""

    name = "compiled"

    def serve(self, process: str, *, label: str = "", **more: str) -> Process:
        return super().serve(process, label=label, **{"API_PROCESSES": str(os.cpu_count()), **self.settings, **more})

    @property
    def models(self) -> Path:
        return self.artefacts.compiled


class Before(Ours):
    """Ours from another checkout, to see what a change is worth."""

    name = "before"


class Plain(Queued):
    """FastAPI, `.delay()`, Celery prefork with a process a core, Redis as result backend, polls every 50 ms."""

    name = "plain"

    def environment(self) -> dict[str, str]:
        """Of a program that calls its tasks."""
        return {**os.environ, **ONE_THREAD, "MODELS": str(self.artefacts.folder), "REDIS": self.redis_url}

    def launch_worker(self) -> None:
        command = f"-m celery -A tests.bench.servers.plain worker -c {os.cpu_count()} -l warning".split()
        self.run("worker", sys.executable, *command, env=self.environment())

    def wait_for_worker(self) -> None:
        self.processes["worker"].wait(self._consumes)

    def _consumes(self) -> bool:
        return any(client["cmd"] == "brpop" for client in self.redis.client_list())

    def start_api(self) -> None:
        _uvicorn(self, "plain", 1, self.environment())

    def predict(self, model: str) -> Exchange:
        raise NotImplementedError("the plain stack answers nothing at once")

    def submit(self, model: str) -> Exchange:
        return Exchange(
            self.url, "/jobs", self.bodies("row", model=model), self.artefacts.labels[model], r'"data":%[(%d+)%]', "/jobs/",
            pause_ms=50, ended='"state":"SUCCESS"',
        )  # fmt: skip

    def left(self) -> int:
        return int(self.redis.llen("celery")) + int(self.redis.hlen("unacked"))

    def empty(self) -> None:
        self.redis.delete("celery")
        super().empty()


class Inline(System):
    """FastAPI that predicts in the request."""

    name = "inline"
    workers = 1

    def launch(self) -> None:
        _uvicorn(self, "inline", self.workers, {})

    def predict(self, model: str) -> Exchange:
        return Exchange(self.url, f"/{model}", self.bodies("row"), self.artefacts.labels[model], r'"data":%[(%d+)%]')


class InlineTwo(Inline):
    """The same in two processes."""

    name = "inline ×2"
    workers = 2


def _uvicorn(system: System, module: str, workers: int, env: Mapping[str, str]) -> None:
    port = system.url.rpartition(":")[2]
    command = f"-m uvicorn tests.bench.servers.{module}:api --port {port} --workers {workers} --log-level warning --no-access-log".split()
    system.run("api", sys.executable, *command, env=env).wait(answers(f"{system.url}/docs"))
