"""/v1/files."""

from __future__ import annotations

from typing import Annotated, Any, Final, Literal

from fastapi import Path, Query
from pydantic import ConfigDict, Field, with_config
from typing_extensions import TypedDict

from app.api.schemas.openapi import documented
from app.api.schemas.queries import Integer, OpenAIPage

Id = Annotated[str, Path(description="The file's id.", examples=["file-01938d2c5f3a7be1c04d5a6f7e8091a2"])]


@with_config(ConfigDict(
    json_schema_extra={
        "example": {
            "id": "file-01938d2c5f3a7be1c04d5a6f7e8091a2", "object": "file", "bytes": 1024, "created_at": 1767607200,
            "expires_at": 1770199200, "filename": "rows.parquet", "purpose": "batch", "status": "processed",
        }
    }
))  # fmt: skip
class File(TypedDict):
    """A file. Times are seconds since 1970."""

    id: Annotated[str, Field(description="ID, as in `/v1/files/{id}`.")]
    object: Literal["file"]
    bytes: int
    created_at: int
    expires_at: Annotated[int, Field(description="When the file is deleted.")]
    filename: str
    purpose: Annotated[str, Field(description="Purpose of the upload, or `batch_output`.")]
    status: Literal["processed"]


class Files(TypedDict):
    """A page of files."""

    object: Literal["list"]
    data: list[File]
    first_id: str | None
    last_id: Annotated[str | None, Field(description="The `after` of the next page.")]
    has_more: bool


class Deleted(TypedDict):
    """A deleted file."""

    id: str
    object: Literal["file"]
    deleted: Literal[True]


def _create() -> None: ...


class FilesQuery(OpenAIPage):
    """Which files to list."""

    limit: Integer = Field(100, ge=1, le=10_000, description="Entries on a page.")
    order: Literal["asc", "desc"] = Field("desc", description="By the time of creation.")
    purpose: str | None = Field(None, description="Only files of this purpose.")


def _list(query: Annotated[FilesQuery, Query()]) -> None: ...


def _by_id(id: Id) -> None: ...


_FORM: Final[dict[str, Any]] = {
    "required": True,
    "content": {
        "multipart/form-data": {
            "schema": {
                "type": "object",
                "required": ["file"],
                "additionalProperties": False,
                "properties": {
                    "file": {"type": "string", "format": "binary", "description": "The file."},
                    "purpose": {"type": "string", "pattern": "^[a-z][a-z0-9_-]{0,39}$", "default": "batch"},
                    "expires_after[anchor]": {"type": "string", "enum": ["created_at"], "default": "created_at"},
                    "expires_after[seconds]": {
                        "type": "integer",
                        "minimum": 1,
                        "description": "Seconds until it is removed (default and maximum: `CELERIAC_FILE_TTL_S` of the server, which is "
                        "2592000, 30 days, by default).",
                    },
                },
            }
        }
    },
}

CREATE: Final = documented(_create, File, response_description="The file.", openapi_extra={"requestBody": _FORM})
LIST: Final = documented(_list, Files, response_description="A page of files.")
READ: Final = documented(_by_id, File, response_description="The file.")
CONTENT: Final = documented(
    _by_id,
    None,
    response_description="The file's bytes.",
    responses={200: {"content": {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}}},
)
DELETE: Final = documented(_by_id, Deleted, response_description="It is deleted.")
