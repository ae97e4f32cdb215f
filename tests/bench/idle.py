"""What a system costs while nobody asks for anything."""

from __future__ import annotations

import time
from typing import Any, Final

from tests.bench.processes import Process, answers, free_port
from tests.bench.systems import Ours, Queued, System

_MORE: Final = 10
"""Workers that are added to the one that is there."""
_FLEET: Final = 1000
_SETTLED_S: Final = 20.0


def commands(system: System, seconds: float) -> dict[str, float]:
    """The commands that Redis executes a second, with those inside scripts; Flower runs beside ours."""
    assert isinstance(system, Queued)
    flower = _flower(system) if isinstance(system, Ours) else None
    time.sleep(_SETTLED_S)  # what a start causes is over
    try:
        before, began = system.commands(), time.monotonic()
        time.sleep(4 * seconds)  # nothing is to happen
        return {"commands": (system.commands() - before) / (time.monotonic() - began)}
    finally:
        if flower is not None:
            flower.stop()


def fleet(system: System, seconds: float) -> dict[str, float]:
    """The share of a core that Redis takes beside 1 and 11 idle workers of one process, and the line through both at 1,000, in percent."""
    assert isinstance(system, Ours)
    alone = _redis_core(system, seconds)
    more: list[Process] = []
    try:
        for number in range(_MORE):
            port = free_port()
            state = str(system.folder / f"state-{number}")
            more.append(system.serve("worker", label=f"worker-{number}", WORKER_PORT=str(port), STATE=state, PROCESSES="1"))
            more[-1].wait(answers(f"http://127.0.0.1:{port}/readyz"))
        many = _redis_core(system, seconds)
    finally:
        for number, process in enumerate(more):
            process.stop()
            del system.processes[f"worker-{number}"]
    each = (many - alone) / _MORE
    return {"alone_percent": 100 * alone, "many_percent": 100 * many, "percent": 100 * (alone + each * (_FLEET - 1))}


def _redis_core(system: Ours, seconds: float) -> float:
    time.sleep(_SETTLED_S)
    before, began = _redis_cpu_s(system), time.monotonic()
    time.sleep(4 * seconds)
    return (_redis_cpu_s(system) - before) / (time.monotonic() - began)


def _redis_cpu_s(system: Ours) -> float:
    cpu: Any = system.redis.info("cpu")
    return float(cpu["used_cpu_sys"] + cpu["used_cpu_user"])


def _flower(system: Ours) -> Process:
    port = free_port()
    process = system.serve("flower", FLOWER_PORT=str(port))
    process.wait(answers(f"http://127.0.0.1:{port}/healthcheck"))
    del system.processes["flower"]
    return process
