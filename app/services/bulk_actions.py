"""Bulk actions: cancel all jobs, or replay or discard all dead letters, that a filter matches. Any API process does the next step."""

from __future__ import annotations

import math
import time
from dataclasses import asdict, replace
from typing import Final

import redis.asyncio

from app import metrics
from app.core import audit, callers
from app.core.audit import MAX_TARGETS, Action, Target
from app.core.bulk_actions import BulkAction, BulkFilter, BulkKind, BulkState
from app.core.dead_letters import Wanted
from app.core.errors import BulkActionNotFound, QueueFull, StoreUnavailable
from app.core.job_filters import JobFilter
from app.core.jobs import Job, new_id
from app.services.dead_letters import DeadLetterService
from app.services.jobs import JobService
from app.services.requests.dead_letters import BulkReplay
from app.settings import Settings
from app.store import audit as audit_store
from app.store import bulk_actions, clock, jobs

_COUNTED: Final = 20
"""Parts of a list that are looked through to count what matches, each of `LOOKED_AT` records."""
_REPLAYED: Final = 100
"""Dead letters that one step replays."""
_LATER_S: Final = 5.0
"""Pause after the queue was full."""


class BulkActionService:
    """The bulk actions of the platform."""

    def __init__(self, client: redis.asyncio.Redis, settings: Settings, jobs: JobService, dead_letters: DeadLetterService) -> None:
        self._client = client
        self._settings = settings
        self._jobs = jobs
        self._dead_letters = dead_letters
        self._steps = {BulkKind.CANCEL: self._cancel, BulkKind.REPLAY: self._replay, BulkKind.DISCARD: self._discard}

    async def count(self, kind: BulkKind, filter: BulkFilter) -> tuple[int, bool]:
        """Return how many jobs or dead letters match now, and whether these are all. Otherwise there may be more."""
        number, cursor = 0, None
        for _ in range(_COUNTED):
            if kind is BulkKind.CANCEL:
                ids, cursor = await jobs.matching(self._client, cursor, _jobs(filter))
                number += len(ids)
            else:
                letters, cursor = await self._dead_letters.page(_wanted(filter), cursor, jobs.LOOKED_AT)
                number += len(letters)
            if cursor is None:
                return number, True
        return number, False

    async def start(self, kind: BulkKind, filter: BulkFilter, to: str = "") -> BulkAction:
        """Start a bulk action and return it. The server does the work, also if the caller is gone."""
        now = await clock.now(self._client)
        matching, complete = await self.count(kind, filter)
        action = BulkAction(new_id(now), kind, filter, to, callers.owner(), callers.CALLER.get(), now, matching, complete)
        after = {"action": kind, "filter": asdict(filter), "to": to, "matching": matching}
        entry = audit.draft(Action.BULK_ACTION_STARTED, Target("bulk_action", action.id), after=after)
        keep, most = self._settings.result_ttl_s, self._settings.max_bulk_actions
        await bulk_actions.create(self._client, action, entry, keep_s=keep, most=most)
        return action

    async def get(self, id: str) -> BulkAction:
        """Return a bulk action that the caller sees. Raises BulkActionNotFound."""
        action = await bulk_actions.read(self._client, id)
        if action is None or not callers.sees(action.owner):
            raise BulkActionNotFound(f"Bulk action {id!r} does not exist, or has passed its retention period.")
        return action

    async def page(self, cursor: str | None, limit: int) -> tuple[list[BulkAction], str | None]:
        """Return the newest bulk actions that the caller sees, and the cursor of the next page. Raises ValueError for an invalid cursor."""
        return await bulk_actions.page(self._client, lambda action: callers.sees(action.owner), cursor, limit)

    async def reconcile(self, id: str) -> float | None:
        """Do the next step of a bulk action. Returns the seconds until the one after it, or None at the end."""
        action = await bulk_actions.read(self._client, id)
        if action is None or action.state is BulkState.COMPLETED:
            return None
        with callers.acting(action.caller):
            after, wait_s = await self._steps[action.kind](action)
        for outcome, number in (("done", after.done - action.done), ("skipped", after.skipped - action.skipped)):
            metrics.BULK_ACTION_ITEMS.labels(action.kind, outcome).inc(number)
        if after.cursor is None and not wait_s:
            after = replace(after, state=BulkState.COMPLETED, finished_at=time.time())
        await bulk_actions.save(self._client, after, self._settings.result_ttl_s)
        return None if after.state is BulkState.COMPLETED else wait_s

    async def _cancel(self, action: BulkAction) -> tuple[BulkAction, float]:
        ids, cursor = await jobs.matching(self._client, action.cursor, _jobs(action.filter, action.created_at))
        cancelled = await self._jobs.cancel_all(ids, callers.only_owner())
        if cancelled:
            targets = (Target("job", id) for id in cancelled[:MAX_TARGETS])
            await audit_store.write(self._client, audit.draft(Action.JOB_CANCELLED, *targets, count=len(cancelled)))
        skipped = action.skipped + len(ids) - len(cancelled)
        return replace(action, cursor=cursor, done=action.done + len(cancelled), skipped=skipped), 0.0

    async def _replay(self, action: BulkAction) -> tuple[BulkAction, float]:
        letters, cursor = await self._dead_letters.page(_wanted(action.filter, action.created_at), action.cursor, _REPLAYED)
        changes = BulkReplay.parse({"model": action.to} if action.to else {})
        results = [result async for _, result in self._dead_letters.replay_all(letters, changes)]
        refused = [result for result in results if not isinstance(result, Job)]
        done = action.done + len(results) - len(refused)
        if any(isinstance(error, QueueFull | StoreUnavailable) for error in refused):
            # What is left of the page has its turn later. Those that were refused for another reason are then counted.
            return replace(action, done=done), _LATER_S
        error = dict(refused[-1].as_dict()) if refused else action.error
        return replace(action, cursor=cursor, done=done, skipped=action.skipped + len(refused), error=error), 0.0

    async def _discard(self, action: BulkAction) -> tuple[BulkAction, float]:
        letters, cursor = await self._dead_letters.page(_wanted(action.filter, action.created_at), action.cursor, jobs.LOOKED_AT)
        discarded = await self._dead_letters.discard(letters)
        skipped = action.skipped + len(letters) - discarded
        return replace(action, cursor=cursor, done=action.done + discarded, skipped=skipped), 0.0


def _jobs(filter: BulkFilter, until: float = math.inf) -> JobFilter:
    wanted = filter.jobs
    newest = until if wanted.until is None else min(wanted.until, until)
    return replace(wanted, owner=callers.listed_owner(wanted.owner), until=newest)


def _wanted(filter: BulkFilter, until: float | None = None) -> Wanted:
    return Wanted(filter.model, filter.error, before=until, fingerprint=filter.fingerprint)
