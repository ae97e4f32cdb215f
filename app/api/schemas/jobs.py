"""/v1/jobs."""

from __future__ import annotations

from collections.abc import Sequence
from enum import StrEnum
from typing import Annotated, Any, Final, NotRequired

from fastapi import Header, Path, Query
from pydantic import ConfigDict, Field, with_config
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from app.api.schemas.openapi import documented
from app.api.schemas.queries import NEXT, Page
from app.core.attempts import AttemptOutcome
from app.core.jobs import State
from app.core.owners import RECORD_ID
from app.core.tiers import Tier
from app.services.requests.body import Pattern
from app.services.requests.jobs import PipelineSubmission, Submission

_ID: Final = "01938d2c5f3a7be1c04d5a6f7e8091a2"

Prefer = Annotated[
    str | None,
    Header(
        description="RFC 7240: `respond-async` answers 202 at once, `wait=10` holds the answer for at most 10 seconds.",
        examples=["wait=10"],
    ),
]
Wait = Annotated[float | None, Query(ge=0, description="Seconds to hold the answer until the job has ended; the server bounds them.")]
IdempotencyKey = Annotated[
    Annotated[str, Field(pattern=r'^"[ !#-\[\]-~]{1,255}"$')] | SkipJsonSchema[None],
    Header(
        description="A quoted string: a request that is sent again with the same key gets the job of the first.",
        examples=['"8e03978e-40d5-43dd-bc93-6894a57f9324"'],
    ),
]
LastEventId = Annotated[
    Annotated[int, Field(ge=0, le=1 << 53)] | SkipJsonSchema[None], Header(description="The id of the last event that was seen.")
]
Id = Annotated[str, Path(description="The job's id.", examples=[_ID])]


class JobError(TypedDict):
    """Why a job failed."""

    code: Annotated[str, Field(description="Error code, as in the `code` of a problem.")]
    detail: Annotated[str, Field(description="What happened and what to do.")]
    pointer: NotRequired[Annotated[str, Field(description="The field that is wrong, if one is.")]]


class Progress(TypedDict):
    """Progress that the running attempt reported."""

    fraction: Annotated[float, Field(ge=0, le=1)]
    text: str


class Attempt(TypedDict):
    """One attempt of a job."""

    started_at: str | None
    finished_at: Annotated[str | None, Field(description="Null while it runs, and if its worker died.")]
    worker: Annotated[str, Field(description="The worker process that ran it.")]
    outcome: Annotated[AttemptOutcome, Field(description="State of the job after it, or `retried` or `worker_lost`.")]


class StepState(StrEnum):
    """State of a step: those of a job, and two more."""

    WAITING = "waiting"
    """Its sources have not ended."""
    SKIPPED = "skipped"
    """Its condition did not hold, or all of its sources were skipped."""
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"
    EXPIRED = "expired"


class Step(TypedDict):
    """A step of a run. If it has `each`, times cover all of its branches."""

    name: str
    state: StepState
    job: NotRequired[
        Annotated[
            str,
            Field(
                description="ID of the step's job, which has its logs. The job of a branch has this ID, `-` and the index of the branch."
            ),
        ]
    ]
    branches: NotRequired[Annotated[dict[str, int], Field(description="Number of branches by state, if the step has `each`.")]]
    attempt: NotRequired[int]
    started_at: NotRequired[str]
    finished_at: NotRequired[str]
    run_s: NotRequired[float]
    progress: NotRequired[Progress]
    error: NotRequired[JobError]
    result: NotRequired[Annotated[Any, Field(description="Result of the step, with `?results=true`.")]]


