"""/v1/models/{name}/captures: rows that a model has answered, in files of Parquet."""

from __future__ import annotations

from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.downloads import download
from app.api.http.params import path_model
from app.api.http.responses import json_response
from app.api.schemas import captures as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.timestamps import rfc3339

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=PlainRoute, responses=PROBLEMS)


@router.get("/{name}/captures", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists the files of captured rows, the oldest first. Processes write what they have answered about every minute."""
    query = schemas.CapturesQuery.of(request)
    name = path_model(request).name
    page, more = await container(request).captures.page(name, query.version, query.from_, query.to, query.cursor, query.limit)
    items: list[schemas.CaptureFile] = [
        {
            "id": file.id,
            "path": file.path,
            "version": file.version,
            "hour": cast("str", rfc3339(file.hour.timestamp())),
            "rows": file.rows,
            "bytes": file.bytes,
            "expires_at": cast("str", rfc3339(file.expires_at)),
        }
        for file in page
    ]
    return json_response(schemas.CaptureFiles(items=items, next=page[-1].id if more else None))


@router.get("/{name}/captures/{id}/content", **schemas.CONTENT)
async def content(request: Request) -> Response:
    """Returns a file of captured rows. A Range header requests a part of it."""
    id = request.path_params["id"]
    return await download(request, await container(request).captures.content(path_model(request).name, id), f"{id}.parquet")


@router.delete("/{name}/captures", **schemas.DELETE)
async def delete(request: Request) -> Response:
    """Deletes the captured rows of an owner.

    Rows that a process has answered and not written yet are not among them. Repeat the request after `CELERIAC_CAPTURE_EVERY_S`, 60 seconds by default.
    """
    query = schemas.DeleteQuery.of(request)
    name = path_model(request).name
    rows = await container(request).captures.delete(name, query.owner)
    return json_response(schemas.Deleted(model=name, owner=query.owner, rows=rows))
