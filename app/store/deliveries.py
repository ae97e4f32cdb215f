"""Records of deliveries, as workers read them: bodies, attempts, and how their processes died."""

from __future__ import annotations

import base64
import time
from collections.abc import Sequence
from typing import Any, Final

import redis
import redis.asyncio

from app.core.deliveries import Delivery
from app.store import keys

OOM_KILLED: Final = "OOMKilled"
_KEEP_DEATH_S: Final = 24 * 3600
_KEEP_ATTEMPTS_S: Final = 3600


async def body(client: redis.asyncio.Redis, id: str) -> bytes | None:
    """Return the packed body of a delivery, or None if the delivery has ended."""
    packed: Any = await client.hget(keys.delivery(id), "body")
    return bytes(packed) if packed is not None else None


def read_body(client: redis.Redis, id: str) -> bytes | None:
    """Return the packed body of a delivery that its message leaves out; None if it has ended."""
    body: Any = client.hget(keys.delivery(id), "body")
    return body  # type: ignore[no-any-return]


def carried(client: redis.Redis, id: str, body: str) -> bytes | None:
    """Return the packed body of a delivery without records: its message has it, or leaves it out. None if it has ended."""
    return base64.b64decode(body) if body else read_body(client, id)


def drop_body(client: redis.Redis, id: str) -> None:
    """Remove the body of a delivery without records, which has ended."""
    client.delete(keys.delivery(id))


def push(client: redis.Redis, queue: str, messages: Sequence[bytes]) -> None:
    """Put messages into a queue, all or none."""
    if messages:
        client.lpush(keys.list_of(queue), *messages)


def running_attempts(client: redis.Redis, jobs: Sequence[str]) -> list[int | None]:
    """Return the attempt of each job that runs; None for one that does not."""
    attempts: list[int | None] = []
    for job in jobs:
        record: Any = client.hmget(keys.job(job), "state", "attempt")
        state, attempt = record
        attempts.append(int(attempt) if state == b"running" else None)
    return attempts


def is_running(client: redis.Redis, job: str, attempt: int) -> bool:
    """Return whether a job runs in this attempt: it was not cancelled, and no later attempt has begun."""
    record: Any = client.hmget(keys.job(job), "state", "attempt")
    state, running = record
    return bool(state == b"running" and int(running or 0) == attempt)


def read_attempt(client: redis.Redis, job: str) -> int:
    """Return the number of a job's last attempt, at least 1."""
    attempt: Any = client.hget(keys.job(job), "attempt")
    return int(attempt or 1)


def count_starts(client: redis.Redis, job: str) -> int:
    """Return how often a job was started, whether or not that counted as an attempt."""
    tries: Any = client.hget(keys.job(job), "tries")
    return int((tries or b"\n").count(b"\n"))


def count_redelivery(client: redis.Redis, id: str) -> int:
    """Count that a delivery without records was delivered again. Return how often."""
    with client.pipeline() as pipe:
        pipe.incr(keys.attempts(id))
        pipe.expire(keys.attempts(id), _KEEP_ATTEMPTS_S)
        return int(pipe.execute()[0])


def note_runner(client: redis.Redis, id: str, worker: str) -> None:
    """Remember who runs a delivery without records that was delivered again: no record holds it."""
    client.set(keys.runner(id), f"{time.time()} {worker}", ex=_KEEP_ATTEMPTS_S)


def last_run(client: redis.Redis, delivery: Delivery, job: str) -> tuple[float, str]:
    """Return when the last attempt began, and the host that ran it; an empty host if it is not known."""
    recorded: Any = client.hget(keys.job(job), "tries") if delivery.recorded else client.get(keys.runner(delivery.id))
    lines = (recorded or b"").decode().splitlines()
    began, _, worker = lines[-1].partition(" ") if lines else ("0", "", "")
    return float(began), worker.rpartition("/")[0]


def note_oom_kill(client: redis.Redis, id: str) -> None:
    """Remember that a process was killed for memory while it ran this delivery."""
    client.set(keys.death(id), OOM_KILLED, ex=_KEEP_DEATH_S)


def was_oom_killed(client: redis.Redis, id: str) -> bool:
    """Return whether a process was killed for memory while it ran this delivery."""
    return client.get(keys.death(id)) is not None
