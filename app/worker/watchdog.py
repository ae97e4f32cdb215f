"""End a worker that is connected and takes nothing: idle, while the oldest message of a queue of its own stays where it is.

It covers whatever makes a consumer deaf. Another worker that takes everything is not such a case: then the oldest message changes.
Neither is a paused pool, whose workers take nothing on purpose: the time counts from its resumption.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from typing import Any, Final

from celery.worker import state

from app.broker import names
from app.settings import settings
from app.store import queues
from app.worker import main_process
from app.worker.periodic import Periodic

log = logging.getLogger(__name__)
_EXIT_CODE: Final = 1


class IdleTimer:
    """Measures how long the worker has been idle beside a message that nobody took."""

    def __init__(self) -> None:
        """Start with nothing measured."""
        self._taken: object = None
        self._since: dict[str, tuple[object, float]] = {}

    def update(self, oldest: Mapping[str, object], busy: bool, taken: object, now: float) -> tuple[float, str]:
        """Return the seconds, and the queue of the message.

        Args:
            oldest: The oldest message of each queue that has one.
            busy: Whether the worker holds a delivery.
            taken: A value that changes with each delivery that is taken.
            now: The present time, in seconds.
        """
        if busy or taken != self._taken:
            self._taken, self._since = taken, {}
        self._since = {
            queue: self._since[queue] if queue in self._since and self._since[queue][0] == message else (message, now)
            for queue, message in oldest.items()
        }
        return max(((now - since, queue) for queue, (_, since) in self._since.items()), default=(0.0, ""))


class Watchdog(Periodic):
    """A consumer step: it watches only while the worker is connected."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    loop_name = "watchdog"

    def start(self, parent: Any) -> None:
        """Begin to measure."""
        self.idle_timer = IdleTimer()
        self.limit_s = settings().stall_timeout_s
        self.queues = names.queues(settings().pool)
        self.interval_s = self.limit_s / 10
        super().start(parent)

    def tick(self, parent: Any) -> None:
        """End the worker if it has been idle for too long."""
        busy = bool(state.reserved_requests)
        waits = busy or parent.controller.status.paused is not None
        oldest = {} if waits else queues.oldest_messages(main_process.redis(), self.queues)
        idle_s, queue = self.idle_timer.update(oldest, busy, sum(state.total_count.values()), time.monotonic())
        if idle_s >= self.limit_s:
            log.critical(
                "Ending this worker: it is idle and took nothing though a delivery waits in the queue %s for %.0f s", queue, idle_s
            )
            state.should_stop = _EXIT_CODE
