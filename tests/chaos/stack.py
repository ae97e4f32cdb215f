"""The platform under test: a Redis with AOF, API processes and workers, on free ports of this machine, in a folder of its own."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections import Counter
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final

import redis.asyncio
from redis.exceptions import RedisError

from app.broker import names
from app.cli import redis_server
from app.cli.ports import free_port
from app.store import keys, usage
from tests import tools
from tests.chaos.asking import KEYS_FILE, ask
from tests.chaos.processes import Process
from tests.chaos.wire import Wire

ROOT: Final = Path(__file__).parents[2]


class Stack:
    """`cuts` names the safety nets that its processes run without."""

    def __init__(self, folder: Path, cuts: Sequence[str] = ()) -> None:
        self.folder = folder
        self.models = folder / "models"
        (folder / "keys.yaml").write_text(KEYS_FILE)
        self._cuts = list(cuts)
        self._made = 0
        self._corrected = 0
        self.redis_port = free_port()
        self.client = redis.asyncio.Redis(port=self.redis_port, socket_timeout=2, socket_connect_timeout=2)
        self.redis = Process("redis", self._redis_command(), dict(os.environ), folder / "redis.log", self._redis_ready)
        self.apis: list[Process] = []
        self.workers: list[Process] = []
        self.urls: list[str] = []
        self.wire = Wire(self.redis_port)
        self.wired = False
        """Do new processes reach Redis through the wire?"""

    async def scale(self, apis: int, workers: int) -> None:
        """Starts what is missing or dead, ends what is too much, and waits until all are ready."""
        if not self.redis.alive:
            self.redis.start()
        await self.redis.wait_ready()
        for process in self.apis[apis:] + self.workers[workers:]:
            await self._end(process)
        del self.apis[apis:], self.urls[apis:], self.workers[workers:]
        while len(self.apis) < apis:
            port = free_port()
            self.urls.append(f"http://127.0.0.1:{port}")
            self.apis.append(self._process("api", CELERIAC_API_PORT=str(port)))
        while len(self.workers) < workers:
            self.workers.append(self._process("worker", CELERIAC_WORKER_PORT=str(free_port())))
        for process in self.apis + self.workers:
            if not process.alive:
                await process.kill()  # what a dead main process left behind
                process.start()
        await asyncio.gather(*(process.wait_ready() for process in self.apis + self.workers))

    async def submits(self, jobs: Sequence[str]) -> Counter[bytes]:
        """How many of these jobs Redis took at the same moment: they went into the queue in one message."""
        async with self.client.pipeline(transaction=False) as pipe:
            for job in jobs:
                pipe.hget(keys.job(job), "created_at")
            return Counter(await pipe.execute())

    async def backlog(self) -> int:
        """How many deliveries stay in the backlog although no job waits any more. The sweep has ten seconds to find them."""
        left = 0
        for _ in range(100):
            left = await self.client.hlen(keys.backlog(names.interactive("default")))
            if not left:
                break
            await asyncio.sleep(0.1)
        return left

    async def drift(self) -> int:
        """How many open jobs differed from the records since the last call: those found now, and those that the sweeps of living API processes corrected."""
        found = sum((await usage.sweep(self.client, 0)).values())
        corrected = 0.0
        for url in self.urls:
            with suppress(OSError):
                lines = (await ask("GET", f"{url}/metrics", seconds=5)).body.splitlines()
                corrected += sum(float(line.split()[-1]) for line in lines if line.startswith(b"celeriac_owner_usage_drift_total{"))
        found += max(0, int(corrected) - self._corrected)
        self._corrected = int(corrected)
        return found

    async def close(self) -> None:
        for process in [*self.apis, *self.workers, self.redis]:
            process.signal_all(signal.SIGCONT)
            await process.kill()
        await self.wire.close()
        await self.client.aclose()

    async def _end(self, process: Process) -> None:
        process.signal_all(signal.SIGCONT)
        process.signal(signal.SIGTERM)
        with suppress(TimeoutError):
            await process.gone(20)
        await process.kill()

    def _process(self, role: str, **environment: str) -> Process:
        self._made += 1
        name = f"{role}-{self._made}"
        chosen = {
            "CELERIAC_REDIS_URL": f"redis://127.0.0.1:{self.wire.port if self.wired else self.redis_port}/0",
            "CELERIAC_MODELS": str(self.models),
            "CELERIAC_STATE": str(self.folder / name),
            "CELERIAC_DRAIN_TIMEOUT_S": "15",
            "CELERIAC_AUTH": "keys",
            "CELERIAC_KEYS_FILE": str(self.folder / "keys.yaml"),
            # Open jobs are counted only if they have a limit.
            "CELERIAC_LIMIT_JOBS_OPEN": "1000000",
            # A busy machine must not decide about the lane of the only graph.
            "CELERIAC_DIRECT_MAX_MS": "1000",
            "CELERIAC_DIRECT_MAX_LAG_MS": "60000",
            "CELERIAC_DIRECT_STUCK_S": "2",
            # Threads of OpenBLAS in many processes on few cores would only wait for each other.
            "OMP_NUM_THREADS": "1",
            "OPENBLAS_NUM_THREADS": "1",
            **environment,
        }
        inherited = {key: value for key, value in os.environ.items() if not key.startswith("CELERIAC_")}
        command = [sys.executable, "-m", "tests.chaos.start", role, *self._cuts]
        port = next(value for key, value in environment.items() if key.endswith("PORT"))
        url = f"http://127.0.0.1:{port}/readyz"
        return Process(name, command, inherited | chosen | {"PYTHONPATH": str(ROOT)}, self.folder / f"{name}.log", lambda: _answers(url))

    async def _redis_ready(self) -> bool:
        try:
            return bool(await self.client.ping())
        except (RedisError, OSError):
            return False

    def _redis_command(self) -> list[str]:
        return redis_server.command(tools.redis_server(), self.redis_port, self.folder)


async def _answers(url: str) -> bool:
    try:
        return (await ask("GET", url, seconds=2)).status == 200
    except OSError:
        return False
