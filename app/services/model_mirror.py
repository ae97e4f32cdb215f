"""Keeps the mirror of a bucket up to date: at once when a process reports a change, otherwise every minute."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from typing import Final

import redis.asyncio

from app.broker.replies import Replies
from app.core.errors import ModelStoreUnavailable
from app.loops import IDLE_S, Loop
from app.registry.bucket.repository import POLL_S, BucketRepository
from app.services.catalog import Catalog
from app.store import keys, tables

log = logging.getLogger(__name__)
_FIRST: Final = -1


class ModelMirror:
    """The mirror of one API process. The processes of a machine share the folder, and the first one that needs it compares."""

    def __init__(self, repository: BucketRepository, client: redis.asyncio.Redis, replies: Replies, catalog: Catalog, loop: Loop) -> None:
        self._repository = repository
        self._client = client
        self._replies = replies
        self._catalog = catalog
        self._loop = loop
        self._seen = _FIRST
        self._failed = False
        self._changed = asyncio.Event()

    async def start(self) -> None:
        """Compare once. If the store does not answer, the models of the folder are served."""
        try:
            await asyncio.to_thread(self._repository.refresh, POLL_S)
        except ModelStoreUnavailable as error:
            log.warning("Serving the models that this machine has: %s", error)

    async def run(self) -> None:
        """Compare until the task is cancelled."""
        async with self._replies.listen(keys.TABLES_CHANGED) as self._changed:
            await self._loop.run(self._turn)

    async def _turn(self) -> float:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._changed.wait(), IDLE_S)
        self._changed.clear()
        seen, revision = self._seen, self._seen
        with self._loop.item("the number of changes of the model repository"):
            revision = await tables.models_revision_async(self._client)
        before = self._repository.mirror.age_s
        try:
            await asyncio.to_thread(self._repository.refresh, POLL_S if revision == seen else 0.0)
        except ModelStoreUnavailable as error:
            if not self._failed:
                log.warning("Serving the models that this machine has: %s", error)
            self._failed = True
            return 0.0
        self._seen, self._failed = revision, False
        if self._repository.mirror.age_s < before:
            await self._catalog.refresh(whole=False)
        return 0.0
