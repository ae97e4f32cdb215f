"""The inputs of a job, as its delivery, its dead letter or `finish.lua` keeps them."""

from __future__ import annotations

import asyncio
from typing import Final

import redis.asyncio

from app.core.deliveries import Delivery
from app.core.errors import PayloadLost
from app.core.jobs import Job
from app.core.tensors import Tensor
from app.store import keys
from app.store.blobs import blobs
from app.store.reading import answers, required

_KIND: Final = "job"


async def read(client: redis.asyncio.Redis, job: Job) -> list[Tensor] | None:
    """Return the inputs of a prediction, or None if they are not kept, as those in a blob after the end of the job."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.hget(keys.delivery(job.delivery), "body")
        pipe.get(keys.job_inputs(job.delivery))
        pipe.hget(keys.dead(job.id), "body")
        bodies = await answers(pipe)
    body = next((body for body in bodies if body), None)
    if body is None:
        return None
    try:
        packed = body if isinstance(body, Exception) else await asyncio.to_thread(blobs().fetch, body)
    except PayloadLost:
        return None
    return required(_KIND, job.id, [packed], lambda packed: _of(job, Delivery.unpack(packed)))


def _of(job: Job, delivery: Delivery) -> list[Tensor]:
    return delivery.only([delivery.jobs.index(job.id)]).inputs
