"""Pipeline runs: their plan, the steps that have ended, and the values of these steps."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import orjson
import redis.asyncio

from app.core.api_keys import DEFAULT_OWNER
from app.core.codec import unpack
from app.core.errors import PayloadLost
from app.core.handlers import as_tensor, from_tensor
from app.core.jobs import Job, State
from app.core.pipelines import PIPELINE, Pipeline
from app.core.rate_limits import Charge
from app.core.tensors import Tensor
from app.core.traces import TraceContext
from app.store import keys, rate_limits, scripts
from app.store.blobs import blobs
from app.store.records import decode

VALUE: Final = "value"
"""The field of a step's result that holds its value."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a step runs: the pool, and for a model the version resolved when the run started."""

    pool: str
    name: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """A step that succeeded or was skipped. `count` is the number of branches of a step with `each`; None for a single step."""

    skipped: bool = False
    count: int | None = None


@dataclass(slots=True)
class Run:
    """A pipeline run. `settled` holds ended steps by name; `counts` the branches of each started step, None for a single step."""

    job: Job
    pipeline: Pipeline
    targets: dict[str, Target]
    settled: dict[str, Settled] = field(default_factory=dict)
    counts: dict[str, int | None] = field(default_factory=dict)

    def part(self, step: str, index: int | None) -> str:
        """Return the id of the job of a step, or of one of its branches. It is the same for every process."""
        return part(self.job.id, step, index)

    def parts(self, step: str, count: int | None) -> list[str]:
        """Return the ids of all jobs of a step."""
        return [self.part(step, None)] if count is None else [self.part(step, index) for index in range(count)]


def part(id: str, step: str, index: int | None) -> str:
    """Return the id of the job of a step, or of the branch `index`."""
    return f"{id}-{step}" if index is None else f"{id}-{step}-{index}"


def parent(id: str) -> str:
    """Return the name of a run as the parent of jobs."""
    return f"{PIPELINE}:{id}"


async def begin(
    client: redis.asyncio.Redis,
    id: str,
    spec: bytes,
    plan: dict[str, Any],
    inputs: bytes,
    *,
    expires_s: float,
    ttl: int,
    owner: str = DEFAULT_OWNER,
    webhook: bytes = b"",
    inherited: Iterable[tuple[str, str]] = (),
    charge: Charge | None = None,
    trace: TraceContext | None = None,
) -> bool:
    """Start a run. Return False if a job of that id exists. Jobs in `inherited` (theirs, ours) take over results of another run.

    Raises RateLimited if a rate limit does not admit the `charge`.
    """
    packed = await asyncio.to_thread(blobs().keep, orjson.dumps(plan), ttl)
    taken = (id_ for pair in inherited for id_ in pair)
    call = scripts.Call(
        "start_pipeline",
        (keys.job(id), keys.JOBS, keys.pipeline(id), keys.RECONCILE),
        (
            id,
            spec,
            expires_s,
            ttl,
            webhook,
            packed,
            inputs,
            parent(id),
            owner,
            rate_limits.encode([charge]),
            trace.encode() if trace else "",
            *taken,
        ),
    )
    status, *rest = await scripts.run_async(client, call)
    rate_limits.conclude(status, rest, charge)
    return bool(status == b"ok")


def packed_inputs(inputs: dict[str, Any]) -> bytes:
    """Encode inputs for `keep_inputs`. Raises InvalidInput if they are not JSON."""
    return bytes(as_tensor("inputs", inputs).data)


async def keep_inputs(packed: bytes, ttl: int) -> bytes:
    """Store large inputs as a blob. Return what `begin` takes."""
    return await asyncio.to_thread(blobs().keep, packed, ttl)


