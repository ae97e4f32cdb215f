"""How far the running delivery has come: said by its model or its work, written to the records of its jobs."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Final

from celeriac import _authoring
from redis.exceptions import RedisError

from app.core.jobs import Progress
from app.store import scripts
from app.store.records import encode_progress
from app.worker import pool_process

log = logging.getLogger(__name__)
_EVERY_S: Final = 0.2
_LONGEST: Final = 200

_jobs: Mapping[str, int] = {}
_said_at = 0.0


@contextmanager
def of(jobs: Mapping[str, int]) -> Iterator[None]:
    """What is said in the block is of these recorded jobs: job -> attempt."""
    global _jobs, _said_at
    _jobs, _said_at = jobs, 0.0
    _authoring.listen(say)
    try:
        yield
    finally:
        _jobs = {}


def jobs() -> Mapping[str, int]:
    """The recorded jobs that run: job -> attempt."""
    return _jobs


def say(fraction: float, text: str = "") -> None:
    """`fraction` is between 0 and 1; a line of `text` says what is being done. More than five times a second is dropped."""
    global _said_at
    if not _jobs or time.monotonic() - _said_at < _EVERY_S:
        return
    _said_at = time.monotonic()
    progress = Progress(min(1.0, max(0.0, float(fraction))), str(text)[:_LONGEST].encode(errors="backslashreplace").decode())
    try:
        scripts.run(pool_process.redis(), scripts.progress(_jobs, encode_progress(progress)))
    except RedisError as error:
        log.warning("progress is not told: %s", error)
