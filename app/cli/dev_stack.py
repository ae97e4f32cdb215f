"""What `up` runs: which processes, on which ports, in which order, and what it shows when they are ready."""

from __future__ import annotations

import asyncio
import json
import shlex
import sys
import time
from pathlib import Path
from typing import Any, Final

import httpx
import redis.asyncio
from celeriac_cli import show
from celeriac_cli.address import local
from celeriac_cli.errors import CLIError, Exit
from rich.panel import Panel

from app.cli import lock, redis_server, samples
from app.cli.ports import claim, free_port
from app.cli.program import PYTHON, Probe, Program, python_path
from app.cli.supervisor import Supervisor
from app.settings import Settings
from app.store import server
from app.store.address import Address

_COLOURS: Final = {"up": 96, "redis": 90, "flower": 35, "models": 36, "worker": 33, "training": 34, "beat": 95, "api": 32}
_WIDTH: Final = max(map(len, _COLOURS))


class DevStack:
    """All that runs on this machine under one `up`."""

    def __init__(self, known: Settings, *, samples: bool, training: bool, beat: bool, started: float) -> None:
        self._known = known
        self._samples = samples
        self._training = training
        self._beat = beat
        self._started = started
        self._colour = sys.stdout.isatty() if known.log_color is None else known.log_color

    async def run(self) -> None:
        """Until SIGINT or SIGTERM. Raises CLIError with one sentence for whatever stands in the way."""
        known = self._known
        # The lock comes first: beside a running `up` the ports are taken too, and that would be the lesser truth.
        with lock.held(known.state) as tell:
            _check_writable(known.models)
            api = claim(known.api_host, known.api_port, "CELERIAC_API_PORT", "the API")
            flower = claim(known.flower_host, known.flower_port, "CELERIAC_FLOWER_PORT", "Flower")
            worker = claim(known.worker_host, known.worker_port, "CELERIAC_WORKER_PORT", "the worker")
            self._api, self._worker = local(known.api_host, api), local(known.worker_host, worker)
            self._flower = "/".join(filter(None, (local(known.flower_host, flower), known.flower_url_prefix.strip("/"))))
            redis_port = 0 if "redis_url" in known.model_fields_set else free_port()
            self._redis_url = f"redis://127.0.0.1:{redis_port}/0" if redis_port else known.redis_url.get_secret_value()
            self._environment = {
                "PYTHONPATH": python_path(),
                "CELERIAC_REDIS_URL": self._redis_url,
                "CELERIAC_API_PORT": str(api),
                "CELERIAC_FLOWER_PORT": str(flower),
                "CELERIAC_WORKER_PORT": str(worker),
                "CELERIAC_FILES": str((known.files or known.state / "files").resolve()),
                "CELERIAC_LOG_COLOR": str(self._colour).lower(),
            }
            if not redis_port:
                server.accept(server.inspect(Address.of(known)))
            tell({"url": self._api, "redis_url": self._redis_url, "models": str(known.models.resolve())})
            self._crew = Supervisor(self._show, notice=self._notice, restarts=known.max_restarts)
            await self._crew.run(self._work(redis_port))

    async def _work(self, redis_port: int) -> None:
        if redis_port:
            await self._crew.start(await self._redis(redis_port))
        # Flower needs no models: it starts while they are trained.
        _, answers = await asyncio.gather(self._crew.start(self._ours("flower", f"{self._flower}/healthcheck")), self._first_answers())
        self._welcome(*answers)
        await asyncio.Event().wait()

    async def _first_answers(self) -> tuple[dict[str, list[dict[str, Any]]], samples.Answers, float]:
        """The rows, the answers to them, and the seconds since the start."""
        models = self._known.models
        if self._samples and samples.missing(models):
            self._show("models", "training the sample models (once, about ten seconds)")
            # In a process of its own, which takes the memory of the training with it.
            await self._crew.finish(Program("models", (*PYTHON, "models", "samples", "--models", str(models))))
        # Single predictions and chunks of batches share it; whoever wants none to spare says so.
        spare = self._known.spare_processes if "spare_processes" in self._known.model_fields_set else 1
        worker = self._ours("worker", f"{self._worker}/readyz", spare_processes=spare)
        await self._crew.start(worker, self._ours("api", f"{self._api}/readyz"))
        await self._crew.start(*self._more())
        rows = samples.examples(models) if self._samples else {}
        answers = await samples.ask(self._api, rows, self._known.start_timeout_s)
        for name, reason in answers.skipped.items():
            self._notice(f"the sample model {name} does not answer: {reason}")
        return rows, answers, time.monotonic() - self._started

    def _ours(self, name: str, ready: str, process: str = "", **settings: object) -> Program:
        # A worker may have to load big models, and to end a long prediction.
        drain_s = self._known.drain_timeout_s + 5
        environment = self._environment | {f"CELERIAC_{setting.upper()}": str(value) for setting, value in settings.items()}
        return Program(
            name,
            (*PYTHON, process or name),
            _answers(ready),
            environment,
            timeout_s=self._known.start_timeout_s,
            drain_s=drain_s,
        )

    def _more(self) -> list[Program]:
        """What is run only where it is asked for."""
        known, found = self._known, []
        if self._training:
            # A worker of its own, so that a training, which may take an hour and all memory that it is given, holds up no prediction.
            port = free_port()
            ready, own = f"{local(known.worker_host, port)}/readyz", {"pool": known.training_pool, "processes": 1, "worker_port": port}
            found.append(self._ours("training", ready, "worker", **own))
        if self._beat:
            port = free_port()
            found.append(self._ours("beat", f"{local(known.beat_host, port)}/readyz", beat_port=port))
        return found

    async def _redis(self, port: int) -> Program:
        # In a thread: fetching one takes a while, and Ctrl-C must end it.
        server = await asyncio.to_thread(redis_server.find, self._known.cache, lambda line: self._show("redis", line))
        folder = self._known.state / "redis"
        folder.mkdir(parents=True, exist_ok=True)
        self._show("redis", f"{server}, on port {port}, data in {folder}")
        command = redis_server.command(server, port, folder.resolve())
        return Program("redis", command, _pings(self._redis_url), format=redis_server.log_line)

    def _notice(self, line: str) -> None:
        self._show("up", f"\x1b[33m{line}\x1b[0m" if self._colour else line)

    def _show(self, name: str, line: str) -> None:
        prefix = f"{name:<{_WIDTH}} │"
        sys.stdout.write(f"\x1b[{_COLOURS[name]}m{prefix}\x1b[0m {line}\n" if self._colour else f"{prefix} {line}\n")
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
        console.print(Panel.fit("\n".join(f"{what:<8} {url}" for what, url in urls.items())))
        if answered.jobs:
            name = min((job["model"] for job in answered.jobs), key=lambda name: len(json.dumps(rows[name][0])))
            sys.stdout.write(f"\n{_curl(self._api, name, rows[name][0]['input'])}\n")
        console.print("\nCtrl-C stops all of it.\n")


