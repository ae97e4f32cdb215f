"""/v1/jobs: submit predictions and pipeline runs, and read, list, cancel and watch them."""

from __future__ import annotations

from typing import Any, cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import Container, container
from app.api.http import params, sse
from app.api.http.headers import media_type
from app.api.http.idempotency import by_id, by_key
from app.api.http.preferences import Preference, waiting
from app.api.http.reading import rows, table
from app.api.http.responses import json_response
from app.api.schemas import diagnosis, job_tables
from app.api.schemas import jobs as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.schemas.serializers import present
from app.api.server.plain_route import PlainRoute
from app.core import callers
from app.core.inputs import from_rows, requested_outputs
from app.core.jobs import Job
from app.core.large_inputs import LargeInputs
from app.core.models import Manifest
from app.core.pipelines import PIPELINE
from app.core.tensors import Tensor
from app.services.identity import JobIdentity, fingerprint
from app.services.requests.jobs import PipelineSubmission, Submission, deadline_s, parse_submission
from app.services.requests.webhooks import job_webhook

router = APIRouter(prefix="/v1/jobs", tags=["jobs"], route_class=PlainRoute, responses=PROBLEMS)


@router.post("", **schemas.SUBMIT)
async def submit(request: Request) -> Response:
    """Submits a prediction, or a run of a pipeline.

    Returns 202 once the job is durable, or 200 with the ended job if the caller waits for it. With `Accept: text/event-stream` the
    response is the stream of the job's events. With an `Idempotency-Key`, a request that is sent again gets the job of the first.
    """
    root = container(request)
    body = await root.bodies.read_submission(request)
    return await _submit(root, request, body, by_key(request, body))


@router.put("/{id}", **schemas.PUT)
async def put(request: Request) -> Response:
    """Submits a prediction, or a run of a pipeline, under an ID that the caller chose.

    The same request again gets the same job. Another payload is a conflict.
    """
    root = container(request)
    body = await root.bodies.read_submission(request)
    return await _submit(root, request, body, by_id(request.path_params["id"], body))


@router.post("/table", **job_tables.TABLE)
async def submit_table(request: Request) -> Response:
    """Submits a prediction whose rows are a table: CSV, JSONL, Parquet or NPY.

    The model and the options are query parameters. The table is read as a batch reads a file, and refused as a whole if one of its rows
    is wrong. Responses are those of POST /v1/jobs.
    """
    root = container(request)
    query = job_tables.TableQuery.of(request)
    content = await root.bodies.read(request, types=job_tables.TABLES)
    identity = by_key(request, fingerprint(query.model_dump(mode="json"), content))
    preferred, wait_s = _waiting(root, request)
    manifest = await root.catalog.serving(query.model)
    outputs = requested_outputs(query.method, manifest)
    tensors = await root.offload.run_apart(table, content, media_type(request), query.options, query.columns, manifest)
    job = await _predict(root, query, manifest, tensors, outputs, wait_s, identity)
    return await _response(root, request, job, preferred)


async def _submit(root: Container, request: Request, body: dict[str, Any], identity: JobIdentity | None) -> Response:
    preferred, wait_s = _waiting(root, request)
    submission = parse_submission(body)
    if isinstance(submission, PipelineSubmission):
        job = await root.pipelines.submit(submission, identity)
        job = await root.jobs.wait(job.id, wait_s)
    else:
        manifest = await root.catalog.serving(submission.model)
        outputs = requested_outputs(submission.method, manifest)
        inputs = submission.inputs
        if isinstance(inputs, LargeInputs):
            tensors = await root.offload.run(len(inputs.content), rows, inputs.content, manifest)
        else:
            tensors = from_rows(manifest, inputs)
        job = await _predict(root, submission, manifest, tensors, outputs, wait_s, identity)
    return await _response(root, request, job, preferred)


def _waiting(root: Container, request: Request) -> tuple[Preference, float]:
    """Return the preference of the caller, and the seconds to wait for the end of the job. A stream of events begins at once."""
    preferred, seconds = waiting(request, root.settings.max_wait_s)
    return preferred, 0.0 if sse.requested(request) else seconds


