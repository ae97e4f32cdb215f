"""Ends a worker that is connected and takes nothing: idle, while the oldest message of a queue of its own stays where it is.

It covers whatever makes a consumer deaf. Another worker that takes everything is no such thing: then the oldest message changes.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping, Sequence
from typing import Any

import redis
from celery import bootsteps
from celery.worker import state

from app.broker import names
from app.settings import settings
from app.store import keys
from app.worker import main_process

log = logging.getLogger(__name__)
_EXIT = 1


class Stillness:
    """How long the worker has been idle beside a message that nobody took."""

    def __init__(self) -> None:
        self._taken: object = None
        self._since: dict[str, tuple[object, float]] = {}

    def look(self, oldest: Mapping[str, object], busy: bool, taken: object, now: float) -> tuple[float, str]:
        """Seconds, and the queue. `oldest`: queue -> its oldest message, where it has any; `taken` changes with each delivery taken."""
        if busy or taken != self._taken:
            self._taken, self._since = taken, {}
        self._since = {
            queue: self._since[queue] if queue in self._since and self._since[queue][0] == message else (message, now)
            for queue, message in oldest.items()
        }
        return max(((now - since, queue) for queue, (_, since) in self._since.items()), default=(0.0, ""))


class Watchdog(bootsteps.StartStopStep):
    """A consumer step: it watches only while the connection stands."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    timer: Any = None

    def start(self, consumer: Any) -> None:
        one = settings()
        self.stillness = Stillness()
        queues = (names.interactive(one.pool), names.bulk(one.pool))
        look = main_process.loops().add("stillness", one.stall_timeout_s / 10).guarded(self.look)
        self.timer = consumer.timer.call_repeatedly(one.stall_timeout_s / 10, look, (queues, one.stall_timeout_s))

    def stop(self, consumer: Any) -> None:
        if self.timer is not None:
            self.timer.cancel()
            self.timer = None
            main_process.loops().remove("stillness")

    def look(self, queues: Sequence[str], limit_s: float) -> None:
        busy = bool(state.reserved_requests)
        oldest = {} if busy else _oldest(main_process.redis(), queues)
        still_s, queue = self.stillness.look(oldest, busy, sum(state.total_count.values()), time.monotonic())
        if still_s >= limit_s:
            log.critical(
                "this worker is idle, and took nothing though a delivery waits in the queue %s for %.0f s: it ends", queue, still_s
            )
            state.should_stop = _EXIT


def _oldest(client: redis.Redis, queues: Sequence[str]) -> dict[str, object]:
    with client.pipeline(transaction=False) as pipe:
        for queue in queues:
            # A message may be large: its hash is enough to know it again.
            pipe.lindex(keys.list_of(queue), -1)
        return {queue: hash(message) for queue, message in zip(queues, pipe.execute(), strict=True) if message is not None}
