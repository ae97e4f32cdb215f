"""Claim a delivery: read it, and decide which of its jobs are to run, in which attempt."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import redis

from app.core.deliveries import Delivery
from app.core.errors import CeleriacError, StoreUnavailable
from app.settings import settings
from app.store import backlog, deliveries, scripts
from app.store.blobs import blobs
from app.worker.pool_process import PoolProcess
from app.worker.requeue import postpone, read_delivery, requeue_lost

USED_UP: Final = -1
"""The attempt of a job that was tried as often as allowed, and whose worker died each time."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A delivery that this process runs now.

    `attempts` has the attempt of each job: 0 for one that is not to run, `USED_UP` for one that was tried as often as allowed.
    `started_at` is 0 for a delivery without records.
    """

    queue: str
    delivery: Delivery
    attempts: Sequence[int]
    started_at: float
    limit_s: float
    packed: bytes = b""
    """The body as it came; it names the blob that holds the inputs, if there is one."""
    beside: bool = False
    """Whether the body of a delivery without records is beside its message."""
    lost: CeleriacError | None = None
    """Why the inputs cannot be read. The delivery has none then."""
    claimed_at: float = field(default_factory=time.monotonic)
    """When it was claimed, by the monotonic clock."""

    def release(self, client: redis.Redis) -> None:
        """Remove the inputs of the delivery, which has ended, if they are beside its message."""
        if self.beside:
            deliveries.drop_body(client, self.delivery.id)
        blobs().remove(self.packed)


def claim(process: PoolProcess, request: Any, id: str, body: str | None) -> Claim | None:
    """Claim the delivery of a message.

    Args:
        process: The process that is to run it.
        request: Celery's request.
        id: The delivery's id.
        body: A delivery whose callers wait, or an empty text if it is beside its message. None: the delivery and its jobs have records.

    Returns:
        None if it has ended, runs elsewhere, or waits: its model is paused, or its inputs are in a bucket that does not answer.
    """
    queue, limit_s = request.delivery_info["routing_key"], request.timelimit[1]
    if body is not None:
        carried = deliveries.carried(process.redis, id, body)
        if carried is None:
            backlog.release(process.redis, queue)
            return None
        delivery, lost = read_delivery(carried)
        attempts = _attempts(process, delivery, request)
        if not attempts:
            # Nothing runs, so no script that ends the delivery fills its place in the queue.
            backlog.release(process.redis, queue)
        return Claim(queue, delivery, attempts, 0.0, limit_s, carried, beside=not body, lost=lost)
    call = scripts.start(queue, id, process.name, keep=settings().result_ttl_s, silent_s=settings().silent_s)
    started = scripts.run(process.redis, call)
    if started is None:
        return None
    if started == b"paused":
        # Its message is kept until the model is resumed. No attempt is counted.
        requeue_lost(process.redis, queue, id, body, limit_s)
        return None
    packed, now, *numbers = started
    delivery, lost = read_delivery(packed)
    if isinstance(lost, StoreUnavailable) and max(numbers) > 0:
        postpone(process.redis, queue, delivery, numbers)
        return None
    return Claim(queue, delivery, numbers, float(now), limit_s, packed, lost=lost)


def _attempts(process: PoolProcess, delivery: Delivery, request: Any) -> list[int]:
    """Return the attempts of a delivery without records. Empty if nobody waits for it any longer."""
    if time.time() > delivery.expires_at:
        return []
    attempt = delivery.tried + 1
    if request.delivery_info.get("redelivered"):
        attempt += deliveries.count_redelivery(process.redis, delivery.id)
        if attempt <= settings().max_attempts:
            deliveries.note_runner(process.redis, delivery.id, process.name)
    return [attempt if attempt <= settings().max_attempts else USED_UP] * len(delivery.jobs)