@with_config(ConfigDict(
    json_schema_extra={
        "example": {
            "id": _ID, "state": "succeeded", "model": "digits", "version": "1", "method": "predict", "rows": 1, "attempt": 1,
            "created_at": "2026-01-05T10:00:00.000Z", "started_at": "2026-01-05T10:00:00.004Z",
            "finished_at": "2026-01-05T10:00:00.021Z", "wait_s": 0.004, "run_s": 0.017, "share": 0.5, "result": [0],
        }
    }
))  # fmt: skip
class Job(TypedDict):
    """A prediction and what became of it. Times are RFC 3339 in UTC."""

    id: Annotated[str, Field(description="ID, as in `/v1/jobs/{id}`.")]
    state: Annotated[State, Field(description="queued and running are not final; succeeded, failed, cancelled and expired are final.")]
    owner: NotRequired[Annotated[str, Field(description="Owner of the job; absent for the default owner.")]]
    kind: NotRequired[Annotated[str, Field(description="Kind of the job; absent for a prediction.")]]
    parent: NotRequired[Annotated[str, Field(description="The batch, run or schedule that started it.")]]
    request: NotRequired[Annotated[dict[str, Any], Field(description="The request of a job that is not a prediction.")]]
    pipeline: NotRequired[Annotated[str, Field(description="Name of the pipeline of a run or of a step.")]]
    step: NotRequired[str]
    steps: NotRequired[Annotated[list[Step], Field(description="Steps of a pipeline run, if the job is read by its ID.")]]
    model: NotRequired[Annotated[str, Field(description="Name of the model, if the job has one.")]]
    version: NotRequired[str]
    method: NotRequired[Annotated[str, Field(description="The requested output; the first of several.")]]
    rows: NotRequired[int]
    service_tier: NotRequired[Annotated[Tier, Field(description="Service tier that the job was submitted with; absent for default.")]]
    concurrency_key: NotRequired[Annotated[str, Field(description="Concurrency key of the job, if it has one.")]]
    attempt: Annotated[int, Field(description="Number of the attempt; 0 before the first.")]
    created_at: str | None
    started_at: str | None
    finished_at: str | None
    wait_s: Annotated[float | None, Field(description="Seconds from its creation to its start.")]
    run_s: Annotated[float | None, Field(description="Seconds from its start to its end.")]
    share: NotRequired[
        Annotated[float, Field(description="Its part of the rows of the call that predicted it; 1 if no other job shared the call.")]
    ]
    cost: NotRequired[
        Annotated[
            float,
            Field(
                description="Cost of its share of `run_s`, by the price of the pool; absent if the job did not run, or the pool has no price."
            ),
        ]
    ]
    queue_position: NotRequired[Annotated[int, Field(description="Approximate position of a queued job; 1 is next.")]]
    estimated_start_s: NotRequired[
        Annotated[
            float,
            Field(
                description="Estimated seconds until a queued job starts, from its position, the duration of recent jobs and the number of processes; absent if unknown."
            ),
        ]
    ]
    waits_for: NotRequired[Annotated[str, Field(description="What must happen before a queued job can start, apart from its turn.")]]
    progress: NotRequired[Annotated[Progress, Field(description="Progress that the model or step reported.")]]
    result: NotRequired[
        Annotated[
            Any,
            Field(
                description="Result of a job that succeeded: one value or list per row, or an object by name if there are several outputs."
            ),
        ]
    ]
    attempts: NotRequired[Annotated[list[Attempt], Field(description="The last 32 attempts, the first one first, with `?details=true`.")]]
    inputs: NotRequired[
        Annotated[
            Any,
            Field(description="The rows of a prediction as they can be sent again, with `?details=true`; absent if they are not kept."),
        ]
    ]
    trace_id: NotRequired[Annotated[str, Field(description="ID of the trace that the job belongs to, if it is traced.")]]
    result_omitted: NotRequired[
        Annotated[
            bool, Field(description="True in a list if the result is larger than 4 KiB and therefore left out. Read the job to get it.")
        ]
    ]
    classes: NotRequired[
        Annotated[
            Sequence[Any],
            Field(
                description="The class of each column of `result`, if the method is predict_proba or decision_function; a list for each target if there are several."
            ),
        ]
    ]
    reason: NotRequired[Annotated[str, Field(description="Why the server cancelled the job.")]]
    error: NotRequired[Annotated[JobError, Field(description="Error of a job that failed.")]]
    logs: NotRequired[Annotated[str, Field(description="The end of what the model code printed and logged, if the job is read by its ID.")]]


