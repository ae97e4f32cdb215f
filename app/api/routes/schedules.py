"""/v1/schedules: start trainings, batches and pipeline runs at planned times."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from fastapi import APIRouter, Request
from starlette.responses import Response

from app.api.container import container
from app.api.http.responses import json_response
from app.api.schemas import schedules as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.core import callers
from app.core.api_keys import DEFAULT_OWNER
from app.core.timestamps import rfc3339
from app.services.requests.schedules import Creation
from app.services.schedules import ScheduleRun, ScheduleService
from app.store.schedules import StoredSchedule

if TYPE_CHECKING:
    from app.api.schemas.jobs import JobError
    from app.services.requests.schedules import Run

router = APIRouter(prefix="/v1/schedules", tags=["schedules"], route_class=PlainRoute, responses=PROBLEMS)
_MAX_BYTES: Final = 64 << 10


@router.post("", **schemas.CREATE)
async def create(request: Request) -> Response:
    """Creates a schedule.

    Its times come from `cron` in a time zone or from `every_s`. What it runs has the form that its own endpoint takes.
    """
    root = container(request)
    schedule = await root.schedules.create(Creation.parse(await root.bodies.read_object(request, _MAX_BYTES)))
    return await _response(root.schedules, schedule, 201, {"location": f"/v1/schedules/{callers.shown_id(schedule.id)}"})


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Lists every schedule by name."""
    schedules = container(request).schedules
    has_beat = await schedules.has_beat()
    return json_response(schemas.Schedules(items=[_present(schedule, has_beat=has_beat) for schedule in await schedules.all()]))


@router.get("/{name}", **schemas.READ)
async def read(request: Request) -> Response:
    """Returns one schedule, and when it runs next."""
    schedules = container(request).schedules
    return await _response(schedules, await schedules.get(request.path_params["name"]))


@router.delete("/{name}", **schemas.DELETE)
async def delete(request: Request) -> Response:
    """Deletes a schedule with its history. A run that has begun continues."""
    return json_response(_present(await container(request).schedules.delete(request.path_params["name"]), has_beat=True))


@router.post("/{name}/pause", **schemas.PAUSE)
async def pause(request: Request) -> Response:
    """Pauses a schedule."""
    schedules = container(request).schedules
    return await _response(schedules, await schedules.pause(request.path_params["name"], paused=True))


@router.post("/{name}/resume", **schemas.RESUME)
async def resume(request: Request) -> Response:
    """Resumes a paused schedule from now. Runs that it would have started meanwhile are not made up for."""
    schedules = container(request).schedules
    return await _response(schedules, await schedules.pause(request.path_params["name"], paused=False))


@router.post("/{name}/run", **schemas.RUN)
async def run(request: Request) -> Response:
    """Starts a run now, even if the schedule is paused. Its planned times stay unchanged."""
    return json_response(_run(await container(request).schedules.run(request.path_params["name"])), 202)


@router.get("/{name}/runs", **schemas.RUNS)
async def runs(request: Request) -> Response:
    """Lists the latest runs first. The state of a run is null once its job has expired."""
    limit = schemas.RunsQuery.of(request).limit
    history = await container(request).schedules.history(request.path_params["name"], limit)
    return json_response(schemas.Runs(items=[_run(entry) for entry in history]))


async def _response(
    schedules: ScheduleService, schedule: StoredSchedule, status: int = 200, headers: dict[str, str] | None = None
) -> Response:
    return json_response(_present(schedule, has_beat=await schedules.has_beat()), status, headers)


def _present(stored: StoredSchedule, *, has_beat: bool) -> schemas.Schedule:
    schedule = stored.schedule
    body: schemas.Schedule = {
        "name": callers.shown_id(stored.id),
        "description": schedule.description,
        "cron": schedule.cron or None,
        "every_s": schedule.every_s or None,
        "timezone": schedule.timezone,
        "missed": schedule.missed,
        "run": cast("Run", {schedule.kind: schedule.request}),  # as it was accepted
        "paused": stored.paused,
        "next_at": rfc3339(stored.next_at),
        "created_at": rfc3339(schedule.created_at),
    }
    if schedule.owner != DEFAULT_OWNER:
        body["owner"] = schedule.owner
    if not has_beat and not stored.paused:
        body["waits_for"] = "No beat is running: start one, for example with `celeriac up --beat`."
    return body


def _run(run: ScheduleRun) -> schemas.ScheduledRun:
    body: schemas.ScheduledRun = {"planned_at": rfc3339(run.planned), "state": run.state, "kind": run.kind, "id": run.id}
    if run.error:
        body["error"] = cast("JobError", run.error)
    return body
