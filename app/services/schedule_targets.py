"""What a schedule can run: how its request is checked, how it begins under an id of ours, and what became of it."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

from app.api.routes import batches, trainings
from app.api.routes.jobs import deadline
from app.services import pipelines as pipeline_runs
from app.services.batch_requests import order_of
from app.services.jobs import Gateway
from app.services.webhook_fields import job_webhook
from app.store import batches as batch_records
from app.store import jobs

State = tuple[str, dict[str, Any] | None]
"""The state of a run in the words of its kind, and its error."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`check` raises for a request that is wrong. `begin` submits it under the id that is given, once, and returns the one that it
    is known by. `state` is None where the run is no longer known."""

    check: Callable[[Gateway, dict[str, Any]], Awaitable[object]]
    begin: Callable[[Gateway, dict[str, Any], str], Awaitable[str]]
    state: Callable[[Gateway, str], Awaitable[State | None]]


async def _check_training(here: Gateway, request: dict[str, Any]) -> None:
    trainings.parse(request, here.settings)


async def _train(here: Gateway, request: dict[str, Any], id: str) -> str:
    training, told = trainings.parse(request, here.settings)
    await trainings.begin(here, training, id=id, webhook=told)
    return id


async def _batch(here: Gateway, request: dict[str, Any], id: str) -> str:
    batch = f"batch_{id}"
    await batches.begin(here, await order_of(here, request), batch)
    return batch


async def _batched(here: Gateway, id: str) -> State | None:
    batch = await batch_records.read(here.redis, id)
    if batch is None:
        return None
    first = next(iter(batch.errors), None)
    return batch.status, {"code": first["code"], "detail": first["message"]} if first else None


async def _check_pipeline(here: Gateway, request: dict[str, Any]) -> None:
    await pipeline_runs.order_of(here, request)
    deadline(request, here)
    job_webhook(request, here.settings)


async def _pipeline(here: Gateway, request: dict[str, Any], id: str) -> str:
    order = await pipeline_runs.order_of(here, request)
    deadline_s = deadline(request, here)
    await pipeline_runs.begin(here, order, id=id, deadline_s=deadline_s, webhook=job_webhook(request, here.settings))
    return id


async def _job(here: Gateway, id: str) -> State | None:
    job = await jobs.read(here.redis, id, whole=False)
    return (job.state, job.error) if job else None


KINDS: Final = {
    "training": Kind(_check_training, _train, _job),
    "batch": Kind(order_of, _batch, _batched),
    "pipeline": Kind(_check_pipeline, _pipeline, _job),
}
