"""/v1/jobs: submit, read, wait, list, cancel and watch predictions that are answered later."""

from __future__ import annotations

from typing import Any

import orjson
from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.http import params as query
from app.api.http import sse as stream
from app.api.http.bodies import known, read_submission
from app.api.http.idempotency import Named, by_id, by_key
from app.api.http.preferences import Preference, preference
from app.api.http.reading import Large, rows
from app.api.schemas import jobs as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.schemas.serializers import present, whole
from app.api.server.plain_route import PlainRoute
from app.core.errors import InvalidInput
from app.core.inputs import asked_of, from_rows
from app.core.jobs import CHOSEN_ID, Job, State
from app.core.models import ModelRef
from app.core.pipelines import PIPELINE
from app.services import pipelines as pipeline_runs
from app.services.jobs import Gateway, gateway
from app.services.webhook_fields import job_webhook
from app.store import jobs

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=PlainRoute, responses=PROBLEMS)


def answer(body: Any, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    return Response(orjson.dumps(body), status, headers, "application/json")


@router.post("", **schemas.SUBMIT)
async def submit(request: Request) -> Response:
    """Submits a prediction, or a run of a pipeline.

    Answers 202 once it is durable, or 200 with the ended job where the caller waits for it. With `Accept: text/event-stream` the
    answer is the job's events instead, as they come. With an `Idempotency-Key`, a request that is sent again gets the job of the first.
    """
    body = await read_submission(request)
    return await _submit(request, body, by_key(request, body))


@router.put("/{id}", **schemas.PUT)
async def put(request: Request) -> Response:
    """Submits a prediction, or a run of a pipeline, under an id that the caller chose.

    The same again gets the same job; another payload is a conflict.
    """
    body = await read_submission(request)
    return await _submit(request, body, by_id(request.path_params["id"], body))


async def _submit(request: Request, body: dict[str, Any], named: Named | None) -> Response:
    here = gateway(request)
    wanted, wait = waiting(request, here)
    watched = stream.wanted(request)
    wait = 0 if watched else wait
    if "pipeline" in body:
        job = await pipeline_runs.submit(here, body, named, deadline_s=deadline(body, here), webhook=job_webhook(body, here.settings))
        job = await here.wait(job.id, wait)
    else:
        job = await _predict(here, body, named, wait)
    if watched:
        return stream.answer(here, job.id)
    if not job.state.final:
        return await accepted(here, job, wanted)
    headers = {"location": f"/v1/jobs/{job.id}", **wanted.applied(late=False)}
    return answer(await whole(here.offload, job, classes=here.catalogue.classes(job)), 200, headers)


async def _predict(here: Gateway, body: dict[str, Any], named: Named | None, wait: float) -> Job:
    known(body, "model", "inputs", "method", "deadline_s", "webhook")
    manifest = await here.catalogue.serving(_model(body))
    outputs = asked_of(body, manifest)
    given = body.get("inputs")
    if isinstance(given, Large):
        inputs = await here.offload.run(len(given.content), rows, given.content, manifest)
    else:
        inputs = from_rows(manifest, given)
    told = job_webhook(body, here.settings)
    return await here.submit(manifest, inputs, outputs, deadline_s=deadline(body, here), wait_s=wait, named=named, webhook=told)


async def accepted(here: Gateway, job: Job, wanted: Preference) -> Response:
    """The answer to a caller who does not wait, or no longer: the job, its place in the queue, and where to ask for it."""
    place = await here.place(job) if job.state is State.QUEUED else None
    headers = {"location": f"/v1/jobs/{job.id}", "retry-after": "1", **wanted.applied(late=True)}
    return answer(present(job, place), 202, headers)


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """The newest jobs first, by state and model; `next` is the cursor of the following page, null on the last."""
    here, asked = gateway(request), request.query_params
    known(asked, "state", "model", "limit", "cursor")
    limit = query.whole(asked.get("limit", "20"), "limit", 1, 100)
    state, model, cursor = asked.get("state"), asked.get("model"), asked.get("cursor")
    if state not in (None, *State):
        raise InvalidInput(f"state is {state!r}: one of {', '.join(State)}", pointer="/state")
    if cursor is not None and not CHOSEN_ID.fullmatch(cursor):
        raise InvalidInput(f"cursor is {cursor!r}: give the `next` of the page before", pointer="/cursor")
    page, following = await jobs.page(here.redis, cursor, limit, model, State(state) if state else None)
    return answer({"items": [present(job) for job in page], "next": following})


@router.get("/{id}", **schemas.READ)
async def read(request: Request) -> Response:
    """One job. `?wait=20` holds the answer until it has ended or the seconds are over. That of a pipeline tells its steps."""
    here = gateway(request)
    results = query.truth(request, "results")
    job = await here.wait(request.path_params["id"], waiting(request, here)[1])
    place = await here.place(job) if job.state is State.QUEUED else None
    steps = {"steps": await pipeline_runs.steps(here, job, results=results)} if job.work == PIPELINE else {}
    found = await whole(here.offload, job, place, here.catalogue.classes(job))
    return answer(found | steps, 200, None if job.state.final else {"retry-after": "1"})


@router.post("/{id}/retry", **schemas.RETRY)
async def retry(request: Request) -> Response:
    """Runs a pipeline that has failed, expired or was cancelled again, as another job: only the steps that have not succeeded."""
    job = await pipeline_runs.again(gateway(request), request.path_params["id"])
    return answer(present(job), 202, {"location": f"/v1/jobs/{job.id}", "retry-after": "1"})


@router.delete("/{id}", **schemas.CANCEL)
async def cancel(request: Request) -> Response:
    """Cancels a job that has not ended; one that has stays as it is."""
    return answer(present(await gateway(request).cancel(request.path_params["id"])))


@router.get("/{id}/events", **schemas.EVENTS)
async def events(request: Request) -> Response:
    """Server-sent events `queued`, `start`, `progress`, `completed`, each with the job object, and `output` with each piece that the
    model yields: `{chunk, index, row, attempt}`.

    `queued` comes again now and then, with the place. `Last-Event-ID` goes on where a stream broke off. The index jumps where older pieces are no longer kept, and is 0 again where
    another attempt begins.
    """
    here, id = gateway(request), request.path_params["id"]
    await here.job(id)
    return stream.answer(here, id, stream.last_seen(request))


def waiting(request: Request, here: Gateway) -> tuple[Preference, float]:
    """What the caller prefers, and for how many seconds the answer may be held: the query goes before the header."""
    longest = here.settings.max_wait_s
    wanted, asked = preference(request, longest), query.wait_s(request, longest)
    return wanted, (wanted.wait_s or 0.0) if asked is None else asked


def _model(body: dict[str, Any]) -> ModelRef:
    text = body.get("model")
    if not isinstance(text, str):
        raise InvalidInput('model is missing: name one, as in {"model": "digits@production"}', pointer="/model")
    return ModelRef.parse(text)


def deadline(body: dict[str, Any], here: Gateway) -> float:
    """The seconds that the job may wait. Raises InvalidInput."""
    seconds = body.get("deadline_s")
    if seconds is None:
        return here.settings.default_deadline_s
    if isinstance(seconds, bool) or not isinstance(seconds, int | float) or not 0 < seconds <= here.settings.job_ttl_s:
        raise InvalidInput(
            f"deadline_s is {seconds!r}: give the seconds that the job may wait, up to {here.settings.job_ttl_s}", pointer="/deadline_s"
        )
    return float(seconds)
