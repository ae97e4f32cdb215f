"""/v1/trainings: from a table to a new version of a model. A training is a job; here it is submitted, and shown with what it is waiting for."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.http import params as query
from app.api.http import sse as stream
from app.api.http.bodies import known, read_object
from app.api.http.idempotency import by_key
from app.api.routes.jobs import answer, waiting
from app.api.schemas import trainings as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.schemas.serializers import present
from app.api.server.plain_route import PlainRoute
from app.broker import names, submission
from app.core.errors import InvalidInput, JobNotFound, QueueFull
from app.core.jobs import Job, State, new_id
from app.core.trainers import ESTIMATORS, METRICS
from app.core.trainings import KIND, Bounds, Training
from app.core.webhooks import JobWebhook
from app.services.jobs import Gateway, gateway
from app.services.webhook_fields import job_webhook
from app.settings import Settings
from app.store import jobs, sources, trainings

router = APIRouter(prefix="/v1", tags=["trainings"], route_class=PlainRoute, responses=PROBLEMS)
_LARGEST: Final = 64 << 10


@router.get("/trainers", **schemas.TRAINERS)
async def trainers(request: Request) -> Response:
    """What can be named as a trainer, beside the workers' own, with the parameters that may be set and the metrics that are measured."""
    listed = [
        {"name": name, "kind": one.kind, "estimator": one.path, "params": one.params, "metrics": METRICS[one.kind]}
        for name, one in ESTIMATORS.items()
    ]
    return answer({"items": listed})


@router.post("/trainings", **schemas.SUBMIT)
async def submit(request: Request) -> Response:
    """Submits a training.

    Answers 202 once it is durable. Its outcome is a new version of the model, which `production` is moved to if it passes `promote_if`.
    With an `Idempotency-Key`, a request that is sent again gets the training of the first.
    """
    here = gateway(request)
    body = await read_object(request, _LARGEST)
    named = by_key(request, body)
    training, told = parse(body, here.settings)
    await asyncio.to_thread(_look, training)
    more = {"id": named.id, "fingerprint": named.fingerprint} if named else {"id": new_id(time.time())}
    id, new = await begin(here, training, webhook=told, **more)
    job = await here.job(id)
    if named and not new and job.fingerprint != named.fingerprint:
        raise named.conflict
    return answer(await _shown(here, job), 202, {"location": f"/v1/trainings/{id}", "retry-after": "1"})


def parse(body: dict[str, Any], known: Settings) -> tuple[Training, JobWebhook | None]:
    """What is to be trained, and who is told of it. Raises InvalidInput that names the field."""
    bounds = Bounds(known.training_pool, known.training_time_limit_s, known.training_max_fits, custom=bool(known.imports.strip()))
    asked = {name: value for name, value in body.items() if value is not None and name != "webhook"}
    return Training.parse(asked, bounds), job_webhook(body, known)


async def begin(here: Gateway, training: Training, *, id: str, **more: Any) -> tuple[str, bool]:
    """Submits it as the job `id`, once. `more` is of a `submission.Submission`. Returns the id, and whether it is new. Raises QueueFull."""
    if (reason := here.full()) and await jobs.read(here.redis, id, whole=False) is None:
        raise QueueFull(reason)
    await trainings.add(here.redis, id, here.settings.max_trainings)
    spec = training.as_dict()
    request = {name: value for name, value in spec.items() if value not in ({}, [], None)}
    one = submission.Submission(
        KIND,
        spec,
        names.bulk(training.pool),
        id=id,
        subject=(training.model, ""),
        limit_s=training.time_limit_s,
        request=request,
        **more,
    )
    return await submission.submit(here.redis, one)


@router.get("/trainings", **schemas.LIST)
async def listed(request: Request) -> Response:
    """The newest trainings first, by state and model; `next` is the cursor of the following page, null on the last."""
    here, asked = gateway(request), request.query_params
    known(asked, "state", "model", "limit", "cursor")
    limit, state, model = query.whole(asked.get("limit", "20"), "limit", 1, 100), asked.get("state"), asked.get("model")
    if state not in (None, *State):
        raise InvalidInput(f"state is {state!r}: one of {', '.join(State)}", pointer="/state")

    def wanted(job: Job) -> bool:
        return job.work == KIND and state in (None, job.state) and model in (None, job.model)

    try:
        found, following = await trainings.page(here.redis, wanted, asked.get("cursor"), limit)
    except ValueError:
        raise InvalidInput(f"cursor is {asked['cursor']!r}: give the `next` of the page before", pointer="/cursor") from None
    return answer({"items": [await _shown(here, job) for job in found], "next": following})


@router.get("/trainings/{id}", **schemas.READ)
async def read(request: Request) -> Response:
    """One training. `?wait=20` holds the answer until it has ended or the seconds are over."""
    here = gateway(request)
    job = await _found(here, request)
    job = await here.wait(job.id, waiting(request, here)[1])
    return answer(await _shown(here, job), 200, None if job.state.final else {"retry-after": "1"})


@router.delete("/trainings/{id}", **schemas.CANCEL)
async def cancel(request: Request) -> Response:
    """Cancels a training that has not ended: it leaves no version. One that has ended stays as it is."""
    here = gateway(request)
    job = await _found(here, request)
    return answer(await _shown(here, await here.cancel(job.id)))


@router.get("/trainings/{id}/events", **schemas.EVENTS)
async def events(request: Request) -> Response:
    """Server-sent events `queued`, `start` (again with each progress) and `completed`, each with the training."""
    here = gateway(request)
    job = await _found(here, request)
    return stream.answer(here, job.id, stream.last_seen(request))


async def _found(here: Gateway, request: Request) -> Job:
    id = request.path_params["id"]
    job = await here.job(id)
    if job.work != KIND:
        raise JobNotFound(f"the job {id!r} is no training: ask /v1/jobs/{id}")
    return job


async def _shown(here: Gateway, job: Job) -> dict[str, Any]:
    found = present(job, await here.place(job) if job.state is State.QUEUED else None)
    pool = names.pool_of(job.queue)
    if job.state is State.QUEUED and not here.catalogue.living(pool):
        found["waits_for"] = f"a worker of the pool {pool!r}, of which there is none: start one, as `celeriac up --training` does"
    return found


def _look(training: Training) -> None:
    """Raises FileNotFound or InvalidInput, at once and not only when a worker has it."""
    source = sources.parse(training.dataset, "/dataset")
    if not source.url:
        with sources.reading(source, "/dataset"):
            return
