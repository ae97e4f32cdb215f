"""Write what the model of a running job yields to those who watch it: collected, and written by a thread of its own.

A thread, so that a token is sent although the next one takes long, and so that a cancellation, which the main thread receives,
never breaks a write.
"""

from __future__ import annotations

import logging
import threading
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Final

import redis
from celery.exceptions import SoftTimeLimitExceeded
from redis.exceptions import RedisError

from app import metrics
from app.core.jobs import new_id
from app.core.tokens import Token
from app.runtime.model import Model
from app.runtime.streaming import heard
from app.settings import settings
from app.store import scripts
from app.worker.pool_process import PoolProcess

log = logging.getLogger(__name__)
_EVERY_S: Final = 0.1


@contextmanager
def streaming(process: PoolProcess, model: Model) -> Iterator[None]:
    """Send what the model yields in the block to those who watch its job. All of it is sent when the block ends."""
    jobs = process.progress.jobs
    if not model.manifest.stream or len(jobs) != 1:
        yield
        return
    [(job, attempt)] = jobs.items()
    stream = TokenStream(job, attempt, process.redis, process.cancellation.requested)
    try:
        with heard(stream.add):
            yield
    finally:
        stream.close()


class TokenStream:
    """The tokens of one run of a job. Its thread starts at once: under a limit of memory none may be had later."""

    def __init__(self, job: str, attempt: int, client: redis.Redis, stop_requested: Callable[[], bool]) -> None:
        """Start the stream of one run.

        Args:
            job: The job's id.
            attempt: The number of the attempt.
            client: A connection to Redis.
            stop_requested: Returns whether the job is to stop.
        """
        self._job, self._attempt, self._run = job, attempt, new_id(0)
        self._client = client
        self._stop_requested = stop_requested
        self._count = 0
        self._waiting: deque[Token] = deque()
        self._sizes: deque[int] = deque()
        """Sizes of what is kept in Redis or will be, the oldest first; `_bytes` is their sum."""
        self._bytes = 0
        self._lock = threading.Lock()
        self._some, self._over = threading.Event(), threading.Event()
        self._wanted = True
        self._thread = threading.Thread(target=self._send, name="streaming", daemon=True)
        self._thread.start()

    def add(self, row: int, text: str | bytes) -> None:
        """Add a token.

        Raises:
            SoftTimeLimitExceeded: The job is to stop. Code that swallowed the signal ends here.
        """
        if self._stop_requested() or not self._wanted:
            raise SoftTimeLimitExceeded
        size = len(text.encode() if isinstance(text, str) else text)
        index, self._count = self._count, self._count + 1
        metrics.TOKENS.inc()
        if size > settings().max_stream_bytes:
            metrics.TOKENS_DROPPED.inc()
            return
        with self._lock:
            self._sizes.append(size)
            self._bytes += size
            self._waiting.append(Token(index, row, text, self._attempt))
            self._bound()
        self._some.set()

    def close(self) -> None:
        """Send what is left, and end the thread."""
        self._over.set()
        self._some.set()
        self._thread.join()

    def _bound(self) -> None:
        """Drop the oldest tokens for the newest."""
        configured = settings()
        while len(self._sizes) > configured.max_stream_chunks or self._bytes > configured.max_stream_bytes:
            self._bytes -= self._sizes.popleft()
            metrics.TOKENS_DROPPED.inc()
        while len(self._waiting) > len(self._sizes):
            self._waiting.popleft()

    def _send(self) -> None:
        while not self._over.is_set():
            self._some.wait()
            self._some.clear()
            self._write()
            self._over.wait(_EVERY_S)
        self._write()

    def _write(self) -> None:
        with self._lock:
            tokens, keep = list(self._waiting), len(self._sizes)
            self._waiting.clear()
        if not tokens:
            return
        try:
            call = scripts.tokens(self._job, self._attempt, self._run, tokens, keep=keep, ttl=settings().result_ttl_s)
            self._wanted = bool(scripts.run(self._client, call))
        except (RedisError, OSError) as error:
            metrics.TOKENS_DROPPED.inc(len(tokens))
            log.warning("Dropped %d tokens of a job: job=%s error=%s", len(tokens), self._job, error)
