"""The stack that `celeriac up` runs: its processes, ports and order, and what is shown when all are ready."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Final

import httpx
from celeriac_cli import show
from celeriac_cli.address import local
from celeriac_cli.errors import CLIError, Exit
from redis.exceptions import RedisError
from rich.panel import Panel

from app.cli import keys, lock, redis_server, samples
from app.cli.ports import check_distinct, claim, free_port
from app.cli.program import PYTHON, Program, ReadinessCheck, python_path
from app.cli.supervisor import Supervisor
from app.core.special_addresses import is_loopback
from app.registry.opening import open_repository
from app.registry.repository import Repository
from app.settings import Settings, address
from app.store.redis import health
from app.store.redis.ping import ping
from app.store.redis.url import Address

_COLORS: Final = {"up": 96, "redis": 90, "flower": 35, "models": 36, "worker": 33, "training": 34, "beat": 95, "api": 32}
_WIDTH: Final = max(map(len, _COLORS))


class DevStack:
    """Everything that one `celeriac up` runs on this machine."""

    def __init__(self, settings: Settings, *, samples: bool, training: bool, beat: bool, started: float) -> None:
        """Start nothing yet. `started` is the monotonic time at which the command began."""
        self._settings = settings
        self._samples = samples
        self._training = training
        self._beat = beat
        self._started = started
        self._color = sys.stdout.isatty() if settings.log_color is None else settings.log_color

    async def run(self) -> None:
        """Run until SIGINT or SIGTERM. Raises CLIError if a port, a folder or Redis does not allow it."""
        settings = self._settings
        # The lock comes first: beside a running `up` the ports are taken too, which explains less.
        with lock.held(settings.state) as publish:
            _check_protected(settings)
            repository = open_repository(settings)
            repository.refresh()
            _check_writable(repository.root)
            check_distinct(
                {
                    "CELERIAC_API_PORT": (settings.api_host, settings.api_port),
                    "CELERIAC_FLOWER_PORT": (settings.flower_host, settings.flower_port),
                    "CELERIAC_WORKER_PORT": (settings.worker_host, settings.worker_port),
                }
            )
            api = claim(settings.api_host, settings.api_port, "CELERIAC_API_PORT", "The API")
            flower = claim(settings.flower_host, settings.flower_port, "CELERIAC_FLOWER_PORT", "Flower")
            worker = claim(settings.worker_host, settings.worker_port, "CELERIAC_WORKER_PORT", "The worker")
            self._api, self._worker = local(settings.api_host, api), local(settings.worker_host, worker)
            self._flower = "/".join(filter(None, (local(settings.flower_host, flower), settings.flower_url_prefix.strip("/"))))
            redis_port = 0 if "redis_url" in settings.model_fields_set else free_port()
            self._redis_url = f"redis://127.0.0.1:{redis_port}/0" if redis_port else settings.redis_url.get_secret_value()
            self._environment = {
                "PYTHONPATH": python_path(),
                "CELERIAC_REDIS_URL": self._redis_url,
                "CELERIAC_API_PORT": str(api),
                "CELERIAC_FLOWER_PORT": str(flower),
                "CELERIAC_WORKER_PORT": str(worker),
                "CELERIAC_FILES": address(settings.files or settings.state / "files"),
                "CELERIAC_LOG_COLOR": str(self._color).lower(),
            }
            if not redis_port:
                health.accept(health.inspect(Address.of(settings)))
            publish(
                {
                    "url": self._api,
                    "flower_url": self._flower,
                    "worker_url": self._worker,
                    "redis_url": self._redis_url,
                    "models": settings.models_address,
                }
            )
            self._supervisor = Supervisor(self._show, notice=self._notice, restarts=settings.max_restarts)
            await self._supervisor.run(self._work(redis_port, repository))

    async def _work(self, redis_port: int, repository: Repository) -> None:
        if redis_port:
            await self._supervisor.start(await self._redis(redis_port))
        # Flower needs no models: it starts while they are trained.
        _, answers = await asyncio.gather(
            self._supervisor.start(self._ours("flower", f"{self._flower}/healthcheck")), self._first_answers(repository)
        )
        self._welcome(*answers)
        await asyncio.Event().wait()

    async def _first_answers(self, repository: Repository) -> tuple[dict[str, list[dict[str, Any]]], samples.Answers, float]:
        """The sample rows, their predictions, and the seconds since the start."""
        if self._samples and samples.missing(repository):
            self._show("models", "training the sample models (once, about ten seconds)")
            # In a separate process, whose end frees the memory of the training.
            await self._supervisor.finish(Program("models", (*PYTHON, "models", "samples", "--models", str(self._settings.models))))
        # Single predictions and chunks of batches share the worker, unless CELERIAC_SPARE_PROCESSES says otherwise.
        spare = self._settings.spare_processes if "spare_processes" in self._settings.model_fields_set else 1
        worker = self._ours("worker", f"{self._worker}/readyz", spare_processes=spare)
        await self._supervisor.start(worker, self._ours("api", f"{self._api}/readyz"))
        await self._supervisor.start(*self._more())
        await asyncio.to_thread(repository.refresh)
        rows = await asyncio.to_thread(samples.examples, repository) if self._samples else {}
        async with self._key() as key:
            answers = await samples.ask(self._api, rows, self._settings.start_timeout_s, key)
        for name, reason in answers.skipped.items():
            self._notice(f"the sample model {name} does not answer: {reason}")
        return rows, answers, time.monotonic() - self._started

    @asynccontextmanager
    async def _key(self) -> AsyncIterator[str]:
        """An API key for the first predictions, or an empty string if the API needs none."""
        if self._settings.auth == "none":
            yield ""
            return
        async with keys.temporary(self._redis_url, self._settings, 2 * self._settings.start_timeout_s) as key:
            yield key

    def _ours(self, name: str, ready: str, process: str = "", **settings: object) -> Program:
        # A worker may have to finish a long prediction.
        drain_s = self._settings.drain_timeout_s + 5
        environment = self._environment | {f"CELERIAC_{setting.upper()}": str(value) for setting, value in settings.items()}
        return Program(
            name,
            (*PYTHON, process or name),
            _answers(ready),
            environment,
            timeout_s=self._settings.start_timeout_s,
            drain_s=drain_s,
        )

    def _more(self) -> list[Program]:
        """The programs that only options start."""
        settings, programs = self._settings, list[Program]()
        if self._training:
            # A separate worker, so a training of an hour delays no prediction.
            port = free_port()
            ready, own = (
                f"{local(settings.worker_host, port)}/readyz",
                {"pool": settings.training_pool, "processes": 1, "worker_port": port},
            )
            programs.append(self._ours("training", ready, "worker", **own))
        if self._beat:
            port = free_port()
            programs.append(self._ours("beat", f"{local(settings.beat_host, port)}/readyz", beat_port=port))
        return programs

    async def _redis(self, port: int) -> Program:
        # In a thread, because a download takes a while and Ctrl-C must end it.
        server = await asyncio.to_thread(redis_server.find, self._settings.cache, lambda line: self._show("redis", line))
        folder = self._settings.state / "redis"
        folder.mkdir(parents=True, exist_ok=True)
        self._show("redis", f"{server}, on port {port}, data in {folder}")
        command = redis_server.command(server, port, folder.resolve())
        return Program("redis", command, _pings(redis_server.address(port)), format=redis_server.log_line)

    def _notice(self, line: str) -> None:
        self._show("up", f"\x1b[33m{line}\x1b[0m" if self._color else line)

    def _show(self, name: str, line: str) -> None:
        prefix = f"{name:<{_WIDTH}} │"
        sys.stdout.write(f"\x1b[{_COLORS[name]}m{prefix}\x1b[0m {line}\n" if self._color else f"{prefix} {line}\n")
        sys.stdout.flush()

    def _welcome(self, rows: dict[str, list[dict[str, Any]]], answered: samples.Answers, elapsed: float) -> None:
        console = show.out()
        answers = [
            (job["model"], job["version"], row["label"], predicted, f"{job['run_s'] * 1000:.1f}")
            for job in answered.jobs
            for row, predicted in zip(rows[job["model"]], job["result"], strict=True)
        ]
        if answers:
            columns = ("model", "version", "true", "predicted", "ms")
            console.print("\n[bold]Rows that no model was trained on, and what each answered[/]", show.table(columns, answers), sep="\n")
            console.print(f"\nThe first answers came {elapsed:.1f} s after the start.")
        urls = {"API": f"{self._api}/docs", "Flower": self._flower, "Metrics": f"{self._api}/metrics, {self._worker}/metrics"}
        if self._settings.console == "on":
            urls = {"Console": f"{self._api}/console/", **urls}
        console.print(Panel.fit("\n".join(f"{what:<8} {url}" for what, url in urls.items())))
        if answered.jobs:
            name = min((job["model"] for job in answered.jobs), key=lambda name: len(json.dumps(rows[name][0])))
            sys.stdout.write(f"\n{_curl(self._api, name, rows[name][0]['input'], with_key=self._settings.auth != 'none')}\n")
        if self._settings.auth == "none":
            console.print("\nThe API needs no key, because it listens on this machine only.")
        else:
            console.print("\nThe API needs a key. `celeriac keys bootstrap` creates the first one; CELERIAC_API_KEY passes it on.")
        console.print("\nCtrl-C stops all of it.\n")


def _curl(url: str, name: str, row: Any, *, with_key: bool) -> str:
    body = json.dumps({"model": f"{name}@production", "inputs": [row]})
    line = shlex.join(["curl", "-s", f"{url}/v1/jobs?wait=10", "-H", "content-type: application/json", "-d", body])
    return f'{line} -H "authorization: Bearer $CELERIAC_API_KEY"' if with_key else line


def _check_protected(settings: Settings) -> None:
    """Raise CLIError if other machines could use the API without a key."""
    if settings.auth == "none" and not is_loopback(settings.api_host):
        raise CLIError(
            f"CELERIAC_API_HOST is {settings.api_host}, and everybody who reaches the API could use it without a key. Set CELERIAC_AUTH=keys "
            "and create a key with `celeriac keys bootstrap`, or set CELERIAC_API_HOST=127.0.0.1.",
            Exit.REFUSED,
        )


def _check_writable(models: Path) -> None:
    try:
        models.mkdir(parents=True, exist_ok=True)
        probe = models / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        message = f"{models} cannot be written ({error.strerror}). Allow it, or set CELERIAC_MODELS to another folder."
        raise CLIError(message, Exit.REFUSED) from None


def _answers(url: str) -> ReadinessCheck:
    # One client for every check, because a client takes 60 ms of CPU to read the certificate authorities. It keeps no connection.
    http = httpx.AsyncClient(timeout=5, limits=httpx.Limits(max_keepalive_connections=0))

    async def check() -> str | None:
        try:
            response = await http.get(url)
        except httpx.HTTPError as error:
            return f"{url} does not answer yet ({type(error).__name__})"
        return None if response.is_success else _reason(response)

    return check


def _reason(response: httpx.Response) -> str:
    """The detail of a readiness response, for example which models are still loading; otherwise the response itself."""
    try:
        return str(response.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{response.url} answers {response.status_code}: {response.text[:200]}"


def _pings(address: Address) -> ReadinessCheck:
    async def check() -> str | None:
        try:
            await asyncio.to_thread(ping, address)
        except RedisError as error:
            return f"Redis does not answer ({error})"
        return None

    return check
