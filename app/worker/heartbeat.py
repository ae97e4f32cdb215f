"""Report every two seconds that this worker lives, how many predictions it runs at once, and what it serves."""

from __future__ import annotations

import logging
import time
from typing import Any

from redis.exceptions import RedisError

from app.settings import settings
from app.store import workers
from app.worker import main_process
from app.worker.periodic import Periodic

log = logging.getLogger(__name__)


class Heartbeat(Periodic):
    """A worker step: from the start of the pool to the end of the drain."""

    requires = ("celery.worker.components:Timer", "celery.worker.components:Pool")
    loop_name = "heartbeat"
    interval_s = 2.0
    reported: workers.Worker | None = None
    """The last heartbeat that Redis has."""

    def start(self, parent: Any) -> None:
        """Report at once, and then regularly."""
        super().start(parent)
        self.tick_now(parent)

    def stop(self, parent: Any) -> None:
        """Sign off."""
        super().stop(parent)
        try:
            workers.leave(main_process.redis(), parent.hostname)
        except (RedisError, OSError) as error:
            log.warning("Could not sign this worker off: %s", error)

    def tick(self, parent: Any) -> None:
        """Report the worker's state."""
        models = parent.models
        worker = workers.Worker(
            name=parent.hostname,
            pool=settings().pool,
            processes=settings().processes,
            seen_at=time.time(),
            ready=[list(key) for key in models.loaded if key not in models.arriving],
            loading=[list(key) for key in models.arriving],
            refused=[[*key, reason] for key, reason in models.refused.items()],
            start_s=parent.status.start_s,
        )
        models.count()
        workers.report(main_process.redis(), worker, models.inferred.values(), self.reported)
        self.reported = worker
