"""/v1/models/{name}/drift: how live rows differ from those that a version was made for."""

from __future__ import annotations

from dataclasses import asdict
from typing import cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.params import path_model
from app.api.http.responses import json_response
from app.api.schemas import drift as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.drift import ColumnDrift, WindowDrift
from app.core.models import ModelRef

router = APIRouter(prefix="/v1/models", tags=["models"], route_class=PlainRoute, responses=PROBLEMS)


@router.get("/{name}/drift", **schemas.READ)
async def read(request: Request) -> Response:
    """Compares live rows with the reference profile, over the last hour, 24 hours and 7 days.

    Jobs and synchronous predictions are counted, a few seconds after their answers. Batches are not. Counts are kept in steps of 5 minutes,
    hours and days, so the newest step of a window is incomplete.
    """
    query = schemas.DriftQuery.of(request)
    name = path_model(request).name
    report = await container(request).drift.report(ModelRef.parse(f"{name}@{query.version}" if query.version else name))
    body: schemas.Drift = {
        "model": report.model,
        "version": report.version,
        "reference_rows": report.reference_rows,
        "windows": [_window(window) for window in report.windows],
    }
    return json_response(body)


def _window(window: WindowDrift) -> schemas.WindowDrift:
    return {
        "window": window.name,
        "rows": window.rows,
        "drifted": window.drifted,
        "inputs": [_column(column) for column in window.inputs],
        "outputs": [_column(column) for column in window.outputs],
    }


def _column(column: ColumnDrift) -> schemas.ColumnDrift:
    return cast("schemas.ColumnDrift", asdict(column))
