"""Write the captured rows that the direct lane of a process has answered, every now and then and in a thread."""

from __future__ import annotations

import asyncio
import time
from contextlib import suppress
from typing import Final

from app import metrics
from app.core.captured_jobs import CaptureBuffer, CapturedVersion
from app.loops import Loop
from app.store.files import captures

LOOK_S: Final = 5.0


class CaptureRecorder:
    """Writes files of captured rows. What cannot be written is dropped."""

    def __init__(self, buffer: CaptureBuffer, every_s: float, loop: Loop) -> None:
        self._buffer = buffer
        self._every_s = every_s
        self._loop = loop
        self._written_at = time.monotonic()

    async def run(self) -> None:
        """Write until the task is cancelled, and then what is left."""
        try:
            await self._loop.run(self._turn)
        finally:
            with suppress(TimeoutError):
                async with asyncio.timeout(LOOK_S):
                    await self.flush()

    async def _turn(self) -> float:
        if self._buffer.half_full or time.monotonic() - self._written_at >= self._every_s:
            await self.flush()
            self._written_at = time.monotonic()
        return LOOK_S

    async def flush(self) -> None:
        """Write what was captured."""
        for version in self._buffer.take():
            key, dropped = version.manifest.key, version.dropped + version.rows
            with self._loop.item(f"the captured rows of {'@'.join(key)}"):
                try:
                    await asyncio.to_thread(_write, version)
                    metrics.CAPTURED_ROWS.labels(*key).inc(version.rows)
                    dropped = version.dropped
                finally:
                    metrics.CAPTURED_ROWS_DROPPED.labels(*key).inc(dropped)


def _write(version: CapturedVersion) -> None:
    from app.data import captured  # imports Arrow, which API processes do without

    captured.write(version, captures())
