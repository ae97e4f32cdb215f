"""/v1/dead-letters."""

from __future__ import annotations

from typing import Annotated, Any, Final, NotRequired

from fastapi import Path, Query
from pydantic import Field
from pydantic.json_schema import SkipJsonSchema
from typing_extensions import TypedDict

from app.api.schemas.jobs import LATER, LOCATION, Job, JobError
from app.api.schemas.openapi import documented
from app.api.schemas.queries import Boolean, Integer, Page, RequestQuery
from app.core.dead_letters import Wanted
from app.services.requests.body import Time
from app.services.requests.dead_letters import BulkReplay, Replay

Id = Annotated[str, Path(description="The id of the job that died.", examples=["01938d2c5f3a7be1c04d5a6f7e8091a2"])]


Fingerprint = Annotated[str, Field(pattern="^[0-9a-f]{16}$")]


class GroupsQuery(RequestQuery):
    """Which dead letters to group."""

    model: str | None = Field(None, description="Only letters of this model: a name, or name@version.")
    error: str | None = Field(None, description="Only letters with this error code.", examples=["prediction_failed"])
    after: Time | None = Field(None, description="Only letters that died after this time, which names its zone.")
    before: Time | None = Field(None, description="Only letters that died before this time, which names its zone.")

    fingerprint: Fingerprint | None = Field(None, description="Only letters with this cause.", examples=["5f1d0c9be1a2374d"])

    @property
    def filters(self) -> Wanted:
        """The filters, whose times are seconds since 1970."""
        after, before = (time.timestamp() if time else None for time in (self.after, self.before))
        return Wanted(self.model, self.error, after, before, self.fingerprint)


class DeadLettersQuery(GroupsQuery, Page):
    """Which dead letters to list."""


class DiscardQuery(DeadLettersQuery):
    """Which dead letters to discard."""

    limit: Integer = Field(1000, ge=1, le=1000, description="Maximum number of letters per call.")
    all: Boolean = Field(False, description="`true` selects every letter. Otherwise a filter is required.")


class ReplayQuery(DiscardQuery):
    """Which dead letters to replay."""

    limit: Integer = Field(100, ge=1, le=1000, description="Maximum number of letters per call.")


class Attempt(TypedDict):
    """One run of the job."""

    started_at: str | None
    worker: Annotated[str, Field(description="The worker process that ran it.")]


class DeadLetter(TypedDict):
    """A job that failed for good."""

    id: Annotated[str, Field(description="The job's id.")]
    owner: NotRequired[Annotated[str, Field(description="Owner of the job; absent for the default owner.")]]
    model: str
    version: str
    method: str
    rows: int
    error: JobError
    attempts: Annotated[list[Attempt], Field(description="Every run, the first one first.")]
    died_at: str | None
    fingerprint: Annotated[str, Field(description="Equal for dead letters that failed for the same reason.", examples=["5f1d0c9be1a2374d"])]


class WholeDeadLetter(DeadLetter):
    """A job that failed for good, with its input."""

    traceback: Annotated[str | None, Field(description="The last frames if the model raised an exception; at most 8 KiB.")]
    inputs: Annotated[Any, Field(description="The rows, as they may be sent again.")]


class DeadLetters(TypedDict):
    """A page of dead letters."""

    items: list[DeadLetter]
    next: Annotated[str | None, Field(description="Cursor of the next page; null on the last page. A page may be empty and have one.")]


class DeadLetterGroup(TypedDict):
    """Dead letters that failed for the same reason: the same model, error, exception, and line that raised it."""

    fingerprint: Annotated[str, Field(description="Selects these dead letters in the other requests.", examples=["5f1d0c9be1a2374d"])]
    model: str
    versions: list[str]
    error: Annotated[str, Field(description="Code of the error.", examples=["prediction_failed"])]
    exception: Annotated[str | None, Field(description="Type of the exception; null if the model raised none.", examples=["KeyError"])]
    frame: Annotated[str | None, Field(description="The innermost line of the model's own code.", examples=["model.py:17"])]
    count: int
    first_died_at: str | None
    last_died_at: str | None
    newest: Annotated[str, Field(description="Id of the one that died last.")]


class DeadLetterGroups(TypedDict):
    """Dead letters by their cause."""

    items: Annotated[list[DeadLetterGroup], Field(description="The groups, the most frequent first.")]
    complete: Annotated[bool, Field(description="`false` if there are more than 10,000 dead letters, and only the newest were counted.")]


class ReplayedJob(Job):
    """The new job."""

    replay_of: Annotated[str, Field(description="The id of the dead letter.")]


class Replayed(TypedDict):
    """A new job and its letter."""

    id: Annotated[str, Field(description="The new job.")]
    replay_of: Annotated[str, Field(description="The dead letter.")]


class Refused(TypedDict):
    """A dead letter that was not replayed."""

    id: str
    error: JobError


class Replays(TypedDict):
    """Result of replaying a page of dead letters."""

    replayed: int
    jobs: list[Replayed]
    refused: list[Refused]
    next: Annotated[str | None, Field(description="Cursor of the next page; null on the last page.")]


class Discarded(TypedDict):
    """Number of discarded letters."""

    discarded: int
    next: Annotated[str | None, Field(description="Cursor of the next page; null on the last page.")]


def _list(query: Annotated[DeadLettersQuery, Query()]) -> None: ...


def _groups(query: Annotated[GroupsQuery, Query()]) -> None: ...


def _replay_many(query: Annotated[ReplayQuery, Query()], body: BulkReplay | SkipJsonSchema[None] = None) -> None: ...


def _discard_many(query: Annotated[DiscardQuery, Query()]) -> None: ...


def _by_id(id: Id) -> None: ...


def _replay(id: Id, body: Replay | SkipJsonSchema[None] = None) -> None: ...


LIST: Final = documented(_list, DeadLetters, response_description="A page of dead letters.")
GROUPS: Final = documented(_groups, DeadLetterGroups, response_description="The groups.")
READ: Final = documented(_by_id, WholeDeadLetter, response_description="The letter.")
DISCARD: Final = documented(_by_id, DeadLetter, response_description="The discarded letter.")
DISCARD_MANY: Final = documented(_discard_many, Discarded, response_description="Number of discarded letters.")
REPLAY_MANY: Final = documented(
    _replay_many, Replays, status_code=202, response_description="The new jobs, and the letters that were not replayed."
)
REPLAY: Final = documented(
    _replay,
    ReplayedJob,
    status_code=202,
    response_description="The new job, which is durable.",
    responses={202: {"headers": LOCATION | LATER}},
)
