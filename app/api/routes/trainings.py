"""/v1/trainings: from a table to a new version of a model. A training is a job."""

from __future__ import annotations

from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import Container, container
from app.api.http import sse
from app.api.http.idempotency import by_key
from app.api.http.preferences import waiting
from app.api.http.responses import json_response
from app.api.schemas import trainings as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.schemas.serializers import present
from app.api.server.plain_route import PlainRoute
from app.core import callers
from app.core.jobs import Job, State
from app.core.trainers import ESTIMATORS, METRICS
from app.services.requests.trainings import Training

router = APIRouter(prefix="/v1", tags=["trainings"], route_class=PlainRoute, responses=PROBLEMS)
_MAX_BYTES: Final = 64 << 10


@router.get("/trainers", **schemas.TRAINERS)
async def trainers(request: Request) -> Response:
    """Lists the built-in trainers with their parameters and metrics. Workers may have further ones."""
    items = [
        schemas.Trainer(name=name, kind=trainer.kind, estimator=trainer.path, params=trainer.params, metrics=METRICS[trainer.kind])
        for name, trainer in ESTIMATORS.items()
    ]
    return json_response(schemas.Trainers(items=items))


@router.post("/trainings", **schemas.SUBMIT)
async def submit(request: Request) -> Response:
    """Submits a training.

    Returns 202 once it is durable. Its outcome is a new version of the model. `production` moves to it if it passes `promote_if`.
    With an `Idempotency-Key`, a request that is sent again gets the training of the first.
    """
    root = container(request)
    body = await root.bodies.read_object(request, _MAX_BYTES)
    job = await root.trainings.submit(Training.parse(body), by_key(request, body))
    return json_response(await _present(root, job), 202, {"location": f"/v1/trainings/{callers.shown_id(job.id)}", "retry-after": "1"})


@router.get("/trainings", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists the newest trainings first, by state and model. `next` is the cursor of the next page, null on the last."""
    root, query = container(request), schemas.TrainingsQuery.of(request)
    page, following = await root.trainings.page(query.cursor, query.limit, state=query.state, model=query.model)
    return json_response(schemas.Trainings(items=[await _present(root, job) for job in page], next=following))


@router.get("/trainings/{id}", **schemas.READ)
async def read(request: Request) -> Response:
    """Returns one training. `?wait=20` holds the response until it has ended or the seconds have passed."""
    root = container(request)
    job = await root.trainings.get(request.path_params["id"])
    job = await root.jobs.wait(job.id, waiting(request, root.settings.max_wait_s)[1])
    return json_response(await _present(root, job), 200, None if job.state.final else {"retry-after": "1"})


@router.delete("/trainings/{id}", **schemas.CANCEL)
async def cancel(request: Request) -> Response:
    """Cancels a training that has not ended: it creates no version. One that has ended stays unchanged."""
    root = container(request)
    job = await root.trainings.get(request.path_params["id"])
    return json_response(await _present(root, await root.jobs.cancel(job.id)))


@router.get("/trainings/{id}/events", **schemas.EVENTS)
async def events(request: Request) -> Response:
    """Sends the events of a training until it ends. `queued`, `start`, `progress` and `completed` carry the training."""
    root = container(request)
    job = await root.trainings.get(request.path_params["id"])
    return root.job_responses.stream(job.id, sse.last_event_id(request))


async def _present(root: Container, job: Job) -> schemas.TrainingJob:
    body = present(job, await root.jobs.position(job) if job.state is State.QUEUED else None)
    if "waits_for" not in body and (missing := root.trainings.missing_worker(job)):
        body["waits_for"] = missing
    return body
