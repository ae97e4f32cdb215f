"""/v1/usage: what owners used by the day, and what it cost."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.responses import json_response
from app.api.schemas import usage as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core.metering import Amounts
from app.core.usage_reports import Group, PoolTime, Report, ReportPeriod, day_text

router = APIRouter(prefix="/v1/usage", tags=["usage"], route_class=PlainRoute, responses=PROBLEMS)


@router.get("", **schemas.READ)
async def read(request: Request) -> Response:
    """Returns what owners used in some days: jobs, rows, seconds of processes, and their cost.

    A key gets the usage of its owner. One with the scope `operate` or `admin` gets that of all owners, and the time of each pool.
    """
    query = schemas.UsageQuery.of(request)
    report = await container(request).usage.report(ReportPeriod(query.from_, query.to), query.group_by, query.wanted)
    return json_response(_present(report))


def _present(report: Report) -> schemas.Usage:
    return {
        "from": day_text(report.days[0]),
        "to": day_text(report.days[-1]),
        "items": [_item(group, used) for group, used in sorted(report.items.items(), key=_order)],
        "pools": [_pool(group, time) for group, time in sorted(report.pools.items(), key=_order)],
    }


def _order(entry: tuple[Group, object]) -> tuple[int, str, str, str]:
    group = entry[0]
    return group.day or 0, group.owner or "", group.model or "", group.pool or ""


def _item(group: Group, used: Amounts) -> schemas.UsageItem:
    return {
        "day": _day(group),
        "owner": group.owner,
        "model": group.model,
        "pool": group.pool,
        "jobs": used.jobs,
        "rows": used.rows,
        "run_s": round(used.run_s, 6),
        "cost": _cost(used.cost),
    }


def _pool(group: Group, time: PoolTime) -> schemas.UsagePool:
    return {
        "day": _day(group),
        "pool": group.pool or "",
        "reserved_s": round(time.reserved.run_s, 6),
        "used_s": round(time.used.run_s, 6),
        "idle_s": round(time.idle_s, 6),
        "reserved_cost": _cost(time.reserved.cost),
        "used_cost": _cost(time.used.cost),
        "idle_cost": round(time.idle_cost, 9) if time.reserved.cost else None,
    }


def _day(group: Group) -> str | None:
    return None if group.day is None else day_text(group.day)


def _cost(cost: float) -> float | None:
    return round(cost, 9) if cost else None
