"""Which versions of models are used: by jobs that wait or run, by batches, runs of pipelines and schedules."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from typing import Any, Final

import orjson
import redis

from app.core import gates
from app.core.models import references
from app.core.pipelines import PIPELINE
from app.store import keys
from app.store.blobs import blobs

_AT_ONCE: Final = 1000


def versions(client: redis.Redis, pools: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """`name@version` -> by what, in words. Of jobs and batches, those of these pools, each with its queues."""
    queues = (queue for lanes in pools.values() for queue in lanes)
    return dict(chain(_by_jobs(client, queues), _by_batches(client, pools), _by_runs(client), _by_schedules(client)))


def _by_jobs(client: redis.Redis, queues: Iterable[str]) -> Iterator[tuple[str, str]]:
    for queue in queues:
        deliveries = client.zrange(keys.deliveries(queue), 0, -1)
        for ids in _parts(deliveries):
            # The jobs of a delivery are of one version.
            jobs = _many(client, [(keys.delivery(id.decode()), "jobs") for id in ids])
            first = [text.partition(b" ")[0].decode() for text in jobs if text]
            for spec in _many(client, [(keys.job(id), "spec") for id in first]):
                if spec:
                    name, version, *_ = orjson.loads(spec)
                    yield f"{name}@{version}", "a job that waits or runs"


def _by_batches(client: redis.Redis, pools: Iterable[str]) -> Iterator[tuple[str, str]]:
    for pool in pools:
        active: Any = client.zrange(keys.batches_active(pool), 0, -1)
        for ids in _parts(active):
            for id, order in zip(ids, _many(client, [(keys.batch(id.decode()), "order") for id in ids]), strict=True):
                if order:
                    told = orjson.loads(order)
                    yield f"{told['model']}@{told['version']}", f"the batch {id.decode()}"


def _by_runs(client: redis.Redis) -> Iterator[tuple[str, str]]:
    """Each that goes on is followed up."""
    followed: Any = client.zrange(keys.FOLLOWUPS, 0, -1)
    for parents in _parts(followed):
        ids = [id for kind, _, id in (parent.decode().partition(":") for parent in parents) if kind == PIPELINE]
        for id, plan in zip(ids, _many(client, [(keys.pipeline(id), "plan") for id in ids]), strict=True):
            if plan:
                for _, name, version in orjson.loads(blobs().fetch(plan))["targets"].values():
                    yield f"{name}@{version}", f"the run {id} of a pipeline"


def _by_schedules(client: redis.Redis) -> Iterator[tuple[str, str]]:
    scheduled: Any = client.zrange(keys.SCHEDULES, 0, -1)
    for names in _parts(scheduled):
        for text in _many(client, [(name.decode(), "definition") for name in names]):
            if not text:
                continue
            schedule = orjson.loads(text)["kwargs"]
            told, request = f"the schedule {schedule['name']!r}", schedule["request"]
            for reference in references(request):
                yield reference, told
            for which in gates.named(request.get("promote_if") or {}):
                yield f"{request['model']}@{which}", told


def _many(client: redis.Redis, fields: list[tuple[str, str]]) -> list[Any]:
    with client.pipeline(transaction=False) as pipe:
        for key, field in fields:
            pipe.hget(key, field)
        return list(pipe.execute())


def _parts(found: Any) -> Iterator[list[bytes]]:
    for first in range(0, len(found), _AT_ONCE):
        yield found[first : first + _AT_ONCE]