def _curl(url: str, name: str, row: Any) -> str:
    body = json.dumps({"model": f"{name}@production", "inputs": [row]})
    return shlex.join(["curl", "-s", f"{url}/v1/jobs?wait=10", "-H", "content-type: application/json", "-d", body])


def _check_writable(models: Path) -> None:
    try:
        models.mkdir(parents=True, exist_ok=True)
        probe = models / ".writable"
        probe.touch()
        probe.unlink()
    except OSError as error:
        told = f"{models} cannot be written ({error.strerror}): allow it, or set CELERIAC_MODELS to another folder"
        raise CLIError(told, Exit.REFUSED) from None


def _answers(url: str) -> Probe:
    async def probe() -> str | None:
        try:
            async with httpx.AsyncClient(timeout=5) as http:
                answer = await http.get(url)
        except httpx.HTTPError as error:
            return f"{url} does not answer yet ({type(error).__name__})"
        return None if answer.is_success else _reason(answer)

    return probe


def _reason(answer: httpx.Response) -> str:
    """What a probe of ours says, for example which models are still loading; else the answer itself."""
    try:
        return str(answer.json()["detail"])
    except (ValueError, KeyError, TypeError):
        return f"{answer.url} answers {answer.status_code}: {answer.text[:200]}"


def _pings(url: str) -> Probe:
    async def probe() -> str | None:
        try:
            async with redis.asyncio.Redis.from_url(url) as client:
                await client.ping()
        except redis.RedisError as error:
            return f"Redis does not answer ({error})"
        return None

    return probe
