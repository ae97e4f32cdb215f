"""What is done to a system, and the figures that it gives. A measure is run for each of its systems in turn, several times."""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from tests.bench import idle, large, load
from tests.bench.flood import Flooded, p95, waits
from tests.bench.load import Exchange, Load
from tests.bench.processes import Process, Trouble, answers, until
from tests.bench.systems import ROOT, Ours, Plain, Queued, System
from tests.bench.waiting import Empty

Figures = dict[str, float]
"""By name: `rate` (a second), `p50_ms`, `p95_ms`, `p99_ms`, `cpu_s_per_1000`, `memory` (bytes)."""


@dataclass(frozen=True, slots=True)
class Measure:
    """`take(system, seconds)`; the names of `systems` that were not started are left out. `quick`: the quick run takes it too."""

    name: str
    systems: tuple[str, ...]
    take: Callable[[System, float], Figures]
    quick: bool = True


_DRAIN_S: Final = 2
"""How many times as long as the queue was filled it is watched while it drains."""
PEERS: Final = ("mlserver", "mosec", "bentoml", "litserve")
SYNCHRONOUS: Final = ("ours", "compiled", "before", "inline", "inline ×2", *PEERS)
QUEUED: Final = ("ours", "compiled", "before", "plain")


def _infer(model: str, clients: int) -> Callable[[System, float], Figures]:
    def take(system: System, seconds: float) -> Figures:
        return _used(system, lambda: load.closed(system.predict(model), clients, seconds))

    return take


def _open(model: str, rate: float) -> Callable[[System, float], Figures]:
    return lambda system, seconds: _figures(load.at_rate(system.predict(model), rate, seconds))


def _jobs(model: str) -> Callable[[System, float], Figures]:
    """A durable job, and its result, by the shortest way that the system has."""

    def take(system: System, seconds: float) -> Figures:
        assert isinstance(system, Queued)
        if isinstance(system, Ours):
            return _used(system, lambda: load.closed(system.submit_and_wait(model), 64, seconds))
        return _used(system, lambda: load.jobs(system.submit(model), 64, seconds))

    return take


def _asked(model: str) -> Callable[[System, float], Figures]:
    """The same in two requests: one submits, one asks for the result."""

    def take(system: System, seconds: float) -> Figures:
        assert isinstance(system, Queued)
        return _used(system, lambda: load.jobs(system.submit(model), 64, seconds))

    return take


def _one(model: str) -> Callable[[System, float], Figures]:
    """One caller: `infer`, or `.delay().get()` where there is only a queue."""

    def take(system: System, seconds: float) -> Figures:
        if not isinstance(system, Plain):
            return _figures(load.closed(system.predict(model), 1, seconds))
        command = [sys.executable, "-m", "tests.bench.servers.plain", model, str(seconds)]
        out = subprocess.run(command, env=system.environment(), cwd=ROOT, capture_output=True, text=True, check=True).stdout
        return dict(json.loads(out))

    return take


def _drain(model: str) -> Callable[[System, float], Figures]:
    """Fills the queue while no worker runs, then starts one: the rates of both, and the drain from the first job that ended."""

    def take(system: System, seconds: float) -> Figures:
        assert isinstance(system, Queued)
        system.stop_worker()
        filled = _figures(load.closed(system.submit(model), 64, seconds))
        full = system.left()
        system.start_worker(wait=False)
        until(lambda: system.left() < full, "the first job of the full queue ends")
        began, first = time.monotonic(), system.left()
        end = began + _DRAIN_S * seconds
        while (left := system.left()) and time.monotonic() < end:
            time.sleep(0.005)
        drained = filled["count"] * (first - left) / full / (time.monotonic() - began)
        system.wait_for_worker()
        system.empty()
        return {"submit_rate": filled["rate"], "submit_p99_ms": filled["p99_ms"], "rate": drained}

    return take


def _keyed(system: System, seconds: float) -> Figures:
    """The CPU of the API for a prediction of many callers."""
    before = system.usage("api").cpu_s
    found = _figures(load.closed(system.predict("lr"), 64, seconds))
    return {**found, "cpu_us": (system.usage("api").cpu_s - before) / found["count"] * 1e6}


def _flood(model: str) -> Callable[[System, float], Figures]:
    """One caller who sends a job now and then, beside an empty queue or beside one that another owner has filled."""

    def take(system: System, seconds: float) -> Figures:
        assert isinstance(system, Ours)
        if isinstance(system, Flooded):
            system.fill(model)
        found = waits(system, model, 4 * seconds)
        system.empty()
        return {"count": len(found), "p95_ms": p95(found)}

    return take


