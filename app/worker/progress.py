"""Write how far a running delivery is, as its model or its handler reports it, to the records of its jobs."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Final

import redis
from celeriac import _authoring
from redis.exceptions import RedisError

from app.core.jobs import Progress
from app.store import scripts
from app.store.records import encode_progress

log = logging.getLogger(__name__)
_EVERY_S: Final = 0.2
_MAX_TEXT: Final = 200


class ProgressReporter:
    """Reports the progress of the jobs that run in one pool process."""

    def __init__(self, client: Callable[[], redis.Redis]) -> None:
        """Start without running jobs.

        Args:
            client: Returns the process' connection to Redis.
        """
        self._client = client
        self.jobs: Mapping[str, int] = {}
        """The recorded jobs that run: job -> attempt."""
        self._reported_at = 0.0
        self._mixed = False

    @contextmanager
    def of(self, jobs: Mapping[str, int], *, mixed: bool = False) -> Iterator[None]:
        """Write what is reported in the block to these recorded jobs: job -> attempt. Jobs of several owners (`mixed`) get no text."""
        self.jobs, self._reported_at, self._mixed = jobs, 0.0, mixed
        _authoring.listen(self.report)
        try:
            yield
        finally:
            self.jobs = {}

    def report(self, fraction: float, text: str = "") -> None:
        """Report progress. More than five reports a second are dropped.

        Args:
            fraction: Between 0 and 1.
            text: What is being done, in one line.
        """
        if not self.jobs or time.monotonic() - self._reported_at < _EVERY_S:
            return
        self._reported_at = time.monotonic()
        shown = "" if self._mixed else str(text)[:_MAX_TEXT].encode(errors="backslashreplace").decode()
        progress = Progress(min(1.0, max(0.0, float(fraction))), shown)
        try:
            scripts.run(self._client(), scripts.progress(self.jobs, encode_progress(progress)))
        except RedisError as error:
            log.warning("Could not store the progress of %d jobs: %s", len(self.jobs), error)
