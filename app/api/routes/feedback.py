"""/v1/feedback and /v1/models/{name}/quality: true answers, and how good predictions were."""

from __future__ import annotations

from dataclasses import asdict
from datetime import timedelta
from typing import Final, cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.bodies import JSON
from app.api.http.headers import media_type
from app.api.http.params import path_model
from app.api.http.reading import parse_object
from app.api.http.responses import json_response
from app.api.schemas import feedback as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.services.requests.feedback import FeedbackRequest, parse_lines

router = APIRouter(prefix="/v1", tags=["models"], route_class=PlainRoute, responses=PROBLEMS)
_WEEK: Final = timedelta(days=-7)


@router.post("/feedback", **schemas.RECORD)
async def record(request: Request) -> Response:
    """Takes the true answer of a row, or of many rows as JSONL.

    The same row again replaces what it had. Feedback may arrive before the row is captured, and weeks after it. Only rows that were
    captured are compared.
    """
    root = container(request)
    content = await root.bodies.read(request, types=(*JSON, *schemas.JSONL))
    items = parse_lines(content) if media_type(request) in schemas.JSONL else [FeedbackRequest.parse(parse_object(content))]
    await root.feedback.record(items)
    return json_response(schemas.Accepted(rows=len(items)))


@router.get("/models/{name}/quality", **schemas.QUALITY)
async def quality(request: Request) -> Response:
    """Compares captured predictions with the true answers that callers have sent, for each version."""
    query = schemas.QualityQuery.of(request)
    name = path_model(request).name
    versions = await container(request).feedback.quality(name, query.from_ or _WEEK, query.to)
    body = schemas.ModelQuality(model=name, versions=[cast("schemas.VersionQuality", asdict(version)) for version in versions])
    return json_response(body)
