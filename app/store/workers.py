"""What living workers say of themselves, and the manifests that they inferred for bare artefacts."""

from __future__ import annotations

import time
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import orjson
import redis
import redis.asyncio

from app.core.models import Manifest
from app.store import keys

_SILENT_S: Final = 10.0
"""A worker that said nothing for so long counts as gone."""


@dataclass(slots=True)
class Worker:
    """`ready` and `loading` list [name, version], `refused` [name, version, reason]; `processes` run at once."""

    name: str
    pool: str
    processes: int
    seen_at: float
    ready: list[list[str]] = field(default_factory=list)
    loading: list[list[str]] = field(default_factory=list)
    refused: list[list[str]] = field(default_factory=list)


def report(client: redis.Redis, worker: Worker, inferred: Iterable[Manifest]) -> None:
    with client.pipeline(transaction=False) as pipe:
        pipe.hset(keys.WORKERS, worker.name, orjson.dumps(asdict(worker)))
        for manifest in inferred:
            pipe.hset(keys.MANIFESTS, f"{manifest.name}/{manifest.version}", orjson.dumps(manifest.as_dict()))
        pipe.execute()


def leave(client: redis.Redis, name: str) -> None:
    client.hdel(keys.WORKERS, name)


def living(client: redis.Redis) -> list[Worker]:
    """Living workers."""
    said: Any = client.hvals(keys.WORKERS)
    now = time.time()
    return [worker for worker in (Worker(**orjson.loads(text)) for text in said) if now - worker.seen_at < _SILENT_S]


async def read(client: redis.asyncio.Redis) -> tuple[list[Worker], dict[str, Manifest]]:
    """Living workers, and the inferred manifests by `name/version`. Forgets workers that died without a word."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.WORKERS)
        pipe.hgetall(keys.MANIFESTS)
        said, inferred = await pipe.execute()
    living, gone, now = [], [], time.time()
    for name, text in said.items():
        worker = Worker(**orjson.loads(text))
        if now - worker.seen_at < _SILENT_S:
            living.append(worker)
        elif now - worker.seen_at > 6 * _SILENT_S:
            gone.append(name)
    if gone:
        await client.hdel(keys.WORKERS, *gone)
    return living, {key.decode(): Manifest.from_dict(orjson.loads(text)) for key, text in inferred.items()}
