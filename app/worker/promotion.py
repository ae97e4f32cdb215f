"""Decide promotions by what this worker serves: an alias moves once the version answers here, and stays if it cannot."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field

import redis

from app import metrics
from app.core import audit
from app.core.audit import Action, Target
from app.core.errors import CeleriacError
from app.core.models import PRODUCTION
from app.core.promotions import BARE_NAME, Failure, Promotion
from app.store import serving as store
from app.store import workers
from app.store.serving import Serving, Slot
from app.worker.models import Models, Wanted
from app.worker.smoke_test import Key

log = logging.getLogger(__name__)


@dataclass(slots=True)
class Promotions:
    """The promotions of a worker's pool. `name` and `pool` are the worker's."""

    models: Models
    name: str
    pool: str
    _stuck: dict[Slot, str] = field(default_factory=dict)
    """Alias -> the version that it should lead to and cannot. The log has it already."""

    def decide(self, client: redis.Redis, wanted: Wanted, serving: Serving) -> None:
        """Move the aliases whose version this worker serves, and end the promotions of those that it cannot serve.

        Redis is written before the file: a worker that dies in between leaves a request that the next one settles.

        Raises:
            RedisError: Redis is unavailable.
        """
        moved = {slot: version for slot, version in wanted.targets.items() if self._ready((slot[0], version))}
        new = {slot: version for slot, version in moved.items() if serving.get(slot) != version}
        for slot, version in new.items():
            store.served(client, slot, version, self._entry(slot, version, wanted, serving))
        for slot, request in wanted.requests.items():
            if slot in moved:
                self._settle(slot, request, first=slot in new)
        for slot, request, reason in list(self._lost(client, wanted)):
            self._fail(client, slot, request, reason, serving)
        self._warn(wanted, serving)
        store.forget(client, wanted.gone)

    def _entry(self, slot: Slot, version: str, wanted: Wanted, serving: Serving) -> bytes:
        """Return the entry of the audit log for an alias that moves. The bare name has none if it moves with `production`."""
        name, alias = slot
        if alias == BARE_NAME and (name, PRODUCTION) in wanted.targets:
            return b""
        target = Target("model", f"{name}@{alias}" if alias else name)
        before, by = {"version": serving.get(slot)}, audit.actor(self.name)
        return audit.draft(Action.MODEL_PROMOTED, target, before=before, after={"version": version}, by=by)

    def _ready(self, key: Key) -> bool:
        return key in self.models.loaded and key not in self.models.arriving

    def _settle(self, slot: Slot, request: Promotion, *, first: bool) -> None:
        with suppress(CeleriacError, OSError):  # a read-only volume: Redis has the promotion, and a worker that can write the file does
            self.models.settle(slot[0], request)
        if first:
            metrics.PROMOTIONS.labels("served").inc()
            log.info("Promoted: model=%s alias=%s version=%s before=%s", *slot, request.version, request.before)

    def _lost(self, client: redis.Redis, wanted: Wanted) -> Iterator[tuple[Slot, Promotion, str]]:
        """Yield promotions that cannot succeed, and why."""
        refused = [slot for slot, request in wanted.requests.items() if (slot[0], request.version) in self.models.refused]
        # Another worker of the pool may still find that it can serve the version, for example one with a newer image.
        living = workers.living(client) if refused else []
        others = [worker for worker in living if worker.pool == self.pool and worker.name != self.name]
        undecided = {(name, version) for worker in others for name, version in (*worker.loading, *worker.ready)}
        for slot, request in wanted.requests.items():
            key = slot[0], request.version
            if slot in refused and key not in undecided:
                yield slot, request, self.models.refused[key]
            elif key not in wanted.keys:
                yield slot, request, f"version {request.version} was removed"

    def _fail(self, client: redis.Redis, slot: Slot, request: Promotion, reason: str, serving: Serving) -> None:
        store.failed(client, slot, Failure(request.id, reason, time.time()))
        with suppress(CeleriacError, OSError):
            self.models.settle(slot[0], request, reason)
        metrics.PROMOTIONS.labels("failed").inc()
        stays = serving.get(slot) or request.before or "nothing"
        log.error("Promotion failed: model=%s alias=%s version=%s still=%s reason=%s", *slot, request.version, stays, reason)

    def _warn(self, wanted: Wanted, serving: Serving) -> None:
        """Log once that an alias, which was moved by hand, leads to the last good version instead."""
        stuck = {
            slot: version
            for slot, version in wanted.targets.items()
            if slot not in wanted.requests and (slot[0], version) in self.models.refused and serving.get(slot) not in (None, version)
        }
        for slot, version in stuck.items():
            name, alias = slot
            if self._stuck.get(slot) != version and not (alias == BARE_NAME and (name, PRODUCTION) in stuck):
                which = f"alias {alias!r} of {name}" if alias != BARE_NAME else name
                log.warning("Keeping %s at version %s: version %s cannot be served", which, serving.get(slot), version)
        self._stuck = stuck
