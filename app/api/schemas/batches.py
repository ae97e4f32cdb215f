"""/v1/batches."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import Header, Path, Query
from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.jobs import LastEventId
from app.api.schemas.openapi import documented
from app.api.schemas.queries import OpenAIPage
from app.core.api_keys import OWNER
from app.core.batches import Status
from app.services.requests.batches import RequestBatch, TableBatch

Id = Annotated[str, Path(description="The batch's id.", examples=["batch_01938d2c5f3a7be1c04d5a6f7e8091a2"])]
First = Annotated[int, Path(ge=0, le=1 << 53, description="The first row of the part.")]


class BatchError(TypedDict):
    """What is wrong with the file, or why it failed."""

    code: str
    message: str
    line: int | None
    param: str | None


class Errors(TypedDict):
    """The first hundred."""

    object: Literal["list"]
    data: list[BatchError]


class Counts(TypedDict):
    """Rows or requests, as they are now."""

    total: int
    completed: int
    failed: int


class Progress(TypedDict):
    """How far it has come, and how fast."""

    fraction: float
    rows_per_s: Annotated[float | None, Field(description="Rate since the batch was started or resumed.")]
    eta_s: Annotated[float | None, Field(description="Seconds until the batch ends at this rate.")]


class Batch(TypedDict):
    """A batch: OpenAI's fields, and those of Celeriac. Times are seconds since 1970."""

    id: Annotated[str, Field(description="ID, as in `/v1/batches/{id}`.")]
    object: Literal["batch"]
    endpoint: str
    model: str
    version: str
    method: str | None
    status: Annotated[Status, Field(description="completed, failed, expired and cancelled are final; all but completed can be resumed.")]
    errors: Errors | None
    input_file_id: Annotated[str, Field(description="File ID; empty if the input is a path or a URL.")]
    input: str
    output: Annotated[str | None, Field(description="The path or URL that the request named.")]
    output_file_id: str | None
    error_file_id: Annotated[
        str | None, Field(description="JSONL file with the number, line and reason of each row that failed, or with OpenAI's error lines.")
    ]
    completion_window: str
    request_counts: Counts
    partial_failure: Annotated[bool, Field(description="Whether the batch ended with some rows predicted and others failed.")]
    progress: Progress
    created_at: int
    expires_at: int
    in_progress_at: int | None
    finalizing_at: int | None
    cancelling_at: int | None
    completed_at: int | None
    failed_at: int | None
    expired_at: int | None
    cancelled_at: int | None
    owner: str
    metadata: dict[str, str] | None


class Batches(TypedDict):
    """A page of batches."""

    object: Literal["list"]
    data: list[Batch]
    first_id: str | None
    last_id: Annotated[str | None, Field(description="The `after` of the next page.")]
    has_more: bool


class Part(TypedDict):
    """Rows that are done."""

    first: Annotated[int, Field(description="The number of its first row, from 0.")]
    rows: int
    completed: int
    failed: int


class Parts(TypedDict):
    """The parts that are finished."""

    object: Literal["list"]
    data: list[Part]


def _create(
    body: TableBatch | RequestBatch,
    celeriac_owner: Annotated[
        str | None,
        Header(
            pattern=f"^{OWNER.pattern}$",
            description="Owner of the batch, if the body names none. With API keys, only a key with the scope `admin` may name another owner than its own.",
        ),
    ] = None,
) -> None: ...


def _list(query: Annotated[OpenAIPage, Query()]) -> None: ...


def _by_id(id: Id) -> None: ...


def _part(id: Id, first: First) -> None: ...


def _events(id: Id, last_event_id: LastEventId = None) -> None: ...


_BYTES: Final[dict[str, Any]] = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}

CREATE: Final = documented(_create, Batch, response_description="The batch; `validating` if its file is large.")
LIST: Final = documented(_list, Batches, response_description="A page of batches.")
READ: Final = documented(_by_id, Batch, response_description="The batch as it is now.")
CANCEL: Final = documented(_by_id, Batch, response_description="The batch, which is about to end.")
RESUME: Final = documented(_by_id, Batch, response_description="The batch, which continues.")
PARTS: Final = documented(_by_id, Parts, response_description="The parts.")
PART: Final = documented(_part, None, response_description="The part's bytes.", responses={200: {"content": _BYTES}})
EVENTS: Final = documented(
    _events,
    None,
    response_description="A stream of events that ends with the batch.",
    responses={
        200: {"content": {"text/event-stream": {"schema": {"type": "string"}, "example": "id: 2\nevent: in_progress\ndata: {}\n\n"}}}
    },
)
