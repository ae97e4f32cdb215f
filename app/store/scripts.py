"""The Lua scripts through which alone job records change, and the arguments of each. Pure: no connection here but in `run`."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import redis
import redis.asyncio
from redis.exceptions import NoScriptError

from app.core.chunks import Chunk
from app.core.codec import pack
from app.core.deliveries import Delivery, Outcome, pack_reply
from app.core.jobs import State
from app.store import keys
from app.store.blobs import Blobs
from app.store.records import encode_error

_TEXT: Final = {file.name.removesuffix(".lua"): file.read_text() for file in files("app.store").iterdir() if file.name.endswith(".lua")}
_SHA: Final = {name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in _TEXT.items()}

_NO_BLOBS: Final = Blobs(None, 0, 0)
_REPLY_TTL_S: Final = 60.0


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a script."""

    script: str
    keys: tuple[str, ...]
    arguments: tuple[str | bytes | int | float, ...]


def command(call: Call) -> tuple[str | bytes | int | float, ...]:
    """For a connection whose answers are not waited for: with the text, which Redis may have forgotten."""
    return ("EVAL", _TEXT[call.script], len(call.keys), *call.keys, *call.arguments)


def run(client: redis.Redis, call: Call) -> Any:
    try:
        return client.evalsha(_SHA[call.script], len(call.keys), *call.keys, *call.arguments)
    except NoScriptError:
        return client.eval(_TEXT[call.script], len(call.keys), *call.keys, *call.arguments)


async def run_async(client: redis.asyncio.Redis, call: Call) -> Any:
    try:
        return await client.evalsha(_SHA[call.script], len(call.keys), *call.keys, *call.arguments)
    except NoScriptError:
        return await client.eval(_TEXT[call.script], len(call.keys), *call.keys, *call.arguments)


def submit(
    queue: str,
    message: bytes,
    delivery: Delivery,
    specs: Sequence[bytes],
    waits: Sequence[float],
    webhooks: Sequence[bytes],
    *,
    attempts: int,
    limit_s: float,
    max_queue: int,
    ttl: int,
    body: bytes = b"",
    parent: str = "",
) -> Call:
    """Takes a delivery into the queue. `body` is what it was packed to, if that is done. `specs`, `waits` (seconds a job may wait)
    and `webhooks` (as encoded, or empty) stand beside its jobs, if they are recorded. `parent` is told when one of them ends.
    """
    jobs: list[str | bytes | float] = []
    if delivery.recorded:
        for id, spec, wait, webhook in zip(delivery.jobs, specs, waits, webhooks, strict=True):
            jobs += (id, spec, wait, webhook)
    body = (body or delivery.pack()) if delivery.recorded else b""
    return Call(
        "submit",
        (keys.list_of(queue), keys.counts(queue), keys.JOBS, keys.delivery(delivery.id), keys.deliveries(queue)),
        (keys.PREFIX, max_queue, message, body, ttl, attempts, limit_s, delivery.id, parent, *jobs),
    )


def start(queue: str, delivery_id: str, worker: str, *, keep: int, silent_s: float) -> Call:
    """Marks the start of a recorded delivery's jobs, unless a process that was heard of within `silent_s` runs them."""
    return Call("start", (keys.delivery(delivery_id), keys.running(queue)), (keys.PREFIX, delivery_id, worker, keep, silent_s))


def finish(
    queue: str, delivery: Delivery, outcomes: Sequence[Outcome], *, keep: int, keep_dead: int, max_dead: int, blobs: Blobs = _NO_BLOBS
) -> Call:
    """Writes what became of a delivery's jobs, and tells who waits. A job that failed leaves a dead letter with its input."""
    jobs: list[str | bytes | int] = []
    if delivery.recorded:
        places = {job: at for at, job in enumerate(delivery.jobs)}
        for outcome in outcomes:
            if outcome.error is None:
                jobs += (outcome.job, outcome.attempt, State.SUCCEEDED, blobs.keep(pack({}, outcome.outputs), keep), b"", b"", outcome.logs)
            else:
                # What is work of another kind is asked again by its parent, or whole.
                letter = b"" if delivery.work else blobs.keep_delivery(delivery.only([places[outcome.job]]), keep_dead)
                jobs += (outcome.job, outcome.attempt, State.FAILED, encode_error(outcome.error), letter, outcome.traceback, outcome.logs)
    channel = keys.reply(delivery.reply) if delivery.reply and outcomes else ""
    reply = blobs.keep(pack_reply(delivery, outcomes), _REPLY_TTL_S) if channel else b""
    return Call(
        "finish",
        (keys.delivery(delivery.id), keys.deliveries(queue), keys.DEAD, keys.running(queue)),
        (keys.PREFIX, delivery.id, keep, channel, reply, keep_dead, max_dead, *jobs),
    )


