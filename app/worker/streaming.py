"""What the model of a running job yields, on its way to those who watch: gathered, and written by a thread of its own.

A thread, so that a piece is told though the next one takes long, and so that an interruption, which the main thread gets,
never breaks a write.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

from celery.exceptions import SoftTimeLimitExceeded
from redis.exceptions import RedisError

from app import metrics
from app.core.chunks import Chunk
from app.core.jobs import new_id
from app.runtime.model import Model
from app.runtime.streaming import heard
from app.settings import settings
from app.store import scripts
from app.worker import cancellation, pool_process, progress

log = logging.getLogger(__name__)
_EVERY_S: Final = 0.1


@contextmanager
def streaming(model: Model) -> Iterator[None]:
    """What the model yields in the block is told to those who watch its job; when the block is over, all of it is."""
    jobs = progress.jobs()
    if not model.manifest.stream or len(jobs) != 1:
        yield
        return
    [(job, attempt)] = jobs.items()
    stream = Stream(job, attempt)
    try:
        with heard(stream.add):
            yield
    finally:
        stream.close()


class Stream:
    """Of one run of a job. The thread is there from the beginning: under a limit of memory none may be had later."""

    def __init__(self, job: str, attempt: int) -> None:
        self._job, self._attempt, self._run = job, attempt, new_id(0)
        self._count = 0
        self._waiting: deque[Chunk] = deque()
        self._sizes: deque[int] = deque()
        """Of what is kept in Redis or will be, the oldest first; and their sum."""
        self._bytes = 0
        self._lock = threading.Lock()
        self._some, self._over = threading.Event(), threading.Event()
        self._wanted = True
        self._thread = threading.Thread(target=self._tell, name="streaming", daemon=True)
        self._thread.start()

    def add(self, row: int, text: str | bytes) -> None:
        """Raises SoftTimeLimitExceeded where the job is to stop: code that swallowed the signal ends here."""
        if cancellation.asked() or not self._wanted:
            raise SoftTimeLimitExceeded
        size = len(text.encode() if isinstance(text, str) else text)
        index, self._count = self._count, self._count + 1
        metrics.CHUNKS.inc()
        if size > settings().max_stream_bytes:
            metrics.CHUNKS_DROPPED.inc()
            return
        with self._lock:
            self._sizes.append(size)
            self._bytes += size
            self._waiting.append(Chunk(index, row, text, self._attempt))
            self._bound()
        self._some.set()

    def close(self) -> None:
        self._over.set()
        self._some.set()
        self._thread.join()

    def _bound(self) -> None:
        """The oldest are given up for the newest."""
        one = settings()
        while len(self._sizes) > one.max_stream_chunks or self._bytes > one.max_stream_bytes:
            self._bytes -= self._sizes.popleft()
            metrics.CHUNKS_DROPPED.inc()
        while len(self._waiting) > len(self._sizes):
            self._waiting.popleft()

    def _tell(self) -> None:
        while not self._over.is_set():
            self._some.wait()
            self._some.clear()
            self._write()
            self._over.wait(_EVERY_S)
        self._write()

    def _write(self) -> None:
        with self._lock:
            chunks, keep = list(self._waiting), len(self._sizes)
            self._waiting.clear()
        if not chunks:
            return
        try:
            call = scripts.chunks(self._job, self._attempt, self._run, chunks, keep=keep, ttl=settings().result_ttl_s)
            self._wanted = bool(scripts.run(pool_process.redis(), call))
        except (RedisError, OSError) as error:
            metrics.CHUNKS_DROPPED.inc(len(chunks))
            log.warning("%d chunks of %s are not told: %s", len(chunks), self._job, error)
