"""Runs of pipelines: what each is to do, which of its steps have ended, and the values that they answered."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any, Final

import orjson
import redis.asyncio

from app.core.codec import unpack
from app.core.errors import PayloadLost
from app.core.handlers import as_tensor, from_tensor
from app.core.jobs import Job, State
from app.core.pipelines import PIPELINE, Pipeline
from app.core.tensors import Tensor
from app.store import keys, scripts
from app.store.blobs import blobs
from app.store.records import decode

VALUE: Final = "value"
"""The field of a step's result that holds what it answered."""


@dataclass(frozen=True, slots=True)
class Target:
    """Where a step runs: the pool, and of a model the version that was meant when the run began."""

    pool: str
    name: str = ""
    version: str = ""


@dataclass(frozen=True, slots=True)
class Settled:
    """A step that has ended well, or was skipped. `count` branches of one with `each`; None is a single step."""

    skipped: bool = False
    count: int | None = None


@dataclass(slots=True)
class Run:
    """`settled` steps by name. `counts` has those that were begun: as many branches, or None."""

    job: Job
    pipeline: Pipeline
    targets: dict[str, Target]
    settled: dict[str, Settled] = field(default_factory=dict)
    counts: dict[str, int | None] = field(default_factory=dict)

    def part(self, step: str, index: int | None) -> str:
        """The id of the job of a step, or of a branch of it: the same whoever submits it."""
        return part(self.job.id, step, index)

    def parts(self, step: str, count: int | None) -> list[str]:
        return [self.part(step, None)] if count is None else [self.part(step, index) for index in range(count)]


def part(id: str, step: str, index: int | None) -> str:
    return f"{id}-{step}" if index is None else f"{id}-{step}-{index}"


def parent(id: str) -> str:
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
    webhook: bytes = b"",
    inherited: Iterable[tuple[str, str]] = (),
) -> bool:
    """False where there is a job of that id. `inherited` parts (theirs, ours) of another run are not done again."""
    packed = await asyncio.to_thread(blobs().keep, orjson.dumps(plan), ttl)
    taken = (one for pair in inherited for one in pair)
    call = scripts.Call(
        "start_pipeline",
        (keys.job(id), keys.JOBS, keys.pipeline(id), keys.FOLLOWUPS),
        (keys.PREFIX, id, spec, expires_s, ttl, webhook, packed, inputs, parent(id), *taken),
    )
    status, _ = await scripts.run_async(client, call)
    return bool(status == b"ok")


def packed_inputs(inputs: dict[str, Any]) -> bytes:
    """As `keep_inputs` takes them. Raises InvalidInput if they are not JSON."""
    return bytes(as_tensor("inputs", inputs).data)


async def keep_inputs(packed: bytes, ttl: int) -> bytes:
    """As `begin` takes them, and another run may take over."""
    return await asyncio.to_thread(blobs().keep, packed, ttl)


async def read(client: redis.asyncio.Redis, id: str) -> tuple[Run, bytes] | None:
    """A run, and its inputs as they are kept. None where there is none, or no longer."""
    async with client.pipeline(transaction=False) as pipe:
        pipe.hgetall(keys.job(id))
        pipe.hgetall(keys.pipeline(id))
        record, fields = await pipe.execute()
    job = decode(id, record)
    if job is None or b"plan" not in fields:
        return None
    plan = orjson.loads(await asyncio.to_thread(blobs().fetch, fields[b"plan"]))
    settled = {step: Settled(**found) for step, found in _of(fields, "step:")}
    targets = {step: Target(*found) for step, found in plan["targets"].items()}
    return Run(job, Pipeline.from_dict(plan["name"], plan["pipeline"]), targets, settled, dict(_of(fields, "count:"))), fields[b"inputs"]


async def plan(client: redis.asyncio.Redis, id: str) -> dict[str, Any]:
    """As `begin` takes it. Raises PayloadLost."""
    kept: Any = await client.hget(keys.pipeline(id), "plan")
    found: dict[str, Any] = orjson.loads(await asyncio.to_thread(blobs().fetch, kept))
    return found


async def settle(client: redis.asyncio.Redis, id: str, step: str, how: Settled) -> None:
    await client.hset(keys.pipeline(id), f"step:{step}", orjson.dumps(asdict(how)))


async def count(client: redis.asyncio.Redis, id: str, step: str, branches: int | None) -> None:
    """A step is begun."""
    await client.hset(keys.pipeline(id), f"count:{step}", orjson.dumps(branches))


async def branches(client: redis.asyncio.Redis, id: str, step: str, branches: int | None) -> tuple[int, int | None, list[int]]:
    """Of a step that was begun: how many branches have succeeded, one that ended otherwise, and those that were never submitted."""
    call = scripts.Call("branches", (), (keys.PREFIX, part(id, step, None), "" if branches is None else branches))
    done, bad, *missing = await scripts.run_async(client, call)
    return done, None if bad < 0 else bad, missing


async def states(client: redis.asyncio.Redis, ids: Sequence[str]) -> list[State | None]:
    """None where there is no such job."""
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hget(keys.job(id), "state")
        return [State(found.decode()) if found else None for found in await pipe.execute()]


async def inputs(client: redis.asyncio.Redis, id: str) -> dict[str, Any]:
    """Raises PayloadLost."""
    kept: Any = await client.hget(keys.pipeline(id), "inputs")
    return unpacked_inputs(await asyncio.to_thread(blobs().fetch, kept))


def unpacked_inputs(kept: bytes) -> dict[str, Any]:
    return from_tensor(Tensor("inputs", "BYTES", (1,), kept))


async def values(client: redis.asyncio.Redis, ids: Sequence[str]) -> list[Any]:
    """What the jobs of steps answered. Raises PayloadLost."""
    async with client.pipeline(transaction=False) as pipe:
        for id in ids:
            pipe.hget(keys.job(id), "result")
        found = await pipe.execute()
    return await asyncio.to_thread(lambda: [value_of(id, kept) for id, kept in zip(ids, found, strict=True)])


def value_of(id: str, kept: bytes | None) -> Any:
    """From the result of a step's job. Reads the blob, where it is one. Raises PayloadLost."""
    if kept is None:
        raise PayloadLost(f"the result of {id} is gone: results are kept for a while only")
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
