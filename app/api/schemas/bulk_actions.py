"""/v1/bulk-actions."""

from __future__ import annotations

from typing import Annotated, Any, Final, NotRequired

from fastapi import Path, Query
from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.jobs import JobError
from app.api.schemas.openapi import documented
from app.api.schemas.queries import Page
from app.core.bulk_actions import BulkKind, BulkState
from app.core.jobs import State
from app.services.requests.bulk_actions import BulkCancellation, BulkDiscard, BulkReplayRequest

Id = Annotated[str, Path(description="The ID of the bulk action.", examples=["01938d2c5f3a7be1c04d5a6f7e8091a2"])]


class BulkFilter(TypedDict):
    """What is selected."""

    model: NotRequired[str]
    state: NotRequired[State]
    error: NotRequired[str]
    fingerprint: NotRequired[str]
    owner: NotRequired[str]
    kind: NotRequired[str]
    pool: NotRequired[str]
    id_prefix: NotRequired[str]
    since: NotRequired[str]
    until: NotRequired[str]


class Matching(TypedDict):
    """How much a filter matches."""

    matching: Annotated[int, Field(description="How many jobs or dead letters matched when the request was made.")]
    complete: Annotated[bool, Field(description="`false` if only the newest 20,000 were looked at, and there may be more.")]


class BulkAction(Matching):
    """An action on everything that a filter matches. The server does it in steps."""

    id: str
    action: BulkKind
    filter: BulkFilter
    owner: NotRequired[Annotated[str, Field(description="Owner of the caller; absent for the default owner.")]]
    to: NotRequired[Annotated[str, Field(description="Model reference that the dead letters are replayed with.")]]
    state: Annotated[BulkState, Field(description="`completed` if all that matched was cancelled, replayed, discarded or skipped.")]
    done: Annotated[int, Field(description="How many were cancelled, replayed or discarded.")]
    skipped: Annotated[int, Field(description="How many had ended meanwhile, or were refused.")]
    error: NotRequired[Annotated[JobError, Field(description="Why the last one was refused.")]]
    created_at: str | None
    finished_at: str | None


class BulkActions(TypedDict):
    """A page of bulk actions."""

    items: list[BulkAction]
    next: Annotated[str | None, Field(description="Cursor of the next page; null on the last page.")]


class BulkActionsQuery(Page):
    """Which bulk actions to list."""


def _list(query: Annotated[BulkActionsQuery, Query()]) -> None: ...


def _by_id(id: Id) -> None: ...


def _cancel(body: BulkCancellation) -> None: ...


def _replay(body: BulkReplayRequest) -> None: ...


def _discard(body: BulkDiscard) -> None: ...


_STARTED: Final[dict[str, Any]] = {
    "status_code": 202,
    "response_description": "The bulk action, which is durable.",
    "responses": {
        200: {"model": Matching, "description": "How much matches, if `dry_run` is true."},
        202: {"headers": {"Location": {"description": "The address of the bulk action.", "schema": {"type": "string"}, "required": True}}},
    },
}
CANCEL: Final = documented(_cancel, BulkAction, **_STARTED)
REPLAY: Final = documented(_replay, BulkAction, **_STARTED)
DISCARD: Final = documented(_discard, BulkAction, **_STARTED)
LIST: Final = documented(_list, BulkActions, response_description="A page of bulk actions.")
READ: Final = documented(_by_id, BulkAction, response_description="The bulk action as it is now.")
