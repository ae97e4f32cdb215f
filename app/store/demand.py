"""What waits in the queues of a pool and what runs, by model, from a sample whose size is bounded."""

from __future__ import annotations

import random
import re
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import redis.asyncio

from app.store import keys, scripts

SAMPLE: Final = 25
"""Messages of a list, and of a backlog, that one look reads. The others count as these do."""
_RUNNING: Final = 500
_MODEL: Final = re.compile(r"model=([^@,]+)")
_WORK: Final = re.compile(r"work=([^,]+)")
_MORE: Final = re.compile(r" and (\d+) more$")


@dataclass(slots=True)
class QueueDemand:
    """What waits in one queue and runs from it.

    Attributes:
        waiting: Deliveries in the list and the backlog.
        oldest_at: When the oldest message of the list was sent, seconds since 1970; None if the list is empty.
        jobs: Jobs that wait, by kind of task (empty for predictions) and model (empty if unknown).
        running: Model and begin of each delivery with a record that runs.
    """

    waiting: int
    oldest_at: float | None
    jobs: defaultdict[tuple[str, str], float] = field(default_factory=lambda: defaultdict(float))
    running: list[tuple[str, float]] = field(default_factory=list)


async def read(client: redis.asyncio.Redis, queues: Sequence[str]) -> list[QueueDemand]:
    """Return what waits and runs, for each queue."""
    return [await _read(client, queue) for queue in queues]


async def _read(client: redis.asyncio.Redis, queue: str) -> QueueDemand:
    call = scripts.Call(
        "sample_queue", (keys.list_of(queue), keys.backlog(queue), keys.running(queue)), (SAMPLE, _RUNNING, random.getrandbits(31))
    )
    listed, backlog, oldest, in_list, in_backlog, running = await scripts.run_async(client, call)
    demand = QueueDemand(listed + backlog, float(oldest) if oldest else None)
    for length, headers in ((listed, in_list), (backlog, in_backlog)):
        for kind, model, jobs in _jobs(headers):
            demand.jobs[kind, model] += jobs * length / (len(headers) // 2)
    demand.running = [(model.decode(), float(began)) for began, model in zip(running[::2], running[1::2], strict=True)]
    return demand


def _jobs(headers: Sequence[Any]) -> Iterator[tuple[str, str, int]]:
    """Yield kind, model and number of jobs of each message. Its headers show them for Flower."""
    for subject, jobs in zip(headers[::2], headers[1::2], strict=True):
        what, listed = subject.decode(errors="replace"), jobs.decode(errors="replace")
        kind, model, more = _WORK.search(what), _MODEL.search(what), _MORE.search(listed)
        yield kind[1] if kind else "", model[1] if model else "", 1 + listed.count(", ") + (int(more[1]) if more else 0)
