"""Pausing and resuming models, and which are paused, as one process knows it: a lookup costs no I/O."""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Mapping
from functools import partial
from typing import Final

import redis.asyncio
from redis.exceptions import RedisError

from app import metrics
from app.broker.replies import Replies
from app.core import audit, callers
from app.core.audit import Action, Target
from app.core.model_pauses import ModelPause
from app.loops import IDLE_S, Loop
from app.services.catalog import Catalog
from app.store import batches, keys, model_pauses

_REFRESH_S: Final = 1.0


class ModelPauses:
    """The models that are paused.

    Attributes:
        pauses: The pause of each model that is paused.
        waiting: How many deliveries wait until each of these is resumed.
    """

    def __init__(self, client: redis.asyncio.Redis, catalog: Catalog, replies: Replies, loop: Loop) -> None:
        self.pauses: Mapping[str, ModelPause] = {}
        self.waiting: Mapping[str, int] = {}
        self._client = client
        self._catalog = catalog
        self._replies = replies
        self._loop = loop
        self._measured: set[str] = set()
        self._reading = asyncio.Lock()

    async def start(self) -> None:
        """Read which models are paused. If Redis does not answer, the loop does it later."""
        with contextlib.suppress(RedisError, OSError):
            await self.refresh()

    async def run(self) -> None:
        """Follow the pauses until the task is cancelled."""
        async with self._replies.listen(keys.MODELS_CHANGED) as changed:
            await self._loop.run(partial(self._turn, changed))

    async def _turn(self, changed: asyncio.Event) -> float:
        # What waits for a paused model is counted every second.
        await self._loop.wait(changed, _REFRESH_S if self.pauses else IDLE_S)
        await self.refresh()
        self._measured |= self.pauses.keys()
        for model in self._measured:
            metrics.MODEL_PAUSED.labels(model).set(model in self.pauses)
            metrics.PAUSED_DELIVERIES.labels(model).set(self.waiting.get(model, 0))
        return 0.0

    async def refresh(self) -> None:
        """Read the pauses. Raises RedisError; then they stay unchanged."""
        # One at a time: a reading that began before a change must not end after the one that follows the change.
        async with self._reading:
            pauses = await model_pauses.read_all(self._client)
            self.pauses, self.waiting = pauses, await model_pauses.waiting(self._client, pauses)

    def check_synchronous(self, model: str) -> None:
        """Raise ModelPaused if a model answers no synchronous requests."""
        if pause := self.pauses.get(model):
            error = pause.refusal(model)
            metrics.JOBS_REFUSED.labels(error.code).inc()
            raise error

    async def pause(self, model: str, reason: str) -> ModelPause:
        """Let nothing of a model start. What runs is completed. A model that is paused keeps the time, and its reason if none is given.

        Args:
            model: Name of the model.
            reason: Why, in the words of the caller. May be empty.

        Raises:
            ModelNotFound: The model does not exist.
            KeyRestricted: The caller may not use the model.
        """
        await self._catalog.entry(model)
        await self.refresh()
        before = self.pauses.get(model)
        if before is not None and reason in ("", before.reason):
            return before
        caller = callers.CALLER.get()
        since = before.since if before is not None else time.time()
        pause = ModelPause(since, caller.id if caller else "", caller.name if caller else "", reason)
        await self._write(model, pause)
        return pause

    async def resume(self, model: str) -> None:
        """Let what waits for a model start. One that is not paused stays unchanged. Raises the errors of `pause`."""
        callers.check_model(model)
        await self.refresh()
        if model not in self.pauses:
            await self._catalog.entry(model)
        await self._write(model, None)
        await model_pauses.release(self._client)

    async def _write(self, model: str, pause: ModelPause | None) -> None:
        before = model in self.pauses
        entry = audit.draft(
            Action.MODEL_RESUMED if pause is None else Action.MODEL_PAUSED,
            Target("model", model),
            before={"paused": before},
            after={"paused": pause is not None, "reason": pause.reason if pause else ""},
        )
        await model_pauses.write(self._client, model, pause, entry)
        # The other processes are notified. This one must know it before its response.
        await self.refresh()
        versions = self._catalog.entries[model].versions.values() if model in self._catalog.entries else ()
        await batches.wake(self._client, {version.manifest.pool for version in versions if version.manifest})
