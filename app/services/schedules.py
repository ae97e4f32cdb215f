"""Schedules: create, pause and list them, and begin their runs. Beat decides when a run is due."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, replace
from typing import Any, Final

import redis.asyncio

from app import metrics
from app.core import audit, callers, owners, traces
from app.core.api_keys import Scope
from app.core.audit import Action, Target
from app.core.errors import CeleriacError, PoolDraining, QueueFull, RateLimited, ScheduleNotFound, StoreUnavailable
from app.core.schedules import Schedule
from app.core.traces import Sampling
from app.services.requests.schedules import Creation
from app.services.schedule_targets import ScheduleTarget
from app.settings import Settings
from app.store import audit as audit_store
from app.store import schedules
from app.store.schedules import StoredSchedule

_SCOPES: Final = {"training": Scope.TRAIN, "batch": Scope.BATCH, "pipeline": Scope.PREDICT}
"""What a caller needs to have a schedule start this kind of work. Without it, a schedule would be a way around the scope."""


@dataclass(frozen=True, slots=True)
class ScheduleRun:
    """One run of a schedule.

    Attributes:
        planned: Planned time, in seconds since 1970.
        state: `missed`, `failed`, or the state of what was started. None if its record has expired.
        kind: Kind of what was started, or None.
        id: ID of what was started, or None.
        error: Why the run did not start, or how it failed.
    """

    planned: float
    state: str | None
    kind: str | None
    id: str | None
    error: dict[str, Any] | None


class ScheduleService:
    """The schedules of the platform."""

    def __init__(
        self, client: redis.asyncio.Redis, settings: Settings, targets: Mapping[str, ScheduleTarget], sampling: Sampling | None = None
    ) -> None:
        """`sampling` says which traces are exported; None if none is."""
        self._client = client
        self._settings = settings
        self._targets = targets
        self._sampling = sampling

    async def create(self, creation: Creation) -> StoredSchedule:
        """Create a schedule.

        Raises:
            InvalidInput: A field is invalid.
            ScheduleConflict: The name is taken, or there are too many schedules.
            ScopeMissing: The caller may not start such work.
            CeleriacError: What the schedule starts cannot be started.
        """
        schedule = creation.checked(time.time())
        # The owner that a batch names is allowed when it is checked.
        schedule = replace(schedule, owner=(schedule.kind == "batch" and schedule.request.get("owner")) or callers.owner())
        callers.require(_SCOPES[schedule.kind])
        try:
            await self._targets[schedule.kind].check(schedule.request)
        except CeleriacError as error:
            error.pointer = f"/run/{schedule.kind}{error.pointer or ''}"
            raise
        id = await self._new_id(schedule)
        entry = _entry(Action.SCHEDULE_CREATED, schedule, after=_state(schedule, paused=creation.paused))
        await schedules.create(self._client, id, schedule, entry, paused=creation.paused, most=self._settings.max_schedules)
        return await self._read(id)

    async def get(self, name: str) -> StoredSchedule:
        """Return a schedule. A schedule that the caller does not see does not exist.

        Args:
            name: Its name. For one of another owner, its name as the caller sees it, or only its name if no other owner has it.

        Raises:
            ScheduleNotFound: The schedule does not exist.
        """
        for id in callers.record_ids(name):
            stored = await schedules.read(self._client, id)
            if stored is not None and callers.sees(stored.schedule.owner):
                return stored
        named = [stored for stored in await self.all() if stored.schedule.name == name]
        if len(named) > 1:
            names = ", ".join(f"{callers.shown_id(stored.id)} of {stored.schedule.owner}" for stored in named)
            raise ScheduleNotFound(f"Schedule {name!r} exists for several owners. Use one of these names: {names}.")
        if not named:
            raise ScheduleNotFound(f"Schedule {name!r} does not exist.")
        return named[0]

    async def all(self) -> list[StoredSchedule]:
        """Return every schedule that the caller sees, by name."""
        return [stored for stored in await schedules.every(self._client) if callers.sees(stored.schedule.owner)]

    async def has_beat(self) -> bool:
        """Return whether a beat process is running."""
        return await schedules.beats(self._client)

    async def delete(self, name: str) -> StoredSchedule:
        """Delete a schedule with its history, and return it. Runs that have begun continue.

        Raises:
            ScheduleNotFound: The schedule does not exist.
        """
        stored = await self.get(name)
        before = _state(stored.schedule, paused=stored.paused)
        await schedules.delete(self._client, stored.id, _entry(Action.SCHEDULE_DELETED, stored.schedule, before=before))
        return stored

    async def pause(self, name: str, *, paused: bool) -> StoredSchedule:
        """Pause or resume a schedule. Runs that a paused schedule would have started are not made up for.

        Raises:
            ScheduleNotFound: The schedule does not exist.
        """
        stored = await self.get(name)
        action = Action.SCHEDULE_PAUSED if paused else Action.SCHEDULE_RESUMED
        entry = _entry(action, stored.schedule, before={"paused": stored.paused}, after={"paused": paused})
        await schedules.pause(self._client, stored, entry, paused=paused)
        return await self._read(stored.id)

    async def run(self, name: str) -> ScheduleRun:
        """Start a run now, even if the schedule is paused.

        Raises:
            ScheduleNotFound: The schedule does not exist.
            ScopeMissing: The caller may not start such work.
            CeleriacError: The run cannot start.
        """
        stored = await self.get(name)
        callers.require(_SCOPES[stored.schedule.kind])
        note = await self._begin(stored, int(time.time()))
        await audit_store.write(self._client, _entry(Action.SCHEDULE_STARTED, stored.schedule, Target(note["kind"], note["id"])))
        return await self._described(note)

    async def history(self, name: str, limit: int) -> list[ScheduleRun]:
        """Return the latest runs of a schedule.

        Raises:
            ScheduleNotFound: The schedule does not exist.
        """
        stored = await self.get(name)
        notes = await schedules.history(self._client, stored.id, limit)
        return await asyncio.gather(*map(self._described, notes))

    async def reconcile(self, id: str) -> None:
        """Begin the planned run `ID@TIME`. Safe to call twice, because the ID of the run's job follows from both."""
        schedule_id, _, planned = id.rpartition("@")
        stored = await schedules.read(self._client, schedule_id)
        if stored is None:
            return
        try:
            await self._begin(stored, int(planned))
        except CeleriacError as error:
            temporary = isinstance(error, QueueFull | PoolDraining | RateLimited | StoreUnavailable)
            if temporary and time.time() < stored.schedule.after(int(planned)):
                raise  # The reconciler tries again until the next run is due.
            metrics.SCHEDULED.labels("failed").inc()
            note = {"planned": int(planned), "error": error.as_dict()}
            await schedules.note(self._client, schedule_id, note, self._settings.schedule_keep)

    async def _new_id(self, schedule: Schedule) -> str:
        """Return the ID of a new schedule. Raises ScheduleConflict if its owner has one of an earlier release, whose ID is its name."""
        if self._settings.auth == "none":
            return schedule.name
        earlier = await schedules.read(self._client, schedule.name)
        if earlier is None:
            return owners.record_id(schedule.owner, schedule.name)
        if earlier.schedule.owner == schedule.owner:
            raise schedules.conflict(schedule)
        return owners.mark(schedule.owner) + schedule.name

    async def _read(self, id: str) -> StoredSchedule:
        stored = await schedules.read(self._client, id)
        if stored is None:
            raise ScheduleNotFound(f"Schedule {callers.shown_id(id)!r} does not exist.")
        return stored

    async def _begin(self, stored: StoredSchedule, planned: int) -> dict[str, Any]:
        schedule = stored.schedule
        with self._acting_for(schedule.owner), traces.serving(traces.RequestContext(sampling=self._sampling)):
            id = await self._targets[schedule.kind].begin(schedule.request, schedule.job(stored.id, planned))
        note = {"planned": planned, "kind": schedule.kind, "id": id}
        await schedules.note(self._client, stored.id, note, self._settings.schedule_keep)
        metrics.SCHEDULED.labels("begun").inc()
        return note

    def _acting_for(self, owner: str) -> AbstractContextManager[None]:
        """Return a block that acts for the owner of a schedule. Without authentication, everybody uses everything."""
        return nullcontext() if self._settings.auth == "none" else callers.on_behalf_of(owner)

    async def _described(self, note: dict[str, Any]) -> ScheduleRun:
        state, error = "missed" if note.get("missed") else "failed" if "error" in note else None, note.get("error")
        if "id" in note and (current := await self._targets[note["kind"]].state(note["id"])):
            state, error = current
        return ScheduleRun(note["planned"], state, note.get("kind"), note.get("id"), error)


def _entry(
    action: Action,
    schedule: Schedule,
    *targets: Target,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> bytes:
    return audit.draft(action, Target("schedule", schedule.name), *targets, before=before, after=after)


def _state(schedule: Schedule, *, paused: bool) -> dict[str, Any]:
    """Return what the audit log shows of a schedule: not the request that it repeats."""
    return {
        "kind": schedule.kind,
        "owner": schedule.owner,
        "cron": schedule.cron or None,
        "every_s": schedule.every_s or None,
        "timezone": schedule.timezone,
        "paused": paused,
    }