async def read(client: redis.asyncio.Redis, id: str) -> tuple[Run, bytes] | None:
    """Return a run and its stored inputs, or None if it does not exist or has expired."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.job(id))
        pipe.hgetall(keys.pipeline(id))
        record, fields = await pipe.execute()
    job = decode(id, record)
    if job is None or b"plan" not in fields:
        return None
    plan = orjson.loads(await asyncio.to_thread(blobs().fetch, fields[b"plan"]))
    settled = {step: Settled(**stored) for step, stored in _of(fields, "step:")}
    targets = {step: Target(*stored) for step, stored in plan["targets"].items()}
    return Run(job, Pipeline.from_dict(plan["name"], plan["pipeline"]), targets, settled, dict(_of(fields, "count:"))), fields[b"inputs"]


async def plan(client: redis.asyncio.Redis, id: str) -> dict[str, Any]:
    """Return the plan of a run, as `begin` takes it. Raises PayloadLost."""
    kept: Any = await client.hget(keys.pipeline(id), "plan")
    plan_: dict[str, Any] = orjson.loads(await asyncio.to_thread(blobs().fetch, kept))
    return plan_


def models_of(plan: bytes) -> list[tuple[str, str]]:
    """Return the name and the version of each model in the field `plan` of a run. Raises PayloadLost."""
    targets = orjson.loads(blobs().fetch(plan))["targets"].values()
    return [(name, version) for _, name, version in targets]


async def settle(client: redis.asyncio.Redis, id: str, step: str, how: Settled) -> None:
    """Record that a step has succeeded or was skipped."""
    await client.hset(keys.pipeline(id), f"step:{step}", orjson.dumps(asdict(how)))


async def count(client: redis.asyncio.Redis, id: str, step: str, branches: int | None) -> None:
    """Record that a step has started, with its number of branches (None: a single step)."""
    await client.hset(keys.pipeline(id), f"count:{step}", orjson.dumps(branches))


async def branches(client: redis.asyncio.Redis, id: str, step: str, branches: int | None) -> tuple[int, int | None, list[int]]:
    """Return how many branches of a started step succeeded, the first one that failed or None, and those that were not submitted."""
    call = scripts.Call("branches", (), (part(id, step, None), "" if branches is None else branches))
    done, bad, *missing = await scripts.run_async(client, call)
    return done, None if bad < 0 else bad, missing


async def states(client: redis.asyncio.Redis, ids: Sequence[str]) -> list[State | None]:
    """Return the state of each job, or None for a job that does not exist."""
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hget(keys.job(id), "state")
        return [State(state.decode()) if state else None for state in await pipe.execute()]


async def inputs(client: redis.asyncio.Redis, id: str) -> dict[str, Any]:
    """Return the inputs of a run. Raises PayloadLost."""
    kept: Any = await client.hget(keys.pipeline(id), "inputs")
    return unpacked_inputs(await asyncio.to_thread(blobs().fetch, kept))


def unpacked_inputs(kept: bytes) -> dict[str, Any]:
    """Decode stored inputs that were fetched."""
    return from_tensor(Tensor("inputs", "BYTES", (1,), kept))


async def values(client: redis.asyncio.Redis, ids: Sequence[str]) -> list[Any]:
    """Return the values of the jobs of steps. Raises PayloadLost."""
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hget(keys.job(id), "result")
        results = await pipe.execute()
    return await asyncio.to_thread(lambda: [value_of(id, kept) for id, kept in zip(ids, results, strict=True)])


def value_of(id: str, kept: bytes | None) -> Any:
    """Return the value in the stored result of a step's job. Raises PayloadLost."""
    if kept is None:
        raise PayloadLost(f"The result of {id} is gone: results are kept for a while only.")
    return from_tensor(unpack(blobs().fetch(kept))[1][0])[VALUE]


def _of(fields: Mapping[bytes, bytes], prefix: str) -> Iterator[tuple[str, Any]]:
    for name, text in fields.items():
        if name.startswith(prefix.encode()):
            yield name.decode().removeprefix(prefix), orjson.loads(text)


def read_inputs(client: redis.Redis, run: str) -> bytes | None:
    """Return the packed inputs of a run; None if its record has expired."""
    inputs: Any = client.hget(keys.pipeline(run), "inputs")
    return inputs  # type: ignore[no-any-return]


def read_results(client: redis.Redis, jobs: Sequence[str]) -> list[Any]:
    """Return the packed result of each job; None for one without a result."""
    with client.pipeline(transaction=False) as pipe:
        for job in jobs:
            pipe.hget(keys.job(job), "result")
        return pipe.execute()
