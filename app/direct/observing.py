"""Count the rows that the direct lane of a process has answered, every few seconds and in a thread."""

from __future__ import annotations

import asyncio
from typing import Final

import redis.asyncio

from app import metrics
from app.core.observations import Observations
from app.loops import Loop
from app.store import live_counts, scripts

EVERY_S: Final = 5.0


class ObservationRecorder:
    """Counts rows in the bins of the reference profiles."""

    def __init__(self, client: redis.asyncio.Redis, observations: Observations, max_versions: int, loop: Loop) -> None:
        self._client = client
        self._observations = observations
        self._max_versions = max_versions
        self._loop = loop

    async def run(self) -> None:
        """Count until the task is cancelled, and then what is left."""
        await self._loop.run_and_flush(self.flush, EVERY_S)

    async def flush(self) -> None:
        """Count what was observed. If Redis does not answer it is dropped: written twice, it would be counted twice."""
        observed, dropped = self._observations.take()
        metrics.DRIFT_ROWS_LEFT_OUT.inc(dropped)
        for version in observed:
            from app.runtime.bins import count  # imports NumPy, which API processes without a direct version do without

            manifest = version.manifest
            assert manifest.profile is not None
            with self._loop.item(f"the rows of {manifest.name}@{manifest.version}"):
                written = False
                try:
                    lanes = await asyncio.to_thread(count, manifest.profile, version.tensors)
                    written = bool(await scripts.run_async(self._client, live_counts.record(manifest, lanes, self._max_versions)))
                finally:
                    if written:
                        metrics.DRIFT_ROWS.labels(*manifest.key).inc(version.rows)
                    else:
                        metrics.DRIFT_ROWS_LEFT_OUT.inc(version.rows)
