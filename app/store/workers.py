"""The heartbeats of workers, and the manifests that they inferred for bare artifacts."""

from __future__ import annotations

import math
import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

import orjson
import redis
import redis.asyncio

from app.core.models import Manifest
from app.store import keys, tables
from app.store.reading import decodable, readable

_SILENT_S: Final = 10.0
"""A worker without a heartbeat for this time counts as gone."""


@dataclass(slots=True)
class Worker:
    """The heartbeat of one worker.

    `ready` and `loading` list [name, version], `refused` lists [name, version, reason]. `processes` is the number of pool processes.
    `start_s` is the seconds from the start of the worker until it took deliveries, 0 before.
    """

    name: str
    pool: str
    processes: int
    seen_at: float
    ready: list[list[str]] = field(default_factory=list)
    loading: list[list[str]] = field(default_factory=list)
    refused: list[list[str]] = field(default_factory=list)
    start_s: float = 0.0

    @property
    def host(self) -> str:
        """The host of a worker named `pool@host-pid`, which is the pod's name in a cluster."""
        return self.name.partition("@")[2].rpartition("-")[0]


def report(client: redis.Redis, worker: Worker, inferred: Iterable[Manifest], before: Worker | None = None) -> None:
    """Store a heartbeat, and the manifests that the worker inferred.

    Args:
        client: A connection to Redis.
        worker: The heartbeat.
        inferred: The manifests. They are stored with a heartbeat that differs from the one before, and again every `_SILENT_S`.
        before: The heartbeat before. If nothing differs, and Redis still has it, API processes need not read this one.
    """
    changed = before is None or worker.seen_at - before.seen_at >= _SILENT_S or replace(before, seen_at=worker.seen_at) != worker
    stored: dict[Any, Any] = {f"{manifest.name}/{manifest.version}": orjson.dumps(manifest.as_dict()) for manifest in inferred}
    due = changed or (before is not None and worker.seen_at // _SILENT_S != before.seen_at // _SILENT_S)
    with client.pipeline(transaction=False) as pipe:
        pipe.hset(keys.WORKERS, worker.name, orjson.dumps(asdict(worker)))
        if stored and due:
            pipe.hset(keys.MANIFESTS, mapping=stored)
        if worker.start_s and (before is None or not before.start_s):
            pipe.hset(keys.START_SECONDS, worker.pool, worker.start_s)
        if changed:
            tables.changed(pipe)
        added, *_ = pipe.execute()
        if added and not changed:
            # Redis has lost them.
            if stored:
                pipe.hset(keys.MANIFESTS, mapping=stored)
            tables.changed(pipe)
            pipe.execute()


def leave(client: redis.Redis, name: str) -> None:
    """Remove the heartbeat of a worker that shuts down."""
    with client.pipeline(transaction=False) as pipe:
        pipe.hdel(keys.WORKERS, name)
        tables.changed(pipe)
        pipe.execute()


def living(client: redis.Redis) -> list[Worker]:
    """Return the workers with a recent heartbeat."""
    heartbeats: Any = client.hgetall(keys.WORKERS)
    workers = (readable("worker", name.decode(errors="replace"), [text], _decode) for name, text in heartbeats.items())
    now = time.time()
    return [worker for worker in workers if worker is not None and now - worker.seen_at < _SILENT_S]


async def read(client: redis.asyncio.Redis) -> list[Worker]:
    """Return the workers with a recent heartbeat. Drop those of dead workers and unreadable ones: a live worker reports again in seconds."""
    heartbeats: Any = await client.hgetall(keys.WORKERS)
    living, gone, now = [], [], time.time()
    for name, text in heartbeats.items():
        worker = readable("worker", name.decode(errors="replace"), [text], _decode)
        if worker is not None and now - worker.seen_at < _SILENT_S:
            living.append(worker)
        elif worker is None or now - worker.seen_at > 6 * _SILENT_S:
            gone.append(name)
    if gone:
        await client.hdel(keys.WORKERS, *gone)
    return living


def first_silent_s(living: Iterable[Worker]) -> float:
    """Return the seconds after which the first of these workers counts as gone unless it has reported again; infinity if there are none."""
    return min((worker.seen_at + _SILENT_S - time.time() for worker in living), default=math.inf)


async def inferred(client: redis.asyncio.Redis) -> dict[str, Manifest]:
    """Return the manifests that workers inferred, by `name/version`."""
    stored: Any = await client.hgetall(keys.MANIFESTS)
    read = {name: readable("manifest", name, [stored[name.encode()]], _manifest) for name in decodable(stored)}
    return {name: manifest for name, manifest in read.items() if manifest is not None}


def _decode(text: bytes) -> Worker:
    """Ignore fields that a newer worker adds."""
    stored = orjson.loads(text)
    worker = Worker(**{field.name: stored[field.name] for field in fields(Worker) if field.name in stored})
    keyed = (*worker.ready, *worker.loading, *worker.refused)
    if type(worker.processes) is not int or not isinstance(worker.pool, str) or not all(len(entry) in (2, 3) for entry in keyed):
        raise ValueError("its fields have wrong types")
    float(worker.seen_at)
    return worker


def _manifest(text: bytes) -> Manifest:
    return Manifest.from_dict(orjson.loads(text))
