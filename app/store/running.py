"""The deliveries that processes run now."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, Final

import redis.asyncio

from app.core.running import RunningDelivery
from app.store import keys
from app.store.reading import answers, readable
from app.store.records import job_head

MOST: Final = 1000
"""Maximum number of running deliveries that one list has."""


async def read(client: redis.asyncio.Redis, queues: Iterable[str]) -> tuple[list[RunningDelivery], bool]:
    """Return the running deliveries of queues, the longest first, and whether these are all. Deliveries without records are left out."""
    async with client.pipeline(transaction=False) as pipe:
        for queue in queues:
            pipe.zrange(keys.running(queue), 0, MOST)
        listed: Any = await answers(pipe)
        ids = [id.decode(errors="replace") for members in listed if isinstance(members, list) for id in members]
        for id in ids[:MOST]:
            pipe.hmget(keys.delivery(id), "runner", "began", "jobs")
        deliveries = [readable("delivery", id, [values], _delivery) for id, values in zip(ids, await answers(pipe), strict=False)]
        taken = [delivery for delivery in deliveries if delivery is not None]
        for _, _, jobs in taken:
            pipe.hmget(keys.job(jobs[0]), "spec", "state", "queue")
        heads = [
            readable("job", jobs[0], [values], lambda values: job_head(*values))
            for (_, _, jobs), values in zip(taken, await answers(pipe), strict=True)
        ]
    running = [
        RunningDelivery(process, began, jobs[0], len(jobs), head)
        for (process, began, jobs), head in zip(taken, heads, strict=True)
        if head is not None
    ]
    return sorted(running, key=lambda delivery: delivery.began), len(ids) <= MOST


def _delivery(values: list[bytes | None]) -> tuple[str, float, list[str]] | None:
    """Return the process, the time of the start and the jobs of a delivery, or None if it has ended."""
    runner, began, jobs = values
    return (runner.decode(), float(began), jobs.decode().split()) if runner and began and jobs else None
