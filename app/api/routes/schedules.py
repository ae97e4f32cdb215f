"""/v1/schedules: what is run again and again. Beat says when; here a run begins, under an id that follows from its planned time."""

from __future__ import annotations

import asyncio
import time
from typing import Any, Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from app import metrics
from app.api.http import params as query
from app.api.http.bodies import known, read_object
from app.api.routes.jobs import answer
from app.api.schemas import schedules as schemas
from app.api.schemas.problems import PROBLEMS
from app.api.server.plain_route import PlainRoute
from app.broker.reconciler import Advance
from app.core.errors import CeleriacError, InvalidInput, QueueFull, ScheduleNotFound, StoreUnavailable
from app.core.schedules import Schedule
from app.core.timestamps import rfc3339
from app.services.jobs import Gateway, gateway
from app.services.schedule_targets import KINDS
from app.store import schedules

router = APIRouter(prefix="/v1/schedules", tags=["schedules"], route_class=PlainRoute, responses=PROBLEMS)
_LARGEST: Final = 64 << 10


@router.post("", **schemas.CREATE)
async def create(request: Request) -> Response:
    """Makes a schedule: by `cron` in a time zone, or by `every_s`; what it runs is said as the API takes it elsewhere."""
    here = gateway(request)
    body = await read_object(request, _LARGEST)
    paused = body.pop("paused", False)
    if not isinstance(paused, bool):
        raise InvalidInput(f"paused is {paused!r}: true or false", pointer="/paused")
    found = Schedule.parse({name: value for name, value in body.items() if value is not None}, tuple(KINDS), time.time())
    try:
        await KINDS[found.kind].check(here, found.request)
    except CeleriacError as error:
        error.pointer = f"/run/{found.kind}{error.pointer or ''}"
        raise
    await schedules.create(here.redis, found, paused=paused, most=here.settings.max_schedules)
    return await _answer(here, found.name, 201, {"location": f"/v1/schedules/{found.name}"})


@router.get("", **schemas.LIST)
async def listed(request: Request) -> Response:
    """Every schedule, by name."""
    here = gateway(request)
    beats = await schedules.beats(here.redis)
    return answer({"items": [_shown(one, beats) for one in await schedules.every(here.redis)]})


@router.get("/{name}", **schemas.READ)
async def read(request: Request) -> Response:
    """One schedule, and when it runs next."""
    return await _answer(gateway(request), request.path_params["name"])


@router.delete("/{name}", **schemas.DELETE)
async def delete(request: Request) -> Response:
    """Forgets a schedule, with its history; a run that has begun goes on."""
    here = gateway(request)
    found = await schedules.read(here.redis, request.path_params["name"])
    await schedules.delete(here.redis, found.schedule.name)
    return answer(_shown(found, True))


@router.post("/{name}/pause", **schemas.PAUSE)
async def pause(request: Request) -> Response:
    """Pauses a schedule."""
    here, name = gateway(request), request.path_params["name"]
    await schedules.pause(here.redis, name, paused=True)
    return await _answer(here, name)


@router.post("/{name}/resume", **schemas.RESUME)
async def resume(request: Request) -> Response:
    """Lets a paused schedule go on from now; what would have run meanwhile is not made up for."""
    here, name = gateway(request), request.path_params["name"]
    await schedules.pause(here.redis, name, paused=False)
    return await _answer(here, name)


@router.post("/{name}/run", **schemas.RUN)
async def run(request: Request) -> Response:
    """Runs it now, also where it is paused. Its times stay as they are."""
    here, name = gateway(request), request.path_params["name"]
    found = await schedules.read(here.redis, name)
    noted = await _begin(here, found.schedule, int(time.time()))
    return answer(await _run(here, noted), 202)


@router.get("/{name}/runs", **schemas.RUNS)
async def runs(request: Request) -> Response:
    """The latest runs first, each with its state as long as that is known."""
    here, name, asked = gateway(request), request.path_params["name"], request.query_params
    known(asked, "limit")
    limit = query.whole(asked.get("limit", "20"), "limit", 1, 100)
    await schedules.read(here.redis, name)
    noted = await schedules.history(here.redis, name, limit)
    return answer({"items": await asyncio.gather(*(_run(here, one) for one in noted))})


def advance(here: Gateway) -> Advance:
    """Begins the planned run `NAME@TIME`; safe to do twice, for its job has an id that follows from both."""

    async def begin(id: str) -> None:
        name, _, planned = id.rpartition("@")
        try:
            found = await schedules.read(here.redis, name)
        except ScheduleNotFound:
            return
        try:
            await _begin(here, found.schedule, int(planned))
        except CeleriacError as error:
            if isinstance(error, QueueFull | StoreUnavailable) and time.time() < found.schedule.after(int(planned)):
                raise  # tried again, until the next run is due
            metrics.SCHEDULED.labels("failed").inc()
            await schedules.note(here.redis, name, {"planned": int(planned), "error": error.as_dict()}, here.settings.schedule_keep)

    return begin


async def _begin(here: Gateway, schedule: Schedule, planned: int) -> dict[str, Any]:
    id = await KINDS[schedule.kind].begin(here, schedule.request, schedule.job(planned))
    noted = {"planned": planned, "kind": schedule.kind, "id": id}
    await schedules.note(here.redis, schedule.name, noted, here.settings.schedule_keep)
    metrics.SCHEDULED.labels("begun").inc()
    return noted


async def _answer(here: Gateway, name: str, status: int = 200, headers: dict[str, str] | None = None) -> Response:
    found, beats = await schedules.read(here.redis, name), await schedules.beats(here.redis)
    return answer(_shown(found, beats), status, headers)


def _shown(found: schedules.StoredSchedule, beats: bool) -> dict[str, Any]:
    one = found.schedule
    told = {
        "name": one.name,
        "description": one.description,
        "cron": one.cron or None,
        "every_s": one.every_s or None,
        "timezone": one.timezone,
        "missed": one.missed,
        "run": {one.kind: one.request},
        "paused": found.paused,
        "next_at": rfc3339(found.next_at),
        "created_at": rfc3339(one.created_at),
    }
    if not beats and not found.paused:
        told["waits_for"] = "a beat, of which there is none: start one, as `celeriac up --beat` does"
    return told


async def _run(here: Gateway, noted: dict[str, Any]) -> dict[str, Any]:
    state, error = "missed" if noted.get("missed") else "failed" if "error" in noted else None, noted.get("error")
    if "id" in noted and (found := await KINDS[noted["kind"]].state(here, noted["id"])):
        state, error = found
    told = {"planned_at": rfc3339(noted["planned"]), "state": state, "kind": noted.get("kind"), "id": noted.get("id")}
    return told | ({"error": error} if error else {})
