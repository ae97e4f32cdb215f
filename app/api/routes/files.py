"""/v1/files: files that batches read and write. Paths and bodies are those of OpenAI, so that its SDK works."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http import params
from app.api.http.downloads import download
from app.api.http.multipart import Upload
from app.api.http.responses import ends, json_response
from app.api.schemas import files as schemas
from app.api.schemas.problems import FILE_PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.errors import InvalidInput
from app.core.fields import reject_unknown_fields
from app.store.files import File

router = APIRouter(prefix="/v1/files", tags=["files"], route_class=PlainRoute, responses=FILE_PROBLEMS)
_ANCHOR, _SECONDS = "expires_after[anchor]", "expires_after[seconds]"


@router.post("", **schemas.CREATE)
async def create(request: Request) -> Response:
    """Uploads a file. The form has `file`, `purpose` and, to keep it for another time than the default, `expires_after`."""
    files = container(request).files
    async with await files.draft() as draft:
        upload = Upload(draft)
        await upload.read(request)
        fields = upload.fields
        reject_unknown_fields(fields, "purpose", _ANCHOR, _SECONDS)
        if fields.get(_ANCHOR, "created_at") != "created_at":
            raise InvalidInput("expires_after[anchor] must be created_at.", pointer="/expires_after/anchor")
        seconds = params.integer(fields.get(_SECONDS, str(files.max_ttl_s)), "expires_after/seconds", 1, files.max_ttl_s)
        file = await files.keep(draft, upload.filename, fields.get("purpose", "batch"), seconds)
    return json_response(_present(file), 200, {"location": f"/v1/files/{file.id}"})


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists the newest files first. `after` is the last ID of the previous page."""
    query = schemas.FilesQuery.of(request)
    newest_first = query.order == "desc"
    page, more = await container(request).files.page(query.after, query.limit, query.purpose, newest_first=newest_first)
    items = [_present(file) for file in page]
    first_id, last_id = ends(items)
    return json_response(schemas.Files(object="list", data=items, first_id=first_id, last_id=last_id, has_more=more))


@router.get("/{id}", **schemas.READ)
async def read(request: Request) -> Response:
    """Returns one file without its content."""
    return json_response(_present(await container(request).files.get(request.path_params["id"])))


@router.get("/{id}/content", **schemas.CONTENT)
async def content(request: Request) -> Response:
    """Returns the content of a file. A Range header requests a part of it."""
    file, stored = await container(request).files.content(request.path_params["id"])
    return await download(request, stored, file.filename)


@router.delete("/{id}", **schemas.DELETE)
async def delete(request: Request) -> Response:
    """Deletes a file. A batch that reads it fails."""
    id = request.path_params["id"]
    await container(request).files.delete(id)
    return json_response(schemas.Deleted(id=id, object="file", deleted=True))


def _present(file: File) -> schemas.File:
    return {
        "id": file.id,
        "object": "file",
        "bytes": file.bytes,
        "created_at": int(file.created_at),
        "expires_at": int(file.expires_at),
        "filename": file.filename,
        "purpose": file.purpose,
        "status": "processed",
    }
