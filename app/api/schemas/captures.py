"""/v1/models/{name}/captures."""

from __future__ import annotations

import re
from typing import Annotated, Final

from fastapi import Path, Query
from pydantic import Field
from typing_extensions import TypedDict

from app.api.schemas.inference import Name
from app.api.schemas.openapi import documented
from app.api.schemas.queries import NEXT, Page, RequestQuery
from app.core.api_keys import OWNER, OWNER_FORM
from app.core.models import VERSION
from app.services.requests.body import Pattern
from app.services.requests.times import TimeOrAge

_CURSOR: Final = re.compile(r"[0-9A-Za-z._-]{1,200}")
_ID: Final = "2026022809-3-1200-1774861200-01938d2c5f3a7be1c04d5a6f7e8091a2"


class CapturesQuery(Page):
    """Which files to list."""

    cursor: Annotated[str, Pattern(_CURSOR, NEXT)] | None = Field(None, description="The `next` of the previous page.")
    version: Annotated[str, Pattern(VERSION, "Use a version, for example 3.")] | None = Field(
        None, description="Only rows of this version.", examples=["3"]
    )
    from_: TimeOrAge | None = Field(
        None,
        alias="from",
        description="Only files of the hour of this time or later: an RFC 3339 timestamp, or an age in `s`, `m`, `h` or `d`.",
        examples=["-24h"],
    )
    to: TimeOrAge | None = Field(None, description="Only files of the hour of this time or earlier.", examples=["2026-02-28T09:30:00Z"])


class DeleteQuery(RequestQuery):
    """Whose rows to delete."""

    owner: Annotated[str, Pattern(OWNER, OWNER_FORM)] = Field(description="Owner of the jobs.", examples=["team-a"])


class CaptureFile(TypedDict):
    """A file of captured rows."""

    id: Annotated[str, Field(description="ID of the file.", examples=[_ID])]
    path: Annotated[str, Field(description="Path below `capture/` in the folder or bucket of files, with Hive partitions.")]
    version: str
    hour: Annotated[str, Field(description="The hour in which the rows were answered.")]
    rows: int
    bytes: int
    expires_at: Annotated[str, Field(description="When the file is deleted.")]


class CaptureFiles(TypedDict):
    """A page of files."""

    items: list[CaptureFile]
    next: Annotated[str | None, Field(description="The `cursor` of the next page; null on the last one.")]


class Deleted(TypedDict):
    """What was deleted."""

    model: str
    owner: str
    rows: Annotated[int, Field(description="Number of rows that were deleted.")]


Id = Annotated[str, Path(description="ID of the file.", examples=[_ID])]


def _list(name: Name, query: Annotated[CapturesQuery, Query()]) -> None: ...


def _content(name: Name, id: Id) -> None: ...


def _delete(name: Name, query: Annotated[DeleteQuery, Query()]) -> None: ...


LIST: Final = documented(_list, CaptureFiles, response_description="A page of files.")
CONTENT: Final = documented(
    _content,
    None,
    response_description="The file's bytes.",
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
)
DELETE: Final = documented(_delete, Deleted, response_description="The rows are deleted.")