async def _predict(
    root: Container,
    submission: Submission | job_tables.TableQuery,
    manifest: Manifest,
    tensors: list[Tensor],
    outputs: tuple[str, ...],
    wait_s: float,
    identity: JobIdentity | None,
) -> Job:
    webhook = job_webhook(submission.webhook, root.settings)
    deadline = deadline_s(submission.deadline_s, root.settings)
    concurrency = submission.concurrency.value if submission.concurrency else None
    return await root.jobs.submit(
        manifest,
        tensors,
        outputs,
        deadline_s=deadline,
        wait_s=wait_s,
        identity=identity,
        webhook=webhook,
        tier=submission.service_tier,
        concurrency=concurrency,
    )


async def _response(root: Container, request: Request, job: Job, preferred: Preference) -> Response:
    if sse.requested(request):
        return root.job_responses.stream(job.id)
    return await (root.job_responses.ended(job, preferred) if job.state.final else root.job_responses.accepted(job, preferred))


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists the newest jobs first, by state and model. `next` is the cursor of the next page, null on the last."""
    query = schemas.JobsQuery.of(request)
    page, following = await container(request).jobs.page(query.cursor, query.limit, query.model, query.state)
    return json_response(schemas.Jobs(items=[present(job) for job in page], next=following))


@router.get("/{id}", **schemas.READ)
async def read(request: Request) -> Response:
    """Returns one job. `?wait=20` holds the response until it has ended or the seconds have passed. A pipeline run lists its steps.

    `?details=true` adds the attempts and the inputs. Inputs above `CELERIAC_JOB_INPUT_BYTES` are kept until the job ends, or while it has a
    dead letter.
    """
    root = container(request)
    results, details = params.boolean(request, "results"), params.boolean(request, "details")
    job = await root.jobs.wait(request.path_params["id"], waiting(request, root.settings.max_wait_s)[1])
    steps = await root.pipelines.steps(job, results=results) if job.work == PIPELINE else None
    if not details:
        body = await root.job_responses.complete(job)
    else:
        # A job that was waited for in this process has no attempts, because its record was not read.
        body = await root.job_responses.detailed(await root.jobs.get(job.id) if not job.attempts else job)
    if steps is not None:
        body["steps"] = cast("list[schemas.Step]", steps)
    return json_response(body, 200, None if job.state.final else {"retry-after": "1"})


@router.get("/{id}/diagnosis", **diagnosis.READ)
async def diagnose(request: Request) -> Response:
    """Explains why a job waits, or why it was slow: its time by station, and what is usual there.

    The time in the queue and of the run is compared with the recent jobs of the same version.
    """
    explained = await container(request).diagnosis.of_job(request.path_params["id"])
    parts: list[diagnosis.Station] = [
        {
            "station": part.name,
            "seconds": round(part.seconds, 6),
            "usual_p50_s": part.usual.p50_s if part.usual else None,
            "usual_p99_s": part.usual.p99_s if part.usual else None,
            "slow": part.slow,
        }
        for part in explained.stations
    ]
    id = callers.shown_id(explained.job.id)
    return json_response(diagnosis.Diagnosis(id=id, state=explained.job.state, stations=parts, reasons=explained.reasons))


@router.post("/{id}/retry", **schemas.RETRY)
async def retry(request: Request) -> Response:
    """Runs a pipeline that failed, expired or was cancelled again, as another job: only the steps that have not succeeded."""
    root = container(request)
    return await root.job_responses.accepted(await root.pipelines.retry(request.path_params["id"]))


@router.delete("/{id}", **schemas.CANCEL)
async def cancel(request: Request) -> Response:
    """Cancels a job that has not ended. One that has ended stays unchanged."""
    return json_response(present(await container(request).jobs.cancel(request.path_params["id"])))


@router.get("/{id}/events", **schemas.EVENTS)
async def events(request: Request) -> Response:
    """Sends the events of a job until it ends.

    `queued`, `start`, `progress` and `completed` carry the job. `output` carries one token that the model yields:
    `{chunk, index, row, attempt}`. `queued` is repeated now and then with the position. `Last-Event-ID` resumes an interrupted
    stream. `index` has a gap if older tokens were dropped, and restarts at 0 with another attempt.
    """
    root, last = container(request), sse.last_event_id(request)
    job = await root.jobs.get(request.path_params["id"])
    return root.job_responses.stream(job.id, last)
