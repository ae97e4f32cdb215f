"""The drift of the last 24 hours as metrics and webhooks. Every API process runs the loop; a lease in Redis lets one of them work."""

from __future__ import annotations

import math
import time
from typing import Final

import redis.asyncio

from app import metrics
from app.core.drift import WindowDrift
from app.core.models import Manifest
from app.core.stats import DAY_S
from app.core.webhooks import Event, WebhookEvent
from app.loops import Loop
from app.services import model_events
from app.services.catalog import Catalog
from app.services.drift import compare
from app.settings import Settings
from app.store import keys, leases, live_counts

DRIFT_S: Final = 20.0
"""Seconds between two computations."""
_LEASE_S: Final = 180
_WINDOW: Final = "24h"
_WORST: Final = 20
Labels = tuple[str, str, str]


class DriftWatch:
    """Sets the metrics of the versions whose rows are counted, and notifies webhooks of those that have drifted."""

    def __init__(self, client: redis.asyncio.Redis, process: str, settings: Settings, catalog: Catalog, loop: Loop) -> None:
        self._client = client
        self._settings = settings
        self._catalog = catalog
        self._loop = loop
        self._lease = leases.Lease(client, keys.DRIFT, process.encode(), _LEASE_S)
        self._shown: set[Labels] = set()

    async def run(self) -> None:
        """Run until cancelled."""
        await self._loop.run(self._turn)

    async def _turn(self) -> float:
        if await self._lease.hold():
            await self.refresh()
        else:
            # Another process computes them now. What this one showed last would look as if it were still so.
            self._show({})
        return DRIFT_S

    async def refresh(self) -> None:
        """Compute the drift of every version that is counted."""
        versions = [version.manifest for entry in self._catalog.entries.values() for version in entry.versions.values()]
        manifests = [manifest for manifest in versions if manifest is not None]
        shown: dict[Labels, float] = {}
        for manifest, counted in zip(manifests, await live_counts.is_counted(self._client, manifests), strict=True):
            if counted:
                with self._loop.item(f"the drift of {manifest.name}@{manifest.version}"):
                    windows = await compare(self._client, manifest, time.time())
                    window = next(window for window in windows if window.name == _WINDOW)
                    shown |= _figures(manifest, window)
                    if window.drifted:
                        await self._notify(manifest, window)
        self._show(shown)

    def _show(self, shown: dict[Labels, float]) -> None:
        """Set the metrics. Those of several processes cannot be removed."""
        for labels in self._shown - shown.keys():
            metrics.DRIFT_PSI.labels(*labels).set(math.nan)
        for name, version in {labels[:2] for labels in self._shown} - {labels[:2] for labels in shown}:
            metrics.DRIFTED_COLUMNS.labels(name, version).set(0)
        for labels, index in shown.items():
            metrics.DRIFT_PSI.labels(*labels).set(index)
        self._shown |= shown.keys()

    async def _notify(self, manifest: Manifest, window: WindowDrift) -> None:
        """Notify webhooks, once on each UTC day: a delivery with the same ID is not made again."""
        now = time.time()
        event = WebhookEvent(f"{manifest.name}@{manifest.version}.{int(now // DAY_S)}", Event.DRIFT)
        data = {"model": manifest.name, "version": manifest.version, "window": window.name, "rows": window.rows, "columns": window.drifted}
        await model_events.notify(self._client, self._settings, event, manifest.key, data, now)


def _figures(manifest: Manifest, window: WindowDrift) -> dict[Labels, float]:
    """Set the number of columns that have drifted, and return the PSI of those that differ most."""
    metrics.DRIFTED_COLUMNS.labels(*manifest.key).set(len(window.drifted))
    figures = {column.name: column.psi for column in (*window.inputs, *window.outputs) if column.psi is not None}
    worst = sorted(figures, key=figures.__getitem__, reverse=True)[:_WORST]
    return {(*manifest.key, name): figures[name] for name in worst}
