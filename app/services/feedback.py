"""Feedback: true answers of rows that were predicted before, and how good the predictions were."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta

import redis.asyncio

from app import metrics
from app.core import callers
from app.core.errors import InvalidInput
from app.core.feedback import Actual, Feedback, Quality
from app.services.captures import absolute
from app.services.catalog import Catalog
from app.services.requests.feedback import FeedbackRequest
from app.settings import Settings
from app.store import feedback
from app.store.files import captures


class FeedbackService:
    """Keeps feedback in Redis, and compares it with the captured predictions."""

    def __init__(self, client: redis.asyncio.Redis, settings: Settings, catalog: Catalog) -> None:
        self._client = client
        self._catalog = catalog
        self._keep_s = settings.feedback_ttl_s
        self._max_rows = settings.max_feedback_rows

    async def record(self, requests: Sequence[FeedbackRequest]) -> None:
        """Keep feedback on rows of the caller's owner. A row that has some gets the new one.

        Raises:
            KeyRestricted: The caller may not use a model.
            ModelNotFound: A model does not exist.
            InvalidInput: No version of a model captures outputs.
            StorageFull: A model has too much feedback today.
        """
        models: dict[str, list[Feedback]] = {}
        for request in requests:
            models.setdefault(request.model, []).append(Feedback(request.job, request.row, request.actual))
        for name in models:
            await self._check(name)
        for name, items in models.items():
            await feedback.add(self._client, name, callers.owner(), items, time.time(), self._keep_s, self._max_rows)
            metrics.FEEDBACK_ROWS.labels(name).inc(len(items))

    async def quality(self, name: str, since: datetime | timedelta, until: datetime | timedelta | None) -> list[Quality]:
        """Return the quality of each version that has captured rows in a period.

        Raises:
            KeyRestricted: The caller may not use the model.
            ModelNotFound: The model does not exist.
            FilesUnavailable: The server has no files, or its bucket does not answer.
        """
        callers.check_model(name)
        await self._catalog.entry(name)
        actuals = await feedback.read(self._client, name, time.time(), self._keep_s)
        return await asyncio.to_thread(_qualities, name, absolute(since), absolute(until), actuals)

    async def _check(self, name: str) -> None:
        callers.check_model(name)
        versions = (await self._catalog.entry(name)).versions.values()
        captured = [version.manifest.capture for version in versions if version.manifest is not None]
        if not any(capture is not None and capture.outputs for capture in captured):
            detail = f"Model {name!r} captures no outputs, so there is nothing to compare. Set `capture` in model.yaml."
            raise InvalidInput(detail, pointer="/model")


def _qualities(name: str, since: datetime | None, until: datetime | None, actuals: Mapping[tuple[str, str, int], Actual]) -> list[Quality]:
    from app.data import quality  # imports Arrow, which API processes do without

    stored = captures()

    def contents() -> Iterator[tuple[str, bytes]]:
        for file in stored.files(name, since=since, until=until):
            # It may have expired meanwhile.
            with suppress(FileNotFoundError):
                yield file.version, stored.read(file)

    return quality.qualities(contents(), actuals)