class Token(TypedDict):
    """A token of streamed output, in an `output` event."""

    chunk: Any
    index: Annotated[int, Field(description="Number of the token in its attempt, from 0.")]
    row: int
    attempt: int


class Jobs(TypedDict):
    """A page of jobs."""

    items: list[Job]
    next: Annotated[str | None, Field(description="Cursor of the next page; null on the last page.")]


def _submit(
    body: Submission | PipelineSubmission, wait: Wait = None, prefer: Prefer = None, idempotency_key: IdempotencyKey = None
) -> None: ...


def _put(
    id: Annotated[
        str, Path(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{7,63}$", description="An id that the caller chose.", examples=["order-20260105"])
    ],
    body: Submission | PipelineSubmission,
    wait: Wait = None,
    prefer: Prefer = None,
) -> None: ...


class JobsQuery(Page):
    """Which jobs to list."""

    state: Annotated[State, Field(strict=False)] | None = Field(None, description="Only jobs in this state.")
    model: str | None = Field(None, description="Only jobs of this model.")
    cursor: Annotated[str, Pattern(RECORD_ID, NEXT)] | None = Field(None, description="The `next` of the previous page.")


def _list(query: Annotated[JobsQuery, Query()]) -> None: ...


def _read(
    id: Id,
    wait: Wait = None,
    prefer: Prefer = None,
    results: Annotated[bool, Query(description="Adds the result of each step of a pipeline run.")] = False,
    details: Annotated[bool, Query(description="Adds the attempts, and the inputs of a prediction if they are kept.")] = False,
) -> None: ...


def _retry(id: Id) -> None: ...


def _cancel(id: Id) -> None: ...


def _events(id: Id, last_event_id: LastEventId = None) -> None: ...


LOCATION: Final = {"Location": {"description": "The address of the job.", "schema": {"type": "string"}, "required": True}}
_APPLIED: Final = {"Preference-Applied": {"description": "The preferences that were honored.", "schema": {"type": "string"}}}
LATER: Final = {"Retry-After": {"description": "Seconds after which to ask again.", "schema": {"type": "integer"}}}
ACCEPTED: Final[dict[str, Any]] = {
    "model": Job,
    "description": "The job is durable, and has not ended yet.",
    "headers": LOCATION | _APPLIED | LATER,
}

_STREAM: Final = {
    "text/event-stream": {
        "schema": {"type": "string"},
        "example": f'id: 2\nevent: start\ndata: {{"id":"{_ID}"}}\n\nid: 3\nevent: output\ndata: {{"chunk":"Once ","index":0,"row":0,"attempt":1}}\n\n',
    }
}
SUBMITTED: Final[dict[str, Any]] = {
    "status_code": 202,
    "response_description": ACCEPTED["description"],
    "responses": {
        202: {"headers": ACCEPTED["headers"]},
        200: {
            "model": Job,
            "description": "The job, which ended within the wait; or its events, if the caller accepts `text/event-stream`.",
            "headers": LOCATION | _APPLIED,
            "content": _STREAM,
        },
    },
}
SUBMIT: Final = documented(_submit, Job, **SUBMITTED)
PUT: Final = documented(_put, Job, **SUBMITTED)
LIST: Final = documented(_list, Jobs, response_description="A page of jobs.")
READ: Final = documented(_read, Job, response_description="The job as it is now.", responses={200: {"headers": LATER}})
RETRY: Final = documented(_retry, Job, status_code=202, response_description="The new job.", responses={202: {"headers": LOCATION | LATER}})
CANCEL: Final = documented(_cancel, Job, response_description="The job as it is after: cancelled, or ended before.")
EVENTS: Final = documented(
    _events,
    None,
    response_description="A stream of events that ends with the job.",
    responses={200: {"content": _STREAM}},
)
