"""The Lua scripts, which alone change job records, and the arguments of each. Only `run` and `run_async` need a connection."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

import orjson
import redis
import redis.asyncio
from redis.exceptions import NoScriptError

from app.core.api_keys import DEFAULT_OWNER
from app.core.codec import pack
from app.core.deliveries import Delivery, Outcome, pack_reply
from app.core.jobs import State
from app.core.metering import DAY_S, Meter
from app.core.rate_limits import Charge
from app.core.tokens import Token
from app.core.traces import TraceContext
from app.store import keys, rate_limits
from app.store.blobs import Blobs
from app.store.records import encode_error

_KEY: Final = re.compile(r"\bkeys\.(\w+)")
_FUNCTIONS: Final = {
    "audit": "audit",
    "rate_limits": "rate_limits",
    "pauses": "paused_model|keep_paused",
    "backlog": "place|release|forward",
    "usage": "open_job|close_job|correct|add_run",
    "stats": "tally|add_figures",
    "metering": "add_usage",
    "traces": "is_exported|export_traces",
    "concurrency": "check_types|decide|enter|leave|admit|close",
}
_CALLS: Final = {name: re.compile(rf"\b({functions})\(") for name, functions in _FUNCTIONS.items()}
"""Calls of the functions of each library."""


def _with_keys(text: str) -> str:
    """Add the table `keys` to a script: what `keys.py` names, or for a function the part before its argument (`keys.job .. id`)."""
    spelled = {name: getattr(keys, name) for name in sorted(set(_KEY.findall(text)))}
    fields = ", ".join(f"{name} = '{key if isinstance(key, str) else key('')}'" for name, key in spelled.items())
    # On the script's first line, so that line numbers in Redis' errors stay those of the file.
    return f"local keys = {{{fields}}} {text}" if fields else text


def _library(name: str) -> str:
    """Return the functions of a library in one line, without comments."""
    return " ".join(re.sub("--.*", "", _FILES.pop(name)).split())


def _with_libraries(text: str) -> str:
    """Add the libraries whose functions a script calls, in its first line. A library may call the functions of those before it."""
    for name in reversed(_CALLS):
        if _CALLS[name].search(text):
            text = f"{_LIBRARIES[name]} {text}"
    return text


_FILES: Final = {file.name.removesuffix(".lua"): file.read_text() for file in files("app.store").iterdir() if file.name.endswith(".lua")}
_LIBRARIES: Final = {name: _library(name) for name in _CALLS}
_TEXT: Final = {name: _with_keys(_with_libraries(text)) for name, text in _FILES.items()}
_SHA: Final = {name: hashlib.sha1(text.encode(), usedforsecurity=False).hexdigest() for name, text in _TEXT.items()}

Entry = tuple[bytes, str, int, int]
"""An entry of the audit log for a script: text, digest, most entries, milliseconds to keep them."""
NO_ENTRY: Final[Entry] = (b"", "", 0, 0)

_NO_BLOBS: Final = Blobs(None, 0, 0)
_REPLY_TTL_S: Final = 60


@dataclass(frozen=True, slots=True)
class Call:
    """One run of a script."""

    script: str
    keys: tuple[str, ...]
    arguments: tuple[str | bytes | int | float, ...]


def command(call: Call) -> tuple[str | bytes | int | float, ...]:
    """Return the command with the text of the script, for a connection whose answers are not awaited: Redis may not know the script."""
    return ("EVAL", _TEXT[call.script], len(call.keys), *call.keys, *call.arguments)


def run(client: redis.Redis, call: Call) -> Any:
    """Run a script and return its answer."""
    try:
        return client.evalsha(_SHA[call.script], len(call.keys), *call.keys, *call.arguments)
    except NoScriptError:
        return client.eval(_TEXT[call.script], len(call.keys), *call.keys, *call.arguments)


async def run_async(client: redis.asyncio.Redis, call: Call) -> Any:
    """Run a script and return its answer."""
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
    owners: Sequence[str] = (),
    charges: Sequence[Charge | None] = (),
    shares: bytes = b"",
    target: int = 0,
    concurrency: bytes = b"",
    model: str = "",
    series: str = "",
    traces: Sequence[TraceContext | None] = (),
) -> Call:
    """Put a delivery into the queue, with the records of its jobs.

    Args:
        queue: The queue.
        message: The Celery message.
        delivery: The delivery. Its jobs get records if it is recorded.
        specs: The encoded spec of each job.
        waits: The seconds that each job may wait.
        webhooks: The encoded webhook of each job, or empty.
        attempts: How often a job is tried at most.
        limit_s: The time limit of an attempt.
        max_queue: The limit of deliveries in the queue.
        ttl: Seconds to keep a record after its deadline, or the body of a delivery without records.
        body: The packed delivery, if the caller has packed it already. Without records, only if the message leaves it out.
        parent: The parent that becomes due when one of the jobs ends, or empty.
        owners: The owner of each job (default: the default owner).
        charges: What each job takes from rate limits, or None.
        shares: The encoded cost of the delivery for each owner. Without them it never waits in the backlog.
        target: The length of the queue above which deliveries wait in the backlog.
        concurrency: The encoded concurrency key of a delivery of one job, or empty.
        model: The model that the delivery uses. If it is paused, a delivery with a record waits until it is resumed.
        series: The series that the jobs are counted in, or empty.
        traces: The trace context of each job, or None (default: none has one).
    """
    jobs: list[str | bytes | float] = []
    if delivery.recorded:
        owners = owners or [DEFAULT_OWNER] * len(delivery.jobs)
        traces = traces or [None] * len(delivery.jobs)
        for id, spec, wait, webhook, owner, trace in zip(delivery.jobs, specs, waits, webhooks, owners, traces, strict=True):
            jobs += (id, spec, wait, webhook, owner, trace.encode() if trace else "")
    if delivery.recorded:
        body = body or delivery.pack()
    return Call(
        "submit",
        (keys.list_of(queue), keys.counts(queue), keys.JOBS, keys.delivery(delivery.id), keys.deliveries(queue)),
        (
            queue,
            max_queue,
            message,
            body,
            ttl,
            attempts,
            limit_s,
            delivery.id,
            parent,
            rate_limits.encode(charges),
            shares,
            target,
            concurrency,
            model if delivery.recorded else "",
            series,
            *jobs,
        ),
    )


def charge(charged: Charge) -> Call:
    """Charge the rate limits of a request that does not enter a queue."""
    return Call("charge", (), (rate_limits.encode([charged]),))


def start(queue: str, delivery_id: str, worker: str, *, keep: int, silent_s: float) -> Call:
    """Start the jobs of a recorded delivery, unless a process with a heartbeat within `silent_s` runs them or its model is paused."""
    return Call("start", (keys.delivery(delivery_id), keys.running(queue)), (delivery_id, worker, keep, silent_s, queue))


def finish(
    queue: str,
    delivery: Delivery,
    outcomes: Sequence[Outcome],
    *,
    keep: int,
    keep_dead: int,
    max_dead: int,
    blobs: Blobs = _NO_BLOBS,
    pool: str = "",
    meter: Meter | None = None,
    input_bytes: int = 0,
) -> Call:
    """Record the outcomes of a delivery's jobs and notify the API process that waits. A failed job leaves a dead letter with its input.

    With a `meter`, the run counts as usage of the jobs' owners in the pool. The inputs of predictions are kept as long as the records
    if they have at most `input_bytes` for each job.
    """
    jobs: list[str | bytes | int | float] = []
    if delivery.recorded:
        places = {job: at for at, job in enumerate(delivery.jobs)}
        for outcome in outcomes:
            state, letter = State.SUCCEEDED, b""
            if outcome.error is None:
                data = blobs.keep(pack({}, outcome.outputs), keep)
            else:
                state, data = State.FAILED, encode_error(outcome.error)
                # Other tasks than predictions are retried by their parent, or as a whole.
                letter = b"" if delivery.work else blobs.keep_delivery(delivery.only([places[outcome.job]]), keep_dead)
            rows = delivery.rows[places[outcome.job]] if outcome.rows is None else outcome.rows
            jobs += (outcome.job, outcome.attempt, state, data, letter, outcome.traceback, outcome.logs, rows, outcome.share)
    channel = keys.reply(delivery.reply) if delivery.reply and outcomes else ""
    reply = blobs.keep(pack_reply(delivery, outcomes), _REPLY_TTL_S) if channel else b""
    spans = outcomes[0].spans if delivery.recorded and outcomes else ""
    size = sum(len(tensor.data) for tensor in delivery.inputs)
    kept = delivery.recorded and not delivery.work and 0 < size <= input_bytes * len(delivery.jobs)
    return Call(
        "finish",
        (keys.delivery(delivery.id), keys.deliveries(queue), keys.DEAD, keys.running(queue)),
        (
            delivery.id,
            keep,
            channel,
            reply,
            _REPLY_TTL_S,
            keep_dead,
            max_dead,
            queue,
            *_usage(delivery, pool, meter),
            spans,
            int(kept),
            *jobs,
        ),
    )


def _usage(delivery: Delivery, pool: str, meter: Meter | None) -> tuple[str | bytes | int | float, ...]:
    """Return what `finish` gets to count a run as usage."""
    if meter is None or not delivery.recorded:
        return (b"", pool, "", "", 0, 0)
    rows = orjson.dumps(delivery.rows_of()) if meter.days else b""
    return (rows, pool, delivery.model, meter.prices.get(pool, ""), meter.max_series, meter.days * DAY_S)


def requeue(
    queue: str,
    delivery_id: str,
    retries: Sequence[tuple[Delivery, bytes, float, int]],
    *,
    ttl: int,
    give_back: bool,
    blobs: Blobs = _NO_BLOBS,
) -> Call:
    """Move jobs of a recorded delivery to new deliveries of one job each.

    Args:
        queue: The queue.
        delivery_id: The delivery that ran.
        retries: For each new delivery: (delivery, message, seconds of delay, attempt that ended).
        ttl: Seconds to keep the new deliveries.
        give_back: Do not count the attempt that ended.
        blobs: Where large bodies are stored.
    """
    arguments: list[str | bytes | float] = []
    for delivery, message, delay, attempt in retries:
        arguments += (delivery.id, blobs.keep_delivery(delivery, ttl), message, delay, delivery.jobs[0], attempt)
    return Call(
        "requeue",
        (keys.delivery(delivery_id), keys.deliveries(queue), keys.delayed(queue), keys.counts(queue)),
        (ttl, int(give_back), queue, *arguments),
    )


def postpone(queue: str, delivery_id: str, jobs: Sequence[str], delay_s: float) -> Call:
    """Return a delivery to the queue after a delay. The start of these jobs does not count."""
    return Call(
        "postpone",
        (keys.delivery(delivery_id), keys.deliveries(queue), keys.delayed(queue), keys.running(queue), keys.counts(queue)),
        (delivery_id, delay_s, *jobs),
    )


def enqueue(queue: str, delivery_id: str, message: bytes) -> Call:
    """Put a message for a recorded delivery into the queue."""
    return Call(
        "enqueue",
        (keys.delivery(delivery_id), keys.deliveries(queue), keys.delayed(queue), keys.running(queue)),
        (delivery_id, message, queue),
    )


def find_lost(queue: str, pool: str, *, grace_s: float, silent_s: float, most: int = 100) -> Call:
    """Find deliveries that need a message and have none. The answer is `[id, time limit in seconds, …]`."""
    held = keys.PREFIX + keys.unacked(pool)
    return Call(
        "find_lost",
        (keys.list_of(queue), keys.deliveries(queue), held, keys.delayed(queue), keys.running(queue)),
        (grace_s, most, silent_s),
    )


def end_job(job_id: str, state: State, *, keep: int, owner: str | None = None, caller: str = "", entry: Entry = NO_ENTRY) -> Call:
    """End a job without an outcome: CANCELLED, or EXPIRED if it waited too long. With an `owner`, the job of another one does not exist.

    The answer is the state before. The entry is written if the job was ended and belongs to another owner than `caller`.
    """
    return Call("end_job", (keys.job(job_id),), (job_id, state, keep, owner or "", DEFAULT_OWNER, caller, *entry))


def watch(job_id: str, *, owner: str | None = None) -> Call:
    """Have the next changes of a job published, and return its record. With an `owner`, the job of another one does not exist."""
    return Call("watch", (keys.job(job_id), keys.EXPIRING), (job_id, owner or "", DEFAULT_OWNER))


def progress(jobs: Mapping[str, int], encoded: bytes, *, at_least: float | None = None) -> Call:
    """Record the encoded progress of running attempts. `jobs` maps each job to its attempt.

    `at_least` is the fraction of this progress if it must not replace a larger one.
    """
    return Call("progress", (), (encoded, "" if at_least is None else at_least, *(part for item in jobs.items() for part in item)))


def tokens(job_id: str, attempt: int, run: str, events: Sequence[Token], *, keep: int, ttl: int) -> Call:
    """Append the stream events that a running attempt has yielded since the call before. The newest `keep` are kept.

    `run` identifies the process that runs the attempt.
    """
    arguments: list[str | bytes | int] = []
    for event in events:
        arguments += (event.index, event.row, event.text)
    return Call("tokens", (keys.job(job_id), keys.tokens(job_id)), (keys.event(job_id), attempt, run, keep, ttl, *arguments))


def reschedule_parent(parent: str, delay_s: float | None) -> Call:
    """Make a parent that was reconciled due after `delay_s` seconds, or only when one of its jobs ends (None)."""
    return Call("reschedule_parent", (keys.RECONCILE,), (parent, "" if delay_s is None else delay_s))


def reserve(held: tuple[str, str], tag: str, message: str, now: float) -> Call:
    """Record that a worker holds a message. `held` are the keys of the hash and its index; `now` is the worker's clock, as in kombu."""
    return Call("reserve", held, (tag, message, now))


def ack(held: tuple[str, str], tag: str) -> Call:
    """Remove a message that a worker has finished."""
    return Call("ack", held, (tag,))
