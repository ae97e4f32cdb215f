"""Take deliveries from the queues of the pool, unless the pool is paused.

The main process reads the state of its pool every second. When the pool is paused, it cancels the consumers of its queues. A message
that Redis sends while they are being canceled returns to its queue. What runs is completed.
"""

from __future__ import annotations

import logging
from typing import Any

from app.broker import names
from app.core.pools import PoolMode
from app.core.timestamps import rfc3339
from app.settings import settings
from app.store import pools
from app.worker import main_process
from app.worker.health import Status
from app.worker.periodic import Periodic

log = logging.getLogger(__name__)


class Intake(Periodic):
    """A consumer step: decides before the first message of each connection, and then every second."""

    requires = ("celery.worker.consumer.tasks:Tasks",)
    loop_name = "intake"
    interval_s = 1.0

    def __init__(self, parent: Any, **options: Any) -> None:
        """Begin without knowing whether the pool is paused."""
        super().__init__(parent, **options)
        self._takes: bool | None = None

    def start(self, parent: Any) -> None:
        """Decide for a new connection, whose consumer has all queues. If Redis does not answer, what was known before counts."""
        super().start(parent)
        self.tick_now(parent)
        if not self._takes:
            _release(parent)
            self._takes = False

    def tick(self, parent: Any) -> None:
        """Take deliveries, or stop taking them."""
        pool = settings().pool
        state = pools.read(main_process.redis(), pool)
        paused = state if state is not None and state.mode is PoolMode.PAUSED else None
        status: Status = parent.controller.status
        status.paused = paused
        if paused is not None:
            if self._takes is not False:
                log.info("Taking no deliveries: pool=%s paused since=%s key=%s", pool, rfc3339(paused.since), paused.key_id or "none")
            _release(parent)
        elif not self._takes:
            # Once, so that a queue which an operator cancels by Celery's remote control stays canceled.
            if self._takes is False:
                log.info("Taking deliveries again: pool=%s", pool)
            _take(parent)
        self._takes = paused is None


def _release(consumer: Any) -> None:
    for queue in names.queues(settings().pool):
        consumer.task_consumer.cancel_by_queue(queue)


def _take(consumer: Any) -> None:
    """Consume from all queues, that of the tier `priority` first. The order of the calls is the order in which Redis looks at them."""
    present = {queue.name for queue in consumer.task_consumer.queues}
    missing = [queue for queue in names.queues(settings().pool) if queue not in present]
    for queue in missing:
        consumer.task_consumer.add_queue(consumer.app.amqp.queues[queue])
    if missing:
        consumer.task_consumer.consume()