def _large(size: int, clients: int) -> Callable[[System, float], Figures]:
    """Callers who each send a row of `size` floats."""
    return lambda system, seconds: _used(system, lambda: load.closed(large.exchange(system, size), clients, seconds))


def _waiting(ask: Callable[[Empty], Exchange]) -> Callable[[System, float], Figures]:
    """Beside an empty queue or one of many jobs: the CPU of all processes for a request of many callers, and how long one alone waits."""

    def take(system: System, seconds: float) -> Figures:
        assert isinstance(system, Empty)
        system.prepare()
        names = tuple(system.processes)
        before = system.usage(*names).cpu_s
        found = _figures(load.closed(ask(system), 64, seconds))
        cpu_s = system.usage(*names).cpu_s - before
        one = _figures(load.closed(ask(system), 1, seconds))
        return {**found, "cpu_us": cpu_s / found["count"] * 1e6, "one_ms": one["p50_ms"]}

    return take


def _up(system: System, seconds: float) -> Figures:
    """From `python -m app up`, with Redis and Flower, to the first answer of a model."""
    assert isinstance(system, Ours)
    with tempfile.TemporaryDirectory(prefix="celeriac-bench-") as folder:
        own = {f"CELERIAC_{name}_PORT": "0" for name in ("API", "FLOWER", "WORKER")}
        env = {**own, "CELERIAC_STATE": f"{folder}/state", "CELERIAC_MODELS": str(system.models)}
        about = Path(folder, "state", "up.json")
        began = time.monotonic()
        process = Process(
            "up", (sys.executable, "-m", "app", "up", "--no-samples"), log=Path(folder, "up.log"), env=env, cwd=system.checkout
        )
        try:
            process.wait(lambda: about.exists() and answers(f"{json.loads(about.read_text())['url']}/v2/models/lr/ready")())
            return {"started_ms": (time.monotonic() - began) * 1000}
        finally:
            process.stop()


def _used(system: System, run: Callable[[], Load]) -> Figures:
    before = system.usage()
    found = _figures(run())
    after = system.usage()
    return {**found, "cpu_s_per_1000": (after.cpu_s - before.cpu_s) / found["count"] * 1000, "memory": after.memory}


def _figures(found: Load) -> Figures:
    if found.failed or found.wrong or not found.count:
        raise Trouble(f"{found.count} answers, {found.failed} failed, {found.wrong} were wrong: nothing is reported of such a run")
    return {"count": found.count, "rate": found.rate, "p50_ms": found.p50_ms, "p99_ms": found.p99_ms}


MEASURES: Final = {
    one.name: one
    for one in (
        *(Measure(f"jobs-{model}", QUEUED, _jobs(model)) for model in ("lr", "rf")),
        Measure("asked-lr", QUEUED, _asked("lr"), quick=False),
        *(Measure(f"infer-{model}-64", SYNCHRONOUS, _infer(model, 64)) for model in ("lr", "rf")),
        *(Measure(f"infer-{model}-16", ("ours", "before", "inline ×2"), _infer(model, 16), model == "lr") for model in ("lr", "rf")),
        *(Measure(f"one-{model}", ("ours", "compiled", "before", "plain", "inline"), _one(model)) for model in ("lr", "rf")),
        *(Measure(f"drain-{model}", QUEUED, _drain(model), model == "lr") for model in ("lr", "rf")),
        *(Measure(f"open-{rate}", ("ours", "before", "inline ×2"), _open("lr", rate), False) for rate in (200, 1000)),
        Measure("keyed-infer", ("ours", "keyed"), _keyed),
        Measure("flood", ("keyed", "flooded"), _flood("rf"), quick=False),
        Measure("up", ("ours", "before"), _up, quick=False),
        *(
            Measure(f"{name}-{clients}", ("ours", "before", "inline"), _large(size, clients), quick=False)
            for name, size in (("image", large.IMAGE), ("ten-mb", large.TEN_MB))
            for clients in (1, 8)
        ),
        Measure("idle", ("ours", "before", "plain"), idle.commands),
        Measure("fleet", ("ours", "before"), idle.fleet, quick=False),
        Measure("waiting-submit", ("empty", "waiting"), _waiting(lambda system: system.submit("lr"))),
        Measure("waiting-infer", ("empty", "waiting"), _waiting(lambda system: system.predict("lr"))),
    )
}
