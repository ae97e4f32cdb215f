"""The drift of a version: its live rows against its reference profile."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass

import redis.asyncio

from app.core import callers
from app.core.drift import WindowDrift
from app.core.models import Manifest, ModelRef
from app.core.profiles import WINDOWS
from app.services.catalog import Catalog
from app.store import live_counts


@dataclass(frozen=True, slots=True)
class DriftReport:
    """How the live rows of a version differ from its reference.

    Attributes:
        model: The model.
        version: The version.
        reference_rows: Rows of the reference; None if the version has no profile, and no windows then.
        windows: The shortest first.
    """

    model: str
    version: str
    reference_rows: int | None
    windows: list[WindowDrift]


class DriftService:
    """Reads what processes have counted, and compares it."""

    def __init__(self, client: redis.asyncio.Redis, catalog: Catalog, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._catalog = catalog
        self._clock = clock

    async def report(self, ref: ModelRef) -> DriftReport:
        """Return the drift of a version over each window.

        Raises:
            ModelNotFound, VersionNotFound: The reference leads to no version.
            KeyRestricted: The caller may not use the model.
        """
        callers.check_model(ref.name)
        version, entry = await self._catalog.resolve(ref)
        manifest = entry.manifest
        if manifest is None or manifest.profile is None:
            return DriftReport(ref.name, version, None, [])
        return DriftReport(ref.name, version, manifest.profile.columns[0].rows, await compare(self._client, manifest, self._clock()))


async def compare(client: redis.asyncio.Redis, manifest: Manifest, now: float) -> list[WindowDrift]:
    """Return the drift of a version with a profile over each window, the shortest first."""
    from app.data import drift  # imports NumPy, which API processes do without

    assert manifest.profile is not None
    counts = await live_counts.read(client, manifest, now)
    # Many columns take tens of milliseconds, for which other requests should not wait.
    return await asyncio.to_thread(drift.windows, manifest.profile, [window.name for window in WINDOWS], counts)
