"""The quality of the last 7 days as metrics. Every API process runs the loop; a lease in Redis lets one of them work."""

from __future__ import annotations

import math
import time
from datetime import timedelta
from typing import Final

import redis.asyncio

from app import metrics
from app.loops import Loop
from app.services.catalog import Catalog
from app.services.feedback import FeedbackService
from app.settings import Settings
from app.store import feedback, keys, leases

TURN_S: Final = 20.0
_LEASE_S: Final = 180
_EVERY_S: Final = 600.0
"""Seconds between two computations, which read the captured rows."""
_WINDOW: Final = timedelta(days=-7)
_MEASURES: Final = ("accuracy", "auc", "calibration_error", "mae", "rmse")


class QualityWatch:
    """Sets the metrics of versions that received feedback."""

    def __init__(
        self, client: redis.asyncio.Redis, process: str, settings: Settings, catalog: Catalog, service: FeedbackService, loop: Loop
    ) -> None:
        self._client = client
        self._keep_s = settings.feedback_ttl_s
        self._catalog = catalog
        self._service = service
        self._loop = loop
        self._lease = leases.Lease(client, keys.QUALITY, process.encode(), _LEASE_S)
        self._refreshed_at = -_EVERY_S
        self._shown: set[tuple[str, str, str]] = set()

    async def run(self) -> None:
        """Run until cancelled."""
        await self._loop.run(self._turn)

    async def _turn(self) -> float:
        if await self._lease.hold() and time.monotonic() - self._refreshed_at >= _EVERY_S:
            await self._refresh()
            self._refreshed_at = time.monotonic()
        return TURN_S

    async def _refresh(self) -> None:
        """Compute the quality of every model that has feedback."""
        shown: dict[tuple[str, str, str], float] = {}
        for name in list(self._catalog.entries):
            with self._loop.item(f"the quality of {name}"):
                if await feedback.exists(self._client, name, time.time(), self._keep_s):
                    for version in await self._service.quality(name, _WINDOW, None):
                        figures = {measure: getattr(version, measure) for measure in _MEASURES}
                        shown |= {(name, version.version, measure): value for measure, value in figures.items() if value is not None}
            self._loop.touch()
        # Metrics of several processes cannot be removed.
        for labels in self._shown - shown.keys():
            metrics.MODEL_QUALITY.labels(*labels).set(math.nan)
        for labels, value in shown.items():
            metrics.MODEL_QUALITY.labels(*labels).set(value)
        self._shown = shown.keys() | self._shown
