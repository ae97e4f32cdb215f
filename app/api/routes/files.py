"""/v1/files: what batches read and leave. The same paths and shapes as OpenAI's, so that its SDK works."""

from __future__ import annotations

import asyncio
import re
from typing import Any

from fastapi import APIRouter, Request
from starlette.responses import FileResponse, Response

from app.api.http import params as query
from app.api.http.bodies import known
from app.api.http.multipart import Upload
from app.api.routes.jobs import answer
from app.api.schemas import files as schemas
from app.api.schemas.problems import FILE_PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.errors import InvalidInput
from app.services.jobs import gateway
from app.store.files import File, files

router = APIRouter(prefix="/v1/files", tags=["files"], route_class=PlainRoute, responses=FILE_PROBLEMS)
_PURPOSE = re.compile(r"[a-z][a-z0-9_-]{0,39}")
_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"


@router.post("", **schemas.CREATE)
async def create(request: Request) -> Response:
    """Uploads a file: a form with `file`, `purpose` and, if it shall be kept for another time than is usual, `expires_after`."""
    here = gateway(request)
    with files().draft() as draft:
        upload = Upload(draft)
        await upload.read(request)
        known(upload.fields, "purpose", _ANCHOR, _SECONDS)
        purpose = upload.fields.get("purpose", "batch")
        if not _PURPOSE.fullmatch(purpose):
            raise InvalidInput(f"purpose is {purpose!r}: give one word, as in batch", pointer="/purpose")
        if upload.fields.get(_ANCHOR, "created_at") != "created_at":
            raise InvalidInput("expires_after can only be counted from created_at", pointer="/expires_after/anchor")
        longest = here.settings.file_ttl_s
        seconds = query.whole(upload.fields.get(_SECONDS, str(longest)), "expires_after/seconds", 1, longest)
        found = await asyncio.to_thread(draft.finish, upload.filename or "file", purpose, seconds)
    return answer(shown(found), 200, {"location": f"/v1/files/{found.id}"})


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Files, the newest first; `after` is the last id of the page before."""
    asked = request.query_params
    known(asked, "after", "limit", "order", "purpose")
    limit, order = query.whole(asked.get("limit", "100"), "limit", 1, 10_000), asked.get("order", "desc")
    if order not in ("asc", "desc"):
        raise InvalidInput(f"order is {order!r}: asc or desc", pointer="/order")
    found, more = await asyncio.to_thread(files().page, asked.get("after"), limit, asked.get("purpose"), newest_first=order == "desc")
    return answer(page([shown(one) for one in found], more))


@router.get("/{id}", **schemas.READ)
async def read(request: Request) -> Response:
    """What is known of one file."""
    return answer(shown(await asyncio.to_thread(files().get, request.path_params["id"])))


@router.get("/{id}/content", **schemas.CONTENT)
async def content(request: Request) -> Response:
    """The file itself; a Range header asks for a part of it."""
    id = request.path_params["id"]
    found, path = await asyncio.to_thread(files().get, id), await asyncio.to_thread(files().content, id)
    return FileResponse(path, media_type="application/octet-stream", filename=found.filename)


@router.delete("/{id}", **schemas.DELETE)
async def delete(request: Request) -> Response:
    """Deletes a file. A batch that reads it fails."""
    id = request.path_params["id"]
    await asyncio.to_thread(files().delete, id)
    return answer({"id": id, "object": "file", "deleted": True})


def page(items: list[dict[str, Any]], more: bool) -> dict[str, Any]:
    """A list as OpenAI's SDK reads it."""
    ids = [one["id"] for one in items] or [None]
    return {"object": "list", "data": items, "first_id": ids[0], "last_id": ids[-1], "has_more": more}


def shown(found: File) -> dict[str, Any]:
    """The file object."""
    return {
        "id": found.id,
        "object": "file",
        "bytes": found.bytes,
        "created_at": int(found.created_at),
        "expires_at": int(found.expires_at),
        "filename": found.filename,
        "purpose": found.purpose,
        "status": "processed",
    }