def requeue(
    queue: str,
    delivery_id: str,
    again: Sequence[tuple[Delivery, bytes, float, int]],
    *,
    ttl: int,
    give_back: bool,
    blobs: Blobs = _NO_BLOBS,
) -> Call:
    """Gives jobs of a recorded delivery to new ones of one job each: (delivery, message, seconds of delay, attempt that ended).

    `give_back`: that attempt does not count.
    """
    arguments: list[str | bytes | float] = []
    for delivery, message, delay, attempt in again:
        arguments += (delivery.id, blobs.keep_delivery(delivery, ttl), message, delay, delivery.jobs[0], attempt)
    return Call(
        "requeue",
        (keys.delivery(delivery_id), keys.list_of(queue), keys.deliveries(queue), keys.delayed(queue), keys.counts(queue)),
        (keys.PREFIX, ttl, int(give_back), *arguments),
    )


def enqueue(queue: str, delivery_id: str, message: bytes) -> Call:
    """Gives a recorded delivery a message."""
    return Call(
        "enqueue",
        (keys.delivery(delivery_id), keys.list_of(queue), keys.deliveries(queue), keys.delayed(queue), keys.running(queue)),
        (delivery_id, message),
    )


def find_lost(queue: str, pool: str, *, grace_s: float, silent_s: float, most: int = 100) -> Call:
    """Finds deliveries that should have a message: `[id, time limit in seconds, …]`."""
    held = keys.PREFIX + keys.unacked(pool)
    return Call(
        "find_lost",
        (keys.list_of(queue), keys.deliveries(queue), held, keys.delayed(queue), keys.running(queue)),
        (keys.PREFIX, grace_s, most, silent_s),
    )


def end_job(job_id: str, state: State, *, keep: int) -> Call:
    """Ends a job that has no outcome: CANCELLED, or EXPIRED where it waited too long."""
    return Call("end_job", (keys.job(job_id),), (keys.PREFIX, job_id, state, keep))


def watch(job_id: str) -> Call:
    """Asks for an event on the job's next changes, and reads its record."""
    return Call("watch", (keys.job(job_id), keys.EXPIRING), (job_id,))


def progress(jobs: Mapping[str, int], told: bytes) -> Call:
    """How far the running attempts (job -> attempt) have come, as encoded."""
    return Call("progress", (), (keys.PREFIX, told, *(part for one in jobs.items() for part in one)))


def chunks(job_id: str, attempt: int, run: str, found: Sequence[Chunk], *, keep: int, ttl: int) -> Call:
    """What a running attempt has yielded since the call before; `run` is of one process. Of all of its chunks `keep` are kept, the newest."""
    arguments: list[str | bytes | int] = []
    for chunk in found:
        arguments += (chunk.index, chunk.row, chunk.text)
    return Call("chunks", (keys.job(job_id), keys.chunks(job_id)), (keys.event(job_id), attempt, run, keep, ttl, *arguments))


def reschedule_parent(parent: str, again_s: float | None) -> Call:
    """A parent was looked at, and is to be looked at again after `again_s` seconds, or only when a child ends (None)."""
    return Call("reschedule_parent", (keys.FOLLOWUPS,), (parent, "" if again_s is None else again_s))


def reserve(held: tuple[str, str], tag: str, message: str, now: float) -> Call:
    """A worker holds a message; `held` are the keys of the hash of those and of its index. `now` is by its own clock, as kombu has it."""
    return Call("reserve", held, (tag, message, now))


def ack(held: tuple[str, str], tag: str) -> Call:
    """A worker has ended with a message."""
    return Call("ack", held, (tag,))
