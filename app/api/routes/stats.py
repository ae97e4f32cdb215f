"""/v1/stats: how much each model and pool did, how long it took, and what failed, by the minute and by the day."""

from __future__ import annotations

import time
from datetime import datetime, timedelta
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.responses import json_response
from app.api.schemas import stats as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.periods import Period
from app.core.timestamps import rfc3339
from app.services.stats import Group, History

router = APIRouter(prefix="/v1/stats", tags=["stats"], route_class=PlainRoute, responses=PROBLEMS)
_NAMES: Final = tuple(schemas.Figures.__annotations__)


@router.get("", **schemas.READ)
async def read(request: Request) -> Response:
    """Returns figures of a period: counts by outcome, rows, rate, and percentiles of waits and runs.

    They cover jobs and synchronous predictions, and name no owner. A key gets those of the models and pools that it may use.
    Percentiles come from histograms whose bounds double, and are interpolated.
    """
    query = schemas.StatsQuery.of(request)
    period = Period(_seconds(query.from_), _seconds(query.to), query.step, query.model, query.version, query.pool, query.group_by)
    history = await container(request).stats.history(period)
    return json_response(_present(history))


def _seconds(time_or_age: datetime | timedelta | None) -> float | None:
    if isinstance(time_or_age, timedelta):
        return time.time() + time_or_age.total_seconds()
    return None if time_or_age is None else time_or_age.timestamp()


def _present(history: History) -> schemas.Stats:
    times = [rfc3339(history.start + step * history.step_s) or "" for step in range(history.steps)]
    return {"step_s": history.step_s, "times": times, "items": [_group(group) for group in history.groups]}


def _group(group: Group) -> schemas.StatsGroup:
    # JSON has null for NaN.
    total: Any = dict(zip(_NAMES, group.total, strict=True))
    points: Any = dict(zip(_NAMES, group.points, strict=True))
    return {"model": group.model, "version": group.version, "pool": group.pool, "total": total, "points": points}
